"""A worker killed while the mail server holds its message: nothing is lost unseen, nothing is doubled unseen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import outbox
from punctual.actions import transaction
from punctual.models import Attempt, Message, db
from tests import build, forked
from tests.build import wall
from tests.transports import server

#: A day on which the watch has nothing to say.
QUIET = """
Tom 08:00-17:00 home 51.4545,-2.5879
  15:00-15:30 Grace boiler 45 at 51.4600,-2.6000
"""


def until(true: Callable[[], object], why: str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, why
        time.sleep(0.02)


@contextmanager
def worker(app: Flask, there: server.Server, start: str, log: Path) -> Iterator[None]:
    """A worker process whose clock starts then; killed at the end of the block whatever happens."""
    settings = app.config["SETTINGS"]
    env = os.environ | {
        "PUNCTUAL_INSTANCE": str(settings.instance),
        "DATABASE_URL": settings.database_url,
        "PUNCTUAL_ORIGIN": "http://localhost",
        "PUNCTUAL_CLOCK": f"2026-11-24T{start}+00:00 x1",
        "PUNCTUAL_MAIL": "smtp",
        "PUNCTUAL_SMTP_HOST": "127.0.0.1",
        "PUNCTUAL_SMTP_PORT": str(there.port),
        "PUNCTUAL_SMTP_TLS": "none",
    }
    process = forked.process(forked.worker, env=env, log=log)
    try:
        yield
    finally:
        process.kill()
        process.join(10)


def state() -> str:
    db.session.rollback()
    return db.session.scalars(select(Message.state)).one()


@pytest.mark.parametrize(("kind", "ends", "arrived"), [("on_my_way", "uncertain", 1), ("booked", "sent", 2)])
def test_kill_9_in_the_middle_of_a_sending_is_held_or_resent_as_the_same_message(
    app: Flask, tmp_path: Path, kind: str, ends: str, arrived: int
) -> None:
    at, log = wall("08:40"), tmp_path / "worker.log"
    with transaction() as s:
        grace = build.day(s, QUIET).visits["Grace"]
        if kind == "on_my_way":
            grace.state, grace.on_my_way_at = "on_my_way", at
        outbox.put(s, key="k", kind=kind, at=at, reason="x", visit=grace)
    with server.running() as there:
        there.silent = True
        with worker(app, there, "08:40", log):
            until(lambda: there.kept, log.read_text(errors="replace"))
        assert state() == "sending"
        there.silent = False
        with worker(app, there, "08:45", log):
            until(lambda: state() == ends, log.read_text(errors="replace"))
        assert len(there.kept) == arrived
        assert {m.content for m in there.kept} == {there.kept[0].content}, "a resend is the very same message"
    kept = db.session.scalars(select(Attempt)).one()
    assert message_from_bytes(kept.body)["Message-ID"] == kept.mail_id
    assert kept.body == there.kept[0].content, "what was kept is what was handed over"
