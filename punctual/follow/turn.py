"""Among those who write about a visit the company's own follow-up comes last: what somebody is at is left for the next minute."""

from __future__ import annotations

from sqlalchemy.orm import Session

from punctual.models import Promise, Visit
from punctual.queries import day as days


def taken(s: Session, promise: Promise, *, state: str = "open") -> bool:
    """Whether nobody else writes about the promise's visit just now, and it is still in that state: then both are ours
    until the transaction ends, and read anew."""
    if not days.lock_visits(s, [promise.visit_id], wait=False):
        return False
    s.refresh(promise, with_for_update={"key_share": True})
    s.expire(s.get_one(Visit, promise.visit_id))
    return promise.state == state
