"""A dispatcher makes, keeps and moves promises; what cannot be is refused in a sentence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from punctual.actions import Refused, customer, promise, transaction
from punctual.actions.dispatcher import By
from punctual.models import Answer, Promise, Visit, db
from tests import build
from tests.build import Built, wall

DANA = By(1, "Dana Price")
NOW = wall("09:00")


@pytest.fixture
def built(app: Flask) -> Built:
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
    return made


def part(built: Built, name: str = "Grace") -> int:
    return promise.make(built.visits[name].id, "part", wall("15:00"), note="valve, size 2", at=NOW, by=DANA)


def row(promise_id: int) -> Promise:
    db.session.rollback()
    return db.session.get_one(Promise, promise_id)


def test_whoever_promises_owns_it(built: Built) -> None:
    made = row(part(built))
    assert (made.owner, made.owner_id, made.state, made.note) == ("Dana Price", 1, "open", "valve, size 2")


def test_two_promises_of_one_kind_stand_side_by_side_but_one_call_is_enough(built: Built) -> None:
    assert part(built) != part(built)
    grace = built.visits["Grace"].id
    customer.call_me(grace, at=NOW)
    with pytest.raises(Refused, match="promised already"):
        promise.make(grace, "call", wall("15:00"), at=NOW, by=DANA)


@pytest.mark.parametrize(
    ("kind", "due", "words"),
    [
        ("window", wall("15:00"), "cannot be promised"),
        ("", wall("15:00"), "cannot be promised"),
        ("part", NOW, "has passed"),
        ("part", NOW + timedelta(days=400), "a year ahead"),
    ],
)
def test_what_cannot_be_promised_is_refused(built: Built, kind: str, due: object, words: str) -> None:
    with pytest.raises(Refused, match=words):
        promise.make(built.visits["Grace"].id, kind, due, at=NOW, by=DANA)  # type: ignore[arg-type]
    assert db.session.scalars(select(Promise).where(Promise.kind != "window")).all() == []


def test_an_arrival_is_neither_kept_nor_moved_by_hand(built: Built) -> None:
    window = db.session.scalars(select(Promise.id).where(Promise.visit_id == built.visits["Grace"].id)).one()
    with pytest.raises(Refused, match="report keeps it"):
        promise.keep(window, at=NOW, by=DANA)
    with pytest.raises(Refused, match="moved with its visit"):
        promise.move(window, wall("15:00"), at=NOW, by=DANA)


def test_an_ended_promise_cannot_be_moved(built: Built) -> None:
    made = part(built)
    promise.keep(made, at=NOW, by=DANA)
    with pytest.raises(Refused, match="ended already"):
        promise.move(made, wall("16:00"), at=NOW, by=DANA)


def test_keeping_after_the_due_time_counts_as_broken_and_what_followed_is_kept(built: Built) -> None:
    made = part(built)
    promise.keep(made, at=wall("15:30"), by=DANA)
    assert [
        p.state for p in db.session.scalars(select(Promise).where(Promise.kind == "part").order_by(Promise.id))
    ] == [
        "broken",
        "kept",
    ]


def test_a_job_has_visits_of_one_customer(built: Built) -> None:
    with pytest.raises(Refused, match="one customer"):
        promise.group("Job", [built.visits["Grace"].id, built.visits["Lewis"].id], wall("18:00"), at=NOW, by=DANA)


def test_a_job_is_not_finished_while_its_customer_says_that_it_is_not(built: Built) -> None:
    grace = built.visits["Grace"].id
    promise.group("New boiler", [grace], wall("18:00"), at=NOW, by=DANA)
    with transaction() as s:
        s.add(Answer(visit_id=grace, kind="not_done", at=NOW))
    whole = db.session.scalars(select(Promise.id).where(Promise.kind == "job")).one()
    with pytest.raises(Refused, match="not done"):
        promise.keep(whole, at=NOW, by=DANA)
    with transaction() as s:
        s.add(Answer(visit_id=grace, kind="done", at=NOW))
    promise.keep(whole, at=NOW, by=DANA)
    assert row(whole).state == "kept"


def test_a_visit_joins_a_job_of_its_own_customer_only(built: Built) -> None:
    job = promise.group("New boiler", [built.visits["Grace"].id], wall("18:00"), at=NOW, by=DANA)
    with pytest.raises(Refused, match="no such job"):
        promise.join(built.visits["Lewis"].id, job, at=NOW, by=DANA)
    with pytest.raises(Refused, match="belongs to a job"):
        promise.group("Again", [built.visits["Grace"].id], wall("18:00"), at=NOW, by=DANA)
    assert db.session.get_one(Visit, built.visits["Grace"].id).job_id == job


@pytest.mark.parametrize("promise_id", [0, 99])
def test_an_unknown_promise_is_not_found(built: Built, promise_id: int) -> None:
    with pytest.raises(Refused, match="no such promise") as no:
        promise.keep(promise_id, at=NOW, by=DANA)
    assert no.value.status == 404
