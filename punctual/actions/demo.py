"""The demo's start page: fresh links to the three faces, only where the company is an example."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from punctual import links
from punctual.actions import Refused, access, transaction
from punctual.core.day import local
from punctual.models import Company, Customer, Technician, User, Visit, db

#: The story's technician and customer.
HERO, GRACE = "tom", "tom-2-%"


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
            # Hers is the first visit of that place in Tom's days, also when it is over: then she is asked how it went.
            hers = w.scalar(select(Visit).where(Visit.ref.like(GRACE)).order_by(Visit.ref).limit(1))
            visit = hers if hers and hers.date >= local(at, company.zone).date() else None
            visit = visit or w.scalar(
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
