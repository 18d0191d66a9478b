"""Reports that contradict what is known get a sentence; the others none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from punctual.core.day import Standing
from punctual.core.report import clock, impossible

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
PLANNED = Standing()
AWAY = PLANNED._replace(state="on_my_way", on_my_way_at=NINE)
THERE = AWAY._replace(state="arrived", arrived_at=NINE + timedelta(minutes=20))
DONE = THERE._replace(state="done", finished_at=NINE + timedelta(minutes=80))
LATER = NINE + timedelta(minutes=90)


@pytest.mark.parametrize(
    ("visit", "kind"),
    [
        (PLANNED, "on_my_way"),
        (PLANNED, "arrived"),
        (PLANNED, "late"),
        (AWAY, "arrived"),
        (AWAY, "late"),
        (AWAY, "nobody_home"),
        (THERE, "late"),
        (THERE, "done"),
        (THERE, "cannot_finish"),
        (THERE, "nobody_home"),
    ],
)
def test_a_day_in_its_order_has_no_objection(visit: Standing, kind: str) -> None:
    assert impossible(visit, kind, LATER, "Europe/London") == ""


@pytest.mark.parametrize(
    ("visit", "kind", "words"),
    [
        (PLANNED, "done", "Arrived"),
        (PLANNED, "cannot_finish", "Arrived"),
        (PLANNED, "nobody_home", "On my way"),
        (AWAY, "on_my_way", "already on your way"),
        (AWAY, "done", "Arrived"),
        (THERE, "arrived", "at 9:20"),
        (THERE, "on_my_way", "at 9:20"),
        (DONE, "late", "already done"),
        (DONE, "done", "already done"),
        (DONE._replace(state="nobody_home"), "arrived", "nobody home"),
    ],
)
def test_a_report_out_of_order_is_answered_with_what_is_known(visit: Standing, kind: str, words: str) -> None:
    sentence = impossible(visit, kind, LATER, "Europe/London")
    assert words in sentence
    assert sentence.endswith(".")


def test_an_end_tapped_before_its_beginning_names_the_beginning_in_local_time() -> None:
    assert "at 10:20" in impossible(THERE, "done", NINE, "Europe/Berlin")
    assert impossible(THERE, "late", NINE, "Europe/Berlin") == "", "a late tap may be history"


def test_times_are_written_as_on_a_wall_clock() -> None:
    assert clock(NINE, "Europe/London") == "9:00"
    assert clock(NINE + timedelta(hours=4, minutes=5), "America/New_York") == "8:05"
