"""A dispatcher's task is seen to: what was written, a silent technician, texts that were mended, a storm decided."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outage, promises, watch
from punctual.actions import Refused, lock, reach, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import local
from punctual.models import Notice, Shift, Visit, touch_board
from punctual.queries import day as queries

#: Days that were paused longer ago are looked at by the minute anyway.
PAUSED = timedelta(hours=12)


def resolve(notice_id: int, *, answer: str = "", at: datetime, by: By) -> int:
    """A task, or a message that did not go, is seen to; returns the visit it was about, 0 for none.

    A silent technician who answered the dispatcher counts as heard: the day is looked at again. A storm is released at
    once, or dropped (`answer`): then what has time is decided again after an hour. What the same customer wrote before
    is seen to as well; what came in later is not.
    """
    with transaction() as s:
        notice = s.get(Notice, notice_id)
        if notice is None or notice.decision not in ("task", "tell"):
            raise Refused("There is no such task.", status=404)
        _in_turn(s, notice, at)
        if notice.resolved_at is None:
            _reply_is_kept(s, notice, at, by)
            notice.resolved_at, notice.resolved_by = at, by.name
            if answer:
                notice.facts = {**(notice.facts or {}), "answer": answer}
        _and_earlier_words(s, notice)
        if notice.kind == "texts_stopped":
            outage.up(s, "sms", at=at)  # a person says that it is mended; the next text shows it
        if notice.kind == "storm" and answer != "drop":
            watch.look(s, _paused_days(s, at), at=at, cause=by.cause("release"))
        dates = _dates(s, notice)
        if notice.shift_id and notice.kind == "silent":
            watch.look(s, [notice.shift_id], at=at, cause=by.cause("heard"))
        touch_board(s, *(dates or [local(at, reach.zone(s)).date()]))
        return notice.visit_id or 0


def _in_turn(s: Session, notice: Notice, at: datetime) -> None:
    """The days that will be looked at, then the visit, before the task: a tap answers tasks after it has taken its day."""
    mine = [notice.shift_id] if notice.kind == "silent" and notice.shift_id else []
    queries.lock(s, _paused_days(s, at) if notice.kind == "storm" else mine)
    if notice.visit_id is not None:
        lock.visit(s, notice.visit_id)
    s.refresh(notice)


def _reply_is_kept(s: Session, notice: Notice, at: datetime, by: By) -> None:
    """The reply that is owed, unless more of their words wait; before the tasks, as the clock takes them too."""
    if notice.kind != "wrote" or notice.visit_id is None:
        return
    more = Notice.visit_id == notice.visit_id, Notice.kind == "wrote", Notice.resolved_at.is_(None)
    if s.scalar(select(Notice.id).where(*more, Notice.id > notice.id).limit(1)) is None:
        promises.replied(s, notice.visit_id, at=at, by=by.name)


def _and_earlier_words(s: Session, notice: Notice) -> None:
    if notice.kind != "wrote" or notice.visit_id is None:
        return
    same = (Notice.visit_id == notice.visit_id, Notice.kind == "wrote", Notice.id < notice.id)
    for earlier in s.scalars(select(Notice).where(*same, Notice.resolved_at.is_(None))):
        earlier.resolved_at, earlier.resolved_by = notice.resolved_at, notice.resolved_by


def _paused_days(s: Session, at: datetime) -> list[int]:
    """The days with visits whose messages a storm has paused."""
    paused = select(Notice.shift_id).where(
        Notice.decision == "silent", Notice.reason == "storm", Notice.shift_id.is_not(None), Notice.at > at - PAUSED
    )
    return [i for i in s.scalars(paused.distinct().order_by(Notice.shift_id)) if i is not None]


def _dates(s: Session, notice: Notice) -> list[date]:
    visit = s.get(Visit, notice.visit_id) if notice.visit_id else None
    shift = s.get(Shift, notice.shift_id) if notice.shift_id else None
    return [x.date for x in (visit, shift) if x is not None]
