"""Rows -> columns: many technicians' days straight into Days and what the watch needs beside them, no object a visit."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy import Connection, Integer, String, and_, bindparam, case, cast, exists, func, null, or_, select, text
from sqlalchemy.orm import Session

from punctual.core.day import OVER, Days, Floats, Ints, minutes
from punctual.core.kept import Kept, beside
from punctual.core.policy import AUTOMATIC
from punctual.core.sift import STATES, Stands
from punctual.models import SAID, Customer, Forecast, Message, Notice, Plain, Shift, Technician, Travel
from punctual.models import Place as PlaceRow
from punctual.models import Visit as VisitRow
from punctual.queries.memory import Memory
from punctual.queries.numbers import Moment, Table, Values, flag, table

shift_, visit_, customer_, place_ = Shift.__table__, VisitRow.__table__, Customer.__table__, PlaceRow.__table__
technician_, forecast_, travel_ = Technician.__table__, Forecast.__table__, Travel.__table__
notice_, message_ = Notice.__table__, Message.__table__
home_ = place_.alias("home")

#: Kinds that tell a customer a time, or ask them.
TELLING = AUTOMATIC - {"reminder"}
#: A message in one of these states was never seen by anybody.
UNSEEN = frozenset({"dropped"})


_ASKED = Values(bindparam("ids", "", type_=String)).table_valued("value", name="asked")
_WANTED = _ASKED.join(shift_, shift_.c.id == cast(_ASKED.c.value, Integer))
MINE = (visit_.c.technician_id == shift_.c.technician_id) & (visit_.c.date == shift_.c.date)
_rests = shift_.c.break_starts_at.is_not(None) & shift_.c.break_ends_at.is_not(None)
_at_home = home_.c.lat.is_not(None) & home_.c.lon.is_not(None)
_placed = place_.c.lat.is_not(None) & place_.c.lon.is_not(None)

#: name -> expression; every one a number. Names that end in _at are instants, and come first.
SHIFT = {
    "start_at": Moment(shift_.c.starts_at),
    "end_at": Moment(shift_.c.ends_at),
    "break_at": Moment(case((_rests, shift_.c.break_starts_at))),
    "break_end_at": Moment(case((_rests, shift_.c.break_ends_at))),
    "nudged_at": Moment(shift_.c.nudged_at),
    "id": shift_.c.id,
    "technician": shift_.c.technician_id,
    "off": flag(shift_.c.off != ""),
    "home": func.coalesce(home_.c.id, 0),
    "home_lat": case((_at_home, home_.c.lat)),
    "home_lon": case((_at_home, home_.c.lon)),
}
#: Where a shift's id is in a row of it.
ID = list(SHIFT).index("id")
VISIT = {
    "planned_at": Moment(visit_.c.planned_start),
    "window_at": Moment(visit_.c.window_start),
    "window_end_at": Moment(visit_.c.window_end),
    "on_my_way_at": Moment(visit_.c.on_my_way_at),
    "arrived_at": Moment(visit_.c.arrived_at),
    "finished_at": Moment(visit_.c.finished_at),
    "late_at": Moment(visit_.c.late_at),
    "deadline_at": Moment(visit_.c.deadline),
    "shift": shift_.c.id,
    "id": visit_.c.id,
    "job_type": visit_.c.job_type_id,
    "planned_min": visit_.c.planned_min,
    "state": case({name: float(code) for code, name in enumerate(STATES)}, value=visit_.c.state),
    "late_min": visit_.c.late_min,
    "deadline_arrive": flag(visit_.c.deadline_kind == "arrive"),
    "early_ok": flag(visit_.c.early_ok),
    "version": visit_.c.promise_version,
    "place": func.coalesce(place_.c.id, 0),
    "lat": case((_placed, place_.c.lat)),
    "lon": case((_placed, place_.c.lon)),
    "mailed": flag((func.coalesce(customer_.c.email, "") != "") & (customer_.c.email_bad == "")),
    "texted": flag((func.coalesce(customer_.c.phone, "") != "") & (customer_.c.phone_bad == "")),
    "travel": null(),
}
#: Visits come in the order in which they are made: what is over, by state, then the one under way, then the plan.
_RANK = np.array([3 if s == "planned" else 2 if s == "on_my_way" else 1 if s == "arrived" else 0 for s in STATES])
#: And each by this moment: a column of VISIT.
_WHEN = np.array([list(VISIT).index(f"{s}_at" if s in ("planned", "on_my_way") else "arrived_at") for s in STATES])
_TOLD = {
    "shift": shift_.c.id,
    "visit": visit_.c.id,
    "notice": notice_.c.id,
    "at": Moment(notice_.c.at),
    "start": Moment(notice_.c.told_start),
    "end": Moment(notice_.c.told_end),
    "resolved_at": Moment(notice_.c.resolved_at),
    "sent_start": Moment(visit_.c.told_start),
    "sent_end": Moment(visit_.c.told_end),
    "sent_at": Moment(visit_.c.told_at),
}
_NOTICE = list(_TOLD).index("notice")
_seen = visit_.alias("seen")
#: Of all visits of a day: the last change, and what taps and new promises count up - off one index.
_STEP = case({"planned": 1e4, "on_my_way": 1e6, "arrived": 1e8, "done": 1e10}, value=_seen.c.state, else_=0.0)
SIGN = (
    select(
        cast(func.max(_seen.c.changed_at), String)
        + "|" + cast(func.sum(_seen.c.promise_version + _seen.c.late_min + _STEP), String)
    )
    .where(_seen.c.technician_id == shift_.c.technician_id, _seen.c.date == shift_.c.date)
    .scalar_subquery()
)  # fmt: skip
#: Some days as they stand, and whether any way between places is known at all: so it is where a router is asked.
_SHIFTS = Plain(
    select(
        *SHIFT.values(), exists(select(travel_.c.minutes)), SIGN, cast(shift_.c.date, String), forecast_.c.packed,
        cast(forecast_.c.marks, String),
    ).select_from(
        _WANTED.join(technician_, technician_.c.id == shift_.c.technician_id)
        .outerjoin(home_, home_.c.id == technician_.c.home_place_id)
        .outerjoin(forecast_, forecast_.c.shift_id == shift_.c.id)
    ),
    "ids",
)  # fmt: skip
_VISITS = Plain(
    select(*VISIT.values())
    .select_from(
        _WANTED.join(visit_, MINE)
        .join(customer_, customer_.c.id == visit_.c.customer_id)
        .outerjoin(place_, place_.c.id == visit_.c.place_id)
    )
    .where(visit_.c.state != "cancelled"),
    "ids",
)
_NEWS = Plain(
    select(
        *_TOLD.values(), notice_.c.key, notice_.c.decision, notice_.c.kind, visit_.c.told_kind,
        notice_.c.resolved_by, message_.c.state,
    )
    .select_from(
        _WANTED.join(visit_, MINE)
        .join(notice_, notice_.c.visit_id == visit_.c.id)
        .outerjoin(message_, message_.c.notice_id == notice_.c.id)
    )
    .where(
        SAID,
        or_(
            and_(
                visit_.c.state.not_in(OVER),
                or_(notice_.c.kind.in_(TELLING), notice_.c.decision == "hold"),
            ),
            and_(notice_.c.kind == "silent", notice_.c.resolved_at.is_not(None)),
        ),
    )
    .order_by(notice_.c.id),
    "ids",
)  # fmt: skip
#: Both ends of a way as one number: the text of a pair would be taken apart twice for each.
_WAYS = {
    dialect: Plain(text(f"{sql} JOIN travel AS t ON t.from_place = w.way >> 32 AND t.to_place = w.way & 4294967295")
                   .bindparams(ways=""), "ways")
    for dialect, sql in {
        "sqlite": "SELECT w.key, t.minutes FROM (SELECT key, value AS way FROM json_each(:ways)) AS w CROSS",
        "postgresql": "SELECT w.key - 1, t.minutes FROM (SELECT key, CAST(value AS bigint) AS way FROM"
        " json_array_elements_text(CAST(:ways AS json)) WITH ORDINALITY AS each (value, key)) AS w",
    }.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """Some shifts as they stand, and what was kept of their last look.

    `version` [rows] is the promise's. By day: what `stood` in the database (see days_as_they_stand), its `dates`, `packed`
    and `marks` (JSON) as the last look left them, and when a dispatcher `answered` for the technician (minutes, NaN:
    nobody did).
    """

    days: Days
    stands: Stands
    kept: Kept
    version: Ints
    stood: list[tuple[Any, ...]]
    dates: list[date]
    packed: list[bytes | None]
    marks: list[str | None]
    answered: Floats


def days_as_they_stand(s: Session, shift_ids: Collection[int]) -> list[tuple[Any, ...]]:
    """Some days in order of id, as the driver gives them: shift and home, the sign of all its visits, the date, and what
    was kept of the last look. Two that are equal are of the same day, about which nobody has said anything in between."""
    found = _SHIFTS.rows(s.connection(), ids=json.dumps(sorted(set(shift_ids))))
    return sorted(found, key=itemgetter(ID))


def see(s: Session, shift_ids: Collection[int], memory: Memory | None = None, at: datetime | None = None) -> Seen:
    """Some shifts with everything the watch decides from, in order of id; four statements.

    With a `memory`, visits are read only of the days that have changed since it was last asked, a minute before `at`.
    """
    c, found = s.connection(), days_as_they_stand(s, shift_ids)
    of_shift, named = table(SHIFT, found), [r[ID] for r in found]
    routed = any(r[len(SHIFT)] for r in found[:1])
    if memory is None or at is None:
        of_visit = _visits(c, named)
        days = days_of(of_shift, of_visit)
        if routed:
            days.travel[:] = travel(c, days, of_shift["home"])
    else:
        read = partial(_visits_with_ways, c, of_shift) if routed else partial(_visits, c)
        of_visit = memory.rows(named, [r[-4] for r in found], at, read)
        days = days_of(of_shift, of_visit)
    version = of_visit["version"].astype(np.int64)
    told = _news(_NEWS.rows(c, ids=json.dumps(named)), days, version)
    texts = bool(c.get_execution_options().get("texts", False))
    packed, marks = [r[-2] for r in found], [r[-1] for r in found]
    stands = Stands(
        state=of_visit["state"].astype(np.int64),
        reachable=(of_visit["mailed"] > 0) | (texts & (of_visit["texted"] > 0)),
        held=told.held,
        since=_since(days, version, marks),
        set_out=told.set_out,
        told=told.at > -np.inf,
        told_start=told.start,
        told_end=told.end,
        off=of_shift["off"] > 0,
        nudged=np.ascontiguousarray(of_shift["nudged_at"]),
    )
    return Seen(
        days=days,
        stands=stands,
        kept=beside(days, packed),
        version=version,
        stood=found,
        dates=[date.fromisoformat(r[-3]) for r in found],
        packed=packed,
        marks=marks,
        answered=told.answered,
    )


def _visits(c: Connection, ids: Sequence[int]) -> Table:
    """The visits of some shifts, in order."""
    return ordered(table(VISIT, _VISITS.rows(c, ids=json.dumps(list(ids))) if len(ids) else []))


def _visits_with_ways(c: Connection, shift: Table, ids: Sequence[int]) -> Table:
    """The visits of some of these shifts, in order, with the way into each."""
    some = shift if len(ids) == len(shift) else shift.rows(np.isin(shift["id"], ids))
    visit = _visits(c, ids)
    visit["travel"][:] = travel(c, days_of(some, visit), some["home"])
    return visit


def ordered(visit: Table) -> Table:
    """Visits day by day, in the order in which they are made."""
    state = visit["state"].astype(np.int64)
    when = visit.values[np.arange(len(state)), _WHEN[state]]
    unseen = np.isnan(when)
    if np.count_nonzero(unseen):  # over, and nobody said when they came
        ended = visit["finished_at"]
        when = np.where(unseen, np.where(np.isnan(ended), visit["planned_at"], ended), when)
    return visit.rows(np.lexsort((visit["id"], when, _RANK[state], visit["shift"])))


def days_of(shifts: Table, visits: Table) -> Days:
    """Columns of some days: shifts in order of id, visits as `ordered` has them."""
    shift, visit = shifts.columns(), visits.columns()
    offset = np.full(len(shifts) + 1, len(visits), dtype=np.int64)
    offset[:-1] = visit["shift"].searchsorted(shift["id"])
    return Days(
        offset=offset,
        day_id=shift["id"].astype(np.int64),
        technician=shift["technician"].astype(np.int64),
        shift_start=shift["start_at"],
        shift_end=shift["end_at"],
        break_start=shift["break_at"],
        break_end=shift["break_end_at"],
        home_lat=shift["home_lat"],
        home_lon=shift["home_lon"],
        visit_id=visit["id"].astype(np.int64),
        job_type=visit["job_type"].astype(np.int64),
        planned_start=visit["planned_at"],
        planned_min=visit["planned_min"],
        window_start=visit["window_at"],
        window_end=visit["window_end_at"],
        lat=visit["lat"],
        lon=visit["lon"],
        place_id=visit["place"].astype(np.int64),
        on_my_way=visit["on_my_way_at"],
        arrived=visit["arrived_at"],
        finished=visit["finished_at"],
        late_min=visit["late_min"],
        late_at=visit["late_at"],
        deadline=visit["deadline_at"],
        deadline_arrive=visit["deadline_arrive"] > 0,
        early_ok=visit["early_ok"] > 0,
        travel=visit["travel"],
    )


def travel(c: Connection, days: Days, home: Floats) -> Floats:
    """Minutes into each row still ahead, where the travel table has the way from the last known place; NaN elsewhere."""
    out = np.full(days.rows, np.nan)
    if not days.rows:
        return out
    row = np.arange(days.rows)
    day_of = days.day_of
    known = (days.place_id > 0) & ~np.isnan(days.lat)
    last = np.maximum.accumulate(np.where(known, row, -1))
    before = np.concatenate([[-1], last[:-1]])
    inside = before >= days.offset[day_of]
    homes = np.where(np.isnan(days.home_lat), 0, home).astype(np.int64)
    start = np.where(inside, days.place_id[np.maximum(before, 0)], homes[day_of])
    wanted = np.flatnonzero((start > 0) & known & np.isnan(days.arrived) & np.isnan(days.finished))
    if len(wanted):
        ways = json.dumps((start[wanted] << 32 | days.place_id[wanted]).tolist())
        found = table({"which": None, "minutes": None}, _WAYS[c.dialect.name].rows(c, ways=ways))
        out[wanted[found["which"].astype(np.int64)]] = found["minutes"]
    return out


def _news(news: list[tuple[Any, ...]], days: Days, version: Ints) -> _Told:
    """What was said of each row's present promise, and when each day was answered for."""
    told = _Told(days)
    if not news:
        return told
    of_notice = [list(rows) for _, rows in groupby(news, key=itemgetter(_NOTICE))]
    where = [r[0][:2] for r in of_notice]
    day = np.searchsorted(days.day_id, [shift for shift, _ in where])
    for d, row, r in zip(day.tolist(), _rows(days, [visit for _, visit in where]).tolist(), of_notice, strict=True):
        told.add(d, row, r[0], any(x[-1] not in UNSEEN for x in r), version)
    return told


def _rows(days: Days, visits: Sequence[int]) -> Ints:
    """The row of each of these visits; -1 for one that is not there, as one that was cancelled."""
    if not days.rows:
        return np.full(len(visits), -1)
    order = np.argsort(days.visit_id, kind="stable")
    at = np.minimum(days.visit_id.searchsorted(visits, sorter=order), days.rows - 1)
    return np.where(days.visit_id[order[at]] == visits, order[at], -1)


class _Told:
    """Columns of what was said, filled notice by notice in order of their ids."""

    def __init__(self, days: Days) -> None:
        n = days.rows
        self.held, self.set_out = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        self.at, self.start, self.end = np.full(n, -np.inf), np.full(n, np.nan), np.full(n, np.nan)
        self.answered = np.full(len(days), np.nan)

    def add(self, d: int, row: int, r: tuple[Any, ...], live: bool, version: Ints) -> None:
        _, _, _, at, start, end, resolved, sent_start, sent_end, sent_at = r[: len(_TOLD)]
        key, decision, kind, sent_kind, resolved_by, _ = r[len(_TOLD) :]
        if decision == "task":
            if resolved is not None and resolved_by != "report":
                self.answered[d] = np.fmax(self.answered[d], _minute(resolved))
        elif row < 0:
            return
        elif decision == "hold":
            self.held[row] = resolved is None
        elif live:
            self.set_out[row] |= kind == "on_my_way"
            if key.split(":")[1:2] == [str(version[row])] and at > self.at[row]:
                newest = sent_kind == kind and sent_start is not None and sent_at is not None and sent_at >= at
                self.at[row] = at
                self.start[row] = _minute(sent_start if newest else start)
                self.end[row] = _minute(sent_end if newest else end)


def _minute(milliseconds: float | None) -> float:
    return np.nan if milliseconds is None else round(milliseconds) / 60000.0


def _since(days: Days, version: Ints, marks: Sequence[str | None]) -> Floats:
    """Since when rows have been over the limit, of the present promise; NaN for those that were not at the last look."""
    since = np.full(days.rows, np.nan)
    which = [d for d, kept in enumerate(marks) if kept is not None]
    if not which:
        return since
    kept = json.loads(f"[{','.join(marks[d] or '' for d in which)}]")
    found = [
        (d, *key.split(":"), minutes(datetime.fromisoformat(mark["since"])))
        for d, of_day in zip(which, kept, strict=True)
        for key, mark in (of_day or {}).items()
        if mark["since"]
    ]
    if found:
        day, visit, of, at = np.array(found, dtype=np.float64).T
        row = _rows(days, visit)
        mine = (row >= 0) & (days.day_of[row] == day) & (version[row] == of)
        since[row[mine]] = at[mine]
    return since
