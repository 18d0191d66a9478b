"""The check of every minute, against real rows: what was accepted by the way out is what the customer knows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import outbox
from punctual.actions import dispatcher, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.follow import truth as follow
from punctual.models import Difference, Notice, Visit, db
from tests import build, sender
from tests.build import Built, wall

DANA = By(1, "Dana Price")


@pytest.fixture
def built(app: Flask) -> Built:
    """Grace has her invitation; nothing differs."""
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
    dispatcher.move(
        made.visits["Grace"].id,
        made.technicians["Tom"].id,
        start=wall("15:00"),
        window=Window(wall("15:00"), wall("15:30")),
        tell=True,
        at=wall("08:10"),
        by=DANA,
    )
    return made


def look(at: str) -> list[tuple[str, str]]:
    """As the worker does each minute."""
    db.session.rollback()
    ids = follow.think(db.session(), wall(at))
    db.session.rollback()
    with transaction() as s:
        follow.act(s, ids, wall(at))
    db.session.rollback()
    assert follow.think(db.session(), wall(at)) == [], "a second look finds nothing to write"
    rows = db.session.scalars(select(Difference).where(Difference.ended_at.is_(None)).order_by(Difference.id))
    return [(d.what, d.action) for d in rows]


def tasks() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(Notice.reason).where(Notice.decision == "task").order_by(Notice.id)))


def open_tasks() -> list[str]:
    db.session.rollback()
    mine = Notice.decision == "task", Notice.resolved_at.is_(None)
    return list(db.session.scalars(select(Notice.reason).where(*mine).order_by(Notice.id)))


def silently(built: Built, start: str) -> None:
    dispatcher.move(
        built.visits["Grace"].id,
        built.technicians["Tom"].id,
        start=wall(start),
        window=Window(wall(start), wall(start) + timedelta(minutes=30)),
        tell=False,
        at=wall("08:20"),
        by=DANA,
    )


def test_nothing_differs_once_the_message_was_accepted(app: Flask, built: Built) -> None:
    sender.send(sender.worker(app, sender.Keeper()), wall("08:10"))
    assert look("08:11") == []


def test_a_silent_move_is_shown_and_somebody_has_to_call(app: Flask, built: Built) -> None:
    sender.send(sender.worker(app, sender.Keeper()), wall("08:10"))
    silently(built, "16:00")
    assert look("08:21") == [("window", "call")]
    assert look("08:22") == [("window", "call")]
    assert tasks() == ["differs"], "one task, however often it is seen"


def test_a_difference_ends_when_it_is_mended(app: Flask, built: Built) -> None:
    sender.send(sender.worker(app, sender.Keeper()), wall("08:10"))
    silently(built, "16:00")
    look("08:21")
    assert open_tasks() == ["differs"]
    silently(built, "15:00")
    assert look("08:23") == []
    ended = db.session.scalars(select(Difference)).one()
    assert ended.ended_at == wall("08:23")
    assert open_tasks() == [], "nobody has to call about it any more"
    silently(built, "16:00")
    look("08:25")
    assert open_tasks() == ["differs"], "and somebody has to if it differs again"


def test_a_person_is_asked_no_more_while_a_message_will_say_it(app: Flask, built: Built) -> None:
    """A message is on its way now; when it fails, the same call is asked for again."""
    sender.send(sender.worker(app, sender.Keeper()), wall("08:10"))
    silently(built, "16:00")
    look("08:21")
    with transaction() as s:
        visit = s.get_one(Visit, built.visits["Grace"].id)
        put = outbox.put(s, key="again", kind="moved_by_us", at=wall("08:22"), reason="moved", visit=visit)
        assert put is not None
    assert look("08:22") == [("window", "waiting")]
    assert open_tasks() == []
    sender.send(sender.worker(app, sender.Keeper([sender.GONE])), wall("08:22"))
    assert look("08:23") == [("window", "call")]
    assert open_tasks().count("differs") == 1


def test_a_message_that_failed_leaves_a_difference(app: Flask, built: Built) -> None:
    sender.send(sender.worker(app, sender.Keeper()), wall("08:10"))
    dispatcher.move(
        built.visits["Grace"].id,
        built.technicians["Tom"].id,
        start=wall("16:00"),
        window=Window(wall("16:00"), wall("16:30")),
        tell=True,
        at=wall("08:20"),
        by=DANA,
    )
    assert look("08:20") == [("window", "waiting")]
    sender.send(sender.worker(app, sender.Keeper([sender.GONE])), wall("08:20"))
    assert look("08:21") == [("window", "call")]


def test_a_cancellation_without_a_word_is_shown(app: Flask, built: Built) -> None:
    sender.send(sender.worker(app, sender.Keeper()), wall("08:10"))
    dispatcher.cancel(built.visits["Grace"].id, tell=False, at=wall("08:20"), by=DANA)
    assert look("08:21") == [("cancelled", "call")]
