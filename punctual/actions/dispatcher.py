"""What a dispatcher does with visits and tasks: give, move, cancel, add, edit, hold back, tell - one transaction each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import outbox, promises, watch
from punctual.actions import Refused, lock, reach, rescue, schedule, transaction
from punctual.actions.earlier import possible
from punctual.actions.effect import movable
from punctual.core.day import OVER, Window, local, outward
from punctual.core.kinds import KINDS
from punctual.core.policy import worth_telling
from punctual.models import Customer, JobType, Message, Notice, Place, Promise, Shift, Technician, Visit, touch_board
from punctual.queries import day as queries
from punctual.queries.tasks import ASTRAY


@dataclass(frozen=True, slots=True)
class By:
    """The dispatcher (or a program's token) who acts; their act is a cause of its own."""

    id: int
    name: str
    kind: Literal["user", "token"] = "user"

    @property
    def source(self) -> str:
        """user:7 - how schedule and promises name who did it."""
        return f"{self.kind}:{self.id}"

    def cause(self, verb: str) -> str:
        """user:7:give:3f2a... - one cause for each act, however often the verb is used."""
        return f"{self.source}:{verb}:{uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a new visit is for: a customer we know (`id`), or somebody new."""

    id: int = 0
    name: str = ""
    email: str = ""
    phone: str = ""


def give(visit_id: int, technician_id: int, *, start: datetime | None = None, at: datetime, by: By) -> None:
    """Give a visit to another technician; the promise stays. Who is told then follows from the usual rules - and a
    customer told of a delay that is gone now is told the better range once."""
    cause = by.cause("give")
    with transaction() as s:
        visit = movable(s, visit_id)
        technician = _technician(s, technician_id)
        new = schedule.ensure_shift(s, technician_id, local(start, visit.zone).date() if start else visit.date)
        lock.visits(s, [visit], new)
        visit = movable(s, visit_id)
        if visit.technician_id == technician_id:
            raise Refused(f"{technician.first_name} has this visit already.", field="technician")
        old = _shift(s, visit)
        if visit.state == "on_my_way" and visit.technician and not (old and old.off):
            raise Refused(f"{visit.technician.first_name} is on the way there. Ask for an undo first.")
        if new.off:
            raise Refused(f"{technician.first_name} is off that day.", field="technician")
        if new.date != visit.date:
            raise Refused("Giving keeps the day. To change the day, move the visit.", field="start")
        rescue.hand(s, visit, technician, old, new, start=start or visit.planned_start, at=at, cause=cause)


def move(
    visit_id: int, technician_id: int, *, start: datetime, window: Window, tell: bool, at: datetime, by: By
) -> None:
    """Another time, maybe with another technician: a new promise. A dispatcher may overbook; the board shows it."""
    with transaction() as s:
        visit = movable(s, visit_id)
        _technician(s, technician_id)
        if window.end <= at:
            raise Refused("That time has passed. Choose a later one.", status=422, field="from")
        lock.visits(s, [visit], schedule.ensure_shift(s, technician_id, local(start, visit.zone).date()))
        visit = movable(s, visit_id)
        schedule.move(
            s,
            visit,
            technician_id=technician_id,
            planned_start=start,
            window=window,
            at=at,
            by=by.source,
            name=by.name,
            forced=True,
            tell=tell,
        )


def cancel(visit_id: int, *, tell: bool, at: datetime, by: By) -> None:
    """Cancel a visit; the customer gets the message that withdraws the calendar entry unless `tell` is False."""
    with transaction() as s:
        visit = _visit(s, visit_id)
        if visit.state in OVER:
            raise Refused("This visit is over already.")
        schedule.cancel(s, visit, at=at, by=by.source, tell=tell)


def add_visit(
    caller: Caller,
    *,
    job_type_id: int,
    technician_id: int | None,
    address: str,
    window: Window,
    planned_min: int,
    notes: str,
    deadline: datetime | None = None,
    deadline_kind: str = "done",
    tell: bool,
    at: datetime,
    by: By,
) -> int:
    """Add a visit, for a customer we know or a new one; returns its id. `planned_min` 0: as long as the work usually is."""
    with transaction() as s:
        job = s.get(JobType, job_type_id)
        if job is None:
            raise Refused("Choose the work from the list.", status=422, field="job")
        if technician_id is not None:
            _technician(s, technician_id)
        if window.end <= at:
            raise Refused("That time has passed. Choose a later one.", status=422, field="from")
        if deadline is not None and deadline <= window.start:
            raise Refused("The customer's limit must be after the visit begins.", status=422, field="limit")
        made = schedule.add(
            s,
            customer=_customer(s, caller, at),
            job_type=job,
            technician_id=technician_id,
            place=_place(s, address),
            planned_start=max(window.start, at),
            planned_min=float(planned_min or job.planned_min),
            window=window,
            notes=notes,
            deadline=deadline,
            deadline_kind=deadline_kind,
            at=at,
            by=by.source,
            tell=tell,
        )
        return made.id


def edit_visit(
    visit_id: int,
    *,
    notes: str,
    planned_min: int,
    deadline: datetime | None,
    deadline_kind: str,
    at: datetime,
    by: By,
) -> None:
    """Notes, planned minutes and the customer's own limit; the day is forecast again."""
    with transaction() as s:
        visit = _visit(s, visit_id)
        visit.notes, visit.planned_min, visit.changed_at = notes, float(planned_min), at
        if visit.state not in OVER and (deadline, deadline_kind) != (visit.deadline, visit.deadline_kind):
            schedule.set_deadline(s, visit, deadline=deadline, kind=deadline_kind, at=at, by=by.source)
        _look(s, visit, at, by.cause("edit"))


def add_note(visit_id: int, note: str, *, at: datetime, by: By) -> None:
    """Add a line to the notes, with who and when."""
    with transaction() as s:
        visit = _visit(s, visit_id)
        line = f"{local(at, visit.zone):%d %b %H:%M} {by.name}: {note}"
        visit.notes, visit.changed_at = f"{visit.notes}\n{line}".strip(), at
        touch_board(s, visit.date)


def hold(visit_id: int, why: str, *, at: datetime, by: By) -> None:
    """Send nothing automatic about this visit until it is released; what is queued is dropped with the reason."""
    with transaction() as s:
        visit = _visit(s, visit_id)
        if visit.state in OVER:
            raise Refused("This visit is over; nothing will be sent.")
        if _held(s, visit_id):
            raise Refused("It is held back already.")
        number = s.scalar(select(func.count()).where(Notice.visit_id == visit_id, Notice.kind == "hold"))
        s.add(
            Notice(
                key=f"{visit_id}:{visit.promise_version}:hold:{number}",
                visit_id=visit_id,
                decision="hold",
                kind="hold",
                reason="held",
                cause=by.cause("hold"),
                facts={"why": why, "by": by.name},
                at=at,
            )
        )
        kinds = [k.name for k in KINDS.values() if k.class_ in ("delay", "ordinary")]
        outbox.supersede(s, visit_id, at=at, why=f"held back by {by.name}", kinds=kinds)
        _look(s, visit, at, by.cause("hold"))


def release(visit_id: int, *, at: datetime, by: By) -> None:
    """Let messages about this visit out again; the day is looked at at once."""
    with transaction() as s:
        visit = _visit(s, visit_id)
        for notice in _held(s, visit_id):
            notice.resolved_at, notice.resolved_by = at, by.name
        _look(s, visit, at, by.cause("release"))


def tell_now(visit_id: int, *, at: datetime, by: By) -> None:
    """Tell the customer the present range now, though the limit is not reached; caps and night still hold."""
    with transaction() as s:
        _visit(s, visit_id)
        visit = movable(s, visit_id)
        shift = _shift(s, visit)
        forecast = queries.forecasts(s, [shift.id]).get(visit_id) if shift else None
        if shift is None or forecast is None:
            raise Refused("There is no forecast for this visit yet, so there is no time to tell.")
        if shift.off:
            raise Refused(
                "The technician is off that day, so there is no honest time to tell. Give the visit away first."
            )
        if _held(s, visit_id):
            raise Refused("Messages about this visit are held back. Release them first.")
        if not worth_telling(forecast.p_late, forecast.p_window, queries.rules(s)):
            raise Refused("The visit is expected in time, so there is no lateness to tell. Their page shows the time.")
        now = outward(Window(forecast.arrive[0], max(forecast.arrive[0], forecast.arrive[2])), at, visit.zone)
        told = bool(visit.told_at) and visit.told_kind in ("late_first", "late_update")
        rescue.tell(s, visit, shift.id, "late_update" if told else "late_first", now, at, by.cause("tell"))


def offer_earlier(visit_id: int, *, at: datetime, by: By) -> None:
    """Ask the customer whether we may come earlier: one message, nothing changes by it."""
    with transaction() as s:
        visit = _visit(s, visit_id)
        found = possible(s, visit, at)
        if found is None:
            raise Refused("The technician cannot come a quarter of an hour earlier, so there is nothing to offer.")
        said = select(func.count(Notice.id)).where(Notice.visit_id == visit_id, Notice.kind == "earlier")
        outbox.put(
            s,
            key=f"{visit_id}:{visit.promise_version}:earlier:{1 + (s.scalar(said) or 0)}",
            kind="earlier",
            at=at,
            reason="by_hand",
            cause=by.cause("earlier"),
            facts={"earlier_from": found.start.isoformat(), "earlier_to": found.end.isoformat()},
            visit=visit,
            useful_until=found.start,
        )
        touch_board(s, visit.date)


def called(visit_id: int, *, at: datetime, by: By) -> None:
    """The customer was called: every open call task and promised call of the visit is done, and what did not reach them
    is told."""
    with transaction() as s:
        visit = _visit(s, visit_id)
        open_ = select(Promise).where(Promise.visit_id == visit_id, Promise.kind == "call", Promise.state == "open")
        for promise in s.scalars(open_).all():
            promises.keep(s, promise, at=at, by=by.name)
        promises.replied(s, visit_id, at=at, by=by.name)
        open_tasks = Notice.visit_id == visit_id, Notice.decision == "task", Notice.resolved_at.is_(None)
        for notice in s.scalars(select(Notice).where(*open_tasks)):
            notice.resolved_at, notice.resolved_by = at, by.name
        astray = select(Message.notice_id).where(Message.visit_id == visit_id, Message.state.in_(ASTRAY))
        for notice in s.scalars(select(Notice).where(Notice.id.in_(astray), Notice.resolved_at.is_(None))):
            notice.resolved_at, notice.resolved_by = at, by.name
        touch_board(s, visit.date)


def _visit(s: Session, visit_id: int) -> Visit:
    visit = lock.visit(s, visit_id)
    if visit is None:
        raise Refused("There is no such visit.", status=404)
    return visit


def _technician(s: Session, technician_id: int) -> Technician:
    found = s.get(Technician, technician_id)
    if found is None or not found.active:
        raise Refused("Choose a technician from the list.", status=422, field="technician")
    return found


def _customer(s: Session, caller: Caller, at: datetime) -> Customer:
    if caller.id:
        found = s.get(Customer, caller.id)
        if found is None:
            raise Refused("This customer is not known. Search again.", status=422, field="customer")
        return found
    made = Customer(
        name=caller.name,
        email=reach.email(caller.email),
        phone=reach.phone(s, caller.phone),
        language=reach.language(s),
        created_at=at,
    )
    s.add(made)
    s.flush()
    return made


def _place(s: Session, address: str) -> Place | None:
    """The place of an address: one we know, or a new one to be looked up by the worker."""
    if not address:
        return None
    found = s.scalar(select(Place).where(Place.address == address).order_by(Place.id))
    if found is None:
        found = Place(address=address, state="pending")
        s.add(found)
        s.flush()
    return found


def _held(s: Session, visit_id: int) -> list[Notice]:
    held = select(Notice).where(Notice.visit_id == visit_id, Notice.kind == "hold", Notice.resolved_at.is_(None))
    return list(s.scalars(held))


def _shift(s: Session, visit: Visit) -> Shift | None:
    return queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None


def _look(s: Session, visit: Visit, at: datetime, cause: str) -> None:
    """Look at a visit's day again; without a shift the board alone changes."""
    touch_board(s, visit.date)
    shift = _shift(s, visit)
    if shift is not None:
        watch.look(s, [shift.id], at=at, cause=cause)
