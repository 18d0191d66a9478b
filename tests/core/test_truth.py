"""What was told and what is true now: every contradiction is found, and what will be done about it is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from punctual.core.day import Window
from punctual.core.policy import Rules
from punctual.core.truth import Standing, differences

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
RULES = Rules()


def span(minutes: float, long: float = 30) -> Window:
    return Window(NINE + timedelta(minutes=minutes), NINE + timedelta(minutes=minutes + long))


def arrives(minutes: float) -> tuple[datetime, datetime, datetime]:
    middle = NINE + timedelta(minutes=minutes)
    return middle - timedelta(minutes=10), middle, middle + timedelta(minutes=10)


TOLD = Standing("planned", span(0), NINE, arrives(5), told=span(0), entry=span(0))


def found(x: Standing) -> list[tuple[str, str]]:
    return [(f.what, f.action) for f in differences(x, RULES)]


def test_what_agrees_is_silent() -> None:
    assert found(TOLD) == []
    assert found(replace(TOLD, told=None, entry=None)) == [], "an imported window counts as told elsewhere"


def test_a_visit_that_was_moved_without_a_word_is_found() -> None:
    moved = replace(TOLD, window=span(120), planned_start=NINE + timedelta(minutes=120), arrive=None)
    assert found(moved) == [("window", "call")]
    assert found(replace(moved, pending={"moved_by_us"})) == [("window", "waiting")]
    assert found(replace(moved, pending={"reminder"})) == [("window", "call")], "a reminder does not say that it moved"


def test_a_calendar_entry_that_stayed_behind_is_found() -> None:
    texted = replace(TOLD, told=span(120), window=span(120), planned_start=NINE + timedelta(minutes=120), arrive=None)
    assert found(texted) == [("calendar", "call")]


def test_a_plan_after_the_promise_is_found() -> None:
    late = replace(TOLD, planned_start=NINE + timedelta(minutes=31), arrive=None)
    assert found(late) == [("plan", "call")]
    assert found(replace(late, arrive=arrives(35))) == [("plan", "watched")]


@pytest.mark.parametrize(
    ("silence", "until", "action"),
    [
        ("below_limit", None, "watched"),
        ("second_look", NINE, "later"),
        ("too_soon", NINE, "later"),
        ("night", None, "watched"),
        ("cap", None, "call"),
        ("no_channel", None, "call"),
        ("held", None, "held"),
        ("storm", None, "held"),
    ],
)
def test_a_told_range_that_no_longer_holds_says_what_will_be_done(
    silence: str, until: datetime | None, action: str
) -> None:
    x = replace(TOLD, eta=span(30), arrive=arrives(90), silence=silence, until=until)
    assert found(x) == [("forecast", action)]
    assert found(replace(x, pending={"late_update"})) == [("forecast", "waiting")]


def test_a_range_that_moved_by_less_than_is_worth_a_message_holds() -> None:
    assert found(replace(TOLD, eta=span(30), arrive=arrives(75))) == []
    assert found(replace(TOLD, eta=span(30), arrive=arrives(76))) == [("forecast", "watched")]


def test_a_cancellation_nobody_told_is_found() -> None:
    gone = replace(TOLD, state="cancelled")
    assert found(gone) == [("cancelled", "call")]
    assert found(replace(gone, pending={"cancelled_us"})) == [("cancelled", "waiting")]
    assert found(replace(gone, told_cancelled=True)) == []
    assert found(replace(gone, told=None, entry=None)) == [], "who was told nothing expects nobody"


@pytest.mark.parametrize("state", ["arrived", "done", "nobody_home", "cannot_finish"])
def test_a_visit_under_way_or_over_contradicts_nothing(state: str) -> None:
    assert found(replace(TOLD, state=state, window=span(120))) == []
