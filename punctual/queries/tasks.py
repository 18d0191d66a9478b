"""What needs a person now: visits that will be late, silent technicians, calls to make, messages that failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from punctual.core.day import OVER
from punctual.core.promise import REMIND, remind_at
from punctual.models import Answer, Customer, Message, Notice, Place, Promise, Technician
from punctual.models import Visit as VisitRow
from punctual.queries.board import Board, Line, Stop
from punctual.queries.standing import Look

visit_, customer_, place_ = VisitRow.__table__, Customer.__table__, Place.__table__
notice_, message_, answer_ = Notice.__table__, Message.__table__, Answer.__table__
promise_, technician_ = Promise.__table__, Technician.__table__

#: A failed message of an older day is history, not a task.
RECENT = timedelta(hours=24)
#: Tasks that warn of a coming visit; with the visit over there is nothing left to call about.
ABOUT_LATENESS = frozenset(
    {"no_channel", "cap", "late", "no_news", "night", "too_late", "too_soon", "earlier_than_told"}
)


#: Whom a task without a visit is about.
LOOSE = {"storm": "Messages paused", "texts_stopped": "Texts"}


@dataclass(frozen=True, slots=True)
class Ask:
    """An open task notice: somebody is to be called or asked."""

    id: int
    kind: str
    reason: str
    at: datetime
    due_at: datetime | None
    facts: dict[str, Any]


#: States of a message that reached nobody, and with it of one of which nobody knows.
LOST = ("failed", "undelivered")
ASTRAY = (*LOST, "uncertain")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A message that did not go, or of which nobody knows."""

    id: int
    notice_id: int
    kind: str
    channel: str
    state: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Owed:
    """An open promise of a person that falls due: what, by when, who owns it."""

    id: int
    kind: str
    due_at: datetime
    owner: str


@dataclass(frozen=True, slots=True)
class Task:
    """Somebody to be seen to. `until`: the moment after which acting no longer keeps the promise."""

    key: str
    look: Look | None
    who: str
    until: datetime
    visit_id: int = 0
    stop: Stop | None = None
    line: Line | None = None
    asks: tuple[Ask, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    owed: tuple[Owed, ...] = ()
    call_by: datetime | None = None
    deadline: datetime | None = None
    deadline_kind: str = "done"
    told_at: datetime | None = None
    answer: tuple[str, datetime] | None = None
    lost_address: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """The tasks in order of urgency, and how many messages of the date are in which state."""

    tasks: tuple[Task, ...]
    messages: dict[str, int]


def queue(s: Session, board: Board, at: datetime, *, today: bool) -> Queue:
    """The tasks of a board's date; on `today` also every open one of other dates."""
    stops = {stop.id: (stop, line) for line in board.lines for stop in line.stops}
    asks, of_shift, loose = _asks(s, stops, today)
    troubles = _troubles(s, at, stops, today)
    calls = _calls(s, stops, today)
    owed = _owed(s, stops, at, today)
    wanted = {i for i, (stop, line) in stops.items() if _pressing(stop, line)}
    wanted |= asks.keys() | troubles.keys() | calls.keys() | owed.keys()
    facts = _facts(s, visit_.c.id.in_(wanted)) if wanted else {}
    lost = _facts(s, visit_.c.date == board.date, visit_.c.state.not_in(OVER), place_.c.state == "not_found")
    told = _answers(s, wanted)
    tasks = [
        _about_visit(facts[i], stops.get(i), asks[i], troubles[i], calls.get(i), told.get(i), owed.get(i, []))
        for i in wanted
        if i in facts
    ]
    tasks += [_about_visit(row, stops.get(i), [], [], None, None) for i, row in lost.items() if i not in wanted]
    tasks += [_silent(line, of_shift.get(line.shift_id, ()), at) for line in board.lines if line.silent_since]
    tasks += [
        Task(f"ask{a.id}", None, LOOSE.get(a.kind) or a.facts.get("by") or "Task", a.due_at or a.at, asks=(a,))
        for a in loose
    ]
    return Queue(tuple(sorted(tasks, key=lambda t: (t.until, t.key))), _messages(s, board.date))


def _pressing(stop: Stop, line: Line) -> bool:
    return not stop.over and stop.state != "arrived" and (stop.look in ("late", "risk") or not line.technician_id)


def _about_visit(
    row: Any,
    found: tuple[Stop, Line] | None,
    asks: list[Ask],
    troubles: list[Trouble],
    call_by: datetime | None,
    answer: tuple[str, datetime] | None,
    owed: Sequence[Owed] = (),
) -> Task:
    stop, line = found or (None, None)
    limits = [a.due_at for a in asks if a.due_at] + ([call_by] if call_by else []) + [x.due_at for x in owed]
    if stop is not None and line is not None and _pressing(stop, line):
        limits.append(min(stop.window.end, row.deadline or stop.window.end))
    return Task(
        key=f"visit{row.id}",
        look=stop.look if stop and stop.look in ("late", "risk") else None,
        who=row.name,
        until=min(limits, default=row.window_start),
        visit_id=row.id,
        stop=stop,
        line=line,
        asks=tuple(asks),
        troubles=tuple(troubles),
        owed=tuple(owed),
        call_by=min([a.due_at for a in asks if a.due_at] + ([call_by] if call_by else []), default=None),
        deadline=row.deadline,
        deadline_kind=row.deadline_kind,
        told_at=row.told_at,
        answer=answer,
        lost_address=row.address if row.place_state == "not_found" else "",
        phone=row.phone or "",
    )


def _silent(line: Line, asks: Iterable[Ask], at: datetime) -> Task:
    """A silent technician matters until the next promise of theirs that can still be kept."""
    coming = [s.window.end for s in line.stops if not s.over and s.state != "arrived" and s.window.end > at]
    return Task(
        key=f"line{line.technician_id}",
        look="silent",
        who=line.name,
        until=min(coming, default=line.expected_by or at),
        line=line,
        asks=tuple(asks),
        phone=line.phone,
    )


def _asks(
    s: Session, stops: dict[int, tuple[Stop, Line]], today: bool
) -> tuple[dict[int, list[Ask]], dict[int, list[Ask]], list[Ask]]:
    """Open task notices by visit, by shift, and about neither."""
    rows = s.connection().execute(
        select(notice_, visit_.c.state)
        .select_from(notice_.outerjoin(visit_, visit_.c.id == notice_.c.visit_id))
        .where(notice_.c.decision == "task", notice_.c.resolved_at.is_(None))
        .order_by(notice_.c.at)
    )
    by_visit: dict[int, list[Ask]] = defaultdict(list)
    by_shift: dict[int, list[Ask]] = defaultdict(list)
    loose = []
    for r in rows:
        ask = Ask(r.id, r.kind, r.reason, r.at, r.due_at, r.facts or {})
        if r.kind == "silent" and r.shift_id:
            by_shift[r.shift_id].append(ask)
        elif r.visit_id and (today or r.visit_id in stops):
            if r.state not in OVER or r.reason not in ABOUT_LATENESS:
                by_visit[r.visit_id].append(ask)
        elif not r.visit_id and today:
            loose.append(ask)
    return by_visit, by_shift, loose


def _troubles(s: Session, at: datetime, stops: dict[int, tuple[Stop, Line]], today: bool) -> dict[int, list[Trouble]]:
    rows = s.connection().execute(
        select(message_, visit_.c.state.label("visit_state"))
        .select_from(
            message_.join(notice_, notice_.c.id == message_.c.notice_id).join(
                visit_, visit_.c.id == message_.c.visit_id
            )
        )
        .where(
            message_.c.state.in_(ASTRAY),
            message_.c.customer_id.is_not(None),
            ~message_.c.state_reason.startswith("by e-mail instead"),
            message_.c.state_at >= at - RECENT,
            notice_.c.resolved_at.is_(None),
            visit_.c.state.not_in(OVER),
        )
        .order_by(message_.c.state_at)
    )
    found: dict[int, list[Trouble]] = defaultdict(list)
    for r in rows:
        if today or r.visit_id in stops:
            trouble = Trouble(r.id, r.notice_id, r.kind, r.channel, r.state, r.state_reason, r.state_at)
            found[r.visit_id].append(trouble)
    return found


def _calls(s: Session, stops: dict[int, tuple[Stop, Line]], today: bool) -> dict[int, datetime]:
    """Promised calls that are still open: when each is due."""
    rows = s.connection().execute(
        select(promise_.c.visit_id, func.min(promise_.c.due_at).label("due"))
        .where(promise_.c.kind == "call", promise_.c.state == "open")
        .group_by(promise_.c.visit_id)
    )
    return {r.visit_id: r.due for r in rows if today or r.visit_id in stops}


def _owed(s: Session, stops: dict[int, tuple[Stop, Line]], at: datetime, today: bool) -> dict[int, list[Owed]]:
    """Promises whose owner has to act now, by visit; arrivals, calls and replies have tasks of their own."""
    rows = s.connection().execute(
        select(promise_)
        .where(
            promise_.c.state == "open",
            promise_.c.kind.not_in(("window", "call", "reply")),
            promise_.c.due_at < at + REMIND,
        )
        .order_by(promise_.c.due_at)
    )
    found: dict[int, list[Owed]] = defaultdict(list)
    for r in rows:
        if (r.kind == "answer" or at >= remind_at(r.made_at, r.due_at)) and (today or r.visit_id in stops):
            found[r.visit_id].append(Owed(r.id, r.kind, r.due_at, r.owner))
    return found


def _facts(s: Session, *which: ColumnElement[bool]) -> dict[int, Any]:
    rows = s.connection().execute(
        select(
            visit_.c.id,
            visit_.c.window_start,
            visit_.c.deadline,
            visit_.c.deadline_kind,
            visit_.c.told_at,
            customer_.c.name,
            customer_.c.phone,
            place_.c.address,
            place_.c.state.label("place_state"),
        )
        .select_from(
            visit_.join(customer_, customer_.c.id == visit_.c.customer_id).outerjoin(
                place_, place_.c.id == visit_.c.place_id
            )
        )
        .where(*which)
    )
    return {r.id: r for r in rows}


def _answers(s: Session, ids: set[int]) -> dict[int, tuple[str, datetime]]:
    """The newest answer of each visit's customer."""
    if not ids:
        return {}
    rows = s.connection().execute(
        select(answer_.c.visit_id, answer_.c.kind, answer_.c.at)
        .where(answer_.c.visit_id.in_(ids))
        .order_by(answer_.c.at, answer_.c.id)
    )
    return {r.visit_id: (r.kind, r.at) for r in rows}


def _messages(s: Session, on: date) -> dict[str, int]:
    """Messages to customers and technicians of the date's visits, by state."""
    rows = s.connection().execute(
        select(message_.c.state, func.count())
        .select_from(message_.join(visit_, visit_.c.id == message_.c.visit_id))
        .where(visit_.c.date == on)
        .group_by(message_.c.state)
    )
    return {r[0]: r[1] for r in rows}


def unwarned(s: Session, at: datetime, hours: float = 2.0) -> int:
    """How many customers with a visit in the next hours have a message waiting that has not left."""
    rows = s.connection().execute(
        select(func.count(func.distinct(message_.c.visit_id)))
        .select_from(message_.join(visit_, visit_.c.id == message_.c.visit_id))
        .where(
            message_.c.state.in_(("queued", "claimed", "sending")),
            message_.c.customer_id.is_not(None),
            or_(message_.c.due_at <= at, message_.c.due_at.is_(None)),
            visit_.c.window_start <= at + timedelta(hours=hours),
            visit_.c.state.not_in(OVER),
        )
    )
    return int(rows.scalar_one())
