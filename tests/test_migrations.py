"""Migrations on both databases: the models and the tables agree, and one slot has one owner."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, stamp
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from punctual import watch
from punctual.actions import transaction
from punctual.migrations import HERE, newest, prepare, upgrade
from punctual.models import Base, Company, Learned, LearnedDay, Notice, SlotClaim, Technician, Visit, db
from punctual.queries import day as days
from punctual.queries.taught import current
from tests import build


@pytest.fixture(autouse=True)
def known_to_alembic(app: Flask) -> None:
    prepare()


def test_the_newest_file_is_the_end_of_the_chain() -> None:
    assert ScriptDirectory(str(HERE)).get_heads() == [newest()]


def claim(built: build.Built, start: str, end: str, **values: object) -> SlotClaim:
    visit = built.visits["Grace"]
    times = {"starts_at": build.wall(start), "ends_at": build.wall(end)}
    given = {"window_start": build.wall(start), "window_end": build.wall(start) + timedelta(minutes=30)}
    return SlotClaim(
        technician_id=built.technicians["Tom"].id,
        visit_id=visit.id,
        kind="hold",
        planned_start=build.wall(start),
        created_at=build.LONG_AGO,
        **(times | given | values),
    )


def test_the_tables_are_what_the_models_say(s: Session) -> None:
    context = MigrationContext.configure(s.connection(), opts={"compare_type": True})
    differences = [d for d in compare_metadata(context, Base.metadata) if "alembic_version" not in str(d)]
    assert differences == []


def test_two_claims_on_one_technician_never_overlap(s: Session) -> None:
    built = build.day(s)
    s.add(claim(built, "14:00", "15:00"))
    s.flush()
    s.add(claim(built, "14:59", "15:30"))
    with pytest.raises(IntegrityError, match="ex_slot_claim_overlap"):
        s.flush()


def test_claims_that_touch_or_are_exempt_stand_side_by_side(s: Session) -> None:
    built = build.day(s)
    s.add_all(
        [claim(built, "14:00", "15:00"), claim(built, "15:00", "16:00"), claim(built, "14:30", "15:30", exempt=True)]
    )
    s.flush()
    assert db.session.query(SlotClaim).count() == 3


def test_running_the_migrations_again_keeps_every_row_and_the_constraint(app: Flask) -> None:
    with transaction() as w:
        built = build.day(w)
        w.add(claim(built, "14:00", "15:00"))
    before = {
        t.name: db.session.execute(select(func.count()).select_from(t)).scalar() for t in Base.metadata.sorted_tables
    }
    db.session.remove()
    stamp(revision="base")
    with pytest.raises((OperationalError, ProgrammingError)):
        upgrade()  # the tables are there already: it fails whole
    db.session.remove()
    stamp(revision="head")
    upgrade()
    after = {
        t.name: db.session.execute(select(func.count()).select_from(t)).scalar() for t in Base.metadata.sorted_tables
    }
    assert after == before and before["visit"] == 4
    db.session.add(claim(built_again(), "14:30", "15:30"))
    with pytest.raises(IntegrityError, match="ex_slot_claim_overlap"):
        db.session.flush()


def built_again() -> build.Built:
    """The rows of the built day, read back."""
    found = build.Built(db.session.get_one(Company, 1))
    found.technicians = {t.ref: t for t in db.session.query(Technician)}
    found.visits = {v.customer.first_name: v for v in db.session.query(Visit)}
    return found


def test_going_back_and_forth_leaves_working_tables(app: Flask) -> None:
    downgrade(revision="base")
    assert inspect(db.engine).get_table_names() == ["alembic_version"]
    upgrade()
    with transaction() as w:
        assert len(build.day(w).visits) == 4


def test_what_was_learned_before_days_were_kept_apart_survives(app: Flask) -> None:
    downgrade(revision="0001")
    at = "2026-11-01 03:00:00+00:00" if db.engine.dialect.name == "postgresql" else "2026-11-01 03:00:00.000000"
    row = {"at": at, "until": at, "visits": 40, "format": 1, "data": b"state"}
    with db.engine.begin() as c:
        c.execute(
            text(
                "INSERT INTO learned (id, at, until, visits, format, data) "
                "VALUES (7, :at, :until, :visits, :format, :data)"
            ),
            row,
        )
    upgrade()
    kept = db.session.get_one(Learned, 7)
    assert (kept.visits, kept.data, kept.facts) == (40, b"state", {})
    with transaction() as s:
        s.add(LearnedDay(date=build.DATE, at=kept.at, marked_at=kept.at, forgotten=True))
    assert current(db.session()).visits == 0, "it is learned anew, in the format of today"


def test_packed_forecasts_are_made_anew_and_what_was_said_stays(app: Flask) -> None:
    at = build.wall("08:05")
    with transaction() as w:
        shift = build.day(w).shifts["Tom"].id
        watch.look(w, [shift], at=at)
    said = db.session.scalar(select(func.count()).select_from(Notice))
    db.session.remove()
    downgrade(revision="0004")
    with transaction() as w:
        w.execute(text("INSERT INTO forecast (shift_id, at, data) VALUES (:s, :at, '{}')"), {"s": shift, "at": at})
    upgrade()
    assert days.forecasts(db.session(), [shift]) == {}
    with transaction() as w:
        watch.look(w, [shift], at=at)
    assert len(days.forecasts(db.session(), [shift])) == 3
    assert db.session.scalar(select(func.count()).select_from(Notice)) == said
