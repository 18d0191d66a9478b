"""Forecasts against what happened: forecasting the past, and the threshold a false-alarm budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned
from punctual.core.forecast import forecast

#: Minutes before the planned start at which the past is forecast: when a live company would have looked.
LOOKS = (90.0, 60.0, 45.0, 30.0, 15.0)
#: At most this many of the newest days are forecast again.
NEWEST_DAYS = 400


def known_by(days: Days, at: Floats) -> Days:
    """The days with only what had been reported by `at` [days] (minutes): the past as it looked then."""
    limit = np.repeat(at, np.diff(days.offset))

    def hidden(column: Floats) -> Floats:
        return np.where(column <= limit, column, np.nan)

    return replace(
        days,
        on_my_way=hidden(days.on_my_way),
        arrived=hidden(days.arrived),
        finished=hidden(days.finished),
        late_at=hidden(days.late_at),
    )


def taken(days: Days, which: Bools) -> Days:
    """Some of the days, whole."""
    rows = np.repeat(which, np.diff(days.offset))
    counts = np.diff(days.offset)[which]
    by_day = ("day_id", "technician", "shift_start", "shift_end", "break_start", "break_end", "home_lat", "home_lon")
    values: dict[str, Any] = {}
    for name in Days.__dataclass_fields__:
        if name == "offset":
            values[name] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        else:
            values[name] = getattr(days, name)[which if name in by_day else rows]
    return Days(**values)


def chances(days: Days, learned: Learned, threshold: float) -> tuple[Floats, Floats]:
    """For every row the highest chance of being late seen at LOOKS before its planned start, and its lateness (min).

    Each position of the day is looked at apart, so that every visit is seen with what was known then.
    """
    best = np.zeros(days.rows)
    counts = np.diff(days.offset)
    for k in range(int(counts.max(initial=0))):
        live = np.flatnonzero(counts > k)
        rows = days.offset[live] + k
        for h in LOOKS:
            at = np.full(len(days), -np.inf)
            at[live] = days.planned_start[rows] - h
            best[rows] = np.maximum(best[rows], _seen(days, learned, at, live, rows, threshold))
    return best, days.arrived - days.window_end


def _seen(days: Days, learned: Learned, at: Floats, live: Ints, rows: Ints, threshold: float) -> Floats:
    """The chance of being late of one row a day, each day looked at when its own `at` says."""
    out = np.zeros(len(rows))
    shift = at[live]
    moved = shifted(known_by(days, at), -at)
    which = np.zeros(len(days), dtype=np.bool_)
    which[live] = True
    made = forecast(taken(moved, which), learned, 0.0, threshold=threshold)
    counts = np.diff(days.offset)[live]
    position = rows - days.offset[live]
    out[:] = made.p_late[np.concatenate([[0], np.cumsum(counts)])[:-1] + position]
    started = days.arrived[rows] <= shift
    return np.where(started, 0.0, out)


def shifted(days: Days, by: Floats) -> Days:
    """Every time of day d moved by by[d] minutes, so that days of different dates can be looked at in one forecast."""
    rows = np.repeat(np.where(np.isfinite(by), by, 0.0), np.diff(days.offset))
    per_day = np.where(np.isfinite(by), by, 0.0)
    times = ("planned_start", "window_start", "window_end", "on_my_way", "arrived", "finished", "late_at", "deadline")
    moved = {name: getattr(days, name) + rows for name in times}
    moved |= {name: getattr(days, name) + per_day for name in ("shift_start", "shift_end", "break_start", "break_end")}
    return replace(days, **moved)


def calibrated(days: Days, learned: Learned, *, budget: float, threshold: float) -> float:
    """The lowest chance at which at most `budget` of the visits that were on time would have been warned; NaN without any."""
    newest = np.zeros(len(days), dtype=np.bool_)
    newest[np.argsort(days.shift_start)[-NEWEST_DAYS:]] = True
    past = taken(days, newest)
    best, lateness = chances(past, learned, threshold)
    on_time = np.sort(best[lateness <= threshold])
    if len(on_time) == 0:
        return float("nan")
    allowed = int(np.floor(budget * len(on_time)))
    edge = on_time[-allowed - 1] if allowed < len(on_time) else on_time[0]
    return float(min(max(edge + 1e-3, 0.2), 0.98))


def carried(before: Sequence[tuple[float, float, float, float]], at: float) -> float:
    """The lateness a technician is known to have at `at`, as "running late" tools show it (minutes, not negative).

    `before`: planned start and end, actual start and end of the visits before, in order; only what is past is used.
    """
    late = 0.0
    for plan_start, plan_end, start, end in before:
        if end <= at:
            late = end - plan_end
        elif start <= at:
            return max(0.0, start - plan_start, at - plan_end)
        else:
            return max(0.0, late, at - plan_start)
    return max(0.0, late)


def unwarned(lateness: Sequence[float], warned: Sequence[bool]) -> float:
    """Minutes beyond the planned start of customers who were not warned in time."""
    return float(sum(max(x, 0.0) for x, w in zip(lateness, warned, strict=True) if not w))


def false_alarms(lateness: Sequence[float], warned: Sequence[bool], late: float) -> float:
    """Share of the customers served on time who were warned."""
    on_time = [w for x, w in zip(lateness, warned, strict=True) if x <= late]
    return sum(on_time) / len(on_time) if on_time else 0.0


def recall(lateness: Sequence[float], warned: Sequence[bool], late: float) -> float:
    """Share of the late customers who were warned in time."""
    tardy = [w for x, w in zip(lateness, warned, strict=True) if x > late]
    return sum(tardy) / len(tardy) if tardy else 0.0


def threshold_at(lateness: Sequence[float], scores: Sequence[float], late: float, share: float) -> float:
    """The score above which at most that share of the customers served on time is warned."""
    on_time = sorted((y for x, y in zip(lateness, scores, strict=True) if x <= late), reverse=True)
    allowed = int(share * len(on_time) + 1e-9)
    return on_time[allowed] if allowed < len(on_time) else 0.0
