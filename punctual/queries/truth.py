"""Rows -> what each coming visit's customer was last told, beside what is true now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.core.day import OVER, Window
from punctual.core.forecast import VisitForecast
from punctual.core.truth import CANCELLED, TELL_WINDOW, Standing
from punctual.models import Attempt, Customer, Difference, Message, Notice, Shift, Visit
from punctual.queries import day as days

visit_, message_, attempt_ = Visit.__table__, Message.__table__, Attempt.__table__

#: Whose day a shift is, unless they are off.
_SHIFTS = select(Shift.id, Shift.technician_id, Shift.date).where(Shift.off == "")
#: So far ahead what was told is compared with the plan.
AHEAD = timedelta(days=15)
#: Message states in which it may still arrive.
PENDING = ("queued", "held", "claimed", "sending")


def standings(s: Session, at: datetime, only: Collection[int] | None = None) -> dict[int, Standing]:
    """Every visit to come as its customer knows it and as it is; with `only` those of them."""
    rows = (
        s.connection()
        .execute(
            select(
                visit_.c.id,
                visit_.c.state,
                visit_.c.window_start,
                visit_.c.window_end,
                visit_.c.planned_start,
                visit_.c.told_start,
                visit_.c.told_end,
                visit_.c.technician_id,
                visit_.c.date,
            ).where(
                visit_.c.window_end > at - timedelta(hours=12),
                visit_.c.window_start < at + AHEAD,
                visit_.c.state.not_in([x for x in (*OVER, "arrived") if x != "cancelled"]),
                *([] if only is None else [visit_.c.id.in_(only)]),
            )
        )
        .all()
    )
    told, entries, cancelled = _told(s, [r.id for r in rows])
    pending = _pending(s, [r.id for r in rows])
    whose = None if only is None else {(r.technician_id, r.date) for r in rows}
    arrive, silence = _today(s, at, whose), _silence(s, [r.id for r in rows])
    found = {}
    for r in rows:
        eta = Window(r.told_start, r.told_end) if r.told_start and r.told_end else None
        why, until = silence.get(r.id, ("", None))
        found[r.id] = Standing(
            state=r.state,
            window=Window(r.window_start, r.window_end),
            planned_start=r.planned_start,
            arrive=arrive.get(r.id),
            told=told.get(r.id),
            told_cancelled=r.id in cancelled,
            entry=entries.get(r.id),
            eta=eta if eta != told.get(r.id) else None,
            pending=pending.get(r.id, ()),
            silence=why,
            until=until,
        )
    return found


#: SQLite takes so many values in one statement.
CHUNK = 5000


def _chunks(ids: list[int]) -> Iterable[list[int]]:
    return (ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK))


def _told(s: Session, ids: list[int]) -> tuple[dict[int, Window], dict[int, Window], set[int]]:
    """The window last accepted on any channel, the one in the calendar, and who was told of a cancellation."""
    told: dict[int, Window] = {}
    entries: dict[int, Window] = {}
    cancelled: set[int] = set()
    for some in _chunks(ids):
        rows = s.connection().execute(
            select(
                message_.c.visit_id, message_.c.kind, attempt_.c.sequence, attempt_.c.told_start, attempt_.c.told_end
            )
            .join(message_, message_.c.id == attempt_.c.message_id)
            .where(
                message_.c.visit_id.in_(some),
                message_.c.customer_id.is_not(None),
                message_.c.kind.in_(TELL_WINDOW | CANCELLED),
                attempt_.c.state == "accepted",
            )
            .order_by(attempt_.c.id)
        )
        for r in rows:
            if r.kind in CANCELLED:
                cancelled.add(r.visit_id)
            elif r.told_start is not None and r.told_end is not None:
                cancelled.discard(r.visit_id)
                told[r.visit_id] = Window(r.told_start, r.told_end)
                if r.sequence is not None:
                    entries[r.visit_id] = told[r.visit_id]
    return told, entries, cancelled


def _pending(s: Session, ids: list[int]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for some in _chunks(ids):
        rows = s.connection().execute(
            select(message_.c.visit_id, message_.c.kind).where(
                message_.c.visit_id.in_(some), message_.c.customer_id.is_not(None), message_.c.state.in_(PENDING)
            )
        )
        for r in rows:
            found[r.visit_id].add(r.kind)
    return found


def _silence(s: Session, ids: list[int]) -> dict[int, tuple[str, datetime | None]]:
    """The newest reason why nothing is told, and until when it holds."""
    found: dict[int, tuple[str, datetime | None]] = {}
    for some in _chunks(ids):
        rows = s.execute(
            select(Notice.visit_id, Notice.reason, Notice.due_at)
            .where(Notice.visit_id.in_(some), Notice.decision == "silent")
            .order_by(Notice.at)
        )
        for visit_id, reason, until in rows:
            if visit_id is not None:
                found[visit_id] = (reason, until)
    return found


def _today(
    s: Session, at: datetime, whose: Collection[tuple[int | None, date]] | None
) -> dict[int, tuple[datetime, datetime, datetime]]:
    """The forecast arrivals of the days in progress, of these technicians and dates or of all."""
    ids = days.in_progress(s, at)
    rows = [r for some in _chunks(ids) for r in s.execute(_SHIFTS.where(Shift.id.in_(some)))]
    made: dict[int, VisitForecast] = {}
    for some in _chunks([r.id for r in rows if whose is None or (r.technician_id, r.date) in whose]):
        made |= days.forecasts(s, some)
    return {visit_id: (f.arrive[0], f.arrive[1], f.arrive[2]) for visit_id, f in made.items()}


@dataclass(frozen=True, slots=True)
class Shown:
    """An open difference as the board lists it."""

    difference: Difference
    visit: Visit
    customer: Customer


def open_(s: Session) -> list[Shown]:
    """Every open difference, the oldest first."""
    rows = s.execute(
        select(Difference, Visit, Customer)
        .join(Visit, Visit.id == Difference.visit_id)
        .join(Customer, Customer.id == Visit.customer_id)
        .where(Difference.ended_at.is_(None))
        .order_by(Difference.found_at, Difference.id)
    )
    return [Shown(d, v, c) for d, v, c in rows]


def visits_that_differ(s: Session) -> int:
    """How many visits have one that no message will mend by itself."""
    found = select(func.count(func.distinct(Difference.visit_id))).where(
        Difference.ended_at.is_(None), Difference.action.in_(("call", "held"))
    )
    return int(s.scalar(found) or 0)


def of_visit(s: Session, visit_id: int) -> list[Difference]:
    """A visit's open differences."""
    return list(s.scalars(select(Difference).where(Difference.visit_id == visit_id, Difference.ended_at.is_(None))))
