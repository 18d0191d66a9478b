"""Days with a visit more or less, as columns: what would be when somebody is put into a day, or taken out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Bools, Days, Floats, Ints

#: Columns with a value a day, and with a value a visit.
BY_DAY = (
    "day_id", "technician", "shift_start", "shift_end", "break_start", "break_end", "home_lat", "home_lon",
)  # fmt: skip
BY_VISIT = (
    "visit_id", "job_type", "planned_start", "planned_min", "window_start", "window_end", "lat", "lon", "place_id",
    "on_my_way", "arrived", "finished", "late_min", "late_at", "deadline", "deadline_arrive", "early_ok", "travel",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class New:
    """A visit to be put into days: one value each, or one a day it is put into (`start` of work, the arrival window's
    `window` and `end`, `deadline`; minutes since 1970). `out` and `back`: known minutes of the drives to it and from it, by place (minus a technician: their
    home)."""

    id: int
    job_type: int
    planned: float
    lat: float
    lon: float
    place: int
    start: Floats
    window: Floats
    end: Floats
    deadline: Floats
    arrive: bool
    out: dict[int, float]
    back: dict[int, float]


def begun(days: Days) -> Bools:
    """Rows that somebody is on the way to, has arrived at or has done."""
    return ~(np.isnan(days.on_my_way) & np.isnan(days.arrived) & np.isnan(days.finished))


def only(days: Days, which: Ints) -> Days:
    """The days at some positions, in that order; one may be there several times."""
    offset = np.concatenate([[0], np.cumsum(days.counts[which])])
    return _made(days, which, rows_of(days, which), offset)


def rows_of(days: Days, which: Ints) -> Ints:
    """The rows of the days at some positions, day after day."""
    return _runs(days.offset[which], days.counts[which])


def _runs(start: Ints, counts: Ints) -> Ints:
    """Runs of numbers after one another: so many from each start."""
    ends = counts.cumsum()
    return np.repeat(start - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)


def joined(parts: Sequence[tuple[Days, Ints]]) -> Days:
    """The days at some positions of several columns, after one another."""
    counts = np.concatenate([days.counts[which] for days, which in parts])
    row = _runs(np.concatenate([days.offset[which] for days, which in parts]), counts)
    offset, some, n = np.concatenate([[0], counts.cumsum()]), [], 0
    for days, which in parts:
        some.append((days, row[offset[n] : offset[n + len(which)]]))
        n += len(which)
    columns: dict[str, NDArray[Any]] = {
        f: np.concatenate([getattr(days, f)[at] for days, at in where])
        for names, where in ((BY_DAY, parts), (BY_VISIT, some))
        for f in names
    }
    return Days(offset=offset, **columns)


def without(days: Days, visit_id: int, way: float = np.nan) -> Days:
    """The days without one visit; `way`: minutes from what came before it to what came after it, NaN: not known."""
    gone = np.flatnonzero(days.visit_id == visit_id)
    if not len(gone):
        return days
    every = np.arange(len(days))
    made = _made(days, every, np.delete(np.arange(days.rows), gone), days.offset - np.searchsorted(gone, days.offset))
    after = gone - np.arange(len(gone))
    day = np.searchsorted(days.offset, gone, side="right") - 1
    made.travel[after[after < made.offset[day + 1]]] = way
    return made


def neighbours(days: Days, visit_id: int) -> tuple[int, int] | None:
    """The places of what comes before and after a visit (minus a technician: their home); None where one is missing."""
    rows = np.flatnonzero(days.visit_id == visit_id)
    if not len(rows):
        return None
    row = int(rows[0])
    day = int(np.searchsorted(days.offset, row, side="right")) - 1
    if row + 1 >= days.offset[day + 1]:
        return None
    before = days.place_id[row - 1] if row > days.offset[day] else -days.technician[day]
    return (int(before), int(days.place_id[row + 1])) if before and days.place_id[row + 1] else None


def with_each(days: Days, which: Ints, new: New) -> Days:
    """The days, and those at some positions once more, each with the new visit at its own start: in the order of the
    plan, after what has begun."""
    n, take, of = len(which), rows_of(days, which), np.repeat(np.arange(len(which)), days.counts[which])
    start, planned = new.start[of], days.planned_start[take]
    before = begun(days)[take] | (planned < start) | ((planned == start) & (days.visit_id[take] < new.id))
    offset = np.concatenate([days.offset, days.rows + np.cumsum(days.counts[which] + 1)])
    first, end = offset[len(days) : -1], offset[len(days) + 1 :]
    at = first + np.bincount(of, before, n).astype(np.int64)
    there = np.delete(np.arange(offset[-1]), at)
    take = np.concatenate([np.arange(days.rows), take])
    columns = {f: np.concatenate([getattr(days, f), getattr(days, f)[which]]) for f in BY_DAY}
    row = {
        "visit_id": new.id, "job_type": new.job_type, "planned_start": new.start, "planned_min": new.planned,
        "window_start": new.window, "window_end": new.end, "lat": new.lat, "lon": new.lon, "place_id": new.place,
        "on_my_way": np.nan, "arrived": np.nan, "finished": np.nan, "late_min": 0.0, "late_at": np.nan,
        "deadline": new.deadline, "deadline_arrive": new.arrive, "early_ok": False, "travel": np.nan,
    }  # fmt: skip
    for name, value in row.items():
        column = getattr(days, name)
        columns[name] = made = np.empty(offset[-1], column.dtype)
        made[there], made[at] = column[take], value
    came = np.where(at == first, -days.technician[which], columns["place_id"][np.maximum(at - 1, 0)])
    columns["travel"][at] = drives(new.out, came, np.full(n, np.nan))
    next_ = at[at + 1 < end] + 1
    columns["travel"][next_] = drives(new.back, columns["place_id"][next_], np.full(len(next_), np.nan))
    return Days(offset=offset, **columns)


def drives(known: dict[int, float], place: Ints, guess: Floats) -> Floats:
    """Minutes of each drive: as known by place, else as guessed."""
    if not known:
        return guess
    ids = np.array(sorted(known), dtype=np.int64)
    at = np.minimum(np.searchsorted(ids, place), len(ids) - 1)
    return np.where(ids[at] == place, np.array([known[i] for i in ids.tolist()])[at], guess)


def _made(days: Days, which: Ints, rows: Ints, offset: Ints) -> Days:
    columns: dict[str, NDArray[Any]] = {f: getattr(days, f)[which] for f in BY_DAY}
    columns |= {f: getattr(days, f)[rows] for f in BY_VISIT}
    return Days(offset=offset, **columns)
