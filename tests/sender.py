"""Ways out for tests of delivery: they keep what they were given, and fail on demand the way real ones do."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from flask import Flask
from sqlalchemy import select

from punctual.models import Attempt, Message, Notice, db
from punctual.sender import Way
from punctual.transports import CannotTell, Envelope, Receipt, TransportError
from punctual.worker import Worker


class Killed(BaseException):
    """The process ended here: nothing after it ran."""


class Keeper:
    """A way out that keeps every envelope; the next sends raise what `then` lists (None: accepted).

    `lost` errors come after the message was taken, as when the answer never arrives.
    """

    name = "keeper"

    def __init__(self, then: Iterable[BaseException | None] = (), *, lost: bool = False) -> None:
        self.kept: list[Envelope] = []
        self.then, self.lost = list(then), lost

    def send(self, envelope: Envelope) -> Receipt:
        error = self.then.pop(0) if self.then else None
        if error is None or self.lost:
            self.kept.append(envelope)
        if error is not None:
            raise error
        return Receipt(f"kept {len(self.kept)}")

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        raise CannotTell

    def close(self) -> None:
        self.then = []


class Asked(Keeper):
    """A provider that can be asked what it got; `silent`: it does not answer that now."""

    def __init__(self, then: Iterable[BaseException | None] = (), *, lost: bool = False, silent: bool = False) -> None:
        super().__init__(then, lost=lost)
        self.silent = silent

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        if self.silent:
            raise BUSY
        here = [i for i, e in enumerate(self.kept) if e == sent]
        return Receipt(f"kept {1 + here[0]}") if here else None


def worker(app: Flask, keeper: Keeper) -> Worker:
    """A worker whose messages leave through that keeper."""
    made = Worker(app)
    made.sender.ways = {"email": Way(keeper)}
    return made


def send(made: Worker, at: datetime) -> int:
    """Deliver all that is due at that instant, without the other chores."""
    sent = 0
    while (taken := made.deliver(at))[0]:
        sent += taken[1]
    return sent


def states() -> list[tuple[str, str, str]]:
    """(kind, state, reason) of every message, oldest first."""
    db.session.rollback()
    return [(m.kind, m.state, m.state_reason) for m in db.session.scalars(select(Message).order_by(Message.id))]


def attempts() -> list[tuple[str, int | None]]:
    """(state, SEQUENCE) of every attempt, oldest first."""
    db.session.rollback()
    return [(a.state, a.sequence) for a in db.session.scalars(select(Attempt).order_by(Attempt.id))]


def tasks() -> list[tuple[str, str]]:
    """(kind, reason) of every open task."""
    db.session.rollback()
    found = select(Notice).where(Notice.decision == "task", Notice.resolved_at.is_(None)).order_by(Notice.id)
    return [(n.kind, n.reason) for n in db.session.scalars(found)]


BUSY = TransportError("The mail server answered 451: later.")
GONE = TransportError("The mail server answered 550: no such user.", permanent=True, address=True)
UNSURE = TransportError("The connection broke before the server answered.", uncertain=True)
CLOSED = TransportError("The SMTP server cannot be reached.", outage=True)
