"""When a text does not work out: e-mail instead, a frozen number, a line that is stopped, a person who calls."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import clock, outbox, suppression
from punctual.core.kinds import KINDS, time_critical
from punctual.models import Attempt, Customer, Message, Notice
from punctual.queries import day as days

#: How a message says that its notice goes by e-mail; it is nobody's task any more.
INSTEAD = "by e-mail instead"


def instead(s: Session, message: Message, *, at: datetime) -> bool:
    """The same notice by e-mail, once; False where there is no address, or it went by e-mail too already.

    A time-critical text has a validity at the provider: the e-mail waits until it has run out, so that nobody is told
    the same thing twice by accident.
    """
    if message.channel != "sms" or message.customer_id is None or message.kind == "optout":
        return False
    customer = s.get_one(Customer, message.customer_id)
    if not customer.email or customer.email_bad:
        return False
    notice, due = s.get_one(Notice, message.notice_id), _valid_until(s, message, at)
    if due > message.useful_until:
        return False
    outbox.message(
        s, notice, message.kind, customer, "email", at=at, due=due, useful_until=message.useful_until,
        facts=message.facts or {},
    )  # fmt: skip
    return True


def _valid_until(s: Session, message: Message, at: datetime) -> datetime:
    """The moment from which the provider does not deliver the text any more."""
    last = s.scalar(
        select(Attempt.at)
        .where(Attempt.message_id == message.id, Attempt.state != "refused")
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    if last is None or not time_critical(message.kind):
        return at
    return max(at, last + timedelta(seconds=days.rules(s).text_valid_s * clock.speed()))


def divert(s: Session, *, at: datetime) -> None:
    """While texts cannot leave, what is time-critical and was not handed over goes by e-mail at once."""
    waiting = select(Message).where(
        Message.channel == "sms", Message.state == "queued", Message.customer_id.is_not(None),
        Message.kind.in_([k for k in KINDS if time_critical(k)]), Message.useful_until > at,
    )  # fmt: skip
    for message in s.scalars(waiting.with_for_update(skip_locked=True)):
        if instead(s, message, at=at):
            message.state, message.state_reason, message.state_at = "dropped", f"{INSTEAD}: no texts can leave", at


def freeze(s: Session, number: str, why: str, *, at: datetime) -> None:
    """The provider says that this number can get no texts: none is tried again."""
    suppression.stop(s, number, why, at=at)


def stop_the_line(s: Session, why: str, code: str, *, at: datetime) -> None:
    """Nothing goes by text until a person has mended it and says so: a task, and a red banner."""
    outbox.put(
        s, key=f"texts_stopped:{code}:{at:%Y-%m-%dT%H:%M}", kind="texts_stopped", at=at, reason="texts_stopped",
        cause="provider", decision="task", facts={"why": why, "code": code},
    )  # fmt: skip
