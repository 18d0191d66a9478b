"""Every promise of a person, each minute: its owner is reminded, the next one up told, the customer told either way."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox, promises
from punctual.core import promise as core
from punctual.core.day import OVER, at_wall, local
from punctual.models import Company, Concern, Promise, Shift, User, Visit
from punctual.queries import day as days
from punctual.queries import promises as queries

#: The forecast has to be this much later than a promise that hangs on it before it is moved.
SLACK = timedelta(minutes=5)


def look(s: Session, at: datetime) -> int:
    """Do what is due; returns how many promises were touched. Looking twice at the same instant changes nothing."""
    done = _by_forecast(s, at) + _jobs(s, at)
    for promise_id, step in queries.needing(s, at):
        promise = s.get_one(Promise, promise_id, with_for_update=True, populate_existing=True)
        if promise.state != "open":
            continue
        done += 1
        if step == "remind":
            promise.reminded_at = at
            _ask(s, promise, "remind", at, [promise.owner_id])
        elif step == "escalate":
            promise.escalated_at = at
            _ask(s, promise, "escalate", at, [promise.owner_id, _above(s, promise)])
        else:
            after = promises.break_(s, promise, at=at, by="clock")
            if after is not None:
                _follow_on(s, promise, after)
            _ask(s, after or promise, "broken", at, [_above(s, promise)])
    return done


def _follow_on(s: Session, promise: Promise, after: Promise) -> None:
    """A concern goes with its clock to the next one up."""
    for concern in s.scalars(select(Concern).where(Concern.promise_id == promise.id)):
        concern.promise_id = after.id


def _above(s: Session, promise: Promise) -> int | None:
    found = queries.above(s, promise.owner_id)
    return found.id if found else None


def _ask(s: Session, promise: Promise, why: str, at: datetime, who: list[int | None]) -> None:
    """A message to those who can keep or move it; each once a step."""
    for user_id in dict.fromkeys(x for x in who if x is not None):
        outbox.put(
            s,
            key=f"promise:{promise.id}:{why}:{user_id}",
            kind="esc_concern" if promise.kind == "answer" else "esc_promise",
            at=at,
            reason=why,
            cause=f"promise:{promise.id}",
            facts={"due": promise.due_at.isoformat()},
            visit=s.get_one(Visit, promise.visit_id),
            person=s.get_one(User, user_id),
            to="dispatcher",
            promise_id=promise.id,
            useful_until=at + timedelta(hours=24),
        )


def _by_forecast(s: Session, at: datetime) -> int:
    """A restore time hangs on its visit: where the forecast says that it will not hold, it is moved before it is due."""
    rows = s.execute(
        select(Promise, Visit, Shift.id)
        .join(Visit, Visit.id == Promise.visit_id)
        .join(Shift, (Shift.technician_id == Visit.technician_id) & (Shift.date == Visit.date))
        .where(Promise.kind == "restore", Promise.state == "open", Promise.due_at > at, Visit.state.not_in(OVER))
    ).all()
    moved = 0
    for promise, visit, shift_id in rows:
        forecast = days.forecasts(s, [shift_id]).get(visit.id)
        if forecast is None or forecast.finish[1] <= promise.due_at + SLACK:
            continue
        due = _quarter(forecast.finish[2])
        promises.move(s, promise, due, at=at, by="forecast")
        moved += 1
    return moved


def _quarter(at: datetime) -> datetime:
    """Up to the next quarter of an hour."""
    at = at.replace(second=0, microsecond=0) + timedelta(minutes=1 if at.second or at.microsecond else 0)
    return at + timedelta(minutes=-at.minute % 15)


def _jobs(s: Session, at: datetime) -> int:
    """The overall date of a job is forecast again from its visits: where one of them has moved past it, it is moved."""
    zone = s.scalar(select(Company.zone)) or "UTC"
    rows = s.scalars(select(Promise).where(Promise.kind == "job", Promise.state == "open", Promise.due_at > at)).all()
    moved = 0
    for promise in rows:
        due = _finished(s, promise, zone)
        if due is not None and due > promise.due_at:
            promises.move(s, promise, due, at=at, by="forecast")
            moved += 1
    return moved


def _finished(s: Session, promise: Promise, zone: str) -> datetime | None:
    """By when the job's last visit is over, at the end of that day's office hours; None without one to come."""
    last = queries.last_visit(s, promise.job_id or 0)
    if last is None or last.state in OVER:
        return None
    ends = last.window_end + timedelta(minutes=last.planned_min)
    close = at_wall(local(ends, zone).date(), core.OFFICE[1], 0, zone)
    return max(close, _quarter(ends))
