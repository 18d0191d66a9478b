"""Rows to free times: the fit over packed days, the full forecast for the few that are offered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import LargeBinary, bindparam, func, or_, select
from sqlalchemy.orm import Session

from punctual.core import forecast as core
from punctual.core import kept, rescue
from punctual.core import slot as core_slot
from punctual.core.day import OVER, Days, Floats, Ints, Window, at_wall, instant, local, minutes
from punctual.core.duration import Learned
from punctual.core.policy import Rules
from punctual.core.room import Found, Gaps, Work, fits, gaps, roomy, together
from punctual.core.slot import NOISE, Slot, Starts, Wish
from punctual.core.splice import New, neighbours, only, with_each, without
from punctual.core.travel import estimate
from punctual.models import Forecast, JobType, Place, Plain, Shift, SlotClaim, Technician, Travel, Visit
from punctual.queries import day as days
from punctual.queries import packed, taught
from punctual.queries.others import others
from punctual.queries.standing import QUIET

#: A free time begins at least this long from now: somebody has to get there.
LEAD = timedelta(minutes=30)
#: Past visits a habit is read from.
PAST = 6

visit_, place_, job_, travel_ = Visit.__table__, Place.__table__, JobType.__table__, Travel.__table__
technician_, claim_ = Technician.__table__, SlotClaim.__table__
shift_, forecast_ = Shift.__table__, Forecast.__table__

_WHAT = Plain(
    select(
        visit_.c.id, visit_.c.customer_id, visit_.c.technician_id, visit_.c.job_type_id, visit_.c.place_id,
        visit_.c.date, visit_.c.zone, visit_.c.planned_min, visit_.c.window_start, visit_.c.window_end,
        visit_.c.deadline, visit_.c.deadline_kind, job_.c.skill, place_.c.lat, place_.c.lon,
    )
    .select_from(
        visit_.join(job_, job_.c.id == visit_.c.job_type_id).outerjoin(place_, place_.c.id == visit_.c.place_id)
    )
    .where(visit_.c.id == bindparam("visit", 0)),
    "visit",
)  # fmt: skip
_WHO = Plain(select(technician_.c.id, technician_.c.skills, technician_.c.home_place_id).where(technician_.c.active))
_DRIVES = Plain(
    select(travel_.c.from_place, travel_.c.to_place, travel_.c.minutes).where(
        or_(travel_.c.from_place == bindparam("place", 0), travel_.c.to_place == bindparam("place", 0))
    ),
    "place",
)
_WAY = Plain(
    select(travel_.c.minutes).where(
        travel_.c.from_place == bindparam("before", 0), travel_.c.to_place == bindparam("after", 0)
    ),
    "before",
    "after",
)
_HOME = Plain(select(technician_.c.home_place_id).where(technician_.c.id == bindparam("technician", 0)), "technician")
_AT = bindparam("at", None, type_=claim_.c.ends_at.type)
_CLAIMS = Plain(
    select(
        claim_.c.technician_id, claim_.c.starts_at, claim_.c.ends_at, claim_.c.planned_start, place_.c.lat, place_.c.lon
    )
    .select_from(
        claim_.join(visit_, visit_.c.id == claim_.c.visit_id).outerjoin(place_, place_.c.id == visit_.c.place_id)
    )
    .where(
        claim_.c.visit_id != bindparam("visit", 0),
        claim_.c.ends_at > _AT,
        claim_.c.exempt.is_(False),
        visit_.c.state.not_in(OVER),
        or_(claim_.c.kind != "hold", claim_.c.expires_at > _AT),
    ),
    "visit",
    "at",
)
_ASKED = Plain(
    select(shift_.c.technician_id, shift_.c.nudged_at, forecast_.c.packed)
    .join(forecast_, forecast_.c.shift_id == shift_.c.id)
    .where(shift_.c.date == bindparam("on", None, type_=shift_.c.date.type), shift_.c.nudged_at.is_not(None)),
    "on",
)
_HEARD = Plain(
    select(
        shift_.c.technician_id, func.substr(forecast_.c.packed, 1, kept.HEAD.itemsize, type_=LargeBinary).label("head")
    )
    .join(forecast_, forecast_.c.shift_id == shift_.c.id)
    .where(shift_.c.date == bindparam("on", None, type_=shift_.c.date.type), shift_.c.off == ""),
    "on",
)
_PAST = Plain(
    select(visit_.c.window_start)
    .where(visit_.c.customer_id == bindparam("customer", 0), visit_.c.state == "done")
    .order_by(visit_.c.window_start.desc())
    .limit(PAST),
    "customer",
)


@dataclass(frozen=True, slots=True)
class _Search:
    """What is looked for, by whose rules, who can do it, of whom nobody has heard today, and the known drives to it and from it (core.splice.New)."""

    visit: Any
    rules: Rules
    learned: Learned
    at: datetime
    z: float
    grid: Starts
    able: Ints
    silent: Ints
    out: dict[int, float]
    back: dict[int, float]

    @property
    def zone(self) -> str:
        return str(self.visit.zone)

    @property
    def today(self) -> date:
        return local(self.at, self.zone).date()


@dataclass(frozen=True, slots=True)
class _Fit:
    """The starts that fit, and the days they are in - without the visit."""

    found: Found
    parts: list[Days]


def free(s: Session, visit_id: int, *, at: datetime) -> list[Slot]:
    """Every start on the grid within the company's offer days that keeps every other promise with its spread.

    Today's predicted lateness counts; the visit's present place in its day does not. What another visit has claimed is
    not free. How sure each is, is not worked out: see offers().
    """
    search = _search(s, visit_id, at)
    found = _fit(s, search).found
    return [_slot(search, found, i) for i in np.argsort(found.start, kind="stable").tolist()]


def offers(s: Session, visit_id: int, *, at: datetime, most: int = 6) -> list[Slot]:
    """A few free times that differ, the one to keep first first, each with how sure it is; empty when nothing fits. The
    full forecast has the last word: none raises anybody's chance of a broken promise over the company's limit."""
    search = _search(s, visit_id, at)
    fit = _fit(s, search)
    if not len(fit.found):
        return []
    picked = core_slot.pick(
        fit.found, search.grid, _wish(s, search), most, window=search.rules.window_min,
        sure=lambda some: _sure(s, search, fit, some),
    )  # fmt: skip
    return [replace(_slot(search, fit.found, i), why=why.partition(":")[0], sure=sure) for i, why, sure in picked]


def still_free(
    s: Session, visit_id: int, wanted: Collection[tuple[int, datetime]], *, at: datetime, held: bool = False
) -> list[Slot]:
    """Those of some (technician, start) that are (still) free, asked inside the transaction that takes them.

    Everything is looked at anew: claims, shift, drives and breaks, everybody's promises, the forecast with its spread.
    What was kept for this customer (`held`) is not taken from them for less than the forecast's own noise.
    """
    if not wanted:
        return []
    search = _search(s, visit_id, at)
    if held:
        search = replace(search, z=0.0, rules=replace(search.rules, offer_risk=search.rules.offer_risk + NOISE))
    dates = {local(start, search.zone).date() + timedelta(days=n) for _, start in wanted for n in (-1, 0, 1)}
    there = packed.read(s, min(dates), max(dates), {technician for technician, _ in wanted})
    there = _without(s, search, there)
    found = _kept_apart(s, search, gaps(there, search.learned, minutes(at), search.z))
    asked = {(technician, minutes(start)) for technician, start in wanted}
    keys = zip(found.technician.tolist(), search.grid.at[found.start].tolist(), strict=True)
    some = [i for i, key in enumerate(keys) if key in asked]
    sure = _sure(s, search, _Fit(found, [there]), some)
    return [replace(_slot(search, found, i), sure=x) for i, x in zip(some, sure, strict=True) if not np.isnan(x)]


def at_time(s: Session, visit_id: int, start: datetime, *, at: datetime) -> Slot | None:
    """Who could come at that very start: the present technician first; None when nobody can."""
    search = _search(s, visit_id, at)
    fit = _fit(s, search)
    found, mine = fit.found, search.visit.technician_id
    there = np.flatnonzero(search.grid.at[found.start] == minutes(start)).tolist()
    first = sorted(there, key=lambda n: (found.technician[n] != mine, found.drive[n]))
    sure = _sure(s, search, fit, first)
    good = (replace(_slot(search, found, i), sure=x) for i, x in zip(first, sure, strict=True) if not np.isnan(x))
    return next(good, None)


def within(s: Session, visit_id: int, *, at: datetime) -> list[Slot]:
    """Who else could come inside the promised window on its day, every promise kept: one start a technician, the
    least drive first; nobody whose report is overdue."""
    search = _search(s, visit_id, at)
    v = search.visit
    window = Window(v.window_start, v.window_end)
    quiet = np.union1d(search.silent, unheard(s, v.date, at))
    rules = replace(search.rules, window_min=0.0)
    search = replace(search, grid=rescue.inside(window, minutes(at)), rules=rules, silent=quiet)
    if not len(search.grid.at):
        return []
    (there,) = _packed(s, search, [v.date])
    found = _kept_apart(s, search, there.gaps)
    ways = rescue.ways(found, search.grid, v.technician_id)
    sure = _judged(s, search, [there.days], found.only(ways), window)
    some = zip(ways, sure, strict=True)
    return [replace(_slot(search, found, i), window=window, sure=x) for i, x in some if not np.isnan(x)]


def _search(s: Session, visit_id: int, at: datetime) -> _Search:
    s.flush()
    connection = s.connection()
    visit, rules, learned = _WHAT.first(connection, visit=visit_id), days.rules(s), taught.current(s)
    today = local(at, visit.zone).date()
    grid = core_slot.starts(today, today + timedelta(days=rules.offer_days), visit.zone, rules.grid_min)
    soon = int(np.searchsorted(grid.at, minutes(at + LEAD)))
    ahead = Starts(grid.at[soon:], grid.day[soon:], grid.minute[soon:])
    who = _WHO.all(connection)
    able = np.array([r.id for r in who if not visit.skill or visit.skill in (r.skills or ())], dtype=np.int64)
    out, back = _drives(s, visit.place_id, {r.home_place_id: -r.id for r in who if r.home_place_id})
    return _Search(
        visit, rules, learned, at, core_slot.spreads(rules.offer_risk), ahead, able, silent(s, today, rules), out, back
    )


def silent(s: Session, on: date, rules: Rules) -> Ints:
    """Technicians who were asked on a date and have not reported since: nobody knows how their day stands, so no time
    in what is left of it is offered, and no visit given to them."""
    lasted = timedelta(minutes=rules.silence_min - 1.0)
    rows = [(r, kept.expected_report(r.packed)) for r in _ASKED.all(s.connection(), on=on)]
    return np.array([r.technician_id for r, due in rows if due and r.nudged_at > due + lasted], dtype=np.int64)


def unheard(s: Session, on: date, at: datetime) -> Ints:
    """Technicians whom the board shows as silent at `at`: a report of theirs is overdue, asked for yet or not. Nobody
    proposes to give a visit to one of whom the line below says that nothing was heard."""
    rows = _HEARD.all(s.connection(), on=on)
    due = kept.expected_reports([r.head for r in rows])
    late = due + QUIET.total_seconds() < at.timestamp()  # NaN: none is expected
    return np.array([r.technician_id for r in rows], dtype=np.int64)[late]


def _drives(s: Session, place: int | None, homes: dict[int, int]) -> tuple[dict[int, float], dict[int, float]]:
    """Known minutes to a place and from it, by the other place; to it also by home (minus the technician)."""
    out: dict[int, float] = {}
    back: dict[int, float] = {}
    for r in _DRIVES.all(s.connection(), place=place) if place else ():
        if r.to_place == place:
            out[r.from_place] = out[homes.get(r.from_place, r.from_place)] = float(r.minutes)
        else:
            back[r.to_place] = float(r.minutes)
    return out, back


def _fit(s: Session, search: _Search) -> _Fit:
    """Every start that fits, over all technicians and days."""
    first, last = search.today - timedelta(days=1), search.today + timedelta(days=search.rules.offer_days)
    every = _packed(s, search, [first + timedelta(days=n) for n in range((last - first).days + 1)])
    v = search.visit
    some = [roomy(p.gaps, v.planned_min) for p in every]
    parts = [p.days for p in every]
    if v.technician_id and first <= v.date <= last:
        n = (v.date - first).days
        mine = parts[n].technician == v.technician_id
        own = _without(s, search, only(parts[n], np.flatnonzero(mine)))
        some[n] = some[n][some[n]["technician"] != v.technician_id]
        some.append(gaps(own, search.learned, minutes(search.at), search.z))
        parts.append(own)
    return _Fit(_kept_apart(s, search, together(some)), parts)


def _packed(s: Session, search: _Search, which: Sequence[date]) -> list[packed.Packed]:
    return packed.dates(s, which, at=search.at, today=search.today, learned=search.learned, z=search.z)


def _without(s: Session, search: _Search, some: Days) -> Days:
    """Some days without the visit; where drives are known, so is the one past it."""
    ends = neighbours(some, search.visit.id)
    way = np.nan
    if ends is not None and not np.isnan(some.travel).all():
        c, before = s.connection(), ends[0]
        before = before if before > 0 else _HOME.scalar(c, technician=-before) or 0
        known = _WAY.scalar(c, before=before, after=ends[1])
        way = np.nan if known is None else float(known)
    return without(some, search.visit.id, way)


def _kept_apart(s: Session, search: _Search, some: Gaps) -> Found:
    """The starts in some gaps that fit, that somebody with the skill can take, and that nobody has claimed."""
    v = search.visit
    lat, lon = (np.nan, np.nan) if v.lat is None or v.lon is None else (v.lat, v.lon)
    work = Work(lat, lon, v.job_type_id, v.planned_min, search.rules.window_min, search.out, search.back)
    able = np.isin(some["technician"], search.able)
    found = fits(some if able.all() else some[able], work, search.grid.at, search.learned, search.z)
    here = (search.grid.at[found.start] == minutes(v.window_start)) & (found.technician == (v.technician_id or 0))
    found = core_slot.in_time(found.only(np.flatnonzero(~here)), search.grid, *_limit(search))
    if len(search.silent):
        midnight = minutes(at_wall(search.today + timedelta(days=1), 0, 0, search.zone))
        unknown = np.isin(found.technician, search.silent) & (search.grid.at[found.start] < midnight)
        found = found.only(np.flatnonzero(~unknown))
    return core_slot.apart(found, search.grid, v.planned_min, _claims(s, search, lat, lon))


def _limit(search: _Search) -> tuple[Window | None, float, float]:
    """The customer's own limit with the start of its local day, the work that must be over by then, the window."""
    v = search.visit
    if v.deadline is None:
        return None, 0.0, 0.0
    midnight = at_wall(local(v.deadline, search.zone).date(), 0, 0, search.zone)
    return Window(midnight, v.deadline), 0.0 if v.deadline_kind == "arrive" else v.planned_min, search.rules.window_min


def _claims(s: Session, search: _Search, lat: float, lon: float) -> list[tuple[int, float, float, float]]:
    """Claims that stand: of other visits that are still to be made, holds that have not run out; with the drive."""
    rows = _CLAIMS.all(s.connection(), visit=search.visit.id, at=search.at)
    here = np.full(len(rows), lat), np.full(len(rows), lon)
    there = np.array([r.lat for r in rows], dtype=np.float64), np.array([r.lon for r in rows], dtype=np.float64)
    drive = np.nan_to_num(estimate(*here, *there)) if rows else np.empty(0)
    return [
        (r.technician_id, min(minutes(r.starts_at), minutes(r.planned_start) - d), minutes(r.ends_at), d)
        for r, d in zip(rows, drive.tolist(), strict=True)
    ]


def _wish(s: Session, search: _Search) -> Wish:
    v = search.visit
    had = local(v.window_start, search.zone)
    past = [r.window_start for r in _PAST.all(s.connection(), customer=v.customer_id)]
    return Wish(
        technician=v.technician_id,
        today=local(search.at, search.zone).toordinal(),
        day=had.toordinal(),
        minute=had.hour * 60 + had.minute,
        usual=core_slot.usual(past, search.zone),
    )


def _slot(search: _Search, found: Found, i: int) -> Slot:
    start = instant(float(search.grid.at[found.start[i]]))
    window = Window(start, start + timedelta(minutes=search.rules.window_min))
    return Slot(int(found.technician[i]), start, window, float(found.drive[i]))


def _sure(s: Session, search: _Search, fit: _Fit, some: Sequence[int]) -> list[float]:
    """How sure each of some times is; NaN: it must not be offered."""
    return _judged(s, search, fit.parts, fit.found.only(some))


def _judged(
    s: Session, search: _Search, parts: Sequence[Days], some: Found, window: Window | None = None
) -> list[float]:
    """The full forecast of each time's day with and without the visit: the chance that its window - or one for all of
    them - is kept; NaN where its own chance of breaking, or somebody else's, would come above the company's limit."""
    if not len(some):
        return []
    bare, day = packed.chosen(parts, some.shift)
    columns = with_each(bare, day, _new(search, search.grid.at[some.start], window))
    made = core.forecast(
        columns, search.learned, minutes(search.at), threshold=search.rules.threshold_min,
        others=others(s, search.at, search.learned),
    )  # fmt: skip
    return list(map(float, core_slot.keeps(columns, made, day, search.visit.id, search.rules.offer_risk)))


def _new(search: _Search, start: Floats, window: Window | None) -> New:
    """The visit as it would be at these times; a limit of the customer's own belongs to its day."""
    v, length = search.visit, search.rules.window_min
    deadline = np.full(len(start), np.nan)
    if v.deadline is not None:
        own = local(v.deadline, v.zone).date()
        deadline[[local(instant(x), v.zone).date() == own for x in start.tolist()]] = minutes(v.deadline)
    placed = v.lat is not None and v.lon is not None
    return New(
        id=v.id,
        job_type=v.job_type_id,
        planned=v.planned_min,
        lat=v.lat if placed else np.nan,
        lon=v.lon if placed else np.nan,
        place=v.place_id if placed else 0,
        start=start,
        window=start if window is None else np.full(len(start), minutes(window.start)),
        end=start + length if window is None else np.full(len(start), minutes(window.end)),
        deadline=deadline,
        arrive=v.deadline_kind == "arrive",
        out=search.out,
        back=search.back,
    )
