"""No worker lives: whoever looks after sending is told by e-mail, past the outbox that nobody empties."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import clock, gate, letters
from punctual.actions import transaction
from punctual.config import Settings
from punctual.models import Heartbeat, Message, User
from punctual.transports import Envelope, TransportError, ways

log = logging.getLogger(__name__)

#: Real seconds after which a worker that says nothing counts as dead.
DEAD_S = 120.0
#: The heartbeat of the worker, and the row that keeps which of its deaths was told.
WORKER, TOLD = "worker", "alarm"


def dead_worker(settings: Settings, *, at: datetime) -> int:
    """Tell everybody at the board once that the worker is dead; returns how many were told. A copy that is not released,
    and an instance somebody paused, stay silent."""
    with transaction() as s:
        beat, told = s.get(Heartbeat, WORKER), s.get(Heartbeat, TOLD)
        if beat is None or clock.real_seconds(at - beat.at) <= DEAD_S or gate.shut(s, settings):
            return 0
        if told is not None and told.at == beat.at:
            return 0
        mails = [_mail(s, user, settings, beat.at, at) for user in s.scalars(select(User).where(User.active))]
        death = beat.at
    sent = _send(settings, mails, at)
    if sent:
        with transaction() as s:
            s.merge(Heartbeat(name=TOLD, at=death, note="the worker's death was told"))
    return sent


def _mail(s: Session, user: User, settings: Settings, death: datetime, at: datetime) -> letters.Letter:
    """The same words as the outbox would send, of a message that is never kept."""
    facts = {
        "since": death.isoformat(),
        "why": "The worker says nothing. Start it again: punctual worker, or punctual run.",
    }
    key = f"alarm:{death.isoformat()}:{user.id}"
    return letters.write(s, Message(key=key, kind="esc_sender", user_id=user.id, facts=facts), settings, at)


def _send(settings: Settings, mails: list[letters.Letter], at: datetime) -> int:
    """By the way e-mails leave; how many were accepted."""
    way, sent = ways(settings)["email"], 0
    try:
        for mail in mails:
            key = mail.mail_id.strip("<>")
            way.send(Envelope(mail.recipient, mail.sender, mail.body, key=key, kind="esc_sender", at=at))
            sent += 1
    except TransportError as error:
        log.error("nobody can be told that the worker is dead: %s", error.sentence)
    finally:
        way.close()
    return sent
