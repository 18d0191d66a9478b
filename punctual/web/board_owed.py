"""What a visit's customer is owed, for the drawer: the promises that can be made, and who can own them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import facts
from punctual.core.day import local
from punctual.core.promise import BY_HAND
from punctual.models import Answer, Visit
from punctual.queries import promises as queries
from punctual.queries import truth, whole
from punctual.web import board_words
from punctual.web.board_differs import said


def owed(s: Session, visit: Visit, at: datetime, zone: str) -> dict[str, Any]:
    """Everything the drawer's template needs about it."""
    today = local(at, zone).date()
    written = list(s.scalars(select(Answer).where(Answer.visit_id == visit.id, Answer.kind == "note")))
    return {
        "written": written,
        "photos": whole.photos_of(s, [visit.id]),
        "read_here": all(any(r["who"] == "office" for r in a.data.get("read", [])) for a in written),
        "earlier": whole.earlier(s, [visit]).get(visit.id, []),
        "noun": board_words.owed,
        "promise_kinds": [(kind, facts.noun(kind, "en")) for kind in BY_HAND],
        "owners": [(u.id, u.name) for u in queries.users(s)],
        "jobs": [(j.id, j.name) for j in queries.jobs_of(s, visit.customer_id)],
        "today": today,
        "concerns": [c for c in queries.concerns_of(s, visit.id) if c.answered_at is None],
        "about": lambda what: facts.about(what, "en"),
        "differs": [said(d.what, d.action, d.facts, zone, today) for d in truth.of_visit(s, visit.id)],
    }
