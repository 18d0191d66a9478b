"""`punctual score`: a file of recorded days or the company's own, as sentences and as JSON."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from punctual.actions import transaction
from punctual.cli import main
from punctual.cli.frame import application
from punctual.learn import learn
from tests.test_learn import evening, live

COLUMNS = [
    "resource_id",
    "date",
    "seq",
    "job_type",
    "planned_start",
    "planned_end",
    "actual_start",
    "actual_end",
    "planned_depart",
    "place",
]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Twelve days of four technicians whose third visit is late whenever their second overran."""
    rng = np.random.default_rng(5)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    for d in range(12):
        for who in range(4):
            free = begin = datetime(2026, 3, 2, 8) + timedelta(days=d)  # noqa: DTZ001 - wall times of a file
            for seq in range(5):
                plan = begin + timedelta(minutes=75 * seq)
                came = max(plan, free)
                free = came + timedelta(minutes=float(60 * np.exp(rng.normal(0.05, 0.3))))
                ends = plan + timedelta(minutes=60)
                rows.writerow([who, plan.date(), seq + 1, "job", *(f"{t:%Y-%m-%dT%H:%M}" for t in (plan, ends, came, free, plan)), "X"])  # fmt: skip
    file = tmp_path / "days.csv"
    file.write_text(out.getvalue())
    return file


def run(*args: str) -> str:
    done = CliRunner().invoke(main, ["score", *args])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_recorded_days_are_scored_as_they_would_have_been_forecast(recorded: Path) -> None:
    said = run(str(recorded), "--zone", "Europe/London")
    assert "240 visits on 12 days" in said and "8-in-10 ranges that held" in said and "previous job" in said
    told = json.loads(run(str(recorded), "--json", "--in-time", "15"))
    assert told["ours"]["visits"] == 240 and told["in_time_min"] == 15 and told["ours"]["minutes"] < told["nothing"]


def test_the_companys_own_days_are_scored_from_what_was_really_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUNCTUAL_INSTANCE", str(tmp_path))
    assert "Needs at least 30 finished visits with arrival times. There are 0." in run("--live")
    with application().app_context(), transaction() as s:
        on = [live(s, n) for n in range(10)][-1]
        learn(s, at=evening(on))
    said = run("--live")
    assert "50 visits on 10 days" in said and "told ranges that held: none" in said
    assert "Tom" not in said and "Ana" not in said
    assert json.loads(run("--live", "--json", "--days", "7"))["ours"]["visits"] == 25


def test_it_is_one_or_the_other(recorded: Path) -> None:
    for args in ([], [str(recorded), "--live"]):
        done = CliRunner().invoke(main, ["score", *args])
        assert done.exit_code == 2 and "or --live" in done.output
