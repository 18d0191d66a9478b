"""Our visits as RFC 5545/5546 text: invitations and what follows them, one entry to add by hand, a technician's feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from icalendar import Calendar, Event, Parameters, vCalAddress, vDDDTypes, vDuration, vText
from icalendar.parser import Contentline

PRODID = "-//Punctual//Visits 1.0//EN"
#: A line of that many octets is folded.
_FOLD = 75


@dataclass(frozen=True, slots=True)
class Entry:
    """A visit as its calendar entry; instants are UTC. `start`/`end` are the promised window, never an ETA."""

    uid: str
    sequence: int
    stamp: datetime
    created: datetime
    start: datetime
    end: datetime
    summary: str
    description: str
    location: str
    url: str
    organizer: str
    organizer_name: str
    attendee: str
    attendee_name: str
    partstat: str = "NEEDS-ACTION"
    rsvp: bool = True


@dataclass(frozen=True, slots=True)
class Planned:
    """A visit in a technician's feed; `start`/`end` are the planned work, `changed` its last change. UTC."""

    uid: str
    sequence: int
    changed: datetime
    created: datetime
    start: datetime
    end: datetime
    summary: str
    description: str
    location: str
    point: tuple[float, float] | None
    url: str
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """A technician's calendar to subscribe to: its name and what is in it."""

    name: str
    visits: Sequence[Planned] = ()


#: How often a program may read a feed again (many read far less often).
REFRESH = timedelta(minutes=15)


def _plain(name: str) -> str:
    """A display name as a CN parameter takes it: no quotes, no line ends."""
    return " ".join(name.replace('"', "'").split())


def _organizer(address: str, name: str) -> vCalAddress:
    organizer = vCalAddress(f"mailto:{address}")
    organizer.params["CN"] = vText(_plain(name))
    return organizer


def _empty(method: str = "") -> Calendar:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODID)
    calendar.add("calscale", "GREGORIAN")
    if method:
        calendar.add("method", method)
    return calendar


def _calendar(event: Event, method: str = "") -> bytes:
    calendar = _empty(method)
    calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text


def invite(entry: Entry, method: Literal["REQUEST", "CANCEL"]) -> bytes:
    """The calendar part of a mail: one VEVENT, UTC, no VTIMEZONE, no alarm (calendar.md 0 and 7)."""
    whom = (
        f"ATTENDEE;{_cn(entry.attendee_name)};CUTYPE=INDIVIDUAL;PARTSTAT={entry.partstat};ROLE=REQ-PARTICIPANT;"
        f"RSVP={'TRUE' if entry.rsvp else 'FALSE'}:mailto:{entry.attendee}"
    )
    by = f"ORGANIZER;{_cn(entry.organizer_name)}:mailto:{entry.organizer}"
    return _written(entry, "CANCELLED" if method == "CANCEL" else "CONFIRMED", method, whom, by)


def entry(entry: Entry) -> bytes:
    """One visit to be added by hand: no METHOD and nobody to answer.

    It has the invitation's UID, so that a later mail moves this very entry instead of making a second one.
    """
    return _written(entry, "CONFIRMED")


def _written(of: Entry, status: str, method: str = "", whom: str = "", by: str = "") -> bytes:
    """The object, its lines in the library's order. It comes with most mails, and writing it through the library's
    components costs six times as much; what is delicate - escaping, parameters, folding - stays the library's."""
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODID}",
        "CALSCALE:GREGORIAN",
        f"METHOD:{method}" if method else "",
        "BEGIN:VEVENT",
        f"SUMMARY:{_escaped(of.summary)}",
        f"DTSTART:{_instant(of.start)}",
        f"DTEND:{_instant(of.end)}",
        f"DTSTAMP:{_instant(of.stamp)}",
        f"UID:{_escaped(of.uid)}",
        f"SEQUENCE:{of.sequence}",
        whom,
        f"CREATED:{_instant(min(of.created, of.stamp))}",
        f"DESCRIPTION:{_escaped(of.description)}",
        f"LAST-MODIFIED:{_instant(of.stamp)}",
        f"LOCATION:{_escaped(of.location)}",
        by,
        f"STATUS:{status}",
        "TRANSP:OPAQUE",
        f"URL:{of.url}",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return b"".join(_folded(line) for line in lines if line)


def _escaped(words: str) -> str:
    text: bytes = vText(words).to_ical()
    return text.decode()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _cn(name: str) -> str:
    text: bytes = Parameters(CN=_plain(name)).to_ical()
    return text.decode()


def _folded(line: str) -> bytes:
    """The line with its end, in pieces shorter than _FOLD octets. Where all letters are one octet it is cut here, for
    the library asks each for its length; as there never after a backslash or "^", which escape what follows."""
    whole: Any = Contentline(line)  # type: ignore[no-untyped-call]  # refuses what would be two lines
    plain = line.encode()
    if len(plain) < _FOLD:
        return plain + b"\r\n"
    if not line.isascii():
        return bytes(whole.to_ical()) + b"\r\n"
    pieces = []
    while len(line) >= _FOLD:
        end = _FOLD - 2 if line[_FOLD - 2] in "\\^" else _FOLD - 1
        pieces.append(line[:end])
        line = line[end:]
    return "\r\n ".join((*pieces, line)).encode() + b"\r\n"


def decline(*, uid: str, stamp: datetime, organizer: str, organizer_name: str, comment: str) -> bytes:
    """DECLINECOUNTER: what a calendar proposed cannot be; no ATTENDEE, no times, no SEQUENCE (RFC 5546 3.2.8)."""
    event = Event()
    event.add("dtstamp", stamp)
    event.add("uid", uid)
    event.add("comment", comment)
    event.add("organizer", _organizer(organizer, organizer_name))
    return _calendar(event, "DECLINECOUNTER")


def restamped(raw: bytes, stamp: datetime) -> bytes:
    """The same object sent again (answer to REFRESH): only DTSTAMP is new."""
    calendar = Calendar.from_ical(raw)
    for event in calendar.walk("VEVENT"):
        event["DTSTAMP"] = vDDDTypes(stamp)
    text: bytes = calendar.to_ical()
    return text


def feed(feed: Feed) -> bytes:
    """A technician's visits to subscribe to: no METHOD, nobody to answer, no address of a customer (calendar.md 7)."""
    calendar = _empty()
    for name in ("name", "x-wr-calname"):
        calendar.add(name, feed.name)
    calendar.add("refresh-interval", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT15M")
    for visit in feed.visits:
        calendar.add_component(_planned(visit))
    text: bytes = calendar.to_ical()
    return text


def _planned(visit: Planned) -> Event:
    event = Event()
    event.add("summary", visit.summary)
    event.add("dtstart", visit.start)
    event.add("dtend", visit.end)
    event.add("dtstamp", visit.changed)
    event.add("uid", visit.uid)
    event.add("sequence", visit.sequence)
    event.add("created", min(visit.created, visit.changed))
    event.add("last-modified", visit.changed)
    event.add("description", visit.description)
    event.add("url", visit.url)
    event.add("class", "PRIVATE")
    if visit.location:
        event.add("location", visit.location)
    if visit.point is not None:
        event.add("geo", visit.point)
    event.add("status", "CANCELLED" if visit.cancelled else "CONFIRMED")
    event.add("transp", "TRANSPARENT" if visit.cancelled else "OPAQUE")
    return event
