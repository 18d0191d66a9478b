"""Finished visits as columns, a piece a date: what there is to learn from, and which dates have changed since."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.core.day import Day, Days, Floats, Place, Visit, Window, minutes
from punctual.core.packed import from_bytes, of_days, to_bytes
from punctual.models import Import, LearnedDay, Shift, Technician
from punctual.models import Place as PlaceRow
from punctual.models import Visit as VisitRow
from punctual.queries import day as days

place_, shift_, visit_, technician_ = PlaceRow.__table__, Shift.__table__, VisitRow.__table__, Technician.__table__
home_, learned_ = place_.alias("home"), LearnedDay.__table__
#: States of a visit at which the customer kept it from being done.
FAILED = ("nobody_home", "cannot_finish")
_DONE = (visit_.c.state == "done", visit_.c.arrived_at.is_not(None), visit_.c.finished_at.is_not(None))


@dataclass(frozen=True, slots=True)
class Past:
    """One date: its finished visits, and for each the minutes that visits nobody could finish cost right before it."""

    days: Days
    lost: Floats

    def to_bytes(self) -> bytes:
        """As it is kept; places are rounded."""
        return to_bytes(from_bytes(of_days(self.days)) | {"lost": self.lost})


def past_from(data: bytes) -> Past:
    """The inverse of Past.to_bytes."""
    columns = from_bytes(data)
    lost = columns.pop("lost")
    return Past(Days(**columns), lost)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a date that was learned: when, from how many visits, and whether it is to be forgotten."""

    at: datetime
    visits: int
    format: int
    forgotten: bool
    marked_at: datetime | None


def kept(s: Session, before: date) -> dict[date, Kept]:
    """Every date before that one that was learned or marked."""
    wanted = (getattr(learned_.c, name) for name in ("date", "at", "visits", "format", "forgotten", "marked_at"))
    rows = s.connection().execute(select(*wanted).where(learned_.c.date < before))
    return {r.date: Kept(r.at, r.visits, r.format, r.forgotten, r.marked_at) for r in rows}


def pieces(s: Session, dates: Collection[date], column: str) -> dict[date, bytes]:
    """One packed column, "columns" or "looks", of some learned dates."""
    if not dates:
        return {}
    rows = s.connection().execute(select(learned_.c.date, learned_.c[column]).where(learned_.c.date.in_(dates)))
    return {on: bytes(data) for on, data in rows}


def imported_since(s: Session, at: datetime) -> bool:
    """Whether a file was taken after that instant: it may have brought history of any date."""
    return s.scalar(select(Import.id).where(Import.at >= at).limit(1)) is not None


def counted(s: Session, since: date | None, before: date) -> dict[date, tuple[int, datetime]]:
    """Finished visits and the newest change, by date, from `since` (None: the beginning) to the day before `before`."""
    rows = s.connection().execute(
        select(visit_.c.date, func.count().label("visits"), func.max(visit_.c.changed_at).label("changed"))
        .where(*_DONE, visit_.c.technician_id.is_not(None), visit_.c.date < before)
        .where(visit_.c.date >= since if since is not None else visit_.c.date.is_not(None))
        .group_by(visit_.c.date)
    )
    return {r.date: (r.visits, r.changed) for r in rows}


def past(s: Session, dates: Collection[date]) -> dict[date, Past]:
    """The finished visits of some dates, in the order they were made; cancelled visits are left out."""
    if not dates:
        return {}
    rows = s.connection().execute(
        select(
            visit_.c.id, visit_.c.technician_id, visit_.c.date, visit_.c.job_type_id, visit_.c.planned_start,
            visit_.c.planned_min, visit_.c.window_start, visit_.c.window_end, visit_.c.arrived_at, visit_.c.finished_at,
            visit_.c.on_my_way_at, visit_.c.late_min, visit_.c.late_at, visit_.c.state, place_.c.lat, place_.c.lon,
            place_.c.id.label("place_id"), shift_.c.starts_at, shift_.c.ends_at, shift_.c.break_starts_at,
            shift_.c.break_ends_at, home_.c.id.label("home_id"), home_.c.lat.label("home_lat"),
            home_.c.lon.label("home_lon"),
        )
        .select_from(
            visit_.join(technician_, technician_.c.id == visit_.c.technician_id)
            .outerjoin(place_, place_.c.id == visit_.c.place_id)
            .outerjoin(home_, home_.c.id == technician_.c.home_place_id)
            .outerjoin(shift_, (shift_.c.technician_id == visit_.c.technician_id) & (shift_.c.date == visit_.c.date))
        )
        .where(visit_.c.date.in_(dates), visit_.c.finished_at.is_not(None), visit_.c.arrived_at.is_not(None))
        .where(visit_.c.state.in_(("done", *FAILED)))
        .order_by(visit_.c.date, visit_.c.technician_id, visit_.c.arrived_at, visit_.c.id)
    )  # fmt: skip
    return {on: _past(s, group) for on, group in groupby(rows.all(), lambda r: r.date)}


def _past(s: Session, rows: Iterable[Any]) -> Past:
    found: list[Day] = []
    lost: list[float] = []
    for _, group in groupby(rows, lambda r: r.technician_id):
        of_day = list(group)
        done = [r for r in of_day if r.state == "done"]
        if done:
            found.append(_day(of_day[0], done))
            lost += _lost(of_day)
    return Past(days.packed(s, found), np.asarray(lost, dtype=np.float64))


def _lost(rows: Iterable[Any]) -> list[float]:
    """For each finished visit the minutes beyond plan at visits that could not be finished right before it."""
    found, now = [], 0.0
    for r in rows:
        if r.state == "done":
            found.append(now)
            now = 0.0
        else:
            now += max(0.0, minutes(r.finished_at) - minutes(r.arrived_at) - r.planned_min)
    return found


def _day(first: Any, rows: list[Any]) -> Day:
    last = rows[-1]
    shift = Window(
        first.starts_at or first.planned_start,
        first.ends_at or max(last.finished_at, first.starts_at or first.planned_start),
    )
    rest = None
    if first.break_starts_at is not None and first.break_ends_at is not None:
        rest = Window(first.break_starts_at, first.break_ends_at)
    home = Place(first.home_lat, first.home_lon, first.home_id) if first.home_lat is not None else None
    return Day(0, first.technician_id, first.date, shift, tuple(_visit(r) for r in rows), rest, home)


def _degrees(value: float | None) -> float:
    return np.nan if value is None else value


def _visit(r: Any) -> Visit:
    return Visit(
        id=r.id,
        job_type=r.job_type_id,
        planned_start=r.planned_start,
        planned_min=r.planned_min,
        window=Window(r.window_start, r.window_end),
        place=None if r.place_id is None else Place(_degrees(r.lat), _degrees(r.lon), r.place_id),
        state="done",
        on_my_way_at=r.on_my_way_at,
        arrived_at=r.arrived_at,
        finished_at=r.finished_at,
        late_min=r.late_min,
        late_at=r.late_at,
    )
