"""RRULE to dates: only within a stretch of days and a budget, so that no rule, however made, takes long."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

WEEKDAYS = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
FREQ = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
#: Larger numbers in a rule are refused.
MOST = 10_000
#: Parts with their least and greatest number (0 never counts).
_NUMBERS = {"BYMONTH": 12, "BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53, "BYSETPOS": 366}
_KNOWN = {*_NUMBERS, "FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND"}
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


class Wrong(ValueError):
    """A rule that is not taken; the message says why."""


class Malformed(Wrong):
    """A rule that is none: the file is not what it should be."""


@dataclass(slots=True)
class Budget:
    """Days that may still be looked at for a whole file."""

    left: int = 600_000

    def spend(self, days: int) -> None:
        self.left -= days
        if self.left < 0:
            raise Wrong("the file repeats too much to be read whole")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of days: within-a-day parts are refused. `until` is as written; the caller compares it."""

    freq: str
    interval: int
    count: int | None
    until: str
    week_start: int
    by: dict[str, tuple[int, ...]]
    days: tuple[tuple[int, int], ...]  # (ordinal or 0, weekday)
    clock: tuple[str, ...]  # the one hour, minute, second it names, "" for as on the first date


def parse(text: str) -> Rule:
    """A rule from its text; raises Wrong."""
    parts: dict[str, str] = {}
    for part in filter(None, text.upper().split(";")):
        name, _, value = part.partition("=")
        parts[name.strip()] = value
    freq = parts.get("FREQ", "")
    if freq not in FREQ:
        raise Wrong(f"it repeats by {freq or 'nothing'}; days, weeks, months and years are read")
    if parts.get("RSCALE", "GREGORIAN") != "GREGORIAN":
        raise Wrong(f"it repeats in the calendar {parts['RSCALE'][:20]}")
    if strange := [x for x in parts if x not in _KNOWN and not x.startswith("X-") and x not in ("RSCALE", "SKIP")]:
        raise Wrong(f"its rule has a part that is not known, {strange[0][:20]}")
    clock = tuple(parts.get(name, "") for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    if not all(x == "" or (x.isdecimal() and len(x) < 3) for x in clock):
        raise Wrong("it repeats within a day")
    interval, count = _whole(parts.get("INTERVAL", "1")), _whole(parts["COUNT"]) if "COUNT" in parts else None
    by = {
        name: tuple(_signed(x, most) for x in parts[name].split(","))
        for name, most in _NUMBERS.items()
        if name in parts
    }
    days = tuple(_weekday(x) for x in parts["BYDAY"].split(",")) if parts.get("BYDAY") else ()
    if parts.get("WKST", "MO") not in WEEKDAYS:
        raise Wrong("its week begins on no day")
    return Rule(freq, interval, count, parts.get("UNTIL", ""), WEEKDAYS[parts.get("WKST", "MO")], by, days, clock)


def same_clock(rule: Rule, hour: int, minute: int, second: int) -> bool:
    """Does the rule keep the time of day of its first date?"""
    return all(x == "" or int(x) == n for x, n in zip(rule.clock, (hour, minute, second), strict=True))


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 1 <= int(text) <= MOST:
        raise Wrong(
            f"it repeats more than {MOST} times" if text.isdigit() and len(text) > 4 else "its rule has a wrong number"
        )
    return int(text)


def _signed(text: str, most: int) -> int:
    if not re.fullmatch(r"\s*[+-]?\d{1,3}\s*", text) or not 1 <= abs(int(text)) <= most:
        raise Wrong("its rule has a wrong number")
    return int(text)


def _weekday(text: str) -> tuple[int, int]:
    found = _DAY.fullmatch(text)
    if found is None:
        raise Malformed("its rule names a wrong day of the week")
    return int(found[1] or 0), WEEKDAYS[found[2]]


def dates(rule: Rule, start: date, first: date, last: date, budget: Budget) -> Iterator[date]:
    """The rule's dates from `first` to `last`, in order; `start` is its first date and counts as one.

    Raises Wrong when the budget is spent.
    """
    found = 0
    for period in _periods(rule, start, first if rule.count is None else start, last):
        budget.spend(len(period))
        hits = [day for day in period if _matches(rule, day, start)]
        if wanted := rule.by.get("BYSETPOS"):
            hits = [hits[i] for i in sorted({n - 1 if n > 0 else len(hits) + n for n in wanted}) if 0 <= i < len(hits)]
        for day in hits:
            if day < start:
                continue
            found += 1
            if day > last or (rule.count is not None and found > rule.count):
                return
            if day >= first:
                yield day


def _periods(rule: Rule, start: date, first: date, last: date) -> Iterator[list[date]]:
    """The days of each period of the rule, from the one that holds `first` (or the start) on."""
    step = rule.interval
    if rule.freq in ("DAILY", "WEEKLY"):
        size = 1 if rule.freq == "DAILY" else 7
        begin = start - timedelta(days=(start.weekday() - rule.week_start) % 7) if size == 7 else start
        skip = max((first - begin).days // (size * step), 0) * size * step
        at = begin + timedelta(days=skip)
        while at <= last:
            yield [at + timedelta(days=i) for i in range(size)]
            at += timedelta(days=size * step)
        return
    months = step if rule.freq == "MONTHLY" else 12 * step
    origin = start.year * 12 + (start.month - 1 if rule.freq == "MONTHLY" else 0)
    index = origin + max((first.year * 12 + first.month - 1 - origin) // months, 0) * months
    while index <= last.year * 12 + last.month - 1:
        year, month = divmod(index, 12)
        inside = range(month + 1, month + 2) if rule.freq == "MONTHLY" else range(1, 13)
        yield [date(year, m, d) for m in inside for d in range(1, calendar.monthrange(year, m)[1] + 1)]
        index += months


def _matches(rule: Rule, day: date, start: date) -> bool:
    by = rule.by
    if "BYMONTH" in by and day.month not in by["BYMONTH"]:
        return False
    if "BYMONTHDAY" in by and not _counted(day.day, calendar.monthrange(day.year, day.month)[1], by["BYMONTHDAY"]):
        return False
    year = 366 if calendar.isleap(day.year) else 365
    if "BYYEARDAY" in by and not _counted(day.timetuple().tm_yday, year, by["BYYEARDAY"]):
        return False
    if "BYWEEKNO" in by:
        weeks = date(day.year, 12, 28).isocalendar().week
        if day.isocalendar().year != day.year or not _counted(day.isocalendar().week, weeks, by["BYWEEKNO"]):
            return False
    if rule.days:
        return any(day.weekday() == weekday and _nth(rule, day, n) for n, weekday in rule.days)
    return _as_start(rule, day, start)


def _counted(n: int, of: int, wanted: tuple[int, ...]) -> bool:
    return n in wanted or n - of - 1 in wanted


def _nth(rule: Rule, day: date, n: int) -> bool:
    """Is it the n-th such weekday of its month, or of its year (a yearly rule without months)?"""
    if n == 0 or rule.freq in ("DAILY", "WEEKLY"):
        return True
    if rule.freq == "YEARLY" and "BYMONTH" not in rule.by:
        at, size = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
    else:
        at, size = day.day, calendar.monthrange(day.year, day.month)[1]
    return (at - 1) // 7 + 1 == n if n > 0 else (size - at) // 7 + 1 == -n


def _as_start(rule: Rule, day: date, start: date) -> bool:
    """What the rule leaves open is as on the first date."""
    if rule.freq == "DAILY" or rule.by.keys() & {"BYMONTHDAY", "BYYEARDAY"}:
        return True
    if rule.freq == "WEEKLY" or "BYWEEKNO" in rule.by:
        return day.weekday() == start.weekday()
    return day.day == start.day and (rule.freq == "MONTHLY" or "BYMONTH" in rule.by or day.month == start.month)
