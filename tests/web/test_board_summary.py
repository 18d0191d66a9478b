"""The manager's page: findings as sentences, a budget to choose, a plan to mend, a day to forget - and no names."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask

from punctual import clock, learn
from punctual.actions import transaction
from punctual.models import Company, JobType, LearnedDay, db
from punctual.queries import learned
from tests.build import wall
from tests.conftest import Filled
from tests.test_learn import FIRST, evening, live
from tests.web.desk import Desk, desk

PAGE = "/board/summary"


def ten_days() -> None:
    with transaction() as s:
        on = [live(s, n) for n in range(10)][-1]
        learn.learn(s, at=evening(on))


@pytest.fixture
def board(lite: Flask, filled: Filled) -> Desk:
    """Ten working days that were learned, and a dispatcher at their desk."""
    clock.configure("2026-11-24T09:00:00+00:00 x0.01")
    filled(ten_days)
    return desk(lite)


def test_it_says_what_was_found_and_ranks_causes_never_people(board: Desk) -> None:
    page = board.text(PAGE)
    assert "How punctual we were" in page and "50 visits on 10 days" in page
    assert re.search(r"Promises kept \S+ or moved with notice", page)
    assert "Planned too short" in page and "Causes are ranked, never people." in page
    assert "Tom" not in page and "Ana" not in page


def test_every_plot_has_its_numbers_in_words_and_in_a_table(board: Desk) -> None:
    html = board.get(PAGE).text
    plots = re.findall(r"<svg[^>]*>", html)
    assert len(plots) == 6 and all('role="img"' in p and "aria-label=" in p for p in plots)
    assert html.count("<table>") == len(plots) and "style=" not in html


def test_a_budget_is_chosen_from_what_it_would_have_bought(board: Desk) -> None:
    assert board.post(f"{PAGE}/budget", budget="0.1").status_code == 303
    db.session.rollback()
    rules = db.session.get_one(Company, 1).rules
    curve = {c.budget: c.chance for c in learned.learned(db.session()).curve}
    assert (rules["false_alarm_budget"], rules["tell_chance"]) == (0.1, curve[0.1])
    assert "budget: 1 in 10" in board.text(PAGE)
    for wrong in ("0.77", "all of it", "nan", ""):
        answer = board.post(f"{PAGE}/budget", budget=wrong)
        assert answer.status_code == 422 and "Choose a budget from the table." in answer.text


def test_a_plan_that_is_too_short_is_one_click_from_being_right(board: Desk) -> None:
    boiler = next(j for j in learned.learned(db.session()).jobs if j.name == "boiler")
    assert f"Boiler service is planned 60 min, takes {boiler.work.taken[1]:.0f}: change it?" in board.text(PAGE)
    board.post(f"{PAGE}/plan", job=str(boiler.work.job_type), minutes=str(boiler.propose))
    db.session.rollback()
    assert db.session.get_one(JobType, boiler.work.job_type).planned_min == boiler.propose
    assert "Boiler service is planned" not in board.text(PAGE)


def test_a_day_is_forgotten_with_a_reason_and_taken_back(board: Desk) -> None:
    storm = str(FIRST + timedelta(days=1))
    assert board.post(f"{PAGE}/days", date=storm, why="storm").status_code == 303
    assert "Tuesday 6 October 2026: storm (Dana Price)" in board.text(PAGE)
    assert learn.due(db.session(), wall("00:00")), "the worker learns anew"
    assert board.post(f"{PAGE}/days", date=storm, back="1").status_code == 303
    db.session.rollback()
    assert not db.session.get_one(LearnedDay, FIRST + timedelta(days=1)).forgotten
    assert board.post(f"{PAGE}/days", date="soon").status_code == 422
    assert board.post(f"{PAGE}/days", date="2026-10-07", back="1").status_code == 404


def test_without_history_it_says_how_much_is_needed(lite: Flask) -> None:
    made = desk(lite)
    assert "Needs at least 30 finished visits with arrival times. There are 0." in made.text(PAGE)
    assert made.get(f"{PAGE}?span=all").status_code == 200


def test_a_week_can_be_looked_at_alone(board: Desk) -> None:
    assert "Needs at least 30" in board.text(f"{PAGE}?span=7") or "25 visits" in board.text(f"{PAGE}?span=7")
    assert "50 visits" in board.text(f"{PAGE}?span=30")
