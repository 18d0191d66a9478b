"""The replay: recorded days through the very same parts, beside doing nothing and carrying the delay forward."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from punctual.cli import main
from punctual.replay import Result, selected, words
from tests.test_score import recorded

__all__ = ["recorded"]

DATA = Path(__file__).parent / "data"
DAY = DATA / "overrun_day.csv"


@pytest.fixture(scope="module")
def result() -> dict[str, float]:
    done = CliRunner().invoke(main, ["replay", str(DAY), "--json", "--in-time", "0"])
    assert done.exit_code == 0, done.output
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_it_counts_what_really_happened(result: dict[str, float]) -> None:
    assert result["visits"] == 8 and result["late"] == 2
    assert result["unwarned_nothing"] == 1 + 66 + 50


def test_without_any_history_one_of_two_is_warned_before_the_planned_start(result: dict[str, float]) -> None:
    assert result["warned_in_time"] == 0.5 and result["unwarned"] == 67
    assert result["false_alarms"] == 0.0


def test_fewer_days_and_resources_can_be_chosen() -> None:
    rows = DAY.read_bytes().splitlines()
    assert len(selected(DAY.read_bytes()).splitlines()) == len(rows)
    assert len(selected(DAY.read_bytes(), 1, 1).splitlines()) == len(rows)


def test_the_words_name_both_alternatives() -> None:
    one = Result(10, 2, 0.5, 0.0, 0.2, 40, 100, 60, 0.1, 50, 0.4, 7, 0, date(2026, 1, 1), 15)
    made = words([one, replace(one, in_time=30, unwarned=70)])
    assert "doing nothing: 100 (60% fewer)" in made and "carrying the delay forward" in made
    assert "counting 30 min ahead as in time: 50.0% of the late warned, 70 minutes unwarned" in made


def test_the_page_is_one_file_that_needs_nothing_beside_it(recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "summary.html"
    done = CliRunner().invoke(
        main, ["replay", str(recorded), "--zone", "Europe/London", "--days", "3", "--html", str(file)]
    )
    assert done.exit_code == 0, done.output
    made = file.read_text()
    assert "What Punctual would have done" in made and "60 visits on 3 days" in made
    assert made.count("<svg") >= 5 and "src=" not in made and "href=" not in made and "<script" not in made
    assert "counting 30 min ahead" in made, "what is printed stands in it too"
