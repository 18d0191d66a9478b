"""What an operator or a dispatcher does with sending itself: pause it all, resume, release a copy, send one again, see one."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from punctual import gate, outbox
from punctual.actions import Refused, transaction
from punctual.config import Settings
from punctual.core.day import local
from punctual.core.policy import useful_min
from punctual.models import Message, User, Visit, touch_board
from punctual.queries import board
from punctual.queries import day as days

#: A message in one of these states can be sent again by hand.
AGAIN = ("sent", "delivered", "undelivered", "failed", "uncertain", "dropped")


def pause(settings: Settings, *, at: datetime, by: str) -> None:
    """Nothing goes out any more until somebody resumes it."""
    with transaction() as s:
        gate.pause(s, settings, at=at, by=by)
        touch_board(s, local(at, board.zone(s)).date())


def resume(*, at: datetime) -> None:
    """Messages go out again; each is decided afresh, what became useless is dropped with its reason."""
    with transaction() as s:
        gate.resume(s)
        touch_board(s, local(at, board.zone(s)).date())
        outbox.ring(s)


def release(settings: Settings, *, at: datetime) -> None:
    """A restored or copied database is this instance's own from now on: it may send."""
    with transaction() as s:
        gate.seal(s, settings)
        touch_board(s, local(at, board.zone(s)).date())
        outbox.ring(s)


def send_again(message_id: int, *, at: datetime) -> int:
    """A message that went, failed or was dropped is due again, written afresh; returns its visit, 0 for none."""
    with transaction() as s:
        message = s.get(Message, message_id)
        if message is None:
            raise Refused("There is no such message.", status=404)
        if message.state not in AGAIN:
            raise Refused("This message is still waiting; it goes by itself.")
        useful = useful_min(message.kind, days.rules(s))
        message.state, message.state_reason, message.state_at, message.due_at = "queued", "sent again by hand", at, at
        message.useful_until = max(message.useful_until, at + timedelta(minutes=useful or 60))
        visit = s.get(Visit, message.visit_id) if message.visit_id else None
        touch_board(s, visit.date if visit else local(at, board.zone(s)).date())
        outbox.ring(s)
        return message.visit_id or 0


def send_example(kind: str, language: str, *, to: str, at: datetime) -> None:
    """A message of that kind with example values, to somebody of the board themselves, by the way e-mails leave."""
    with transaction() as s:
        user = s.scalar(select(User).where(func.lower(User.email) == to.strip().lower(), User.active))
        if user is None:
            raise Refused(f"{to} is nobody of this board; an example goes to its own people only.", status=422)
        outbox.put(
            s, key=f"example:{user.id}:{kind}:{language}:{at.isoformat()}", kind=kind, at=at, reason="by_hand",
            cause="example", facts={"example": language}, person=user, to="dispatcher",
            useful_until=at + timedelta(minutes=30),
        )  # fmt: skip
