"""How long a job takes, and what is left of one under way: learned on the log scale, shrunk, robust, honest without history."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from punctual.core.day import Days, Floats, Ints
from punctual.core.travel import into

#: Probabilities at which learned spreads are kept.
LEVELS: Floats = (np.arange(101) + 0.5) / 101


def _normal(levels: Floats) -> Floats:
    """Standard normal quantiles: Newton on the error function's series is overkill; interpolate a fine table."""
    x = np.linspace(-4.5, 4.5, 9001)
    density = np.exp(-0.5 * x * x)
    cdf = np.cumsum(density) / density.sum()
    return np.interp(levels, cdf, x)


NORMAL: Floats = _normal(LEVELS)
#: Built-in priors: log of duration over plan of a kind of work nobody has seen yet.
PRIOR_MEAN, PRIOR_SD = 0.05, 0.35
#: Minutes of lateness of a start that nothing forces, at LEVELS, before there is history.
PRIOR_START: Floats = np.maximum(NORMAL * 4.0, -3.0) + np.exp(np.maximum(NORMAL, 0.0)) - 1.0
#: No start residual is learned from fewer pairs of visits in one bin.
BIN_MIN = 60
MAX_BINS = 14
#: Half of what was learned is forgotten after this many days.
HALF_LIFE_DAYS = 120.0


@dataclass(frozen=True, slots=True)
class Learned:
    """What history taught. Log scale: log(duration / planned).

    types/type_mean/type_sd: by job type. technicians/technician_mean: added to the type's mean. mean/sd: of a type or a
    technician nobody has seen. shape [101]: standardised residuals at LEVELS. start_x [B]: minutes by which the
    technician is free too late for the planned start; start [B, 101]: minutes after it at which they start, for each;
    first [101]: the same for a day's first visit. changeover: minutes between two visits without places. forgotten:
    share of reports that are never tapped. visits: how many taught this. tell_chance: chance of being late at which
    the false-alarm budget is met, NaN when not calibrated.
    """

    types: Ints
    type_mean: Floats
    type_sd: Floats
    technicians: Ints
    technician_mean: Floats
    mean: float
    sd: float
    shape: Floats
    start_x: Floats
    start: Floats
    first: Floats
    changeover: float
    forgotten: float
    visits: int
    tell_chance: float

    def to_bytes(self) -> bytes:
        """The state as a NumPy archive."""
        out = io.BytesIO()
        kept: dict[str, Any] = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez_compressed(out, **kept)
        return out.getvalue()


def from_bytes(data: bytes) -> Learned:
    """The inverse of to_bytes; ValueError when the archive is of another format."""
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        try:
            values = {f.name: kept[f.name] for f in fields(Learned)}
        except KeyError as error:
            raise ValueError("What was learned was written by another version; run `punctual learn --all`.") from error
    for f in fields(Learned):
        if values[f.name].ndim == 0:
            values[f.name] = values[f.name].item()
    return Learned(**values)


def nothing() -> Learned:
    """Built-in priors: what is forecast before there is any history."""
    empty = np.empty(0)
    none = np.empty(0, dtype=np.int64)
    x = np.array([-30.0, 0.0, 30.0])
    start = np.maximum(x, 0.0)[:, None] + PRIOR_START[None, :] * np.array([1.0, 1.0, 1.2])[:, None]
    start = np.maximum.accumulate(start, axis=0)
    return Learned(
        none, empty, empty, none, empty, PRIOR_MEAN, PRIOR_SD, NORMAL, x, start, PRIOR_START, 0.0, 0.1, 0, np.nan
    )


def fit(days: Days, at: float, *, forgotten: float = 0.1) -> Learned:
    """Learn from finished visits (rows with arrived and finished); `at` in minutes, for forgetting slowly.

    Shrinkage strength is estimated from the data (variance within against between). Durations are clipped to a factor
    of four around plan, so that a tap forgotten until the evening teaches nothing absurd.
    """
    taken = days.finished - days.arrived
    good = np.flatnonzero((taken > 1.0) & (days.planned_min > 0))
    if len(good) == 0:
        return nothing()
    y = np.clip(np.log(taken[good] / days.planned_min[good]), -1.4, 1.4)
    weight = 0.5 ** ((at - days.finished[good]) / (HALF_LIFE_DAYS * 1440.0))
    day_of = np.repeat(np.arange(len(days)), np.diff(days.offset))
    prior_n = 10.0
    mean = float((weight @ y + prior_n * PRIOR_MEAN) / (weight.sum() + prior_n))
    types, type_mean = _shrunk(days.job_type[good], y - mean, weight)
    rest = y - mean - _looked_up(types, type_mean, days.job_type[good])
    technicians, technician_mean = _shrunk(days.technician[day_of[good]], rest, weight)
    rest = rest - _looked_up(technicians, technician_mean, days.technician[day_of[good]])
    sd = float(np.sqrt((weight @ rest**2 + prior_n * PRIOR_SD**2) / (weight.sum() + prior_n)))
    type_sd = _spread(types, days.job_type[good], rest, weight, sd)
    scaled = rest / _looked_up(types, type_sd, days.job_type[good])
    shape = _blended(scaled, NORMAL, 200.0)
    changeover = _changeover(days)
    start_x, start, first = _starts(days, changeover)
    return Learned(
        types, mean + type_mean, type_sd, technicians, technician_mean, mean, sd, shape,
        start_x, start, first, changeover, forgotten, len(good), np.nan,
    )  # fmt: skip


def _shrunk(groups: Ints, y: Floats, weight: Floats) -> tuple[Ints, Floats]:
    """Group means pulled to zero as far as the data says: k = within variance / between variance (method of moments)."""
    names, index = np.unique(groups, return_inverse=True)
    n = np.bincount(index, weight)
    means = np.bincount(index, weight * y) / np.maximum(n, 1e-9)
    if len(names) < 2:
        return names, means * n / (n + 5.0)
    within = float(weight @ (y - means[index]) ** 2 / max(weight.sum() - len(names), 1.0))
    spread = float(n @ means**2 / n.sum())
    between = max(spread - within * len(names) / n.sum(), 1e-6)
    return names, means * n / (n + within / between)


def _spread(types: Ints, groups: Ints, rest: Floats, weight: Floats, sd: float) -> Floats:
    """Each type's own spread, worth as much as its visits against twelve of the company's."""
    index = np.searchsorted(types, groups)
    n = np.bincount(index, weight, len(types))
    squares = np.bincount(index, weight * rest**2, len(types))
    return np.asarray(np.sqrt((squares + 12.0 * sd**2) / (n + 12.0)))


def _looked_up(names: Ints, values: Floats, wanted: Ints, missing: float = 0.0) -> Floats:
    if len(names) == 0:
        return np.full(len(wanted), missing)
    at = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[at] == wanted, values[at], missing)


def _blended(values: Floats, prior: Floats, strength: float) -> Floats:
    """Empirical quantiles at LEVELS, leaning on the prior's while there are few values."""
    if len(values) == 0:
        return prior
    share = len(values) / (len(values) + strength)
    found = np.quantile(values, LEVELS)
    return np.maximum.accumulate(share * found + (1 - share) * prior)


def _pairs(days: Days) -> tuple[Ints, Ints]:
    """Rows with a finished row right before them on the same day: (before, after)."""
    row = np.arange(days.rows)
    first = np.zeros(days.rows, dtype=np.bool_)
    first[days.offset[:-1][np.diff(days.offset) > 0]] = True
    after = row[~first & ~np.isnan(days.arrived)]
    after = after[~np.isnan(days.finished[after - 1])]
    return after - 1, after


def _changeover(days: Days) -> float:
    """Median minutes between the end of a visit and the next arrival where the technician could not be earlier."""
    before, after = _pairs(days)
    tight = days.finished[before] + 10.0 > days.window_start[after]
    gaps = (days.arrived[after] - days.finished[before])[tight]
    return float(np.median(gaps)) if len(gaps) >= 20 else 0.0


def _starts(days: Days, changeover: float) -> tuple[Floats, Floats, Floats]:
    """Learn the start directly: lateness against how late the technician is free, in bins (forecast.md, 1)."""
    before, after = _pairs(days)
    known = nothing()
    travel = into(days, changeover)
    x = days.finished[before] + travel[after] - days.window_start[after]
    late = days.arrived[after] - days.window_start[after]
    sane = np.abs(late) < 480
    x, late = x[sane], late[sane]
    bins = min(MAX_BINS, len(x) // BIN_MIN)
    row = np.arange(days.rows)
    firsts = row[np.isin(row, days.offset[:-1]) & ~np.isnan(days.arrived)]
    first_late = days.arrived[firsts] - days.window_start[firsts]
    first = _blended(first_late[np.abs(first_late) < 480], PRIOR_START, 40.0)
    if bins < 2:
        return known.start_x, known.start, first
    order = np.argsort(x, kind="stable")
    xs, rows = [], []
    for part in np.array_split(order, bins):
        xs.append(float(np.median(x[part])))
        rows.append(_blended(late[part] - np.maximum(x[part], 0.0), PRIOR_START, 8.0))
    grid = np.asarray(xs)
    table = np.maximum(grid, 0.0)[:, None] + np.asarray(rows)
    return grid, np.maximum.accumulate(table, axis=0), first


def spread_of(learned: Learned, job_type: Ints, technician: Ints) -> tuple[Floats, Floats]:
    """Mean and spread of log(duration / planned) for visits of these types by these technicians."""
    mean = _looked_up(learned.types, learned.type_mean, job_type, learned.mean)
    sd = _looked_up(learned.types, learned.type_sd, job_type, learned.sd)
    return mean + _looked_up(learned.technicians, learned.technician_mean, technician), sd


def sample(learned: Learned, planned: Floats, mean: Floats, sd: Floats, u: Floats) -> Floats:
    """Durations in minutes [rows, samples] for uniform numbers u [rows or 1, samples]."""
    z = np.interp(u, LEVELS, learned.shape)
    return planned[:, None] * np.exp(mean[:, None] + sd[:, None] * z)


def left(
    learned: Learned, planned: Floats, mean: Floats, sd: Floats, elapsed: Floats, u: Floats
) -> tuple[Floats, Floats]:
    """Whole durations [rows, samples] of work that has run `elapsed` minutes, and how surprising that is [rows].

    The learned spread is cut off below `elapsed`; beyond everything ever seen the tail goes on exponentially, a quarter
    of the spread a time. The second value is the share of such jobs that are over by now.
    """
    z = (np.log(np.maximum(elapsed, 0.5) / planned) - mean) / sd
    over = np.interp(z, learned.shape, LEVELS, left=0.0, right=1.0)
    inside = over[:, None] + (1.0 - over[:, None]) * u
    drawn = planned[:, None] * np.exp(mean[:, None] + sd[:, None] * np.interp(inside, LEVELS, learned.shape))
    tail = elapsed[:, None] * np.exp(-0.25 * sd[:, None] * np.log(np.maximum(1.0 - u, 1e-4)))
    return np.maximum(drawn, np.where(over[:, None] > 0.97, tail, elapsed[:, None])), over
