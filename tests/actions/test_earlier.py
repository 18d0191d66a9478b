"""A visit that could begin earlier: the customer is asked once, nothing changes unless they take it."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import messages
from punctual.actions import Refused, dispatcher, earlier, inbound, technician, transaction
from punctual.actions.dispatcher import By
from punctual.core import reply
from punctual.models import Message, Promise, Received, Visit, db
from punctual.queries import day as days
from punctual.queries import visit as visits
from tests import build
from tests.build import Built, wall
from tests.sender import Keeper, worker
from tests.test_deliver import mail
from tests.web.desk import overrun, words
from tests.web.visitor import Page, visitor

DANA = By(1, "Dana Price")
TEXT = build.MORNING.replace("10:00-10:30 Grace", "11:00-11:30 Grace").replace(" leave 12:00", "")


@pytest.fixture
def door(app: Flask) -> Page:
    """Priya's work is over at 9:40: Tom could be at Grace's long before eleven."""
    made = visitor(app, "09:41", TEXT)
    for kind, at in (("arrived", "09:00"), ("done", "09:40")):
        tap(made.built, kind, at)
    return made


def tap(built: Built, kind: str, at: str, name: str = "Priya", minutes: int = 0) -> None:
    technician.report(
        built.visits[name].id, kind, technician_id=built.technicians["Tom"].id, key=f"{name}-{kind}-{at}",
        tapped_at=wall(at), at=wall(at), minutes=minutes,
    )  # fmt: skip


def offer(door: Page, at: str = "09:41") -> None:
    dispatcher.offer_earlier(door.visit.id, at=wall(at), by=DANA)


def test_nothing_moves_by_the_offer_and_its_words_name_both_times(app: Flask, door: Page) -> None:
    offer(door)
    keeper = Keeper()
    worker(app, keeper).tick(wall("09:41"))
    (sent,) = (e for e in keeper.kept if e.kind == "earlier")
    body = mail(sent.body).get_body(("plain",))
    assert body is not None and "Your agreed time: between 11:00 and 11:30" in body.get_content()
    visit = door.visit
    assert (visit.window_start, visit.promise_version, visit.told_at) == (wall("11:00"), 1, None)
    shown = days.forecasts(db.session(), [door.built.shifts["Tom"].id])[visit.id]
    assert shown.arrive[0] >= wall("10:55"), "nobody comes before it unless the customer says so"


def test_the_customer_takes_it_and_it_is_the_promise(door: Page) -> None:
    offer(door)
    offered = visits.earlier(db.session(), door.visit, wall("09:41"))
    assert offered is not None and offered.end < wall("11:00")
    assert f"Come earlier, between {offered.start:%-H:%M} and {offered.end:%-H:%M}" in door.text()
    assert "Your new time is confirmed." in door.after("earlier")
    visit = door.visit
    assert (visit.window_start, visit.window_end, visit.promise_version) == (offered.start, offered.end, 2)
    assert "Come earlier" not in door.text()
    states = db.session.scalars(select(Promise.state).where(Promise.visit_id == visit.id, Promise.kind == "window"))
    assert sorted(states) == ["moved", "open"]
    shown = days.forecasts(db.session(), [door.built.shifts["Tom"].id])[visit.id]
    assert shown.arrive[1] <= offered.end
    door.after("earlier")
    assert door.visit.promise_version == 2, "pressed again it changes nothing"
    assert db.session.scalars(select(Message.kind).where(Message.kind == "kept")).all() == ["kept"]


def texted(door: Page, words: str, at: str) -> Received:
    """A text of the customer has come in and is acted on."""
    with transaction() as s:
        s.get_one(Visit, door.visit.id).customer.phone = "+447700900112"
        row = Received(
            key=f"test:{words}:{at}", channel="sms", sender="+447700900112", subject="", text=words, at=wall(at), meaning="",
            outcome="",
        )  # fmt: skip
        s.add(row)
    inbound.settle(door.app.config["SETTINGS"], wall(at))
    db.session.rollback()
    return db.session.scalars(select(Received).order_by(Received.id.desc())).first()  # type: ignore[return-value]


@pytest.mark.parametrize("words_", ["Yes", "come earlier"])
def test_it_can_be_taken_by_text(door: Page, words_: str) -> None:
    offer(door)
    offered = visits.earlier(db.session(), door.visit, wall("09:41"))
    row = texted(door, words_, "09:42")
    assert (row.meaning, row.outcome) == ("earlier", "the earlier time was taken")
    assert offered is not None and (door.visit.window_start, door.visit.window_end) == (offered.start, offered.end)
    again = texted(door, "earlier", "09:43")
    assert again.outcome == "taken already" and door.visit.promise_version == 2


@pytest.mark.parametrize("language", ["en", "es", "de"])
def test_the_text_that_asks_says_which_word_takes_it(lite: Flask, language: str) -> None:
    sms = messages.example("earlier", language).sms
    (said,) = re.findall(r'"(\w+)"', sms)
    assert reply.read(f'"{said}"').meaning == reply.read(said.upper()).meaning == "earlier"


@pytest.mark.parametrize(("words_", "outcome"), [("1", "kept"), ("OK", "a person reads it")])
def test_a_text_that_does_not_take_it_leaves_the_agreed_time(door: Page, words_: str, outcome: str) -> None:
    offer(door)
    assert texted(door, words_, "09:42").outcome == outcome
    assert (door.visit.window_start, door.visit.promise_version) == (wall("11:00"), 1)


def test_asked_for_without_an_offer_it_goes_to_a_person(door: Page) -> None:
    assert texted(door, "earlier", "09:42").outcome == "a person reads it"
    assert door.visit.window_start == wall("11:00")


def test_who_keeps_their_time_is_not_offered_it_any_more(door: Page) -> None:
    offer(door)
    door.after("keep")
    assert "Come earlier" not in door.text()
    door.post("earlier", 409)
    assert door.visit.window_start == wall("11:00")


def test_an_offer_that_cannot_be_kept_any_more_is_refused(door: Page) -> None:
    offer(door)
    tap(door.built, "late", "09:45", "Grace", 60)
    with pytest.raises(Refused, match="We cannot come earlier any more"):
        earlier.take(door.visit.id, at=wall("09:46"))
    assert door.visit.promise_version == 1
    with pytest.raises(Refused, match="We cannot come earlier any more"):
        earlier.take(door.visit.id, at=wall("10:58"))


def test_there_is_nothing_to_offer_where_the_technician_is_not_free_earlier(app: Flask) -> None:
    made = visitor(app, "09:41", TEXT)
    tap(made.built, "arrived", "09:00")
    tap(made.built, "late", "09:41", minutes=60)
    assert earlier.possible(db.session(), made.visit, wall("09:41")) is None
    with pytest.raises(Refused, match="nothing to offer"):
        offer(made)


def test_a_dispatcher_offers_it_with_one_press(lite: Flask) -> None:
    board = overrun(lite)
    assert "Offer to come earlier" not in board.text(f"/board/visits/{board.visit('Grace')}")
    lewis = board.visit("Lewis")
    assert "Offer to come earlier: 09:55" in board.text(f"/board/visits/{lewis}")
    assert board.post(f"/board/visits/{lewis}/earlier").status_code == 303
    db.session.rollback()
    assert db.session.scalars(select(Message.visit_id).where(Message.kind == "earlier")).all() == [lewis]
    refused = board.post(f"/board/visits/{board.visit('Grace')}/earlier")
    assert refused.status_code == 409 and "nothing to offer" in words(refused.text)
