"""What a look leaves behind: notices put, reasons for silence, packed forecasts - and nothing that has not changed."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, cast

import numpy as np
from sqlalchemy import Integer, String, Table, bindparam, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from punctual import clock, outbox, promises
from punctual.core import kept
from punctual.core.day import Ints
from punctual.core.forecast import Forecast
from punctual.core.notice import Decision, Mark
from punctual.core.policy import WITHOUT_TIME, Rules
from punctual.core.sift import CODES, REASONS, STATES, STEP, Sifted, numbers
from punctual.models import Customer, Notice, Plain, Promise, Rows, Shift, Technician, Visit
from punctual.models import Forecast as ForecastRow
from punctual.queries import day as queries
from punctual.queries.columns import TELLING, Seen
from punctual.queries.numbers import Values

notice_, forecast_ = cast(Table, Notice.__table__), cast(Table, ForecastRow.__table__)

#: Kinds after which a customer knows a time, or was asked.
ABOUT_TIME = TELLING - {"no_time_yet"}
#: Kinds that come of a technician's silence.
OF_SILENCE = ("tech_nudge", "silent")
_FORECAST = ("shift_id", ("at", "packed", "marks"))
_SILENT = ("key", ("reason", "facts", "at", "due_at", "shift_id"))


_WANTED = Values(bindparam("ids", "", type_=String)).table_valued("value", name="wanted")
_OF_DAY = Rows(
    lambda all_: (
        all_.select_from(_WANTED)
        .join(Shift, Shift.id == sql_cast(_WANTED.c.value, Integer))
        .join(Technician, Technician.id == Shift.technician_id)
    ),
    (Shift, Technician),
    "ids",
)
_ABOUT = Rows(
    lambda all_: (
        all_.select_from(_WANTED)
        .join(Visit, Visit.id == sql_cast(_WANTED.c.value, Integer))
        .join(Customer, Customer.id == Visit.customer_id)
    ),
    (Visit, Customer),
    "ids",
)


def notices(
    s: Session, decisions: Sequence[Decision], rules: Rules, at: datetime, cause: str
) -> tuple[list[Notice], list[dict[str, Any]]]:
    """Put what is told or asked. Returns it, and the reasons for silence as rows - also those that follow a telling."""
    put: list[Notice] = []
    silent: list[dict[str, Any]] = []
    about = {decision.visit for decision in decisions if decision.verb != "silent"}
    visits = _with(s, _ABOUT, "customer", about)
    shifts = _with(s, _OF_DAY, "technician", {d.day for d in decisions if d.verb != "silent" and d.kind in OF_SILENCE})
    for decision in decisions:
        if decision.verb == "silent":
            silent.append(_silent(decision, at))
            continue
        made = _put(s, decision, visits[decision.visit], shifts, rules, at, cause)
        if made is not None:
            put.append(made)
            if decision.verb == "tell" and decision.kind in ABOUT_TIME:
                silent.append(_silent(_from_now_on(decision, at), at))
    return put, silent


def _with(s: Session, question: Rows, name: str, ids: Collection[int]) -> dict[int, Any]:
    """The objects by id that a question of two finds, each with the other one as its `name`."""
    found: dict[int, Any] = {}
    for one, other in question.all(s, ids=json.dumps(list(ids))) if ids else []:
        set_committed_value(one, name, other)
        found[one.id] = one
    return found


def plain(seen: Seen, made: Forecast, sifted: Sifted, rows: Ints, rules: Rules, at: datetime) -> list[dict[str, Any]]:
    """The reasons for silence that columns decided, as rows."""
    if not len(rows):
        return []
    days = seen.days
    day = days.day_id[np.searchsorted(days.offset, rows, side="right") - 1]
    told = zip(
        days.visit_id[rows].tolist(),
        seen.version[rows].tolist(),
        day.tolist(),
        sifted.reason[rows].tolist(),
        seen.stands.state[rows].tolist(),
        numbers(days, made, rows, rules, at),
        strict=True,
    )
    over = CODES["over"]
    return [
        _row(f"{v}:{n}:silent", v, d, REASONS[r], facts | {"state": STATES[x]} if r == over else facts, at, None)
        for v, n, d, r, x, facts in told
    ]


def reasons(s: Session, seen: Seen, rows: kept.Rows, silent: Sequence[dict[str, Any]]) -> set[int]:
    """Write the reasons for silence that differ from the last one written - another reason, another promise, or a
    chance that moved visibly - and remember them in `rows`. Returns the days they belong to."""
    if not silent:
        return set()
    order = np.argsort(seen.days.visit_id)
    at = np.searchsorted(seen.days.visit_id[order], [reason["visit_id"] for reason in silent])
    changed = []
    for r, reason in zip(order[at].tolist(), silent, strict=True):
        row = rows[r]
        version, code = int(reason["key"].split(":")[1]), CODES.get(reason["reason"], 0)
        chance = round(10.0 * reason["facts"]["chance"])
        same = code and row["version"] == version and row["reason"] == code and abs(row["chance"] - chance) < STEP
        if not same:
            row["version"], row["reason"], row["chance"] = version, code, chance
            changed.append(reason)
    _save(s, notice_, _SILENT, changed)
    return {reason["shift_id"] for reason in changed}


def marks(seen: Seen, rows: Sequence[int], new: Sequence[Mark]) -> dict[int, dict[str, Any]]:
    """What is to be remembered of the limit, for the days in which visits were decided one by one, by day's index."""
    days = seen.days
    found: dict[int, dict[str, Any]] = {}
    for r, mark in zip(rows, new, strict=True):
        d = int(np.searchsorted(days.offset, r, side="right")) - 1
        if d not in found:
            found[d] = _marked(seen, d)
        key = f"{days.visit_id[r]}:{seen.version[r]}"
        found[d].pop(key, None)
        if mark.since is not None or mark.crossings:
            since = mark.since.isoformat() if mark.since else None
            crossings = [t.isoformat() for t in mark.crossings]
            found[d][key] = {"since": since, "chance": mark.chance, "crossings": crossings}
    return found


def _marked(seen: Seen, d: int) -> dict[str, Any]:
    """The marks of a day as the last look left them."""
    kept_ = seen.marks[d]
    return json.loads(kept_) or {} if kept_ else {}


def forecasts(
    s: Session, seen: Seen, head: kept.Rows, rows: kept.Rows, which: Ints, marks: dict[int, Any], at: datetime
) -> None:
    """Write the packed forecasts of some days."""
    days, packed = which.tolist(), kept.pack(head, rows, seen.days.offset, which)
    made = [
        {"shift_id": i, "at": at, "packed": p, "marks": (marks[d] if d in marks else _marked(seen, d)) or None}
        for d, i, p in zip(days, seen.days.day_id[which].tolist(), packed, strict=True)
    ]
    _save(s, forecast_, _FORECAST, made)


def renewed(s: Session, seen: Seen, head: kept.Rows, rows: kept.Rows, which: Ints, at: datetime) -> None:
    """Write the packed forecasts of days about which nothing was decided, unless another look has written since or
    writes just now."""
    ids = seen.days.day_id[which].tolist()
    free = _free(s, ids)
    if len(free) < len(ids):
        which = which[np.isin(ids, free)]
    if len(which):
        packed = kept.pack(head, rows, seen.days.offset, which)
        ids = seen.days.day_id[which].tolist()
        made = [
            {"shift": i, "was": seen.packed[d], "when": at, "new": p}
            for i, d, p in zip(ids, which.tolist(), packed, strict=True)
        ]
        _RENEW.many(s.connection(), made)


def _free(s: Session, ids: list[int]) -> list[int]:
    """Those of some days whose forecast nobody else is writing; on PostgreSQL it is locked."""
    if not ids or queries.one_writer(s):
        return ids
    theirs = select(forecast_.c.shift_id).where(forecast_.c.shift_id.in_(ids)).order_by(forecast_.c.shift_id)
    return list(s.scalars(theirs.with_for_update(skip_locked=True)))


_RENEW = Plain(
    update(forecast_)
    .where(forecast_.c.shift_id == bindparam("shift", 0), forecast_.c.packed == bindparam("was", None))
    .values(at=bindparam("when", None), packed=bindparam("new", None)),
    "shift",
    "was",
    "when",
    "new",
)


@lru_cache(maxsize=8)
def _upsert(table: Table, dialect: str, key: str, columns: tuple[str, ...], given: tuple[str, ...]) -> Plain:
    """The statement, built once: on the way of a tap building it costs more than running it."""
    make: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = make(table).values({name: bindparam(name, None) for name in given})
    changed = statement.on_conflict_do_update(
        index_elements=[key], set_={name: statement.excluded[name] for name in columns}
    )
    return Plain(changed, *given)


def _save(s: Session, table: Table, how: tuple[str, tuple[str, ...]], rows: list[dict[str, Any]]) -> None:
    if rows:
        connection = s.connection()
        _upsert(table, connection.dialect.name, *how, tuple(rows[0])).many(connection, rows)


def _from_now_on(decision: Decision, at: datetime) -> Decision:
    """The reason for silence once this is told; the next look would give the same."""
    facts = decision.facts | {"told_at": at.isoformat(), "told_kind": decision.kind}
    if decision.told is not None:
        facts |= {"told_from": decision.told.start.isoformat(), "told_to": decision.told.end.isoformat()}
    key = ":".join([*decision.key.split(":")[:2], "silent"])
    return replace(decision, verb="silent", kind="silent", reason="already_told", key=key, facts=facts)


def _silent(decision: Decision, at: datetime) -> dict[str, Any]:
    return _row(decision.key, decision.visit, decision.day, decision.reason, decision.facts, at, decision.until)


def _row(
    key: str, visit: int, day: int, reason: str, facts: dict[str, Any], at: datetime, until: datetime | None
) -> dict[str, Any]:
    return {
        "key": key,
        "visit_id": visit,
        "shift_id": day,
        "decision": "silent",
        "kind": "silent",
        "reason": reason,
        "cause": "",
        "facts": facts,
        "at": at,
        "due_at": until,
        "resolved_by": "",
    }


def _put(
    s: Session, decision: Decision, visit: Visit, shifts: dict[int, Shift], rules: Rules, at: datetime, cause: str
) -> Notice | None:
    to: Literal["customer", "technician", "dispatcher"] = "dispatcher" if decision.verb == "task" else "customer"
    person, due = None, None
    if decision.kind in OF_SILENCE:
        shift = shifts[decision.day]
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
        rules=rules,
    )
    if made is not None and decision.kind in WITHOUT_TIME and decision.verb == "tell":
        _promise_call(s, visit, datetime.fromisoformat(decision.facts["due"]), decision, at)
    return made


def _promise_call(s: Session, visit: Visit, due: datetime, decision: Decision, at: datetime) -> None:
    """A message without a time promises to say more by `due`: somebody has to call by then."""
    mine = Promise.visit_id == visit.id, Promise.kind == "call", Promise.state == "open"
    if s.scalar(select(Promise.id).where(*mine)) is None:
        made = promises.make(s, visit, "call", due, at=at, by="watch", tell=False)
        promises.call_task(s, made, at=at, reason="promised", cause=f"watch:{decision.day}", **decision.facts)
