"""The three figures of the board's head, counted from rows: kept, warned in time, minutes unwarned today."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.core.day import OVER
from punctual.core.policy import Rules
from punctual.models import Attempt, Message
from punctual.models import Visit as VisitRow
from punctual.queries import promises
from punctual.queries.standing import DELAY

visit_, message_, attempt_ = VisitRow.__table__, Message.__table__, Attempt.__table__

#: Fewer visits than this make a percentage that says nothing.
ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Figures:
    """`kept`: share of promises kept, 30 days - arrivals by the end of the agreed window, and what people promised; `warned`: share of late visits whose
    customer had been told in time, 30 days; None where too few visits. `unwarned_min`: minutes waited today past
    the window by customers not told in time."""

    kept: float | None
    warned: float | None
    unwarned_min: int


def figures(s: Session, on: date, at: datetime, rules: Rules) -> Figures:
    """The figures as they stand at `at` for the board of a date."""
    since = on - timedelta(days=30)
    span = visit_.c.date.between(since, on), visit_.c.arrived_at.is_not(None), visit_.c.state != "cancelled"
    total = s.connection().execute(select(func.count()).where(*span)).scalar_one()
    kept = (
        s.connection()
        .execute(select(func.count()).where(*span, visit_.c.arrived_at <= visit_.c.window_end))
        .scalar_one()
    )
    by_hand = promises.rate(s, at)
    kept, total = kept + by_hand[0], total + by_hand[1]
    late = timedelta(minutes=rules.threshold_min)
    broken = [
        (r.id, r.window_start, r.window_end, r.arrived_at)
        for r in s.connection().execute(
            select(visit_.c.id, visit_.c.window_start, visit_.c.window_end, visit_.c.arrived_at).where(
                *span, visit_.c.arrived_at > visit_.c.window_end
            )
        )
    ]
    counted = [b for b in broken if b[3] - b[2] > late]
    told = warned(s, since, on)
    by = timedelta(minutes=rules.warn_by_min)
    in_time = sum(i in told and told[i] <= start - by for i, start, _, _ in counted)
    return Figures(
        kept=kept / total if total >= ENOUGH else None,
        warned=in_time / len(counted) if len(counted) >= ENOUGH // 4 else None,
        unwarned_min=_unwarned(s, on, at, by),
    )


def _unwarned(s: Session, on: date, at: datetime, by: timedelta) -> int:
    rows = s.connection().execute(
        select(visit_.c.id, visit_.c.window_start, visit_.c.window_end, visit_.c.arrived_at, visit_.c.state).where(
            visit_.c.date == on, visit_.c.window_end < at, visit_.c.state != "cancelled"
        )
    )
    waits = {
        r.id: (r.window_start, (r.arrived_at or at) - r.window_end)
        for r in rows
        if r.arrived_at is not None or r.state not in OVER
    }
    waits = {i: w for i, w in waits.items() if w[1] > timedelta()}
    told = warned(s, on, on) if waits else {}
    minutes = [w.total_seconds() / 60 for i, (start, w) in waits.items() if i not in told or told[i] > start - by]
    return int(sum(minutes))


def warned(s: Session, since: date, until: date) -> dict[int, datetime]:
    """When the first delay message of each visit of these dates was accepted by its provider."""
    rows = s.connection().execute(
        select(message_.c.visit_id, func.min(attempt_.c.ended_at))
        .select_from(
            visit_.join(message_, message_.c.visit_id == visit_.c.id).join(
                attempt_, attempt_.c.message_id == message_.c.id
            )
        )
        .where(
            visit_.c.date.between(since, until),
            message_.c.kind.in_(DELAY),
            message_.c.customer_id.is_not(None),
            attempt_.c.state == "accepted",
        )
        .group_by(message_.c.visit_id)
    )
    return {visit_id: first for visit_id, first in rows if first is not None}
