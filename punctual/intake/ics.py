"""A calendar file as rows of a schedule: what fits becomes a visit, everything left out is named with its line."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from punctual.core.day import local
from punctual.intake import cells
from punctual.intake.cells import Wrong
from punctual.itip import events
from punctual.itip.events import Event
from punctual.itip.text import Broken

#: Days ahead that are taken; farther visits come with a later file.
AHEAD = 400
#: Minutes of a visit whose event has no length, and the name of its kind of work where the file names none.
PLANNED, JOB = 60, "Visit"
COLUMNS = ("id", "date", "from", "to", "planned", "minutes", "technician", "job", "customer", "email", "address", "lat",
           "lon", "notes", "cancelled")  # fmt: skip


@dataclass(frozen=True, slots=True)
class People:
    """The company's technicians: id by e-mail address, id by name, all in small letters; `chosen` for the rest."""

    by_email: dict[str, str] = field(default_factory=dict)
    by_name: dict[str, str] = field(default_factory=dict)
    chosen: str = ""


@dataclass(slots=True)
class Converted:
    """Rows in the columns of our own schedule files, what was left out, and what was doubted."""

    rows: list[dict[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_csv(self) -> str:
        """The rows as the schedule file they are."""
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()


def is_calendar(raw: bytes) -> bool:
    """Is this a calendar rather than a sheet?"""
    head = raw[:2000].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").upper()
    return head.startswith(b"BEGIN:")


def convert(raw: bytes, people: People, *, zone: str, at: datetime, window_min: float) -> Converted:
    """The visits of a calendar from today on; an event's start and length are the plan, its window opens at the start.

    Raises Broken in a sentence where nothing of the file can be taken.
    """
    today = local(at, zone).date()
    found = events.read_all(raw, here=ZoneInfo(zone), first=today, last=today + timedelta(days=AHEAD))
    made = Converted(skipped=[x.sentence for x in found.skipped], notes=found.notes)
    whose = people.chosen or people.by_name.get(found.name.casefold(), "")
    seen: set[str] = set()
    for event in sorted(found.events, key=lambda e: (e.start, e.line)):
        row = _row(event, people, whose, zone, window_min, made)
        if row is not None and row["id"] in seen:
            _skip(made, event, "the file has it twice")
        elif row is not None:
            seen.add(row["id"])
            made.rows.append(row)
    if not found.events and not found.skipped:
        raise Broken("There is no visit from today on in this calendar.")
    return made


def _skip(made: Converted, event: Event, why: str) -> None:
    name = cells.short(event.summary or event.uid or "without a name")
    made.skipped.append(f"Event “{name}” (line {event.line}): {why}. Not taken.")


def _row(
    event: Event, people: People, whose: str, zone: str, window_min: float, made: Converted
) -> dict[str, str] | None:
    staff = {person: people.by_email[person] for person, _ in event.people if person in people.by_email}
    staff |= {event.organizer: people.by_email[event.organizer]} if event.organizer in people.by_email else {}
    customers = [(a, name) for a, name in event.people if a not in staff and a != event.organizer]
    address, named = customers[0] if len(customers) == 1 else ("", "")
    name = " ".join((named or event.summary or address).split())[:120]
    minutes = round((event.end - event.start).total_seconds() / 60)
    if not name or minutes > 1440:
        _skip(made, event, "it is longer than a day" if name else "nobody is named in it")
        return None
    begin, end = local(event.start, zone), local(event.start + timedelta(minutes=window_min), zone)
    return {
        "id": _id(event),
        "date": begin.date().isoformat(),
        "from": f"{begin:%H:%M}",
        "to": f"{end:%H:%M}" + ("+1" if end.date() > begin.date() else ""),
        "planned": f"{begin:%H:%M}",
        "minutes": str(minutes or PLANNED),
        "technician": next(iter(staff.values()), whose),
        "job": " ".join((event.categories[0] if event.categories else JOB).split())[:80],
        "customer": name,
        "email": _email(event, address, made),
        "address": " ".join(event.location.split())[:300],
        "lat": f"{event.point[0]:.6f}" if event.point else "",
        "lon": f"{event.point[1]:.6f}" if event.point else "",
        "notes": _notes(event, name),
        "cancelled": "yes" if event.cancelled else "",
    }


def _id(event: Event) -> str:
    """The event's own name, the same in every later file; a long one shortened, one without made from its words."""
    whole = "/".join(filter(None, (event.uid or f"{event.summary} {event.start.isoformat()}", event.key)))
    plain = "".join(c for c in whole if c.isprintable()).strip()
    return plain if plain and len(plain) <= 80 else hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:40]


def _email(event: Event, address: str, made: Converted) -> str:
    try:
        return cells.email(address) if address else ""
    except Wrong as wrong:
        made.notes.append(f"Event of line {event.line}: {wrong} It was left out.")
        return ""


def _notes(event: Event, name: str) -> str:
    title = event.summary if " ".join(event.summary.split()) != name else ""
    return " ".join(f"{title} {event.description}".split())[:2000]
