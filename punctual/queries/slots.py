"""Rows to free times: whose days have room for a visit, and a few of those times to offer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from punctual.core.day import OVER, Window, instant, local, minutes
from punctual.core.forecast import VisitForecast
from punctual.core.policy import Rules
from punctual.core.slot import Drives, Opening, Slot, Spot, Stop, diverse, fits, grid
from punctual.models import Place, Shift, SlotClaim, Technician, Travel, Visit
from punctual.queries import day as days

#: A free time begins at least this long from now: somebody has to get there.
LEAD = timedelta(minutes=30)
#: A break may begin this many minutes late.
BREAK_LATE = 60.0


@dataclass(frozen=True, slots=True)
class _Room:
    """What is known of the days that might take a visit."""

    visit: Visit
    rules: Rules
    at: datetime
    visits: dict[tuple[int, date], list[Visit]]
    claims: dict[int, list[SlotClaim]]
    forecasts: dict[int, VisitForecast]
    homes: dict[int, Place]
    drives: Drives


def free(s: Session, visit_id: int, *, at: datetime, only: tuple[int, datetime] | None = None) -> list[Slot]:
    """Every start on the grid within the company's offer days that keeps every other promise on the plan.

    `only` asks about one technician and start. Today's predicted lateness counts; the visit's present place in its
    day does not. What another visit has claimed is not free, wherever that visit stands by now.
    """
    visit = s.get_one(Visit, visit_id)
    rules = days.rules(s)
    today = local(at, visit.zone).date()
    shifts = _shifts(s, visit, today, today + timedelta(days=rules.offer_days), only)
    if not shifts:
        return []
    technicians = {x.technician_id for x in shifts}
    visits = _visits(s, technicians, {x.date for x in shifts}, visit.id)
    homes = _homes(s, technicians)
    room = _Room(
        visit=visit,
        rules=rules,
        at=at,
        visits=visits,
        claims=_claims(s, technicians, visit.id, at),
        forecasts=days.forecasts(s, [x.id for x in shifts if x.date <= today]),
        homes=homes,
        drives=_drives(s, visit, [v for some in visits.values() for v in some], homes.values()),
    )
    found = [slot for shift in shifts for slot in _of_shift(room, shift, only)]
    return [x for x in found if x.window.start != visit.window_start or x.technician != visit.technician_id]


def _of_shift(room: _Room, shift: Shift, only: tuple[int, datetime] | None) -> list[Slot]:
    begin = max(shift.starts_at, room.at + LEAD)
    if begin >= shift.ends_at:
        return []
    visit, long = room.visit, timedelta(minutes=room.rules.window_min)
    starts = grid(Window(begin, shift.ends_at), visit.zone, room.rules.grid_min)
    if only is not None:
        starts = [t for t in starts if t == only[1]]
    claims = room.claims[shift.technician_id]
    found = []
    for start, drive in fits(
        _opening(room, shift), _spot(visit.place), visit.planned_min, [minutes(t) for t in starts], room.drives
    ):
        first = instant(start)
        begins, ends = first - timedelta(minutes=drive), first + timedelta(minutes=visit.planned_min)
        claimed = any(c.starts_at < ends and begins < c.ends_at for c in claims)
        if not claimed and not _clashes(visit, Window(first, first + long)):
            found.append(Slot(shift.technician_id, first, Window(first, first + long), drive))
    return found


def _opening(room: _Room, shift: Shift) -> Opening:
    """A shift as room: its visits as planned - today as forecast - its break, and what others hold for a moment."""
    rows = room.visits[(shift.technician_id, shift.date)]
    stops = [_stop(v, room.forecasts.get(v.id), room.at) for v in rows if v.state not in OVER]
    for c in room.claims[shift.technician_id]:
        if c.kind == "hold" and shift.starts_at <= c.starts_at < shift.ends_at:
            begin = minutes(c.planned_start)
            stops.append(Stop(begin, minutes(c.ends_at) - begin, minutes(c.window_end)))
    if shift.break_starts_at and shift.break_ends_at:
        rest = minutes(shift.break_starts_at)
        stops.append(Stop(rest, minutes(shift.break_ends_at) - rest, rest + BREAK_LATE))
    made = [v for v in rows if v.state in OVER and v.state != "cancelled" and v.finished_at is not None]
    last = max(made, key=lambda v: v.finished_at or room.at).place if made else room.homes.get(shift.technician_id)
    return Opening(
        technician=shift.technician_id,
        earliest=minutes(max(shift.starts_at, room.at)),
        shift_end=minutes(shift.ends_at),
        spot=_spot(last),
        stops=tuple(sorted(stops, key=lambda x: x.start)),
    )


def _clashes(visit: Visit, window: Window) -> bool:
    """On the day of the customer's own limit a time must keep it, at the latest of its window; other days are free."""
    limit = visit.deadline
    if limit is None or local(window.start, visit.zone).date() != local(limit, visit.zone).date():
        return False
    work = 0.0 if visit.deadline_kind == "arrive" else visit.planned_min
    return window.end + timedelta(minutes=work) > limit


def offers(s: Session, visit_id: int, *, at: datetime, most: int = 6) -> list[Slot]:
    """A few free times that differ from one another, soonest first; empty when nothing fits."""
    visit = s.get_one(Visit, visit_id)
    today = local(at, visit.zone).date()
    found = free(s, visit_id, at=at)
    return diverse(found, technician=visit.technician_id, today=today, zone=visit.zone, most=most)


def still_free(s: Session, visit_id: int, technician_id: int, start: datetime, *, at: datetime) -> Slot | None:
    """The slot if that start is (still) free, asked inside the transaction that takes it."""
    found = free(s, visit_id, at=at, only=(technician_id, start))
    return found[0] if found else None


def _shifts(s: Session, visit: Visit, first: date, last: date, only: tuple[int, datetime] | None) -> list[Shift]:
    found = (
        select(Shift)
        .join(Shift.technician)
        .options(joinedload(Shift.technician))
        .where(Shift.date.between(first, last), Shift.off == "", Technician.active.is_(True))
        .order_by(Shift.date, Shift.technician_id)
    )
    if only is not None:
        on = local(only[1], visit.zone).date()
        near = (on - timedelta(days=1), on + timedelta(days=1))  # a shift may belong to the neighbour's date elsewhere
        found = found.where(Shift.technician_id == only[0], Shift.date.between(*near))
    skill = visit.job_type.skill
    return [x for x in s.scalars(found) if not skill or skill in x.technician.skills]


def _visits(
    s: Session, technicians: Collection[int], dates: Collection[date], but: int
) -> dict[tuple[int, date], list[Visit]]:
    found: dict[tuple[int, date], list[Visit]] = defaultdict(list)
    rows = s.scalars(
        select(Visit)
        .options(joinedload(Visit.place))
        .where(Visit.technician_id.in_(technicians), Visit.date.in_(dates), Visit.id != but)
        .execution_options(populate_existing=True)
    )
    for v in rows:
        if v.technician_id is not None:
            found[(v.technician_id, v.date)].append(v)
    return found


def _claims(s: Session, technicians: Collection[int], but: int, at: datetime) -> dict[int, list[SlotClaim]]:
    """Claims that stand: of other visits that are still to be made, holds that have not run out."""
    found: dict[int, list[SlotClaim]] = defaultdict(list)
    rows = (
        select(SlotClaim)
        .join(Visit, Visit.id == SlotClaim.visit_id)
        .where(
            SlotClaim.technician_id.in_(technicians),
            SlotClaim.visit_id != but,
            SlotClaim.ends_at > at,
            SlotClaim.exempt.is_(False),
            Visit.state.not_in(OVER),
            or_(SlotClaim.kind != "hold", SlotClaim.expires_at > at),
        )
        .execution_options(populate_existing=True)
    )
    for c in s.scalars(rows):
        found[c.technician_id].append(c)
    return found


def _homes(s: Session, technicians: Collection[int]) -> dict[int, Place]:
    rows = s.execute(
        select(Technician.id, Place)
        .join(Place, Place.id == Technician.home_place_id)
        .where(Technician.id.in_(technicians))
    )
    return {row[0]: row[1] for row in rows}


def _drives(s: Session, visit: Visit, visits: Iterable[Visit], homes: Iterable[Place]) -> Drives:
    """Drives the travel table has between the places at hand."""
    ids = {v.place_id for v in visits if v.place_id} | {p.id for p in homes}
    if visit.place_id:
        ids.add(visit.place_id)
    rows = s.execute(
        select(Travel.from_place, Travel.to_place, Travel.minutes).where(
            Travel.from_place.in_(ids), Travel.to_place.in_(ids)
        )
    )
    return {(a, b): float(m) for a, b, m in rows}


def _spot(place: Place | None) -> Spot:
    if place is None or place.lat is None or place.lon is None:
        return Spot()
    return Spot(place.lat, place.lon, place.id)


def _stop(visit: Visit, forecast: VisitForecast | None, at: datetime) -> Stop:
    """A planned visit; where there is a forecast it stands where it is expected, if that is later than planned.

    A visit under way comes before everything that could be offered.
    """
    start, length = minutes(visit.planned_start), visit.planned_min
    if forecast is not None:
        start = max(start, minutes(forecast.mean_arrive))
        if visit.state in ("on_my_way", "arrived"):
            start = min(start, minutes(at))
        length = max(minutes(forecast.mean_finish) - start, 5.0)
    return Stop(start, length, max(minutes(visit.window_end), start), _spot(visit.place))
