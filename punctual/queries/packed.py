"""Dates packed for the search: everybody's days as columns and their gaps, kept as long as a date's board version stands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import Date, Integer, Select, String, bindparam, cast, select
from sqlalchemy.orm import Session

from punctual.core.day import Days, Ints, minutes
from punctual.core.duration import Learned
from punctual.core.room import Gaps, gaps
from punctual.core.splice import joined
from punctual.models import WRITER, BoardVersion, Plain, Technician, touched
from punctual.queries.numbers import Values, listed
from punctual.queries.visits import IN_ORDER, MINE, SHIFT, STOP, days_of, home_, place_, shift_, travel, visit_

technician_, version_ = Technician.__table__, BoardVersion.__table__

_FIRST, _LAST = bindparam("first", None, type_=Date), bindparam("last", None, type_=Date)
_ASKED = Values(bindparam("who", "", type_=String)).table_valued("value", name="asked")


def _of(statement: Select[Any]) -> tuple[Plain, Plain]:
    """For everybody who works on some dates in a row, and for some of them."""
    there = statement.where(shift_.c.date.between(_FIRST, _LAST), shift_.c.off == "")
    some = there.where(shift_.c.technician_id.in_(select(cast(_ASKED.c.value, Integer))))
    return Plain(there, "first", "last"), Plain(some, "first", "last", "who")


_SHIFTS, _MY_SHIFTS = _of(
    select(*SHIFT.expressions)
    .select_from(
        shift_.join(technician_, technician_.c.id == shift_.c.technician_id).outerjoin(
            home_, home_.c.id == technician_.c.home_place_id
        )
    )
    .order_by(shift_.c.id)
)
_VISITS, _MY_VISITS = _of(
    select(*STOP.expressions)
    .select_from(shift_.join(visit_, MINE).outerjoin(place_, place_.c.id == visit_.c.place_id))
    .where(visit_.c.state != "cancelled")
    .order_by(*IN_ORDER)
)
_VERSIONS = Plain(
    select(version_.c.date, version_.c.version).where(version_.c.date.between(_FIRST, _LAST)), "first", "last"
)


@dataclass(frozen=True, slots=True)
class Packed:
    """One date: what it was made from, everybody's days in order of id, and their gaps, the one with most room first."""

    key: tuple[Any, ...]
    learned: Learned
    days: Days
    gaps: Gaps


#: By (database, date): good as long as none of what it was made from has changed.
_kept: dict[tuple[str, date], Packed] = {}


def read(s: Session, first: date, last: date, technicians: Collection[int] | None = None) -> Days:
    """The days of dates in a row on which somebody works - some technicians, or everybody - as they are this moment."""
    c, values = s.connection(), {"first": first, "last": last}
    if technicians is None:
        shift = SHIFT.table(_SHIFTS.rows(c, **values)).columns()
        visit = STOP.table(_VISITS.rows(c, **values))
    else:
        who = listed(sorted(technicians))
        shift = SHIFT.table(_MY_SHIFTS.rows(c, **values, who=who)).columns()
        visit = STOP.table(_MY_VISITS.rows(c, **values, who=who))
    visit = visit.rows(np.isin(visit["shift"], shift.id))  # a writer may see a shift come between the two questions
    days = days_of(shift, visit.columns())
    days.travel[:] = travel(c, days, shift.home)
    return days


def dates(s: Session, which: Sequence[date], *, at: datetime, today: date, learned: Learned, z: float) -> list[Packed]:
    """Some dates in a row, packed anew where the board of the date has changed - and every minute until today.

    What a writer sees is not kept for others: it may be rolled back.
    """
    url = str(s.get_bind().engine.url)
    versions = {r.date: r.version for r in _VERSIONS.all(s.connection(), first=which[0], last=which[-1])}
    writing = s.info.get(WRITER, False)
    if not writing:
        for gone in [k for k in _kept if k[0] == url and k[1] < which[0]]:
            _kept.pop(gone, None)
    made = []
    for on in which:
        minute = at.replace(second=0, microsecond=0) if on <= today else None
        key = (versions.get(on, 0), id(learned), z, minute)
        have = _kept.get((url, on))
        if have is None or have.key != key or on in touched(s):
            days = read(s, on, on)
            have = Packed(key, learned, days, gaps(days, learned, minutes(at), z))
            if not writing:
                _kept[(url, on)] = have
        made.append(have)
    return made


def chosen(parts: Sequence[Days], shifts: Ints) -> tuple[Days, Ints]:
    """The days of some shifts, and which of them each shift's is; of a day that is in two parts, the latter's."""
    ids, ends = np.concatenate([days.day_id for days in parts]), np.cumsum([len(days) for days in parts])
    order = np.argsort(ids, kind="stable")
    at, which = np.unique(order[ids.searchsorted(shifts, side="right", sorter=order) - 1], return_inverse=True)
    cuts = [0, *at.searchsorted(ends).tolist()]
    pieces = zip(parts, ends.tolist(), pairwise(cuts), strict=True)
    return joined([(days, at[a:b] - end + len(days)) for days, end, (a, b) in pieces if b > a]), which
