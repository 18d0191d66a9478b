"""The demo's start page: fresh links to the three faces, only where the company is an example."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from punctual import links
from punctual.actions import Refused, access, transaction
from punctual.core.day import OVER, local
from punctual.models import Company, Customer, Technician, User, Visit, db

#: The story's technician; his first two visits and the first one of whoever falls silent, by reference before the date.
HERO, FIRST, GRACE, SILENT = "tom", "tom-1", "tom-2", "leila-1"


@dataclass(frozen=True, slots=True)
class Story:
    """What is true of the day that runs: who has the visit after Tom's first job, whether that job is over, and whether
    the silent technician still has said nothing."""

    name: str
    over: bool
    silent: bool


def story(at: datetime) -> Story | None:
    """The story of that day; None where it has none."""
    s = db.session()
    company = s.get(Company, 1)
    if company is None or not company.demo:
        return None
    on = local(at, company.zone).date()
    hers, first, silent = (s.scalar(select(Visit).where(Visit.ref == f"{ref}-{on}")) for ref in (GRACE, FIRST, SILENT))
    if hers is None or first is None:
        return None
    return Story(hers.customer.first_name, first.state in OVER, silent is not None and silent.state == "arrived")


def link(face: str, *, key: bytes, at: datetime) -> tuple[str, str] | None:
    """The endpoint and token of a face: technician, customer or board; None for anything else."""
    s = db.session()
    company = s.get(Company, 1)
    if company is None or not company.demo:
        raise Refused("This is not a demo.", status=404)
    if face == "technician":
        hero = s.scalar(select(Technician.id).where(Technician.ref == HERO))
        return None if hero is None else ("signin.look_at_phone_link", access.enrol_link(hero, key=key, at=at))
    if face == "board":
        user = s.scalar(select(User.id).order_by(User.id).limit(1))
        return None if user is None else ("signin.look_at_link", access.signin_link(user, key=key, at=at))
    if face == "customer":
        with transaction() as w:
            # Hers also when it was moved to another day, or is over: then she is asked how it went.
            hers = select(Visit).where(Visit.ref == f"{GRACE}-{local(at, company.zone).date()}")
            visit = w.scalar(hers) or w.scalar(
                select(Visit)
                .where(Visit.state == "planned", Visit.window_start > at)
                .order_by(Visit.window_start)
                .limit(1)
            )
            if visit is None:
                return None
            version = w.get_one(Customer, visit.customer_id).link_version
            return "customer.page", links.make(w, key, "customer", visit.id, at=at, version=version)
    return None
