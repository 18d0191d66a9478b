"""Rows to free times: whose days have room for a visit, and a few of those times to offer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core.day import OVER, Window, instant, local, minutes
from punctual.core.forecast import VisitForecast
from punctual.core.slot import Opening, Slot, Stop, diverse, fits, grid
from punctual.models import Place, Shift, SlotClaim, Technician, Visit
from punctual.queries import day as days

#: A free time begins at least this long from now: somebody has to get there.
LEAD = timedelta(minutes=30)


def free(s: Session, visit_id: int, *, at: datetime, only: tuple[int, datetime] | None = None) -> list[Slot]:
    """Every start on the grid within the company's offer days that keeps every other promise on the plan.

    `only` asks about one technician and start. Today's predicted lateness counts; the visit's present place in its
    day does not.
    """
    visit = s.get_one(Visit, visit_id)
    rules = days.rules(s)
    today = local(at, visit.zone).date()
    shifts = _shifts(s, visit, today, today + timedelta(days=rules.offer_days), only)
    if not shifts:
        return []
    visits = _visits(s, shifts, visit.id)
    holds = _holds(s, shifts, visit.id, at)
    forecasts = days.forecasts(s, [x.id for x in shifts if x.date == today])
    homes = dict(_homes(s, {x.technician_id for x in shifts}))
    place = visit.place
    lat = place.lat if place and place.lat is not None else np.nan
    lon = place.lon if place and place.lon is not None else np.nan
    found = []
    for shift in shifts:
        stops = [_stop(v, forecasts.get(v.id)) for v in visits[(shift.technician_id, shift.date)]]
        stops += [_held(c) for c in holds[shift.technician_id] if shift.starts_at <= c.starts_at < shift.ends_at]
        if shift.break_starts_at and shift.break_ends_at:
            rest = minutes(shift.break_starts_at)
            stops.append(Stop(rest, minutes(shift.break_ends_at) - rest, rest + 60))
        home = homes.get(shift.technician_id)
        begin = max(shift.starts_at, at + LEAD)
        opening = Opening(
            shift.technician_id,
            minutes(begin),
            minutes(shift.ends_at),
            home.lat if home and home.lat is not None else np.nan,
            home.lon if home and home.lon is not None else np.nan,
            tuple(sorted(stops, key=lambda x: x.start)),
        )
        starts = grid(Window(begin, shift.ends_at), visit.zone, rules.grid_min) if begin < shift.ends_at else []
        if only is not None:
            starts = [t for t in starts if t == only[1]]
        for start, travel in fits(opening, lat, lon, visit.planned_min, np.array([minutes(t) for t in starts])):
            first = instant(start)
            window = Window(first, first + timedelta(minutes=rules.window_min))
            if visit.deadline is None or not _clashes(visit, first, visit.deadline):
                found.append(Slot(shift.technician_id, first, window, travel))
    return [x for x in found if x.window.start != visit.window_start or x.technician != visit.technician_id]


def _clashes(visit: Visit, start: datetime, deadline: datetime) -> bool:
    """On the day of the customer's own limit a time must keep it; other days are free of it."""
    if local(start, visit.zone).date() != local(deadline, visit.zone).date():
        return False
    end = start if visit.deadline_kind == "arrive" else start + timedelta(minutes=visit.planned_min)
    return end > deadline


def offers(s: Session, visit_id: int, *, at: datetime) -> list[Slot]:
    """A few free times that differ from one another, soonest first; empty when nothing fits."""
    visit = s.get_one(Visit, visit_id)
    today = local(at, visit.zone).date()
    return diverse(free(s, visit_id, at=at), technician=visit.technician_id, today=today, zone=visit.zone)


def still_free(s: Session, visit_id: int, technician_id: int, start: datetime, *, at: datetime) -> Slot | None:
    """The slot if that start is (still) free, asked inside the transaction that takes it."""
    found = free(s, visit_id, at=at, only=(technician_id, start))
    return found[0] if found else None


def _shifts(s: Session, visit: Visit, first: date, last: date, only: tuple[int, datetime] | None) -> list[Shift]:
    found = (
        select(Shift)
        .join(Technician, Technician.id == Shift.technician_id)
        .where(Shift.date.between(first, last), Shift.off == "", Technician.active.is_(True))
        .order_by(Shift.date, Shift.technician_id)
    )
    if only is not None:
        found = found.where(Shift.technician_id == only[0])
    skill = visit.job_type.skill
    return [x for x in s.scalars(found) if not skill or skill in x.technician.skills]


def _visits(s: Session, shifts: list[Shift], but: int) -> dict[tuple[int, date], list[Visit]]:
    found: dict[tuple[int, date], list[Visit]] = defaultdict(list)
    rows = s.scalars(
        select(Visit).where(
            Visit.technician_id.in_({x.technician_id for x in shifts}),
            Visit.date.in_({x.date for x in shifts}),
            Visit.id != but,
            Visit.state.not_in(OVER),
        )
    )
    for v in rows:
        if v.technician_id is not None:
            found[(v.technician_id, v.date)].append(v)
    return found


def _holds(s: Session, shifts: list[Shift], but: int, at: datetime) -> dict[int, list[SlotClaim]]:
    found: dict[int, list[SlotClaim]] = defaultdict(list)
    rows = select(SlotClaim).where(
        SlotClaim.technician_id.in_({x.technician_id for x in shifts}),
        SlotClaim.kind == "hold",
        SlotClaim.visit_id != but,
        SlotClaim.expires_at > at,
    )
    for c in s.scalars(rows):
        found[c.technician_id].append(c)
    return found


def _homes(s: Session, technicians: Iterable[int]) -> list[tuple[int, Place]]:
    rows = s.execute(
        select(Technician.id, Place)
        .join(Place, Place.id == Technician.home_place_id)
        .where(Technician.id.in_(list(technicians)))
    )
    return [(row[0], row[1]) for row in rows]


def _stop(visit: Visit, forecast: VisitForecast | None) -> Stop:
    """A planned visit; today it stands where it is forecast when that is later than planned."""
    start, length = minutes(visit.planned_start), visit.planned_min
    if forecast is not None:
        start = max(start, minutes(forecast.mean_arrive))
        length = max(minutes(forecast.mean_finish) - start, 5.0)
    place = visit.place
    known = place is not None and place.lat is not None and place.lon is not None
    latest = max(minutes(visit.window_end), start)
    if known and place is not None:
        return Stop(start, length, latest, float(place.lat or 0.0), float(place.lon or 0.0))
    return Stop(start, length, latest)


def _held(claim: SlotClaim) -> Stop:
    begin = minutes(claim.starts_at)
    return Stop(begin, minutes(claim.ends_at) - begin, begin)
