"""Learn from finished days: durations, starts, and what today's circumstances add to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from punctual.core import additive, told
from punctual.core.accuracy import LOOKS
from punctual.core.ahead import Chains
from punctual.core.chain import over_by
from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned, durations, forgotten_share, nothing, own_figure, weights
from punctual.core.fleet import FALL, NAMES, OWN, Fleet, Looks, circumstances, fleet
from punctual.core.past import last_steps, past_looks
from punctual.core.spread import NORMAL, SAMPLES, blended, level_of, normal
from punctual.core.start import starts

#: Circumstances are learned from this many visits at least, and from the newest this many at most.
ENOUGH, NEWEST = 300, 40_000
FOLDS = 4


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


def _circumstanced(days: Days, learned: Learned, targets: Ints, good: Bools, weight: Floats) -> Learned:
    """Forecast the past in folds, each learned from the others, and learn from what that left over."""
    over, everyone = over_by(days), fleet(days)
    day_of = days.day_of
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
        x[:, here], z[here] = _left_over(days, chains.some(here), apart, over, everyone)
    by = fold[chains.last]
    shift, said = additive.fit(x, z, by, FALL)
    size = np.log(np.abs(z - said) + 0.1)
    width, wide = additive.fit(np.where(OWN[:, None], np.nan, x), size, by, np.full(len(NAMES), np.inf))
    width = replace(width, middle=np.zeros(()))
    calm = (z - said) / np.exp(wide - size.mean())
    return replace(learned, shift=shift, spread=width, calm=blended(calm, NORMAL, 40.0 * len(LOOKS)))


def _left_over(days: Days, chains: Chains, learned: Learned, over: Floats, everyone: Fleet) -> tuple[Floats, Floats]:
    """Circumstances of the chains' last rows and where in the chain's spread they began, in standard normal units."""
    samples, free = last_steps(days, chains, learned, over)
    late = told.carried(days, chains, over)
    around = circumstances(days, learned, Looks(chains.last, chains.day, chains.at, free, late), everyone)
    began = days.arrived[chains.last] - chains.at
    tail = np.full(len(began), 1e9)
    level = level_of(samples, began[:, None] + np.array([-0.5, 0.5]), tail).sum(axis=1) / 2
    return around, normal(np.clip(level, 0.25 / SAMPLES, 1 - 0.25 / SAMPLES))
