"""What only a program does: add a visit with all its particulars, edit some of them, report for a technician."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import watch
from punctual.actions import Refused, lock, reach, schedule, technician, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import OVER, Window
from punctual.models import Customer, JobType, Place, Technician, Visit, db, touch_board
from punctual.queries import day as queries


@dataclass(frozen=True, slots=True)
class New:
    """A visit to be added. The customer is a row (`customer_id`) or somebody by name; the job a job type's name."""

    window: Window
    job: str
    customer_id: int | None = None
    name: str = ""
    email: str = ""
    phone: str = ""
    language: str = ""
    technician_id: int | None = None
    planned_start: datetime | None = None
    planned_min: float | None = None
    address: str = ""
    lat: float | None = None
    lon: float | None = None
    notes: str = ""
    deadline: datetime | None = None
    deadline_kind: str = "done"
    ref: str | None = None


def add(new: New, *, tell: bool, at: datetime, by: By) -> int:
    """Add a visit; returns its id. The customer gets the booking unless `tell` is False."""
    with transaction() as s:
        if new.window.end <= at:
            raise Refused("That time has passed. Choose a later one.", status=422, field="window_end")
        if new.window.end - new.window.start > timedelta(days=1):
            raise Refused("An arrival window is at most a day long.", status=422, field="window_end")
        if new.ref is not None and s.scalar(select(Visit.id).where(Visit.ref == new.ref)) is not None:
            raise Refused(f'There is a visit "{new.ref}" already.', field="ref")
        job = s.scalar(select(JobType).where(JobType.name == new.job))
        if job is None:
            names = ", ".join(s.scalars(select(JobType.name).order_by(JobType.name).limit(20)))
            raise Refused(f"This job type is not known. Known are: {names or 'none yet'}.", status=422, field="job")
        if new.technician_id is not None:
            _technician(s, new.technician_id)
        made = schedule.add(
            s,
            customer=_customer(s, new, at),
            job_type=job,
            technician_id=new.technician_id,
            place=_place(s, new),
            planned_start=new.planned_start or new.window.start,
            planned_min=new.planned_min or job.planned_min,
            window=new.window,
            notes=new.notes,
            deadline=new.deadline,
            deadline_kind=new.deadline_kind,
            ref=new.ref,
            at=at,
            by=by.source,
            tell=tell,
            origin="api",
        )
        return made.id


def edit(visit_id: int, changes: dict[str, Any], *, at: datetime, by: By) -> None:
    """Change what is given of notes, planned_min, deadline, deadline_kind; the day is forecast again."""
    with transaction() as s:
        visit = lock.visit(s, visit_id)
        if visit is None:
            raise Refused("There is no such visit.", status=404)
        visit.notes = changes.get("notes", visit.notes)
        visit.planned_min, visit.changed_at = float(changes.get("planned_min", visit.planned_min)), at
        deadline = changes.get("deadline", visit.deadline)
        kind = changes.get("deadline_kind", visit.deadline_kind)
        if (deadline, kind) != (visit.deadline, visit.deadline_kind):
            if visit.state in OVER:
                raise Refused("This visit is over; it has no deadline any more.")
            schedule.set_deadline(s, visit, deadline=deadline, kind=kind, at=at, by=by.source)
        touch_board(s, visit.date)
        shift = queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
        if shift is not None:
            watch.look(s, [shift.id], at=at, cause=by.cause("edit"))


def report(
    visit_id: int,
    kind: str,
    *,
    key: str,
    tapped_at: datetime,
    minutes: int,
    note: str,
    of_key: str | None,
    at: datetime,
) -> technician.Taken:
    """A technician's tap that a program delivers, for whoever has the visit."""
    visit = db.session().get(Visit, visit_id)
    if visit is None:
        raise Refused("There is no such visit.", status=404)
    who = visit.technician_id
    if who is None:
        raise Refused("Nobody has this visit yet. Give it to a technician first.")
    if kind == "undo":
        return technician.undo(visit_id, technician_id=who, key=key, tapped_at=tapped_at, at=at, of_key=of_key)
    return technician.report(
        visit_id,
        kind,
        technician_id=who,
        key=key,
        tapped_at=tapped_at,
        at=at,
        minutes=minutes,
        source="api",
        note=note,
    )


def _technician(s: Session, technician_id: int) -> None:
    found = s.get(Technician, technician_id)
    if found is None or not found.active:
        raise Refused("There is no such technician.", status=422, field="technician_id")


def _customer(s: Session, new: New, at: datetime) -> Customer:
    if new.customer_id is not None:
        found = s.get(Customer, new.customer_id)
        if found is None:
            raise Refused("There is no such customer.", status=422, field="customer_id")
        return found
    made = Customer(
        name=new.name,
        email=reach.email(new.email),
        phone=reach.phone(s, new.phone),
        language=new.language or reach.language(s),
        created_at=at,
    )
    s.add(made)
    s.flush()
    return made


def _place(s: Session, new: New) -> Place | None:
    """Where it is: the degrees that were given, a place we know by its address, or one the worker looks up."""
    if not new.address and new.lat is None:
        return None
    address = new.address or f"{new.lat:.5f}, {new.lon:.5f}"
    found = select(Place).where(Place.address == address).order_by(Place.id)
    known = s.scalar(found if new.lat is None else found.where(Place.lat == new.lat, Place.lon == new.lon))
    if known is not None:
        return known
    made = Place(address=address, lat=new.lat, lon=new.lon, state="pending" if new.lat is None else "known")
    s.add(made)
    s.flush()
    return made
