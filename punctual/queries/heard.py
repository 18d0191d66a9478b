"""What came in, what came back, and how much was texted: the page for whoever looks after the ways out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from punctual.core.spend import cost
from punctual.models import Attempt, Customer, Notice, Received, Technician, Visit
from punctual.queries.day import rules

MOST = 100


@dataclass(frozen=True, slots=True)
class Spend:
    """Texts of the last 24 hours: segments and their estimated price, each with its cap (0: none)."""

    segments: int
    most: int
    money: float
    most_money: float


def stopped(s: Session) -> Notice | None:
    """The open alarm that stops all texts."""
    alarm = select(Notice).where(
        Notice.kind == "texts_stopped", Notice.decision == "task", Notice.resolved_at.is_(None)
    )
    return s.scalars(alarm.order_by(Notice.id).limit(1)).first()


def received(s: Session) -> Sequence[tuple[Received, str | None]]:
    """The newest texts and mails that came in, with the customer's or the technician's name where it is known."""
    technician = select(func.max(Technician.name)).where(Technician.phone == Received.sender).scalar_subquery()
    found = (
        select(Received, func.coalesce(Customer.name, technician))
        .outerjoin(Visit, Visit.id == Received.visit_id)
        .outerjoin(Customer, Customer.id == Visit.customer_id)
        .order_by(Received.id.desc())
        .limit(MOST)
    )
    return [(row, name) for row, name in s.execute(found)]


def unreachable(s: Session) -> Sequence[Customer]:
    """Customers one of whose addresses does not work, or who asked for no texts."""
    bad = select(Customer).where(or_(Customer.email_bad != "", Customer.phone_bad != ""))
    return s.scalars(bad.order_by(Customer.name).limit(MOST)).all()


def spend(s: Session, at: datetime) -> Spend:
    """What was texted in the last 24 hours."""
    lately = (Attempt.segments > 0, Attempt.at > at - timedelta(hours=24), Attempt.state != "refused")
    segments = int(s.scalar(select(func.coalesce(func.sum(Attempt.segments), 0)).where(*lately)) or 0)
    limits = rules(s)
    return Spend(segments, limits.segments_day, cost(segments, limits), limits.spend_day)
