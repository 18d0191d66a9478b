"""What giving a visit to somebody, or moving it, would do to everybody - forecast without saving anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.actions import Refused
from punctual.core import forecast as core
from punctual.core.day import OVER, Day, Place, Window, local, minutes, outward
from punctual.core.day import Visit as Stop
from punctual.core.forecast import VisitForecast
from punctual.core.policy import Rules
from punctual.core.slot import with_visit, without
from punctual.models import Customer, Shift, Technician, Visit
from punctual.queries import day as queries
from punctual.queries import slots
from punctual.queries.others import others
from punctual.queries.standing import LOOKS, Look, stands
from punctual.queries.taught import current

#: A likely arrival that moves by less than this is not shown as an effect.
VISIBLE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Change:
    """One visit before and after: likely arrival (None where there is none yet) and how it stands."""

    visit_id: int
    customer: str
    window: Window
    before: datetime | None
    before_look: Look
    after: datetime
    after_look: Look


@dataclass(frozen=True, slots=True)
class Effect:
    """What one change would do. `changes` begins with the visit itself; `range` is when they would then come."""

    technician_id: int
    name: str
    start: datetime
    changes: tuple[Change, ...]
    range: Window

    @property
    def broken(self) -> int:
        """Promises that would break by it: one that is late anyway does not, unless it is the visit itself."""
        return sum(c.after_look == "late" and (i == 0 or c.before_look != "late") for i, c in enumerate(self.changes))

    @property
    def risky(self) -> int:
        """Promises that it would put at risk, counted alike."""
        worse = (c.after_look == "risk" and (i == 0 or c.before_look == "ontime") for i, c in enumerate(self.changes))
        return sum(worse)

    @property
    def holds(self) -> bool:
        """Every promise it touches holds."""
        return all(c.after_look not in ("late", "risk") for c in self.changes)

    @property
    def harmless(self) -> bool:
        """It keeps the visit's promise and costs nobody else theirs: what a dispatcher may be advised to do."""
        return not self.broken and not self.risky

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


def candidates(s: Session, visit_id: int, at: datetime) -> list[Effect]:
    """Who else could take a visit on its day, and what that does, best first; those with the skill and a shift
    of whom we have heard."""
    visit = movable(s, visit_id)
    skill = visit.job_type.skill
    rows = s.execute(
        select(Shift.id, Technician.id, Technician.name, Technician.skills)
        .join(Technician, Technician.id == Shift.technician_id)
        .where(Shift.date == visit.date, Shift.off == "", Technician.active.is_(True), Shift.ends_at > at)
    ).all()
    quiet = {*slots.silent(s, visit.date, queries.rules(s)).tolist(), *slots.unheard(s, visit.date, at).tolist()}
    able = [
        (r[0], r[1], r[2])
        for r in rows
        if r[1] != visit.technician_id and r[1] not in quiet and (not skill or skill in (r[3] or []))
    ]
    return sorted(
        _effects(s, visit, able, visit.planned_start, at), key=lambda e: (e.broken, e.risky, _late(e), e.name)
    )


def rescue(s: Session, visit_id: int, at: datetime) -> Effect | None:
    """Who could take a visit inside its promised window so that every promise holds, and what that does; None: nobody."""
    visit = movable(s, visit_id)
    for slot in slots.within(s, visit_id, at=at):
        found = effect(s, visit.id, technician_id=slot.technician, start=slot.start, at=at)
        if found is not None and found.holds:
            return found
    return None


def _late(e: Effect) -> timedelta:
    return max(e.changes[0].after - e.changes[0].window.end, timedelta())


def effect(
    s: Session, visit_id: int, *, technician_id: int, start: datetime, at: datetime, window: Window | None = None
) -> Effect | None:
    """What the visit with that technician, planned at `start`, would do; None where they have no shift that day.

    `window` is the promise it would then have (its present one when None). Refused when it cannot be moved any more.
    """
    visit = movable(s, visit_id)
    shift = queries.shift_of(s, technician_id, local(start, visit.zone).date())
    technician = s.get(Technician, technician_id)
    if technician is None:
        raise Refused("This technician is not known.", status=404, field="technician")
    if shift is None or shift.off:
        return None
    return _effects(s, visit, [(shift.id, technician.id, technician.name)], start, at, window)[0]


def movable(s: Session, visit_id: int) -> Visit:
    """The visit, or Refused: unknown, over, or the technician is there already."""
    visit = s.get(Visit, visit_id)
    if visit is None:
        raise Refused("There is no such visit.", status=404)
    if visit.state in OVER:
        raise Refused("This visit is over; it cannot be moved. Add a new one.")
    if visit.state == "arrived":
        raise Refused("The technician is there already; this visit cannot be moved.")
    return visit


def _effects(
    s: Session,
    visit: Visit,
    targets: Sequence[tuple[int, int, str]],
    start: datetime,
    at: datetime,
    window: Window | None = None,
) -> list[Effect]:
    """One forecast of all days as they are and as they would be."""
    if not targets:
        return []
    source = queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    loaded = {d.id: d for d in queries.load(s, {t[0] for t in targets} | ({source.id} if source else set()))}
    moved = _as_moved(visit, start, window)
    lean = [without(loaded[source.id], visit.id)] if source else []
    after = [with_visit(without(loaded[shift_id], visit.id), moved) for shift_id, _, _ in targets]
    days = [*loaded.values(), *lean, *after]
    rules = queries.rules(s)
    made = _forecast(s, days, at, rules)
    now = {v.visit_id: v for d in range(len(loaded)) for v in made[d]}
    names = _names(s, days)
    were = {v.id: v for d in loaded.values() for v in d.visits}
    found = []
    for i, (shift_id, technician_id, name) in enumerate(targets):
        new = {v.visit_id: v for v in made[len(loaded) + len(lean) + i]}
        if lean and source is not None and source.id != shift_id:
            new = {v.visit_id: v for v in made[len(loaded)]} | new
        stops = {v.id: v for d in (*lean, after[i]) for v in d.visits}
        changes = list(_changes(were, stops, names, now, new, rules, at, visit.id))
        arrive = new[visit.id].arrive
        told = outward(Window(arrive[0], max(arrive[0], arrive[2])), at, visit.zone)
        found.append(Effect(technician_id, name, start, tuple(changes), told))
    return found


def _as_moved(visit: Visit, start: datetime, window: Window | None) -> Stop:
    place = visit.place
    where = Place(place.lat, place.lon, place.id) if place and place.lat is not None and place.lon is not None else None
    return Stop(
        id=visit.id,
        job_type=visit.job_type_id,
        planned_start=start,
        planned_min=visit.planned_min,
        window=window or Window(visit.window_start, visit.window_end),
        place=where,
        deadline=visit.deadline,
        deadline_kind="arrive" if visit.deadline_kind == "arrive" else "done",
        early_ok=visit.early_ok,
        promise_version=visit.promise_version,
    )


def _forecast(s: Session, days: Sequence[Day], at: datetime, rules: Rules) -> list[list[VisitForecast]]:
    columns = queries.packed(s, days)
    learned = current(s)
    fleet = others(s, at, learned)
    made = core.forecast(columns, learned, minutes(at), threshold=rules.threshold_min, others=fleet)
    return [
        [core.visit(made, columns, r) for r in range(int(columns.offset[d]), int(columns.offset[d + 1]))]
        for d in range(len(days))
    ]


def _names(s: Session, days: Iterable[Day]) -> dict[int, str]:
    ids = {v.id for d in days for v in d.visits}
    rows = s.execute(
        select(Visit.id, Customer.name).join(Customer, Customer.id == Visit.customer_id).where(Visit.id.in_(ids))
    )
    return {r[0]: r[1] for r in rows}


def _changes(
    were: dict[int, Stop],
    stops: dict[int, Stop],
    names: dict[int, str],
    now: dict[int, VisitForecast],
    new: dict[int, VisitForecast],
    rules: Rules,
    at: datetime,
    own: int,
) -> Iterable[Change]:
    """The visit itself, then every other one that arrives visibly earlier or later, or stands differently."""
    rest = []
    for visit_id, f in new.items():
        stop, old = stops[visit_id], now.get(visit_id)
        if stop.over or (stop.state == "arrived" and visit_id != own):
            continue
        before = _look(were[visit_id], old, rules, at) if old else "late"
        after = _look(stop, f, rules, at)
        change = Change(
            visit_id,
            names.get(visit_id, "?"),
            stop.window,
            old.arrive[1] if old else None,
            before,
            f.arrive[1],
            after,
        )
        if visit_id == own:
            yield change
        elif old is None or before != after or abs(f.arrive[1] - old.arrive[1]) >= VISIBLE:
            rest.append(change)
    yield from sorted(rest, key=lambda c: (LOOKS.index(c.after_look), c.after))


def _look(stop: Stop, f: VisitForecast, rules: Rules, at: datetime) -> Look:
    return stands(
        state=stop.state,
        window=stop.window,
        deadline=stop.deadline,
        told_kind="",
        forecast=f,
        rules=rules,
        at=at,
    ).look
