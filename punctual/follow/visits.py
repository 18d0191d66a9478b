"""What follows a visit, each minute: the customer is asked whether it is done; nobody is left waiting for who did not come."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from punctual import outbox, promises
from punctual.follow import turn
from punctual.models import Notice, Promise, Shift, Visit
from punctual.queries import day as days
from punctual.queries import promises as queries

#: A visit that ended longer ago is not asked about any more.
LONGEST = timedelta(hours=20)


def look(s: Session, at: datetime) -> int:
    """Ask about what is done, and say that nobody came where nobody can; returns how many. Again it changes nothing."""
    return _signoff(s, at) + _missed(s, at)


def _signoff(s: Session, at: datetime) -> int:
    ended = timedelta(minutes=days.rules(s).signoff_min)
    asked = select(Notice.visit_id).where(Notice.kind == "signoff", Notice.visit_id.is_not(None))
    rows = s.scalars(
        select(Visit)
        .where(
            Visit.state == "done",
            Visit.finished_at <= at - ended,
            Visit.finished_at > at - LONGEST,
            Visit.origin != "generated",
            Visit.id.not_in(asked),
        )
        .order_by(Visit.id)  # two workers ask in one order: who comes second waits for the first, and asks nobody
    ).all()
    for visit in rows:
        outbox.put(
            s,
            key=f"{visit.id}:{visit.promise_version}:signoff:1",
            kind="signoff",
            at=at,
            reason="done",
            cause=f"signoff:{visit.id}",
            visit=visit,
        )
    return len(rows)


def _missed(s: Session, at: datetime) -> int:
    """Windows that have passed without anybody, of whom none can come any more that day: nobody has the visit, or the
    technician is off or past the end of the shift with the forecast."""
    rows = s.execute(
        select(Visit, Promise, Shift)
        .join(Promise, and_(Promise.visit_id == Visit.id, Promise.kind == "window", Promise.state == "open"))
        .outerjoin(Shift, and_(Shift.technician_id == Visit.technician_id, Shift.date == Visit.date))
        .where(
            Visit.state == "planned",
            Visit.window_end < at,
            Visit.window_end > at - timedelta(days=1),
            or_(Shift.id.is_(None), Shift.off != "", Shift.ends_at < at + timedelta(hours=12)),
        )
    ).all()
    found = 0
    for visit, promise, shift in rows:
        if _cannot(s, visit, shift, at) and turn.taken(s, promise) and visit.state == "planned":
            missed(s, visit, promise, at=at, by="clock")
            found += 1
    return found


def _cannot(s: Session, visit: Visit, shift: Shift | None, at: datetime) -> bool:
    if visit.technician_id is None or shift is None or shift.off or at > shift.ends_at:
        return True
    made = days.forecasts(s, [shift.id]).get(visit.id)
    return made is not None and made.arrive[0] > shift.ends_at


def missed(s: Session, visit: Visit, promise: Promise, *, at: datetime, by: str) -> None:
    """We did not come: the promise is broken, the customer hears it with an apology, and a call is promised."""
    promises.end(s, promise, "broken", at=at, by=by)
    cause = f"missed:{visit.id}"
    owed = promises.owe_call(s, visit, at=at, by="watch", reason="missed", cause=cause)
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:missed:1",
        kind="missed",
        at=at,
        reason="missed",
        cause=cause,
        facts={"due": owed.due_at.isoformat(), "owner": queries.first_name(owed)},
        visit=visit,
    )
