"""Promises: kept by arriving in the window, broken by what happened, never by a guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from punctual.core import promise
from punctual.core.day import Standing

START = datetime(2026, 11, 24, 9, tzinfo=UTC)
DUE = START + timedelta(minutes=30)
VISIT = Standing()


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_a_window_is_kept_by_arriving_before_it_closes() -> None:
    assert promise.window(VISIT._replace(state="arrived", arrived_at=after(29)), DUE) == "kept"
    assert promise.window(VISIT._replace(state="arrived", arrived_at=after(30)), DUE) == "kept"


def test_a_window_is_broken_by_arriving_after_it_closed() -> None:
    assert promise.window(VISIT._replace(state="done", arrived_at=after(31), finished_at=after(80)), DUE) == "broken"


def test_a_window_stays_open_until_somebody_came() -> None:
    assert promise.window(VISIT, DUE) == "open"
    assert promise.window(VISIT._replace(state="on_my_way", on_my_way_at=after(50)), DUE) == "open"


def test_standing_at_the_door_in_time_keeps_the_window_though_nobody_was_home() -> None:
    assert promise.window(VISIT._replace(state="nobody_home", finished_at=after(20)), DUE) == "kept"
    assert promise.window(VISIT._replace(state="nobody_home", finished_at=after(40)), DUE) == "broken"


def test_a_cancelled_visit_has_no_broken_promise() -> None:
    assert promise.window(VISIT._replace(state="cancelled"), DUE) == "cancelled"


def test_a_promise_of_an_hour_is_reminded_half_way_and_passed_on_at_three_quarters() -> None:
    due = after(60)
    for minute, reminded, escalated, wanted in (
        (29, False, False, ""),
        (30, False, False, "remind"),
        (31, True, False, ""),
        (45, True, False, "escalate"),
        (46, True, True, ""),
        (60, True, True, ""),
        (61, True, True, "break"),
    ):
        assert promise.step(START, due, after(minute), reminded=reminded, escalated=escalated) == wanted, minute


def test_a_promise_of_a_week_is_reminded_a_day_before_and_passed_on_two_hours_before() -> None:
    due = START + timedelta(days=7)
    assert promise.remind_at(START, due) == due - timedelta(days=1)
    assert promise.escalate_at(START, due) == due - timedelta(hours=2)


def test_nothing_can_be_due_before_it_is_promised() -> None:
    with pytest.raises(ValueError, match="before it is made"):
        promise.step(DUE, START, START, reminded=False, escalated=False)


def test_after_a_first_broken_promise_more_is_heard_within_the_hour_then_a_day_later() -> None:
    at = START + timedelta(hours=1)
    assert promise.again(at, "Europe/London", lambda on: True, 0) == START + timedelta(hours=2)
    assert promise.again(at, "Europe/London", lambda on: True, 1) == START + timedelta(days=1)
    only_today = at.date().__eq__  # the schedule of tomorrow has not come yet
    assert promise.again(at, "Europe/London", only_today, 1) == START + timedelta(days=1)
    weekday = lambda on: on.weekday() < 5  # noqa: E731
    friday = datetime(2026, 11, 27, 17, 30, tzinfo=UTC)
    assert promise.again(friday, "Europe/London", weekday, 0) == datetime(2026, 11, 30, 9, tzinfo=UTC)


def test_minutes_over_count_from_what_was_promised() -> None:
    assert promise.minutes_over(DUE, after(45)) == 15
    assert promise.minutes_over(DUE, after(5)) == 0
