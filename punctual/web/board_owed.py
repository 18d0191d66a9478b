"""What a visit's customer is owed, for the drawer: the promises that can be made, and who can own them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from punctual import facts
from punctual.core.day import local
from punctual.core.promise import BY_HAND
from punctual.models import Visit
from punctual.queries import promises as queries
from punctual.queries import truth
from punctual.web.board_differs import said


def owed(s: Session, visit: Visit, at: datetime, zone: str) -> dict[str, Any]:
    """Everything the drawer's template needs about it."""
    today = local(at, zone).date()
    return {
        "noun": lambda kind: facts.noun(kind, "en"),
        "promise_kinds": [(kind, facts.noun(kind, "en")) for kind in BY_HAND],
        "owners": [(u.id, u.name) for u in queries.users(s)],
        "jobs": [(j.id, j.name) for j in queries.jobs_of(s, visit.customer_id)],
        "today": today,
        "concerns": [c for c in queries.concerns_of(s, visit.id) if c.answered_at is None],
        "about": lambda what: facts.about(what, "en"),
        "differs": [said(d.what, d.action, d.facts, zone, today) for d in truth.of_visit(s, visit.id)],
    }
