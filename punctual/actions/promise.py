"""What a dispatcher does about promises: make one, keep it, move it before it is due, group visits into a job."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import promises
from punctual.actions import Refused, lock, transaction
from punctual.actions.dispatcher import By
from punctual.core import promise as core
from punctual.models import Answer, Job, Promise, User, Visit, touch_board
from punctual.queries import promises as queries

#: Nobody promises further ahead.
FAR = timedelta(days=365)


def make(
    visit_id: int,
    kind: str,
    due: datetime,
    *,
    owner_id: int = 0,
    note: str = "",
    tell: bool = True,
    at: datetime,
    by: By,
) -> int:
    """Promise a customer something by a time; returns its id. The owner is who is named, else who promises."""
    if kind not in core.BY_HAND:
        raise Refused(f"This cannot be promised. Choose one of: {', '.join(core.BY_HAND)}.", status=422, field="kind")
    with transaction() as s:
        visit = _visit(s, visit_id)
        _sane(due, at)
        if visit.state == "cancelled":
            raise Refused("This visit is cancelled, so nothing more is promised for it.")
        mine = Promise.visit_id == visit_id, Promise.kind == kind, Promise.state == "open"
        if kind == "call" and s.scalar(select(Promise.id).where(*mine)) is not None:
            raise Refused("A call is promised already. Move that promise instead.")
        made = promises.make(
            s, visit, kind, due, at=at, by=by.source, owner=_owner(s, owner_id, by), note=note, tell=tell
        )
        if kind == "call":
            promises.call_task(s, made, at=at, reason="promised", cause=by.cause("promise"))
        return made.id


def keep(promise_id: int, *, at: datetime, by: By) -> int:
    """It is kept, on the word of whoever says so; returns the visit. Again it changes nothing."""
    with transaction() as s:
        promise = _open(s, promise_id)
        if promise.state != "open":
            return promise.visit_id
        if promise.kind == "job" and _not_done(s, promise.job_id or 0):
            raise Refused("The customer says that the work is not done. Settle that first.")
        if promise.kind in ("window", "answer"):
            how = (
                "the technician's report keeps it" if promise.kind == "window" else "an answer to the customer keeps it"
            )
            raise Refused(f"This promise is not kept by hand: {how}.")
        return promises.keep(s, promise, at=at, by=by.name).visit_id


def move(promise_id: int, due: datetime, *, owner_id: int = 0, at: datetime, by: By) -> int:
    """Another time, told to the customer at once; returns the new promise. A window is moved with its visit."""
    with transaction() as s:
        promise = _open(s, promise_id)
        if promise.state != "open":
            raise Refused("This promise has ended already.")
        if promise.kind == "window":
            raise Refused("An arrival is moved with its visit.")
        _sane(due, at)
        if due == promise.due_at:
            raise Refused("That is the time that is promised already.", field="time")
        owner = s.get(User, owner_id) if owner_id else None
        return promises.move(s, promise, due, at=at, by=by.name, owner=owner).id


def group(name: str, visit_ids: list[int], due: datetime, *, at: datetime, by: By) -> int:
    """Visits of one customer become a job with one overall promise; returns the job's id."""
    if not name.strip() or len(name) > 80:
        raise Refused("Give the job a name of at most 80 characters.", status=422, field="name")
    with transaction() as s:
        visits = list(s.scalars(select(Visit).where(Visit.id.in_(visit_ids)).order_by(Visit.id)))
        if len(visits) < len(set(visit_ids)):
            raise Refused("There is no such visit.", status=404)
        lock.visits(s, visits)
        if not visits or len({v.customer_id for v in visits}) > 1:
            raise Refused("A job has visits of one customer.", status=422, field="visits")
        if any(v.job_id for v in visits):
            raise Refused("One of these visits belongs to a job already.")
        _sane(due, at)
        job = Job(customer_id=visits[0].customer_id, name=name.strip(), created_at=at)
        s.add(job)
        s.flush()
        for visit in visits:
            visit.job_id = job.id
        last = max(visits, key=lambda v: (v.planned_start, v.id))
        promises.make(s, last, "job", due, at=at, by=by.source, owner=_owner(s, 0, by), job=job)
        touch_board(s, *(v.date for v in visits))
        return job.id


def join(visit_id: int, job_id: int, *, at: datetime, by: By) -> None:
    """Another visit of a job; the overall promise is forecast again at the next look."""
    with transaction() as s:
        visit, job = _visit(s, visit_id), s.get(Job, job_id)
        if job is None or job.customer_id != visit.customer_id:
            raise Refused("There is no such job of this customer.", status=404)
        if visit.job_id not in (None, job_id):
            raise Refused("This visit belongs to another job.")
        visit.job_id, visit.changed_at = job_id, at
        touch_board(s, visit.date)


def _not_done(s: Session, job_id: int) -> bool:
    """Whether the last word of a customer about any visit of the job was "not done"."""
    for visit_id in s.scalars(select(Visit.id).where(Visit.job_id == job_id)):
        last = s.scalar(
            select(Answer.kind)
            .where(Answer.visit_id == visit_id, Answer.kind.in_(("done", "not_done")))
            .order_by(Answer.id.desc())
            .limit(1)
        )
        if last == "not_done":
            return True
    return False


def _sane(due: datetime, at: datetime) -> None:
    if due <= at:
        raise Refused("That time has passed. Choose a later one.", status=422, field="time")
    if due > at + FAR:
        raise Refused("Nothing is promised more than a year ahead.", status=422, field="date")


def _owner(s: Session, owner_id: int, by: By) -> User | None:
    """Who is named, else the dispatcher who acts; a program leaves it to the one on duty."""
    if owner_id:
        found = s.get(User, owner_id)
        if found is None or not found.active:
            raise Refused("Choose who is responsible from the list.", status=422, field="owner")
        return found
    return s.get(User, by.id) if by.kind == "user" else queries.on_duty(s)


def _visit(s: Session, visit_id: int) -> Visit:
    """The visit, locked: two who promise something of it at once do it one after the other."""
    visit = lock.visit(s, visit_id)
    if visit is None:
        raise Refused("There is no such visit.", status=404)
    return visit


def _open(s: Session, promise_id: int) -> Promise:
    """The promise, locked after its visit: two who end it at once do it one after the other."""
    about = s.scalar(select(Promise.visit_id).where(Promise.id == promise_id))
    lock.visit(s, about or 0)
    promise: Promise | None = s.scalar(
        select(Promise)
        .where(Promise.id == promise_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if promise is None:
        raise Refused("There is no such promise.", status=404)
    return promise
