"""When work starts, given when the technician is free: learned directly from past starts, in bins (forecast, point 1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from punctual.core.additive import isotonic
from punctual.core.day import Days, Floats, Ints
from punctual.core.duration import PRIOR_START, Learned, nothing
from punctual.core.spread import LEVELS, STRATA, blended, looked_up, order, shrunk
from punctual.core.travel import into

#: No start is learned from fewer pairs of visits in one bin, nor in more bins than this.
BIN_MIN, MAX_BINS = 60, 24
#: Starts farther off than this are mistaken taps, minutes.
ABSURD = 480.0
#: What one start says of its type, place or technician counts at most this much earlier, twice as much later; minutes.
SURPRISING = 20.0
#: A step of the tables that samples are looked up in, and where they begin and end; minutes.
STEP, LOW, HIGH = 3.0, -120.0, 240.0
POINTS = int((HIGH - LOW) / STEP) + 1
#: As arrays: a NumPy call with a plain number takes half as long again, and one day is nothing but calls.
_LOW, _HIGH, _PER_STEP, _ZERO = (np.array(x) for x in (LOW, HIGH, 1 / STEP, 0.0))


@dataclass(frozen=True, slots=True)
class Starts:
    """The part of Learned that is about starts."""

    start_x: Floats
    start: Floats
    first: Floats
    type_start: Floats
    places: Ints
    place_start: Floats
    technician_start: Floats
    changeover: float
    drive: float


def pairs(days: Days, use: Ints) -> tuple[Ints, Ints]:
    """Rows of `use` with a finished row right before them on the same day: (before, after)."""
    first = np.zeros(days.rows, dtype=np.bool_)
    first[days.offset[:-1][days.counts > 0]] = True
    after = use[~first[use]]
    after = after[~np.isnan(days.finished[after - 1])]
    return after - 1, after


def changeover(days: Days, use: Ints) -> tuple[float, float]:
    """Minutes between two visits without places, and the factor on estimated travel: medians where nobody waited."""
    before, after = pairs(days, use)
    tight = days.finished[before] + 10.0 > days.window_start[after]
    before, after = before[tight], after[tight]
    gaps = days.arrived[after] - days.finished[before]
    guess = into(days, np.nan)[after]
    unknown = gaps[np.isnan(guess)]
    known = (guess > 2.0) & (gaps > 0)
    ratio = np.log(gaps[known] / guess[known])
    factor = float(np.exp(np.median(ratio) * len(ratio) / (len(ratio) + 30.0))) if len(ratio) else 1.0
    return (float(np.median(unknown)) if len(unknown) >= 20 else 0.0), float(np.clip(factor, 0.5, 2.0))


def starts(days: Days, use: Ints, weight: Floats, types: Ints, technicians: Ints) -> Starts:
    """Lateness against how late the technician is free, in bins; then what types, places and technicians add."""
    between, drive = changeover(days, use)
    before, after = pairs(days, use)
    x = days.finished[before] + travelled(days, between, drive)[after] - days.window_start[after]
    late = days.arrived[after] - days.window_start[after]
    sane = np.abs(late) < ABSURD
    after, x, late = after[sane], x[sane], late[sane]
    grid, table = _table(x, late)
    rest = late - _middle(grid, table, x)
    rest = np.clip(rest, -SURPRISING, 2 * SURPRISING)
    rest -= np.average(rest, weights=weight[after]) if len(rest) else 0.0
    technician = np.repeat(days.technician, days.counts)[after]
    groups = (days.job_type[after], days.place_id[after], technician)
    by_type, by_place, by_technician = (shrunk(g, rest, weight[after]) for g in groups)
    known = use[np.isin(use, days.offset[:-1])]
    first = (days.arrived - days.window_start)[known]
    first = first[np.abs(first) < ABSURD]
    return Starts(
        grid, table, blended(first, PRIOR_START, 40.0), looked_up(*by_type, types), *by_place,
        looked_up(*by_technician, technicians), between, drive,
    )  # fmt: skip


def _middle(grid: Floats, table: Floats, x: Floats) -> Floats:
    """The median start at x."""
    return np.asarray(np.interp(x, grid, table[:, len(LEVELS) // 2]) + np.maximum(x - grid[-1], 0.0))


def _table(x: Floats, late: Floats) -> tuple[Floats, Floats]:
    """Quantiles of lateness in bins of x, never falling in x."""
    bins = min(MAX_BINS, len(x) // BIN_MIN)
    if bins < 2:
        known = nothing()
        return known.start_x, known.start
    at, rows = [], []
    for part in np.array_split(np.argsort(x, kind="stable"), bins):
        at.append(float(np.median(x[part])))
        rows.append(blended(late[part] - np.maximum(x[part], 0.0), PRIOR_START, 8.0))
    grid, size = np.asarray(at), np.full(bins, 1.0)
    table = np.maximum(grid, 0.0)[:, None] + np.asarray(rows)
    return grid, np.stack([isotonic(level, size) for level in table.T], axis=1)


def travelled(days: Days, between: float, drive: float) -> Floats:
    """Minutes of travel into each row: known as it is, estimated times the learned factor, without places `between`."""
    guess = into(days, between)
    placed = np.isnan(days.travel) & ~np.isnan(days.lat)
    return np.where(placed, guess * drive, guess)


@lru_cache(maxsize=8)
def lookup(learned: Learned) -> tuple[Floats, Floats, Floats]:
    """Starts as lines over x, one from each point of an even grid to the next: what they are at x = 0 and how they grow a
    minute [SAMPLES, POINTS], by stratum; and a first visit's in the order of the first stream. The tables they join have
    the precision of singles."""
    grid = np.arange(LOW, HIGH + STEP, STEP)
    at = np.clip(np.searchsorted(learned.start_x, grid) - 1, 0, len(learned.start_x) - 2)
    x0, x1 = learned.start_x[at], learned.start_x[at + 1]
    share = np.clip((grid - x0) / np.maximum(x1 - x0, 1e-9), 0.0, 1.0)[:, None]
    by_level = learned.start[at] * (1 - share) + learned.start[at + 1] * share
    by_level += np.maximum(grid - learned.start_x[-1], 0.0)[:, None]
    table = np.stack([np.interp(STRATA, LEVELS, row) for row in by_level], axis=1).astype(np.float32)
    growth = np.diff(table, axis=1, append=table[:, -1:]).astype(np.float64) / STEP
    first = np.interp(STRATA, LEVELS, learned.first).astype(np.float32)[order(0)]
    return table.astype(np.float64) - growth * grid, growth, first.astype(np.float64)


@lru_cache(maxsize=64)
def _origins(stream: int) -> Floats:
    """Where x = 0 stands in the tables, laid flat, for each sample in the order of a stream, as one row."""
    return np.asarray(order(stream) * POINTS - LOW / STEP)[None, :]


def started(learned: Learned, x: Floats, stream: int) -> Floats:
    """Minutes after the earliest start at which work starts, x [rows, SAMPLES] (ascending) after it the technician is free."""
    base, growth, _ = lookup(learned)
    if len(x) == 1:
        earliest, latest = x.item(0), x.item(-1)
    else:
        earliest, latest = min(x[:, 0].tolist(), default=LOW), max(x[:, -1].tolist(), default=LOW)
    within = x if earliest >= LOW and latest <= HIGH else np.minimum(np.maximum(x, _LOW), _HIGH)
    place = within * _PER_STEP
    place += _origins(stream)
    at = place.astype(np.intp)  # what is rounded up to a point lies on the line from there as well
    out: Floats = growth.take(at)
    out *= within
    out += base.take(at)
    if latest > HIGH:
        out += np.maximum(x - _HIGH, _ZERO)
    return out


def known(learned: Learned, x: Floats) -> Floats:
    """The same where it is known how late the technician is free: sorted samples [n, SAMPLES] for x [n]."""
    base, growth, _ = lookup(learned)
    within = np.minimum(np.maximum(x, LOW), HIGH)
    at = ((within - LOW) / STEP).astype(np.intp)
    out = base[:, at] + within * growth[:, at]
    return np.ascontiguousarray((out + np.maximum(x - HIGH, 0.0)).T)


def first_started(learned: Learned, x: Floats) -> Floats:
    """The same for a day's first visit."""
    return np.asarray(np.maximum(x, _ZERO) + lookup(learned)[2])
