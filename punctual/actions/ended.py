"""What a technician's report does to the promises of a visit: kept, broken, or open again after an undo."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from punctual import clock, outbox, promises
from punctual.actions import correct, settle
from punctual.core import promise as core
from punctual.core.day import Standing
from punctual.models import Company, Notice, Promise
from punctual.models import Visit as VisitRow
from punctual.queries import day as days

#: Who ended a promise that a report keeps.
REPORT = "report"


def promises_of(s: Session, visit_id: int, now: Standing, at: datetime) -> None:
    """The arrival window as the visit leaves it, a restore time that its end keeps, and tasks that have lost their reason
    (settle.py). In the caller's transaction."""
    settle.reported(s, visit_id, now, at)
    _window(s, visit_id, now, at)
    if now.state == "done":
        for promise in _mine(s, visit_id, "restore", Promise.state == "open"):
            promises.keep(s, promise, at=at, by=REPORT)
        return
    for promise in _mine(s, visit_id, "restore", Promise.ended_by == REPORT, Promise.state == "kept"):
        promise.state, promise.ended_at, promise.ended_by = "open", None, ""
        outbox.supersede(s, visit_id, at=at, why="undone", kinds=("promise_kept",))


def _mine(s: Session, visit_id: int, kind: str, *which: ColumnElement[bool]) -> list[Promise]:
    """The visit's promises of a kind, the newest version first."""
    found = select(Promise).where(Promise.visit_id == visit_id, Promise.kind == kind, *which)
    return list(s.scalars(found.order_by(Promise.version.desc())))


def _window(s: Session, visit_id: int, now: Standing, at: datetime) -> None:
    mine = _mine(s, visit_id, "window", Promise.state.in_(("open", "kept", "broken")))
    if not mine:
        return
    found, state = mine[0], core.window(now, mine[0].due_at)
    if found.state == "broken" and found.ended_at is not None and now.arrived_at is not None:
        _came(s, visit_id, now.arrived_at, found.ended_at, at)
    if state != found.state:
        found.state, found.ended_at = state, None if state == "open" else at
        found.ended_by = "" if state == "open" else REPORT


def _came(s: Session, visit_id: int, arrived: datetime, broken: datetime, at: datetime) -> None:
    """Somebody did come: "we did not come" is dropped while it has not left, and taken back where they had come before it
    was said (their report was on its way)."""
    outbox.supersede(s, visit_id, at=at, why="arrived", kinds=("missed",))
    if arrived < broken:
        correct.undone(s, visit_id, "missed", since=broken, at=at, cause=f"came:{visit_id}")


def ask_customer(s: Session, visit_id: int, report_id: int, now: Standing, at: datetime) -> list[Notice]:
    """Nobody was reached at the door: the customer hears it at once and can say that they were there. Returns what is told.

    It waits as long as "on my way" for an undo.
    """
    rules, zone = days.rules(s), s.get_one(Company, 1).zone
    due = core.office_due(at, zone, rules.answer_min, promises.works(s))
    visit = s.get_one(VisitRow, visit_id)
    told = outbox.put(
        s,
        key=f"{visit_id}:{visit.promise_version}:nobody_home:{report_id}",
        kind="nobody_home",
        at=at,
        reason="nobody_home",
        cause=f"report:{report_id}",
        facts={"due": due.isoformat(), "time": (now.arrived_at or now.finished_at or at).isoformat()},
        visit=visit,
        due_at=at + timedelta(seconds=rules.undo_s * clock.speed()),
        useful_until=at + timedelta(hours=24),
    )
    return [] if told is None else [told]
