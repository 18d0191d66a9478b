"""Rows -> columns: many technicians' days straight into Days and what the watch needs beside them, no object a visit."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import date, datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Integer, String, and_, bindparam, case, cast, exists, func, null, or_, select
from sqlalchemy.orm import Session

from punctual.core.day import OVER, Bools, Days, Floats, Ints, minutes
from punctual.core.frozen import frozen
from punctual.core.kept import Kept, beside
from punctual.core.policy import AUTOMATIC, Rules
from punctual.core.sift import Stands
from punctual.models import SAID, Forecast, Message, Notice, Plain, Technician, Travel
from punctual.queries.day import COMPANY, company_of
from punctual.queries.memory import Memory
from punctual.queries.numbers import Moment, Table, Values, listed
from punctual.queries.taught import NEWEST
from punctual.queries.visits import (
    IN_ORDER,
    MINE,
    SHIFT,
    VISIT,
    customer_,
    days_of,
    home_,
    place_,
    shift_,
    travel,
    visit_,
)  # fmt: skip

technician_, forecast_, travel_ = Technician.__table__, Forecast.__table__, Travel.__table__
notice_, message_ = Notice.__table__, Message.__table__

#: Kinds that tell a customer a time, or ask them.
TELLING = AUTOMATIC - {"reminder"}
#: A message in one of these states was never seen by anybody.
UNSEEN = frozenset({"dropped"})


_ASKED = Values(bindparam("ids", "", type_=String)).table_valued("value", name="asked")
_WANTED = _ASKED.join(shift_, shift_.c.id == cast(_ASKED.c.value, Integer))
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


#: What is asked at every look whatever the days: whether any way between places is known at all - so it is where a router
#: is asked -, the company, and what was learned.
_ALWAYS = (
    exists(select(travel_.c.minutes)),
    *(select(column).limit(1).scalar_subquery() for column in COMPANY),
    NEWEST.scalar_subquery(),
)
_BESIDE = Plain(select(*_ALWAYS))


def _standing(sign: Any, *more: Any) -> Plain:
    """Some days as they stand, and `more` with each of them."""
    return Plain(
        select(
            *SHIFT.expressions,
            sign,
            cast(shift_.c.date, String),
            forecast_.c.packed,
            cast(forecast_.c.marks, String),
            *more,
        ).select_from(
            _WANTED.join(technician_, technician_.c.id == shift_.c.technician_id)
            .outerjoin(home_, home_.c.id == technician_.c.home_place_id)
            .outerjoin(forecast_, forecast_.c.shift_id == shift_.c.id)
        ),
        "ids",
    )


#: A tap's day has all in one question, and is spared the one for news where nothing was said; where there are many,
#: what is the same for all of them is asked once, and news in one question for everybody.
_UNSIGNED = _standing(
    null(), *_ALWAYS, exists(select(notice_.c.id).where(MINE, notice_.c.visit_id == visit_.c.id, SAID))
)
_SIGNED = _standing(SIGN)
#: Where these are in a row of them.
ID = SHIFT.names.index("id")
SIGN_OF, DATE, PACKED, MARKS, ALWAYS = range(len(SHIFT), len(SHIFT) + 5)
SAID_OF = ALWAYS + len(_ALWAYS)
_MADE = (
    _WANTED.join(visit_, MINE)
    .join(customer_, customer_.c.id == visit_.c.customer_id)
    .outerjoin(place_, place_.c.id == visit_.c.place_id)
)
_VISITS = Plain(
    select(*VISIT.expressions).select_from(_MADE).where(visit_.c.state != "cancelled").order_by(*IN_ORDER), "ids"
)
#: What may change without a sign on the visit, beside the ways: where it is, and whether its customer can be reached.
HIDDEN = VISIT.only("lat", "lon", "shift", "id", "place", "mailed", "texted")
_HIDDEN = Plain(select(*HIDDEN.expressions).select_from(_MADE).where(visit_.c.state != "cancelled"), "ids")
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
#: Many of these are a column in which nothing has happened yet.
_NEVER = np.array(np.nan)


class Stood(NamedTuple):
    """Some days as the driver gives them: shift and home, the sign of all its visits, the date, and what was kept of the
    last look; and what is the same for all: whether ways are known, the company's rules and zone, what was learned."""

    days: list[tuple[Any, ...]]
    beside: tuple[Any, ...]


#: Of no days.
_NOBODY = (False, None, None, None)


@frozen()
class Seen:
    """Some shifts as they stand, and what was kept of their last look.

    `version` [rows] is the promise's. By day: what `stood` in the database (see days_as_they_stand), its `dates`, `packed`
    and `marks` (JSON) as the last look left them, and when a dispatcher `answered` for the technician (minutes, NaN:
    nobody did). `company`: its rules and zone; `learned`: the newest learned state (None: nothing was learned yet).
    """

    days: Days
    stands: Stands
    kept: Kept
    version: Ints
    stood: Stood
    dates: list[date]
    packed: list[bytes | None]
    marks: list[str | None]
    answered: Floats
    company: tuple[Rules, str]
    learned: int | None


def days_as_they_stand(s: Session, shift_ids: Collection[int], *, signed: bool = True) -> Stood:
    """Some days in order of id. Two that are equal, beside the same, are of the same day, about which nobody has said
    anything in between - where they are `signed`, which takes a look at all visits."""
    c = s.connection()
    found = (_SIGNED if signed else _UNSIGNED).rows(c, ids=listed(sorted(set(shift_ids))))
    found.sort(key=itemgetter(ID))
    if signed:
        return Stood(found, _BESIDE.rows(c)[0])
    return Stood(found, found[0][ALWAYS:SAID_OF] if found else _NOBODY)


def see(
    s: Session,
    shift_ids: Collection[int],
    memory: Memory | None = None,
    at: datetime | None = None,
    *,
    signed: bool = True,
) -> Seen:
    """Some shifts with everything the watch decides from, in order of id; three statements, or two.

    With a `memory`, visits are read only of the days that have changed since it was last asked, a minute before `at`.
    They need not be `signed` where nobody will ask later whether they have changed.
    """
    c, stood = s.connection(), days_as_they_stand(s, shift_ids, signed=signed)
    found, (routed, *company, newest) = stood
    of_shift, named = SHIFT.table(found), [r[ID] for r in found]
    shift = of_shift.columns()
    spoken = named if signed else [r[ID] for r in found if r[SAID_OF]]
    # Before the visits: its index was just read for the signs.
    news = _NEWS.rows(c, ids=listed(spoken)) if spoken else []
    if memory is None or at is None:
        visit = _visits(c, named).columns()
        days = days_of(shift, visit)
        if routed:
            days.travel[:] = travel(c, days, shift.home)
    else:
        read = partial(_visits_with_ways, c, of_shift) if routed else partial(_visits, c)
        other = partial(_other, c, of_shift if routed else None)
        visit = memory.rows(named, [r[SIGN_OF] for r in found], at, read, other).columns()
        days = days_of(shift, visit)
    told = _news(news, days, visit.version)
    texts = bool(c.get_execution_options().get("texts", False))
    packed, marks = [r[PACKED] for r in found], [r[MARKS] for r in found]
    stands = Stands(
        state=visit.state,
        reachable=visit.mailed | visit.texted if texts else visit.mailed,
        held=told.held,
        since=_since(days, visit.version, marks),
        set_out=told.set_out,
        told=told.told,
        told_start=told.start,
        told_end=told.end,
        off=shift.off,
        nudged=shift.nudged,
    )
    return Seen(
        days=days,
        stands=stands,
        kept=beside(days, packed),
        version=visit.version,
        stood=stood,
        dates=[date.fromisoformat(r[DATE]) for r in found],
        packed=packed,
        marks=marks,
        answered=told.answered,
        company=company_of(*company),
        learned=newest,
    )


def _visits(c: Connection, ids: Sequence[int]) -> Table:
    """The visits of some shifts, in order."""
    return VISIT.table(_VISITS.rows(c, ids=listed(ids)) if len(ids) else [])


def _visits_with_ways(c: Connection, shift: Table, ids: Sequence[int]) -> Table:
    """The visits of some of these shifts, in order, with the way into each."""
    visit = _visits(c, ids)
    visit["travel"][:] = _ways(c, shift, ids, visit)
    return visit


def _ways(c: Connection, shift: Table, ids: Sequence[int], visit: Table) -> Floats:
    """The way into each of these visits, all those of some of these shifts."""
    some = (shift if len(ids) == len(shift) else shift.rows(shift["id"].searchsorted(ids))).columns()
    return travel(c, days_of(some, visit.columns()), some.home)


def _other(c: Connection, shift: Table | None, ids: list[int], visit: Table) -> list[int]:
    """Those of some shifts, whose sign has not changed, of which these remembered visits are not true any more; `shift`:
    where ways are known."""
    now = HIDDEN.table(_HIDDEN.rows(c, ids=listed(ids)))
    now, was = now.rows(np.argsort(now["id"])), visit.rows(np.argsort(visit["id"]))
    if len(now) != len(was):
        return ids
    differs = [now["shift"][_differs(now[name], was[name])] for name in HIDDEN.names]
    if shift is not None:
        differs.append(visit["shift"][_differs(visit["travel"], _ways(c, shift, ids, visit))])
    return [int(i) for i in np.unique(np.concatenate(differs))]


def _differs(one: Floats, other: Floats) -> Bools:
    return np.asarray((one != other) & ((one == one) | (other == other)))


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
        self.held, self.set_out, self.told = np.zeros((3, days.rows), dtype=np.bool_)
        self.at, self.start, self.end = _NEVER.repeat(3 * days.rows).reshape(3, -1)
        self.answered = _NEVER.repeat(len(days))

    def add(self, d: int, row: int, r: tuple[Any, ...], live: bool, version: Ints) -> None:
        _, _, _, at, start, end, resolved, sent_start, sent_end, sent_at = r[: len(_TOLD)]
        key, decision, kind, sent_kind, resolved_by, _ = r[len(_TOLD) :]
        if decision == "task":
            if resolved is not None and resolved_by != "report":
                self.answered[d] = np.fmax(self.answered[d], resolved)
        elif row < 0:
            return
        elif decision == "hold":
            self.held[row] = resolved is None
        elif live:
            self.set_out[row] |= kind == "on_my_way"
            if key.split(":")[1:2] == [str(version[row])] and not at <= self.at[row]:
                newest = sent_kind == kind and sent_start is not None and sent_at is not None and sent_at >= at
                self.told[row], self.at[row] = True, at
                self.start[row], self.end[row] = (sent_start, sent_end) if newest else (start, end)


def _since(days: Days, version: Ints, marks: Sequence[str | None]) -> Floats:
    """Since when rows have been over the limit, of the present promise; NaN for those that were not at the last look."""
    since = _NEVER.repeat(days.rows)
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
