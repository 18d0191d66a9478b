"""Rows -> days: the only translator between the tables of a technician's day and the core's values."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import phonenumbers
from phonenumbers import timezone
from sqlalchemy import String, bindparam, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from punctual.core import kept, policy
from punctual.core.day import OVER, Day, Days, Place, Visit, Window, minutes, pack
from punctual.core.forecast import VisitForecast
from punctual.models import Company, Forecast, Plain, Shift, Technician, Travel, UtcDateTime
from punctual.models import Place as PlaceRow
from punctual.models import Visit as VisitRow

shift_, visit_, place_ = Shift.__table__, VisitRow.__table__, PlaceRow.__table__
technician_, forecast_, travel_, company_ = (
    Technician.__table__,
    Forecast.__table__,
    Travel.__table__,
    Company.__table__,
)
home_ = place_.alias("home")

#: Hours before its start and after its end in which a shift is still watched.
AROUND = timedelta(hours=12)


_IDS = shift_.c.id.in_(bindparam("ids", expanding=True))
_SHIFTS = (
    select(
        shift_.c.id,
        shift_.c.technician_id,
        shift_.c.date,
        shift_.c.starts_at,
        shift_.c.ends_at,
        shift_.c.break_starts_at,
        shift_.c.break_ends_at,
        home_.c.id.label("home_id"),
        home_.c.lat.label("home_lat"),
        home_.c.lon.label("home_lon"),
    )
    .select_from(
        shift_.join(technician_, technician_.c.id == shift_.c.technician_id).outerjoin(
            home_, home_.c.id == technician_.c.home_place_id
        )
    )
    .where(_IDS)
    .order_by(shift_.c.id)
)
_VISITS = (
    select(
        shift_.c.id.label("shift_id"),
        visit_.c.id,
        visit_.c.job_type_id,
        visit_.c.planned_start,
        visit_.c.planned_min,
        visit_.c.window_start,
        visit_.c.window_end,
        visit_.c.state,
        visit_.c.on_my_way_at,
        visit_.c.arrived_at,
        visit_.c.finished_at,
        visit_.c.late_min,
        visit_.c.late_at,
        visit_.c.deadline,
        visit_.c.deadline_kind,
        visit_.c.early_ok,
        visit_.c.promise_version,
        place_.c.id.label("place_id"),
        place_.c.lat,
        place_.c.lon,
    )
    .select_from(
        shift_.join(
            visit_, (visit_.c.technician_id == shift_.c.technician_id) & (visit_.c.date == shift_.c.date)
        ).outerjoin(place_, place_.c.id == visit_.c.place_id)
    )
    .where(_IDS, visit_.c.state != "cancelled")
)
_TRAVEL = select(travel_.c.from_place, travel_.c.to_place, travel_.c.minutes).where(
    travel_.c.from_place.in_(bindparam("origins", expanding=True)),
    travel_.c.to_place.in_(bindparam("targets", expanding=True)),
)
#: The advisory locks of this kind; PostgreSQL keeps a pair of numbers apart from every other pair.
_CLAIMS = 1
#: The company's own rules as JSON, and its zone.
COMPANY = (cast(company_.c.rules, String), company_.c.zone)
_COMPANY = Plain(select(*COMPANY).limit(1))


def lock(s: Session, shift_ids: Iterable[int]) -> None:
    """Make the writers of these days queue up.

    Everybody takes days first, then visits, then what belongs to them, boards last: who waits for whom makes no circle.
    """
    _lock(s, Shift.id, shift_ids)


def lock_visits(s: Session, visit_ids: Iterable[int], *, wait: bool = True) -> bool:
    """Make the writers of these visits queue up, after their days; False where somebody has one and we do not `wait`."""
    return _lock(s, VisitRow.id, visit_ids, wait=wait)


def one_writer(s: Session) -> bool:
    """Whether there is one writer at a time, as with SQLite; PostgreSQL has many, who lock rows."""
    return bool(s.get_bind().dialect.name != "postgresql")


def _lock(s: Session, id_: InstrumentedAttribute[int], ids: Iterable[int], *, wait: bool = True) -> bool:
    """Rows that others may go on to point at (FOR NO KEY UPDATE), in order of id."""
    if one_writer(s) or not (wanted := set(ids)):
        return True
    rows = select(id_).where(id_.in_(wanted)).order_by(id_)
    found = s.connection().execute(rows.with_for_update(key_share=True, skip_locked=not wait)).all()
    return len(found) == len(wanted)


def lock_claims(s: Session, technician_ids: Iterable[int]) -> None:
    """Make who takes time of these technicians queue up, before anything is read for it.

    An exclusion constraint is checked when the row is there already: two that overlap, put in at one moment, each wait
    for the other, and PostgreSQL ends one for a deadlock where it should be refused. So the order is days, then this,
    then claims; held until the transaction ends. SQLite has one writer anyway.
    """
    if not one_writer(s):
        for technician in sorted(set(technician_ids)):
            s.connection().execute(select(func.pg_advisory_xact_lock(_CLAIMS, technician)))


def company(s: Session) -> tuple[policy.Rules, str]:
    """The company's rules - its own values over the defaults - and its zone."""
    return company_of(*next(iter(_COMPANY.rows(s.connection())), (None, None)))


def company_of(changed: str | None, zone: str | None) -> tuple[policy.Rules, str]:
    """The same from what COMPANY reads; without a company the defaults."""
    return _rules(changed or "{}"), zone or "UTC"


@lru_cache(maxsize=16)
def _rules(changed: str) -> policy.Rules:
    """From the company's own values, as JSON."""
    return policy.rules(json.loads(changed) or {})


def rules(s: Session) -> policy.Rules:
    """The company's rules."""
    return company(s)[0]


def shift_of(s: Session, technician_id: int, on: date) -> Shift | None:
    """The shift of a technician on a date."""
    found: Shift | None = s.scalar(select(Shift).where(Shift.technician_id == technician_id, Shift.date == on))
    return found


_IN_PROGRESS = Plain(
    select(shift_.c.id)
    .where(
        shift_.c.starts_at <= bindparam("last", None, UtcDateTime),
        shift_.c.ends_at >= bindparam("first", None, UtcDateTime),
        select(visit_.c.id)
        .where(
            visit_.c.technician_id == shift_.c.technician_id,
            visit_.c.date == shift_.c.date,
            visit_.c.state.not_in(OVER),
        )
        .exists(),
    )
    .order_by(shift_.c.id),
    "first",
    "last",
)


def in_progress(s: Session, at: datetime) -> list[int]:
    """Ids of the shifts to be watched now: around their hours, with a visit that is not over."""
    return [i for (i,) in _IN_PROGRESS.rows(s.connection(), first=at - AROUND, last=at + AROUND)]


def load(s: Session, shift_ids: Collection[int]) -> list[Day]:
    """The core's days of some shifts in order of id, visits in the order they were or will be made."""
    if not shift_ids:
        return []
    connection, ids = s.connection(), {"ids": list(shift_ids)}
    shifts = connection.execute(_SHIFTS, ids).all()
    visits: dict[int, list[Any]] = {x.id: [] for x in shifts}
    for row in connection.execute(_VISITS, ids):
        visits[row.shift_id].append(row)
    return [_day(x, visits[x.id]) for x in shifts]


def columns(s: Session, shift_ids: Collection[int]) -> Days:
    """The same as columns, with travel from the travel table where it has the way."""
    return packed(s, load(s, shift_ids))


def packed(s: Session, days: Sequence[Day]) -> Days:
    """Columns of days, travel filled from the table; NaN leaves a way to the core's estimate."""
    ways = [way for d in days for way in _ways(d)]
    wanted = {way for way in ways if all(way)}
    known: dict[tuple[int, int], float] = {}
    if wanted:
        ends = {"origins": sorted({a for a, _ in wanted}), "targets": sorted({b for _, b in wanted})}
        found = s.connection().execute(_TRAVEL, ends)
        known = {(a, b): m for a, b, m in found}
    return pack(days, [known.get(way, np.nan) for way in ways])


def forecasts(s: Session, shift_ids: Collection[int]) -> dict[int, VisitForecast]:
    """The newest forecast of every visit of some shifts, by visit id; nothing for a shift not looked at yet."""
    if not shift_ids:
        return {}
    found: dict[int, VisitForecast] = {}
    for at, packed in s.execute(_FORECASTS.where(forecast_.c.shift_id.in_(list(shift_ids)))):
        found |= kept.visits(packed, at)
    return found


def looked(s: Session, shift_id: int) -> tuple[dict[int, VisitForecast], datetime | None]:
    """The newest forecast of a shift's visits, and when its next report should have come."""
    row = s.execute(_FORECASTS.where(forecast_.c.shift_id == shift_id)).first()
    return (kept.visits(row.packed, row.at), kept.expected_report(row.packed)) if row is not None else ({}, None)


def forecast_of(s: Session, visit: VisitRow) -> VisitForecast | None:
    """The newest forecast of one visit; None where its day was not looked at, or nobody makes it."""
    row = _ITS_DAY.first(s.connection(), technician=visit.technician_id, on=visit.date)
    return kept.visits(row.packed, row.at).get(visit.id) if row is not None else None


_FORECASTS = select(forecast_.c.at, forecast_.c.packed)
_ITS_DAY = Plain(
    _FORECASTS.join(shift_, shift_.c.id == forecast_.c.shift_id).where(
        shift_.c.technician_id == bindparam("technician", 0), shift_.c.date == bindparam("on", None)
    ),
    "technician",
    "on",
)


#: A prefix whose zones lie this far apart says nothing about where the phone is.
TELLS_NOTHING = timedelta(hours=10)


@lru_cache(maxsize=4096)
def phone_zones(phone: str) -> tuple[str, ...]:
    """Every zone a phone number's prefix may mean; none for no number, or for one that tells nothing (+1 800 is good from
    Guam to Newfoundland: no hour of the day suits all of that)."""
    if not phone:
        return ()
    try:
        found = timezone.time_zones_for_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return ()
    zones = tuple(z for z in found if z in available_zones())
    offsets = [_winter(z) for z in zones]
    return zones if not zones or max(offsets) - min(offsets) < TELLS_NOTHING else ()


def _winter(zone: str) -> timedelta:
    return datetime(2026, 1, 15, tzinfo=ZoneInfo(zone)).utcoffset() or timedelta()


@lru_cache(maxsize=1)
def available_zones() -> frozenset[str]:
    """Names of the zones this machine knows; the prefix data may know others (Etc/Unknown)."""
    return frozenset(available_timezones()) - {"Etc/Unknown"}


def _ways(day: Day) -> list[tuple[int, int]]:
    """Place ids (from, to) of the way into each visit; 0 for a place that is not known."""
    last, found = day.home.id if day.home else 0, []
    for v in day.visits:
        here = v.place.id if v.place else 0
        found.append((last, here))
        last = here or last
    return found


def _place(id_: int | None, lat: float | None, lon: float | None) -> Place | None:
    return None if id_ is None or lat is None or lon is None else Place(lat, lon, id_)


def _order(r: Any) -> tuple[int, float, int]:
    """Made visits in the order they were made, then the one under way, then the plan."""
    if r.state in OVER:
        return 0, minutes(r.arrived_at or r.finished_at or r.planned_start), r.id
    if r.state == "arrived":
        return 1, minutes(r.arrived_at), r.id
    if r.state == "on_my_way":
        return 2, minutes(r.on_my_way_at), r.id
    return 3, minutes(r.planned_start), r.id


def _day(first: Any, rows: list[Any]) -> Day:
    pause = None
    if first.break_starts_at is not None and first.break_ends_at is not None:
        pause = Window(first.break_starts_at, first.break_ends_at)
    return Day(
        id=first.id,
        technician=first.technician_id,
        date=first.date,
        shift=Window(first.starts_at, first.ends_at),
        visits=tuple(_visit(r) for r in sorted(rows, key=_order)),
        break_=pause,
        home=_place(first.home_id, first.home_lat, first.home_lon),
    )


def _visit(r: Any) -> Visit:
    return Visit(
        id=r.id,
        job_type=r.job_type_id,
        planned_start=r.planned_start,
        planned_min=r.planned_min,
        window=Window(r.window_start, r.window_end),
        place=_place(r.place_id, r.lat, r.lon),
        state=r.state,
        on_my_way_at=r.on_my_way_at,
        arrived_at=r.arrived_at,
        finished_at=r.finished_at,
        late_min=r.late_min,
        late_at=r.late_at,
        deadline=r.deadline,
        deadline_kind=r.deadline_kind,
        early_ok=r.early_ok,
        promise_version=r.promise_version,
    )


def somebody_works(s: Session, on: date) -> bool:
    """Whether any technician has a shift on a date."""
    return s.scalar(select(Shift.id).where(Shift.date == on, Shift.off == "").limit(1)) is not None
