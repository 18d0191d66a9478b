"""The events of somebody else's calendar between two dates: repeated ones expanded, what is left out named by its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from punctual.itip import read, recur, text
from punctual.itip.text import Broken, Node, short
from punctual.itip.zones import Unknown, Zones, wall

#: A whole day.
_DATE = re.compile(r"\d{8}")
#: Events of a file, repeated ones counted each time, above which it is refused.
MOST_EVENTS = 5000


@dataclass(frozen=True, slots=True)
class Event:
    """One event at one time; instants are UTC. `key` tells its occurrences apart, "" where it does not repeat."""

    uid: str
    key: str
    line: int
    start: datetime
    end: datetime
    summary: str
    description: str
    location: str
    point: tuple[float, float] | None
    categories: tuple[str, ...]
    people: tuple[tuple[str, str], ...]  # (address, name), the organizer not among them
    organizer: str
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was not taken, with the line where it begins, and why."""

    line: int
    sentence: str


@dataclass(slots=True)
class Read:
    """The events found, what was left out, what was doubted, and the calendar's own name."""

    name: str = ""
    events: list[Event] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_all(raw: bytes, *, here: tzinfo, first: date, last: date) -> Read:
    """Every event of a file that begins from `first` to `last`; times without a zone are `here`.

    Raises Broken where the file is no calendar, has no event, or none whose time can be read.
    """
    tree = text.read(raw)
    found = Read(notes=tree.notes)
    nodes = [(c, e) for c in tree.calendars for e in c.inside("VEVENT")]
    if not nodes:
        raise Broken("There is no event in this calendar.")
    if len(nodes) > MOST_EVENTS:
        raise Broken(f"This calendar has {len(nodes)} events; the limit is {MOST_EVENTS}. Export a shorter time.")
    found.name = next((n for c in tree.calendars if (n := c.text("X-WR-CALNAME") or c.text("NAME"))), "")
    reader = _Reader(found, here, first, last)
    for calendar in tree.calendars:
        reader.take(calendar)
    if reader.unclear and reader.unclear == len(nodes):
        raise Broken(f"No event of this calendar has a time that can be read. {found.skipped[0].sentence}")
    return found


class _Reader:
    def __init__(self, found: Read, here: tzinfo, first: date, last: date) -> None:
        self.found, self.here, self.first, self.last = found, here, first, last
        self.budget = recur.Budget()
        self.unclear = 0

    def skip(self, event: Node, why: str) -> None:
        name = short(event.text("SUMMARY") or event.text("UID") or "without a name")
        self.found.skipped.append(Skipped(event.line, f"Event “{name}” (line {event.line}): {why}. Not taken."))

    def take(self, calendar: Node) -> None:
        """One calendar's events; a changed occurrence (RECURRENCE-ID) stands in for the one it names."""
        zones = Zones(calendar, self.here)
        events = calendar.inside("VEVENT")
        changed: set[tuple[str, object]] = set()
        for event in events:
            _well_formed(event)
            if (which := event.one("RECURRENCE-ID")) is not None:
                at = self.named(which, which.value, zones)
                changed |= {(event.text("UID"), _key(which.value)), (event.text("UID"), at)}
                if which.param("RANGE"):
                    self.doubt(which, "It changes later ones too; only its own was changed.")
        for event in events:
            try:
                for made in self.each(event, zones, changed):
                    self.keep(made)
            except Broken:
                raise
            except read.Unclear as error:
                self.unclear += event.one("DTSTART") is not None and "DTSTART" in str(error)
                self.skip(event, str(error))
            except (Unknown, recur.Wrong) as error:
                self.skip(event, str(error))
            except (ValueError, OverflowError):
                self.skip(event, "a time in it cannot be read")

    def keep(self, event: Event) -> None:
        if len(self.found.events) >= MOST_EVENTS:
            raise Broken(f"This calendar has more than {MOST_EVENTS} visits in these days. Export a shorter time.")
        self.found.events.append(event)

    def doubt(self, prop: text.Prop, what: str) -> None:
        if len(self.found.notes) < text.MOST_NOTES:
            self.found.notes.append(f"Line {prop.line}: {prop.name} “{short(prop.value)}”. {what}")

    def named(self, prop: text.Prop, value: str, zones: Zones) -> datetime | None:
        """The instant by which a property names an occurrence; None for a whole day, with a doubt for what is none."""
        try:
            found = _instant(value, prop.param("TZID"), zones)
        except (Unknown, ValueError, OverflowError):
            found = None
        if found is None and not _DATE.fullmatch(value.strip()):
            self.doubt(prop, "It names no time and was passed over.")
        return found

    def each(self, event: Node, zones: Zones, changed: set[tuple[str, object]]) -> Iterator[Event]:
        start = event.one("DTSTART")
        if start is None:
            self.skip(event, "it has no start")
            return
        at = read.moment(start, zones)
        if not isinstance(at, datetime):
            self.skip(event, "it lasts whole days; a visit has a time")
            return
        one = _event(event, at, _end(event, at, zones, self.found.notes))
        if event.one("RECURRENCE-ID") is not None:
            yield from self.between([replace(one, key=_key(event.text("RECURRENCE-ID")))], event)
        elif event.one("RRULE") is None and event.one("RDATE") is None:
            yield from self.between([one], event)
        else:
            gone = {_key(x) for p in event.all("EXDATE") for x in p.value.split(",")}
            instants = {self.named(p, x, zones) for p in event.all("EXDATE") for x in p.value.split(",")}
            for prop in event.all("EXRULE"):
                self.doubt(prop, "Exceptions by a rule are not read; what it leaves out was taken.")
            for found in self.repeated(event, one, start, zones):
                if (
                    not {found.key, found.key[:8]} & gone
                    and found.start not in instants
                    and not {(found.uid, found.key), (found.uid, found.start)} & changed
                ):
                    yield found

    def between(self, events: list[Event], node: Node) -> Iterator[Event]:
        for event in events:
            if self.first <= event.start.astimezone(self.here).date() <= self.last:
                yield event
            else:
                self.skip(node, f"it begins outside {self.first} to {self.last}")

    def repeated(self, event: Node, one: Event, start: text.Prop, zones: Zones) -> Iterator[Event]:
        """The occurrences of a repeated event, the first always among them (RFC 5545 3.8.5.3)."""
        local = wall(start.value) if not start.value.strip().upper().endswith("Z") else one.start.replace(tzinfo=None)
        tzid = start.param("TZID") or ("UTC" if start.value.strip().upper().endswith("Z") else "")
        walls = {local}
        for prop in event.all("RRULE"):
            rule = recur.parse(prop.value)
            if not recur.same_clock(rule, local.hour, local.minute, local.second):
                raise recur.Wrong("it repeats within a day")
            until = (
                _instant(rule.until if "T" in rule.until else f"{rule.until}T235959", tzid, zones)
                if rule.until
                else None
            )
            margin = timedelta(days=1)
            for day in recur.dates(rule, local.date(), self.first - margin, self.last + margin, self.budget):
                at = datetime.combine(day, local.time())
                if until is None or zones.utc(at, tzid) <= until:
                    walls.add(at)
        for prop in event.all("RDATE"):
            for x in prop.value.split(","):
                with_day = x.split("/")[0].strip()
                walls.add(wall(with_day if "T" in with_day else f"{with_day}T{local:%H%M%S}"))
        length = one.end - one.start
        for at in sorted(walls):
            begin = zones.utc(at, tzid)
            if self.first <= begin.astimezone(self.here).date() <= self.last:
                yield replace(one, key=f"{at:%Y%m%dT%H%M%S}", start=begin, end=begin + length)


def _well_formed(event: Node) -> None:
    """A repetition that is none means that the file is damaged: nothing of it is taken."""
    for prop in event.all("RRULE"):
        try:
            recur.parse(prop.value)
        except recur.Malformed as error:
            raise Broken(f"Line {prop.line}: {error}. Nothing of this file was taken.") from error
        except recur.Wrong:
            continue  # named when its event is read


def _key(value: str) -> str:
    return value.strip().upper().removesuffix("Z")


def _instant(value: str, tzid: str, zones: Zones) -> datetime | None:
    """A value as an instant; None for what is none (an EXDATE of a whole day is compared as written)."""
    try:
        at = wall(value)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if value.strip().upper().endswith("Z") else zones.utc(at, tzid)


def _end(event: Node, start: datetime, zones: Zones, notes: list[str]) -> datetime:
    """The end, or the start where there is none or it makes no sense (then with a note)."""
    try:
        end = read.instant(event, "DTEND", zones)
        length = event.one("DURATION")
        if end is None and length is not None:
            end = start + read.duration(length.value)
    except (ValueError, OverflowError) as error:
        notes.append(f"Event of line {event.line}: {error}; the planned time of its kind is used.")
        return start
    if end is not None and end < start:
        notes.append(f"Event of line {event.line}: it ends before it begins; the planned time of its kind is used.")
        return start
    return end or start


def _event(event: Node, start: datetime, end: datetime) -> Event:
    organizer = event.one("ORGANIZER")
    return Event(
        uid=event.text("UID"),
        key="",
        line=event.line,
        start=start,
        end=end,
        summary=event.text("SUMMARY"),
        description=event.text("DESCRIPTION"),
        location=event.text("LOCATION"),
        point=_point(event.text("GEO")),
        categories=tuple(filter(None, (x.strip() for p in event.all("CATEGORIES") for x in p.text.split(",")))),
        people=tuple((p.address, p.param("CN")) for p in event.all("ATTENDEE")),
        organizer=organizer.address if organizer else "",
        cancelled=event.text("STATUS").upper() == "CANCELLED",
    )


def _point(value: str) -> tuple[float, float] | None:
    lat, _, lon = value.partition(";")
    try:
        made = float(lat), float(lon)
    except ValueError:
        return None
    return made if -90 <= made[0] <= 90 and -180 <= made[1] <= 180 else None
