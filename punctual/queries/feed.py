"""A technician's visits as a calendar to subscribe to: the plan, without a customer's address, phone or notes."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from punctual import itip
from punctual.core.day import local
from punctual.models import Company, Technician, Visit

#: Days of the past and the future that a feed shows, and days a cancelled visit stays in it.
BEFORE, AHEAD, CANCELLED = 7, 60, 1


def feed(s: Session, technician_id: int, *, origin: str, at: datetime) -> itip.Feed:
    """The feed as it is at that instant; the same rows make the very same bytes."""
    technician, company = s.get_one(Technician, technician_id), s.get_one(Company, 1)
    rows = s.scalars(
        select(Visit)
        .where(
            Visit.technician_id == technician_id,
            Visit.planned_start > at - timedelta(days=BEFORE),
            Visit.planned_start < at + timedelta(days=AHEAD),
            or_(Visit.state != "cancelled", Visit.cancelled_at > at - timedelta(days=CANCELLED)),
        )
        .options(joinedload(Visit.customer), joinedload(Visit.job_type), joinedload(Visit.place))
        .order_by(Visit.planned_start, Visit.id)
    )
    return itip.Feed(f"{company.name} – {technician.name}", [_planned(v, origin) for v in rows])


def _planned(visit: Visit, origin: str) -> itip.Planned:
    changed, created = visit.changed_at.replace(microsecond=0), visit.created_at.replace(microsecond=0)
    first, *rest = visit.customer.name.split()
    who = " ".join([first, *(f"{word[0]}." for word in rest[-1:])])
    gone = visit.state == "cancelled"
    place = visit.place
    start, end = (f"{local(x, visit.zone):%H:%M}" for x in (visit.window_start, visit.window_end))
    return itip.Planned(
        uid=f"plan-{visit.uid}",  # not the invitation's: a technician's program must not answer for the customer
        sequence=max(int((changed - created).total_seconds()), 0) % 2**31,
        changed=changed,
        created=created,
        start=visit.planned_start,
        end=visit.planned_start + timedelta(minutes=visit.planned_min),
        summary=f"{'Cancelled: ' if gone else ''}{visit.job_type.public_name} – {who}",
        description=f"Promised {start} to {end}. Notes, phone and what to tap are on your page: {origin}/t/",
        location=place.address if place else "",
        point=(place.lat, place.lon) if place and place.lat is not None and place.lon is not None else None,
        url=f"{origin}/t/",
        cancelled=gone,
    )
