"""Finished visits as columns: what there is to learn from."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core.day import Day, Days, Place, Visit, Window, pack
from punctual.models import Place as PlaceRow
from punctual.models import Shift, Technician
from punctual.models import Visit as VisitRow

place_, shift_, visit_, technician_ = PlaceRow.__table__, Shift.__table__, VisitRow.__table__, Technician.__table__
home_ = place_.alias("home")


def finished(s: Session, until: datetime) -> Days:
    """Every day before `until` that has a finished visit, in visiting order; cancelled visits are left out."""
    rows = s.execute(
        select(
            visit_.c.id, visit_.c.technician_id, visit_.c.date, visit_.c.job_type_id, visit_.c.planned_start,
            visit_.c.planned_min, visit_.c.window_start, visit_.c.window_end, visit_.c.arrived_at, visit_.c.finished_at,
            visit_.c.on_my_way_at, visit_.c.state, place_.c.lat, place_.c.lon, place_.c.id.label("place_id"),
            shift_.c.starts_at, shift_.c.ends_at, home_.c.lat.label("home_lat"), home_.c.lon.label("home_lon"),
        )
        .select_from(
            visit_.join(technician_, technician_.c.id == visit_.c.technician_id)
            .outerjoin(place_, place_.c.id == visit_.c.place_id)
            .outerjoin(home_, home_.c.id == technician_.c.home_place_id)
            .outerjoin(shift_, (shift_.c.technician_id == visit_.c.technician_id) & (shift_.c.date == visit_.c.date))
        )
        .where(visit_.c.finished_at < until, visit_.c.state == "done", visit_.c.arrived_at.is_not(None))
        .order_by(visit_.c.technician_id, visit_.c.date, visit_.c.arrived_at, visit_.c.id)
    ).all()  # fmt: skip
    days = []
    for (technician, date), group in groupby(rows, lambda r: (r.technician_id, r.date)):
        of_day = list(group)
        first, last = of_day[0], of_day[-1]
        visits = tuple(
            Visit(
                id=r.id,
                job_type=r.job_type_id,
                planned_start=r.planned_start,
                planned_min=r.planned_min,
                window=Window(r.window_start, r.window_end),
                place=Place(r.lat, r.lon, r.place_id) if r.lat is not None and r.lon is not None else None,
                state="done",
                arrived_at=r.arrived_at,
                finished_at=r.finished_at,
            )
            for r in of_day
        )
        shift = Window(
            first.starts_at or first.planned_start, last.ends_at or max(last.finished_at, first.planned_start)
        )
        home = Place(first.home_lat, first.home_lon) if first.home_lat is not None else None
        days.append(Day(0, technician, date, shift, visits, None, home))
    return pack(days)
