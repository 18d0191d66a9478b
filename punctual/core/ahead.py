"""All that is known of stretches of days before delay is carried through them: reports, words, breaks, drives, work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned
from punctual.core.frozen import frozen
from punctual.core.planned import Plan, Work, work
from punctual.core.spread import Singles

#: As an array: NumPy takes a plain number half as slowly again.
_ZERO = np.zeros(())


@frozen()
class Chains:
    """Stretches of days to forecast: rows first..last of a day, looked at `at` [n].

    `seen` [n]: reports up to then are known, for the past as it looked at `at`; None: all there are, as live.
    """

    day: Ints
    first: Ints
    last: Ints
    at: Floats
    seen: Floats | None = None

    def some(self, which: Ints | slice | Bools) -> Chains:
        """Some of them."""
        seen = None if self.seen is None else self.seen[which]
        return Chains(self.day[which], self.first[which], self.last[which], self.at[which], seen)


class Laid(NamedTuple):
    """The rows of chains, first positions first: the chain, the row and the position of each, the same rows to index
    columns by - of one chain as a slice, which takes no copies -, and where those of each position are."""

    which: Ints
    row: Ints
    position: Ints
    rows: Any
    of: list[slice]


@dataclass(slots=True)
class Ahead:
    """What is known of all positions before anything is carried, worked out at once: for one day, calls cost more than
    work.

    which, row, rows, of: as in Laid; alone: whether no position has more than one row, as in a single chain. Moments are
    minutes after each chain's `at`, NaN for none: come, gone (begun and over), out (set out); named: not before this, by
    the technician's word, -inf without one. own: how long it takes by the technician's own word, 0 without one. rests: a
    break comes before it. By position, whether somebody is on the way, has begun, is over, has given their word or has a
    break: at_wheel, at_work, at_end, at_word, at_rest.
    """

    chains: Chains
    alone: bool
    which: Ints
    row: Ints
    rows: Any
    of: list[slice]
    out: Floats
    come: Floats
    gone: Floats
    named: Floats
    own: Floats
    drive: Floats
    opens: Floats
    rests: Bools
    work: Work
    plan: Plan
    at_wheel: list[bool]
    at_work: list[bool]
    at_end: list[bool]
    at_word: list[bool]
    at_rest: list[bool]

    def at(self, i: Any) -> Floats:
        """When some of the rows are looked at."""
        return np.asarray(self.chains.at[self.which[i]])

    def meeting(self, values: Floats | Singles) -> list[Any]:
        """Values [n] of every position to meet its samples; those of single rows as numbers: with an array of one NumPy
        takes twice as long."""
        return [values[k, ...] for k in range(len(values))] if self.alone else [values[of, None] for of in self.of]


def ahead(days: Days, chains: Chains, learned: Learned, over: Floats, plan: Plan) -> Ahead:
    which, row, position, rows, of = _laid(chains.first, chains.last)
    now = chains.at[0, ...] if len(chains.at) == 1 else chains.at[which]  # as in meeting
    reported = np.array((days.on_my_way[rows], days.arrived[rows], over[rows], days.late_at[rows]))
    marks = np.zeros((5, len(row)), dtype=np.bool_)
    known = marks[:4]
    if chains.seen is None:
        np.isfinite(reported, out=known)
    else:
        np.less_equal(reported, chains.seen[which], out=known)
        np.copyto(reported, np.nan, where=~known)
    reported -= now
    out, come, gone, _ = reported
    if np.count_nonzero(known[2]):  # what is over has begun
        np.copyto(come, gone, where=~known[1])
        known[1] |= known[2]
    named, own = _by_word(days, rows, now, known[1], known[3])
    if plan.breaks:
        _breaks(days, chains, which, row, marks[4])
    by_position, alone = marks, len(of) == len(row)
    if not alone:
        by_position = np.logical_or.reduceat(marks, [rows.start for rows in of], axis=1)
    return Ahead(
        chains, alone, which, row, rows, of, out, come, gone, named, own, plan.travel[rows], plan.opens[rows] - now,
        marks[4], work(learned, plan, row, position, len(chains.day)), plan, *by_position.tolist(),
    )  # fmt: skip


def _by_word(days: Days, rows: Any, now: Floats, came: Bools, word: Bools) -> tuple[Floats, Floats]:
    """Where a technician has given their word: not before when they arrive, and how long it takes.

    A word counts for the arrival only before that: `word`, where one was given, is left so.
    """
    named, own = np.zeros((2, len(word)))
    named.fill(-np.inf)
    if np.count_nonzero(word):
        late = days.late_min[rows]
        np.copyto(own, days.planned_min[rows] + late, where=word & (late > _ZERO))
        np.greater(word, came, out=word)
        if np.count_nonzero(word):
            np.copyto(named, days.planned_start[rows] + late - now, where=word)
    return named, own


def _laid(first: Ints, last: Ints) -> Laid:
    """The chains come longest first, so that whoever has a next position stands at the front."""
    if len(first) == 1:
        return _one(first.item(), last.item())
    length = last - first + 1
    by = np.argsort(-length, kind="stable")
    sizes = np.searchsorted(-length[by], -np.arange(length.max(initial=0)), side="left")
    ends = [0, *np.cumsum(sizes).tolist()]
    position = np.repeat(np.arange(len(sizes)), sizes)
    of = [slice(low, high) for low, high in pairwise(ends)]
    which = by[np.arange(ends[-1]) - np.asarray(ends)[position]]
    row = first[which] + position
    return Laid(which, row, position, row, of)


@lru_cache(maxsize=64)
def _one(first: int, last: int) -> Laid:
    """A single chain."""
    position = np.arange(last - first + 1)
    of = [slice(k, k + 1) for k in range(len(position))]
    return Laid(np.zeros_like(position), first + position, position, slice(first, last + 1), of)


def _breaks(days: Days, chains: Chains, which: Ints, row: Ints, rests: Bools) -> None:
    """Before which positions the technician takes the break: the first that is due after it."""
    starts = days.break_start[chains.day]
    later = chains.first > days.offset[chains.day]
    rested = np.isnan(starts) | (later & (days.planned_start[chains.first - 1] >= starts))
    due = (~rested[which] & (days.planned_start[row] >= starts[which])).nonzero()[0]
    rests[due[np.unique(which[due], return_index=True)[1]]] = True


def rest(days: Days, a: Ahead, of: slice) -> tuple[Floats, Floats]:
    """When the break before a position begins and how long it lasts; nobody waits for one that is taken elsewhere."""
    due, day = a.rests[of], a.chains.day[a.which[of]]
    begins = np.where(due, days.break_start[day] - a.at(of), -np.inf)
    return begins, np.where(due, days.break_end[day] - days.break_start[day], 0.0)
