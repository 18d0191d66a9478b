"""One truth, each minute: what was told is compared with what is planned, and somebody mends what differs.

As the watch does, it thinks without holding anybody up and acts on a few visits at a time.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox
from punctual.core.truth import Found, differences
from punctual.models import Difference, Notice, Visit, touch_board
from punctual.queries import day as days
from punctual.queries import truth as queries

#: A visit and what differs about it.
Key = tuple[int, str]


def think(s: Session, at: datetime) -> list[int]:
    """The visits of which something differs otherwise than is written, in order; reads everything, writes nothing."""
    found, kept = _found(s, at), _kept(s)
    new = {
        key for key, x in found.items() if key not in kept or (kept[key].action, kept[key].facts) != (x.action, x.facts)
    }
    return sorted({visit_id for visit_id, _what in new | (kept.keys() - found.keys())})


def act(s: Session, visit_ids: Collection[int], at: datetime) -> None:
    """Compare these visits once more, now that nobody else writes about them, and write what differs; end what no
    longer does. Whom somebody writes about just now is left for the next minute. Writes in the caller's transaction;
    again it changes nothing."""
    rows = select(Visit.id, Visit.date).where(Visit.id.in_(visit_ids)).order_by(Visit.id)
    on = {r.id: r.date for r in s.execute(rows.with_for_update(key_share=True, skip_locked=True))}
    visit_ids = on.keys()
    found, kept = _found(s, at, visit_ids), _kept(s, visit_ids)
    for key in sorted(found.keys() | kept.keys(), key=lambda k: (on[k[0]], k)):
        if key in found:
            _write(s, key[0], found[key], kept.get(key), at)
        else:
            kept[key].ended_at = at
            _asked_no_more(s, kept[key], at)
            _touch(s, key[0])


def _found(s: Session, at: datetime, only: Collection[int] | None = None) -> dict[Key, Found]:
    rules, standings = days.rules(s), queries.standings(s, at, only)
    return {(visit_id, x.what): x for visit_id, y in standings.items() for x in differences(y, rules)}


def _kept(s: Session, only: Collection[int] | None = None) -> dict[Key, Difference]:
    open_ = select(Difference).where(Difference.ended_at.is_(None))
    if only is not None:
        open_ = open_.where(Difference.visit_id.in_(only))
    return {(d.visit_id, d.what): d for d in s.scalars(open_)}


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
        if x.action != "call":
            _asked_no_more(s, row, at)
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


def _asked_no_more(s: Session, row: Difference, at: datetime) -> None:
    """It differs no longer, or something will tell the customer after all: nobody has to call. The key is given free:
    should a person be needed for it again, the same is asked again."""
    open_ = select(Notice).where(
        Notice.visit_id == row.visit_id,
        Notice.decision == "task",
        Notice.cause == f"truth:{row.id}",
        Notice.resolved_at.is_(None),
    )
    for task in s.scalars(open_):
        task.resolved_at, task.resolved_by, task.key = at, "truth", f"{task.key}:{task.id}"


def _touch(s: Session, visit_id: int) -> None:
    touch_board(s, s.get_one(Visit, visit_id).date)
