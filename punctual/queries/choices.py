"""The lists a form of the board offers: technicians, job types, customers."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.models import Customer, JobType, Shift, Technician


def technicians(s: Session, on: date | None) -> list[tuple[int, str, bool]]:
    """(id, name, works that day) of the active ones, those who work first; everybody works when no day is given."""
    rows = s.execute(
        select(Technician.id, Technician.name).where(Technician.active.is_(True)).order_by(Technician.name)
    )
    working = set(s.scalars(select(Shift.technician_id).where(Shift.date == on, Shift.off == ""))) if on else None
    found = [(r[0], r[1], working is None or r[0] in working) for r in rows]
    return sorted(found, key=lambda t: (not t[2], t[1]))


def name(s: Session, technician_id: int) -> str:
    """A technician's name; "nobody" for none."""
    row = s.get(Technician, technician_id)
    return row.name if row else "nobody"


def jobs(s: Session) -> list[JobType]:
    """Every kind of work."""
    return list(s.scalars(select(JobType).order_by(JobType.name)))


def customer(s: Session, customer_id: int) -> Customer | None:
    """One customer."""
    return s.get(Customer, customer_id)
