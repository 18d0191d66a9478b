"""The day with a visit put into it, as VROOM's plan mode has it: the same order, the same times."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from math import exp
from typing import Any

import numpy as np
import pytest

from punctual.core.day import Day, Visit, Window, minutes, pack
from punctual.core.duration import nothing
from punctual.core.forecast import forecast
from punctual.core.splice import New, with_each
from tests import walk
from tests.core.test_forecast_rules import vrooms
from tests.core.test_room import found, new

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
NONE = float("nan")


def open_day(seed: int) -> Day:
    """A random day in which no window makes anybody wait."""
    day = walk.random_day(seed, NOW)
    all_day = Window(day.shift.start, day.shift.end + timedelta(hours=5))
    return replace(day, visits=tuple(replace(v, window=all_day, deadline=None) for v in day.visits))


def with_break_due(day: Day) -> Day:
    """Its break only where the technician is free too late for it: before that VROOM would rest at another time."""
    if day.break_ is not None:
        before = [
            end
            for v, (_, end) in zip(day.visits, walk.mean(day, NOW), strict=True)
            if v.planned_start < day.break_.start
        ]
        after = any(v.planned_start >= day.break_.start for v in day.visits)
        if after and before and before[-1] >= day.break_.start:
            return day
    return replace(day, break_=None)


def cases(n: int) -> list[tuple[Day, Visit, Day]]:
    """Days, a visit for a free time of each, and the days with it."""
    made: list[tuple[Day, Visit, Day]] = []
    for seed in count():
        day, dice = open_day(seed), random.Random(seed)
        times = found(day, new(seed), 0.0)
        if times:
            start = dice.choice(times)
            visit = replace(new(seed), planned_start=start, window=day.shift)
            after = with_break_due(
                replace(day, visits=tuple(sorted((*day.visits, visit), key=lambda v: (v.planned_start, v.id))))
            )
            made.append((replace(day, break_=after.break_), visit, after))
        if len(made) == n:
            return made
    raise AssertionError("unreachable")


def asked(day: Day) -> dict[str, Any]:
    """What VROOM is asked: seconds; the technician's plan in its order."""
    places = [day.home, *(v.place for v in day.visits)]
    drives = [round(60 * walk.drive(a, b)) for a, b in pairwise(places)]
    works = [round(60 * v.planned_min * exp(walk.MEAN)) for v in day.visits]
    pause = None
    if day.break_ is not None:
        due = next(n for n, v in enumerate(day.visits) if v.planned_start >= day.break_.start)
        length = (day.break_.end - day.break_.start).total_seconds()
        pause = [due, int(day.break_.start.timestamp()), int(length)]
    return {"start": int(day.shift.start.timestamp()), "drives": drives, "works": works, "pause": pause}


def put(some: list[tuple[Day, Visit, Day]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean arrivals of the days into which the product has put the visit."""
    parts = []
    for day, v, _ in some:
        assert v.place is not None
        start = np.array([minutes(v.planned_start)])
        row = New(
            v.id, v.job_type, v.planned_min, v.place.lat, v.place.lon, 0, start,
            np.array([minutes(v.window.start)]), np.array([minutes(v.window.end)]), np.array([NONE]), False, {}, {},
        )  # fmt: skip
        both = with_each(pack([day]), np.array([0]), row)
        parts.append(forecast(both, nothing(), minutes(NOW)).mean_arrive[len(day.visits) :])
    return np.concatenate(parts)


@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_the_schedule_after_a_visit_is_put_in_is_vrooms_to_the_minute(n: int) -> None:
    some = cases(n)
    assert any(after.break_ for _, _, after in some) and any(len(after.visits) > 5 for _, _, after in some)
    theirs = vrooms([asked(after) for _, _, after in some]) / 60.0
    assert np.abs(put(some) - theirs).max() <= 1.0
    elsewhere = [(day, replace(v, planned_start=day.shift.end), after) for day, v, after in some]
    assert np.abs(put(elsewhere) - theirs).max() > 1.0, "another place in the day is seen"
