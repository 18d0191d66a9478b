""" "A person reads it and answers by nine" is a promise like any other: kept by an answer, or said to be broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from punctual.actions import conversation, dispatcher, inbound, task, transaction
from punctual.follow import promises as follow
from punctual.models import Notice, Promise, db
from punctual.web import board_words
from tests import build
from tests.mails import person
from tests.sender import tasks
from tests.texting import AT, PHONES, Line, line
from tests.web.desk import words

BY = dispatcher.By(1, "Dana Price")
GRACE = PHONES["Grace"]


@pytest.fixture
def way(database_url: str, tmp_path: Path) -> Iterator[Line]:
    with line(database_url, tmp_path) as made:
        with transaction() as s:
            build.dispatcher(s)
        yield made


def owed() -> list[tuple[str, str]]:
    """(state, owner) of what is owed to those who wrote, oldest first."""
    db.session.rollback()
    found = select(Promise).where(Promise.kind == "reply").order_by(Promise.id)
    states = [(p.state, p.owner) for p in db.session.scalars(found)]
    db.session.rollback()
    return states


def due() -> datetime:
    db.session.rollback()
    return db.session.scalars(select(Promise.due_at).where(Promise.kind == "reply", Promise.state == "open")).one()


def minute(at: datetime) -> None:
    with transaction() as s:
        follow.look(s, at)


def test_who_wrote_sees_by_when_they_are_answered_and_the_answer_keeps_it(way: Line) -> None:
    way.hear("Which door do you come to?")
    way.hear("And who comes?", at=AT + timedelta(minutes=1))
    assert owed() == [("open", "Dana Price")], "one reply is owed, however much they write"
    way.send()
    (said,) = way.texts(GRACE)
    page = words(way.client.get(said.split("https://visits.example.com")[1].split()[0]).text)
    assert "An answer to you Open, due 9:45 today. Responsible: Dana Told on Tue 24 Nov at 8:40 by text" in page
    conversation.answer(way.visits["Grace"], "The blue one.", at=AT + timedelta(minutes=5), by=BY)
    assert owed() == [("kept", "Dana Price")] and tasks() == []
    way.send(AT + timedelta(minutes=5))
    assert [x.split(":")[0] for x in way.texts(GRACE)] == ["Bellweather"] * 2, "the answer itself, and no word about it"


def test_what_nobody_answers_is_passed_on_and_said_at_its_time(way: Line) -> None:
    way.hear("Which door do you come to?")
    way.send()
    at = due()
    minute(at + timedelta(minutes=1))
    assert owed() == [("broken", "Dana Price"), ("open", "Dana Price")]
    way.send(at + timedelta(minutes=1))
    assert "we did not keep this promise" in way.texts(GRACE)[-1] and "an answer to you" in way.texts(GRACE)[-1]
    waiting = db.session.scalars(select(Notice.due_at).where(Notice.kind == "wrote")).one()
    assert waiting == due(), "the task waits on, with the new time"
    dispatcher.called(way.visits["Grace"], at=at + timedelta(minutes=2), by=BY)
    assert owed()[-1] == ("kept", "Dana Price") and tasks() == []


def test_seen_to_keeps_it_unless_more_of_their_words_wait(way: Line) -> None:
    way.hear("Which door?")
    first = db.session.scalars(select(Notice.id).where(Notice.kind == "wrote")).one()
    way.hear("And who comes?")
    task.resolve(first, at=AT, by=BY)
    assert owed() == [("open", "Dana Price")]
    second = db.session.scalars(select(Notice.id).where(Notice.kind == "wrote").order_by(Notice.id.desc())).first()
    task.resolve(second or 0, at=AT, by=BY)
    assert owed() == [("kept", "Dana Price")]


def test_nothing_is_promised_to_who_was_told_nothing(way: Line) -> None:
    raw = person("I am away.", "Auto-Submitted: auto-replied")
    assert inbound.mail(raw, at=AT) == "automatic" and owed() == []
    way.hear("STOP")
    way.change("Grace", email=None)
    way.hear("who is this?", at=AT + timedelta(minutes=1))
    assert owed() == [] and ("wrote", "wrote") in tasks()


def test_the_board_names_it_as_people_there_do() -> None:
    assert board_words.owed("reply") == "an answer"
