"""Checked values to rows, in bulk, inside the one transaction of an import."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from punctual.actions import intake_change as change
from punctual.core.day import at_wall
from punctual.intake import values
from punctual.intake.values import Checked
from punctual.models import (
    Company,
    Customer,
    JobType,
    Place,
    Promise,
    Report,
    Shift,
    Technician,
    Visit,
)
from punctual.queries import day as days

#: Rows of one statement; as many ids as one IN takes.
CHUNK = 500
#: Hours of a day for which no shift was given.
HOURS = (8, 17)
T = TypeVar("T")


@dataclass(slots=True)
class Counts:
    """What an import did, or would do where nothing was kept (`dry`). `moved`: customers whose window changed without a word, with what it was before."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    technicians: int = 0
    shifts: int = 0
    jobs: int = 0
    customers: int = 0
    pending_places: int = 0
    moved: list[dict[str, Any]] = field(default_factory=list)
    told: int = 0
    notes: list[str] = field(default_factory=list)
    dates: set[date] = field(default_factory=set)
    import_id: int = 0
    dry: bool = False

    @property
    def sentence(self) -> str:
        """The result in one line."""
        changed = f"{self.changed} changed, " if self.changed else ""
        if self.dry:
            sent = f", {self.told} messages sent" if self.told else ""
            return (
                f"Nothing was kept. {self.added} visits would be imported, {changed}{self.unchanged} unchanged{sent}."
            )
        return f"{self.added} visits imported, {changed}{self.unchanged} unchanged, {self.told} messages sent."

    def __str__(self) -> str:
        return "\n".join([self.sentence, *self.notes])

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, to be kept and shown."""
        names = (
            "added",
            "changed",
            "unchanged",
            "technicians",
            "shifts",
            "jobs",
            "customers",
            "pending_places",
            "told",
        )
        return {n: getattr(self, n) for n in names} | {"moved": self.moved, "notes": self.notes[:200]}


@dataclass(slots=True)
class Desk:
    """What the steps of one import share: ids by the names a file uses."""

    s: Session
    company: Company
    at: datetime
    by: str
    counts: Counts
    technicians: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    places: dict[values.Spot, int] = field(default_factory=dict)
    promises: dict[int, Promise] = field(default_factory=dict)
    unsent: set[int] = field(default_factory=set)
    claimed: set[int] = field(default_factory=set)


def write(
    s: Session,
    company: Company,
    checked: Checked,
    *,
    at: datetime,
    by: str,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Everything of a checked file; what is the same already is left alone. Writes in the caller's transaction."""
    desk = Desk(s, company, at, by, Counts(notes=list(checked.notes)))
    _lock(s, checked)
    _places(desk, [v.spot for v in checked.visits if v.spot] + [t.home for t in checked.technicians if t.home])
    _technicians(desk, checked.technicians)
    _jobs(desk, checked)
    _shifts(desk, checked)
    known = _known(s, [v.ref for v in checked.visits])
    fresh = [v for v in checked.visits if v.ref not in known]
    whom = _customers(desk, fresh)
    for i, some in enumerate(_chunks(fresh)):
        _visits(desk, some, whom)
        if progress:
            progress(checked.rows + i * CHUNK, 2 * checked.rows)
    changed = [v for v in checked.visits if v.ref in known and _differs(v, known[v.ref])]
    for some in _chunks(changed):
        for v, row in change.fetch(desk, some):
            change.apply(desk, row, v)
        s.flush()
    desk.counts.added, desk.counts.changed = len(fresh), len(changed)
    desk.counts.unchanged = len(checked.visits) - len(fresh) - len(changed)
    if progress:
        progress(2 * checked.rows, 2 * checked.rows)
    return desk.counts


def _lock(s: Session, checked: Checked) -> None:
    """The days of the file, and those on which its visits are now: taps on them wait until it is taken."""
    if days.one_writer(s):
        return
    dates = {v.date for v in checked.visits} | {x.date for x in checked.shifts}
    for refs in _chunks([v.ref for v in checked.visits]):
        dates |= set(s.scalars(select(Visit.date).where(Visit.ref.in_(refs)).distinct()))
    ids: set[int] = set()
    for some in _chunks(sorted(dates)):
        ids |= set(s.scalars(select(Shift.id).where(Shift.date.in_(some))))
    for few in _chunks(sorted(ids)):
        days.lock(s, few)


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))


def _differs(v: values.Visit, last: dict[str, str] | None) -> bool:
    """Does the file say something else than the file this visit came from?"""
    return last is None or any(last.get(k, "") != text for k, text in v.cells.items())


def _known(s: Session, refs: list[str]) -> dict[str, dict[str, str] | None]:
    found: dict[str, dict[str, str] | None] = {}
    for some in _chunks(refs):
        rows = s.execute(select(Visit.ref, Visit.imported).where(Visit.ref.in_(some)))
        found.update({str(ref): last for ref, last in rows})
    return found


def insert_all(s: Session, table: Any, rows: list[dict[str, Any]]) -> list[int]:
    """Insert rows of equal keys; their ids in the same order."""
    if not rows:
        return []
    t: Table = table.__table__
    return list(s.execute(insert(t).returning(t.c.id, sort_by_parameter_order=True), rows).scalars())


def _places(desk: Desk, spots: Iterable[values.Spot]) -> None:
    """A row for every spot: one we know with the same address and degrees, or a new one."""
    wanted = list(dict.fromkeys(spots))
    by_address: dict[str, list[Any]] = {}
    for some in _chunks([x.address for x in wanted]):
        rows = desk.s.execute(
            select(Place.id, Place.address, Place.lat, Place.lon).where(Place.address.in_(some)).order_by(Place.id)
        )
        for row in rows:
            by_address.setdefault(row.address, []).append(row)
    fresh = []
    for spot in wanted:
        same = [
            r for r in by_address.get(spot.address, ()) if spot.lat is None or (r.lat, r.lon) == (spot.lat, spot.lon)
        ]
        if same:
            desk.places[spot] = same[0].id
        else:
            fresh.append(spot)
    ids = insert_all(
        desk.s,
        Place,
        [{"address": x.address, "lat": x.lat, "lon": x.lon, "state": _place_state(x)} for x in fresh],
    )
    desk.places.update(zip(fresh, ids, strict=True))
    desk.counts.pending_places = sum(_place_state(x) == "pending" for x in fresh)


def _place_state(spot: values.Spot) -> str:
    if spot.lat is not None:
        return "known"
    return "named" if spot.named else "pending"


def _technicians(desk: Desk, given: list[values.Technician]) -> None:
    rows = {r.ref: r for r in desk.s.scalars(select(Technician))}
    for t in given:
        home = desk.places[t.home] if t.home else None
        row = rows.get(t.ref)
        if row is None:
            row = rows[t.ref] = Technician(ref=t.ref, name=t.name, skills=[])
            desk.s.add(row)
            desk.counts.technicians += 1
        wanted: dict[str, Any] = {"name": t.name, "email": t.email, "phone": t.phone, "home_place_id": home}
        wanted["skills"] = None if t.skills is None else list(t.skills)
        for name, value in wanted.items():
            if value is not None and getattr(row, name) != value:
                setattr(row, name, value)
    desk.s.flush()
    desk.technicians = {ref: row.id for ref, row in rows.items()}


def _jobs(desk: Desk, checked: Checked) -> None:
    rows = {r.name: r for r in desk.s.scalars(select(JobType))}
    inline = [values.Job(v.job, None, v.planned_min, None) for v in checked.visits if v.job not in rows]
    for job in [*checked.jobs, *inline]:
        row = rows.get(job.name)
        if row is None:
            row = rows[job.name] = JobType(
                name=job.name,
                public_name=job.public_name or job.name,
                planned_min=job.minutes or 60.0,
                skill=job.skill or "",
            )
            desk.s.add(row)
            desk.counts.jobs += 1
        elif job in checked.jobs and not checked.recorded:
            row.public_name = job.public_name or row.public_name
            row.planned_min = job.minutes or row.planned_min
            row.skill = row.skill if job.skill is None else job.skill
    desk.s.flush()
    desk.jobs = {name: row.id for name, row in rows.items()}


def _shifts(desk: Desk, checked: Checked) -> None:
    """The shifts of the file, and one of 8 to 17 - longer where the visits are - for a day nobody planned."""
    given = {(desk.technicians[x.technician], x.date): x for x in checked.shifts}
    needed: dict[tuple[int, date], list[values.Visit]] = {}
    for v in checked.visits:
        if v.technician and not v.cancelled:
            needed.setdefault((desk.technicians[v.technician], v.date), []).append(v)
    dates = sorted({on for _, on in (*given, *needed)})
    rows: dict[tuple[int, date], Shift] = {}
    for some in _chunks(dates):
        rows.update({(r.technician_id, r.date): r for r in desk.s.scalars(select(Shift).where(Shift.date.in_(some)))})
    fresh = []
    for key, x in given.items():
        new = {
            "starts_at": x.hours.start,
            "ends_at": x.hours.end,
            "break_starts_at": x.rest.start if x.rest else None,
            "break_ends_at": x.rest.end if x.rest else None,
        }
        if key not in rows:
            fresh.append({"technician_id": key[0], "date": key[1], **new})
        elif any(getattr(rows[key], name) != value for name, value in new.items()):
            for name, value in new.items():
                setattr(rows[key], name, value)
            desk.counts.shifts += 1
            desk.counts.dates.add(key[1])
    planned = [_usual(desk, key, some) for key, some in needed.items() if key not in rows and key not in given]
    insert_all(desk.s, Shift, fresh + planned)
    desk.counts.shifts += len(fresh) + len(planned)
    desk.counts.dates.update(x["date"] for x in fresh + planned)
    if planned:
        what = "1 shift was" if len(planned) == 1 else f"{len(planned)} shifts were"
        desk.counts.notes.append(f"{what} not in the file; 08:00 to 17:00 was taken.")


def _usual(desk: Desk, key: tuple[int, date], visits: list[values.Visit]) -> dict[str, Any]:
    start, end = (at_wall(key[1], hour, 0, desk.company.zone) for hour in HOURS)
    return {
        "technician_id": key[0],
        "date": key[1],
        "starts_at": min(start, *(v.planned_start for v in visits)),
        "ends_at": max(end, *(v.planned_start + timedelta(minutes=v.planned_min) for v in visits)),
        "break_starts_at": None,
        "break_ends_at": None,
    }


def _customers(desk: Desk, visits: list[values.Visit]) -> dict[values.Customer, int]:
    """Who each new visit is for: by `customer_id`, else the same name, e-mail and phone, else somebody new."""
    if not visits:
        return {}
    rows = desk.s.execute(select(Customer.id, Customer.ref, Customer.name, Customer.email, Customer.phone)).all()
    by_ref = {r.ref: r.id for r in rows if r.ref}
    alike = {(r.name, r.email, r.phone): r.id for r in rows if r.email or r.phone}
    found: dict[values.Customer, int] = {}
    fresh: dict[object, values.Customer] = {}
    for c in dict.fromkeys(v.customer for v in visits):
        known = by_ref.get(c.ref) if c.ref else alike.get((c.name, c.email, c.phone))
        if known is not None:
            found[c] = known
        else:
            fresh.setdefault(_same(c), c)
    ids = insert_all(desk.s, Customer, [change.person(desk, c) for c in fresh.values()])
    new = dict(zip(fresh, ids, strict=True))
    desk.counts.customers = len(ids)
    return {c: found.get(c) or new[_same(c)] for c in dict.fromkeys(v.customer for v in visits)}


def _same(c: values.Customer) -> object:
    """What makes two rows mean one person; without an id, e-mail or phone only the name is left."""
    return c.ref or (c.name, c.email, c.phone)


def _visits(desk: Desk, visits: Sequence[values.Visit], whom: dict[values.Customer, int]) -> None:
    domain = desk.company.mail_from.rsplit("@", 1)[-1]
    ids = insert_all(desk.s, Visit, [_visit(desk, v, whom[v.customer], domain) for v in visits])
    both = list(zip(ids, visits, strict=True))
    insert_all(desk.s, Promise, [_promise(desk, i, v) for i, v in both])
    insert_all(desk.s, Report, [r for i, v in both if v.arrived for r in change.reports(desk, i, v)])
    desk.counts.dates.update(v.date for v in visits)


def _visit(desk: Desk, v: values.Visit, customer: int, domain: str) -> dict[str, Any]:
    return {
        "ref": v.ref,
        "customer_id": customer,
        "technician_id": desk.technicians[v.technician] if v.technician else None,
        "job_type_id": desk.jobs[v.job],
        "place_id": desk.places[v.spot] if v.spot else None,
        "date": v.date,
        "zone": v.zone,
        "planned_start": v.planned_start,
        "planned_min": v.planned_min,
        "window_start": v.window.start,
        "window_end": v.window.end,
        "wall_start": v.wall[0],
        "wall_end": v.wall[1],
        "deadline": v.deadline,
        "deadline_kind": v.deadline_kind,
        "notes": v.notes,
        "state": "cancelled" if v.cancelled else "done" if v.finished else "planned",
        "arrived_at": v.arrived,
        "finished_at": v.finished,
        "cancelled_at": desk.at if v.cancelled else None,
        "cancelled_by": "us" if v.cancelled else "",
        "origin": "import",
        "imported": v.cells,
        "uid": f"{uuid4()}@{domain}",
        "created_at": desk.at,
        "changed_at": desk.at,
    }


def _promise(desk: Desk, visit_id: int, v: values.Visit) -> dict[str, Any]:
    """The imported window: told elsewhere, so it is a promise from the start."""
    state = "open" if not v.arrived else "kept" if v.arrived <= v.window.end else "broken"
    return {
        "visit_id": visit_id,
        "kind": "window",
        "opens_at": v.window.start,
        "due_at": v.window.end,
        "state": "cancelled" if v.cancelled else state,
        "made_by": "import",
        "made_at": desk.at,
        "ended_at": v.arrived or (desk.at if v.cancelled else None),
        "ended_by": "import" if v.arrived or v.cancelled else "",
    }
