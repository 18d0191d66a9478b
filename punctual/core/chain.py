"""Carry delay through days, position by position, many days at once: free, drive, start, work, free again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from punctual.core.ahead import Ahead, Chains, ahead, rest
from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned, shape_of
from punctual.core.overdue import SILENT, overdue
from punctual.core.planned import Plan
from punctual.core.spread import SAMPLES, Singles, still_to_come, tail_of
from punctual.core.start import first_started, started

#: Spread of a drive under way, log scale.
DRIVE_SD = 0.25
#: Nobody on the way arrives more than this before the window opens, minutes.
EARLY = 30.0
#: As an array: NumPy takes a plain number half as slowly again.
_NOW = np.zeros(())


@dataclass(slots=True)
class Steps:
    """Every position of some chains: the first of each, then the second of those that have one, and so on.

    Moments are minutes after each chain's `at`; samples ascend. ahead: which [n] chains and row [n], among others; head:
    of the first positions, those of whole days; x [n, SAMPLES]: by how much the technician is free too late for it;
    moments [2, n, SAMPLES]: arrive and finish; mean [2, n]: both in the mean schedule.
    """

    ahead: Ahead
    head: Bools
    x: Floats
    moments: Floats
    mean: Floats

    @property
    def which(self) -> Ints:
        return self.ahead.which

    @property
    def row(self) -> Ints:
        return self.ahead.row

    @property
    def work(self) -> Singles:
        """How long each visit takes [n, SAMPLES], in the order in which it meets the arrivals."""
        return self.ahead.work.singles

    @property
    def known(self) -> Bools:
        """Which have begun [n]."""
        return np.isfinite(self.ahead.come)

    @property
    def arrive(self) -> Floats:
        return np.asarray(self.moments[0])

    @property
    def finish(self) -> Floats:
        return np.asarray(self.moments[1])

    @property
    def free(self) -> Floats:
        """By how much the technician is free too late for each position [n], on average: at least by what is known of the
        first, where nothing has begun."""
        a, head = self.ahead, self.head
        late: Floats = np.add.reduce(self.x, axis=1)
        late /= SAMPLES
        waits = (~head & np.isnan(a.come[: len(head)])).nonzero()[0]
        if len(waits):
            drive, opens = a.drive[waits], a.opens[waits]
            late[waits] = np.maximum(late[waits], np.minimum(drive, np.maximum(-opens, 0.0)) - opens)
        return late


def over_by(days: Days) -> Floats:
    """When each row's work was over: as reported, else when the technician had arrived somewhere later that day."""
    came = np.isfinite(days.arrived).nonzero()[0]
    lost = np.isnan(days.finished[came[:-1]])
    if not np.count_nonzero(lost):
        return days.finished
    day_of = days.day_of
    if not np.count_nonzero(lost & (day_of[came[1:]] == day_of[came[:-1]])):
        return days.finished
    base, span = np.nanmin(days.arrived), np.nanmax(days.arrived) - np.nanmin(days.arrived) + 10.0
    key = np.where(np.isnan(days.arrived), span - 1.0, days.arrived - base) + day_of * span
    later = np.append(np.minimum.accumulate(key[::-1])[::-1][1:], np.inf) - day_of * span
    lost = np.isnan(days.finished) & (later < span - 1.0) & (later + base >= days.arrived)
    return np.where(lost, later + base, days.finished)


def carry(days: Days, chains: Chains, learned: Learned, over: Floats, plan: Plan) -> Steps:
    """Forecast chains position by position; `over` [rows] as from over_by."""
    a = ahead(days, chains, learned, over, plan)
    head = chains.first == days.offset[chains.day]
    free = over[chains.first - 1]
    np.copyto(free, days.shift_start[chains.day], where=head)
    free -= chains.at
    if not a.alone:
        top = a.which[a.of[0]]
        head, free = head[top], free[top]
    samples = np.empty((3, len(a.row), SAMPLES))
    steps = Steps(a, head, samples[0], samples[1:], free)
    _carried(days, steps, learned, free[:, None])
    steps.mean = _mean_schedule(days, a, free)
    return steps


def _carried(days: Days, steps: Steps, learned: Learned, samples: Floats) -> None:
    """Fill in the samples of all positions; `samples`: when the technicians are free first."""
    a, (arrive, finish), added = steps.ahead, steps.moments, steps.ahead.work.added
    shift, edges = a.meeting(a.drive - a.opens), a.meeting(a.opens)
    for k, of in enumerate(a.of):
        x, begins, ends, opens = steps.x[of], arrive[of], finish[of], edges[k]
        if not a.alone:
            samples = samples[: len(x)]
        if a.at_rest[k]:
            break_, length = rest(days, a, of)
            samples = np.maximum(samples, break_[:, None]) + length[:, None]
        np.add(samples, shift[k], x)
        if a.at_work[k]:
            _arrive(days, steps, k, of, learned, opens)
        else:
            starts = _starts(days, steps, k, of, learned, x, opens, begins)
            if starts is not begins:
                begins[:] = starts
        np.add(begins, added[of], ends)
        ends.sort()
        if a.at_work[k]:
            _what_is_left(days, a, of, learned, ends)
        if a.at_end[k]:
            done = np.isfinite(a.gone[of])
            ends[done] = a.gone[of][done, None]
        samples = ends


def _mean_schedule(days: Days, a: Ahead, mean: Floats) -> Floats:
    """When each visit is reached and over if everything takes as long as it does on average; `mean`: free first."""
    if a.alone:
        return _mean_of_one(days, a, mean)
    least = np.maximum(a.opens, a.named)
    lasts = a.plan.expected[a.rows]
    if any(a.at_wheel):
        least = np.where(np.isnan(a.out), least, _soonest(days, a, slice(None)))
    if any(a.at_work):
        lasts = np.where(np.isnan(a.come), lasts, np.maximum(np.maximum(lasts, a.own), -a.come))
    np.maximum(least, 0.0, out=least)
    arrive, finish = both = np.empty((2, len(a.row)))
    for k, of in enumerate(a.of):
        mean = mean[: of.stop - of.start]
        if a.at_rest[k]:
            begins, length = rest(days, a, of)
            mean = np.maximum(mean, begins) + length
        if a.at_wheel[k]:
            mean = np.where(np.isnan(a.out[of]), mean, a.out[of])
        mean = np.maximum(mean + a.drive[of], least[of], out=arrive[of])
        if a.at_work[k]:
            mean[:] = np.where(np.isnan(a.come[of]), mean, a.come[of])
        mean = np.add(mean, lasts[of], out=finish[of])
        if a.at_end[k]:
            mean[:] = np.where(np.isnan(a.gone[of]), mean, a.gone[of])
    return both


def _mean_of_one(days: Days, a: Ahead, free: Floats) -> Floats:
    """The same for no more than one visit a position, as plain numbers: all of it costs less than a few NumPy calls."""
    mean, arrive, finish = sum(free.tolist()), [], []
    columns = a.drive, a.opens, a.named, a.plan.expected[a.rows], a.own, a.out, a.come, a.gone
    marks = a.at_rest, a.at_wheel, a.at_work, a.at_end
    for of, drive, opens, named, lasts, own, out, come, gone, rests, driving, begun, over in zip(
        a.of, *[column.tolist() for column in columns], *marks, strict=True
    ):
        if rests:
            begins, length = rest(days, a, of)
            mean = max(mean, begins.item()) + length.item()
        if begun:
            mean, lasts = come, max(lasts, own, -come)
        elif driving:
            mean = max(out + drive, _soonest(days, a, of).item(), 0.0)
        else:
            mean = max(mean + drive, opens, named, 0.0)
        arrive.append(mean)
        mean = gone if over else mean + lasts
        finish.append(mean)
    return np.array((arrive, finish))


def _arrive(days: Days, steps: Steps, k: int, of: slice, learned: Learned, opens: Any) -> None:
    """When the visits of a position are reached of which some have begun: as reported, else as forecast."""
    arrive, come = steps.arrive, steps.ahead.come[of]
    arrive[of] = come[:, None]
    if steps.ahead.alone:
        return
    open_ = np.isnan(come).nonzero()[0]
    if len(open_):
        i = of.start + open_
        arrive[i] = _starts(days, steps, k, i, learned, steps.x[i], opens[open_])


def _starts(
    days: Days, steps: Steps, k: int, i: Any, learned: Learned, x: Floats, opens: Any, out: Floats | None = None
) -> Floats:
    """Sorted samples of when visits `i` of a position that have not begun will; into `out` if they fit.

    Only the first of a chain says something by its silence; that a later one has not begun follows from the earlier.
    """
    a = steps.ahead
    arrive: Floats = np.add(started(learned, x, 2 * k) if k else _first_starts(learned, x, steps.head[i]), opens, out)
    if a.at_word[k]:
        np.maximum(arrive, a.named[i, None], out=arrive)
    if a.at_wheel[k]:
        _on_the_way(days, a, i, learned, arrive)
    arrive.sort()
    if k == 0:
        return _not_before_now(a, i, steps.head[i], learned, x, arrive)
    if _before_now(arrive):
        np.maximum(arrive, _NOW, out=arrive)
    return arrive


def _first_starts(learned: Learned, x: Floats, head: Bools) -> Floats:
    """When the first visits of chains start after they open; heads are the first of their day, too."""
    n = np.count_nonzero(head)
    if n == len(head):
        return first_started(learned, x)
    arrive = started(learned, x, 0)
    if n:
        arrive[head] = first_started(learned, x[head])
    return arrive


def _not_before_now(a: Ahead, i: Any, head: Bools, learned: Learned, x: Floats, arrive: Floats) -> Floats:
    """Sorted samples of first starts, given that nothing has been reported until now."""
    arrive = _unreported(arrive, tail_of, learned)
    opens = a.opens[i]
    silent = (~head & (opens < -SILENT[0]) & np.isnan(a.out[i]) & ~(a.named[i] > 0.0)).nonzero()[0]
    if len(silent):
        opens, free = opens[silent], x[silent].mean(axis=1)
        arrive[silent] = overdue(learned, free, -opens, a.drive[i][silent] - opens) + opens[:, None]
    return arrive


def _on_the_way(days: Days, a: Ahead, i: Any, learned: Learned, arrive: Floats) -> None:
    """Whoever has set out arrives by how long the drive takes, not by when the technician was free."""
    out, way = a.out[i], a.drive[i]
    driving = (~np.isnan(out)).nonzero()[0]
    z = shape_of(learned)[None, :]
    there = out[driving, None] + way[driving, None] * np.exp(DRIVE_SD * z)
    arrive[driving] = np.maximum(there, _soonest(days, a, i)[driving, None])


def _soonest(days: Days, a: Ahead, i: Any) -> Floats:
    """Before when nobody who has set out for these visits arrives."""
    return np.asarray(np.maximum(days.window_start[a.row[i]] - a.at(i) - EARLY, a.named[i]))


def _what_is_left(days: Days, a: Ahead, of: slice, learned: Learned, ends: Floats) -> None:
    """When the visits of a position that have begun are over, given how long they have run: `ends`, for all of it."""
    since, own, row = a.come[of], a.own[of], a.row[of]
    begun = slice(None) if a.alone else np.isfinite(since).nonzero()[0]
    if not a.alone:
        since, own, row = since[begun], own[begun], row[begun]

    def tail(finish: Floats) -> Floats:
        most = np.maximum(finish[:, -1] - since, days.planned_min[row])
        return np.asarray(np.maximum(3.0, 0.25 * a.plan.sd[row] * most))

    finish = _unreported(ends[begun], tail, learned)
    said: Any = (own > _NOW).nonzero()[0]
    if len(said):
        said = slice(None) if len(said) == len(own) else said
        finish[said] = np.maximum(finish[said], _as_said(own[said], since[said], learned))
    ends[begun] = finish


def _as_said(own: Floats, since: Floats, learned: Learned) -> Floats:
    """Samples of the end by the technician's own word, as right as such words have been."""
    named = since[:, None] + own[:, None] * _rightness(learned)
    return np.asarray(_unreported(named, lambda _: np.maximum(3.0, 0.25 * learned.own_sd * own), learned))


def _unreported(samples: Any, tail: Callable[[Any], Floats], learned: Learned) -> Any:
    """Sorted samples of moments given that nothing has been reported until now; `tail` of them as in level_of."""
    if not _before_now(samples):
        return samples
    return still_to_come(samples, np.zeros(len(samples)), tail(samples), learned.forgotten)


def _before_now(samples: Floats) -> bool:
    """Whether any of these sorted samples are not after now."""
    if len(samples) == 1:
        return bool(samples.item(0) <= 0.0)
    return bool(np.count_nonzero(samples[:, 0] <= _NOW))


@lru_cache(maxsize=8)
def _rightness(learned: Learned) -> Floats:
    """Samples of how long a visit takes over what a technician said it would."""
    return np.asarray(np.exp(learned.own_mean + learned.own_sd * shape_of(learned)[None, :]))
