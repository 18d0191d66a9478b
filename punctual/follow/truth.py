"""One truth, each minute: what was told is compared with what is planned, and somebody mends what differs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox
from punctual.core.truth import Found, differences
from punctual.models import Difference, Visit, touch_board
from punctual.queries import day as days
from punctual.queries import truth as queries


def look(s: Session, at: datetime) -> int:
    """Write what differs now, end what no longer does; returns how many are open. Again it changes nothing."""
    rules = days.rules(s)
    found = {
        (visit_id, x.what): x
        for visit_id, standing in queries.standings(s, at).items()
        for x in differences(standing, rules)
    }
    kept = {(d.visit_id, d.what): d for d in s.scalars(select(Difference).where(Difference.ended_at.is_(None)))}
    for key, row in kept.items():
        if key not in found:
            row.ended_at = at
            _touch(s, row.visit_id)
    for key, x in found.items():
        _write(s, key[0], x, kept.get(key), at)
    return len(found)


def _write(s: Session, visit_id: int, x: Found, row: Difference | None, at: datetime) -> None:
    if row is None:
        row = Difference(visit_id=visit_id, what=x.what, facts=x.facts, action=x.action, found_at=at)
        s.add(row)
        s.flush()
        _touch(s, visit_id)
        if x.action == "call":
            _ask(s, row, at)
    elif (row.action, row.facts) != (x.action, x.facts):
        asked = row.action != "call" and x.action == "call"
        row.action, row.facts = x.action, x.facts
        _touch(s, visit_id)
        if asked:
            _ask(s, row, at)


def _ask(s: Session, row: Difference, at: datetime) -> None:
    """Nothing will tell the customer by itself: a person has to."""
    visit = s.get_one(Visit, row.visit_id)
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:call:differs:{row.id}",
        kind="call",
        at=at,
        reason="differs",
        cause=f"truth:{row.id}",
        decision="task",
        facts={"what": row.what, **row.facts},
        visit=visit,
        to="dispatcher",
    )


def _touch(s: Session, visit_id: int) -> None:
    touch_board(s, s.get_one(Visit, visit_id).date)
