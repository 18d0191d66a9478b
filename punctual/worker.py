"""The worker: every minute look at the days in progress, deliver what is due, keep the slow chores going."""

from __future__ import annotations

import logging
import os
import secrets
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import Connection, delete, text
from sqlalchemy import select as sql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from punctual import clock, follow, learn, messages, outbox, watch
from punctual.actions import inbound, rescue, transaction
from punctual.config import Settings
from punctual.core.day import Ints, at_wall, local
from punctual.core.kinds import KINDS
from punctual.follow import truth
from punctual.models import Company, Heartbeat, Message, SlotClaim, Visit, compile_all, db
from punctual.queries import day as queries
from punctual.queries.memory import Memory
from punctual.sender import Sender

log = logging.getLogger(__name__)

#: Real seconds between two looks at the outbox when nobody rings.
POLL_S = 1.0
#: Real seconds between two tries to write while others do: less than a door's, for it is one among many of those; the
#: first ones sooner, for who rings is about to be done.
TRY_AGAIN_S = (0.00005, 0.0004)
#: Days forecast in one piece, and days written in one transaction: short enough that taps never wait long.
PIECE, SLICE = 1000, 50
#: Real seconds a chore beside the loop may take to end.
TIMEOUT_S = 5.0
HEARTBEAT = "worker"
#: Local hour after which the day before is learned from.
LEARN_AT = 3

Chore = Callable[[datetime], None]


class Worker:
    """One sender and watcher of an instance. tick() does everything that is due; run() goes on until told to stop.

    `chores` are done at every look; those `aside` ask the network and run beside the loop, so that a slow server
    delays no message.
    """

    def __init__(self, app: Flask, chores: tuple[Chore, ...] = (), aside: tuple[Chore, ...] = ()) -> None:
        self.app, self.chores, self.aside = app, chores, aside
        self.settings: Settings = app.config["SETTINGS"]
        self.name = f"{socket.gethostname()[:20]}-{os.getpid()}-{secrets.token_hex(3)}"
        self.sender = Sender(app, self.name)
        self.looked: datetime | None = None
        self.beat_at: datetime | None = None
        self.memory = Memory()
        self.stopping = False
        with app.app_context():
            db.engine.update_execution_options(try_again_s=TRY_AGAIN_S)

    def tick(self, at: datetime) -> int:
        """Do everything that is due at that instant; returns how many messages left. Never raises: a fault is
        logged, the next chore goes on."""
        self.look(at)
        sent = 0
        while (taken := self.deliver(at))[0]:
            sent += taken[1]
        return sent

    def look(self, at: datetime) -> None:
        """The chores: heartbeat, and once a minute of this clock the days, reminders, holds and what is learned."""
        with self.app.app_context():
            self._safely(self._beat, at)
            self._safely(self._settle, at)
            for chore in self.chores:
                self._safely(chore, at)
            minute = at.replace(second=0, microsecond=0)
            if self.looked is None or minute != self.looked:
                self.looked = minute
                for chore in (self._watch, self._follow, self._remind, self._expire, self.nightly):
                    self._safely(chore, at)

    def deliver(self, at: datetime) -> tuple[int, int]:
        """Send one batch of what is due; returns how many were taken and how many left. Never raises."""
        return self.sender.deliver(at)

    def _safely(self, chore: Chore, at: datetime) -> None:
        try:
            chore(at)
        except Exception:
            log.exception(
                "the worker goes on after an error in %s", getattr(getattr(chore, "func", chore), "__name__", "")
            )
            db.session.rollback()

    def _beat(self, at: datetime) -> None:
        if self.beat_at is not None and clock.real_seconds(at - self.beat_at) < 10:
            return
        self.beat_at = at
        with transaction() as s:
            s.merge(Heartbeat(name=HEARTBEAT, at=at, note=self.name))

    def _settle(self, at: datetime) -> None:
        """Texts that came in since the last look."""
        inbound.settle(self.settings, at)

    def _watch(self, at: datetime) -> None:
        """Read and forecast without holding anybody up; then write what is new, a slice at a time."""
        s = db.session()
        s.stay()
        ids = queries.in_progress(s, at)
        self.memory.keep(ids)
        for i in range(0, len(ids), PIECE):
            self._safely(partial(self._piece, ids[i : i + PIECE]), at)

    def _piece(self, ids: list[int], at: datetime) -> None:
        s = db.session()
        s.stay()
        thought = watch.think(s, ids, at=at, memory=self.memory)
        db.session.rollback()
        for part in watch.parts(thought, SLICE):
            self._safely(partial(self._part, thought, part), at)

    def _part(self, thought: watch.Thought, part: Ints, at: datetime) -> None:
        with transaction() as s:
            rescue.alone(s, watch.act(s, thought, part, at=at), at=at)

    def _follow(self, at: datetime) -> None:
        for look in follow.LOOKS:
            self._safely(partial(self._looked, look), at)
        self._safely(self._compare, at)

    def _looked(self, look: Callable[[Session, datetime], int], at: datetime) -> None:
        with transaction() as s:
            look(s, at)

    def _compare(self, at: datetime) -> None:
        """What was told with what is true: read without holding anybody up, then written a slice at a time."""
        ids = truth.think(db.session(), at)
        db.session.rollback()
        for i in range(0, len(ids), SLICE):
            with transaction() as s:
                truth.act(s, ids[i : i + SLICE], at)

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
                Visit.created_at < at - timedelta(hours=2),
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
        over = sql(SlotClaim.id).where(SlotClaim.kind == "hold", SlotClaim.expires_at <= at)
        if s.scalar(over.limit(1)) is not None:
            with transaction() as w:  # whom somebody else is about to drop is left to them
                w.execute(delete(SlotClaim).where(SlotClaim.id.in_(over.with_for_update(skip_locked=True))))

    def nightly(self, at: datetime) -> None:
        """Learn once a night, at the start where nothing was learned yet, and when a day is to be forgotten. Nothing is
        locked while it is worked out."""
        s = db.session()
        company = s.get(Company, 1)
        if company is None or not learn.due(s, _last_night(at, company.zone)):
            return
        found = learn.find(s, at=at)
        with transaction() as w:
            learn.keep(w, found)

    def run(self) -> None:
        """Go on until SIGTERM or SIGINT; a ring from the outbox is answered at once."""

        def stop(number: int, frame: object) -> None:
            self.stopping = self.sender.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.loop()

    def loop(self) -> None:
        """Look, deliver, wait - until `stopping`. Who rings is served before the next look."""
        with listening(self.app) as wait, self._beside():
            rung, cold = False, self._rehearsal()
            while not self.stopping:
                if not rung:
                    self.look(clock.now())
                taken, _sent = self.deliver(clock.now())
                rung = not (rung or taken or self.stopping) and (any(wait(0.0) for _ in cold) or wait(POLL_S))
        self.sender.close()

    def _rehearsal(self) -> Iterator[str]:
        """What a first warning would wait for, a piece at a time while there is nothing to do: every statement made
        ready, every kind of warning written once."""
        with self.app.app_context():
            self._safely(_compile, clock.now())
        yield "statements"
        for kind in (k for k in KINDS.values() if k.class_ == "delay"):
            with self.app.app_context():
                self._safely(partial(_write, kind.name), clock.now())
            yield kind.name

    @contextmanager
    def _beside(self) -> Iterator[None]:
        over = threading.Event()

        def go() -> None:
            while not over.wait(POLL_S):
                with self.app.app_context():
                    for chore in self.aside:
                        self._safely(chore, clock.now())

        thread = threading.Thread(target=go, daemon=True)
        if self.aside:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self.aside:
                thread.join(TIMEOUT_S)


def _compile(at: datetime) -> None:
    compile_all(db.session().connection())
    db.session.rollback()


def _write(kind: str, at: datetime) -> None:
    company = db.session.get(Company, 1)
    if company is not None:
        messages.example(kind, company.language)
        messages.zone_words(company.zone, at, company.language)
    db.session.rollback()


def _last_night(at: datetime, zone: str) -> datetime:
    """The newest LEARN_AT o'clock of that zone that has passed."""
    here = local(at, zone)
    on = here.date() if here.hour >= LEARN_AT else here.date() - timedelta(days=1)
    return at_wall(on, LEARN_AT, 0, zone)


@contextmanager
def listening(app: Flask) -> Iterator[Callable[[float], bool]]:
    """How a worker waits: a local socket for SQLite, LISTEN for PostgreSQL; both end after the given seconds and say
    whether somebody rang."""
    with app.app_context():
        url, dialect = str(db.engine.url), db.engine.dialect.name
    if dialect == "postgresql":
        yield from _on_postgres(app)
        return
    address = Path(outbox.bell(url))
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(address))

        def wait(seconds: float) -> bool:
            readable, _, _ = select.select([bell], [], [], seconds)
            if readable:
                bell.recv(16)
            return bool(readable)

        try:
            yield wait
        finally:
            address.unlink(missing_ok=True)


def _on_postgres(app: Flask) -> Iterator[Callable[[float], bool]]:
    """LISTEN on a connection of its own; while the database is away the wait is just a wait."""
    with app.app_context():
        engine = db.engine
    kept: list[Connection] = []

    def wait(seconds: float) -> bool:
        try:
            if not kept:
                kept.append(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
                kept[0].execute(text(f"LISTEN {outbox.CHANNEL}"))
                return True  # what was put while nobody listened is looked for at once
            driver: Any = kept[0].connection.dbapi_connection
            return any(True for _ in driver.notifies(timeout=seconds, stop_after=1))
        except (DBAPIError, psycopg.Error) as error:
            log.warning("the database does not answer: %s", error)
            for connection in kept:
                connection.invalidate()
                connection.close()
            kept.clear()
            time.sleep(seconds)
            return False

    try:
        yield wait
    finally:
        for connection in kept:
            connection.close()
