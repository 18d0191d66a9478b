"""What was said to a customer, or asked of the office, is taken back: dropped where it has not left, else corrected once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from punctual import outbox
from punctual.models import Message, Notice, Visit

#: A report - or that none came, or that waiting cannot work - and the kinds that told customers what it said.
SAYS = {
    "on_my_way": ("on_my_way",),
    "nobody_home": ("nobody_home",),
    "done": ("signoff", "promise_kept"),
    "missed": ("missed",),
    "asked": ("deadline_done", "deadline_arrive", "please_choose"),
}


def undone(
    s: Session, visit_id: int, kind: str, *, since: datetime, at: datetime, cause: str, shift_id: int | None = None
) -> None:
    """A report of that kind, received at `since`, holds no longer. Once a cause, outside every cap (policy 1)."""
    kinds = SAYS.get(kind, ())
    if not kinds:
        return
    outbox.supersede(s, visit_id, at=at, why="undone", kinds=kinds)
    told = select(Message.channel).where(
        Message.visit_id == visit_id, Message.customer_id.is_not(None), Message.kind.in_(kinds),
        Message.created_at >= since, Message.state.in_(outbox.HANDED_OVER),
    )  # fmt: skip
    channel = s.scalar(told.order_by(Message.id.desc()).limit(1))
    if channel is None:
        return
    visit = s.get_one(Visit, visit_id)
    outbox.put(
        s,
        key=f"{visit_id}:{visit.promise_version}:correction:{cause}",
        kind="correction",
        at=at,
        reason="undone",
        cause=cause,
        facts={"of": kind},
        visit=visit,
        shift_id=shift_id,
        channel=channel,
    )


def unasked(s: Session, cause: str, *, at: datetime) -> None:
    """Calls that were asked for because of what holds no longer; nobody need make them.

    Each gives its key free: what is true then may ask for the same call again.
    """
    s.execute(
        update(Notice)
        .where(Notice.decision == "task", Notice.resolved_at.is_(None), Notice.kind == "call", Notice.cause == cause)
        .values(resolved_at=at, resolved_by="undo", key=Notice.key.concat(f":{cause}"))
        .execution_options(synchronize_session=False)
    )
