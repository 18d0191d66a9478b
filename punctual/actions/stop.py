"""A customer wants no more e-mails about visits, or some again: in force with the commit, for the whole company."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import suppression
from punctual.actions import Refused, transaction
from punctual.core.day import OVER
from punctual.models import Customer, Received, Visit, touch_board

#: What is kept of it, as the page of what came in shows it.
SAID = {"stop": "no more e-mails to this address", "start": "e-mails again"}


def mails(customer_id: int, *, at: datetime) -> None:
    """No more e-mails to the customer's address; pressing it again changes nothing."""
    with transaction() as s:
        who = _customer(s, customer_id)
        if suppression.stop(s, who.email or "", suppression.ASKED["email"], at=at, channel="email"):
            _keep(s, who, "stop", at)


def mails_again(customer_id: int, *, at: datetime) -> None:
    """E-mails go to the customer's address again."""
    with transaction() as s:
        who = _customer(s, customer_id)
        if suppression.reason(s, who.email, "email"):
            suppression.lift(s, who.email or "", at=at, channel="email")
            _keep(s, who, "start", at)


def _customer(s: Session, customer_id: int) -> Customer:
    who = s.get(Customer, customer_id)
    if who is None or not who.email:
        raise Refused("There is no e-mail address here any more.", status=404)
    return who


def _keep(s: Session, who: Customer, meaning: str, at: datetime) -> None:
    """A line of what came in, and the boards on which this customer stands."""
    s.add(
        Received(
            key=f"mails:{secrets.token_hex(8)}", channel="email", sender=who.email or "", text="By the link in a mail.",
            at=at, meaning=meaning, customer_id=who.id, settled_at=at, outcome=SAID[meaning],
        )
    )  # fmt: skip
    coming = s.scalars(select(Visit.date).where(Visit.customer_id == who.id, Visit.state.not_in(OVER)).distinct())
    touch_board(s, *coming)
