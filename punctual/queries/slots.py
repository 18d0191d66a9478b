"""Rows to free times: the fit over packed days, the full forecast for the few that are offered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from punctual.core import forecast as core
from punctual.core import rescue
from punctual.core import slot as core_slot
from punctual.core.day import OVER, Window, at_wall, instant, local, minutes
from punctual.core.day import Place as Point
from punctual.core.day import Visit as Stop
from punctual.core.duration import Learned
from punctual.core.policy import Rules
from punctual.core.room import Found, Gaps, Work, fits, gaps
from punctual.core.slot import Slot, Starts, Wish
from punctual.core.travel import estimate
from punctual.models import BoardVersion, JobType, Place, Shift, SlotClaim, Technician, Travel, Visit
from punctual.queries import day as days
from punctual.queries.others import others
from punctual.queries.taught import current

#: A free time begins at least this long from now: somebody has to get there.
LEAD = timedelta(minutes=30)
#: Past visits a habit is read from.
PAST = 6

visit_, place_, job_, travel_ = Visit.__table__, Place.__table__, JobType.__table__, Travel.__table__
shift_, technician_, claim_, version_ = (
    Shift.__table__,
    Technician.__table__,
    SlotClaim.__table__,
    BoardVersion.__table__,
)

_WHAT = (
    select(visit_, job_.c.skill, place_.c.lat, place_.c.lon)
    .select_from(
        visit_.join(job_, job_.c.id == visit_.c.job_type_id).outerjoin(place_, place_.c.id == visit_.c.place_id)
    )
    .where(visit_.c.id == bindparam("visit"))
)
_WHO = select(technician_.c.id, technician_.c.skills, technician_.c.home_place_id).where(technician_.c.active)
_VERSIONS = select(version_.c.date, version_.c.version).where(
    version_.c.date.between(bindparam("first"), bindparam("last"))
)
_SHIFTS = (
    select(shift_.c.id, shift_.c.date)
    .where(shift_.c.date.in_(bindparam("dates", expanding=True)), shift_.c.off == "")
    .order_by(shift_.c.id)
)
_DRIVES = select(travel_).where(
    or_(travel_.c.from_place == bindparam("place"), travel_.c.to_place == bindparam("place"))
)
_CLAIMS = (
    select(
        claim_.c.technician_id, claim_.c.starts_at, claim_.c.ends_at, claim_.c.planned_start, place_.c.lat, place_.c.lon
    )
    .select_from(
        claim_.join(visit_, visit_.c.id == claim_.c.visit_id).outerjoin(place_, place_.c.id == visit_.c.place_id)
    )
    .where(
        claim_.c.visit_id != bindparam("visit"),
        claim_.c.ends_at > bindparam("at"),
        claim_.c.exempt.is_(False),
        visit_.c.state.not_in(OVER),
        or_(claim_.c.kind != "hold", claim_.c.expires_at > bindparam("at")),
    )
)
_PAST = (
    select(visit_.c.window_start)
    .where(visit_.c.customer_id == bindparam("customer"), visit_.c.state == "done")
    .order_by(visit_.c.window_start.desc())
    .limit(PAST)
)


@dataclass(frozen=True, slots=True)
class _Search:
    """What is looked for, and by whose rules."""

    visit: Any
    rules: Rules
    learned: Learned
    at: datetime
    z: float
    grid: Starts

    @property
    def zone(self) -> str:
        return str(self.visit.zone)


#: The gaps of a date by (database, date), with what they were made from: good as long as none of it has changed.
_kept: dict[tuple[str, date], tuple[tuple[Any, ...], Learned, Gaps]] = {}


def free(s: Session, visit_id: int, *, at: datetime) -> list[Slot]:
    """Every start on the grid within the company's offer days that keeps every other promise with its spread.

    Today's predicted lateness counts; the visit's present place in its day does not. What another visit has claimed is
    not free. How sure each is, is not worked out: see offers().
    """
    search = _search(s, visit_id, at)
    found = _found(s, search)
    return [_slot(search, found, i) for i in np.argsort(found.start, kind="stable").tolist()]


def offers(s: Session, visit_id: int, *, at: datetime, most: int = 6) -> list[Slot]:
    """A few free times that differ, what costs the customer least first, each with how sure it is; empty when nothing
    fits. The full forecast has the last word: none raises anybody's chance of a broken promise over the company's
    limit."""
    search = _search(s, visit_id, at)
    found = _found(s, search)
    if not len(found):
        return []
    picked = core_slot.pick(found, search.grid, _wish(s, search), most, sure=lambda some: _sure(s, search, found, some))
    return [replace(_slot(search, found, i), why=why.partition(":")[0], sure=sure) for i, why, sure in picked]


def still_free(
    s: Session, visit_id: int, technician_id: int, start: datetime, *, at: datetime, held: bool = False
) -> Slot | None:
    """The slot if that start is (still) free, asked inside the transaction that takes it.

    What was kept for this customer (`held`) need only fit the plan: it was promised when the forecast was better.
    """
    search = _search(s, visit_id, at)
    on = local(start, search.zone).date()
    ids = _shifts(s, [on + timedelta(days=n) for n in (-1, 0, 1)], technician_id)
    found = _kept_apart(
        s, replace(search, z=0.0) if held else search, _fresh(s, search, ids, 0.0 if held else search.z)
    )
    for i in np.flatnonzero(search.grid.at[found.start] == minutes(start)).tolist():
        sure = [1.0] if held else _sure(s, search, found, [i])
        if not np.isnan(sure[0]):
            return replace(_slot(search, found, i), sure=sure[0])
    return None


def at_time(s: Session, visit_id: int, start: datetime, *, at: datetime) -> Slot | None:
    """Who could come at that very start: the present technician first; None when nobody can."""
    search = _search(s, visit_id, at)
    found = _found(s, search)
    there = np.flatnonzero(search.grid.at[found.start] == minutes(start)).tolist()
    for i in sorted(there, key=lambda n: (found.technician[n] != search.visit.technician_id, found.drive[n])):
        sure = _sure(s, search, found, [i])
        if not np.isnan(sure[0]):
            return replace(_slot(search, found, i), sure=sure[0])
    return None


def within(s: Session, visit_id: int, *, at: datetime) -> list[Slot]:
    """Who else could come inside the promised window on its day, every promise kept: one start a technician, the
    least drive first."""
    search = _search(s, visit_id, at)
    v = search.visit
    window = Window(v.window_start, v.window_end)
    search = replace(search, grid=rescue.inside(window, minutes(at)), rules=replace(search.rules, window_min=0.0))
    if not len(search.grid.at):
        return []
    found = _kept_apart(s, search, np.concatenate(_packed(s, search, [v.date])))
    some = rescue.ways(found, search.grid, v.technician_id)
    put = [(int(found.shift[i]), replace(_slot(search, found, i), window=window)) for i in some]
    sure = _judged(s, search, put) if put else []
    return [replace(slot, sure=x) for (_, slot), x in zip(put, sure, strict=True) if not np.isnan(x)]


def _search(s: Session, visit_id: int, at: datetime) -> _Search:
    s.flush()
    visit = s.connection().execute(_WHAT, {"visit": visit_id}).one()
    rules = days.rules(s)
    today = local(at, visit.zone).date()
    grid = core_slot.starts(today, today + timedelta(days=rules.offer_days), visit.zone, rules.grid_min)
    soon = int(np.searchsorted(grid.at, minutes(at + LEAD)))
    ahead = Starts(grid.at[soon:], grid.day[soon:], grid.minute[soon:])
    return _Search(visit, rules, current(s), at, core_slot.spreads(rules.offer_risk), ahead)


def _found(s: Session, search: _Search) -> Found:
    """Every start that fits, over all technicians and days."""
    today = local(search.at, search.zone).date()
    dates = [today + timedelta(days=n) for n in range(-1, search.rules.offer_days + 1)]
    own = _shifts(s, [search.visit.date], search.visit.technician_id) if search.visit.technician_id else []
    parts = [_roomy(g, search.visit.planned_min) for g in _packed(s, search, dates)]
    parts = [g[~np.isin(g["shift"], own)] if own else g for g in parts]
    if own and today <= search.visit.date <= dates[-1]:
        parts.append(_fresh(s, search, own, search.z))
    return _kept_apart(s, search, np.concatenate(parts))


def _roomy(found: Gaps, long: float) -> Gaps:
    """The gaps that can hold so many minutes: they stand first."""
    return found[: int(np.searchsorted(-found["room"], -long, side="right"))]


def _packed(s: Session, search: _Search, dates: Sequence[date]) -> list[Gaps]:
    """The gaps of whole dates, packed anew where the board of the date has changed - and every minute until today.

    What a writer sees is not kept for others: it may be rolled back.
    """
    url, today = str(s.get_bind().engine.url), local(search.at, search.zone).date()
    rows = s.connection().execute(_VERSIONS, {"first": dates[0], "last": dates[-1]})
    versions = {r.date: r.version for r in rows}
    writing = s.connection().get_execution_options().get("writer", False)
    made = []
    for on in dates:
        minute = search.at.replace(second=0, microsecond=0) if on <= today else None
        key = (versions.get(on, 0), id(search.learned), search.z, minute)
        have = _kept.get((url, on))
        if have is None or have[0] != key:
            have = (key, search.learned, _fresh(s, search, _shifts(s, [on]), search.z, whole=True))
            if not writing:
                _kept[(url, on)] = have
        made.append(have[2])
    return made


def _fresh(s: Session, search: _Search, ids: Sequence[int], z: float, *, whole: bool = False) -> Gaps:
    """The gaps of some days as they are this moment; without the visit itself unless `whole`."""
    loaded = days.load(s, ids)
    if not whole:
        loaded = [core_slot.without(d, search.visit.id) for d in loaded]
    return gaps(days.packed(s, loaded), search.learned, minutes(search.at), z)


def _shifts(s: Session, dates: Collection[date], technician_id: int | None = None) -> list[int]:
    """Ids of the shifts of some dates on which somebody works - one technician, or everybody."""
    found = _SHIFTS if technician_id is None else _SHIFTS.where(shift_.c.technician_id == technician_id)
    return list(s.connection().execute(found, {"dates": list(dates)}).scalars())


def _kept_apart(s: Session, search: _Search, some: Gaps) -> Found:
    """The starts in some gaps that fit, that somebody with the skill can take, and that nobody has claimed."""
    v, connection = search.visit, s.connection()
    who = connection.execute(_WHO).all()
    homes = {r.home_place_id: -r.id for r in who if r.home_place_id}
    out: dict[int, float] = {}
    back: dict[int, float] = {}
    for r in connection.execute(_DRIVES, {"place": v.place_id}) if v.place_id else ():
        if r.to_place == v.place_id:
            out[r.from_place] = out[homes.get(r.from_place, r.from_place)] = float(r.minutes)
        else:
            back[r.to_place] = float(r.minutes)
    lat, lon = (np.nan, np.nan) if v.lat is None or v.lon is None else (v.lat, v.lon)
    work = Work(lat, lon, v.job_type_id, v.planned_min, search.rules.window_min, out, back)
    able = [r.id for r in who if not v.skill or v.skill in (r.skills or ())]
    found = fits(some, work, search.grid.at, search.learned, search.z)
    found = found.only(np.flatnonzero(np.isin(found.technician, able)))
    here = (search.grid.at[found.start] == minutes(v.window_start)) & (found.technician == (v.technician_id or 0))
    found = core_slot.in_time(found.only(np.flatnonzero(~here)), search.grid, *_limit(search))
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
    rows = s.connection().execute(_CLAIMS, {"visit": search.visit.id, "at": search.at}).all()
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
    past = list(s.connection().execute(_PAST, {"customer": v.customer_id}).scalars())
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


def _sure(s: Session, search: _Search, found: Found, some: Sequence[int]) -> list[float]:
    """How sure each of some times is; NaN: it must not be offered."""
    return _judged(s, search, [(int(found.shift[i]), _slot(search, found, i)) for i in some])


def _judged(s: Session, search: _Search, put: Sequence[tuple[int, Slot]]) -> list[float]:
    """The full forecast of each slot's day with and without the visit: the chance that its window is kept; NaN where
    its own chance of breaking, or somebody else's, would come above the company's limit."""
    loaded = {d.id: core_slot.without(d, search.visit.id) for d in days.load(s, sorted({shift for shift, _ in put}))}
    after = [core_slot.with_visit(loaded[shift], _moved(search, slot)) for shift, slot in put]
    columns = days.packed(s, [*loaded.values(), *after])
    made = core.forecast(
        columns, search.learned, minutes(search.at), threshold=search.rules.threshold_min,
        others=others(s, search.at, search.learned),
    )  # fmt: skip
    before = {d: core_slot.chances(columns, made, n) for n, d in enumerate(loaded)}
    return [
        core_slot.keeps(
            before[shift],
            core_slot.chances(columns, made, len(loaded) + n),
            search.visit.id,
            search.rules.offer_risk,
        )
        for n, (shift, _) in enumerate(put)
    ]


def _moved(search: _Search, slot: Slot) -> Stop:
    """The visit as it would be at that time; a limit of the customer's own belongs to its day."""
    v = search.visit
    same = v.deadline is not None and local(v.deadline, v.zone).date() == local(slot.start, v.zone).date()
    return Stop(
        id=v.id,
        job_type=v.job_type_id,
        planned_start=slot.start,
        planned_min=v.planned_min,
        window=slot.window,
        place=None if v.lat is None or v.lon is None else Point(v.lat, v.lon, v.place_id),
        deadline=v.deadline if same else None,
        deadline_kind="arrive" if v.deadline_kind == "arrive" else "done",
    )
