"""A provider has a message: what is kept of that, and what the visit says its customer has been told."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key

from punctual.core.kinds import KINDS
from punctual.core.policy import WITHOUT_TIME
from punctual.models import Attempt, Message, Notice, Plain, UtcDateTime, Visit, touch_board
from punctual.transports import Receipt


def accepted(s: Session, attempt_id: int, receipt: Receipt, *, at: datetime) -> None:
    """Keep that the provider has it, by whatever proof, and what the customer has now been told.

    An answer that comes when the message was given up as uncertain is still the truth; one about an attempt that was
    replaced is kept with the attempt alone. What the session holds of it is read again when it is used.
    """
    s.flush()
    c = s.connection()
    row = _ANSWERED.first(c, attempt=attempt_id)
    _HAS_IT.run(c, attempt=attempt_id, provider=receipt.provider_id, now=at)
    if row.state != "refused" and row.message_state in ("sending", "uncertain"):
        _SENT.run(c, message=row.message_id, now=at)
        if row.number > 1 and row.visit_id is not None:
            _no_call(s, row, at)
        if row.date is not None:
            touch_board(s, row.date)
        if row.customer_id is not None and row.date is not None:
            _told(c, row, at)
    for table, id_ in ((Attempt, attempt_id), (Message, row.message_id), (Visit, row.visit_id or 0)):
        if (known := s.identity_map.get(identity_key(table, id_))) is not None:
            s.expire(known)


def _no_call(s: Session, row: Any, at: datetime) -> None:
    """An earlier attempt failed or came back, and a person was asked to call instead: now it is with the provider."""
    asked = Notice.visit_id == row.visit_id, Notice.decision == "task", Notice.kind == "call"
    open_ = select(Notice).where(*asked, Notice.resolved_at.is_(None), Notice.reason.in_(("failed", "undelivered")))
    for task in s.scalars(open_):
        if task.key.startswith(f"{row.key}:call"):
            task.resolved_at, task.resolved_by = at, "message"


def _told(c: Connection, row: Any, at: datetime) -> None:
    """What the visit says of what its customer was told."""
    told, kind = row.told_start is not None, KINDS[row.kind]
    what = (
        told or row.kind in WITHOUT_TIME,  # these take back the range
        told or kind.class_ == "delay",
        row.sequence is not None and kind.calendar == "REQUEST",
    )
    if any(what):
        _telling(*what).run(
            c, visit=row.visit_id, start=row.told_start, end=row.told_end, kind=row.kind, now=at
        )  # fmt: skip


_ANSWERED = Plain(
    select(
        Attempt.state, Attempt.number, Attempt.told_start, Attempt.told_end, Attempt.sequence, Attempt.message_id,
        Message.state.label("message_state"), Message.key, Message.kind, Message.customer_id, Message.visit_id, Visit.date,
    )
    .join(Message, Message.id == Attempt.message_id)
    .outerjoin(Visit, Visit.id == Message.visit_id)
    .where(Attempt.id == bindparam("attempt", 0)),
    "attempt",
)  # fmt: skip
_NOW = bindparam("now", None, UtcDateTime)
_HAS_IT = Plain(
    update(Attempt)
    .where(Attempt.id == bindparam("attempt", 0))
    .values(state="accepted", provider_id=bindparam("provider", ""), ended_at=_NOW),
    "attempt", "provider", "now",
)  # fmt: skip
_SENT = Plain(
    update(Message)
    .where(Message.id == bindparam("message", 0))
    .values(state="sent", state_reason="", state_at=_NOW, lease_until=None),
    "message", "now",
)  # fmt: skip


@lru_cache(maxsize=8)
def _telling(range_: bool, word: bool, invited: bool) -> Plain:
    """The update of a visit whose customer was told a range, a word about lateness, an entry for their calendar."""
    values: dict[str, Any] = {}
    if range_:
        values |= {n: bindparam(w, None, UtcDateTime) for n, w in (("told_start", "start"), ("told_end", "end"))}
    if word:
        values |= {"told_at": _NOW, "told_kind": bindparam("kind", "")}
    if invited:
        values["invited_at"] = func.coalesce(Visit.invited_at, _NOW)
    found = update(Visit).where(Visit.id == bindparam("visit", 0)).values(values)
    return Plain(found, "visit", "start", "end", "kind", "now")
