"""The worker: every minute look at the days in progress, deliver what is due, keep the slow chores going."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select as sql
from sqlalchemy import text

from punctual import clock, deliver, learn, outbox, watch
from punctual.actions import transaction
from punctual.config import Settings
from punctual.models import Company, Heartbeat, Learned, Message, SlotClaim, Visit, db
from punctual.queries import day as queries
from punctual.transports import TRANSPORTS, Transport, TransportError

log = logging.getLogger(__name__)

#: Real seconds between two looks at the outbox when nobody rings.
POLL_S = 1.0
#: Days looked at in one transaction: short enough that taps never wait long.
SLICE = 25
BATCH = 20
HEARTBEAT = "worker"
#: Local hour after which the day is learned from.
LEARN_AT = 3

Chore = Callable[[datetime], None]


class Worker:
    """One sender and watcher of an instance. tick() does everything that is due; run() goes on until told to stop."""

    def __init__(self, app: Flask, chores: tuple[Chore, ...] = ()) -> None:
        self.app, self.chores = app, chores
        self.settings: Settings = app.config["SETTINGS"]
        self.name = f"{socket.gethostname()[:20]}-{os.getpid()}"
        self.transport: Transport = TRANSPORTS[self.settings.mail](self.settings)
        self.looked: datetime | None = None
        self.slow: datetime | None = None
        self.beat_at: datetime | None = None
        self.stopping = False

    def tick(self, at: datetime) -> int:
        """Do what is due at that instant; returns how many messages left. Never raises: a fault is logged, the next
        chore goes on."""
        with self.app.app_context():
            self._safely(self._beat, at)
            for chore in self.chores:
                self._safely(chore, at)
            if self.looked is None or at.replace(second=0, microsecond=0) != self.looked:
                self.looked = at.replace(second=0, microsecond=0)
                self._safely(self._watch, at)
                self._safely(self._remind, at)
                self._safely(self._expire, at)
            if self.slow is None or at - self.slow >= timedelta(hours=1):
                self.slow = at
                self._safely(self._learn, at)
            return self._deliver(at)

    def _safely(self, chore: Chore, at: datetime) -> None:
        try:
            chore(at)
        except Exception:
            log.exception("the worker goes on after an error in %s", getattr(chore, "__name__", chore))
            db.session.rollback()

    def _beat(self, at: datetime) -> None:
        if self.beat_at is not None and clock.real_seconds(at - self.beat_at) < 10:
            return
        self.beat_at = at
        with transaction() as s:
            s.merge(Heartbeat(name=HEARTBEAT, at=at, note=self.name))

    def _watch(self, at: datetime) -> None:
        ids = queries.in_progress(db.session(), at)
        for i in range(0, len(ids), SLICE):
            with transaction() as s:
                watch.look(s, ids[i : i + SLICE], at=at)
        with transaction() as s:
            watch.promises(s, at)

    def _remind(self, at: datetime) -> None:
        """The reminder before each visit whose invitation went out, or that was imported; once a promise."""
        s = db.session()
        rules = queries.rules(s)
        ahead = timedelta(hours=rules.reminder_h)
        coming = s.scalars(
            sql(Visit.id).where(
                Visit.window_start > at + ahead - timedelta(hours=2),
                Visit.window_start <= at + ahead,
                Visit.state == "planned",
                Visit.created_at < Visit.window_start - ahead,
            )
        ).all()
        known = set(s.scalars(sql(Message.visit_id).where(Message.kind == "reminder", Message.visit_id.in_(coming))))
        for visit_id in (v for v in coming if v not in known):
            with transaction() as w:
                visit = w.get_one(Visit, visit_id)
                key = f"{visit.id}:{visit.promise_version}:reminder:1"
                outbox.put(
                    w, key=key, kind="reminder", at=at, reason="reminder", cause=f"reminder:{visit.id}", visit=visit
                )

    def _expire(self, at: datetime) -> None:
        s = db.session()
        gone = s.scalars(sql(SlotClaim.id).where(SlotClaim.kind == "hold", SlotClaim.expires_at <= at)).all()
        if gone:
            with transaction() as w:
                for claim in w.scalars(sql(SlotClaim).where(SlotClaim.id.in_(gone))):
                    w.delete(claim)

    def _learn(self, at: datetime) -> None:
        """Learn once a night, and at the start where nothing was learned yet."""
        s = db.session()
        company = s.get(Company, 1)
        newest = s.scalar(sql(Learned.at).order_by(Learned.id.desc()).limit(1))
        if company is None or (newest is not None and at - newest < timedelta(hours=20)):
            return
        with transaction() as w:
            learn.learn(w, at=at)

    def _deliver(self, at: datetime) -> int:
        """Deliver until nothing is due; one message that cannot be sent never stops the others."""
        sent = 0
        while not self.stopping:
            with transaction() as s:
                ids = outbox.claim(s, at=at, by=self.name, limit=BATCH)
            if not ids:
                return sent
            for message_id in ids:
                try:
                    sent += self._one(message_id, at)
                except Exception:
                    log.exception("message %s is left for another try", message_id)
                    db.session.rollback()
                    self._park(message_id, at)
        return sent

    def _one(self, message_id: int, at: datetime) -> int:
        with transaction() as s:
            ready = deliver.prepare(s, message_id, self.settings, by=self.name, at=at)
        if ready is None:
            return 0
        try:
            receipt = self.transport.send(ready.envelope)
        except TransportError as error:
            log.warning("message %s: %s", message_id, error.sentence)
            with transaction() as s:
                deliver.refused(s, ready, error, at=at)
            return 0
        with transaction() as s:
            deliver.accepted(s, ready, receipt, at=at)
        return 1

    def _park(self, message_id: int, at: datetime) -> None:
        with transaction() as s:
            message = s.get_one(Message, message_id)
            message.state, message.state_at = "failed", at
            message.state_reason = "it cannot be written; see the log"

    def run(self) -> None:
        """Go on until SIGTERM or SIGINT; a ring from the outbox is answered at once."""

        def stop(number: int, frame: object) -> None:
            self.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        with listening(self.app) as wait:
            while not self.stopping:
                self.tick(clock.now())
                if not self.stopping:
                    wait(POLL_S)
        self.transport.close()


@contextmanager
def listening(app: Flask) -> Iterator[Callable[[float], None]]:
    """How a worker waits: a local socket for SQLite, LISTEN for PostgreSQL; both end after the given seconds."""
    with app.app_context():
        url, dialect = str(db.engine.url), db.engine.dialect.name
    if dialect == "postgresql":
        yield from _on_postgres(app)
        return
    address = Path(outbox.bell(url))
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(address))

        def wait(seconds: float) -> None:
            readable, _, _ = select.select([bell], [], [], seconds)
            if readable:
                bell.recv(16)

        try:
            yield wait
        finally:
            address.unlink(missing_ok=True)


def _on_postgres(app: Flask) -> Iterator[Callable[[float], None]]:
    with app.app_context():
        engine = db.engine
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.execute(text(f"LISTEN {outbox.CHANNEL}"))
    driver: Any = connection.connection.dbapi_connection

    def wait(seconds: float) -> None:
        for _ in driver.notifies(timeout=seconds, stop_after=1):
            return

    try:
        yield wait
    finally:
        connection.close()
