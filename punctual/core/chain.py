"""Carry delay through days, position by position, many days at once: free, drive, start, work, free again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned, shape_of, spread_of
from punctual.core.overdue import SILENT, overdue
from punctual.core.spread import SAMPLES, Singles, order, still_to_come
from punctual.core.start import first_started, started

#: Spread of a drive under way, log scale.
DRIVE_SD = 0.25
#: Nobody on the way arrives more than this before the window opens, minutes.
EARLY = 30.0


@dataclass(frozen=True, slots=True)
class Chains:
    """Stretches of days to forecast: rows first..last of a day, looked at `at` [n].

    `seen` [n]: reports up to then are known. Live that is everything there is; for the past, what was known at `at`.
    """

    day: Ints
    first: Ints
    last: Ints
    at: Floats
    seen: Floats


@dataclass(frozen=True, slots=True)
class Steps:
    """Every position of some chains: the first of each, then the second of those that have one, and so on.

    Moments are minutes after each chain's `at`; samples ascend. which [n]: the chains; row [n]; opens [n]: the earliest
    start; free [n]: by how much the technician is free too late for it on average; known [n]: has begun; arrive, finish
    [n, SAMPLES]; work [n, SAMPLES]: how long the visit takes, in the order in which it meets the arrivals; mean_arrive,
    mean_finish [n].
    """

    which: Ints
    row: Ints
    opens: Floats
    free: Floats
    known: Bools
    arrive: Floats
    finish: Floats
    work: Singles
    mean_arrive: Floats
    mean_finish: Floats


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What is known of all positions before anything is carried, worked out at once: for one day, calls cost more than
    work.

    Rows as in Steps, those of position k are ends[k]:ends[k + 1]. Moments are minutes after each chain's `at`, NaN for
    none: come, gone (begun and over), out (set out); named: not before this, by the technician's word, -inf without
    one. least: so late the technician is known to be by nothing having begun, -inf where that says nothing. work,
    expected: how long it takes, as samples and on average; own: by the technician's own word, 0 without one. The sets hold positions at which somebody has a break, a
    word, is on the way, has begun, is over.
    """

    ends: list[int]
    which: Ints
    row: Ints
    day: Ints
    at: Floats
    seen: Floats
    head: Bools
    come: Floats
    gone: Floats
    out: Floats
    named: Floats
    drive: Floats
    opens: Floats
    least: Floats
    rests: Bools
    sd: Floats
    work: Singles
    expected: Floats
    own: Floats
    at_rest: frozenset[int]
    at_word: frozenset[int]
    at_wheel: frozenset[int]
    at_work: frozenset[int]
    at_end: frozenset[int]


def over_by(days: Days) -> Floats:
    """When each row's work was over: as reported, else when the technician had arrived somewhere later that day."""
    came = ~np.isnan(days.arrived)
    lost = np.isnan(days.finished) & came
    under_way = lost.nonzero()[0]
    day_of = days.day_of
    seen = np.cumsum(came)
    if not (seen[days.offset[day_of[under_way] + 1] - 1] > seen[under_way]).any():
        return days.finished
    base, span = np.nanmin(days.arrived), np.nanmax(days.arrived) - np.nanmin(days.arrived) + 10.0
    key = np.where(np.isnan(days.arrived), span - 1.0, days.arrived - base) + day_of * span
    later = np.append(np.minimum.accumulate(key[::-1])[::-1][1:], np.inf) - day_of * span
    lost &= (later < span - 1.0) & (later + base >= days.arrived)
    return np.where(lost, later + base, days.finished)


def carry(days: Days, chains: Chains, learned: Learned, over: Floats, travel: Floats) -> Steps:
    """Forecast chains position by position; `over` and `travel` [rows] as from over_by and start.travelled."""
    head = chains.first == days.offset[chains.day]
    before = np.maximum(chains.first - 1, 0)
    a = _ahead(days, chains, learned, over, travel, head)
    x = np.empty((len(a.row), SAMPLES), dtype=np.float32)
    arrive, finish = np.empty(x.shape), np.empty(x.shape)
    free = (np.where(head, days.shift_start[chains.day], over[before]) - chains.at)[a.which[: len(head)]]
    samples = free.astype(np.float32)[:, None]
    shift = (a.drive - a.opens).astype(np.float32)[:, None]
    for k, (low, high) in enumerate(pairwise(a.ends)):
        of = slice(low, high)
        samples = samples[: high - low]
        if k in a.at_rest:
            begins, length = (column.astype(np.float32)[:, None] for column in _rest(days, a, of))
            samples = np.maximum(samples, begins) + length
        np.add(samples, shift[of], out=x[of])
        _arrive(days, a, k, of, learned, x, arrive)
        _finish(days, a, k, of, learned, arrive, finish)
        samples = finish[of].astype(np.float32)
    mean_arrive, mean_finish = _mean_schedule(days, a, free)
    late = np.maximum(x.mean(axis=1), a.least).astype(np.float64, copy=False)
    return Steps(a.which, a.row, a.opens, late, ~np.isnan(a.come), arrive, finish, a.work, mean_arrive, mean_finish)


def _ahead(days: Days, chains: Chains, learned: Learned, over: Floats, travel: Floats, head: Bools) -> _Ahead:
    which, position, ends = _laid(chains.last - chains.first + 1)
    row, day, at, seen = chains.first[which] + position, chains.day[which], chains.at[which], chains.seen[which]
    arrived, ended, drive = days.arrived[row], over[row], travel[row]
    there = arrived <= seen
    gone = np.where(ended <= seen, ended, np.nan) - at
    come = np.where(there, arrived, np.nan) - at
    come = np.where(np.isnan(come), gone, come)
    out = np.where(days.on_my_way[row] <= seen, days.on_my_way[row], np.nan) - at
    word, late = days.late_at[row] <= seen, days.late_min[row]
    said = word & ~there
    named = np.where(said, days.planned_start[row] + late - at, -np.inf)
    opens = np.where(days.early_ok[row], days.shift_start[day] + drive, days.window_start[row]) - at
    waits = ~head[which] & (position == 0) & np.isnan(come)
    least = np.where(waits, np.minimum(drive, np.maximum(-opens, 0.0)) - opens, -np.inf)
    planned = days.planned_min[row]
    own = np.where(word & (late > 0), planned + late, 0.0)
    mean, sd = spread_of(learned, days.job_type[row], days.technician[day])
    work = _shapes(learned, len(ends) - 1)[position]
    work *= sd.astype(np.float32)[:, None]
    work += (mean + np.log(planned)).astype(np.float32)[:, None]
    rests = _breaks(days, chains, head, which, row)

    def where(marked: Bools) -> frozenset[int]:
        return frozenset(position[marked].tolist())

    return _Ahead(
        ends, which, row, day, at, seen, head[which] & (position == 0), come, gone, out, named, drive, opens, least,
        rests, sd, np.exp(work, out=work), planned * np.exp(mean), own,
        where(rests), where(said), where(~np.isnan(out)), where(~np.isnan(come)), where(~np.isnan(gone)),
    )  # fmt: skip


def _laid(length: Ints) -> tuple[Ints, Ints, list[int]]:
    """Positions of chains of these lengths, first ones first: chain and position of each, and where positions end.

    The chains come longest first, so that whoever has a next position stands at the front.
    """
    if len(length) == 1:
        n = int(length[0])
        return np.zeros(n, dtype=np.int64), np.arange(n), list(range(n + 1))
    by = np.argsort(-length, kind="stable")
    sizes = np.searchsorted(-length[by], -np.arange(length.max(initial=0)), side="left")
    ends = [0, *np.cumsum(sizes).tolist()]
    position = np.repeat(np.arange(len(sizes)), sizes)
    return by[np.arange(ends[-1]) - np.asarray(ends)[position]], position, ends


@lru_cache(maxsize=64)
def _shapes(learned: Learned, positions: int) -> Singles:
    """The shape of the spread of work, in the order in which it meets the arrivals at each position."""
    shape = shape_of(learned).astype(np.float32)
    return (
        np.stack([shape[order(2 * k + 1)] for k in range(positions)])
        if positions
        else np.empty((0, SAMPLES), shape.dtype)
    )


def _breaks(days: Days, chains: Chains, head: Bools, which: Ints, row: Ints) -> Bools:
    """Before which positions the technician takes the break: the first that is due after it."""
    starts = days.break_start[chains.day]
    rests = np.zeros(len(row), dtype=np.bool_)
    rested = np.isnan(starts)
    if not rested.all():
        rested |= ~head & (days.planned_start[np.maximum(chains.first - 1, 0)] >= starts)
        due = (~rested[which] & (days.planned_start[row] >= starts[which])).nonzero()[0]
        rests[due[np.unique(which[due], return_index=True)[1]]] = True
    return rests


def _rest(days: Days, a: _Ahead, of: slice) -> tuple[Floats, Floats]:
    """When the break before a position begins and how long it lasts; nobody waits for one that is taken elsewhere."""
    due, day = a.rests[of], a.day[of]
    begins = np.where(due, days.break_start[day] - a.at[of], -np.inf)
    return begins, np.where(due, days.break_end[day] - days.break_start[day], 0.0)


def _mean_schedule(days: Days, a: _Ahead, mean: Floats) -> tuple[Floats, Floats]:
    """When each visit is reached and over if everything takes as long as it does on average; `mean`: free first."""
    least = np.maximum(a.opens, a.named)
    lasts = a.expected
    if a.at_wheel:
        least = np.where(np.isnan(a.out), least, a.named)
    if a.at_work:
        lasts = np.where(np.isnan(a.come), lasts, np.maximum(np.maximum(lasts, a.own), -a.come))
    np.maximum(least, 0.0, out=least)
    arrive, finish = np.empty(len(a.row)), np.empty(len(a.row))
    for k, (low, high) in enumerate(pairwise(a.ends)):
        of = slice(low, high)
        mean = mean[: high - low]
        if k in a.at_rest:
            begins, length = _rest(days, a, of)
            mean = np.maximum(mean, begins) + length
        if k in a.at_wheel:
            mean = np.where(np.isnan(a.out[of]), mean, a.out[of])
        mean = np.maximum(mean + a.drive[of], least[of], out=arrive[of])
        if k in a.at_work:
            mean[:] = np.where(np.isnan(a.come[of]), mean, a.come[of])
        mean = np.add(mean, lasts[of], out=finish[of])
        if k in a.at_end:
            mean[:] = np.where(np.isnan(a.gone[of]), mean, a.gone[of])
    return arrive, finish


def _arrive(days: Days, a: _Ahead, k: int, of: slice, learned: Learned, x: Singles, arrive: Floats) -> None:
    """When a position's visits are reached: as reported, else as forecast."""
    if k not in a.at_work:
        arrive[of] = _starts(days, a, k, of, learned, x[of])
        return
    arrive[of] = a.come[of, None]
    ahead = of.start + np.isnan(a.come[of]).nonzero()[0]
    if len(ahead):
        arrive[ahead] = _starts(days, a, k, ahead, learned, x[ahead])


def _starts(days: Days, a: _Ahead, k: int, i: Any, learned: Learned, x: Singles) -> Floats:
    """Sorted samples of when visits `i` of a position that have not begun will.

    Only the first of a chain says something by its silence; that a later one has not begun follows from the earlier.
    """
    head = a.head[i]
    if k == 0 and head.all():
        arrive = first_started(learned, x, 0).astype(np.float64)
    else:
        arrive = started(learned, x, 2 * k)
        if k == 0 and head.any():
            arrive[head] = first_started(learned, x[head], 0)
    arrive += a.opens[i].astype(np.float32)[:, None]
    if k in a.at_word:
        np.maximum(arrive, a.named[i].astype(np.float32)[:, None], out=arrive)
    if k in a.at_wheel:
        _on_the_way(days, a, i, learned, arrive)
    arrive.sort(axis=1)
    if k:
        return np.maximum(arrive, np.float32(0.0), out=arrive)
    tail = np.maximum(3.0, 0.25 * (arrive[:, -1] - arrive[:, SAMPLES // 2]))
    arrive = still_to_come(arrive, np.zeros(len(arrive)), tail, learned.forgotten)
    opens = a.opens[i]
    silent = (~head & (opens < -SILENT[0]) & np.isnan(a.out[i]) & ~(a.named[i] > 0.0)).nonzero()[0]
    if len(silent):
        opens, free = opens[silent], x[silent].mean(axis=1).astype(np.float64)
        arrive[silent] = overdue(learned, free, -opens, a.drive[i][silent] - opens) + opens[:, None]
    return arrive


def _on_the_way(days: Days, a: _Ahead, i: Any, learned: Learned, arrive: Floats) -> None:
    """Whoever has set out arrives by how long the drive takes, not by when the technician was free."""
    out, way, named = a.out[i], a.drive[i], a.named[i]
    driving = (~np.isnan(out)).nonzero()[0]
    z = shape_of(learned)[None, :]
    there = out[driving, None] + way[driving, None] * np.exp(DRIVE_SD * z)
    least = np.maximum(days.window_start[a.row[i][driving]] - a.at[i][driving] - EARLY, named[driving])
    arrive[driving] = np.maximum(there, least[:, None])


def _finish(days: Days, a: _Ahead, k: int, of: slice, learned: Learned, arrive: Floats, finish: Floats) -> None:
    """When a position's visits are over."""
    mine = np.add(arrive[of], a.work[of], out=finish[of])
    mine.sort(axis=1)
    if k in a.at_work:
        now = (~np.isnan(a.come[of])).nonzero()[0]
        mine[now] = _what_is_left(days, a, of.start + now, learned, mine[now])
    if k in a.at_end:
        done = ~np.isnan(a.gone[of])
        mine[done] = a.gone[of][done, None]


def _what_is_left(days: Days, a: _Ahead, i: Ints, learned: Learned, finish: Floats) -> Floats:
    """Samples of the end of visits `i` that have begun, given how long they have run."""
    since, own = a.come[i], a.own[i]
    tail = np.maximum(3.0, 0.25 * a.sd[i] * np.maximum(finish[:, -1] - since, days.planned_min[a.row[i]]))
    finish = still_to_come(finish, np.zeros(len(i)), tail, learned.forgotten)
    said = own > 0
    if said.any():
        finish = np.maximum(finish, _as_said(own[said], since[said], said, learned))
    return finish


def _as_said(own: Floats, since: Floats, said: Bools, learned: Learned) -> Singles:
    """Samples of the end by the technician's own word, as right as such words have been; -inf where nothing was said."""
    out = np.full((len(said), SAMPLES), -np.inf, dtype=np.float32)
    named = since[:, None] + own[:, None] * np.exp(learned.own_mean + learned.own_sd * shape_of(learned)[None, :])
    tail = np.maximum(3.0, 0.25 * learned.own_sd * own)
    out[said] = still_to_come(named.astype(np.float32), np.zeros(len(own)), tail, learned.forgotten)
    return out
