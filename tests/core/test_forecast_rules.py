"""What the forecast must always do: no delay makes anybody earlier, and the mean schedule is VROOM's."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual.core.day import Day, Days, Floats, Visit, Window, minutes, pack
from punctual.core.duration import Learned, nothing
from punctual.core.fit import fit
from punctual.core.fleet import fleet
from punctual.core.forecast import Forecast, forecast
from punctual.core.overdue import overdue
from punctual.core.splice import joined, only
from punctual.core.spread import SAMPLES, still_to_come
from punctual.core.start import known

PLAN = Path(__file__).with_name("vroom_plan.py")
BEGIN = datetime(2026, 9, 1, 8, tzinfo=UTC)
TOLERANCE = 1.0
#: VROOM counts in 32 bits.
EPOCH = 1_780_000_000


def past(seed: int, dates: int = 30, technicians: int = 6) -> Days:
    """A company's finished days: lateness that comes in waves, a type that starts late, long tails."""
    rng, days = np.random.default_rng(seed), []
    for d in range(dates):
        wave = rng.gamma(1.0, 4.0)
        for t in range(technicians):
            plan = free = BEGIN + timedelta(days=d)
            visits = []
            for k in range(6):
                kind = int(rng.integers(4))
                begin = max(plan, free) + timedelta(minutes=float(rng.gamma(1.0, wave) + 8 * (kind == 3)))
                end = begin + timedelta(minutes=45 * float(rng.lognormal(0.0, 0.3)))
                window = Window(plan, plan + timedelta(minutes=15))
                visits.append(Visit(k, kind, plan, 45, window, None, "done", None, begin, end))
                plan, free = plan + timedelta(minutes=60), end
            days.append(Day(d, t, plan.date(), Window(visits[0].planned_start, plan), tuple(visits)))
    return pack(days)


@lru_cache(maxsize=1)
def learned() -> Learned:
    """What such a company's history teaches."""
    days = past(1)
    found = fit(days, float(np.nanmax(days.finished)) + 60)
    assert np.any(found.shift.table), "circumstances were learned, so that they are tested"
    return found


def today(ends: Sequence[float], begins: float, *, running: bool) -> Days:
    """A day of six visits an hour apart: some over at these minutes after eight, the next one begun or not."""
    n = len(ends)
    visits = []
    for k in range(6):
        plan = BEGIN + timedelta(days=40, hours=k)
        came = plan if k < n or (running and k == n) else None
        if came is not None and k:
            came = max(came, BEGIN + timedelta(days=40, minutes=begins if k == n else ends[k - 1]))
        end = BEGIN + timedelta(days=40, minutes=ends[k]) if k < n else None
        state: Any = "done" if end else "arrived" if came else "planned"
        window = Window(plan, plan + timedelta(minutes=15))
        visits.append(Visit(k, k % 4, plan, 45, window, None, state, None, came, end))
    shift = Window(BEGIN + timedelta(days=40), BEGIN + timedelta(days=40, hours=7))
    return pack([Day(1, 1, date(2026, 10, 11), shift, tuple(visits))])


def later(long: Forecast, short: Forecast, rows: slice) -> bool:
    """Whether nobody of these rows is earlier in the first, in the mean schedule and in every told quantile."""
    pairs: list[tuple[Floats, Floats]] = [
        (long.mean_arrive, short.mean_arrive),
        (long.mean_finish, short.mean_finish),
        (long.arrive, short.arrive),
        (long.finish, short.finish),
    ]
    return all(bool(np.all(a[rows] >= b[rows] - TOLERANCE)) for a, b in pairs)


NOW = minutes(BEGIN + timedelta(days=40)) + 175


@settings(max_examples=80, deadline=None)
@given(st.floats(125, 174), st.floats(0, 90), st.floats(0, 90), st.booleans())
def test_a_visit_that_ended_later_makes_nobody_earlier(end: float, more: float, after: float, fitted: bool) -> None:
    """However overdue the next one is: that somebody free for long has not come must not read as bad news."""
    state = learned() if fitted else nothing()
    short, long = (today([45.0, 105.0, x], x, running=False) for x in (end, end + more))
    at = minutes(BEGIN + timedelta(days=40, minutes=end + more + after))
    assert later(forecast(long, state, at), forecast(short, state, at), slice(3, None))


@pytest.mark.parametrize("state", [nothing, learned])
def test_an_overdue_start_is_never_earlier_for_who_was_free_later_or_is_silent_for_longer(
    state: Callable[[], Learned],
) -> None:
    free, silent = (x.ravel() for x in np.meshgrid(np.arange(-50.0, 150.0, 7.0), np.arange(-29.0, 200.0, 7.0)))
    shape = (-1, len(np.arange(-50.0, 150.0, 7.0)), SAMPLES)
    told = overdue(state(), free, silent, np.maximum(free, silent)).reshape(shape)
    assert np.diff(told, axis=0).min() >= -0.01 and np.diff(told, axis=1).min() >= -0.01
    plain = known(state(), free)
    tail = np.maximum(3.0, 0.25 * (plain[:, -1] - plain[:, SAMPLES // 2]))
    cut = still_to_come(plain, silent, tail, state().forgotten).reshape(shape)
    assert np.diff(cut, axis=1).min() < -TOLERANCE, "what was learned alone says otherwise"


@settings(max_examples=30, deadline=None)
@given(st.floats(125, 174), st.booleans())
def test_a_visit_that_still_runs_makes_nobody_earlier_than_one_that_is_over(end: float, fitted: bool) -> None:
    state = replace(learned() if fitted else nothing(), forgotten=0.0)
    over, runs = today([45.0, 105.0, end], end, running=False), today([45.0, 105.0], 120.0, running=True)
    assert later(forecast(runs, state, NOW), forecast(over, state, NOW), slice(3, None))


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 200), st.floats(0, 60), st.booleans(), st.booleans())
def test_waiting_longer_for_the_end_or_start_of_a_visit_makes_nobody_earlier(
    now: float, more: float, running: bool, fitted: bool
) -> None:
    days, state = today([45.0], 60.0, running=running), learned() if fitted else nothing()
    first, second = (forecast(days, state, NOW - 110 + x) for x in (now, now + more))
    assert later(second, first, slice(1, None))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 90), st.integers(0, 90))
def test_a_longer_announced_delay_makes_nobody_earlier(said: int, more: int) -> None:
    days = today([45.0], 60.0, running=True)
    row, at = np.arange(days.rows) == 1, np.where(np.arange(days.rows) == 1, NOW - 60, np.nan)
    made = [
        forecast(replace(days, late_min=np.where(row, x, 0.0), late_at=at), learned(), NOW) for x in (said, said + more)
    ]
    assert later(made[1], made[0], slice(1, None))


def test_what_was_learned_is_told_with_everybody_and_without() -> None:
    days = today([45.0], 60.0, running=True)
    bad = past(2, dates=1)
    late = replace(bad, arrived=bad.arrived + 40)
    calm, storm = (
        forecast(days, learned(), NOW, others=fleet(replace(x, planned_start=x.planned_start + 40 * 1440.0,
                                                          arrived=x.arrived + 40 * 1440.0)))
        for x in (replace(bad, arrived=bad.planned_start), late)
    )  # fmt: skip
    assert storm.p_late[3] > calm.p_late[3], "a bad day for everybody is a worse day for this one"


def random_days(n: int) -> tuple[Days, Floats, list[dict[str, Any]]]:
    """Days in which nobody waits: windows open at once, breaks fall due before the technician is free."""
    rng, days, travel, asked = random.Random(7), [], [], []
    for d in range(n):
        start = BEGIN + timedelta(minutes=rng.randrange(120))
        shift = Window(start, start + timedelta(hours=12))
        works, drives = ([rng.randrange(a, b) for _ in range(rng.randrange(1, 9))] for a, b in ((10, 120), (3, 40)))
        n_ = min(len(works), len(drives))
        works, drives = works[:n_], drives[:n_]
        plan = [start + timedelta(minutes=60 * k) for k in range(n_)]
        visits = [Visit(k, 1, plan[k], works[k], shift, None) for k in range(n_)]
        pause, rest = None, None
        if n_ > 2 and rng.random() < 0.5:
            free = start + timedelta(minutes=sum(works[:2]) + sum(drives[:2]))
            begins = min(free, plan[2]) - timedelta(minutes=1)
            if begins > plan[1]:
                rest = Window(begins, begins + timedelta(minutes=30))
                pause = [2, int(begins.timestamp()), 1800]
        days.append(Day(d, 1, start.date(), shift, tuple(visits), rest))
        travel += [float(x) for x in drives]
        seconds = {"drives": [60 * x for x in drives], "works": [60 * x for x in works], "pause": pause}
        asked.append({"start": int(start.timestamp()), **seconds})
    return pack(days, travel), np.asarray(travel), asked


def vrooms(asked: list[dict[str, Any]]) -> Floats:
    """When VROOM's plan mode reaches each stop of some days; seconds since 1970."""
    lines = "\n".join(json.dumps({**day, "start": day["start"] - EPOCH, "pause": _moved(day)}) for day in asked)
    told = subprocess.run([sys.executable, str(PLAN)], input=lines, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    return np.array([t for line in told.stdout.splitlines() for t in json.loads(line)]) + float(EPOCH)


@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_the_mean_schedule_is_vrooms_to_the_minute(n: int) -> None:
    days, _, asked = random_days(n)
    theirs = vrooms(asked)
    exact = replace(nothing(), mean=0.0)
    ours = forecast(days, exact, minutes(BEGIN) - 600).mean_arrive
    assert np.abs(ours - theirs / 60).max() <= 1.0
    slower = forecast(days, replace(exact, mean=0.1), minutes(BEGIN) - 600).mean_arrive
    assert np.abs(slower - theirs / 60).max() > 1.0, "another duration is seen"


def _moved(day: dict[str, Any]) -> list[int] | None:
    pause = day["pause"]
    return None if pause is None else [pause[0], pause[1] - EPOCH, pause[2]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=9), st.floats(0, 40), st.booleans())
def test_a_day_is_forecast_the_same_alone_and_among_others(over: list[int], late: float, fitted: bool) -> None:
    ends = [float(late + 50 + 60 * k) for k in range(6)]
    each = [today(ends[:n], float(60 * n + late), running=i % 2 == 1) for i, n in enumerate(over)]
    days = joined([(day, np.arange(len(day))) for day in each])
    now, fleet_ = minutes(BEGIN + timedelta(days=40, minutes=60 * max(over) + late)), fleet(days)
    state = learned() if fitted else nothing()
    whole = forecast(days, state, now, others=fleet_)
    for d in range(len(days)):
        alone = forecast(only(days, np.array([d])), state, now, others=fleet_)
        rows = slice(days.offset[d], days.offset[d + 1])
        for name in ("arrive", "finish", "mean_arrive", "mean_finish", "p_late", "p_window"):
            assert np.array_equal(getattr(alone, name), getattr(whole, name)[rows])
        assert np.array_equal(alone.expected_report, whole.expected_report[d : d + 1], equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 400), st.booleans())
def test_the_plain_numbers_of_one_day_are_the_columns_of_many(rng: random.Random, now: int, fitted: bool) -> None:
    days, _, _ = random_days(20)
    at = days.planned_start.min() + now

    def some(share: float, before: float) -> Floats:
        told = [at - rng.uniform(0, before) if rng.random() < share else np.nan for _ in range(days.rows)]
        return np.asarray(told)

    arrived, said = some(0.2, 200), some(0.2, 100)
    ended = np.where((rng.random() < 0.5) & ~np.isnan(arrived), np.minimum(arrived + 30, at), np.nan)
    late = np.where(np.isnan(said), 0.0, 30.0)
    days = replace(days, arrived=arrived, finished=ended, on_my_way=some(0.2, 60), late_at=said, late_min=late)
    state = learned() if fitted else nothing()
    whole = forecast(days, state, at)
    for d in range(len(days)):
        alone, rows = forecast(only(days, np.array([d])), state, at), slice(days.offset[d], days.offset[d + 1])
        for name in ("mean_arrive", "mean_finish", "arrive", "finish", "p_late"):
            assert np.array_equal(getattr(alone, name), getattr(whole, name)[rows])
