"""Why 10:50? The same sentences at the board, in the API and on the command line; a wrong plan is one click away."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from punctual import clock, explain, learn
from punctual.actions import transaction
from punctual.cli import main
from punctual.models import JobType, Shift, Visit, db
from tests import build
from tests.build import wall
from tests.conftest import Filled
from tests.test_learn import live
from tests.web.desk import Desk, desk
from tests.web.test_api import bearer

STILL = "Tom is still with Priya Whitfield, 1 Upton Road since 09:05, 20 min over the 60 planned."


def five_weeks() -> None:
    with transaction() as s:
        build.company(s)
        for n in range(25):
            live(s, n)
        learn.learn(s, at=wall("03:00"))


@pytest.fixture
def board(lite: Flask, filled: Filled) -> Desk:
    """10:25: Tom has been at Priya's since 09:05; boiler jobs planned at 60 are known to take 75."""
    clock.configure("2026-11-24T10:25:00+00:00 x0.01")
    filled(five_weeks)
    made = desk(lite)
    made.tap("Priya", "arrived", "09:05")
    made.look("10:25")
    return made


def said(board: Desk, name: str, at: str = "10:25") -> explain.Explained:
    db.session.rollback()
    with board.app.test_request_context():
        return explain.explain(db.session(), db.session.get_one(Visit, board.visit(name)), wall(at), build.ZONE)


def test_an_overrun_is_explained_with_place_minutes_and_slack(board: Desk) -> None:
    found = said(board, "Grace")
    assert found.sentences[0] == STILL
    assert found.sentences[1].startswith("Boiler service that got this far takes ")
    assert "(8 in 10: " in found.sentences[1] and "drive" in found.sentences[2]
    assert found.sentences[-1] == "From 75 past jobs of this kind."
    assert found.sum[0] == ("Tom is with Priya Whitfield since 09:05, 20 min over", "10:25")
    assert found.sum[-1][1] == found.time


def test_a_long_wait_is_told_in_hours(board: Desk) -> None:
    found = said(board, "Lewis", at="02:00")
    assert found.sum[0] == ("Ana has not started yet", "02:00")
    (wait,) = [adds for what, adds in found.sum if what.startswith(("Waiting", "Nobody"))]
    assert re.fullmatch(r"\+ \d+ h [1-5]?\d min", wait)


def test_a_wait_for_another_day_names_the_day_and_counts_no_hours(board: Desk) -> None:
    found = said(board, "Lewis", at="02:00")
    with board.app.test_request_context():
        lewis = db.session.get_one(Visit, board.visit("Lewis"))
        before = explain.explain(db.session(), lewis, wall("08:54", build.DATE - timedelta(days=1)), build.ZONE)
    (wait,) = [adds for what, adds in before.sum if what.startswith(("Waiting", "Nobody"))]
    assert wait == "until Tue 24 Nov" and before.sum[-1] == found.sum[-1]


def test_board_and_api_say_the_same(board: Desk) -> None:
    grace, found = board.visit("Grace"), said(board, "Grace")
    page = board.text(f"/board/visits/{grace}")
    assert f"Why {found.time}?" in page and " ".join(found.sentences) in page
    answer = board.client.get(f"/api/v1/visits/{grace}/forecast", headers=bearer("read")).get_json()
    assert answer["because"] == list(found.sentences)
    assert answer["why"]["where"] == "at" and answer["why"]["over"] == 20.0


def test_the_command_line_says_the_same(board: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, grace = said(board, "Grace"), board.visit("Grace")
    monkeypatch.setenv("PUNCTUAL_INSTANCE", str(tmp_path / "instance"))
    monkeypatch.setenv("PUNCTUAL_DATABASE_URL", db.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("PUNCTUAL_CLOCK", "2026-11-24T10:25:00+00:00 x0.01")
    printed = CliRunner().invoke(main, ["explain", str(grace)]).output
    assert all(x in printed for x in found.sentences)
    assert "Grace Whitfield, Tuesday 24 November:" in printed and "(times of Europe/London)" in printed
    assert "Why nobody is told now: " in printed and "Promised 10:00 – 10:30" in printed
    with transaction() as s:
        s.get_one(Visit, grace).ref = "A-102"
    assert CliRunner().invoke(main, ["explain", "A-102"]).output == printed
    assert f"Boiler service is planned 60 min, takes {found.plans[0].takes}: plan {found.plans[0].propose}?" in printed


def test_a_wrong_plan_is_named_and_changed_by_one_click(board: Desk) -> None:
    grace = board.visit("Grace")
    page = board.text(f"/board/visits/{grace}")
    plan = said(board, "Grace").plans[0]
    assert f"Boiler service is planned 60 min, takes {plan.takes}: change it?" in page
    done = board.post(f"/board/visits/{grace}/plan", job=str(plan.job_type_id), minutes=str(plan.propose))
    assert done.status_code == 303
    db.session.rollback()
    assert db.session.get_one(JobType, plan.job_type_id).planned_min == plan.propose
    assert db.session.get_one(Visit, grace).planned_min == 45, "what is planned already stays"
    assert "change it?" not in board.text(f"/board/visits/{grace}")
    assert board.post(f"/board/visits/{grace}/plan", job="99999", minutes="60").status_code == 404


def test_what_has_no_forecast_says_so_in_one_sentence(board: Desk) -> None:
    with transaction() as s:
        s.get_one(Shift, board.built.shifts["Ana"].id).off = "sick"
    assert said(board, "Lewis").sentences == (
        "Ana is off that day.",
        "Nobody comes until the visit is given to somebody.",
    )
    board.tap("Priya", "done", "10:26")
    assert said(board, "Priya").sentences == ("This visit is over.",)
    assert said(board, "Priya").as_json() == {}
