"""Promises of people: made, moved, kept, broken - each a row, and a message to the customer about each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import outbox
from punctual.core import promise as core
from punctual.models import Company, Job, Notice, Promise, User, Visit, touch_board
from punctual.queries import day as days
from punctual.queries import promises as queries

#: What is told when a promise is made. An answer is owed to a concern, a reply to words: their own messages say by when.
MADE = {"call": "promise_call", "answer": "", "reply": ""}


def make(
    s: Session,
    visit: Visit,
    kind: str,
    due: datetime,
    *,
    at: datetime,
    by: str,
    owner: User | None = None,
    job: Job | None = None,
    note: str = "",
    tell: bool = True,
    replaces: Promise | None = None,
) -> Promise:
    """A new promise with its owner (the dispatcher on duty when None); unless `tell` is False the customer is told.

    Writes in the caller's transaction.
    """
    owner = owner or queries.on_duty(s)
    mine = select(func.max(Promise.version)).where(Promise.visit_id == visit.id, Promise.kind == kind)
    made = Promise(
        visit_id=visit.id,
        kind=kind,
        version=(s.scalar(mine) or 0) + 1,
        due_at=due,
        owner=owner.name if owner else s.get_one(Company, 1).name,
        owner_id=owner.id if owner else None,
        job_id=job.id if job else None,
        replaces_id=replaces.id if replaces else None,
        made_by=by[:20],
        made_at=at,
        note=note,
    )
    s.add(made)
    s.flush()
    touch_board(s, visit.date)
    told = MADE.get(kind, "promise_made")
    if tell and told:
        tell_of(s, made, told, at, due=due)
    return made


def owe_call(s: Session, visit: Visit, *, at: datetime, by: str, reason: str, cause: str) -> Promise:
    """The call this visit's customer is owed: the open one, else a new one inside office hours with its task.

    The customer is not told of it here: the message that says why names it. Writes in the caller's transaction.
    """
    owed = queries.open_of(s, visit.id, "call")
    if owed is None:
        due = core.office_due(at, s.get_one(Company, 1).zone, days.rules(s).callback_min, works(s))
        owed = make(s, visit, "call", due, at=at, by=by, tell=False)
        call_task(s, owed, at=at, reason=reason, cause=cause)
    return owed


def tell_of(
    s: Session, promise: Promise, kind: str, at: datetime, *, useful_until: datetime | None = None, **facts: datetime
) -> Notice | None:
    """A message to the customer about a promise, once a kind and instant; its facts are instants."""
    return outbox.put(
        s,
        key=f"{promise.visit_id}:{promise.id}:{kind}:{at.isoformat()}",
        kind=kind,
        at=at,
        reason=f"{promise.kind}_{promise.state}",
        cause=f"promise:{promise.id}",
        facts={name: value.isoformat() for name, value in facts.items()} | {"owner": queries.first_name(promise)},
        visit=s.get_one(Visit, promise.visit_id),
        promise_id=promise.id,
        useful_until=useful_until,
    )


def end(s: Session, promise: Promise, state: str, *, at: datetime, by: str) -> None:
    """A promise is over, one way or the other; tasks about it are seen to."""
    promise.state, promise.ended_at, promise.ended_by = state, at, by[:120]
    mine = Notice.promise_id == promise.id
    if promise.kind == "reply" and state == "kept":
        mine = (Notice.visit_id == promise.visit_id) & (Notice.kind == "wrote")
    open_ = select(Notice).where(mine, Notice.decision == "task", Notice.resolved_at.is_(None))
    for task in s.scalars(open_):
        task.resolved_at, task.resolved_by = at, by[:120]
    on = s.scalar(select(Visit.date).where(Visit.id == promise.visit_id))
    if on is not None:
        touch_board(s, on)


def keep(s: Session, promise: Promise, *, at: datetime, by: str, tell: bool = True) -> Promise:
    """Kept, with evidence: somebody who says so, a report, a recorded call. After its due time it was broken first;
    then the one that took its place is kept."""
    if at > promise.due_at:
        promise = break_(s, promise, at=at, by=by) or promise
    if promise.state == "open":
        end(s, promise, "kept", at=at, by=by)
        if tell:
            until = at + timedelta(days=1)
            tell_of(s, promise, "promise_kept", at, due=promise.due_at, done_at=at, useful_until=until)
    return promise


def replied(s: Session, visit_id: int, *, at: datetime, by: str) -> None:
    """Whoever wrote about a visit has their answer: what we owed them is kept, and their words are seen to."""
    owed = queries.open_of(s, visit_id, "reply")
    if owed is not None:
        s.refresh(owed, with_for_update={"key_share": True})
    if owed is not None and owed.state == "open":
        keep(s, owed, at=at, by=by, tell=False)


def move(s: Session, promise: Promise, due: datetime, *, at: datetime, by: str, owner: User | None = None) -> Promise:
    """Another time, said before the old one has passed: the promise stays as "moved with notice", a new one is open."""
    end(s, promise, "moved", at=at, by=by)
    made = _after(s, promise, due, at, by, owner)
    tell_of(s, made, "promise_moved", at, due=due, old_due=promise.due_at)
    return made


def break_(s: Session, promise: Promise, *, at: datetime, by: str) -> Promise | None:
    """Not kept at its due time: the customer hears it, and by when they hear more from the next one up.

    Nothing follows where the visit is cancelled, but of what they wrote and asked.
    """
    end(s, promise, "broken", at=at, by=by)
    visit = s.get_one(Visit, promise.visit_id)
    if visit.state == "cancelled" and promise.job_id is None and promise.kind not in ("answer", "reply"):
        return None
    zone = s.get_one(Company, 1).zone
    due = core.again(at, zone, works(s), queries.broken_before(s, promise))
    made = _after(s, promise, due, at, by, queries.above(s, promise.owner_id))
    tell_of(s, made, "promise_broken", at, due=due, old_due=promise.due_at)
    return made


def _after(s: Session, promise: Promise, due: datetime, at: datetime, by: str, owner: User | None) -> Promise:
    """The promise that takes this one's place; of a job it hangs on a visit that is still to come."""
    job = s.get(Job, promise.job_id) if promise.job_id else None
    visit = (queries.last_visit(s, job.id) if job else None) or s.get_one(Visit, promise.visit_id)
    owner = owner or (s.get(User, promise.owner_id) if promise.owner_id else None)
    made = make(
        s, visit, promise.kind, due, at=at, by=by, owner=owner, job=job, note=promise.note, tell=False, replaces=promise
    )
    if promise.kind == "reply":
        waiting = Notice.visit_id == visit.id, Notice.kind == "wrote", Notice.resolved_at.is_(None)
        for task in s.scalars(select(Notice).where(*waiting)):
            task.due_at = due
    if promise.kind == "call":
        call_task(s, made, at=at, reason="promised", cause=f"promise:{promise.id}")
    return made


def works(s: Session) -> Callable[[date], bool]:
    """Whether somebody works on a date."""
    return lambda on: days.somebody_works(s, on)


def call_task(s: Session, promise: Promise, *, at: datetime, reason: str, cause: str, **facts: Any) -> None:
    """A promised call is a task for the board until it was made."""
    visit = s.get_one(Visit, promise.visit_id)
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:call:promise:{promise.id}",
        kind="call",
        at=at,
        reason=reason,
        cause=cause,
        decision="task",
        facts={"due": promise.due_at.isoformat(), **facts},
        visit=visit,
        to="dispatcher",
        due_at=promise.due_at,
        promise_id=promise.id,
    )
