"""What was said and does not hold: dropped while it is here, one correction on the same channel once it has left."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, outbox
from punctual.actions import dispatcher, people, transaction
from punctual.actions import technician as taps
from punctual.actions.dispatcher import By
from punctual.models import Message, Notice, Report, Visit, db
from tests import build
from tests.build import wall
from tests.faults.truth import words
from tests.sender import Keeper, send, worker
from tests.web.desk import Desk, desk

BY = By(1, "Dana")


@pytest.fixture
def day(app: Flask) -> Desk:
    clock.configure("2026-11-24T09:00+00:00 x1")
    return desk(app)


def undo(day: Desk, name: str, at: str) -> None:
    visit = day.built.visits[name]
    taps.undo(visit.id, technician_id=visit.technician_id, key=f"undo-{at}", tapped_at=wall(at), at=wall(at))


def sent(day: Desk, keeper: Keeper, at: str) -> list[str]:
    clock.configure(f"{wall(at).isoformat()} x1")
    before = len(keeper.kept)
    send(worker(day.app, keeper), wall(at))
    return [e.kind for e in keeper.kept[before:]]


def test_nobody_home_that_was_told_and_taken_back_is_corrected_once_with_what_is_true(day: Desk) -> None:
    keeper = Keeper()
    day.tap("Priya", "arrived", "09:05")
    day.tap("Priya", "nobody_home", "09:10")
    assert sent(day, keeper, "09:12") == ["nobody_home"]
    undo(day, "Priya", "09:13")
    assert sent(day, keeper, "09:13") == ["correction"]
    said = words(keeper.kept[-1].body)
    assert "What is true now: Tom has arrived." in said and "Our last message was wrong, and we are sorry." in said
    db.session.rollback()
    assert db.session.get_one(Visit, day.visit("Priya")).told_kind != "correction"


def test_nobody_home_that_has_not_left_is_only_dropped(day: Desk) -> None:
    keeper = Keeper()
    day.tap("Priya", "arrived", "09:05")
    day.tap("Priya", "nobody_home", "09:10")
    undo(day, "Priya", "09:10")
    assert sent(day, keeper, "09:12") == []


def test_done_that_was_asked_about_and_taken_back_is_corrected(day: Desk) -> None:
    keeper = Keeper()
    day.tap("Priya", "arrived", "09:05")
    day.tap("Priya", "done", "09:30")
    with transaction() as s:
        visit = s.get_one(Visit, day.visit("Priya"))
        outbox.put(s, key="k", kind="signoff", at=wall("10:00"), reason="done", cause="x", visit=visit)
    assert sent(day, keeper, "10:00") == ["signoff"]
    undo(day, "Priya", "10:05")
    assert sent(day, keeper, "10:05") == ["correction"]
    assert "What is true now: The work is not done yet." in words(keeper.kept[-1].body)


def test_a_visit_given_away_after_on_my_way_was_told_is_corrected_before_it_is_late(day: Desk) -> None:
    keeper = Keeper()
    day.tap("Lewis", "on_my_way", "09:30")
    assert "on_my_way" in sent(day, keeper, "09:31")
    off = {"at": wall("09:32"), "by": BY}
    ana, tom = (day.built.technicians[n].id for n in ("Ana", "Tom"))
    people.off(ana, build.DATE, "sick", **off)
    dispatcher.give(day.visit("Lewis"), tom, **off)
    assert "correction" in sent(day, keeper, "09:33")
    assert "Tom is not on the way. Expected" in words(next(e for e in keeper.kept if e.kind == "correction").body)


@pytest.mark.parametrize("channel", ["sms", "email"])
def test_a_correction_goes_the_way_the_message_went(lite: Flask, channel: str) -> None:
    made = desk(lite)
    with transaction() as s:
        s.connection().engine.update_execution_options(texts=True)
        s.get_one(Visit, made.visit("Priya")).customer.phone = "+447700900111"
    made.tap("Priya", "on_my_way", "08:40")
    with transaction() as s:
        told = s.scalars(select(Message)).one()
        told.state, told.channel = "sent", channel
    undo(made, "Priya", "08:42")
    db.session.rollback()
    assert [m.channel for m in db.session.scalars(select(Message).where(Message.kind == "correction"))] == [channel]
    assert db.session.scalars(select(Report.kind).order_by(Report.id)).all() == ["on_my_way", "undo"]


def test_a_correction_is_dropped_when_what_it_corrects_is_true_again(day: Desk) -> None:
    keeper = Keeper()
    day.tap("Priya", "on_my_way", "08:40")
    assert sent(day, keeper, "08:41") == ["on_my_way"]
    undo(day, "Priya", "08:42")
    day.tap("Priya", "on_my_way", "08:43")
    assert "correction" not in sent(day, keeper, "08:43")


def test_a_call_asked_for_by_a_report_that_was_taken_back_is_not_needed_and_can_be_asked_for_again(day: Desk) -> None:
    with transaction() as s:
        customer = s.get_one(Visit, day.visit("Grace")).customer
        customer.email = customer.phone = ""

    def calls() -> list[str | None]:
        db.session.rollback()
        found = db.session.scalars(select(Notice).where(Notice.kind == "call").order_by(Notice.id))
        return [x.resolved_by if x.resolved_at else "open" for x in found]

    day.tap("Priya", "arrived", "09:05")
    assert [t["decision"] for t in day.tap("Priya", "late", "09:06", minutes=120).told] == ["task"]
    assert calls() == ["open"]
    undo(day, "Priya", "09:07")
    assert calls() == ["undo"]
    day.tap("Priya", "late", "09:08", minutes=120)
    assert calls() == ["undo", "open"], "what is true then asks again"
    shown = day.text(f"/board/visits/{day.visit('Grace')}")
    assert "taken back by the technician" in shown
