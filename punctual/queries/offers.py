"""The times that are kept for a customer while they choose, and what became of the last ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core.day import Window
from punctual.core.slot import Slot
from punctual.models import Answer, SlotClaim

#: So long after an offer ended its customer is told that it did.
LATELY = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Offer:
    """Slots kept free for one visit's customer until `until`, the best first. Empty: nothing is kept; then `ended`
    says that an offer has run out a while ago."""

    slots: tuple[Slot, ...] = ()
    until: datetime | None = None
    ended: bool = False


def standing(s: Session, visit_id: int, *, at: datetime) -> Offer:
    """The one open offer of a visit; reading it keeps nothing and ends nothing."""
    asked = s.scalar(
        select(Answer).where(Answer.visit_id == visit_id, Answer.kind == "times").order_by(Answer.id.desc()).limit(1)
    )
    if asked is None or not asked.data.get("until"):
        return Offer()
    until = datetime.fromisoformat(asked.data["until"])
    rows = s.scalars(
        select(SlotClaim).where(SlotClaim.visit_id == visit_id, SlotClaim.kind == "hold", SlotClaim.expires_at > at)
    )
    held = {(c.technician_id, c.planned_start): c for c in rows}
    slots = []
    for kept in asked.data["slots"]:
        claim = held.get((kept["technician"], datetime.fromisoformat(kept["start"])))
        if claim is not None:
            window = Window(claim.window_start, claim.window_end)
            travel = (claim.planned_start - claim.starts_at).total_seconds() / 60.0
            slots.append(Slot(claim.technician_id, claim.planned_start, window, travel, kept["why"], kept["sure"]))
    if slots:
        return Offer(tuple(slots), until)
    gone = s.scalar(
        select(Answer.id).where(Answer.visit_id == visit_id, Answer.id > asked.id, Answer.kind.in_(("time", "keep")))
    )
    return Offer(ended=until <= at <= until + LATELY and gone is None)
