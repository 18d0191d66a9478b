"""Statements run by the driver itself give what SQLAlchemy gives, on both databases, and fail as it fails."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import bindparam, create_engine, insert, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError, NoResultFound, StatementError

from punctual.actions import transaction
from punctual.models import Customer, Place, Plain, Rows, Shift, Technician, Visit, compile_all, db
from tests import build
from tests.build import wall

DAY = """
Tom 08:00-17:00 home 51.4545,-2.5879
  08:30-09:00 Priya boiler 60 at 51.4683,-2.5967
  09:45-10:00 Grace boiler 45 leave 12:00
"""


def test_rows_are_what_sqlalchemy_reads(app: Flask) -> None:
    every = select(Visit.__table__).where(Visit.id == bindparam("visit", 0), Visit.state.in_(["planned", "arrived"]))
    plain = Plain(every, "visit")
    with transaction() as s:
        made = build.day(s, DAY)
        for visit in made.visits.values():
            theirs = s.connection().execute(every, {"visit": visit.id}).one()
            assert tuple(plain.first(s.connection(), visit=visit.id)) == tuple(theirs)
            assert plain.first(s.connection(), visit=visit.id).window_start.tzinfo is not None
        assert plain.first(s.connection(), visit=0) is None


def test_values_are_kept_as_sqlalchemy_keeps_them(app: Flask) -> None:
    at = wall("10:00") + timedelta(microseconds=7)
    with transaction() as s:
        visit = build.day(s, DAY).visits["Priya"]
        Plain(
            Visit.__table__.update().where(Visit.id == bindparam("v", 0)).values(arrived_at=bindparam("at", None)),  # type: ignore[attr-defined]
            "v",
            "at",
        ).run(s.connection(), v=visit.id, at=at)
        s.refresh(visit)
        assert visit.arrived_at == at
        skills = {"skills": ["gas"], "id": visit.technician_id}
        Plain(
            Technician.__table__.update()  # type: ignore[attr-defined]
            .where(Technician.id == bindparam("id", 0))
            .values(skills=bindparam("skills", None, Technician.__table__.c.skills.type)),
            "id",
            "skills",
        ).many(s.connection(), [skills])
        s.refresh(visit.technician)
        assert visit.technician.skills == ["gas"]


def test_it_stands_or_falls_with_its_transaction(app: Flask) -> None:
    add = Plain(insert(Place.__table__).values(address=bindparam("a", ""), state="known"), "a")
    with pytest.raises(RuntimeError), transaction() as s:
        add.run(s.connection(), a="1 Upton Road")
        raise RuntimeError
    with transaction() as s:
        assert s.scalar(select(Place.id)) is None


def test_a_drivers_error_is_sqlalchemys(app: Flask) -> None:
    add = Plain(
        insert(Technician.__table__).values(ref=bindparam("ref", ""), name="Tom Hale", active=True, link_version=1),
        "ref",
    )
    with pytest.raises(IntegrityError), transaction() as s:
        add.run(s.connection(), ref="T1")
        add.run(s.connection(), ref="T1")


def test_an_instant_is_kept_on_sqlite_as_the_text_that_sqlalchemy_writes(app: Flask) -> None:
    at = wall("10:00").astimezone(ZoneInfo("Asia/Kathmandu")) + timedelta(microseconds=70)
    with transaction() as s:
        visit = build.day(s, DAY).visits["Priya"]
        visit.arrived_at = at
        s.flush()
        s.refresh(visit)
        assert visit.arrived_at == at and visit.arrived_at.utcoffset() == timedelta()
        kept = s.connection().exec_driver_sql(f"SELECT arrived_at FROM visit WHERE id = {visit.id}").scalar()
        if s.connection().dialect.name == "sqlite":
            assert kept == sqlite.DATETIME().bind_processor(sqlite.dialect())(at.astimezone(UTC))  # type: ignore[no-untyped-call]
            s.connection().exec_driver_sql(f"UPDATE visit SET arrived_at = '2026-11-24 10:00:00' WHERE id = {visit.id}")
            s.refresh(visit)
            assert visit.arrived_at == datetime(2026, 11, 24, 10, tzinfo=UTC)
    with pytest.raises(StatementError, match="has no zone"), transaction() as s:
        s.get_one(Visit, visit.id).arrived_at = at.replace(tzinfo=None)


def test_a_sessions_connection_is_its_transactions(app: Flask) -> None:
    with transaction() as s:
        build.day(s, DAY)
        first = s.connection()
        assert s.connection() is first
        with app.app_context():
            assert db.session.connection() is not first
    lite = db.engine.dialect.name == "sqlite"  # there it stays open for whoever comes next
    assert not first.in_transaction() and first.closed != lite
    with app.app_context(), pytest.raises(RuntimeError), transaction() as s:
        second = s.connection()
        with s.begin_nested():
            assert s.connection() is second
        raise RuntimeError
    assert second.closed or not (second.in_transaction() or second.connection.dbapi_connection.in_transaction)


def test_one_question_sees_what_another_process_has_committed(app: Flask) -> None:
    names = Plain(select(Technician.name).where(Technician.ref == bindparam("ref", "")), "ref")
    with transaction() as s:
        build.day(s, DAY).technicians["Tom"].ref = "T1"
    for name in ("Tom", "Thomas"):
        with create_engine(db.engine.url).begin() as other:  # an engine of its own, as another process has
            other.execute(text("UPDATE technician SET name = :name WHERE ref = 'T1'"), {"name": name})
        assert db.session().ask(names, ref="T1").name == name


AROUND = Rows(
    lambda all_: (
        all_.select_from(Visit)
        .outerjoin(Customer, Customer.id == Visit.customer_id)
        .outerjoin(Place, Place.id == Visit.place_id)
        .where(Visit.id == bindparam("visit", 0))
    ),
    (Visit, Customer, Place),
    "visit",
)


def values(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in dict(type(row).__table__.c)}  # type: ignore[attr-defined]


def test_whole_rows_are_the_sessions_own_objects(app: Flask) -> None:
    with transaction() as s:
        made = build.day(s, DAY)
        ids = made.visits["Priya"].id, made.visits["Grace"].id
    for id_ in ids:
        theirs = s.get_one(Visit, id_)
        read = [values(r) if r else None for r in (theirs, theirs.customer, theirs.place)]
        s.rollback()
        del theirs
        s.expunge_all()
        with transaction() as s:
            ours = AROUND.one(s, visit=id_)
            assert [values(r) if r else None for r in ours] == read
            assert not s.dirty and s.get_one(Visit, id_) is ours[0] and ours[0].customer is ours[1]
            ours[0].told_kind = f"told {id_}"
        assert s.scalar(select(Visit.told_kind).where(Visit.id == id_)) == f"told {id_}"
    assert read[2] is None, "Grace's place is not known"


def test_what_a_session_holds_and_has_changed_stays(app: Flask) -> None:
    with transaction() as s:
        visit = build.day(s, DAY).visits["Priya"]
        visit.told_kind = "changed"
        assert AROUND.one(s, visit=visit.id)[0] is visit and visit.told_kind == "changed"
    with pytest.raises(NoResultFound), transaction() as s:
        AROUND.one(s, visit=0)


def test_every_statement_can_be_made_ready_at_once(app: Flask) -> None:
    one = Plain(select(Place.id).where(Place.id == bindparam("id", 0)), "id")
    with transaction() as s:
        compile_all(s.connection())
        c = s.connection()
        assert one.on(c) is one.on(c) and c.dialect.name in one._ready


@pytest.mark.parametrize("word", ["plain", "it's", "really?", "100 %", "a\\b", ":name"])
def test_fixed_words_and_numbers_are_part_of_the_statement_and_mean_the_same(app: Flask, word: str) -> None:
    found = select(Place.address, Place.lat).where(
        Place.address.in_([word, "other"]), Place.state == word, Place.lat > bindparam("low", 0.0)
    ).limit(1)  # fmt: skip
    plain = Plain(found, "low")
    with transaction() as s:
        s.add_all(Place(address=word, state=word, lat=float(n)) for n in range(3))
        s.flush()
        for low in (-1.0, 0.5, 2.0):
            theirs = s.connection().execute(found, {"low": low}).all()
            assert plain.rows(s.connection(), low=low) == [tuple(r) for r in theirs]
        if s.connection().dialect.name == "sqlite" and "?" not in word:
            assert "LIMIT 1 " in plain.on(s.connection()).sql and plain.on(s.connection()).names == ["low"]


def test_both_instants_of_an_hour_that_comes_twice_are_kept_apart(app: Flask) -> None:
    twice = datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"))
    dates = date(2026, 10, 24), date(2026, 10, 25)
    with transaction() as s:
        tom = build.day(s, DAY).technicians["Tom"]
        for fold, on in enumerate(dates):
            at = twice.replace(fold=fold)
            s.add(Shift(technician_id=tom.id, date=on, starts_at=at, ends_at=at + timedelta(hours=9)))
    found = [db.session.scalar(select(Shift.starts_at).where(Shift.date == on)) for on in dates]
    assert found == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)]
