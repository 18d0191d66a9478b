"""How long a job takes, and everything else that history taught: on the log scale, shrunk, robust, honest without history."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from punctual.core.additive import Additive
from punctual.core.day import Days, Floats, Ints
from punctual.core.spread import LEVELS, NORMAL, STRATA, blended, looked_up, shrunk

#: Built-in priors: log of duration over plan of a kind of work nobody has seen yet.
PRIOR_MEAN, PRIOR_SD = 0.05, 0.35
#: Minutes of lateness of a start that nothing forces, at LEVELS, before there is history.
PRIOR_START: Floats = np.maximum(NORMAL * 4.0, -3.0) + np.exp(np.maximum(NORMAL, 0.0)) - 1.0
#: A technician's own "+30" before any was seen: right on average, this sure on the log scale.
PRIOR_OWN_SD = 0.1
#: Share of reports never made, before any history, and how many visits that belief weighs.
PRIOR_FORGOTTEN, FORGOTTEN_WEIGHT = 0.05, 50.0
#: Half of what was learned is forgotten after this many days.
HALF_LIFE_DAYS = 120.0


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What history taught. Log scale: log(duration / planned).

    types/type_mean/type_sd: by job type. technicians/technician_mean: added to the type's mean. mean/sd: of a type or a
    technician nobody has seen. shape [101]: standardised residuals at LEVELS. start_x [B]: minutes by which the
    technician is free too late for the planned start; start [B, 101]: minutes after it at which they start, for each;
    first [101]: the same for a day's first visit. type_start, place_start, technician_start: minutes by which starts of
    a type, at a place, of a technician are later than that. changeover: minutes between two visits without places;
    drive: factor on estimated travel. own_mean/own_sd: log of the whole duration over what a technician said it would
    be. forgotten: share of reports that are never tapped. shift, spread: what today's circumstances do to the level at
    which a visit starts, and to the log of the range's width. calm [101]: what is left.
    visits: how many taught this.
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
    type_start: Floats
    places: Ints
    place_start: Floats
    technician_start: Floats
    changeover: float
    drive: float
    own_mean: float
    own_sd: float
    forgotten: float
    shift: Additive
    spread: Additive
    calm: Floats
    visits: int

    def to_bytes(self) -> bytes:
        """The state as a NumPy archive."""
        out = io.BytesIO()
        kept: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Additive):
                kept |= {f"{f.name}.{part.name}": np.asarray(getattr(value, part.name)) for part in fields(value)}
            else:
                kept[f.name] = np.asarray(value)
        np.savez_compressed(out, **kept)
        return out.getvalue()


def from_bytes(data: bytes) -> Learned:
    """The inverse of to_bytes; ValueError when the archive is of another format."""
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        try:
            values: dict[str, Any] = {}
            for f in fields(Learned):
                if f.name in ("shift", "spread"):
                    values[f.name] = Additive(*(kept[f"{f.name}.{part.name}"] for part in fields(Additive)))
                else:
                    values[f.name] = kept[f.name]
        except KeyError as error:
            raise ValueError("What was learned was written by another version; run `punctual learn --all`.") from error
    for name, value in values.items():
        if not isinstance(value, Additive) and value.ndim == 0:
            values[name] = value.item()
    return Learned(**values)


@lru_cache(maxsize=1)
def nothing() -> Learned:
    """Built-in priors: what is forecast before there is any history."""
    empty, none = np.empty(0), np.empty(0, dtype=np.int64)
    x = np.array([-30.0, 0.0, 30.0])
    start = np.maximum(x, 0.0)[:, None] + PRIOR_START[None, :] * np.array([1.0, 1.0, 1.2])[:, None]
    return Learned(
        types=none, type_mean=empty, type_sd=empty, technicians=none, technician_mean=empty,
        mean=PRIOR_MEAN, sd=PRIOR_SD, shape=NORMAL,
        start_x=x, start=np.maximum.accumulate(start, axis=0), first=PRIOR_START,
        type_start=empty, places=none, place_start=empty, technician_start=empty,
        changeover=0.0, drive=1.0, own_mean=0.0, own_sd=PRIOR_OWN_SD, forgotten=PRIOR_FORGOTTEN,
        shift=Additive.none(), spread=Additive.none(), calm=NORMAL,
        visits=0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Durations:
    """The part of Learned that is about durations."""

    types: Ints
    type_mean: Floats
    type_sd: Floats
    technicians: Ints
    technician_mean: Floats
    mean: float
    sd: float
    shape: Floats


def weights(days: Days, at: float) -> Floats:
    """Weight of every row in learning: halved every HALF_LIFE_DAYS, 1 for what is not over."""
    age = np.where(np.isnan(days.finished), 0.0, at - days.finished)
    return np.asarray(0.5 ** (np.maximum(age, 0.0) / (HALF_LIFE_DAYS * 1440.0)))


def durations(days: Days, use: Ints, weight: Floats) -> Durations:
    """Learn from the rows `use`, each arrived at and finished; shrinkage strength is estimated from the data.

    Durations are clipped to a factor of four around plan, so that a tap forgotten until the evening teaches nothing
    absurd.
    """
    y = np.clip(np.log((days.finished - days.arrived)[use] / days.planned_min[use]), -1.4, 1.4)
    w = weight[use]
    technician = np.repeat(days.technician, days.counts)[use]
    prior_n = 10.0
    mean = float((w @ y + prior_n * PRIOR_MEAN) / (w.sum() + prior_n))
    types, type_mean = shrunk(days.job_type[use], y - mean, w)
    rest = y - mean - looked_up(types, type_mean, days.job_type[use])
    technicians, technician_mean = shrunk(technician, rest, w)
    rest = rest - looked_up(technicians, technician_mean, technician)
    sd = float(np.sqrt((w @ rest**2 + prior_n * PRIOR_SD**2) / (w.sum() + prior_n)))
    type_sd = _spread(types, days.job_type[use], rest, w, sd)
    shape = blended(rest / looked_up(types, type_sd, days.job_type[use]), NORMAL, 200.0)
    return Durations(types, mean + type_mean, type_sd, technicians, technician_mean, mean, sd, shape)


def _spread(types: Ints, groups: Ints, rest: Floats, weight: Floats, sd: float) -> Floats:
    """Each type's own spread, worth as much as its visits against twelve of the company's."""
    index = np.searchsorted(types, groups)
    n = np.bincount(index, weight, len(types))
    squares = np.bincount(index, weight * rest**2, len(types))
    return np.asarray(np.sqrt((squares + 12.0 * sd**2) / (n + 12.0)))


def own_figure(days: Days, use: Ints, weight: Floats) -> tuple[float, float]:
    """How right "+30" was: mean and spread of log(whole duration / what was said), leaning on ten built-in ones."""
    said = use[(days.late_at[use] >= days.arrived[use]) & (days.late_min[use] > 0)]
    took = (days.finished - days.arrived)[said]
    y = np.clip(np.log(took / (days.planned_min[said] + days.late_min[said])), -1.4, 1.4)
    n, prior_n = float(weight[said].sum()), 10.0
    mean = float(weight[said] @ y) / (n + prior_n)
    squares = float(weight[said] @ (y - mean) ** 2) + prior_n * PRIOR_OWN_SD**2
    return mean, float(np.sqrt(squares / (n + prior_n)))


def forgotten_share(days: Days) -> float:
    """Share of visits whose end was never reported although the next one began, leaning on the built-in belief."""
    day_of = days.day_of
    before = np.flatnonzero(day_of[1:] == day_of[:-1])
    told = before[~np.isnan(days.arrived[before]) & ~np.isnan(days.arrived[before + 1])]
    lost = float(np.isnan(days.finished[told]).sum())
    return (lost + FORGOTTEN_WEIGHT * PRIOR_FORGOTTEN) / (len(told) + FORGOTTEN_WEIGHT)


def spread_of(learned: Learned, job_type: Ints, technician: Ints) -> tuple[Floats, Floats]:
    """Mean and spread of log(duration / planned) for visits of these types by these technicians."""
    mean = looked_up(learned.types, learned.type_mean, job_type, learned.mean)
    sd = looked_up(learned.types, learned.type_sd, job_type, learned.sd)
    return mean + looked_up(learned.technicians, learned.technician_mean, technician), sd


def usual(learned: Learned, planned: float, job_type: int, technician: int) -> tuple[float, float]:
    """Between how many minutes and how many eight of ten such visits take."""
    mean, sd = spread_of(learned, np.array([job_type]), np.array([technician]))
    low, high = np.interp((0.1, 0.9), LEVELS, learned.shape)
    return planned * float(np.exp(mean[0] + sd[0] * low)), planned * float(np.exp(mean[0] + sd[0] * high))


@lru_cache(maxsize=8)
def shape_of(learned: Learned) -> Floats:
    """The standardised residuals of durations at STRATA."""
    return np.asarray(np.interp(STRATA, LEVELS, learned.shape))


__all__ = ["LEVELS", "Learned", "durations", "from_bytes", "nothing", "shape_of", "spread_of", "usual"]
