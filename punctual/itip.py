"""RFC 5545/5546 text of our visits: REQUEST and CANCEL for customers, one entry for "add to my calendar"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from icalendar import Calendar, Event, vCalAddress, vText

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


def _plain(name: str) -> str:
    """A display name as a CN parameter takes it: no quotes, no line ends."""
    return " ".join(name.replace('"', "'").split())


def _event(entry: Entry, status: str, *, invite: bool) -> Event:
    event = Event()
    event.add("summary", entry.summary)
    event.add("dtstart", entry.start)
    event.add("dtend", entry.end)
    event.add("dtstamp", entry.stamp)
    event.add("uid", entry.uid)
    event.add("sequence", entry.sequence)
    event.add("created", min(entry.created, entry.stamp))
    event.add("last-modified", entry.stamp)
    event.add("description", entry.description)
    event.add("location", entry.location)
    event.add("status", status)
    event.add("transp", "OPAQUE")
    event.add("url", entry.url)
    if invite:
        organizer = vCalAddress(f"mailto:{entry.organizer}")
        organizer.params["CN"] = vText(_plain(entry.organizer_name))
        event.add("organizer", organizer)
        attendee = vCalAddress(f"mailto:{entry.attendee}")
        attendee.params["CN"] = vText(_plain(entry.attendee_name))
        attendee.params["CUTYPE"] = vText("INDIVIDUAL")
        attendee.params["PARTSTAT"] = vText(entry.partstat)
        attendee.params["ROLE"] = vText("REQ-PARTICIPANT")
        attendee.params["RSVP"] = vText("TRUE" if entry.rsvp else "FALSE")
        event.add("attendee", attendee)
    return event


def _calendar(event: Event, method: str = "") -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODID)
    calendar.add("calscale", "GREGORIAN")
    if method:
        calendar.add("method", method)
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
