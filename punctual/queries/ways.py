"""The ways out as they stand: what waits for each, since when one is closed, who would wait unwarned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from punctual import clock
from punctual.core.kinds import KINDS
from punctual.models import Attempt, Customer, Message, Outage, Visit

#: Real seconds a way out may be closed before it is more than a hiccup.
LASTS_S = 120.0
#: Longest real seconds between two tries (policy 1), and a little.
RETRY_S = 330.0
#: What has not left yet.
WAITING = ("queued", "claimed", "sending")
#: A customer would wait unwarned, or without the answer they were promised.
URGENT = (*(k.name for k in KINDS.values() if k.class_ in ("delay", "answer")), "on_my_way")
MOST = 100


@dataclass(frozen=True, slots=True)
class Way:
    """One channel: its outage if it is closed, how many messages are due and wait, how many of them are urgent, since
    when the oldest of them is due, and when something last left by it."""

    channel: str
    outage: Outage | None
    waiting: int
    urgent: int
    oldest: datetime | None
    last: datetime | None

    def closed(self, at: datetime) -> bool:
        """Closed, as far as anybody can know: something waits for it, or it was tried just now."""
        if self.outage is None:
            return False
        return self.waiting > 0 or clock.real_seconds(at - self.outage.tried_at) < LASTS_S


def way(s: Session, channel: str, at: datetime) -> Way:
    """How one channel stands."""
    urgent = func.sum(case((_urgent(), 1), else_=0))
    n, pressing, oldest = s.execute(
        select(func.count(), urgent, func.min(Message.due_at)).where(Message.channel == channel, *_due(at))
    ).one()
    newest = (
        select(func.max(Attempt.ended_at))
        .join(Message, Message.id == Attempt.message_id)
        .where(Attempt.state == "accepted", Message.channel == channel)
    )
    return Way(channel, s.get(Outage, channel), n, int(pressing or 0), oldest, s.scalar(newest))


def unwarned(s: Session, at: datetime) -> Sequence[tuple[Message, Customer, Visit]]:
    """Urgent messages to customers that wait and are still worth something: whom to call, the soonest useless first."""
    found = (
        select(Message, Customer, Visit)
        .join(Customer, Customer.id == Message.customer_id)
        .join(Visit, Visit.id == Message.visit_id)
        .where(_urgent(), *_due(at))
        .order_by(Message.useful_until, Message.id)
        .limit(MOST)
    )
    return [(m, c, v) for m, c, v in s.execute(found)]


def waiting(s: Session, at: datetime) -> tuple[int, int]:
    """How many messages are due and wait, on every channel, and how many of them are urgent."""
    urgent = func.sum(case((_urgent(), 1), else_=0))
    n, pressing = s.execute(select(func.count(), urgent).where(*_due(at))).one()
    return n, int(pressing or 0)


def _due(at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Due and still worth sending; what waits a few minutes for another try is due as well."""
    soon = at + timedelta(seconds=RETRY_S * clock.speed())
    theirs = Message.user_id.is_(None)  # the alarm does not count itself
    return Message.state.in_(WAITING), theirs, Message.useful_until >= at, Message.due_at <= soon


def _urgent() -> ColumnElement[bool]:
    return Message.kind.in_(URGENT) & Message.customer_id.is_not(None)
