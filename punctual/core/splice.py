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
    counts = days.counts[which]
    ends = np.cumsum(counts)
    return np.repeat(days.offset[which] - (ends - counts), counts) + np.arange(counts.sum())


def joined(parts: Sequence[Days]) -> Days:
    """Days of several columns after one another."""
    sizes = np.concatenate([np.diff(p.offset) for p in parts])
    columns: dict[str, NDArray[Any]] = {f: np.concatenate([getattr(p, f) for p in parts]) for f in BY_DAY + BY_VISIT}
    return Days(offset=np.concatenate([[0], np.cumsum(sizes)]), **columns)


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


def with_each(days: Days, new: New) -> Days:
    """The days, each with the new visit at its own start: in the order of the plan, after what has begun."""
    every, n = np.arange(len(days)), len(days)
    day_of = np.repeat(every, days.counts)
    start = new.start[day_of]
    before = begun(days) | (days.planned_start < start) | ((days.planned_start == start) & (days.visit_id < new.id))
    place = days.offset[:-1] + np.bincount(day_of, before, n).astype(np.int64)
    offset = days.offset + np.arange(n + 1)
    rows = np.insert(np.arange(days.rows), place, days.rows)
    columns = {f: getattr(days, f) for f in BY_DAY}
    row = {
        "visit_id": new.id, "job_type": new.job_type, "planned_start": 0.0, "planned_min": new.planned,
        "window_start": 0.0, "window_end": 0.0, "lat": new.lat, "lon": new.lon, "place_id": new.place,
        "on_my_way": np.nan, "arrived": np.nan, "finished": np.nan, "late_min": 0.0, "late_at": np.nan,
        "deadline": 0.0, "deadline_arrive": new.arrive, "early_ok": False, "travel": np.nan,
    }  # fmt: skip
    for name, value in row.items():
        column = getattr(days, name)
        columns[name] = np.append(column, column.dtype.type(value))[rows]
    at = place + every
    columns["planned_start"][at], columns["window_start"][at] = new.start, new.window
    columns["window_end"][at], columns["deadline"][at] = new.end, new.deadline
    first, last = at == offset[:-1], at + 1 == offset[1:]
    came = np.where(first, -days.technician, columns["place_id"][np.maximum(at - 1, 0)])
    columns["travel"][at] = drives(new.out, came, np.full(n, np.nan))
    follows = np.flatnonzero(~last)
    next_ = at[follows] + 1
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
