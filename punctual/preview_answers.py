"""What customers' calendar programs send back, in the shapes of Outlook, Thunderbird and the standard's own example."""

from __future__ import annotations

import email.policy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from zoneinfo import ZoneInfo

UTC_FORM, WALL_FORM = "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S"
#: The zone as Exchange names and tells it.
EXCHANGE, EXCHANGE_ZONE = "GMT Standard Time", ZoneInfo("Europe/London")
VTIMEZONE = (
    "BEGIN:VTIMEZONE", f"TZID:{EXCHANGE}",
    "BEGIN:STANDARD", "DTSTART:16010101T020000", "TZOFFSETFROM:+0100", "TZOFFSETTO:+0000",
    "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10", "END:STANDARD",
    "BEGIN:DAYLIGHT", "DTSTART:16010101T010000", "TZOFFSETFROM:+0000", "TZOFFSETTO:+0100",
    "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3", "END:DAYLIGHT",
    "END:VTIMEZONE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: to which invitation, by whom, when; `start`/`end` is the window it names, `comment` their words."""

    uid: str
    sequence: int
    organizer: str
    customer: str
    name: str
    start: datetime
    end: datetime
    stamp: datetime
    comment: str = ""


def reply(a: Answer, partstat: str) -> bytes:
    """A REPLY as Thunderbird writes it: the whole event again, with the organizer."""
    return _object(
        "REPLY", a, [f"DTSTART:{a.start:{UTC_FORM}}", f"DTEND:{a.end:{UTC_FORM}}"],
        [f"ATTENDEE;PARTSTAT={partstat}:mailto:{a.customer}", f"ORGANIZER:mailto:{a.organizer}", "STATUS:CONFIRMED"],
    )  # fmt: skip


def reply_outlook(a: Answer, partstat: str) -> bytes:
    """A REPLY as Exchange writes it: no organizer, a localised summary, times in a Windows zone."""
    return _object(
        "REPLY", a, _exchange(a.start, a.end),
        [f'ATTENDEE;CN="{a.name}";PARTSTAT={partstat}:mailto:{a.customer}', "SUMMARY;LANGUAGE=de-DE:Abgelehnt: Termin",
         "CLASS:PUBLIC", f"X-MICROSOFT-CDO-APPT-SEQUENCE:{a.sequence}"],
        VTIMEZONE, "Microsoft Exchange Server 2010",
    )  # fmt: skip


def counter(a: Answer, start: datetime, end: datetime) -> bytes:
    """A COUNTER after the standard: another time, the organizer named."""
    return _object(
        "COUNTER", a, [f"DTSTART:{start:{UTC_FORM}}", f"DTEND:{end:{UTC_FORM}}"],
        [f"ATTENDEE;PARTSTAT=TENTATIVE:mailto:{a.customer}", f"ORGANIZER:mailto:{a.organizer}", "SUMMARY:Visit"],
    )  # fmt: skip


def counter_outlook(a: Answer, start: datetime, end: datetime) -> bytes:
    """A COUNTER as Exchange writes it: which time it answers, in a Windows zone, without the organizer."""
    was = [line.replace("DTSTART", "X-MS-OLK-ORIGINALSTART").replace("DTEND", "X-MS-OLK-ORIGINALEND")
           for line in _exchange(a.start, a.end)]  # fmt: skip
    return _object(
        "COUNTER", a, _exchange(start, end),
        [f'ATTENDEE;CN="{a.name}";PARTSTAT=TENTATIVE;ROLE=REQ-PARTICIPANT:mailto:{a.customer}',
         "SUMMARY:New Time Proposed: Visit", "STATUS:TENTATIVE", *was],
        VTIMEZONE, "Microsoft Exchange Server 2010",
    )  # fmt: skip


def mail(a: Answer, ics: bytes, method: str, *, attached: bool = False) -> bytes:
    """The mail around it; Thunderbird attaches the object a second time."""
    made = EmailMessage(policy=email.policy.SMTP)
    made["From"] = f"{a.name} <{a.customer}>"
    made["To"] = a.organizer
    made["Subject"] = f"{method.title()}: your visit"
    made["Date"] = format_datetime(a.stamp)
    made["Message-ID"] = f"<{method.lower()}.{a.sequence}.{a.stamp:{WALL_FORM}}@customer.example>"
    words = a.comment or f"{a.name} has answered your invitation."
    made.set_content(words, cte="quoted-printable")
    made.add_alternative(f"<html><body>{words}</body></html>", subtype="html", cte="quoted-printable")
    made.add_alternative(
        ics.decode(), subtype="calendar", charset="utf-8", cte="base64",
        params={"method": method, "component": "VEVENT"},
    )  # fmt: skip
    if attached:
        made.make_mixed()
        made.add_attachment(ics, maintype="application", subtype="ics", filename="invite.ics")
    return made.as_bytes()


def _exchange(start: datetime, end: datetime) -> list[str]:
    return [
        f"{name};TZID={EXCHANGE}:{at.astimezone(EXCHANGE_ZONE):{WALL_FORM}}"
        for name, at in (("DTSTART", start), ("DTEND", end))
    ]


def _object(
    method: str,
    a: Answer,
    times: Sequence[str],
    more: Sequence[str],
    zone: Sequence[str] = (),
    program: str = "-//Customer//Calendar//EN",
) -> bytes:
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{program}", f"METHOD:{method}", *zone, "BEGIN:VEVENT", *times,
        f"DTSTAMP:{a.stamp:{UTC_FORM}}", f"UID:{a.uid}", f"SEQUENCE:{a.sequence}", *more,
        *([f"COMMENT:{a.comment}"] if a.comment else []), "END:VEVENT", "END:VCALENDAR",
    ]  # fmt: skip
    return "".join(_folded(line) for line in lines).encode()


def _folded(line: str) -> str:
    """ASCII lines of at most 75 octets."""
    pieces = [line[:75], *(f" {line[i : i + 74]}" for i in range(75, len(line), 74))]
    return "".join(f"{piece}\r\n" for piece in pieces)
