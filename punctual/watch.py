"""Look at days: queries -> forecast -> notices -> outbox; idempotent, inside the session it is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, cast

import numpy as np
from sqlalchemy import Insert, Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from punctual import clock, outbox, promises
from punctual.core import forecast as core
from punctual.core.day import Days, instant, minutes, pack
from punctual.core.duration import Learned
from punctual.core.notice import Decided, Decision, Known, Mark, Quiet, decide
from punctual.core.policy import AUTOMATIC, Rules
from punctual.models import Forecast, Notice, Promise, Shift, Visit, touch_board
from punctual.queries import day as queries
from punctual.queries import told
from punctual.queries.day import Loaded
from punctual.queries.taught import current
from punctual.queries.told import Past

notice_, forecast_ = cast(Table, Notice.__table__), cast(Table, Forecast.__table__)

#: News older than this at the first look of a day: the watch was away, and what it missed is worked out.
UNSEEN_MIN = 5.0
#: Kinds after which a customer knows a time, or was asked.
ABOUT_TIME = AUTOMATIC - {"reminder", "no_time_yet"}
#: A storm pauses what has longer than this until its window opens: a person has time to decide.
CRITICAL = timedelta(minutes=60)


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
    rules, zone = queries.company(s)
    past = told.past(s, [v.id for x in loaded for v in x.day.visits])
    days = queries.packed(s, [x.day for x in loaded])
    learned = learned or current(s)
    made = core.forecast(days, learned, minutes(at), threshold=rules.threshold_min)
    made, signatures = _episodes(loaded, days, made, past, learned)
    known = [told.known(x, i, past, zone) for x in loaded for i in range(len(x.day.visits))]
    quiet = [told.quiet(x, float(made.expected_report[d]), rules.silence_min) for d, x in enumerate(loaded)]
    decided = decide(days, made, known, quiet, rules, at=at, cause=cause)
    decided, storm = _paused(s, days, made, known, quiet, rules, decided, at, cause)
    put, changed = _write(s, decided.decisions, past, rules, at, cause)
    moved = _keep(s, loaded, days, made, decided.marks, signatures, at)
    for date in {x.date for d, x in enumerate(loaded) if cause or d in moved or x.day.id in changed}:
        touch_board(s, date)
    return put + storm


def _paused(
    s: Session,
    days: Days,
    made: core.Forecast,
    known: Sequence[Known],
    quiet: Sequence[Quiet],
    rules: Rules,
    decided: Decided,
    at: datetime,
    cause: str,
) -> tuple[Decided, list[Notice]]:
    """The storm guard: too much from one cause, or from all at once, waits for a person unless time is short."""
    count = sum(d.verb == "tell" and d.kind in AUTOMATIC for d in decided.decisions)
    if not count or not (rules.storm_cause or rules.storm_all):
        return decided, []
    lately = told.lately(s, cause, at)
    by_cause = bool(rules.storm_cause and cause) and lately.cause + count > rules.storm_cause
    most = max(rules.storm_all, lately.visits // 10)
    by_all = bool(rules.storm_all) and lately.all + count > most
    if lately.released or not (lately.open or by_cause or by_all):
        return decided, []
    asked = [] if lately.open else [_ask_about_storm(s, lately.cause if by_cause else lately.all, count, at, cause)]
    far = days.window_start > minutes(at + CRITICAL)
    held = [replace(k, paused=bool(far[r])) for r, k in enumerate(known)]
    return decide(days, made, held, quiet, rules, at=at, cause=cause), [n for n in asked if n is not None]


def _ask_about_storm(s: Session, before: int, now: int, at: datetime, cause: str) -> Notice | None:
    return outbox.put(
        s,
        key=f"storm:{cause or 'all'}:{at:%Y%m%dT%H%M}",
        kind="storm",
        at=at,
        reason="storm",
        cause=cause,
        decision="task",
        facts={"messages": before + now, "waiting": now, "cause": cause},
        to="dispatcher",
    )


def _episodes(
    loaded: Sequence[Loaded], days: Days, made: core.Forecast, past: Mapping[int, Past], learned: Learned
) -> tuple[core.Forecast, list[str]]:
    """When the next report should have come, as it was expected at the newest one: waiting makes nothing due later.

    A dispatcher who answered for the technician restarts the wait. The second value names each day's newest news.
    """
    expected, signatures = made.expected_report.copy(), []
    for d, x in enumerate(loaded):
        rows = slice(int(days.offset[d]), int(days.offset[d + 1]))
        open_ = next((v.id for v in x.day.visits if not v.over), 0)
        news = np.concatenate([days.on_my_way[rows], days.arrived[rows], days.finished[rows], days.late_at[rows]])
        newest = float(days.shift_start[d]) if np.all(np.isnan(news)) else float(np.nanmax(news))
        signatures.append(f"{open_}:{newest:.2f}")
        kept = x.forecast.get("_", {})
        if kept.get("signature") == signatures[d] and kept.get("expected_report"):
            expected[d] = np.fmin(expected[d], minutes(datetime.fromisoformat(kept["expected_report"])))
        elif open_ and made.at - newest > UNSEEN_MIN:
            then = core.forecast(pack([x.day]), learned, newest, threshold=made.threshold)
            expected[d] = np.fmin(expected[d], then.expected_report[0])
        for answered in filter(None, (past[v.id].answered_at for v in x.day.visits)):
            expected[d] = max(expected[d], minutes(answered))
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
    _save(s, forecast_, _FORECAST, rows)
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


_FORECAST = ("shift_id", ("at", "data"))
_SILENT = ("key", ("reason", "facts", "at", "due_at", "shift_id"))


@lru_cache(maxsize=8)
def _upsert(table: Table, dialect: str, key: str, columns: tuple[str, ...]) -> Insert:
    """The statement, built once: on the way of a tap building it costs more than running it."""
    make: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = make(table)
    changed: Insert = statement.on_conflict_do_update(
        index_elements=[key], set_={name: statement.excluded[name] for name in columns}
    )
    return changed


def _save(s: Session, table: Table, how: tuple[str, tuple[str, ...]], rows: list[dict[str, Any]]) -> None:
    if rows:
        connection = s.connection()
        connection.execute(_upsert(table, connection.dialect.name, *how), rows)


def _write(
    s: Session, decisions: Sequence[Decision], past: Mapping[int, Past], rules: Rules, at: datetime, cause: str
) -> tuple[list[Notice], set[int]]:
    """Put what is told or asked; rewrite the reasons for silence that changed. Returns both, the latter by day."""
    put: list[Notice] = []
    changed: set[int] = set()
    silent: list[dict[str, Any]] = []
    for decision in decisions:
        if decision.verb == "silent":
            before = past[decision.visit].silent
            if before is None or _differs(before, decision):
                silent.append(_silent(decision, at))
                changed.add(decision.day)
            continue
        made = _put(s, decision, rules, at, cause)
        if made is not None:
            put.append(made)
            changed.add(decision.day)
            if decision.verb == "tell" and decision.kind in ABOUT_TIME:
                silent.append(_silent(_from_now_on(decision, at), at))
    _save(s, notice_, _SILENT, silent)
    return put, changed


def _from_now_on(decision: Decision, at: datetime) -> Decision:
    """The reason for silence once this is told; the next look would give the same."""
    facts = decision.facts | {"told_at": at.isoformat(), "told_kind": decision.kind}
    if decision.told is not None:
        facts |= {"told_from": decision.told.start.isoformat(), "told_to": decision.told.end.isoformat()}
    key = ":".join([*decision.key.split(":")[:2], "silent"])
    return replace(decision, verb="silent", kind="silent", reason="already_told", key=key, facts=facts)


def _differs(before: Any, decision: Decision) -> bool:
    """Another reason, another promise, or a chance that moved visibly."""
    chance = (before.facts or {}).get("chance", 0.0)
    return bool(
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
    visit = s.get_one(Visit, decision.visit)
    to: Literal["customer", "technician", "dispatcher"] = "dispatcher" if decision.verb == "task" else "customer"
    person, due = None, None
    if decision.kind in ("tech_nudge", "silent"):
        shift = s.get_one(Shift, decision.day)
        shift.nudged_at = at
        if decision.verb == "tell":
            to, person = "technician", shift.technician
    elif decision.kind == "on_my_way":
        due = at + timedelta(seconds=rules.undo_s * clock.speed())
    made = outbox.put(
        s,
        key=decision.key,
        kind=decision.kind,
        at=at,
        reason=decision.reason,
        cause=cause or f"watch:{decision.day}",
        decision="task" if decision.verb == "task" else "tell",
        facts=decision.facts,
        visit=visit,
        shift_id=decision.day,
        to=to,
        person=person,
        told=decision.told,
        due_at=due,
    )
    if made is not None and decision.kind == "no_time_yet" and decision.verb == "tell":
        _promise_call(s, visit, datetime.fromisoformat(decision.facts["due"]), decision, at)
    return made


def _promise_call(s: Session, visit: Visit, due: datetime, decision: Decision, at: datetime) -> None:
    """A message without a time promises to say more by `due`: somebody has to call by then."""
    mine = Promise.visit_id == visit.id, Promise.kind == "call", Promise.state == "open"
    if s.scalar(select(Promise.id).where(*mine)) is None:
        made = promises.make(s, visit, "call", due, at=at, by="watch", tell=False)
        promises.call_task(s, made, at=at, reason="promised", cause=f"watch:{decision.day}", **decision.facts)
