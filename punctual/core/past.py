"""The past as it looked then: chains to visits that have happened since, seen with what was reported by that moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from punctual.core.accuracy import LOOKS
from punctual.core.ahead import Chains
from punctual.core.chain import carry
from punctual.core.day import Days, Floats, Ints
from punctual.core.duration import Learned
from punctual.core.planned import planned
from punctual.core.spread import SAMPLES, Singles

#: Chains forecast in one piece.
PIECE = 1000


def past_looks(days: Days, targets: Ints, over: Floats, looks: Sequence[float] = LOOKS) -> tuple[Chains, Floats]:
    """Every look so long before a target that had not begun by then, as chains to the target; and minutes ahead."""
    row, ahead = np.repeat(targets, len(looks)), np.tile(looks, len(targets))
    at = days.planned_start[row] - ahead
    early = days.arrived[row] > at
    row, ahead, at = row[early], ahead[early], at[early]
    day = np.searchsorted(days.offset, row, side="right") - 1
    first = days.offset[day].copy()
    while True:
        on = (first < row) & (over[np.minimum(first, days.rows - 1)] <= at)
        if not on.any():
            return Chains(day, first, row, at, at), ahead
        first += on


def last_steps(days: Days, chains: Chains, learned: Learned, over: Floats) -> tuple[Singles, Floats]:
    """Samples of the start of each chain's last row, minutes after `at`, and how late the technician is free for it."""
    plan = planned(days, learned)
    n = len(chains.first)
    samples, free = np.empty((n, SAMPLES), dtype=np.float32), np.empty(n)
    for low in range(0, n, PIECE):
        piece = slice(low, min(low + PIECE, n))
        part = chains.some(piece)
        steps = carry(days, part, learned, over, plan)
        end = np.flatnonzero(steps.row == part.last[steps.which])
        samples[low + steps.which[end]], free[low + steps.which[end]] = steps.arrive[end], steps.free[end]
    return samples, free
