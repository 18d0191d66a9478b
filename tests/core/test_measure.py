"""Measuring: causes add up to the minutes waited, chances and ranges are judged by what happened."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from punctual.core import accuracy
from punctual.core.day import Day, Days, Place, Visit, Window, pack
from punctual.core.measure import (
    CAUSES,
    causes,
    forward,
    held,
    overall,
    reliability,
    same_alarms,
    warned,
)
from tests.build import wall

HERE = Place(51.46, -2.59)


def made(*visits: tuple[str, float, str, str], rest: str = "") -> Days:
    """Visits as (planned start, minutes, arrived, finished); windows are 15 minutes long; one place after the other."""
    stops = []
    for i, (start, long, came, went) in enumerate(visits):
        begin = wall(start)
        stops.append(
            Visit(
                i + 1, 1, begin, long, Window(begin, begin + timedelta(minutes=15)), HERE,
                "done", None, wall(came), wall(went),
            )
        )  # fmt: skip
    return pack([Day(1, 1, date(2026, 11, 24), Window(wall("08:00"), wall("17:00")), tuple(stops))])


def split(days: Days, row: int, lost: dict[int, float] | None = None) -> dict[str, float]:
    minutes = np.asarray([(lost or {}).get(r, 0.0) for r in range(days.rows)])
    found = causes(days, minutes)
    past = np.maximum(days.arrived - days.window_end, 0.0)
    assert found.sum(axis=1) == pytest.approx(past), "the parts add up to the minutes waited"
    return {name: round(x, 1) for name, x in zip(CAUSES, found[row], strict=True) if round(x, 1)}


def test_an_overrun_of_the_visit_before_is_its_cause() -> None:
    days = made(("09:00", 60, "09:00", "10:45"), ("10:00", 60, "10:45", "11:45"))
    assert split(days, 1) == {"previous": 30.0}


def test_what_such_visits_always_take_is_the_plans_cause() -> None:
    days = made(*[(f"{h:02}:00", 45, f"{h:02}:00", f"{h + 1:02}:15") for h in (8, 10, 12, 14)],
                ("16:00", 45, "16:00", "17:15"), ("16:45", 45, "17:15", "18:30"))  # fmt: skip
    assert split(days, 5) == {"planning": 15.0}


def test_slack_swallows_before_lateness_is_carried_on() -> None:
    days = made(("09:00", 60, "09:00", "10:45"), ("10:30", 60, "10:45", "11:45"), ("11:30", 30, "11:46", "12:16"))
    assert split(days, 1) == {} and set(split(days, 2)) <= {"previous", "travel"}


def test_a_visit_nobody_could_finish_is_the_customers_part() -> None:
    days = made(("09:00", 60, "09:00", "10:00"), ("10:00", 60, "10:40", "11:40"))
    assert split(days, 1, {1: 25.0}) == {"customer": 15.6, "travel": 9.4}


def test_a_late_start_of_somebody_who_was_free_is_its_own_cause() -> None:
    days = made(("09:00", 30, "09:00", "09:30"), ("11:00", 60, "11:40", "12:40"))
    assert split(days, 1) == {"own": 25.0}


def test_carrying_the_delay_forward_sees_what_a_tool_of_that_kind_would() -> None:
    days = made(
        ("09:00", 60, "09:05", "10:20"), ("10:30", 60, "10:50", "12:10"), ("11:30", 45, "12:15", "13:00"),
        ("14:00", 30, "14:00", "14:30"),
    )  # fmt: skip
    plan_end = days.planned_start + days.planned_min
    for ahead in (15.0, 30.0):
        known = forward(days, ahead)
        for r in range(1, 4):
            before = [
                tuple(float(c[j]) for c in (days.planned_start, plan_end, days.arrived, days.finished))
                for j in range(r)
            ]
            times = np.arange(days.planned_start[r] - 90, days.planned_start[r] - ahead + 0.1, 5)
            assert known[r] == max(accuracy.carried(before, float(t)) for t in times)  # type: ignore[arg-type]
        assert known[0] == 0


def test_customers_are_counted_by_what_a_warning_was_worth() -> None:
    lateness = np.array([0.0, 5.0, 20.0, 30.0, 40.0])
    told, in_time = np.array([True, False, True, True, False]), np.array([True, False, True, False, False])
    found = warned(lateness, told, in_time, 15)
    assert (found.visits, found.late, found.in_vain, found.too_late, found.unwarned) == (5, 3, 1, 1, 1)
    assert found.in_time == pytest.approx(1 / 3) and found.false_alarms == 0.5 and found.minutes == 75
    nobody = warned(np.empty(0), np.empty(0, bool), np.empty(0, bool), 15)
    assert nobody.in_time is None and nobody.false_alarms is None and nobody.minutes == 0


def test_the_other_way_is_judged_at_the_same_false_alarms() -> None:
    lateness, known = np.array([0.0] * 10 + [30.0]), np.arange(11.0)
    chosen = same_alarms(known, lateness, 15, 0.2)
    assert chosen[:10].sum() == 2 and chosen[10]


def test_honest_chances_lie_on_the_line_and_others_do_not() -> None:
    rng = np.random.default_rng(3)
    said = rng.uniform(size=20_000)
    honest = reliability(said, rng.uniform(size=20_000) < said)
    assert all(t.low - 0.02 <= t.said <= t.high + 0.02 for t in honest) and sum(t.visits for t in honest) == 20_000
    boasting = reliability(said, rng.uniform(size=20_000) < said / 2)
    assert boasting[9].high < boasting[9].said - 0.3


def test_ranges_are_judged_by_how_far_ahead_they_were_told() -> None:
    ahead = np.array([100.0, 60.0, 50.0, 10.0])
    found = held(ahead, np.zeros(4), np.full(4, 30.0), np.array([10.0, 40.0, 30.0, 5.0]))
    assert [(h.ahead, h.ranges, h.share) for h in found] == [(120, 1, 1.0), (60, 2, 0.5), (30, 0, None), (15, 1, 1.0)]
    assert overall(found) == 0.75 and overall([]) is None
