"""Sending itself on the board: pause, resume, send one again, and a copy that says why it is silent."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, gate, outbox
from punctual.actions import transaction
from punctual.models import Message, Visit, db
from tests.build import wall
from tests.sender import Keeper, send, states, worker
from tests.web.desk import Desk, desk

AT = wall("08:40")


@pytest.fixture
def at_desk(lite: Flask) -> Desk:
    clock.configure("2026-11-24T08:40+00:00 x1")
    return desk(lite)


def put(made: Desk, key: str) -> None:
    with transaction() as s:
        outbox.put(s, key=key, kind="booked", at=AT, reason="booked", visit=s.get_one(Visit, made.visit("Grace")))


def test_a_dispatcher_pauses_everything_sees_it_on_every_page_and_resumes(lite: Flask, at_desk: Desk) -> None:
    keeper = Keeper()
    put(at_desk, "a")
    assert at_desk.post("/board/sending/pause").status_code == 303
    assert send(worker(lite, keeper), AT) == 0
    assert "paused all messages" in at_desk.text("/board/people")
    assert "Resume all messages" in at_desk.text("/board/messages")
    at_desk.post("/board/sending/resume")
    assert "paused all messages" not in at_desk.text("/board/people")
    assert send(worker(lite, keeper), AT) == 1


def test_a_message_is_sent_again_by_hand_and_one_that_waits_is_not(lite: Flask, at_desk: Desk) -> None:
    keeper = Keeper()
    put(at_desk, "a")
    id_ = db.session.scalars(select(Message.id)).one()
    assert at_desk.post(f"/board/messages/{id_}/again").status_code == 409
    send(worker(lite, keeper), AT)
    assert at_desk.post(f"/board/messages/{id_}/again").status_code == 303
    assert states() == [("booked", "queued", "sent again by hand")]
    send(worker(lite, keeper), clock.now())
    assert len(keeper.kept) == 2
    assert at_desk.post("/board/messages/999/again").status_code == 404


def test_a_copied_database_says_on_the_board_why_nothing_is_sent(lite: Flask, at_desk: Desk) -> None:
    send(worker(lite, Keeper()), AT)
    put(at_desk, "a")
    (lite.config["SETTINGS"].instance / gate.SEAL).write_text('{"instance": "x", "body": "x", "mark": 0}')
    assert "This is a restored or copied database. Nothing is sent" in at_desk.text("/board/messages")
