"""Promises: kept by arriving in the window, broken by what happened, never by a guess."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from punctual.core import promise
from punctual.core.day import Visit, Window

START = datetime(2026, 11, 24, 9, tzinfo=UTC)
DUE = START + timedelta(minutes=30)
VISIT = Visit(1, 1, START, 60.0, Window(START, DUE), None)


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_a_window_is_kept_by_arriving_before_it_closes() -> None:
    assert promise.window(replace(VISIT, state="arrived", arrived_at=after(29)), DUE) == "kept"
    assert promise.window(replace(VISIT, state="arrived", arrived_at=after(30)), DUE) == "kept"


def test_a_window_is_broken_by_arriving_after_it_closed() -> None:
    assert promise.window(replace(VISIT, state="done", arrived_at=after(31), finished_at=after(80)), DUE) == "broken"


def test_a_window_stays_open_until_somebody_came() -> None:
    assert promise.window(VISIT, DUE) == "open"
    assert promise.window(replace(VISIT, state="on_my_way", on_my_way_at=after(50)), DUE) == "open"


def test_standing_at_the_door_in_time_keeps_the_window_though_nobody_was_home() -> None:
    assert promise.window(replace(VISIT, state="nobody_home", finished_at=after(20)), DUE) == "kept"
    assert promise.window(replace(VISIT, state="nobody_home", finished_at=after(40)), DUE) == "broken"


def test_a_cancelled_visit_has_no_broken_promise() -> None:
    assert promise.window(replace(VISIT, state="cancelled"), DUE) == "cancelled"


def test_a_call_is_kept_when_made_in_time_and_broken_when_due_has_passed() -> None:
    assert promise.call(START, DUE, after(10)) == "open"
    assert promise.call(START, DUE, after(31)) == "broken"
    assert promise.call(START, DUE, after(50), called_at=after(20)) == "kept"
    assert promise.call(START, DUE, after(50), called_at=after(40)) == "broken"
    with pytest.raises(ValueError, match="before it is promised"):
        promise.call(DUE, START, DUE)


def test_an_open_window_is_at_risk_by_its_chance_and_an_open_call_by_the_clock() -> None:
    assert promise.standing("window", "open", DUE, START, chance=0.79, limit=0.8) == "open"
    assert promise.standing("window", "open", DUE, START, chance=0.8, limit=0.8) == "at_risk"
    assert promise.standing("call", "open", DUE, after(14)) == "open"
    assert promise.standing("call", "open", DUE, after(15)) == "at_risk"
    assert promise.standing("call", "open", DUE, after(31)) == "overdue"
    assert promise.standing("window", "kept", DUE, after(31)) == "kept"


def test_minutes_over_count_from_what_was_promised() -> None:
    assert promise.minutes_over(DUE, after(45)) == 15
    assert promise.minutes_over(DUE, after(5)) == 0
