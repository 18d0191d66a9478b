"""The sender: claims what is due, hands it over with no transaction open, keeps what came of it; a breaker for each way out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from punctual import acceptance, clock, deliver, fallback, fault, gate, outage, outbox
from punctual.actions import transaction
from punctual.config import Settings
from punctual.deliver import Ready
from punctual.models import Attempt, Message, db
from punctual.queries import sending
from punctual.transports import CannotTell, Overtaken, Receipt, Transport, TransportError, ways

log = logging.getLogger(__name__)

#: Messages sent between two looks at the clock: a full outbox never keeps the days from being watched.
BATCH = 20
#: Real seconds a transaction may take that writes several messages: taps wait for it.
WRITING_S = 0.04
#: Real seconds without sending after a way out was found closed: longer each time, until one message goes again.
PAUSES_S = (10.0, 20.0, 40.0, 60.0)
#: Real seconds for which a message that was just decided is taken to be true: a cancellation is felt within one second.
SURE_S = 0.5
#: Real seconds before a message is tried again that could not be written: a full disk is not asked without a pause.
AGAIN_S = 1.0
#: Why a message is shown of which more was tried than it says itself, as in databases from before a fault was mended.
MISCOUNTED = "more was tried than was counted: see whether it arrived, then send it again"
#: So many failures of different messages in a row close a way out, whatever each of them was.
FAILURES = 5


@dataclass
class Way:
    """A way out with its breaker: closed after an outage, tried again when the pause is over.

    `noted`: an outage may be written down, by this sender or one before it.
    """

    transport: Transport
    noted: bool = True
    closed_until: datetime | None = None
    outages: int = 0
    failures: int = 0

    def is_open(self) -> bool:
        return self.closed_until is None or clock.now() >= self.closed_until

    def worked(self) -> bool:
        """Open again; True where an outage may be written down that is over now."""
        noted, self.noted = self.noted, False
        self.closed_until, self.outages, self.failures = None, 0, 0
        return noted

    def failed(self, error: TransportError) -> None:
        """Count it; an outage, or too many failures in a row, close the way for a while."""
        if error.permanent:
            return  # the provider answered: it lives
        self.failures += 1
        if error.outage or self.failures >= FAILURES:
            self.closed_until = clock.after(PAUSES_S[min(self.outages, len(PAUSES_S) - 1)])
            self.outages, self.failures, self.noted = self.outages + 1, 0, True


class Written(NamedTuple):
    """Intents kept by one commit (None: it does not go now), and how many messages were `looked_at` for them."""

    made: list[Ready | None]
    looked_at: int


class Batch(NamedTuple):
    """Claimed messages; those that are `patient` - whose kind goes again where nobody knows what became of them - may
    share commits. `first`: the first is written already."""

    ids: list[int]
    patient: set[int]
    first: Written | None = None


@contextmanager
def about(message_ids: Collection[int]) -> Iterator[Session]:
    """A transaction that writes about these messages, in its turn among those who write about their visits."""
    with transaction() as s:
        sending.lock(s, message_ids)
        yield s


class Sender:
    """Delivers what is due, a batch at a time. Never raises: what cannot be sent never stops the rest."""

    def __init__(self, app: Flask, name: str) -> None:
        self.app, self.name = app, name
        self.settings: Settings = app.config["SETTINGS"]
        self.ways = {channel: Way(transport) for channel, transport in ways(self.settings).items()}
        self.stopping = False

    def deliver(self, at: datetime) -> tuple[int, int]:
        """Send one batch; returns how many messages were taken and how many left."""
        open_ = [channel for channel, way in self.ways.items() if way.is_open()]
        if self.stopping or not open_:
            return 0, 0
        with self.app.app_context():
            if "sms" in self.ways and "sms" not in open_:
                self._safely(self._divert, at)
            try:
                batch = self._claimed(open_, at)
            except Exception:
                log.exception("the outbox cannot be read; the worker goes on")
                return 0, 0
            fault.reach("claimed")
            sent = sum(self._each(batch, at))
            if batch.ids:
                self._safely(self._followed, at)
            return len(batch.ids), sent

    def _followed(self, at: datetime) -> None:
        gate.follow(db.session(), self.settings)
        db.session.rollback()

    def _claimed(self, open_: Collection[str], at: datetime) -> Batch:
        """What is due, with the intent of a first one that goes by itself: a warning leaves after one commit. Where it
        cannot be written, all are claimed without."""
        for first in (True, False):
            try:
                with transaction() as s:
                    shut = gate.opened(s, self.settings)
                    ids = [] if shut else outbox.claim(s, at=at, by=self.name, limit=BATCH, channels=open_)
                    patient = deliver.patient(s, ids)
                    if not first or not ids or ids[0] in patient or not sending.lock(s, ids[:1], wait=False):
                        return Batch(ids, patient)
                    return Batch(ids, patient, Written([self._prepared(s, ids[0], at)], 1))
            except Exception:
                if not first:
                    raise
                log.exception("a message cannot be written with its claim")
                db.session.rollback()
        raise AssertionError("one of the two returns or raises")

    def _each(self, batch: Batch, at: datetime) -> Iterator[int]:
        """Deliver all; one that cannot be sent never stops the others. Those that are patient are written and kept
        together, every other one by itself."""
        ids, written = batch.ids, batch.first
        while ids:
            if written is None and (self.stopping or not any(way.is_open() for way in self.ways.values())):
                closed = [way.closed_until for way in self.ways.values() if way.closed_until is not None]
                self._safely(partial(self._give_back, ids, min(closed, default=at)), at)
                return
            run = next((i for i, m in enumerate(ids) if m not in batch.patient), len(ids))
            written = written or (self._written(ids[:run], at) if run > 1 else None)
            if written is None:  # one by itself, or one of them cannot be written
                yield self._alone(ids[0], at)
                ids = ids[1:]
            else:
                yield self._together([r for r in written.made if r is not None], at)
                ids, written = ids[written.looked_at :], None

    def _alone(self, message_id: int, at: datetime) -> int:
        try:
            return self._one(message_id, at)
        except OperationalError:
            log.exception("message %s goes back: the database failed, or others came first", message_id)
            db.session.rollback()
            until = at + timedelta(seconds=AGAIN_S * clock.speed())
            self._safely(partial(self._give_back, [message_id], until), at)
        except IntegrityError:
            log.exception("message %s has an attempt of that number, or waits for its lease to end", message_id)
            db.session.rollback()
            self._safely(partial(self._recount, message_id), at)
        except SQLAlchemyError:
            log.exception("message %s waits for its lease to end", message_id)
            db.session.rollback()
        except Exception:
            log.exception("message %s is parked", message_id)
            db.session.rollback()
            self._safely(partial(self._park, message_id), at)
        return 0

    def _written(self, ids: list[int], at: datetime) -> Written | None:
        """The intents of the first of these messages, kept by one commit; None where any of them fails."""
        began, made = time.monotonic(), list[Ready | None]()
        try:
            with about(ids) as s:
                for message_id in ids:
                    made.append(self._prepared(s, message_id, at))
                    if time.monotonic() - began > WRITING_S:
                        break
                fault.reach("written")
        except Exception:
            log.exception("messages are written one by one")
            db.session.rollback()
            return None
        fault.reach("intent")
        return Written(made, len(made))

    def _prepared(self, s: Session, message_id: int, at: datetime) -> Ready | None:
        names = {channel: way.transport.name for channel, way in self.ways.items()}
        return deliver.prepare(s, message_id, self.settings, ways=names, by=self.name, at=at)

    def _one(self, message_id: int, at: datetime) -> int:
        with about([message_id]) as s:
            ready = self._prepared(s, message_id, at)
            fault.reach("written")
        if ready is None:
            return 0
        fault.reach("intent")
        return self._together([ready], at)

    def _together(self, made: list[Ready], at: datetime) -> int:
        """Hand these over, one after the other; what was accepted is kept by one commit."""
        done: list[tuple[Ready, Receipt]] = []
        again: set[str] = set()
        for ready in made:
            way = self.ways[ready.channel]
            try:
                if self.stopping or not way.is_open():
                    self._withdrawn(ready, at)
                elif (receipt := self._handed_over(ready, at)) is not None:
                    done.append((ready, receipt))
                    again |= {ready.channel} if way.worked() else set()
            except Exception:
                log.exception("message %s waits for its lease to end", ready.message_id)
                db.session.rollback()
        if done:
            self._safely(partial(self._keep, done, again), at)
            fault.reach("outcome")
        return len(done)

    def _keep(self, done: list[tuple[Ready, Receipt]], again: set[str], at: datetime) -> None:
        with about([ready.message_id for ready, _ in done]) as s:
            for ready, receipt in done:
                acceptance.accepted(s, ready.attempt_id, receipt, at=at)
            for channel in again:
                outage.up(s, channel, at=at)

    def _handed_over(self, ready: Ready, at: datetime) -> Receipt | None:
        """The provider's receipt; None where it was not accepted now, which is kept."""
        way = self.ways[ready.channel]
        try:
            receipt = self._hand_over(way, ready, at)
        except Overtaken:
            log.warning("message %s was not handed over: others have it, or it is not true any more", ready.message_id)
            self._withdrawn(ready, at)
            return None
        except TransportError as error:
            log.warning("message %s: %s", ready.message_id, error.sentence)
            way.failed(error)
            with about([ready.message_id]) as s:
                deliver.refused(s, ready, error, at=at)
                if not way.is_open():
                    outage.down(s, ready.channel, way.transport.name, error.sentence, at=at)
            return None
        if receipt is not None:
            fault.reach("handed_over")
        return receipt

    def _withdrawn(self, ready: Ready, at: datetime) -> None:
        with about([ready.message_id]) as s:
            deliver.withdrawn(s, ready, by=self.name, at=at)

    def _hand_over(self, way: Way, ready: Ready, at: datetime) -> Receipt | None:
        return self._reconciled(way, ready, at) if ready.doubt else self._send(way, ready, at)

    def _send(self, way: Way, ready: Ready, at: datetime) -> Receipt:
        """Hand it over. A conversation that lasts asks again right before the last write whether it is still true."""

        def mine() -> bool:
            if not ready.envelope.mine() or time.monotonic() - ready.decided < SURE_S:
                return ready.envelope.mine()
            try:
                return deliver.holds(db.session(), ready, at)
            finally:
                db.session.rollback()

        return way.transport.send(replace(ready.envelope, mine=mine))

    def _reconciled(self, way: Way, ready: Ready, at: datetime) -> Receipt | None:
        """What became of a message in doubt: the provider's receipt, or None where it waits, is held or goes anew.

        Raises TransportError when it was sent again and refused.
        """
        try:
            if way.transport.name != ready.transport:
                raise CannotTell  # it left by a way out that is not there any more
            found = way.transport.find(ready.envelope, ready.taken)
        except CannotTell:
            with about([ready.message_id]) as s:
                again = deliver.resend(s, ready, at=at)
            return self._send(way, ready, at) if again else None
        except TransportError as error:
            way.failed(error)
            with about([ready.message_id]) as s:
                deliver.unanswered(s, ready, error, at=at)
                if not way.is_open():
                    outage.down(s, ready.channel, way.transport.name, error.sentence, at=at)
            return None
        if found is None:
            with about([ready.message_id]) as s:
                deliver.never_left(s, ready, at=at)
        return found

    def _divert(self, at: datetime) -> None:
        with transaction() as s:
            fallback.divert(s, at=at)

    def _give_back(self, ids: list[int], until: datetime, at: datetime) -> None:
        with transaction() as s:
            outbox.release(s, ids, by=self.name, at=at, until=until)

    def _park(self, message_id: int, at: datetime) -> None:
        with about([message_id]) as s:
            deliver.park(s, message_id, self.name, at)

    def _recount(self, message_id: int, at: datetime) -> None:
        """A message with more attempts than it counts could never be written: counted anew, and shown to a person."""
        with about([message_id]) as s:
            message = s.get_one(Message, message_id)
            highest = s.scalar(select(func.max(Attempt.number)).where(Attempt.message_id == message_id)) or 0
            if highest > message.tries and message.state == "claimed" and message.lease_by == self.name:
                message.tries = highest
                deliver.mark(s, message, "uncertain", MISCOUNTED, at)

    def _safely(self, chore: Callable[[datetime], None], at: datetime) -> None:
        try:
            chore(at)
        except Exception:
            log.exception("the sender goes on after an error")
            db.session.rollback()

    def close(self) -> None:
        """Let go of what the ways out keep open."""
        for way in self.ways.values():
            way.transport.close()
