"""Rows as programs read them through the API: visits of a date, one visit, its messages, why it was told or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from punctual.core.forecast import VisitForecast
from punctual.models import Attempt, Look, Message, Notice, Visit
from punctual.queries import day
from punctual.queries.log import looked


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A visit's newest forecast and the newest decision about telling its customer, silence included."""

    visit: Visit
    forecast: VisitForecast | None
    decision: Notice | None


def _visits() -> Select[Visit]:
    wanted = (Visit.customer, Visit.technician, Visit.job_type, Visit.place)
    return select(Visit).options(*(joinedload(x) for x in wanted))


def visits(s: Session, on: date, ref: str | None = None) -> list[Visit]:
    """The visits of a date, by planned start; `ref` narrows them to one."""
    found = _visits().where(Visit.date == on).order_by(Visit.planned_start, Visit.id)
    return list(s.scalars(found if ref is None else found.where(Visit.ref == ref)))


def visit(s: Session, visit_id: int) -> Visit | None:
    """One visit with whom it is for and where."""
    return s.scalar(_visits().where(Visit.id == visit_id))


def foreseen(s: Session, visit_id: int) -> Foreseen | None:
    """Forecast and decision of a visit; None for an unknown one."""
    found = visit(s, visit_id)
    if found is None:
        return None
    shift = day.shift_of(s, found.technician_id, found.date) if found.technician_id else None
    decided = select(Notice).where(Notice.visit_id == visit_id).order_by(Notice.at.desc(), Notice.id.desc()).limit(1)
    made = day.forecasts(s, [shift.id]).get(visit_id) if shift else None
    return Foreseen(found, made, s.scalar(decided))


@dataclass(frozen=True, slots=True)
class Sent:
    """A message with the decision behind it, its attempts, and when the page was looked at since; None: not known."""

    message: Message
    notice: Notice
    attempts: tuple[Attempt, ...]
    looked_at: datetime | None


def messages(s: Session, visit_id: int) -> list[Sent]:
    """Every message of a visit, oldest first."""
    rows = list(s.scalars(select(Message).where(Message.visit_id == visit_id).order_by(Message.id)))
    tries = select(Attempt).where(Attempt.message_id.in_([m.id for m in rows])).order_by(Attempt.number)
    attempts: dict[int, list[Attempt]] = {m.id: [] for m in rows}
    for a in s.scalars(tries) if rows else ():
        attempts[a.message_id].append(a)
    notices = {n.id: n for n in s.scalars(select(Notice).where(Notice.id.in_([m.notice_id for m in rows])))}
    looks = list(s.scalars(select(Look.at).where(Look.visit_id == visit_id).order_by(Look.at)))
    return [
        Sent(m, notices[m.notice_id], tuple(made), looked(m, made[-1] if made else None, looks))
        for m in rows
        for made in [attempts[m.id]]
    ]
