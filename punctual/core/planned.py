"""What follows from the plan and from what was learned alone: drives and how long work takes, remembered for one day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from punctual.core.day import Days, Floats, Ints
from punctual.core.duration import Learned, shape_of, spread_of
from punctual.core.spread import SAMPLES, Singles, order
from punctual.core.start import travelled

#: Days remembered: a technician's day is looked at again at every tap, and its plan has seldom changed.
REMEMBERED = 256


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Columns [rows]: minutes of travel into each visit; mean and spread of the log of its work - `middle` and `spread` as
    columns of singles, ready to meet samples -, and how long it takes on average; `opens`: the earliest start, minutes
    since 1970. breaks: whether any technician has one."""

    travel: Floats
    sd: Floats
    expected: Floats
    middle: Singles
    spread: Singles
    opens: Floats
    breaks: bool


def planned(days: Days, learned: Learned) -> Plan:
    """The plan of some days."""
    return _remembered(_Sameness(days), learned) if len(days) == 1 else _made(days, learned)


def _made(days: Days, learned: Learned) -> Plan:
    day_of = days.day_of
    mean, sd = spread_of(learned, days.job_type, days.technician[day_of])
    middle = mean + np.log(days.planned_min)
    travel, opens = travelled(days, learned.changeover, learned.drive), days.window_start
    if np.count_nonzero(days.early_ok):
        opens = np.where(days.early_ok, days.shift_start[day_of] + travel, opens)
    return Plan(
        travel, sd, days.planned_min * np.exp(mean), middle.astype(np.float32)[:, None], sd.astype(np.float32)[:, None],
        opens, bool(np.count_nonzero(np.isfinite(days.break_start))),
    )  # fmt: skip


class _Sameness:
    """Days that are the same if all is that a plan follows from."""

    __slots__ = ("days", "key")

    def __init__(self, days: Days) -> None:
        self.days = days
        columns = (
            days.technician, days.shift_start, days.break_start, days.home_lat, days.home_lon, days.job_type,
            days.planned_min, days.window_start, days.lat, days.lon, days.early_ok, days.travel,
        )  # fmt: skip
        self.key = b"".join([column.tobytes() for column in columns])

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sameness) and self.key == other.key


@lru_cache(maxsize=REMEMBERED)
def _remembered(same: _Sameness, learned: Learned) -> Plan:
    return _made(same.days, learned)


@dataclass(frozen=True, slots=True)
class Work:
    """How long work takes [n, SAMPLES], minutes, in the order in which it meets the arrivals: singles, and the same to be
    added to arrivals - as doubles for one day, where every conversion costs a call's half; as they are for many, where
    memory does."""

    singles: Singles
    added: Floats | Singles


def work(learned: Learned, plan: Plan, row: Ints, position: Ints, chains: int) -> Work:
    """The work at positions [n] of so many chains, rows [n]."""
    if chains == 1:
        return _remembered_work(learned, plan, int(row[0]), len(row))
    lasts = _lasts(learned, plan, row, position, int(position.max(initial=-1)) + 1)
    return Work(lasts, lasts)


@lru_cache(maxsize=REMEMBERED)
def _remembered_work(learned: Learned, plan: Plan, first: int, n: int) -> Work:
    position = np.arange(n)
    lasts = _lasts(learned, plan, first + position, position, n)
    return Work(lasts, lasts.astype(np.float64))


def _lasts(learned: Learned, plan: Plan, row: Ints, position: Ints, positions: int) -> Singles:
    lasts = _shapes(learned, positions)[position]
    lasts *= plan.spread[row]
    lasts += plan.middle[row]
    return np.asarray(np.exp(lasts, out=lasts))


@lru_cache(maxsize=64)
def _shapes(learned: Learned, positions: int) -> Singles:
    """The shape of the spread of work, in the order in which it meets the arrivals at each position."""
    shape = shape_of(learned).astype(np.float32)
    return (
        np.stack([shape[order(2 * k + 1)] for k in range(positions)])
        if positions
        else np.empty((0, SAMPLES), shape.dtype)
    )
