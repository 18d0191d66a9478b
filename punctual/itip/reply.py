"""What a customer's calendar program sent us: the one iTIP object of a mail as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message

from punctual.itip import read, text
from punctual.itip.text import Broken, Node, short
from punctual.itip.zones import Zones

KNOWN = ("REPLY", "COUNTER", "REFRESH", "REQUEST", "ADD", "CANCEL", "DECLINECOUNTER", "PUBLISH")
PARTSTATS = ("ACCEPTED", "DECLINED", "TENTATIVE", "DELEGATED", "NEEDS-ACTION")
ICS = ("text/calendar", "application/ics")
LONGEST = 1000
#: More parts of a mail are not looked at.
PARTS = 200


@dataclass(frozen=True, slots=True)
class Incoming:
    """One iTIP object; instants are UTC, addresses in small letters, "" for what it does not say.

    `original` is the window a COUNTER says it answers (Outlook); `start`/`end` are its proposal.
    """

    method: str
    uid: str
    sequence: int
    stamp: datetime | None
    attendee: str
    others: tuple[str, ...]
    sent_by: str
    partstat: str
    delegate: str
    comment: str
    start: datetime | None
    end: datetime | None
    original: tuple[datetime, datetime] | None


def parts(mail: Message) -> Iterator[Message]:
    """The calendar parts of a mail at any depth - but not of a mail it carries (a bounce brings our own back)."""
    waiting = [mail]
    for _ in range(PARTS):
        if not waiting:
            return
        part = waiting.pop()
        kind, inside = part.get_content_type(), part.get_payload() if part.is_multipart() else None
        if kind in ("message/rfc822", "multipart/report", "message/delivery-status"):
            continue
        if isinstance(inside, list):
            waiting += [p for p in reversed(inside) if isinstance(p, Message)]
        elif kind in ICS:
            yield part


def find(mail: Message) -> Incoming | None:
    """The iTIP object of a mail; None without a calendar part. Raises Broken with a sentence for the dispatcher."""
    found = list(parts(mail))
    if not found:
        return None
    objects: dict[tuple[object, ...], Incoming] = {}
    for part in found:
        payload = part.get_payload(decode=True)
        made = one(payload if isinstance(payload, bytes) else b"", part.get_content_charset() or "utf-8", _method(part))
        objects.setdefault((made.uid, made.method, made.sequence, made.partstat, made.start, made.end), made)
    if len(objects) > 1:
        raise Broken("It holds several calendar objects, so none was taken.")
    return next(iter(objects.values()))


def _method(part: Message) -> str:
    given = part.get_param("method")
    return (given if isinstance(given, str) else "").strip().strip('"').upper()


def one(raw: bytes, charset: str = "utf-8", said: str = "") -> Incoming:
    """The one iTIP object in these bytes; `said` is the method its mail names. Raises Broken."""
    tree = text.read(raw, charset)
    if len(tree.calendars) != 1:
        raise Broken("It holds several calendar objects, so none was taken.")
    calendar = tree.calendars[0]
    method = calendar.text("METHOD").upper() or said
    if not method:
        raise Broken("Its calendar part does not say what it wants (no METHOD).")
    if said and said != method:
        raise Broken(f"Its calendar part says {short(method)} and its mail says {short(said)}, so neither was taken.")
    if method not in KNOWN:
        raise Broken(f"Its calendar part wants {short(method)}, which is not known.")
    events = calendar.inside("VEVENT")
    if not events:
        raise Broken("There is no event in its calendar part.")
    uids = {p.text for event in events for p in event.all("UID")} or {""}
    if len(uids) > 1:
        raise Broken("It holds several calendar objects, so none was taken.")
    if "" in uids:
        raise Broken("Its event has no UID.")
    return _event(calendar, events[0], method)


def _event(calendar: Node, event: Node, method: str) -> Incoming:
    zones = Zones(calendar, UTC)
    people = event.all("ATTENDEE")
    if (not people and method in ("REPLY", "COUNTER")) or (len(people) > 1 and method == "REPLY"):
        raise Broken(f"It names {len(people) or 'no'} people as the one who answers; exactly one is needed.")
    who = people[0] if people else None
    partstat = (who.param("PARTSTAT") if who else "").upper() or "NEEDS-ACTION"
    if method == "REPLY" and partstat not in PARTSTATS:
        raise Broken(f"Its answer “{short(partstat)}” is not known.")
    try:
        start, end = _times(event, zones, needed=method == "COUNTER")
        return Incoming(
            method=method,
            uid=event.text("UID"),
            sequence=read.sequence(event),
            stamp=_soft(event, "DTSTAMP", zones),
            attendee=who.address if who else "",
            others=tuple(p.address for p in people[1:]),
            sent_by=_bare(who.param("SENT-BY")) if who else "",
            partstat=partstat,
            delegate=_bare(who.param("DELEGATED-TO")) if who else "",
            comment="\n".join(p.text for p in event.all("COMMENT"))[:LONGEST],
            start=start,
            end=end,
            original=_original(event, zones),
        )
    except (ValueError, OverflowError) as error:
        raise Broken(f"Its calendar part cannot be used: {error}.") from error


def _bare(address: str) -> str:
    return address.strip().lower().removeprefix("mailto:")


def _times(event: Node, zones: Zones, *, needed: bool) -> tuple[datetime | None, datetime | None]:
    """Start and end; only a COUNTER's have a meaning, so only there a fault is one."""
    if not needed:
        return _soft(event, "DTSTART", zones), _soft(event, "DTEND", zones)
    start, end = read.instant(event, "DTSTART", zones), read.instant(event, "DTEND", zones)
    length = event.one("DURATION")
    if start is not None and end is None and length is not None:
        end = start + read.duration(length.value)
    if start is None or end is None or end <= start:
        raise read.Unclear("its proposed time has no end after its start")
    return start, end


def _soft(event: Node, name: str, zones: Zones) -> datetime | None:
    try:
        return read.instant(event, name, zones)
    except (ValueError, OverflowError):
        return None


def _original(event: Node, zones: Zones) -> tuple[datetime, datetime] | None:
    start = _soft(event, "X-MS-OLK-ORIGINALSTART", zones)
    end = _soft(event, "X-MS-OLK-ORIGINALEND", zones)
    return (start, end) if start and end else None
