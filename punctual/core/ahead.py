"""All that is known of stretches of days before delay is carried through them: reports, words, breaks, drives, work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned
from punctual.core.planned import Plan, Work, work
from punctual.core.spread import Singles


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


@dataclass(slots=True)
class Ahead:
    """What is known of all positions before anything is carried, worked out at once: for one day, calls cost more than
    work.

    Rows as in Steps, `of`: where those of each position are; chains: how many there are. Moments are minutes after each
    chain's `at`, NaN for none: come, gone (begun and over), out (set out); named: not before this, by the technician's
    word, -inf without one. own: how long it takes by the technician's own word, 0 without one. rests: a break comes
    before it. By position, whether somebody is on the way, has begun, is over, has given their word or has a break:
    at_wheel, at_work, at_end, at_word, at_rest.
    """

    of: list[slice]
    chains: int
    which: Ints
    row: Ints
    day: Ints
    at: Floats
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

    @property
    def alone(self) -> bool:
        """Whether no position has more than one row, as in a single chain."""
        return len(self.of) == len(self.row)

    def each(self, rows: NDArray[Any]) -> Iterable[NDArray[Any]]:
        """The rows of every position."""
        return rows[:, None] if self.alone else [rows[of] for of in self.of]

    def meeting(self, values: Floats | Singles) -> list[Any]:
        """Values [n] of every position to meet its samples; those of single rows as numbers: with an array of one NumPy
        takes twice as long."""
        return [values[k, ...] for k in range(len(values))] if self.alone else [values[of, None] for of in self.of]


def ahead(days: Days, chains: Chains, learned: Learned, over: Floats, plan: Plan) -> Ahead:
    which, position, of = _laid(chains.last - chains.first + 1)
    row, day, at, seen = chains.first[which] + position, chains.day[which], chains.at[which], chains.seen[which]
    now, until = (chains.at[0, ...], chains.seen[0, ...]) if len(chains.at) == 1 else (at, seen)  # as in meeting
    reported = np.array((days.on_my_way[row], days.arrived[row], over[row], days.late_at[row]))
    marks = np.zeros((5, len(row)), dtype=np.bool_)
    known = np.less_equal(reported, until, out=marks[:4])
    reported -= now
    unknown = ~known
    np.copyto(reported, np.nan, where=unknown)
    out, come, gone, _ = reported
    np.copyto(come, gone, where=unknown[1])
    named, own = _by_word(days, row, at, known)
    if plan.breaks:
        _breaks(days, chains, which, row, marks[4])
    opens = plan.opens[row] - now
    by_position = marks
    if len(of) < len(row):
        by_position = np.logical_or.reduceat(marks, [rows.start for rows in of], axis=1)
    return Ahead(
        of, len(chains.day), which, row, day, at, out, come, gone, named, own, plan.travel[row], opens, marks[4],
        work(learned, plan, row, position, len(chains.day)), plan, *by_position.tolist(),
    )  # fmt: skip


def _by_word(days: Days, row: Ints, at: Floats, known: Bools) -> tuple[Floats, Floats]:
    """Where a technician has given their word: not before when they arrive, and how long it takes.

    `known` [4, n]: who is known to have set out, to have arrived, to be gone, to have given their word. What is gone has
    begun, and a word counts for the arrival only before that: it is left so.
    """
    _, came, gone, word = known
    named, own = np.empty((2, len(row)))
    named.fill(-np.inf)
    own.fill(0.0)
    if np.count_nonzero(word):
        late = days.late_min[row]
        np.copyto(own, days.planned_min[row] + late, where=word & (late > 0))
        word &= ~came
        if np.count_nonzero(word):
            np.copyto(named, days.planned_start[row] + late - at, where=word)
    came |= gone
    return named, own


def _laid(length: Ints) -> tuple[Ints, Ints, list[slice]]:
    """Positions of chains of these lengths, first ones first: chain and position of each, and where positions are.

    The chains come longest first, so that whoever has a next position stands at the front.
    """
    if len(length) == 1:
        n = int(length[0])
        return np.zeros(n, dtype=np.int64), np.arange(n), [slice(k, k + 1) for k in range(n)]
    by = np.argsort(-length, kind="stable")
    sizes = np.searchsorted(-length[by], -np.arange(length.max(initial=0)), side="left")
    ends = [0, *np.cumsum(sizes).tolist()]
    position = np.repeat(np.arange(len(sizes)), sizes)
    of = [slice(low, high) for low, high in pairwise(ends)]
    return by[np.arange(ends[-1]) - np.asarray(ends)[position]], position, of


def _breaks(days: Days, chains: Chains, which: Ints, row: Ints, rests: Bools) -> None:
    """Before which positions the technician takes the break: the first that is due after it."""
    starts = days.break_start[chains.day]
    later = chains.first > days.offset[chains.day]
    rested = np.isnan(starts) | (later & (days.planned_start[chains.first - 1] >= starts))
    due = (~rested[which] & (days.planned_start[row] >= starts[which])).nonzero()[0]
    rests[due[np.unique(which[due], return_index=True)[1]]] = True


def rest(days: Days, a: Ahead, of: slice) -> tuple[Floats, Floats]:
    """When the break before a position begins and how long it lasts; nobody waits for one that is taken elsewhere."""
    due, day = a.rests[of], a.day[of]
    begins = np.where(due, days.break_start[day] - a.at[of], -np.inf)
    return begins, np.where(due, days.break_end[day] - days.break_start[day], 0.0)
