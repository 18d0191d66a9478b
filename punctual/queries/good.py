"""The ledger of what was made good, and the rules it follows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.models import Customer, Good, GoodRule, Visit


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger with whom it is for."""

    good: Good
    visit: Visit
    customer: Customer


def ledger(s: Session, after: int = 0, most: int = 500) -> list[Entry]:
    """What was given or is to be decided, oldest first, after an entry's id: a program goes on where it stopped."""
    rows = s.execute(
        select(Good, Visit, Customer)
        .join(Visit, Visit.id == Good.visit_id)
        .join(Customer, Customer.id == Visit.customer_id)
        .where(Good.id > after)
        .order_by(Good.id)
        .limit(most)
    )
    return [Entry(g, v, c) for g, v, c in rows]


def rules(s: Session) -> list[GoodRule]:
    """The company's rules, by what they are about and how late."""
    return list(s.scalars(select(GoodRule).order_by(GoodRule.kind, GoodRule.late_min, GoodRule.id)))
