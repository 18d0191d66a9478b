"""A verb's transaction stands or falls whole, reads anew what was read before, and always gives its connection back."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from flask import Flask
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from punctual.actions import transaction
from punctual.models import BoardVersion, Place, Plain, Technician, db, touch_board
from punctual.models.base import spare
from tests import build

ADD = Plain(insert(Place.__table__).values(address=bindparam("a", ""), state="known"), "a")
PLACES = Plain(select(Place.address).order_by(Place.id))
#: A child before its mother: refused when it is to be committed, not before.
LATE = "CREATE TABLE late (id INTEGER PRIMARY KEY, of INTEGER REFERENCES late (id) DEFERRABLE INITIALLY DEFERRED)"


def plainly(s: Session, address: str) -> None:
    ADD.run(s.connection(), a=address)


def as_object(s: Session, address: str) -> None:
    s.add(Place(address=address, state="known"))


def places() -> list[str]:
    found = [address for (address,) in PLACES.rows(db.session().connection())]
    db.session.rollback()
    return found


def taken() -> int:
    """Connections that somebody holds: all that are out of the pool but the one kept for whoever comes next."""
    count: int = db.engine.pool.checkedout()  # type: ignore[attr-defined]
    return count - (db.engine in spare)


@pytest.mark.parametrize("add", [plainly, as_object])
def test_what_is_written_with_and_without_objects_stands_or_falls_together(app: Flask, add: object) -> None:
    with pytest.raises(RuntimeError), transaction() as s:
        for write in (plainly, as_object):
            write(s, "1 Upton Road")
        touch_board(s, build.DATE)
        raise RuntimeError
    assert places() == [] and taken() == 0
    with transaction() as s:
        for write in (plainly, as_object)[:: 1 if add is plainly else -1]:
            write(s, write.__name__)
            s.flush()
    assert sorted(places()) == ["as_object", "plainly"] and taken() == 0
    assert db.session.scalar(select(BoardVersion.version)) is None, "what fell has touched no board"


@pytest.mark.parametrize("add", [plainly, as_object])
def test_after_a_commit_that_failed_nothing_is_left_and_the_next_one_goes(app: Flask, add: object) -> None:
    with transaction() as s:
        s.execute(text(LATE))
    with pytest.raises(IntegrityError), transaction() as s:
        add(s, "1 Upton Road")  # type: ignore[operator]
        s.connection().exec_driver_sql("INSERT INTO late VALUES (1, 2)")
    assert taken() == 0 and places() == []
    with transaction() as s:
        add(s, "2 Upton Road")  # type: ignore[operator]
    assert places() == ["2 Upton Road"] and taken() == 0


def test_what_was_read_before_is_read_anew_inside_and_afterwards(app: Flask) -> None:
    with transaction() as s:
        tom = build.day(s).technicians["Tom"]
    for name in ("Thomas", "Tommy"):
        assert tom.name
        with app.app_context(), transaction() as other:
            other.execute(update(Technician).where(Technician.id == tom.id).values(name=name))
        with transaction() as s:
            assert s.get_one(Technician, tom.id) is tom and tom.name == name
            Plain(update(Technician).where(Technician.id == tom.id).values(name=f"{name} Hale")).run(s.connection())
        assert tom.name == f"{name} Hale"


def test_a_verb_that_takes_all_back_leaves_nothing_and_ends_well(app: Flask) -> None:
    with transaction() as s:
        plainly(s, "1 Upton Road")
        as_object(s, "2 Upton Road")
        s.flush()
        touch_board(s, build.DATE)
        s.rollback()
        assert taken() == 0
    assert places() == [] and db.session.scalar(select(BoardVersion.version)) is None


def test_a_question_asked_before_holds_no_connection_when_the_request_is_over(app: Flask) -> None:
    question = Plain(select(Place.id).where(Place.address == bindparam("a", "")), "a")
    with app.app_context():
        assert db.session().ask(question, a="1 Upton Road") is None
        with transaction() as s:
            plainly(s, "1 Upton Road")
            assert db.session().ask(question, a="1 Upton Road").id == 1, "inside, it is asked there"
        assert taken() == 0
        assert db.session().ask(question, a="1 Upton Road").id == 1
        assert db.session.scalar(select(Place.address)) == "1 Upton Road"
    assert taken() == 0


def test_on_sqlite_the_connection_that_came_back_last_goes_first(lite: Flask) -> None:
    first, second = db.engine.connect(), db.engine.connect()
    wrote = second.connection.dbapi_connection
    first.close()
    second.close()
    with transaction() as s:
        assert s.connection().connection.dbapi_connection is wrote


def test_on_sqlite_one_connection_is_kept_for_whoever_comes_next_and_no_more(lite: Flask) -> None:
    question = Plain(select(Place.id))
    for many in (1, 3):
        with ExitStack() as open_:
            for _ in range(many):
                open_.enter_context(lite.app_context())
                db.session().ask(question)
            assert taken() == many
        assert taken() == 0 and db.engine in spare
    kept = spare[db.engine]
    with transaction() as s:
        assert s.connection() is kept and db.engine not in spare
    db.engine.dispose()
    assert kept.closed and db.engine not in spare


def test_on_sqlite_who_stays_reads_on_the_connection_that_writes_next(lite: Flask) -> None:
    with transaction() as s:
        plainly(s, "1 Upton Road")
    for stays in (True, False):
        if stays:
            db.session().stay()
        reads = db.session().connection().connection.dbapi_connection
        with transaction() as s:
            assert (s.connection().connection.dbapi_connection is reads) == stays
    assert taken() == 0


def test_who_reads_already_goes_on_where_they_are(app: Flask) -> None:
    reads = db.session().connection()
    db.session().stay()
    assert db.session().connection() is reads
    assert places() == []
    db.session().stay()
    assert places() == []
    db.session.remove()
    assert taken() == 0


def test_the_connection_kept_for_whoever_comes_next_knows_what_its_engine_was_told_since(lite: Flask) -> None:
    with transaction() as s:
        before = s.connection()
    db.engine.update_execution_options(texts=True)
    with transaction() as s:
        assert before.closed and s.connection().get_execution_options()["texts"]


def test_a_connection_left_inside_a_transaction_is_not_kept(lite: Flask) -> None:
    db.session().ask(Plain(select(Place.id)))
    db.session().own.connection.dbapi_connection.execute("BEGIN")  # type: ignore[union-attr]
    db.session.remove()
    assert taken() == 0 and db.engine not in spare
    with transaction() as s:
        plainly(s, "1 Upton Road")
    assert places() == ["1 Upton Road"]
