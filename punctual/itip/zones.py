"""A TZID to a time zone: IANA and Windows names, names that end in one, else the rules the file brings with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from punctual.itip import recur
from punctual.itip.text import Node, short

#: Years before a time in which the last change of a file's own zone is looked for.
YEARS = 2


_WALL = re.compile(r"\d{8}T\d{6}")


def wall(text: str) -> datetime:
    """A time as written, without its zone. Raises ValueError."""
    plain = text.strip().upper().removesuffix("Z")
    if _WALL.fullmatch(plain) is None:
        raise ValueError("a time is written 20261124T090000")
    return datetime.fromisoformat(plain)


class Unknown(ValueError):
    """A zone that is neither known nor told by the file."""


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    found = {name.casefold(): name for name in available_timezones()}
    return found | {name.casefold(): olson for name, olson in WINDOWS_TO_OLSON.items()}


@lru_cache(maxsize=256)
def named(tzid: str) -> ZoneInfo | None:
    """The zone of an IANA or Windows name, also as the end of a longer one ("/maker/1.0/Europe/Berlin")."""
    parts = tzid.strip().strip('"').split("/")
    for n in range(min(len(parts), 6)):
        name = _names().get("/".join(parts[n:]).strip().casefold())
        if name is not None and (n == 0 or "/" in name):
            return ZoneInfo(name)
    return None


@dataclass(frozen=True, slots=True)
class _Change:
    """One STANDARD or DAYLIGHT part: from when on, again by which rule or dates, and the two offsets."""

    start: datetime
    rule: recur.Rule | None
    dates: tuple[datetime, ...]
    before: timedelta
    after: timedelta

    def last(self, at: datetime) -> datetime | None:
        """The newest change that is not after this wall time."""
        found = [x for x in (self.start, *self.dates) if x <= at]
        if self.rule is not None and self.start <= at:
            until = _until(self.rule.until)
            end = min(at, until) if until else at
            first = max(self.start.date(), date(max(end.year - YEARS, 1), 1, 1))
            origin = self.start.date()
            if origin.year < first.year - 1:  # a yearly rule goes on as it began
                origin = origin.replace(year=first.year - 1, day=min(origin.day, 28))
            days = recur.dates(self.rule, origin, first, end.date(), recur.Budget(5000))
            stamps = [datetime.combine(day, self.start.time()) for day in days]
            found += [x for x in stamps if x <= end]
        return max(found, default=None)


@dataclass(frozen=True, slots=True)
class FileZone:
    """The zone of a VTIMEZONE."""

    changes: tuple[_Change, ...]

    def utc(self, wall: datetime) -> datetime:
        """The instant of a wall time without a zone."""
        newest: tuple[datetime, timedelta] | None = None
        for change in self.changes:
            last = change.last(wall)
            if last is not None and (newest is None or last > newest[0]):
                newest = (last, change.after)
        offset = newest[1] if newest else min(self.changes, key=lambda c: c.start).before
        return wall.replace(tzinfo=timezone(offset)).astimezone(UTC)


class Zones:
    """The zones one calendar may name; `here` is the zone of times that name none."""

    def __init__(self, calendar: Node, here: tzinfo) -> None:
        self.own = {node.text("TZID"): node for node in calendar.inside("VTIMEZONE")}
        self.here = here
        self.made: dict[str, FileZone] = {}

    def utc(self, wall: datetime, tzid: str) -> datetime:
        """The instant of a wall time in that zone ("" : here). Raises Unknown."""
        if not tzid:
            return wall.replace(tzinfo=self.here).astimezone(UTC)
        known = named(tzid)
        if known is not None:
            return wall.replace(tzinfo=known).astimezone(UTC)
        if tzid not in self.made:
            if tzid not in self.own:
                raise Unknown(f"time zone “{short(tzid)}” is not in the file and not known")
            self.made[tzid] = _file_zone(self.own[tzid], tzid)
        return self.made[tzid].utc(wall)


def _file_zone(node: Node, tzid: str) -> FileZone:
    try:
        changes = tuple(_change(part) for part in node.nodes if part.name in ("STANDARD", "DAYLIGHT"))
    except ValueError:
        changes = ()
    if not changes:
        raise Unknown(f"time zone “{short(tzid)}” is in the file but cannot be used")
    return FileZone(changes)


def _change(part: Node) -> _Change:
    rule = part.one("RRULE")
    made = recur.parse(rule.value) if rule else None
    if made is not None and (made.freq != "YEARLY" or made.interval != 1 or made.count is not None):
        raise ValueError("a zone changes by the year")
    dates = tuple(wall(x) for p in part.all("RDATE") for x in p.value.split(","))
    return _Change(
        wall(part.text("DTSTART")), made, dates, _offset(part.text("TZOFFSETFROM")), _offset(part.text("TZOFFSETTO"))
    )


def _until(text: str) -> datetime | None:
    """The end of a rule; None where it has none."""
    return wall(text if "T" in text else f"{text}T000000") if text else None


def _offset(text: str) -> timedelta:
    sign, digits = text[:1], text[1:]
    if sign not in ("+", "-") or not digits.isdecimal() or len(digits) not in (4, 6):
        raise ValueError("an offset is written +0100")
    made = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:] or 0))
    if made >= timedelta(hours=24):
        raise ValueError("an offset is less than a day")
    return made if sign == "+" else -made
