"""Look at days: queries -> forecast -> notices -> outbox; idempotent, inside the session it is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from punctual import clock, learn, outbox
from punctual.core import forecast as core
from punctual.core.day import Days, Window, instant, minutes
from punctual.core.duration import Learned
from punctual.core.notice import Decided, Decision, Known, Mark, Quiet, decide
from punctual.core.policy import Rules, Said
from punctual.models import Forecast, Message, Notice, Shift, Visit, touch_board
from punctual.queries import day as queries
from punctual.queries.day import Loaded

notice_, message_, forecast_, shift_ = Notice.__table__, Message.__table__, Forecast.__table__, Shift.__table__

#: A message in one of these states was never seen by anybody.
UNSEEN = ("dropped",)


@dataclass(slots=True)
class _Past:
    """What was decided about one visit before: notices that counted, and its row of silence."""

    said: list[Said]
    silent: Any = None
    answered_at: datetime | None = None


def look(
    s: Session, shift_ids: Collection[int], *, at: datetime, cause: str = "", learned: Learned | None = None
) -> list[Notice]:
    """Forecast these days and decide; returns the notices told and tasks opened now.

    Writes forecast rows, the reasons for silence, and what is told or asked through outbox.put, all in the caller's
    transaction. Looking twice at the same instant changes nothing. `cause` names the act behind it ("report:7").
    """
    s.flush()
    queries.lock(s, shift_ids)
    loaded = queries.read(s, shift_ids)
    if not loaded:
        return []
    rules = queries.rules(s)
    past = _past(s, [v.id for x in loaded for v in x.day.visits])
    days = queries.packed(s, [x.day for x in loaded])
    made = core.forecast(days, learned or learn.current(s), minutes(at), threshold=rules.threshold_min)
    made, signatures = _episodes(loaded, days, made, past)
    decided = decide(
        days,
        made,
        [_known(x, i, past) for x in loaded for i in range(len(x.day.visits))],
        [_quiet(x, float(made.expected_report[d])) for d, x in enumerate(loaded)],
        rules,
        at=at,
        cause=cause,
    )
    told, changed = _write(s, loaded, decided, past, rules, at, cause)
    moved = _keep(s, loaded, days, made, decided.marks, signatures, at)
    for date in {x.date for d, x in enumerate(loaded) if cause or d in moved or x.day.id in changed}:
        touch_board(s, date)
    return told


def _past(s: Session, visit_ids: Sequence[int]) -> dict[int, _Past]:
    """Every notice about these visits, and whether its message was ever on its way; one statement."""
    found: dict[int, _Past] = defaultdict(lambda: _Past([]))
    if not visit_ids:
        return found
    rows = s.connection().execute(_NOTICES.where(notice_.c.visit_id.in_(visit_ids))).all()
    states = defaultdict(set)
    for r in rows:
        states[r.id].add(r.state)
    seen: set[int] = set()
    for r in rows:
        if r.id in seen:
            continue
        seen.add(r.id)
        past = found[r.visit_id]
        if r.decision == "silent":
            if past.silent is None or r.id > past.silent.id:
                past.silent = r
        elif r.decision == "tell":
            past.said.append(_said(r, bool(states[r.id] - set(UNSEEN))))
        elif r.kind == "silent" and r.resolved_at is not None:
            past.answered_at = max(filter(None, (past.answered_at, r.resolved_at)))
    return found


_NOTICES = (
    select(
        notice_.c.id,
        notice_.c.key,
        notice_.c.visit_id,
        notice_.c.decision,
        notice_.c.kind,
        notice_.c.reason,
        notice_.c.facts,
        notice_.c.at,
        notice_.c.told_start,
        notice_.c.told_end,
        notice_.c.resolved_at,
        message_.c.state,
    )
    .select_from(notice_.outerjoin(message_, message_.c.notice_id == notice_.c.id))
    .order_by(notice_.c.id)
)


def _said(r: Any, live: bool) -> Said:
    version = r.key.split(":")[1:2]
    deadline = (r.facts or {}).get("deadline")
    return Said(
        kind=r.kind,
        at=r.at,
        version=int(version[0]) if version and version[0].isdigit() else 0,
        live=live,
        told=Window(r.told_start, r.told_end) if r.told_start is not None and r.told_end is not None else None,
        deadline=datetime.fromisoformat(deadline) if deadline else None,
    )


def _known(x: Loaded, i: int, past: dict[int, _Past]) -> Known:
    visit, who = x.day.visits[i], x.who[i]
    said = past[visit.id].said if visit.id in past else []
    kept = x.forecast.get("_", {}).get("marks", {}).get(str(visit.id))
    mark = Mark()
    if kept and kept["version"] == visit.promise_version:
        since = datetime.fromisoformat(kept["since"]) if kept["since"] else None
        mark = Mark(since, kept["chance"], tuple(datetime.fromisoformat(t) for t in kept["crossings"]))
    return Known(
        version=visit.promise_version,
        zones=(who.zone, *queries.phone_zones(who.phone)),
        state=visit.state,
        said=tuple(_as_sent(x, who) for x in said),
        mark=mark,
        early=who.early_messages,
        reachable=who.email or bool(who.phone),
    )


def _as_sent(said: Said, who: queries.Who) -> Said:
    """A range is composed when its message is claimed: what the provider accepted counts, not what was planned."""
    newest = who.told is not None and who.told_at is not None and who.told_kind == said.kind and who.told_at >= said.at
    return replace(said, told=who.told) if newest else said


def _quiet(x: Loaded, expected: float) -> Quiet:
    """The nudge counts for the silence it was sent in."""
    nudged = x.nudged_at
    if nudged is not None and not x.off and not minutes(nudged) >= expected:
        nudged = None
    return Quiet(nudged, bool(x.off))


def _episodes(
    loaded: Sequence[Loaded], days: Days, made: core.Forecast, past: dict[int, _Past]
) -> tuple[core.Forecast, list[str]]:
    """When the next report should have come, as it was first expected: waiting does not make it due later.

    A dispatcher who answered for the technician restarts the wait.
    """
    expected, signatures = made.expected_report.copy(), []
    for d, x in enumerate(loaded):
        rows = slice(int(days.offset[d]), int(days.offset[d + 1]))
        open_ = next((v.id for v in x.day.visits if not v.over), 0)
        steps = [days.on_my_way[rows], days.arrived[rows], days.finished[rows], days.late_at[rows]]
        news = np.concatenate(steps)
        newest = np.nanmax(news) if not np.all(np.isnan(news)) else 0.0
        signature = f"{open_}:{newest:.2f}"
        kept = x.forecast.get("_", {})
        if kept.get("signature") == signature and kept.get("expected_report"):
            expected[d] = np.fmin(expected[d], minutes(datetime.fromisoformat(kept["expected_report"])))
        answered = [past[v.id].answered_at for v in x.day.visits if v.id in past]
        for a in filter(None, answered):
            expected[d] = max(expected[d], minutes(a))
        signatures.append(signature)
    return replace(made, expected_report=expected), signatures


def _keep(
    s: Session,
    loaded: Sequence[Loaded],
    days: Days,
    made: core.Forecast,
    marks: Sequence[Mark],
    signatures: Sequence[str],
    at: datetime,
) -> set[int]:
    """Write the forecast rows; returns the days whose forecast moved by a minute or more."""
    rows, moved = [], set()
    for d, x in enumerate(loaded):
        first, end = int(days.offset[d]), int(days.offset[d + 1])
        data: dict[str, Any] = {}
        kept: dict[str, Any] = {}
        for r in range(first, end):
            visit = x.day.visits[r - first]
            data[str(visit.id)] = core.visit(made, days, r).to_json()
            mark = marks[r]
            if mark.since is not None or mark.crossings:
                kept[str(visit.id)] = {
                    "version": visit.promise_version,
                    "since": mark.since.isoformat() if mark.since else None,
                    "chance": mark.chance,
                    "crossings": [t.isoformat() for t in mark.crossings],
                }
        wait = float(made.expected_report[d])
        data["_"] = {
            "expected_report": None if np.isnan(wait) else instant(wait).isoformat(),
            "p_shift": float(made.p_shift[d]),
            "signature": signatures[d],
            "marks": kept,
        }
        if _moved(x.forecast, data):
            moved.add(d)
        rows.append({"shift_id": x.day.id, "at": at, "data": data})
    _upsert(s, forecast_, rows, "shift_id", ("at", "data"))
    return moved


def _moved(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if old.keys() != new.keys():
        return True
    return any(
        abs((datetime.fromisoformat(a) - datetime.fromisoformat(b)).total_seconds()) >= 60
        for key in new
        if key != "_"
        for a, b in zip(old[key]["arrive"], new[key]["arrive"], strict=False)
    )


def _upsert(s: Session, table: Any, rows: list[dict[str, Any]], key: str, columns: Sequence[str]) -> None:
    if not rows:
        return
    connection = s.connection()
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table)
    values = {name: statement.excluded[name] for name in columns}
    connection.execute(statement.on_conflict_do_update(index_elements=[key], set_=values), rows)


def _write(
    s: Session,
    loaded: Sequence[Loaded],
    decided: Decided,
    past: dict[int, _Past],
    rules: Rules,
    at: datetime,
    cause: str,
) -> tuple[list[Notice], set[int]]:
    """Put what is told or asked; rewrite the reasons for silence that changed. Returns both, the latter by day."""
    told: list[Notice] = []
    changed: set[int] = set()
    silent: list[dict[str, Any]] = []
    for decision in decided.decisions:
        if decision.verb == "silent":
            before = past[decision.visit].silent if decision.visit in past else None
            if before is None or _differs(before, decision):
                silent.append(_silent(decision, at))
                changed.add(decision.day)
            continue
        put = _put(s, decision, rules, at, cause)
        if put is not None:
            told.append(put)
            changed.add(decision.day)
    _upsert(s, notice_, silent, "key", ("reason", "facts", "at", "due_at", "shift_id"))
    return told, changed


def _differs(before: Any, decision: Decision) -> bool:
    """Another reason, another promise, or a chance that moved visibly."""
    chance = (before.facts or {}).get("chance", 0.0)
    return (
        before.key != decision.key
        or before.reason != decision.reason
        or abs(chance - decision.facts.get("chance", 0.0)) >= 5.0
    )


def _silent(decision: Decision, at: datetime) -> dict[str, Any]:
    return {
        "key": decision.key,
        "visit_id": decision.visit,
        "shift_id": decision.day,
        "decision": "silent",
        "kind": "silent",
        "reason": decision.reason,
        "cause": "",
        "facts": decision.facts,
        "at": at,
        "due_at": decision.until,
        "resolved_by": "",
    }


def _put(s: Session, decision: Decision, rules: Rules, at: datetime, cause: str) -> Notice | None:
    visit = s.get(Visit, decision.visit)
    to, person, due = "customer", None, None
    if decision.kind == "tech_nudge":
        shift = s.get_one(Shift, decision.day)
        shift.nudged_at = at
        to, person = "technician", shift.technician
    elif decision.verb == "task":
        to = "dispatcher"
    elif decision.kind == "on_my_way":
        due = at + timedelta(seconds=rules.undo_s * clock.speed())
    return outbox.put(
        s,
        key=decision.key,
        kind=decision.kind,
        at=at,
        reason=decision.reason,
        cause=cause or f"watch:{decision.day}",
        decision=decision.verb,
        facts=decision.facts,
        visit=visit,
        shift_id=decision.day,
        to=to,
        person=person,
        told=decision.told,
        due_at=due,
    )
