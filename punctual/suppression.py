"""Numbers that get no texts: who asked for none, and what the provider says can get none.

A keyed hash of the number is kept, for the whole company: it outlives merging, importing and erasing a person. What is
shown with a customer (`phone_bad`) follows from it and is asked again whenever a text is about to leave.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from punctual.models import Customer, Suppression

#: How an opt-out is shown; any other reason is the provider's.
ASKED = "asked for no texts"


def hashed(s: Session, number: str) -> str:
    """The number as it is kept: nobody without the instance's key, which travels with the engine, can tell which."""
    key: bytes = s.connection().get_execution_options()["numbers"]
    return hmac.new(key, f"no texts|{number}".encode(), hashlib.sha256).hexdigest()


def reason(s: Session, number: str) -> str:
    """Why this number gets no texts; "" where it may get some."""
    found: Suppression | None = s.scalar(_of(s, number).order_by(Suppression.id.desc()).limit(1))
    return found.reason if found is not None else ""


def stop(s: Session, number: str, why: str, *, at: datetime) -> bool:
    """No more texts to this number; False when it was so already. In force with the caller's commit."""
    if s.scalar(_of(s, number).where(Suppression.reason == why).limit(1)) is not None:
        return False
    s.add(Suppression(channel="sms", address_hash=hashed(s, number), reason=why[:200], at=at))
    mark(s, number, why)
    return True


def lift(s: Session, number: str, *, at: datetime) -> None:
    """Texts may go to this number again."""
    for row in s.scalars(_of(s, number)):
        row.lifted_at = at
    for customer in s.scalars(select(Customer).where(Customer.phone == number)):
        customer.phone_bad = ""


def mark(s: Session, number: str, why: str) -> None:
    """Show it with everybody who has this number."""
    for customer in s.scalars(select(Customer).where(Customer.phone == number)):
        customer.phone_bad = why[:200]


def _of(s: Session, number: str) -> Select[Any]:
    return select(Suppression).where(
        Suppression.channel == "sms",
        Suppression.address_hash == hashed(s, number),
        Suppression.lifted_at.is_(None),
    )
