"""Every promise of a person, each minute: its owner is reminded, the next one up told, the customer told either way."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox, promises
from punctual.core.day import OVER
from punctual.follow import jobs, turn
from punctual.models import Concern, Promise, Shift, User, Visit
from punctual.queries import day as days
from punctual.queries import promises as queries


def look(s: Session, at: datetime) -> int:
    """Do what is due; returns how many promises were touched. Looking twice at the same instant changes nothing."""
    done = _by_forecast(s, at) + jobs.look(s, at)
    for promise_id, step in queries.needing(s, at):
        promise = s.get_one(Promise, promise_id)
        if not turn.taken(s, promise):
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
        if forecast is None or forecast.finish[1] <= promise.due_at + jobs.SLACK:
            continue
        due = jobs.quarter(forecast.finish[2])
        if not turn.taken(s, promise):
            continue
        promises.move(s, promise, due, at=at, by="forecast")
        moved += 1
    return moved
