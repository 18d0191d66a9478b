"""What happens to an appointment, whoever asks for it: add, move, agree, cancel, give away, a customer's own limit.

Each is called inside a verb's transaction, with its session; the verb has locked the visit (lock.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from punctual import outbox, watch
from punctual.actions import Refused, settle
from punctual.core.day import OVER, Window, at_wall, local
from punctual.models import (
    Company,
    Customer,
    Job,
    JobType,
    Place,
    Promise,
    Report,
    Shift,
    SlotClaim,
    Visit,
    touch_board,
)
from punctual.queries import day as queries
from punctual.queries import slots

#: The day of a technician nobody has planned a shift for.
SHIFT = (8, 17)
TAKEN = "Somebody took this time a moment ago. We are sorry. Your visit is unchanged. Here are times that are free now."


def ensure_shift(s: Session, technician_id: int, on: date) -> Shift:
    """The technician's shift on that date; one of 8 to 17 is made where nobody planned one."""
    found = queries.shift_of(s, technician_id, on)
    if found is not None:
        return found
    zone = s.get_one(Company, 1).zone
    made = Shift(
        technician_id=technician_id,
        date=on,
        starts_at=at_wall(on, SHIFT[0], 0, zone),
        ends_at=at_wall(on, SHIFT[1], 0, zone),
    )
    try:
        with s.begin_nested():
            s.add(made)
    except IntegrityError:  # somebody made it a moment ago
        made = s.scalars(select(Shift).where(Shift.technician_id == technician_id, Shift.date == on)).one()
    return made


def _wall(at: datetime, zone: str) -> str:
    return local(at, zone).strftime("%Y-%m-%dT%H:%M")


def _promise(s: Session, visit: Visit, window: Window, at: datetime, by: str) -> None:
    """A new version of the window promise; the one before it stays as "moved"."""
    open_ = select(Promise).where(Promise.visit_id == visit.id, Promise.kind == "window", Promise.state == "open")
    _promise_anew(s, visit, window, s.scalars(open_).all(), at, by)


def _promise_anew(s: Session, visit: Visit, window: Window, before: Sequence[Promise], at: datetime, by: str) -> None:
    for old in before:
        old.state, old.ended_at, old.ended_by = "moved", at, by
    s.add(
        Promise(
            replaces_id=before[-1].id if before else None,
            visit_id=visit.id,
            kind="window",
            version=visit.promise_version,
            opens_at=window.start,
            due_at=window.end,
            made_by=by[:20],
            made_at=at,
        )
    )


def _give_window(visit: Visit, window: Window, at: datetime) -> None:
    visit.window_start, visit.window_end = window.start, window.end
    visit.wall_start, visit.wall_end = _wall(window.start, visit.zone), _wall(window.end, visit.zone)
    visit.promise_version += 1
    # Two up, never one: the number between is for the entry a page hands out of this time (invites.entry_sequence).
    visit.sequence = visit.window_sequence = max(visit.sequence, 1) + 1
    visit.told_start = visit.told_end = visit.told_at = None
    visit.told_kind, visit.changed_at = "", at


def _look(s: Session, shifts: set[int], at: datetime, cause: str) -> None:
    s.flush()
    watch.look(s, sorted(shifts), at=at, cause=cause)


def add(
    s: Session,
    *,
    customer: Customer,
    job_type: JobType,
    technician_id: int | None,
    place: Place | None,
    planned_start: datetime,
    planned_min: float,
    window: Window,
    notes: str = "",
    deadline: datetime | None = None,
    deadline_kind: str = "done",
    ref: str | None = None,
    at: datetime,
    by: str,
    tell: bool = True,
    origin: str = "board",
) -> Visit:
    """A new visit with its window promise; unless `tell` is False the customer gets the booking with its invitation."""
    visit = _new(s, customer, window, at)
    visit.technician_id, visit.job_type_id, visit.place_id = technician_id, job_type.id, place.id if place else None
    visit.planned_start, visit.planned_min, visit.notes = planned_start, planned_min, notes
    visit.deadline, visit.deadline_kind, visit.ref, visit.origin = deadline, deadline_kind, ref, origin
    s.add(visit)
    s.flush()
    _promise(s, visit, window, at, by)
    if tell:
        outbox.put(
            s,
            key=f"{visit.id}:1:booked:1",
            kind="booked",
            at=at,
            reason="booked",
            cause=f"{by}:add:{visit.id}",
            visit=visit,
        )
    touch_board(s, visit.date)
    if technician_id is not None:
        _look(s, {ensure_shift(s, technician_id, visit.date).id}, at, f"{by}:add:{visit.id}")
    return visit


def _new(s: Session, customer: Customer, window: Window, at: datetime) -> Visit:
    """A row for that customer and window, in the zone of the service address."""
    company = s.get_one(Company, 1)
    zone = customer.zone or company.zone
    return Visit(
        customer_id=customer.id,
        date=local(window.start, zone).date(),
        zone=zone,
        window_start=window.start,
        window_end=window.end,
        wall_start=_wall(window.start, zone),
        wall_end=_wall(window.end, zone),
        promise_version=1,
        uid=f"{uuid4()}@{company.mail_from.rsplit('@', 1)[-1]}",
        created_at=at,
        changed_at=at,
    )


def _day(s: Session, visit: Visit) -> Shift | None:
    return queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None


def move(
    s: Session,
    visit: Visit,
    *,
    technician_id: int,
    planned_start: datetime,
    window: Window,
    at: datetime,
    by: str,
    name: str = "",
    forced: bool = False,
    tell: bool = True,
) -> None:
    """Another time, maybe another technician: a new promise, the calendar entry moves, both days are forecast again.

    `by` is "customer" or who else did it; a time a customer chose is claimed, and the database lets one owner have it
    (else 409; the caller shows fresh times). A `forced` move is exempt and shown as an overlap.
    """
    before = queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    after = ensure_shift(s, technician_id, local(planned_start, visit.zone).date())
    queries.lock(s, sorted({x.id for x in (before, after) if x}))
    _claim(s, visit, technician_id, planned_start, window, at, forced)
    old = {
        "old_start": visit.window_start.isoformat(),
        "old_end": visit.window_end.isoformat(),
    }
    outbox.supersede(s, visit.id, at=at, why="moved")
    settle.moved(s, visit, at=at)
    touch_board(s, visit.date, after.date)
    visit.technician_id, visit.date, visit.planned_start = technician_id, after.date, planned_start
    anew(s, visit, at=at, cause=f"{by}:move:{visit.id}:{visit.promise_version}")
    _give_window(visit, window, at)
    if visit.deadline is not None and local(visit.deadline, visit.zone).date() != after.date:
        visit.deadline = None  # the limit was for the day that is left
    _promise(s, visit, window, at, name or by)
    kind = "rescheduled" if by == "customer" else "moved_by_us"
    if tell:
        outbox.put(
            s,
            key=f"{visit.id}:{visit.promise_version}:{kind}:1",
            kind=kind,
            at=at,
            reason="moved",
            cause=f"{by}:move:{visit.id}:{visit.promise_version}",
            facts=old,
            visit=visit,
            shift_id=after.id,
        )
    _look(s, {x.id for x in (before, after) if x}, at, f"{by}:move:{visit.id}:{visit.promise_version}")


def anew(s: Session, visit: Visit, *, at: datetime, cause: str) -> None:
    """What was reported about getting there was about the time, or the technician, that is left: it is taken back.

    Reports are append-only, so each gets an undo of its own; whatever is reported later is about what comes now.
    """
    reports = s.scalars(select(Report).where(Report.visit_id == visit.id).order_by(Report.id)).all()
    undone = {r.undoes_id for r in reports}
    for r in reports:
        if r.kind in ("on_my_way", "late") and r.id not in undone:
            s.add(
                Report(
                    key=f"{cause}:{r.id}",
                    visit_id=visit.id,
                    technician_id=r.technician_id,
                    kind="undo",
                    undoes_id=r.id,
                    at=at,
                    received_at=at,
                    source="board",
                )
            )
    visit.state, visit.on_my_way_at, visit.late_min, visit.late_at = "planned", None, 0.0, None


def replan(s: Session, visit: Visit, window: Window, before: Sequence[Promise], *, at: datetime, by: str) -> None:
    """Another window without a word and without a look: for many visits at once (an import).

    `before` is the open window promise; what is unsent and what is claimed is for the caller to drop.
    """
    _give_window(visit, window, at)
    _promise_anew(s, visit, window, before, at, by)


def _claim(
    s: Session, visit: Visit, technician_id: int, start: datetime, window: Window, at: datetime, forced: bool
) -> None:
    """Planned work with its drive, owned by one visit; first, what stands in the way for nothing goes: holds that have
    run out, and claims of visits that are over."""
    queries.lock_claims(s, [technician_id])
    mine = select(SlotClaim.id).where(
        SlotClaim.visit_id == visit.id,
        SlotClaim.technician_id == technician_id,
        SlotClaim.kind == "hold",
        SlotClaim.planned_start == start,
        SlotClaim.expires_at > at,
    )
    held = not forced and s.scalar(mine) is not None
    slot = None
    if not forced:
        slot = next(iter(slots.still_free(s, visit.id, [(technician_id, start)], at=at, held=held)), None)
        if slot is None:
            raise Refused(TAKEN)
    over = select(Visit.id).where(Visit.state.in_(OVER), Visit.technician_id == technician_id)
    idle = or_(
        SlotClaim.visit_id == visit.id,
        and_(
            SlotClaim.technician_id == technician_id,
            or_(and_(SlotClaim.kind == "hold", SlotClaim.expires_at <= at), SlotClaim.visit_id.in_(over)),
        ),
    )
    s.execute(delete(SlotClaim).where(idle))
    claim = SlotClaim(
        technician_id=technician_id,
        visit_id=visit.id,
        kind="choice",
        starts_at=start - timedelta(minutes=slot.travel if slot else 0.0),
        ends_at=start + timedelta(minutes=visit.planned_min),
        window_start=window.start,
        window_end=window.end,
        planned_start=start,
        exempt=forced,
        created_at=at,
    )
    try:
        with s.begin_nested():
            s.add(claim)
    except IntegrityError as error:
        if "ex_slot_claim_overlap" not in str(error):
            raise
        raise Refused(TAKEN) from error


def repeat(
    s: Session, visit: Visit, *, technician_id: int, start: datetime, window: Window, at: datetime, by: str
) -> Visit:
    """Another visit for work that is not done: the same place and kind of work, in one job with the first.

    The free time has one owner, as with a move (else 409); the customer gets the booking.
    """
    if visit.job_id is None:
        job = Job(customer_id=visit.customer_id, name=visit.job_type.public_name, created_at=at)
        s.add(job)
        s.flush()
        visit.job_id = job.id
    made = add(
        s,
        customer=visit.customer,
        job_type=visit.job_type,
        technician_id=None,
        place=visit.place,
        planned_start=start,
        planned_min=visit.planned_min,
        window=window,
        notes=visit.notes,
        at=at,
        by=by,
        origin="repeat",
    )
    made.job_id = visit.job_id
    shift = ensure_shift(s, technician_id, made.date)
    queries.lock(s, [shift.id])
    _claim(s, made, technician_id, start, window, at, forced=False)
    made.technician_id = technician_id
    _look(s, {shift.id}, at, f"{by}:repeat:{made.id}")
    return made


def agree(s: Session, visit: Visit, *, window: Window, at: datetime, by: str) -> None:
    """ "This works": the told range becomes the window; the promise before it was moved with notice (policy 1)."""
    shift = _day(s, visit)
    _give_window(visit, window, at)
    s.execute(delete(SlotClaim).where(SlotClaim.visit_id == visit.id, SlotClaim.kind == "hold"))
    if not visit.late_min:  # else the technician's word stands, and is said of the plan that was
        visit.planned_start = max(visit.planned_start, window.start)
    _promise(s, visit, window, at, by)
    touch_board(s, visit.date)
    if shift is not None:
        _look(s, {shift.id}, at, f"{by}:agree:{visit.id}:{visit.promise_version}")


def reassign(s: Session, visit: Visit, *, technician_id: int | None, planned_start: datetime, at: datetime) -> None:
    """Another technician on the same day under the same promise; the caller looks at both days."""
    s.execute(delete(SlotClaim).where(SlotClaim.visit_id == visit.id))
    visit.technician_id, visit.planned_start, visit.changed_at = technician_id, planned_start, at
    touch_board(s, visit.date)
    s.flush()


def cancel(s: Session, visit: Visit, *, at: datetime, by: str, tell: bool = True) -> None:
    """The visit will not happen: promises end, what is unsent is dropped, the customer gets the cancellation."""
    if visit.state in OVER:
        raise Refused("This visit is over already; there is nothing to cancel.")
    shift = _day(s, visit)
    outbox.supersede(s, visit.id, at=at, why="cancelled")
    visit.state, visit.cancelled_at, visit.changed_at = "cancelled", at, at
    visit.cancelled_by = "customer" if by == "customer" else "us"
    settle.cancelled(s, visit, at=at, by=by)
    s.execute(delete(SlotClaim).where(SlotClaim.visit_id == visit.id))
    kind = "cancelled_you" if by == "customer" else "cancelled_us"
    if tell:
        outbox.put(
            s,
            key=f"{visit.id}:{visit.promise_version}:{kind}:1",
            kind=kind,
            at=at,
            reason="cancelled",
            cause=f"{by}:cancel:{visit.id}",
            visit=visit,
        )
    touch_board(s, visit.date)
    if shift is not None:
        _look(s, {shift.id}, at, f"{by}:cancel:{visit.id}")


def set_deadline(s: Session, visit: Visit, *, deadline: datetime | None, kind: str, at: datetime, by: str) -> list[Any]:
    """The customer's own limit, or None for no limit; returns the notices it caused (it may not be possible)."""
    if deadline is not None and deadline <= at:
        raise Refused("That time has already passed. Enter a later time.", status=422, field="deadline")
    if deadline is not None and kind not in ("done", "arrive"):
        raise Refused("Say whether the work must be done by then, or whether it is enough that we arrive.", status=422)
    shift = _day(s, visit)
    visit.deadline, visit.deadline_kind, visit.changed_at = deadline, kind if deadline else "done", at
    touch_board(s, visit.date)
    if shift is None:
        return []
    s.flush()
    return list(watch.look(s, [shift.id], at=at, cause=f"{by}:deadline:{visit.id}:{at.isoformat()}"))
