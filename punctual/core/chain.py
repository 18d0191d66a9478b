"""Carry delay through days, position by position, many days at once: free, drive, start, work, free again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned, shape_of
from punctual.core.overdue import SILENT, overdue
from punctual.core.planned import Plan, Work, work
from punctual.core.spread import SAMPLES, Singles, still_to_come, tail_of
from punctual.core.start import first_started, started

#: Spread of a drive under way, log scale.
DRIVE_SD = 0.25
#: Nobody on the way arrives more than this before the window opens, minutes.
EARLY = 30.0
#: As an array: NumPy takes a plain number half as slowly again.
_NOW = np.zeros(())


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
    start; free [n]: by how much the technician is free too late for it on average; known [n]: has begun;
    moments [2, n, SAMPLES]: arrive and finish; work [n, SAMPLES]: how long the visit takes, in the order in which it
    meets the arrivals; mean_arrive, mean_finish [n].
    """

    which: Ints
    row: Ints
    opens: Floats
    free: Floats
    known: Bools
    moments: Floats
    work: Singles
    mean_arrive: Floats
    mean_finish: Floats

    @property
    def arrive(self) -> Floats:
        return np.asarray(self.moments[0])

    @property
    def finish(self) -> Floats:
        return np.asarray(self.moments[1])


@dataclass(slots=True)
class _Ahead:
    """What is known of all positions before anything is carried, worked out at once: for one day, calls cost more than
    work.

    Rows as in Steps, those of position k are ends[k]:ends[k + 1]. Moments are minutes after each chain's `at`, NaN for
    none: come, gone (begun and over), out (set out); named: not before this, by the technician's word, -inf without
    one. edge [n, 1]: opens with the precision of samples. work, expected: how long it takes, as samples and on average;
    own: by the technician's own word, 0 without one. The sets hold positions at which somebody has a break, a word, is
    on the way, has begun, is over.
    """

    ends: list[int]
    which: Ints
    row: Ints
    day: Ints
    at: Floats
    come: Floats
    gone: Floats
    out: Floats
    named: Floats
    drive: Floats
    opens: Floats
    edge: Floats
    rests: Bools
    sd: Floats
    work: Work
    expected: Floats
    own: Floats
    at_rest: set[int]
    at_word: set[int]
    at_wheel: set[int]
    at_work: set[int]
    at_end: set[int]


def over_by(days: Days) -> Floats:
    """When each row's work was over: as reported, else when the technician had arrived somewhere later that day."""
    came = ~np.isnan(days.arrived)
    lost = np.isnan(days.finished) & came
    under_way = lost.nonzero()[0]
    if not len(under_way):
        return days.finished
    seen = np.add.accumulate(came, dtype=np.intp)
    last = days.offset[days.day_of[under_way] + 1] - 1
    if not np.count_nonzero(seen[last] > seen[under_way]):
        return days.finished
    day_of = days.day_of
    base, span = np.nanmin(days.arrived), np.nanmax(days.arrived) - np.nanmin(days.arrived) + 10.0
    key = np.where(np.isnan(days.arrived), span - 1.0, days.arrived - base) + day_of * span
    later = np.append(np.minimum.accumulate(key[::-1])[::-1][1:], np.inf) - day_of * span
    lost &= (later < span - 1.0) & (later + base >= days.arrived)
    return np.where(lost, later + base, days.finished)


def carry(days: Days, chains: Chains, learned: Learned, over: Floats, plan: Plan) -> Steps:
    """Forecast chains position by position; `over` [rows] as from over_by."""
    head = chains.first == days.offset[chains.day]
    free = over[np.maximum(chains.first - 1, 0)]
    np.copyto(free, days.shift_start[chains.day], where=head)
    free -= chains.at
    a = _ahead(days, chains, learned, over, plan)
    x = np.empty((len(a.row), SAMPLES), dtype=np.float32)
    moments = np.empty((2, *x.shape))
    arrive, finish = moments
    top = a.which[: a.ends[1]] if len(a.ends) > 1 else a.which
    head, free = head[top], free[top]
    samples = _column(free)
    shift = _column(a.drive - a.opens)
    for k, (low, high) in enumerate(pairwise(a.ends)):
        of = slice(low, high)
        samples = samples[: high - low]
        if k in a.at_rest:
            begins, length = _rest(days, a, of)
            samples = np.maximum(samples, _column(begins)) + _column(length)
        np.add(samples, shift[of], x[of])
        _arrive(days, a, k, of, head, learned, x, arrive)
        _finish(days, a, k, of, learned, arrive, finish)
        samples = finish[of].astype(np.float32)
    mean_arrive, mean_finish = _mean_schedule(days, a, free)
    late = _late(a, x, head)
    known = ~np.isnan(a.come)
    return Steps(a.which, a.row, a.opens, late, known, moments, a.work.singles, mean_arrive, mean_finish)


def _column(values: Floats) -> Singles:
    """One value a row, to meet samples."""
    return values.astype(np.float32)[:, None]


def _late(a: _Ahead, x: Singles, head: Bools) -> Floats:
    """By how much the technician is free too late for each position, on average: at least by what is known of the first,
    where nothing has begun."""
    late: Floats = np.add.reduce(x, axis=1).astype(np.float64)
    late /= SAMPLES
    waits = (~head & np.isnan(a.come[: len(head)])).nonzero()[0]
    if len(waits):
        drive, opens = a.drive[waits], a.opens[waits]
        late[waits] = np.maximum(late[waits], np.minimum(drive, np.maximum(-opens, 0.0)) - opens)
    return late


def _ahead(days: Days, chains: Chains, learned: Learned, over: Floats, plan: Plan) -> _Ahead:
    which, position, ends = _laid(chains.last - chains.first + 1)
    row, day, at, seen = chains.first[which] + position, chains.day[which], chains.at[which], chains.seen[which]
    drive = plan.travel[row]
    out, come, gone = reported = np.array((days.on_my_way[row], days.arrived[row], over[row]))
    known = reported <= seen
    np.copyto(reported, np.nan, where=~known)
    reported -= at
    np.copyto(come, gone, where=np.isnan(come))
    word = days.late_at[row] <= seen
    said = word > known[1]
    named, own = _by_word(days, row, at, word, said)
    known[1] |= known[2]
    opens, early = days.window_start[row], days.early_ok[row]
    if np.count_nonzero(early):
        opens = np.where(early, days.shift_start[day] + drive, opens)
    opens = opens - at
    rests = _breaks(days, chains, which, row)
    marked: tuple[set[int], ...] = (set(), set(), set(), set(), set())
    for of, there_is in enumerate((rests, said, *known)):
        if np.count_nonzero(there_is):
            marked[of].update(position[there_is].tolist())
    return _Ahead(
        ends, which, row, day, at, come, gone, out, named, drive, opens, _column(opens).astype(np.float64), rests,
        plan.sd[row], work(learned, plan, row, position, len(chains.day)), plan.expected[row], own, *marked,
    )  # fmt: skip


def _by_word(days: Days, row: Ints, at: Floats, word: Bools, said: Bools) -> tuple[Floats, Floats]:
    """Where a technician has given their word: not before when they arrive, and how long it takes."""
    if not np.count_nonzero(word):
        return np.full(len(row), -np.inf), np.zeros(len(row))
    late = days.late_min[row]
    named = np.where(said, days.planned_start[row] + late - at, -np.inf)
    return named, np.where(word & (late > 0), days.planned_min[row] + late, 0.0)


def _laid(length: Ints) -> tuple[Ints, Ints, list[int]]:
    """Positions of chains of these lengths, first ones first: chain and position of each, and where positions end.

    The chains come longest first, so that whoever has a next position stands at the front.
    """
    if len(length) == 1:
        n = int(length[0])
        return np.zeros(n, dtype=np.int64), np.arange(n), [*range(n + 1)]
    by = np.argsort(-length, kind="stable")
    sizes = np.searchsorted(-length[by], -np.arange(length.max(initial=0)), side="left")
    ends = [0, *np.cumsum(sizes).tolist()]
    position = np.repeat(np.arange(len(sizes)), sizes)
    return by[np.arange(ends[-1]) - np.asarray(ends)[position]], position, ends


def _breaks(days: Days, chains: Chains, which: Ints, row: Ints) -> Bools:
    """Before which positions the technician takes the break: the first that is due after it."""
    starts = days.break_start[chains.day]
    rests = np.zeros(len(row), dtype=np.bool_)
    rested = np.isnan(starts)
    if np.count_nonzero(rested) < len(rested):
        later = chains.first > days.offset[chains.day]
        rested |= later & (days.planned_start[np.maximum(chains.first - 1, 0)] >= starts)
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
    if len(a.ends) == len(a.row) + 1:
        return _mean_of_one(days, a, mean)
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


def _mean_of_one(days: Days, a: _Ahead, free: Floats) -> tuple[Floats, Floats]:
    """The same for no more than one visit a position, as plain numbers: all of it costs less than a few NumPy calls."""
    mean, arrive, finish = sum(free.tolist()), [], []
    columns = (c.tolist() for c in (a.drive, a.opens, a.named, a.expected, a.own, a.out, a.come, a.gone))
    for k, (drive, opens, named, lasts, own, out, come, gone) in enumerate(zip(*columns, strict=True)):
        earliest = max(opens, named)
        if k in a.at_rest:
            begins, length = _rest(days, a, slice(k, k + 1))
            mean = max(mean, begins.item()) + length.item()
        if k in a.at_wheel:
            mean, earliest = out, named
        mean = max(mean + drive, earliest, 0.0)
        if k in a.at_work:
            mean, lasts = come, max(lasts, own, -come)
        arrive.append(mean)
        mean += lasts
        if k in a.at_end:
            mean = gone
        finish.append(mean)
    return np.array(arrive), np.array(finish)


def _arrive(
    days: Days, a: _Ahead, k: int, of: slice, head: Bools, learned: Learned, x: Singles, arrive: Floats
) -> None:
    """When a position's visits are reached: as reported, else as forecast."""
    if k not in a.at_work:
        arrive[of] = _starts(days, a, k, of, head, learned, x[of])
        return
    arrive[of] = a.come[of, None]
    ahead = of.start + np.isnan(a.come[of]).nonzero()[0]
    if len(ahead):
        arrive[ahead] = _starts(days, a, k, ahead, head, learned, x[ahead])


def _starts(days: Days, a: _Ahead, k: int, i: Any, head: Bools, learned: Learned, x: Singles) -> Floats:
    """Sorted samples of when visits `i` of a position that have not begun will.

    Only the first of a chain says something by its silence; that a later one has not begun follows from the earlier.
    """
    arrive = started(learned, x, 2 * k) if k else _first_starts(learned, x, head[i])
    arrive += a.edge[i]
    if k in a.at_word:
        np.maximum(arrive, _column(a.named[i]), out=arrive)
    if k in a.at_wheel:
        _on_the_way(days, a, i, learned, arrive)
    arrive.sort(axis=1)
    return _not_before_now(a, i, head[i], learned, x, arrive) if not k else np.maximum(arrive, _NOW, out=arrive)


def _first_starts(learned: Learned, x: Singles, head: Bools) -> Floats:
    """When the first visits of chains start after they open; heads are the first of their day, too."""
    n = np.count_nonzero(head)
    if n == len(head):
        return first_started(learned, x).astype(np.float64)
    arrive = started(learned, x, 0)
    if n:
        arrive[head] = first_started(learned, x[head])
    return arrive


def _not_before_now(a: _Ahead, i: Any, head: Bools, learned: Learned, x: Singles, arrive: Floats) -> Floats:
    """Sorted samples of first starts, given that nothing has been reported until now."""
    arrive = still_to_come(arrive, np.zeros(len(arrive)), tail_of(arrive), learned.forgotten)
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
    mine = np.add(arrive[of], a.work.added[of], finish[of])
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
    said = (own > 0).nonzero()[0]
    if len(said):
        finish[said] = np.maximum(finish[said], _as_said(own[said], since[said], learned))
    return finish


def _as_said(own: Floats, since: Floats, learned: Learned) -> Floats:
    """Samples of the end by the technician's own word, as right as such words have been."""
    named = since[:, None] + own[:, None] * _rightness(learned)
    tail = np.maximum(3.0, 0.25 * learned.own_sd * own)
    return still_to_come(named.astype(np.float32), np.zeros(len(own)), tail, learned.forgotten)


@lru_cache(maxsize=8)
def _rightness(learned: Learned) -> Floats:
    """Samples of how long a visit takes over what a technician said it would."""
    return np.asarray(np.exp(learned.own_mean + learned.own_sd * shape_of(learned)[None, :]))
