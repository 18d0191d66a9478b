"""Something looks wrong: it has an owner with authority and a clock, climbs when it waits, and only an answer closes it."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from punctual.actions import Refused, concern, dispatcher, promise, transaction
from punctual.actions.dispatcher import By
from punctual.follow import promises as follow
from punctual.models import Concern, Message, Promise, User, db
from tests import build
from tests.build import LONG_AGO, Built, wall

DANA = By(1, "Dana Price")
NOW = wall("09:00")


@pytest.fixture
def built(app: Flask) -> Built:
    """A dispatcher and two managers."""
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
        for name in ("Maria Boss", "Omar Chief"):
            mail = f"{name.split()[0].lower()}@bellweather.example"
            s.add(User(email=mail, name=name, role="manager", created_at=LONG_AGO))
    return made


def raised(built: Built, text: str = "My letter says Monday.") -> int:
    concern.raise_(built.visits["Grace"].id, "time", text, at=NOW)
    db.session.rollback()
    return db.session.scalars(select(Concern.id).order_by(Concern.id.desc())).first() or 0


def row(concern_id: int) -> Concern:
    db.session.rollback()
    return db.session.get_one(Concern, concern_id)


def kinds() -> list[tuple[str, int | None]]:
    db.session.rollback()
    return [(m.kind, m.user_id) for m in db.session.scalars(select(Message).order_by(Message.id))]


def test_it_goes_to_somebody_with_authority_with_a_time_for_the_answer(built: Built) -> None:
    made = row(raised(built))
    assert (made.promise.owner, made.promise.due_at, made.promise.kind) == ("Maria Boss", wall("11:00"), "answer")
    assert kinds() == [("concern_received", None)]


def test_the_same_words_again_are_the_concern_we_have(built: Built) -> None:
    raised(built)
    assert concern.raise_(built.visits["Grace"].id, "time", "My letter says Monday.", at=NOW).already
    assert len(db.session.scalars(select(Concern)).all()) == 1


def test_it_is_passed_on_at_three_quarters_and_climbs_at_the_end(built: Built) -> None:
    made = raised(built)
    for minute in range(1, 125):
        with transaction() as s:
            follow.look(s, NOW.replace(hour=9 + minute // 60, minute=minute % 60))
    assert kinds()[1:] == [
        ("esc_concern", 2),
        ("esc_concern", 2),
        ("esc_concern", 3),
        ("promise_broken", None),
        ("esc_concern", 3),
    ]
    after = row(made)
    assert (after.promise.owner, after.promise.state, after.answered_at) == ("Omar Chief", "open", None)


@pytest.mark.parametrize("words", ["", "  \n ", "\x00"])
def test_it_cannot_be_closed_without_an_answer(built: Built, words: str) -> None:
    made = raised(built)
    with pytest.raises(Refused, match="without an answer"):
        concern.answer(made, words, at=NOW, by=DANA)
    with pytest.raises(Refused, match="an answer to the customer keeps it"):
        promise.keep(row(made).promise_id, at=NOW, by=DANA)
    assert row(made).answered_at is None


def test_an_answer_reaches_the_customer_and_keeps_the_promise(built: Built) -> None:
    made = raised(built)
    concern.answer(made, "It is Tuesday. We have corrected the letter.", at=wall("09:30"), by=DANA)
    assert [kind for kind, _ in kinds()] == ["concern_received", "concern_answered"]
    assert row(made).promise.state == "kept"
    with pytest.raises(Refused, match="answered this already"):
        concern.answer(made, "Again.", at=wall("09:31"), by=DANA)


def test_an_answer_that_is_not_right_goes_to_the_next_one_up(built: Built) -> None:
    made = raised(built)
    concern.answer(made, "It is Tuesday.", at=wall("09:30"), by=DANA)
    assert not concern.still(built.visits["Grace"].id, at=wall("09:40")).already
    assert concern.still(built.visits["Grace"].id, at=wall("09:41")).already
    again = db.session.scalars(select(Concern).order_by(Concern.id.desc())).first()
    assert again is not None
    assert (again.replaces_id, again.promise.owner, again.answered_at) == (made, "Omar Chief", None)


def test_a_concern_outlives_the_visit(built: Built) -> None:
    made = raised(built)
    dispatcher.cancel(built.visits["Grace"].id, tell=True, at=NOW, by=DANA)
    assert row(made).promise.state == "open"
    assert (
        db.session.scalars(
            select(Promise.state).where(Promise.kind == "window", Promise.visit_id == row(made).visit_id)
        ).one()
        == "cancelled"
    )


@pytest.mark.parametrize(
    ("about", "text", "words"),
    [("", "x", "Choose"), ("rating", "x", "Choose"), ("other", " ", "Write what"), ("time", "x" * 1001, "1 too long")],
)
def test_what_cannot_be_read_is_refused(built: Built, about: str, text: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        concern.raise_(built.visits["Grace"].id, about, text, at=NOW)


def test_there_is_an_end_to_how_many_wait_at_once(built: Built) -> None:
    for n in range(5):
        raised(built, f"Point {n}")
    with pytest.raises(Refused, match="owe you answers"):
        raised(built, "Point 6")
