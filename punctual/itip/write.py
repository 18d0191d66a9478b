"""Our visits as RFC 5545/5546 text: invitations and what follows them, one entry to add by hand, a technician's feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from icalendar import Calendar, Event, vCalAddress, vDDDTypes, vDuration, vText

PRODID = "-//Punctual//Visits 1.0//EN"


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


def _begun(of: Entry | Planned, stamp: datetime) -> Event:
    """What an entry for a customer and one in a feed have alike."""
    event = Event()
    event.add("summary", of.summary)
    event.add("dtstart", of.start)
    event.add("dtend", of.end)
    event.add("dtstamp", stamp)
    event.add("uid", of.uid)
    event.add("sequence", of.sequence)
    event.add("created", min(of.created, stamp))
    event.add("last-modified", stamp)
    event.add("description", of.description)
    event.add("url", of.url)
    return event


def _event(entry: Entry, status: str, *, invite: bool) -> Event:
    event = _begun(entry, entry.stamp)
    event.add("location", entry.location)
    event.add("status", status)
    event.add("transp", "OPAQUE")
    if invite:
        event.add("organizer", _organizer(entry.organizer, entry.organizer_name))
        attendee = vCalAddress(f"mailto:{entry.attendee}")
        attendee.params["CN"] = vText(_plain(entry.attendee_name))
        attendee.params["CUTYPE"] = vText("INDIVIDUAL")
        attendee.params["PARTSTAT"] = vText(entry.partstat)
        attendee.params["ROLE"] = vText("REQ-PARTICIPANT")
        attendee.params["RSVP"] = vText("TRUE" if entry.rsvp else "FALSE")
        event.add("attendee", attendee)
    return event


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
    return _calendar(_event(entry, "CANCELLED" if method == "CANCEL" else "CONFIRMED", invite=True), method)


def entry(entry: Entry) -> bytes:
    """One visit to be added by hand: no METHOD and nobody to answer.

    It has the invitation's UID, so that a later mail moves this very entry instead of making a second one.
    """
    return _calendar(_event(entry, "CONFIRMED", invite=False))


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
    event = _begun(visit, visit.changed)
    event.add("class", "PRIVATE")
    if visit.location:
        event.add("location", visit.location)
    if visit.point is not None:
        event.add("geo", visit.point)
    event.add("status", "CANCELLED" if visit.cancelled else "CONFIRMED")
    event.add("transp", "TRANSPARENT" if visit.cancelled else "OPAQUE")
    return event
