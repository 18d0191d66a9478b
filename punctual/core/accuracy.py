"""Forecasts against what happened: when the past is looked at, and what a threshold would have meant."""

from __future__ import annotations

from collections.abc import Sequence

#: Minutes before the planned start at which the past is forecast: when a live company would have looked.
LOOKS = (90.0, 60.0, 45.0, 30.0, 15.0)


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
