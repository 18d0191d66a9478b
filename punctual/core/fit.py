"""Learn from finished days: durations, starts, and what today's circumstances add to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from punctual.core import additive, told
from punctual.core.chain import Chains, carry, over_by
from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned, durations, forgotten_share, nothing, own_figure, weights
from punctual.core.fleet import NAMES, OWN, RISING, Fleet, Looks, circumstances, fleet
from punctual.core.spread import NORMAL, SAMPLES, Singles, blended, level_of, normal
from punctual.core.start import starts, travelled

#: Minutes before the planned start at which the past is forecast: when a live company would have looked.
LOOKS: Floats = np.array([15.0, 30.0, 45.0, 60.0, 90.0])
#: Circumstances are learned from this many visits at least, and from the newest this many at most.
ENOUGH, NEWEST = 300, 40_000
FOLDS = 4
#: Chains of the past forecast in one piece.
PIECE = 4000


def fit(days: Days, at: float) -> Learned:
    """Learn from finished visits (rows with arrived and finished); `at` in minutes, for forgetting slowly."""
    taken = days.finished - days.arrived
    good = (taken > 1.0) & (days.planned_min > 0)
    if not good.any():
        return nothing()
    weight = weights(days, at)
    learned = structure(days, np.flatnonzero(good), weight)
    targets = np.flatnonzero(~np.isnan(days.arrived) & (np.abs(days.arrived - days.window_start) < 480))[-NEWEST:]
    if len(targets) < ENOUGH:
        return learned
    return _circumstanced(days, learned, targets, good, weight)


def structure(days: Days, use: Ints, weight: Floats) -> Learned:
    """Durations and starts from the rows `use`; no circumstances yet."""
    d = durations(days, use, weight)
    s = starts(days, use, weight, d.types, d.technicians)
    own_mean, own_sd = own_figure(days, use, weight)
    return replace(
        nothing(),
        types=d.types, type_mean=d.type_mean, type_sd=d.type_sd, technicians=d.technicians,
        technician_mean=d.technician_mean, mean=d.mean, sd=d.sd, shape=d.shape,
        start_x=s.start_x, start=s.start, first=s.first, type_start=s.type_start, places=s.places,
        place_start=s.place_start, technician_start=s.technician_start, changeover=s.changeover, drive=s.drive,
        own_mean=own_mean, own_sd=own_sd, forgotten=forgotten_share(days), visits=len(use),
    )  # fmt: skip


def past_looks(days: Days, targets: Ints, over: Floats) -> tuple[Chains, Floats]:
    """Every look at LOOKS before a target that had not begun by then, as chains to the target; and minutes ahead."""
    row, ahead = np.repeat(targets, len(LOOKS)), np.tile(LOOKS, len(targets))
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
    travel = travelled(days, learned.changeover, learned.drive)
    n = len(chains.first)
    samples, free = np.empty((n, SAMPLES), dtype=np.float32), np.empty(n)
    for low in range(0, n, PIECE):
        piece = slice(low, min(low + PIECE, n))
        part = Chains(*(getattr(chains, f)[piece] for f in Chains.__dataclass_fields__))
        for step in carry(days, part, learned, over, travel):
            end = step.row == part.last[step.which]
            samples[low + step.which[end]], free[low + step.which[end]] = step.arrive[end], step.free[end]
    return samples, free


def _circumstanced(days: Days, learned: Learned, targets: Ints, good: Bools, weight: Floats) -> Learned:
    """Forecast the past in folds, each learned from the others, and learn from what that left over."""
    over, everyone = over_by(days), fleet(days)
    day_of = np.repeat(np.arange(len(days)), np.diff(days.offset))
    date = np.floor(days.shift_start / 1440.0)[day_of]
    dates = np.unique(date[targets])
    if len(dates) < FOLDS:
        return learned
    fold = np.searchsorted(dates, date) * FOLDS // len(dates)
    chains, ahead = past_looks(days, targets, over)
    x, z = np.empty((len(NAMES), len(ahead))), np.empty(len(ahead))
    for k in range(FOLDS):
        here = np.flatnonzero(fold[chains.last] == k)
        apart = structure(days, np.flatnonzero(good & (fold != k)), weight)
        part = Chains(*(getattr(chains, f)[here] for f in Chains.__dataclass_fields__))
        x[:, here], z[here] = _left_over(days, part, apart, over, everyone)
    by = fold[chains.last]
    rising: Bools = RISING
    shift, said = additive.fit(x, z, by, rising)
    size = np.log(np.abs(z - said) + 0.1)
    width, wide = additive.fit(np.where(OWN[:, None], np.nan, x), size, by, np.zeros(len(NAMES), dtype=np.bool_))
    width = replace(width, middle=np.zeros(()))
    calm = (z - said) / np.exp(wide - size.mean())
    rows = [blended(calm[ahead == h], NORMAL, 40.0 * len(LOOKS)) for h in LOOKS]
    return replace(learned, shift=shift, spread=width, calm_h=LOOKS, calm=np.stack(rows))


def _left_over(days: Days, chains: Chains, learned: Learned, over: Floats, everyone: Fleet) -> tuple[Floats, Floats]:
    """Circumstances of the chains' last rows and where in the chain's spread they began, in standard normal units."""
    samples, free = last_steps(days, chains, learned, over)
    late = told.carried(days, chains, over)
    around = circumstances(days, learned, Looks(chains.last, chains.day, chains.at, free, late), everyone)
    began = days.arrived[chains.last] - chains.at
    tail = np.full(len(began), 1e9)
    level = (level_of(samples, began - 0.5, tail) + level_of(samples, began + 0.5, tail)) / 2
    return around, normal(np.clip(level, 0.25 / SAMPLES, 1 - 0.25 / SAMPLES))
