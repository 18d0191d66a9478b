"""What a dispatcher does about people: a technician off sick, other hours, a customer's address."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import links, suppression, watch
from punctual.actions import Refused, lock, reach, schedule, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import OVER
from punctual.core.policy import useful_min
from punctual.models import Customer, Message, Notice, Shift, Technician, Visit, touch_board
from punctual.queries import day as queries
from punctual.queries.tasks import LOST

#: Nobody works longer than this at a stretch.
LONGEST = timedelta(hours=24)


def off(technician_id: int, on: date, why: str, *, at: datetime, by: By) -> None:
    """A technician does not come that day: every visit of theirs becomes a task to give to somebody.

    They count as asked and silent from now on, so that customers of visits nobody took hear in time that we do not
    know yet.
    """
    with transaction() as s:
        shift = _shift(s, technician_id, on)
        shift.off, shift.nudged_at = why, at
        _changed(s, shift, at, by.cause("off"))


def on_again(technician_id: int, on: date, *, at: datetime, by: By) -> None:
    """The technician works that day after all."""
    with transaction() as s:
        shift = _shift(s, technician_id, on)
        shift.off, shift.nudged_at = "", None
        _changed(s, shift, at, by.cause("on"))


def edit_shift(
    technician_id: int,
    on: date,
    *,
    starts_at: datetime,
    ends_at: datetime,
    break_: tuple[datetime, datetime] | None,
    at: datetime,
    by: By,
) -> None:
    """Other hours for one day; an end before the start is the next morning's."""
    ends_at += timedelta(days=1) if ends_at <= starts_at else timedelta()
    if ends_at - starts_at > LONGEST:
        raise Refused("A shift lasts at most 24 hours.", status=422, field="to")
    if break_ is not None and not starts_at <= break_[0] < break_[1] <= ends_at:
        raise Refused("The break must lie inside the hours and end after it starts.", status=422, field="break_from")
    with transaction() as s:
        if s.get(Technician, technician_id) is None:
            raise Refused("There is no such technician.", status=404)
        shift = queries.shift_of(s, technician_id, on)
        if shift is None:
            shift = Shift(technician_id=technician_id, date=on, starts_at=starts_at, ends_at=ends_at)
            s.add(shift)
        shift.starts_at, shift.ends_at = starts_at, ends_at
        shift.break_starts_at, shift.break_ends_at = break_ or (None, None)
        _changed(s, shift, at, by.cause("hours"))


def _shift(s: Session, technician_id: int, on: date) -> Shift:
    shift = queries.shift_of(s, technician_id, on)
    if shift is None:
        raise Refused("There is no shift of this technician on that day.", status=404)
    return shift


def _changed(s: Session, shift: Shift, at: datetime, cause: str) -> None:
    s.flush()
    touch_board(s, shift.date)
    watch.look(s, [shift.id], at=at, cause=cause)


def edit_customer(
    customer_id: int, *, name: str, email: str, phone: str, language: str, early: bool, at: datetime, by: By
) -> None:
    """How somebody is reached. A new e-mail or phone ends the old links, and what failed is offered again."""
    with transaction() as s:
        row, coming = _customer(s, customer_id), _coming(s, customer_id)
        mail, number = reach.email(email), reach.phone(s, phone)
        moved = (mail, number) != (row.email, row.phone)
        row.name, row.early_messages = name, early
        if language.isascii() and language.replace("-", "").isalpha():
            row.language = language
        if mail != row.email:
            row.email, row.email_bad = mail, suppression.reason(s, mail, "email")
        if number != row.phone:
            row.phone, row.phone_bad = number, suppression.reason(s, number)
        if moved:
            row.link_version += 1
            links.revoke(s, "stop", customer_id, at=at)
            for visit in s.scalars(select(Visit).where(Visit.customer_id == customer_id)):
                links.revoke(s, "customer", visit.id, at=at)
            _offer_again(s, coming, at, by)
        touch_board(s, *(v.date for v in coming))
        shifts = {x.id for v in coming if v.technician_id and (x := queries.shift_of(s, v.technician_id, v.date))}
        today = [i for i in queries.in_progress(s, at) if i in shifts]
        watch.look(s, today, at=at, cause=by.cause("address"))


def _offer_again(s: Session, visits: list[Visit], at: datetime, by: By) -> None:
    """Messages that never arrived go to the new address; nobody has to be called for want of one any more."""
    ids = [v.id for v in visits]
    if not ids:
        return
    for message in s.scalars(select(Message).where(Message.visit_id.in_(ids), Message.state.in_(LOST))):
        minutes = useful_min(message.kind, queries.rules(s))
        message.state, message.state_reason, message.state_at = "queued", "", at
        message.due_at = at  # `tries` goes on: each attempt has a number of its own
        if minutes is not None:
            message.useful_until = max(message.useful_until, at + timedelta(minutes=minutes))
        s.info["put"] = True
    tasks = select(Notice).where(
        Notice.visit_id.in_(ids), Notice.reason.in_(("no_channel", "no_contact")), Notice.resolved_at.is_(None)
    )
    for notice in s.scalars(tasks.where(Notice.decision == "task")):
        notice.resolved_at, notice.resolved_by = at, by.name


def cancel_customer(customer_id: int, *, tell: bool, at: datetime, by: By) -> None:
    """Cancel every coming visit of a customer."""
    with transaction() as s:
        _customer(s, customer_id)
        for visit in _coming(s, customer_id):
            schedule.cancel(s, visit, at=at, by=by.source, tell=tell)


def _customer(s: Session, customer_id: int) -> Customer:
    row = s.get(Customer, customer_id)
    if row is None:
        raise Refused("There is no such customer.", status=404)
    return row


def _coming(s: Session, customer_id: int) -> list[Visit]:
    """Their visits to come, locked."""
    mine = Visit.customer_id == customer_id, Visit.state.not_in(OVER)
    lock.visits(s, s.scalars(select(Visit).where(*mine)).all())
    return list(s.scalars(select(Visit).where(*mine).order_by(Visit.id)))
