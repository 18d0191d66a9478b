"""Numbers that get no texts and addresses that get no e-mails: who asked for none, and what the provider says can get none.

A keyed hash of number or address is kept, for the whole company: it outlives merging, importing and erasing a person.
What is shown with a customer (`phone_bad`, `email_bad`) follows from it and is asked again whenever a message is about
to leave.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from punctual.models import Customer, Plain, Suppression

Channel = Literal["sms", "email"]

#: How an opt-out is shown; any other reason is the provider's.
ASKED: dict[Channel, str] = {"sms": "asked for no texts", "email": "asked for no e-mails"}


def hashed(s: Session, address: str, channel: Channel = "sms") -> str:
    """The address as it is kept: nobody without the instance's key, which travels with the engine, can tell which."""
    key: bytes = s.connection().get_execution_options()["numbers"]
    what = f"no texts|{address}" if channel == "sms" else f"no mails|{address.lower()}"
    return hmac.new(key, what.encode(), hashlib.sha256).hexdigest()


def reason(s: Session, address: str | None, channel: Channel = "sms") -> str:
    """Why this number or address is not written to; "" where it may be, and for none."""
    if not address:
        return ""
    found: str | None = _REASON.scalar(s.connection(), channel=channel, address=hashed(s, address, channel))
    return found or ""


_REASON = Plain(
    select(Suppression.reason)
    .where(
        Suppression.channel == bindparam("channel", ""),
        Suppression.address_hash == bindparam("address", ""),
        Suppression.lifted_at.is_(None),
    )
    .order_by(Suppression.id.desc())
    .limit(1),
    "channel",
    "address",
)


def stop(s: Session, address: str, why: str, *, at: datetime, channel: Channel = "sms") -> bool:
    """Nothing more to this number or address; False when it was so already. In force with the caller's commit."""
    if s.scalar(_of(s, address, channel).where(Suppression.reason == why).limit(1)) is not None:
        return False
    s.add(Suppression(channel=channel, address_hash=hashed(s, address, channel), reason=why[:200], at=at))
    mark(s, address, why, channel)
    return True


def lift(s: Session, address: str, *, at: datetime, channel: Channel = "sms") -> None:
    """Messages may go to this number or address again."""
    for row in s.scalars(_of(s, address, channel)):
        row.lifted_at = at
    mark(s, address, "", channel)


def mark(s: Session, address: str, why: str, channel: Channel = "sms") -> None:
    """Show it with everybody who has this number or address."""
    theirs = Customer.phone == address if channel == "sms" else func.lower(Customer.email) == address.lower()
    for customer in s.scalars(select(Customer).where(theirs)):
        if channel == "sms":
            customer.phone_bad = why[:200]
        else:
            customer.email_bad = why[:200]


def _of(s: Session, address: str, channel: Channel) -> Select[Any]:
    return select(Suppression).where(
        Suppression.channel == channel,
        Suppression.address_hash == hashed(s, address, channel),
        Suppression.lifted_at.is_(None),
    )
