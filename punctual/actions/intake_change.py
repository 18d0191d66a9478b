"""A known visit in a newer file: what the file changed since it was last imported, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload

from punctual import links, outbox, suppression
from punctual.actions import schedule
from punctual.core.day import OVER
from punctual.intake import values
from punctual.models import Company, Customer, Message, Promise, Report, SlotClaim, Visit

TIMES = frozenset({"date", "from", "to", "zone"})
PLAN = TIMES | {"planned", "minutes"}


class Desk(Protocol):
    """What is needed of the import under way (see intake_write.Desk)."""

    s: Session
    company: Company
    at: datetime
    by: str
    counts: Any
    technicians: dict[str, int]
    jobs: dict[str, int]
    places: dict[values.Spot, int]
    #: of the visits at hand: their open window promise; which have a message not sent yet, which a time claimed
    promises: dict[int, Promise]
    unsent: set[int]
    claimed: set[int]


def fetch(desk: Desk, some: Sequence[values.Visit]) -> list[tuple[values.Visit, Visit]]:
    """The rows of some visits of the file with all that a change needs, read at once."""
    s = desk.s
    found = select(Visit).options(joinedload(Visit.customer)).where(Visit.ref.in_([v.ref for v in some]))
    rows = {r.ref: r for r in s.scalars(found)}
    ids = [r.id for r in rows.values()]
    promises = select(Promise).where(Promise.visit_id.in_(ids), Promise.kind == "window", Promise.state == "open")
    desk.promises = {p.visit_id: p for p in s.scalars(promises)}
    unsent = select(Message.visit_id).where(Message.visit_id.in_(ids), Message.state.in_(("queued", "held")))
    desk.unsent = {i for i in s.scalars(unsent) if i is not None}
    desk.claimed = set(s.scalars(select(SlotClaim.visit_id).where(SlotClaim.visit_id.in_(ids))))
    return [(v, rows[v.ref]) for v in some]


def apply(desk: Desk, row: Visit, v: values.Visit) -> None:
    """Take over what differs between the last file and this one; a visit under way or over keeps its plan."""
    last = row.imported
    differ = {k for k, text in v.cells.items() if last is None or last.get(k, "") != text}
    desk.counts.dates |= {row.date, v.date}
    row.imported = {**(last or {}), **v.cells}
    row.changed_at = desk.at
    _person(desk, row, v, differ)
    if "notes" in differ:
        row.notes = v.notes
    if v.arrived and v.finished and row.state not in OVER:
        _over(desk, row, v)
    elif v.cancelled and "cancelled" in differ and row.state not in OVER:
        _cancel(desk, row)
    elif differ & (PLAN | {"technician", "leave_by", "arrive_by", "job", "address", "lat", "lon"}):
        if row.state == "planned":
            _plan(desk, row, v, differ)
        else:
            what = "is over" if row.state in OVER else "is under way"
            desk.counts.notes.append(f"Row {v.row}: {v.ref} {what}; its plan was not changed.")


def _plan(desk: Desk, row: Visit, v: values.Visit, differ: set[str]) -> None:
    if "job" in differ:
        row.job_type_id = desk.jobs[v.job]
    if differ & {"address", "lat", "lon"}:
        row.place_id = desk.places[v.spot] if v.spot else None
    if differ & {"leave_by", "arrive_by"}:
        row.deadline, row.deadline_kind = v.deadline, v.deadline_kind
    if differ & {"minutes", "job"}:
        row.planned_min = v.planned_min
    if differ & (TIMES | {"planned"}):
        row.planned_start = v.planned_start
    if "technician" in differ:
        row.technician_id = desk.technicians[v.technician] if v.technician else None
        _drop(desk, row, "given to somebody else by an import")
    if differ & TIMES and (row.window_start, row.window_end) != (v.window.start, v.window.end):
        old = {"old_start": row.window_start.isoformat(), "old_end": row.window_end.isoformat()}
        row.date, row.zone = v.date, v.zone
        _drop(desk, row, "moved")
        before = [desk.promises[row.id]] if row.id in desk.promises else []
        schedule.replan(desk.s, row, v.window, before, at=desk.at, by="import")
        desk.counts.moved.append({"visit": row.id, "kind": "moved_by_us", "version": row.promise_version, **old})


def _drop(desk: Desk, row: Visit, why: str) -> None:
    """What is unsent about the old plan, and the time that was claimed for it."""
    if row.id in desk.unsent:
        outbox.supersede(desk.s, row.id, at=desk.at, why=why)
    if row.id in desk.claimed:
        desk.s.execute(delete(SlotClaim).where(SlotClaim.visit_id == row.id))


def _cancel(desk: Desk, row: Visit) -> None:
    schedule.cancel(desk.s, row, at=desk.at, by="import", tell=False)
    desk.counts.moved.append({"visit": row.id, "kind": "cancelled_us", "version": row.promise_version})


def _over(desk: Desk, row: Visit, v: values.Visit) -> None:
    """It took place: the recorded times are reports like any other."""
    if row.technician_id is None and v.technician:
        row.technician_id = desk.technicians[v.technician]
    desk.s.add_all(Report(**x) for x in reports(desk, row.id, v))
    row.state, row.arrived_at, row.finished_at = "done", v.arrived, v.finished
    if row.id in desk.unsent:
        outbox.supersede(desk.s, row.id, at=desk.at, why="done")
    promise = desk.promises.get(row.id)
    if promise is not None:
        kept = v.arrived is not None and v.arrived <= promise.due_at
        promise.state, promise.ended_at, promise.ended_by = "kept" if kept else "broken", v.arrived, "import"


def reports(desk: Desk, visit_id: int, v: values.Visit) -> list[dict[str, Any]]:
    """Arrived and done, as rows of the append-only reports."""
    return [
        {
            "key": f"import:{visit_id}:{kind}",
            "visit_id": visit_id,
            "technician_id": desk.technicians[v.technician or ""],
            "kind": kind,
            "at": at,
            "received_at": desk.at,
            "source": "import",
        }
        for kind, at in (("arrived", v.arrived), ("done", v.finished))
    ]


def person(desk: Desk, c: values.Customer) -> dict[str, Any]:
    """A new customer's row."""
    return {
        "ref": c.ref,
        "name": c.name,
        "email": c.email,
        "phone": c.phone,
        "language": c.language or desk.company.language,
        "zone": c.zone,
        "early_messages": c.early,
        "created_at": desk.at,
    }


def _person(desk: Desk, row: Visit, v: values.Visit, differ: set[str]) -> None:
    """Another customer, or the same one with a new address: then the old links end."""
    c, now = v.customer, row.customer
    other = differ & {"customer", "customer_id"} and (c.ref or c.name) != (now.ref if c.ref else now.name)
    if other:
        found = desk.s.query(Customer).filter_by(ref=c.ref).one_or_none() if c.ref else None
        if found is None:
            found = Customer(**person(desk, c))
            desk.s.add(found)
            desk.s.flush()
            desk.counts.customers += 1
        row.customer_id = found.id
        links.revoke(desk.s, "customer", row.id, at=desk.at)
        return
    if "email" in differ and c.email != now.email:
        now.email, now.email_bad = c.email, suppression.reason(desk.s, c.email, "email")
        _new_links(desk, now)
    if "phone" in differ and c.phone != now.phone:
        now.phone, now.phone_bad = c.phone, suppression.reason(desk.s, c.phone)
        _new_links(desk, now)
    if "language" in differ and c.language:
        now.language = c.language
    if "early_messages" in differ:
        now.early_messages = c.early


def _new_links(desk: Desk, customer: Customer) -> None:
    customer.link_version += 1
    links.revoke(desk.s, "stop", customer.id, at=desk.at)
    for visit in desk.s.scalars(select(Visit.id).where(Visit.customer_id == customer.id)):
        links.revoke(desk.s, "customer", visit, at=desk.at)
