"""Learning: an evening reads its day, everything anew gives the same bytes, a forgotten day teaches nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from punctual import learn
from punctual.actions import Refused, learning, transaction
from punctual.cli import main
from punctual.cli.frame import application
from punctual.models import Company, JobType, Learned, LearnedDay, Visit, db
from punctual.queries import learned as queries
from punctual.queries.taught import current
from tests import build
from tests.conftest import Filled

FIRST = date(2026, 10, 5)
#: Two technicians whose boiler jobs take 75 minutes where 60 are planned.
PLAN = """
Tom 08:00-17:00 home 51.4545,-2.5879
  09:00-09:30 A{n} boiler 60 at 51.4683,-2.5967
  10:15-10:45 B{n} boiler 60 at 51.4600,-2.6000
  11:30-12:00 C{n} heating 45 at 51.4480,-2.6050
Ana 08:00-17:00 home 51.4600,-2.5800
  09:00-09:30 D{n} heating 45 at 51.4550,-2.5900
  11:00-11:30 E{n} boiler 60 at 51.4500,-2.5800
"""


def evening(on: date, hour: int = 3) -> datetime:
    """The night after a date."""
    return build.wall("00:00", on + timedelta(days=1)) + timedelta(hours=hour)


def live(s: Session, n: int) -> date:
    """A working day as it went, seeded by its number; returns its date."""
    on = FIRST + timedelta(days=n + 2 * (n // 5))
    built = build.day(s, PLAN.format(n=n), on=on)
    rng = np.random.default_rng(n)
    free: dict[int, datetime] = {}
    for v in built.visits.values():
        planned = 75.0 if v.planned_min == 60 else 45.0
        came = max(v.planned_start, free.get(v.technician_id or 0, v.planned_start) + timedelta(minutes=12))
        v.state, v.arrived_at = "done", came + timedelta(minutes=float(rng.exponential(3)))
        v.finished_at = v.arrived_at + timedelta(minutes=planned * float(np.exp(rng.normal(0, 0.15))))
        v.changed_at = v.finished_at
        free[v.technician_id or 0] = v.finished_at
    s.flush()
    return on


def fifteen_days() -> None:
    with transaction() as s:
        on = [live(s, n) for n in range(15)][-1]
        learn.learn(s, at=evening(on))


@pytest.fixture
def weeks(app: Flask, filled: Filled) -> Flask:
    """Fifteen working days, learned the night after the last."""
    filled(fifteen_days)
    return app


def newest() -> Learned:
    db.session.rollback()
    found = db.session.scalar(select(Learned).order_by(Learned.id.desc()).limit(1))
    assert found is not None
    return found


def test_everything_read_anew_gives_the_same_bytes_as_evening_by_evening(app: Flask) -> None:
    for n in range(12):
        with transaction() as s:
            on = live(s, n)
            if n in (5, 8, 9, 11):
                learn.learn(s, at=evening(on))
    before = newest()
    kept = {d.date: (d.columns, d.looks) for d in db.session.scalars(select(LearnedDay))}
    with transaction() as s:
        again = learn.learn(s, at=before.at, everything=True)
        assert again.id != before.id and again.data == before.data
        assert plain(again.facts) == plain(before.facts)
    assert {d.date: (d.columns, d.looks) for d in db.session.scalars(select(LearnedDay))} == kept
    assert before.visits == 60 and before.facts["days"] == 12


def plain(facts: object) -> object:
    """As it is read back."""
    return json.loads(json.dumps(facts))


def test_an_evening_reads_the_visits_of_its_day_only(weeks: Flask) -> None:
    with transaction() as s:
        on = live(s, 15)
    read: list[int] = []

    @event.listens_for(db.engine, "after_cursor_execute")
    def count(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if "visit.planned_min" in statement:
            read.append(1)

    found = learn.find(db.session(), at=evening(on))
    assert list(found.fresh) == [on] and len(read) == 1
    assert list(found.looks) == [on], "the days of other weeks are not looked at again"


def test_a_report_that_came_late_is_learned_the_next_night(weeks: Flask) -> None:
    on = FIRST + timedelta(days=8)
    with transaction() as s:
        visit = s.scalars(select(Visit).where(Visit.date == on)).first()
        assert visit is not None and visit.finished_at is not None
        visit.finished_at += timedelta(minutes=20)
        visit.changed_at = newest().at + timedelta(hours=1)
    with transaction() as s:
        row = learn.learn(s, at=evening(FIRST + timedelta(days=19)))
        data = row.data
    with transaction() as s:
        assert learn.learn(s, at=evening(FIRST + timedelta(days=19)), everything=True).data == data


def test_a_forgotten_day_teaches_nothing_until_it_is_taken_back(weeks: Flask) -> None:
    before, storm = newest(), FIRST + timedelta(days=7)
    assert not learn.due(db.session(), before.at)
    learning.mark(storm, forgotten=True, note="storm", at=before.at + timedelta(minutes=5), by="Dana")
    assert learn.due(db.session(), before.at), "the worker learns anew within a minute"
    with transaction() as s:
        row = learn.learn(s, at=before.at + timedelta(minutes=6))
        assert row.visits == before.visits - 5 and row.data != before.data
        assert row.facts["forgotten"] == [storm.isoformat()]
    assert not learn.due(db.session(), before.at)
    assert [f.note for f in queries.learned(db.session()).forgotten] == ["storm"]
    learning.mark(storm, forgotten=False, at=before.at + timedelta(minutes=7), by="Dana")
    with transaction() as s:
        assert learn.learn(s, at=before.at + timedelta(minutes=8)).data == before.data
    with pytest.raises(Refused, match="is not forgotten"):
        learning.mark(storm, forgotten=False, at=before.at, by="Dana")


def test_a_plan_that_is_wrong_is_named_and_mended(weeks: Flask) -> None:
    jobs = {j.name: j for j in queries.learned(db.session()).jobs}
    assert jobs["boiler"].propose in (75, 80) and jobs["heating"].propose is None
    boiler = db.session.scalar(select(JobType.id).where(JobType.name == "boiler")) or 0
    learning.plan(boiler, jobs["boiler"].propose or 0)
    db.session.rollback()
    assert {j.name: j.propose for j in queries.learned(db.session()).jobs}["boiler"] is None
    with pytest.raises(Refused, match="no such kind of work"):
        learning.plan(9999, 60)


def test_choosing_a_budget_sets_the_chance_at_which_customers_are_told(weeks: Flask) -> None:
    curve = queries.learned(db.session()).curve
    assert [c.budget for c in curve] == sorted(c.budget for c in curve) and len(curve) == 8
    learning.choose_budget(0.1)
    db.session.rollback()
    rules = db.session.get_one(Company, 1).rules
    assert rules["false_alarm_budget"] == 0.1
    assert rules["tell_chance"] == next(c.chance for c in curve if c.budget == 0.1)
    with pytest.raises(Refused, match="Choose a budget"):
        learning.choose_budget(0.5)


def test_without_history_nothing_is_calibrated(app: Flask) -> None:
    with transaction() as s:
        build.company(s)
        row = learn.learn(s, at=evening(FIRST))
        assert row.visits == 0 and row.facts["curve"] == [] and row.facts["types"] == []
        assert "tell_chance" not in s.get_one(Company, 1).rules


def test_only_so_many_versions_are_kept(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "VERSIONS", 3)
    with transaction() as s:
        build.company(s)
    for n in range(5):
        with transaction() as s:
            learn.learn(s, at=evening(FIRST) + timedelta(minutes=n))
    assert db.session.scalar(select(func.count()).select_from(Learned)) == 3


def test_what_another_version_kept_is_learned_anew(weeks: Flask) -> None:
    with transaction() as s:
        s.execute(LearnedDay.__table__.update().values(format=7, columns=b"old"))  # type: ignore[attr-defined]
        s.execute(Learned.__table__.update().values(format=7))  # type: ignore[attr-defined]
    assert learn.due(db.session(), newest().at) and current(db.session()).visits == 0
    with transaction() as s:
        assert learn.learn(s, at=newest().at).visits == 75


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PUNCTUAL_INSTANCE", str(tmp_path))
    monkeypatch.setenv("PUNCTUAL_CLOCK", "2026-10-28T03:00+00:00 x0.001")
    yield tmp_path


def test_the_command_line_learns_forgets_and_shows(instance: Path) -> None:

    with application().app_context(), transaction() as s:
        for n in range(15):
            live(s, n)

    def run(*args: str) -> str:
        done = CliRunner().invoke(main, list(args))
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "75 finished visits on 15 days" in run("learn")
    assert "70 finished visits on 14 days" in run("learn", "--forget", "2026-10-12", "--why", "storm")
    shown = run("learned")
    assert "forgotten: 2026-10-12 storm (cli)" in shown and "plan 75?" in shown
    assert "Tom" not in shown and "Ana" not in shown, "technicians are never ranked"
    assert json.loads(run("learned", "--json"))["days"] == 14
    assert "75 finished visits on 15 days" in run("learn", "--all", "--remember", "2026-10-12")
