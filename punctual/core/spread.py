"""Spreads of many quantities at once: levels, the normal's quantiles, empirical tables, shrunk means, sorted samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Floats, Ints

Singles = NDArray[np.float32]

#: Probabilities at which learned spreads are kept.
LEVELS: Floats = (np.arange(101) + 0.5) / 101
#: Samples a visit. They are kept sorted and met with the next step's in a fixed low-discrepancy order, so that 128 are
#: as smooth as thousands of random ones (array-RQMC: L'Ecuyer, Lécot, Tuffin 2008).
SAMPLES = 128
#: Level of each sorted sample.
STRATA: Floats = (np.arange(SAMPLES) + 0.5) / SAMPLES

#: As arrays: a NumPy call with a plain number takes half as long again. `_LEFT`: the chance of more than the last sample.
_ZERO, _QUARTER, _HALF, _ONE, _LEAST, _SAMPLES, _LEFT = (
    np.array(x) for x in (0.0, 0.25, 0.5, 1.0, 3.0, float(SAMPLES), -0.5 / SAMPLES)
)
_CLOSE, _SECOND = np.array(1e-6), np.array(1)

_Z = np.linspace(-4.5, 4.5, 1801)
_CDF = np.cumsum(np.exp(-0.5 * _Z * _Z))
_CDF = (_CDF - 0.5 * np.exp(-0.5 * _Z * _Z)) / _CDF[-1]
#: Levels between which `normal` is linear.
NODES: Floats = _CDF


def normal(levels: Floats) -> Floats:
    """Standard normal quantiles of levels in (0, 1), from a fine table."""
    return np.asarray(np.interp(levels, _CDF, _Z))


def normal_level(z: Floats) -> Floats:
    """The level of a standard normal value: the inverse of `normal`."""
    return np.asarray(np.interp(z, _Z, _CDF))


NORMAL: Floats = normal(LEVELS)


@lru_cache(maxsize=64)
def order(stream: int) -> NDArray[np.int32]:
    """A permutation of the strata for each stream, evenly spread against the sorted samples (golden-ratio lattice)."""
    points = (np.arange(SAMPLES) * 0.6180339887498949 + stream * 0.7548776662466927) % 1.0
    return np.argsort(np.argsort(points)).astype(np.int32)


def quantiles(values: Floats) -> Floats:
    """Empirical quantiles at LEVELS."""
    return np.asarray(np.quantile(values, LEVELS, method="hazen"))


def blended(values: Floats, prior: Floats, strength: float) -> Floats:
    """Empirical quantiles at LEVELS, leaning on the prior's while there are few values."""
    if len(values) == 0:
        return prior
    share = len(values) / (len(values) + strength)
    return np.maximum.accumulate(share * quantiles(values) + (1 - share) * prior)


def shrunk(groups: Ints, y: Floats, weight: Floats) -> tuple[Ints, Floats]:
    """Group means of y pulled to zero as far as the data says: k = within variance / between variance.

    Method of moments for unequal groups (Searle, Casella, McCulloch 1992, 3.6); groups ascend.
    """
    names, index = np.unique(groups, return_inverse=True)
    n = np.bincount(index, weight)
    means = np.bincount(index, weight * y) / np.maximum(n, 1e-9)
    if len(names) < 2:
        return names, means * n / (n + 5.0)
    total, freedom = n.sum(), len(names) - 1
    within = float(weight @ (y - means[index]) ** 2 / max(total - len(names), 1.0))
    middle = float(n @ means / total)
    even = max((total - float(n @ n) / total) / freedom, 1e-9)
    between = max((float(n @ (means - middle) ** 2) / freedom - within) / even, 1e-4 * within, 1e-9)
    return names, means * n / (n + within / between)


def looked_up(names: Ints, values: Floats, wanted: Ints, missing: float = 0.0) -> Floats:
    """The value of each wanted name; names ascend."""
    if len(names) == 0:
        return np.full(len(wanted), missing)
    at = np.minimum(names.searchsorted(wanted), len(names) - 1)
    return np.where(names[at] == wanted, values[at], missing)


def at_levels(sorted_: Singles | Floats, levels: Floats | Singles) -> Singles:
    """Values [rows, n] of sorted samples [rows, SAMPLES] at levels [rows, n]; ends are held."""
    position = np.minimum(np.maximum(levels * SAMPLES - 0.5, 0.0), SAMPLES - 1.0).astype(np.float32)
    low = np.minimum(position.astype(np.int32), SAMPLES - 2)
    share = position - low
    base = (np.arange(len(sorted_), dtype=np.int32) * SAMPLES)[:, None] + low
    flat = sorted_.reshape(-1)
    below = flat[base]
    return np.asarray(below + share * (flat[base + 1] - below))


@dataclass(frozen=True, slots=True)
class Picked:
    """Fractional positions in columns of some length, ready to be read: `low` and the one above, and the share of that."""

    low: Ints
    high: Ints
    share: Floats


def picked(position: Floats, length: int) -> Picked:
    """Positions [n] in that many columns; ends are held."""
    position = np.clip(position, 0.0, length - 1.0)
    low = np.minimum(position.astype(np.int64), length - 2)
    return Picked(low, low + 1, position - low)


def between(columns: Singles | Floats, at: Picked) -> Floats:
    """Columns [..., n] read between two of them each, at the same positions in every row."""
    below = columns.take(at.low, axis=-1)
    out = columns.take(at.high, axis=-1)
    out -= below
    out *= at.share
    out += below
    return np.asarray(out)


def tail_of(sorted_: Singles | Floats) -> Floats:
    """Over how many minutes the chance of more falls off above samples [rows, SAMPLES]: as over their upper half."""
    return np.asarray(np.maximum(_LEAST, _QUARTER * (sorted_[:, -1] - sorted_[:, SAMPLES // 2])))


def level_of(sorted_: Singles | Floats, value: Floats, tail: Floats) -> Floats:
    """The levels [rows, m] of values [rows, m] among sorted samples [rows, SAMPLES]: the inverse of `at_levels`.

    Below the samples 0; above them the chance of more falls off exponentially, e-fold every `tail` minutes.
    """
    last = sorted_[:, -1:]
    count = (sorted_[:, None, :] <= value[:, :, None]).argmin(axis=2)  # how many are not later; 0 where all are
    at = np.maximum(count, _SECOND)
    at += _before(*value.shape)
    flat = sorted_.reshape(-1)
    low, high = flat.take(at), flat[1:].take(at)
    high -= low
    share = value - low
    share /= np.maximum(high, _CLOSE)
    level = count.astype(np.float64)
    level -= _HALF
    level += share
    level /= _SAMPLES
    np.maximum(level, _ZERO, out=level)  # below the samples it came out negative
    beyond = last - value
    np.minimum(beyond, _ZERO, out=beyond)
    beyond /= tail[:, None]
    np.exp(beyond, out=beyond)
    beyond *= _LEFT
    beyond += _ONE
    np.copyto(level, beyond, where=last <= value)
    return np.asarray(level)


@lru_cache(maxsize=16)
def _before(rows: int, m: int) -> Ints:
    """Where the samples of each row begin, laid flat, less one: `m` times each."""
    return np.arange(-1, rows * SAMPLES - 1, SAMPLES).repeat(m).reshape(rows, m)


def still_to_come(sorted_: Floats, now: Floats, tail: Floats, forgotten: float) -> Floats:
    """Sorted samples [rows, SAMPLES] of moments, given that nothing was reported by `now` [rows].

    Most of the mass is cut off at `now`. A share of it stays behind: its report was forgotten - Bayes with the share of
    reports never made, at most a half. What stays behind stands where belief in it ended, so that no sample ever moves
    back while the silence lasts.
    """
    rows = (sorted_[:, 0] <= now).nonzero()[0]
    if not len(rows):
        return sorted_
    if len(rows) == len(now):
        return _cut(sorted_, now, tail, forgotten)
    out = sorted_.copy()
    out[rows] = _cut(sorted_[rows], now[rows], tail[rows], forgotten)
    return out


def _cut(sorted_: Floats, now: Floats, tail: Floats, forgotten: float) -> Floats:
    """The same for rows whose samples are in part before `now`."""
    g = level_of(sorted_, now[:, None], tail)
    lost = np.minimum(forgotten * g / np.maximum(forgotten * g + (1 - forgotten) * (1 - g), 1e-12), 0.5)
    p = STRATA[None, :]
    onward = g + (1 - g) * np.minimum(np.maximum((p - lost) / (1 - lost), 0.0), 1.0)
    level = np.where(p < lost, _believed(forgotten), onward)
    over = np.maximum(np.log(0.5 / SAMPLES / np.maximum(1.0 - level, 1e-12)), 0.0) * tail[:, None]
    value = at_levels(sorted_, level) + over
    value = np.where(p < lost, value, np.maximum(value, now[:, None]))
    return value.astype(sorted_.dtype, copy=False)


@lru_cache(maxsize=8)
def _believed(forgotten: float) -> Floats:
    """At which level of a moment belief in a report that does not come has sunk to each stratum."""
    p = STRATA[None, :]
    return np.asarray(p * (1 - forgotten) / np.maximum(forgotten * (1 - p) + p * (1 - forgotten), 1e-12))
