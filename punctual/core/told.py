"""What is told of a start: the chain's samples, moved and widened by what today's circumstances have meant before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from punctual.core.additive import apply, smooth
from punctual.core.ahead import Chains
from punctual.core.day import Days, Floats, Ints
from punctual.core.duration import Learned
from punctual.core.fleet import FROM_FLEET, NAMES, OWN, Fleet, Looks, circumstances
from punctual.core.spread import (
    LEVELS,
    NODES,
    SAMPLES,
    STRATA,
    Singles,
    at_levels,
    between,
    level_of,
    normal,
    normal_level,
    picked,
    tail_of,
)

#: Levels of the told quantiles: 5 % ... 95 %.
TOLD: Floats = np.arange(1, 20, dtype=np.float64) * 0.05
#: The same with both ends, to make samples of.
WIDE: Floats = np.concatenate([[0.5 / SAMPLES], TOLD, [1 - 0.5 / SAMPLES]])
_SPREAD = picked(np.interp(STRATA, WIDE, np.arange(len(WIDE))), len(WIDE))
_PICK = picked(TOLD * SAMPLES - 0.5, SAMPLES)
X = NAMES.index("x")
#: As arrays: a NumPy call with a plain number takes half as long again. No level is taken as surer than the first two.
_LEAST, _MOST, _ZERO, _ONE = (np.array(x) for x in (1e-4, 1 - 1e-4, 0.0, 1.0))
#: A late start known no better than this is worth no correction: the carried delay counts from here, minutes.
LEAST = -60.0


@dataclass(frozen=True, slots=True)
class Told:
    """What to do to the chain's levels of some rows: z = shift + exp(width) * calm, in standard normal units."""

    shift: Floats
    width: Floats

    def of(self, which: Ints) -> Told:
        """The same of some of these rows."""
        return Told(self.shift[which], self.width[which])


def corrects(learned: Learned) -> bool:
    """Whether history taught what circumstances do."""
    return len(learned.shift.edges) > 0


def carried(days: Days, chains: Chains, over: Floats) -> Floats:
    """The delay each technician is known to have [n], minutes: never less for a longer overrun."""
    row, head = chains.first, chains.first == days.offset[chains.day]
    before = np.maximum(row - 1, 0)
    late = np.where(head, LEAST, over[before] - days.planned_start[before] - days.planned_min[before])
    begun = days.arrived[row] <= (np.inf if chains.seen is None else chains.seen)
    since = chains.at - days.planned_start[row]
    under_way = np.fmax(days.arrived[row] - days.planned_start[row], since - days.planned_min[row])
    return np.maximum(np.where(begun, under_way, np.fmax(late, since)), LEAST)


def prepared(
    days: Days, learned: Learned, row: Ints, day: Ints, at: Floats, late: Floats, others: Fleet | None
) -> Told:
    """The correction of rows as far as it does not hang on the chain itself."""
    n = len(row)
    if not corrects(learned):
        return Told(np.zeros(n), np.zeros(n))
    around = circumstances(days, learned, Looks(row, day, at, np.full(n, np.nan), late), others)
    known = ~FROM_FLEET if others is None else np.ones(len(NAMES), dtype=np.bool_)
    known[X] = False
    return Told(apply(learned.shift, around, known), apply(learned.spread, around, known & ~OWN))


def own_shift(learned: Learned, free: Floats) -> Floats:
    """What the technician's own delay, as the chain has it, adds to the shift."""
    if not corrects(learned):
        return np.zeros(len(free))
    return smooth(learned.shift, X, free)


def quantiles(learned: Learned, told: Told, shift: Floats, arrive: Singles | Floats) -> Floats:
    """Told quantiles [n, 19] of starts whose chain samples are `arrive`."""
    return _moved(learned, told, shift, arrive, TOLD)


def ends(learned: Learned, told: Told, shift: Floats, arrive: Singles | Floats, work: Singles) -> tuple[Floats, Floats]:
    """Told quantiles [n, 19] of starts, and of the ends of the work that follows them."""
    wide = _moved(learned, told, shift, arrive, WIDE)
    finish = between(wide, _SPREAD).astype(np.float32) + work
    finish.sort(axis=1)
    return wide[:, 1:-1], plain(finish)


@lru_cache(maxsize=8)
def _calm(learned: Learned, levels: int) -> Floats:
    """What is left, at the told levels or the wide ones."""
    return np.asarray(np.interp(TOLD if levels == len(TOLD) else WIDE, LEVELS, learned.calm))


def _moved(learned: Learned, told: Told, shift: Floats, arrive: Singles | Floats, levels: Floats) -> Floats:
    calm = _calm(learned, len(levels))
    z = shift[:, None] + np.exp(told.width)[:, None] * calm
    return at_levels(arrive, normal_level(z)).astype(np.float64, copy=False)


def chance_after(
    learned: Learned, told: Told | None, shift: Floats | None, arrive: Singles | Floats, moments: Floats
) -> Floats:
    """Chances [n, m] of starting after moments [n, m]; told and shift None: as the chain has it."""
    level = level_of(arrive, moments, tail_of(arrive))
    if told is None or shift is None:
        return np.asarray(np.interp(level, *_after(learned), left=1.0, right=0.0))
    z = normal(np.minimum(np.maximum(level, _LEAST), _MOST))
    z -= shift[:, None]
    z /= np.exp(told.width)[:, None]
    out = _ONE - np.interp(z, learned.calm, LEVELS, left=0.0, right=1.0)
    sure = level <= _ZERO
    if np.count_nonzero(sure):
        np.copyto(out, np.maximum(out, 0.999), where=sure)
    return np.asarray(out)


@lru_cache(maxsize=8)
def _after(learned: Learned) -> tuple[Floats, Floats]:
    """The chance of starting after a level of the chain's samples where nothing is corrected: levels that ascend, and the
    chance at each, linear in between. Below the first it is 1, above the last 0."""
    known = normal_level(learned.calm)
    low, high = np.searchsorted(NODES, known[[0, -1]])
    level = np.union1d(known, NODES[low:high])
    return level, 1.0 - np.interp(normal(level), learned.calm, LEVELS)


def plain(samples: Singles | Floats) -> Floats:
    """Quantiles [..., 19] of sorted samples [..., SAMPLES], nothing added."""
    return between(samples, _PICK)
