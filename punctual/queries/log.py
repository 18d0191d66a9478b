"""Everything there is to know of one visit: promises, what was told and why, what came back, what was reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core.forecast import VisitForecast
from punctual.models import Answer, Attempt, Look, Message, Notice, Promise, Received, Report, Shift, Visit
from punctual.queries.day import forecasts


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a visit's log; exactly the row named by `what` is set, a message comes with its notice.

    `looked_at`: when the customer's page was first visible after the message had left; None: not known.
    """

    at: datetime
    what: Literal["message", "task", "hold", "answer", "report", "promise", "received"]
    notice: Notice | None = None
    message: Message | None = None
    attempts: tuple[Attempt, ...] = ()
    looked_at: datetime | None = None
    answer: Answer | None = None
    report: Report | None = None
    promise: Promise | None = None
    received: Received | None = None


@dataclass(frozen=True, slots=True)
class Dossier:
    """One visit with its forecast, its newest reason for silence, and its log, newest first."""

    visit: Visit
    shift: Shift | None
    forecast: VisitForecast | None
    silent: Notice | None
    hold: Notice | None
    promises: tuple[Promise, ...]
    log: tuple[Entry, ...]
    number: int

    @property
    def open_call(self) -> bool:
        """Somebody is to be called about this visit."""
        asked = any(e.what == "task" and e.notice and e.notice.resolved_at is None for e in self.log)
        return asked or any(p.kind == "call" and p.state == "open" for p in self.promises)


def dossier(s: Session, visit_id: int) -> Dossier | None:
    """All of it; None for an unknown visit."""
    visit = s.get(Visit, visit_id)
    if visit is None:
        return None
    notices = list(s.scalars(select(Notice).where(Notice.visit_id == visit_id).order_by(Notice.id)))
    promises = tuple(s.scalars(select(Promise).where(Promise.visit_id == visit_id).order_by(Promise.id)))
    shift = None
    if visit.technician_id:
        shift = s.scalar(select(Shift).where(Shift.technician_id == visit.technician_id, Shift.date == visit.date))
    forecast = forecasts(s, [shift.id]).get(visit_id) if shift else None
    return Dossier(
        visit=visit,
        shift=shift,
        forecast=forecast,
        silent=next((n for n in reversed(notices) if n.decision == "silent"), None),
        hold=next((n for n in notices if n.decision == "hold" and n.resolved_at is None), None),
        promises=promises,
        log=tuple(sorted(_entries(s, visit, notices, promises), key=lambda e: e.at, reverse=True)),
        number=_number(s, visit),
    )


def named(s: Session, name: str) -> Dossier | None:
    """The same by its number or by the company's own id of the visit; None when there is no such visit."""
    own = s.scalar(select(Visit.id).where(Visit.ref == name))
    number = int(name) if name.isdecimal() and len(name) < 10 else 0
    return dossier(s, own or number)


def _number(s: Session, visit: Visit) -> int:
    """Which visit of the technician's day it is, from 1; 0 without a technician."""
    if not visit.technician_id:
        return 0
    earlier = s.scalars(
        select(Visit.id).where(
            Visit.technician_id == visit.technician_id,
            Visit.date == visit.date,
            Visit.state != "cancelled",
            Visit.planned_start <= visit.planned_start,
        )
    )
    return len(list(earlier))


def _entries(s: Session, visit: Visit, notices: list[Notice], promises: tuple[Promise, ...]) -> list[Entry]:
    by_id = {n.id: n for n in notices}
    messages = list(s.scalars(select(Message).where(Message.visit_id == visit.id)))
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    if messages:
        wanted = [m.id for m in messages]
        for a in s.scalars(select(Attempt).where(Attempt.message_id.in_(wanted)).order_by(Attempt.number)):
            attempts[a.message_id].append(a)
    looks = list(s.scalars(select(Look.at).where(Look.visit_id == visit.id).order_by(Look.at)))
    found = [
        Entry(
            m.created_at,
            "message",
            notice=by_id.get(m.notice_id),
            message=m,
            attempts=tuple(attempts[m.id]),
            looked_at=looked(m, attempts[m.id][-1] if attempts[m.id] else None, looks),
        )
        for m in messages
    ]
    found += [Entry(n.at, "task", notice=n) for n in notices if n.decision == "task"]
    found += [Entry(n.at, "hold", notice=n) for n in notices if n.decision == "hold"]
    found += [Entry(a.at, "answer", answer=a) for a in s.scalars(select(Answer).where(Answer.visit_id == visit.id))]
    found += [Entry(r.at, "report", report=r) for r in s.scalars(select(Report).where(Report.visit_id == visit.id))]
    heard = s.scalars(select(Received).where(Received.visit_id == visit.id))
    found += [Entry(r.at, "received", received=r) for r in heard if r.meaning != "bounce"]
    return found + [Entry(p.made_at, "promise", promise=p) for p in promises]


def looked(message: Message, last: Attempt | None, looks: Sequence[datetime]) -> datetime | None:
    """When the customer's page was first looked at after a message to them had left; None: not known."""
    if message.customer_id is None or last is None or message.state not in ("sent", "delivered"):
        return None
    return next((at for at in looks if at >= last.at), None)
