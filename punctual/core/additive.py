"""A sum of one small table per circumstance, fitted to what a plainer forecast left over: every part can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Bools, Floats, Ints

#: Steps a table has at most, beside one for "not known".
BINS = 24
#: A step is worth as much as its rows against this many that say nothing.
SHRINK = 150.0
#: So few rows are looked up in all tables at once: for one day, calls cost more than work.
AT_ONCE = 40
#: Share of what is left that one pass takes, and how many passes there are at most.
RATE, PASSES = 0.2, 60


@dataclass(frozen=True, slots=True, eq=False)
class Additive:
    """edges [F, BINS - 1]: where the steps of each circumstance end, +inf where there are fewer; table [F, BINS + 1]:
    what each step adds, the last for NaN; middle []: what all together start from."""

    edges: Floats
    table: Floats
    middle: Floats

    @staticmethod
    def none() -> Additive:
        """Adds nothing."""
        return Additive(np.empty((0, BINS - 1)), np.empty((0, BINS + 1)), np.zeros(()))


def steps(x: Floats, edges: Floats) -> Ints:
    """Which step of its table each value falls into; BINS for NaN."""
    found = np.searchsorted(edges, x, side="right")
    return np.where(np.isnan(x), BINS, np.minimum(found, BINS - 1))


def apply(model: Additive, x: Floats, known: Bools) -> Floats:
    """The sum [rows] for circumstances x [F, rows]; only the `known` [F] ones count."""
    out = np.full(x.shape[1], float(model.middle))
    which = np.flatnonzero(known[: len(model.edges)] & model.table.any(axis=1))
    if len(which) and x.shape[1] <= AT_ONCE:
        some = x[which]
        codes = np.minimum((some[:, :, None] >= model.edges[which][:, None, :]).sum(axis=2), BINS - 1)
        added = model.table[which[:, None], np.where(np.isnan(some), BINS, codes)]
        for row in added:
            out += row
        return out
    for f in which:
        out += model.table[f][steps(x[f], model.edges[f])]
    return out


@dataclass(frozen=True, slots=True)
class Sums:
    """All that is needed of many rows: how often steps met, gram [F, S, F, S]; what was left over at them, left [F, S];
    its squares, its sum and the rows. Adds up over days."""

    gram: Floats
    left: Floats
    squares: float
    total: float
    rows: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f) + getattr(other, f) for f in Sums.__dataclass_fields__))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f) - getattr(other, f) for f in Sums.__dataclass_fields__))


def sums(codes: Ints, y: Floats) -> Sums:
    """The sums of some rows: codes [F, rows] as from `steps`, leftovers y [rows]."""
    size = BINS + 1
    gram = np.zeros((len(codes), size, len(codes), size))
    left: Floats = np.stack([np.bincount(c, y, size) for c in codes])
    for i, c in enumerate(codes):
        scaled = c * size
        for j in range(i, len(codes)):
            met = np.bincount(scaled + codes[j], minlength=size * size).reshape(size, size)
            gram[i, :, j], gram[j, :, i] = met, met.T
    return Sums(gram, left, float(y @ y), float(y.sum()), float(len(y)))


def fit(x: Floats, y: Floats, fold: Ints, fall: Floats) -> tuple[Additive, Floats]:
    """The tables for circumstances x [F, rows] and leftovers y [rows].

    fall [F]: how much a table may fall per unit above zero: 0 for one that may only rise, inf for one that is free.

    Fitted by small steps in turn (boosting of one table at a time); how many passes is chosen on whole folds left out,
    down to none. The second value is what the tables of the other folds say of each row.
    """
    edges = np.stack([_edges(column) for column in x])
    codes = np.stack([steps(column, e) for column, e in zip(x, edges, strict=True)])
    parts = [sums(codes[:, fold == k], y[fold == k]) for k in range(int(fold.max()) + 1)]
    whole = sum(parts[1:], parts[0])
    lean = [None if np.isinf(f) else f * np.maximum(centres(e), 0.0) for f, e in zip(fall, edges, strict=True)]
    loss = np.zeros(PASSES + 1)
    without = [_boosted(whole - part, lean, PASSES) for part in parts]
    for part, states in zip(parts, without, strict=True):
        loss += [_loss(part, *state) for state in states]
    passes = int(np.argmin(loss))
    apart = np.zeros(len(y))
    for k, states in enumerate(without):
        table, middle = states[passes]
        rows = np.flatnonzero(fold == k)
        apart[rows] = middle + sum(t[c[rows]] for t, c in zip(table, codes, strict=True))
    table, middle = _boosted(whole, lean, passes)[-1]
    return Additive(edges, table, np.asarray(middle)), apart


def centres(edges: Floats) -> Floats:
    """A value in the middle of each step [BINS]; the outer steps are as wide as nothing."""
    known = edges[np.isfinite(edges)]
    if not len(known):
        return np.zeros(BINS)
    inner = np.concatenate([known[:1], (known[1:] + known[:-1]) / 2, known[-1:]])
    return np.append(inner, np.full(BINS - len(inner), known[-1]))


def smooth(model: Additive, f: int, x: Floats) -> Floats:
    """What one circumstance adds, read between the steps instead of on them."""
    at = centres(model.edges[f])
    n = int(np.isfinite(model.edges[f]).sum()) + 1
    return np.asarray(np.where(np.isnan(x), model.table[f, BINS], np.interp(x, at[:n], model.table[f, :n])))


def _edges(column: Floats) -> Floats:
    known = column[~np.isnan(column)]
    out = np.full(BINS - 1, np.inf)
    if len(known):
        cuts = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="nearest"))
        out[: len(cuts)] = cuts
    return out


def _boosted(seen: Sums, lean: list[Floats | None], passes: int) -> list[tuple[Floats, float]]:
    """Tables and middle after each pass, from none on."""
    middle = seen.total / max(seen.rows, 1.0)
    size = seen.left.size
    gram, table = seen.gram.reshape(size, size), np.zeros(seen.left.shape)
    count = np.diagonal(gram).reshape(table.shape)
    left = seen.left - middle * count
    out = [(table.copy(), middle)]
    for _ in range(passes):
        for f in range(len(table)):
            of = slice(f * (BINS + 1), (f + 1) * (BINS + 1))
            rest = left[f] - np.einsum("ij,j->i", gram[of], table.reshape(-1))
            table[f] += RATE * rest / (count[f] + SHRINK)
            slope = lean[f]
            if slope is not None:
                table[f, :BINS] = isotonic(table[f, :BINS] + slope, count[f, :BINS]) - slope
        out.append((table.copy(), middle))
    return out


def _loss(held: Sums, table: Floats, middle: float) -> float:
    """Squares of what the tables leave over on rows not learned from."""
    flat = table.reshape(-1)
    gram = held.gram.reshape(len(flat), len(flat))
    count = np.diagonal(gram)
    met = np.einsum("ij,j->i", gram, flat)
    said = flat @ met + 2 * middle * (count @ flat) + middle**2 * held.rows
    return float(held.squares - 2 * (held.left.reshape(-1) @ flat + middle * held.total) + said)


def isotonic(y: Floats, weight: NDArray[np.intp] | Floats) -> Floats:
    """The nearest rising sequence (pool adjacent violators)."""
    if np.all(np.diff(y) >= 0):
        return y
    level: list[float] = []
    heavy: list[float] = []
    size: list[int] = []
    for value, w in zip(y.tolist(), np.maximum(weight, 1e-6).tolist(), strict=True):
        n = 1
        while level and level[-1] > value:
            w2 = heavy.pop()
            value, w, n = (level.pop() * w2 + value * w) / (w2 + w), w2 + w, n + size.pop()
        level.append(value)
        heavy.append(w)
        size.append(n)
    return np.repeat(level, size)
