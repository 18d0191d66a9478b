"""What a technician's tap does: report, undo - each one transaction, each key once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast, get_args

from sqlalchemy import Integer, String, Table, bindparam, func, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from punctual import outbox, watch
from punctual.actions import Refused, correct, ended, rescue, transaction
from punctual.core.day import Report, ReportKind, Standing, fold, passed
from punctual.core.forecast import Eta, eta
from punctual.core.later import Later
from punctual.core.policy import AUTOMATIC
from punctual.core.report import clock, impossible
from punctual.core.sift import OPEN, STATES
from punctual.models import Customer, Notice, Plain, Shift, Visit, touch_board
from punctual.models import Report as ReportRow
from punctual.queries import day as queries
from punctual.queries.numbers import Values

report_, visit_, shift_, notice_, customer_ = (
    cast(Table, x.__table__) for x in (ReportRow, Visit, Shift, Notice, Customer)
)

#: A phone's clock may be this far ahead of ours.
AHEAD = timedelta(minutes=2)
#: Reports about a day are taken this long before its shift and after it: phones without signal deliver late.
AROUND = timedelta(hours=12)
MOST_MINUTES = 600
KINDS = frozenset(get_args(ReportKind)) - {"undo"}


@dataclass(frozen=True, slots=True)
class Taken:
    """A report that is kept: its row, whether it was here `already`, and what follows from it.

    `told` holds for each customer who is told visit_id, kind, name (first name), decision (tell or task), from and to
    (instants or None). `etas`: when the day's visits that are ahead will be reached, in order. `later` holds for each
    customer who is to be told and is not yet: visit_id, name, reason, how and at, as core.later says them.
    """

    report_id: int
    already: bool
    shift_id: int | None
    told: list[dict[str, Any]]
    etas: list[Eta]
    later: list[dict[str, Any]] = field(default_factory=list)


def report(
    visit_id: int,
    kind: str,
    *,
    technician_id: int,
    key: str,
    tapped_at: datetime,
    at: datetime,
    minutes: int = 0,
    source: str = "tap",
    note: str = "",
    arriving: datetime | None = None,
) -> Taken:
    """Keep what a technician reports and tell whom it concerns, in one transaction.

    `tapped_at` is the moment on the phone, `at` the present; `minutes` (or `arriving`, the time they name) belongs to
    "late". The same key again changes nothing and returns the same outcome. Raises Refused in a sentence.
    """
    _sane(kind, key, minutes, arriving, tapped_at, at)
    with transaction() as s:
        row = _visit(s, visit_id)
        if kind == "late" and arriving is not None:
            minutes = _minutes_until(row, arriving, min(tapped_at, at))
        values = {
            "key": key,
            "visit_id": visit_id,
            "technician_id": technician_id,
            "kind": kind,
            "minutes": minutes if kind == "late" else 0,
            "undoes_id": None,
            "at": min(tapped_at, at),
            "received_at": at,
            "source": source,
            "note": note,
        }
        report_id = _insert(s, values)
        if report_id is None:
            return _again(s, key, visit_id, technician_id, row, at)
        _theirs(row, technician_id, tapped_at)
        reports = _reports(s, visit_id)
        _possible(row, [r for r in reports if r.id != report_id], kind, min(tapped_at, at))
        return _settled(s, row, reports, report_id, kind, at)


def undo(
    visit_id: int, *, technician_id: int, key: str, tapped_at: datetime, at: datetime, of_key: str | None = None
) -> Taken:
    """Take the last report about a visit back (or the one with `of_key`); what it queued is not sent.

    If the customer was told already, one correction goes the same way. Raises Refused when there is nothing to undo.
    """
    _sane("done", key, 0, None, tapped_at, at)
    with transaction() as s:
        row = _visit(s, visit_id)
        values = {
            "key": key,
            "visit_id": visit_id,
            "technician_id": technician_id,
            "kind": "undo",
            "minutes": 0,
            "undoes_id": None,
            "at": min(tapped_at, at),
            "received_at": at,
            "source": "tap",
            "note": "",
        }
        report_id = _insert(s, values)
        if report_id is None:
            return _again(s, key, visit_id, technician_id, row, at)
        _theirs(row, technician_id, tapped_at)
        reports = _reports(s, visit_id)
        taken_back = _last(s, reports, of_key)
        s.connection().execute(update(report_).where(report_.c.id == report_id).values(undoes_id=taken_back.id))
        queries.lock_visits(s, [visit_id])  # before its messages
        told = {"since": taken_back.received, "cause": f"report:{taken_back.id}", "shift_id": row.shift_id}
        correct.undone(s, visit_id, taken_back.kind, at=at, **told)
        correct.unasked(s, f"report:{taken_back.id}", at=at)
        return _settled(s, row, _reports(s, visit_id), report_id, "undo", at)


def _sane(kind: str, key: str, minutes: int, arriving: datetime | None, tapped_at: datetime, at: datetime) -> None:
    """Refuse what makes no sense whatever the visit is."""
    if kind not in KINDS:
        raise Refused(f"There is no report of this kind. The kinds are: {', '.join(sorted(KINDS))}.", status=422)
    if not 8 <= len(key) <= 80 or not key.isascii() or not key.isprintable():
        raise Refused("The key of a tap has 8 to 80 plain characters. Make a new one.", status=422, field="key")
    if tapped_at > at + AHEAD:
        ahead = round((tapped_at - at).total_seconds() / 60)
        sentence = f"This was tapped {ahead} min in the future; check the phone's time."
        raise Refused(sentence, status=422, field="tapped_at")
    if kind == "late" and arriving is None and not 1 <= minutes <= MOST_MINUTES:
        sentence = f"Running late takes 1 to {MOST_MINUTES} minutes. Choose +15, +30, +60 or a time."
        raise Refused(sentence, status=422, field="minutes")


_VISIT = Plain(
    select(
        visit_.c.id,
        visit_.c.technician_id,
        visit_.c.date,
        visit_.c.zone,
        visit_.c.planned_start,
        visit_.c.planned_min,
        visit_.c.state,
        visit_.c.arrived_at,
        visit_.c.late_min,
        visit_.c.cancelled_at,
        visit_.c.cancelled_by,
        shift_.c.id.label("shift_id"),
        shift_.c.starts_at,
        shift_.c.ends_at,
        shift_.c.nudged_at,
    )
    .select_from(
        visit_.outerjoin(shift_, (shift_.c.technician_id == visit_.c.technician_id) & (shift_.c.date == visit_.c.date))
    )
    .where(visit_.c.id == bindparam("visit", 0)),
    "visit",
)
_LOCK = Plain(
    select(shift_.c.id)
    .join(visit_, (shift_.c.technician_id == visit_.c.technician_id) & (shift_.c.date == visit_.c.date))
    .where(visit_.c.id == bindparam("visit", 0))
    .with_for_update(of=shift_, key_share=True),
    "visit",
)
_REPORTS = Plain(
    select(
        report_.c.id,
        report_.c.visit_id,
        report_.c.kind,
        report_.c.at,
        report_.c.received_at,
        report_.c.minutes,
        func.coalesce(report_.c.undoes_id, 0),
    ).where(report_.c.visit_id == bindparam("visit", 0)),
    "visit",
)
_ABOUT = Values(bindparam("visits", "", type_=String)).table_valued("value", name="about")
_NAMES = Plain(
    select(visit_.c.id, customer_.c.name).select_from(
        _ABOUT.join(visit_, visit_.c.id == sql_cast(_ABOUT.c.value, Integer)).join(
            customer_, customer_.c.id == visit_.c.customer_id
        )
    ),
    "visits",
)
_FOLDED = (*Standing._fields, "changed_at")
_UPDATE = Plain(
    update(visit_)
    .where(visit_.c.id == bindparam("visit", 0))
    .values({name: bindparam(name, None) for name in _FOLDED}),
    "visit",
    *_FOLDED,
)
_GIVEN = [c.name for c in report_.c if c.name != "id"]
#: INSERT a report unless its key is there.
_KEEP = {
    name: Plain(
        make(report_)
        .values({given: bindparam(given, None) for given in _GIVEN})
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(report_.c.id),
        *_GIVEN,
    )
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


def _visit(s: Session, visit_id: int) -> Any:
    """The visit as it is now, with its day's row locked so that taps on one day queue up."""
    if not 0 < visit_id < 2**31:
        raise Refused("There is no such visit. Open your day again.", status=404)
    c = s.connection()
    if c.dialect.name == "postgresql":
        _LOCK.rows(c, visit=visit_id)
    row = _VISIT.first(c, visit=visit_id)
    if row is None:
        raise Refused("There is no such visit. Open your day again.", status=404)
    return row


def _insert(s: Session, values: dict[str, Any]) -> int | None:
    """Write first, then look: the report's id, or None where its key is known."""
    c = s.connection()
    found: int | None = _KEEP[c.dialect.name].scalar(c, **values)
    return found


def _reports(s: Session, visit_id: int) -> list[Report]:
    """Every report about a visit; _REPORTS has the columns in the order of a Report."""
    return [Report(*row) for row in _REPORTS.all(s.connection(), visit=visit_id)]


def _again(s: Session, key: str, visit_id: int, technician_id: int, row: Any, at: datetime) -> Taken:
    """The outcome of a tap that was delivered before: whom it told, and who waits and is expected as it stands now.

    Who waited and has been told since is in neither: they need not be told any more.
    """
    r = s.connection().execute(select(report_).where(report_.c.key == key)).one()
    if r.visit_id != visit_id or r.technician_id != technician_id:
        raise Refused("This key belongs to another tap. Make a new one.", status=409, field="key")
    shift_ids = [row.shift_id] if row.shift_id else []
    visits = [v for d in queries.load(s, shift_ids) for v in d.visits]
    because = Notice.visit_id.in_([v.id for v in visits]), Notice.cause == f"report:{r.id}"
    told = s.scalars(select(Notice).where(*because)).all()
    known = queries.forecasts(s, shift_ids)
    etas = [eta(known[v.id]) for v in visits if v.state in STATES[:OPEN] and v.id in known]
    wait = watch.waiting(s, row.shift_id, at=at, cause=f"report:{r.id}") if row.shift_id else []
    return Taken(r.id, True, row.shift_id, _told(s, told), etas, _later(s, wait, told))


def _theirs(row: Any, technician_id: int, tapped_at: datetime) -> None:
    if row.technician_id != technician_id:
        raise Refused("This visit is not on your day. Ask the office if you think it should be.", status=403)
    start, end = row.starts_at or row.planned_start, row.ends_at or row.planned_start
    if not start - AROUND <= tapped_at <= end + AROUND:
        raise Refused(f"This visit is on another day: {row.date.isoformat()}.", status=409)


def _possible(row: Any, before: Sequence[Report], kind: str, tapped: datetime) -> None:
    """Refuse a report that contradicts what is known of the visit."""
    if row.state == "cancelled":
        when = f" at {clock(row.cancelled_at, row.zone)}" if row.cancelled_at else ""
        who = "The customer" if row.cancelled_by == "customer" else "The office"
        raise Refused(f"{who} cancelled this visit{when}.", status=409)
    sentence = impossible(fold(before), kind, tapped, row.zone)
    if sentence:
        raise Refused(sentence, status=409)


def _last(s: Session, reports: Sequence[Report], of_key: str | None) -> Report:
    """The report to be taken back."""
    undone = {r.undoes for r in reports if r.kind == "undo"}
    left = [r for r in reports if r.kind != "undo" and r.id not in undone]
    if of_key is not None:
        wanted = s.connection().execute(select(report_.c.id).where(report_.c.key == of_key)).scalar()
        left = [r for r in left if r.id == wanted]
    if not left:
        raise Refused("There is nothing to undo for this visit.", status=409)
    return max(left, key=lambda r: (r.at, r.id))


def _settled(s: Session, row: Any, reports: Sequence[Report], report_id: int, kind: str, at: datetime) -> Taken:
    """Write what the reports make of the visit, drop what is no longer true, then look at the day."""
    now = fold(reports, cancelled=row.state == "cancelled", start=row.planned_start, lasts=row.planned_min)
    _UPDATE.run(s.connection(), **now._asdict(), visit=row.id, changed_at=at)
    if kind == "arrived" or now.over:
        outbox.supersede(s, row.id, at=at, why=now.state, kinds=AUTOMATIC)
    if kind not in ("late", "on_my_way"):
        ended.promises_of(s, row.id, now, at)
    asked = ended.ask_customer(s, row.id, report_id, now, at) if kind == "nobody_home" else []
    if row.nudged_at is not None:
        _heard(s, row.shift_id, at)
    if row.shift_id is None:
        touch_board(s, row.date)
        return Taken(report_id, False, None, _told(s, asked), [])
    told, wait, etas = watch.look_at(s, row.shift_id, at=at, cause=f"report:{report_id}")
    told = asked + rescue.alone(s, told, at=at)
    return Taken(report_id, False, row.shift_id, _told(s, told), etas, _later(s, wait, told))


def _heard(s: Session, shift_id: int, at: datetime) -> None:
    """The technician who was asked has reported: what the dispatcher was asked about them is answered."""
    s.connection().execute(
        update(notice_)
        .where(
            notice_.c.decision == "task",
            notice_.c.resolved_at.is_(None),
            notice_.c.kind == "silent",
            notice_.c.shift_id == shift_id,
        )
        .values(resolved_at=at, resolved_by="report")
    )


def _told(s: Session, notices: Sequence[Notice]) -> list[dict[str, Any]]:
    """Who is told, or called, in words a phone can show."""
    about = [n for n in notices if n.visit_id is not None and n.kind not in ("tech_nudge", "silent", "storm")]
    if not about:
        return []
    names = _names(s, [n.visit_id for n in about])
    return [
        {
            "visit_id": n.visit_id,
            "kind": n.kind,
            "decision": n.decision,
            "name": names[n.visit_id],
            "from": n.told_start,
            "to": n.told_end,
        }
        for n in about
    ]


def _later(s: Session, wait: Sequence[Later], told: Sequence[Notice]) -> list[dict[str, Any]]:
    """Who is to be told and is not yet, with names; a call that is asked for only while it is open and not told now."""
    if not wait:
        return []
    calls = {n.visit_id for n in told if n.decision == "task"}
    open_ = {x.visit for x in wait if x.how == "call"} - calls
    if open_:
        mine = Notice.visit_id.in_(open_), Notice.decision == "task", Notice.kind == "call"
        open_ = set(s.scalars(select(Notice.visit_id).where(*mine, Notice.resolved_at.is_(None))))
    stand = [x for x in wait if x.how != "call" or x.visit in open_]
    names = _names(s, [x.visit for x in stand])
    return [{"visit_id": x.visit, "name": names[x.visit], "reason": x.reason, "how": x.how, "at": x.at} for x in stand]


def _names(s: Session, visits: Sequence[int | None]) -> dict[int | None, str]:
    """The first names of these visits' customers."""
    rows = _NAMES.rows(s.connection(), visits=json.dumps(visits)) if visits else []
    return {visit: name.split()[0] for visit, name in rows}


def _minutes_until(row: Any, arriving: datetime, tapped: datetime) -> int:
    """A named time as minutes more: until the arrival, or until the end once they are there; what day.fold adds to."""
    there = row.arrived_at if row.state == "arrived" else None
    later = passed(arriving, there, row.planned_start, row.planned_min)
    minutes = int(later - max(row.late_min, passed(tapped, there, row.planned_start, row.planned_min)))
    if not 1 <= minutes <= MOST_MINUTES:
        raise Refused("That time is not later than planned. Choose a later one.", status=422, field="arriving")
    return minutes
