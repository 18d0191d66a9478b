"""Shifts and their visits as numbers, and those as Days: what is read of each for everybody who works with many at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import Connection, case, func, null, text

from punctual.core.day import Days, Floats, Ints
from punctual.core.sift import STATES
from punctual.models import Customer, Plain, Shift
from punctual.models import Place as PlaceRow
from punctual.models import Visit as VisitRow
from punctual.queries.numbers import Moment, Numbers, listed

shift_, visit_, customer_, place_ = Shift.__table__, VisitRow.__table__, Customer.__table__, PlaceRow.__table__
home_ = place_.alias("home")

MINE = (visit_.c.technician_id == shift_.c.technician_id) & (visit_.c.date == shift_.c.date)
_rests = shift_.c.break_starts_at.is_not(None) & shift_.c.break_ends_at.is_not(None)
_at_home = home_.c.lat.is_not(None) & home_.c.lon.is_not(None)
_placed = place_.c.lat.is_not(None) & place_.c.lon.is_not(None)

SHIFT = Numbers(
    floats={
        "start": Moment(shift_.c.starts_at),
        "end": Moment(shift_.c.ends_at),
        "rest": Moment(case((_rests, shift_.c.break_starts_at))),
        "rest_end": Moment(case((_rests, shift_.c.break_ends_at))),
        "nudged": Moment(shift_.c.nudged_at),
        "home_lat": case((_at_home, home_.c.lat)),
        "home_lon": case((_at_home, home_.c.lon)),
    },
    whole={"id": shift_.c.id, "technician": shift_.c.technician_id, "home": func.coalesce(home_.c.id, 0)},
    flags={"off": shift_.c.off != ""},
)
_AMONG = case({"arrived": 1, "on_my_way": 2, "planned": 3}, value=visit_.c.state, else_=0)
_WHEN = case(
    {"planned": visit_.c.planned_start, "on_my_way": visit_.c.on_my_way_at},
    value=visit_.c.state,
    else_=visit_.c.arrived_at,
)
#: Day by day, visits come in the order in which they are made: what is over, by state, then the one under way, then the plan.
IN_ORDER = (
    shift_.c.id,
    _AMONG,
    func.coalesce(_WHEN, visit_.c.finished_at, visit_.c.planned_start),
    visit_.c.id,
)
VISIT = Numbers(
    floats={
        "planned": Moment(visit_.c.planned_start),
        "window": Moment(visit_.c.window_start),
        "window_end": Moment(visit_.c.window_end),
        "on_my_way": Moment(visit_.c.on_my_way_at),
        "arrived": Moment(visit_.c.arrived_at),
        "finished": Moment(visit_.c.finished_at),
        "late_at": Moment(visit_.c.late_at),
        "deadline": Moment(visit_.c.deadline),
        "planned_min": visit_.c.planned_min,
        "late_min": visit_.c.late_min,
        "lat": case((_placed, place_.c.lat)),
        "lon": case((_placed, place_.c.lon)),
        "travel": null(),
    },
    whole={
        "shift": shift_.c.id,
        "id": visit_.c.id,
        "job_type": visit_.c.job_type_id,
        "place": func.coalesce(place_.c.id, 0),
        "version": visit_.c.promise_version,
        "state": case({name: code for code, name in enumerate(STATES)}, value=visit_.c.state),
    },
    flags={
        "deadline_arrive": visit_.c.deadline_kind == "arrive",
        "early_ok": visit_.c.early_ok,
        "mailed": (func.coalesce(customer_.c.email, "") != "") & (customer_.c.email_bad == ""),
        "texted": (func.coalesce(customer_.c.phone, "") != "") & (customer_.c.phone_bad == ""),
    },
)
#: What is read of a visit where nobody is told anything.
STOP = VISIT.without("mailed", "texted")
#: Both ends of a way as one number: the text of a pair would be taken apart twice for each.
_WAYS = {
    dialect: Plain(text(f"{sql} JOIN travel AS t ON t.from_place = w.way >> 32 AND t.to_place = w.way & 4294967295")
                   .bindparams(ways=""), "ways")
    for dialect, sql in {
        "sqlite": "SELECT t.minutes, w.key FROM (SELECT key, value AS way FROM json_each(:ways)) AS w CROSS",
        "postgresql": "SELECT t.minutes, w.key - 1 FROM (SELECT key, CAST(value AS bigint) AS way FROM"
        " json_array_elements_text(CAST(:ways AS json)) WITH ORDINALITY AS each (value, key)) AS w",
    }.items()
}  # fmt: skip
_WAY = Numbers(floats={"minutes": None}, whole={"which": None}, flags={})


def days_of(shift: Any, visit: Any) -> Days:
    """Days from columns of SHIFT in order of id, and of VISIT as IN_ORDER has them."""
    offset = np.zeros(len(shift.id) + 1, dtype=np.int64)
    offset[1:] = visit.shift.searchsorted(shift.id, side="right")
    return Days(
        offset=offset,
        day_id=shift.id,
        technician=shift.technician,
        shift_start=shift.start,
        shift_end=shift.end,
        break_start=shift.rest,
        break_end=shift.rest_end,
        home_lat=shift.home_lat,
        home_lon=shift.home_lon,
        visit_id=visit.id,
        job_type=visit.job_type,
        planned_start=visit.planned,
        planned_min=visit.planned_min,
        window_start=visit.window,
        window_end=visit.window_end,
        lat=visit.lat,
        lon=visit.lon,
        place_id=visit.place,
        on_my_way=visit.on_my_way,
        arrived=visit.arrived,
        finished=visit.finished,
        late_min=visit.late_min,
        late_at=visit.late_at,
        deadline=visit.deadline,
        deadline_arrive=visit.deadline_arrive,
        early_ok=visit.early_ok,
        travel=visit.travel,
    )


def travel(c: Connection, days: Days, home: Ints) -> Floats:
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
    homes = np.where(np.isnan(days.home_lat), 0, home)
    start = np.where(inside, days.place_id[np.maximum(before, 0)], homes[day_of])
    wanted = np.flatnonzero((start > 0) & known & np.isnan(days.arrived) & np.isnan(days.finished))
    if len(wanted):
        ways = listed((start[wanted] << 32 | days.place_id[wanted]).tolist())
        found = _WAY.table(_WAYS[c.dialect.name].rows(c, ways=ways)).columns()
        out[wanted[found.which]] = found.minutes
    return out
