"""The replay: recorded days through the very same parts, beside doing nothing and carrying the delay forward."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from punctual.cli import main
from punctual.replay import Result, selected, words

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
    made = words(Result(10, 2, 0.5, 0.0, 0.2, 40, 100, 60, 0.1, 50, 0.4, 7), 15)
    assert "doing nothing: 100 (60% fewer)" in made and "carrying the delay forward" in made
