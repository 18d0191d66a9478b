"""Makes the demo's rows: the company, some months of generated history, and each day's plan with its story."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from punctual.core.day import at_wall, local
from punctual.core.travel import estimate
from punctual.demo_data import FIRST, JOBS, LAST, NOTES, STREETS, TECHNICIANS
from punctual.models import Company, Customer, GoodRule, JobType, Place, Promise, Shift, Technician, User, Visit

ZONE = "Europe/London"
HISTORY_DAYS = 50
BREAK = ("12:30", "13:00")
#: One repair in so many turns out to be a bigger one (log scale).
TROUBLE_SHARE, TROUBLE, REPAIRS = 0.1, 0.5, (2, 5, 6)
#: Of the jobs that take longer than planned, one in so many cannot be finished at all.
FAILED_SHARE = 0.05
#: Share of days that begin with an emergency, and how long it takes, minutes.
EMERGENCY_SHARE, EMERGENCY_MIN = 0.06, (60.0, 180.0)
#: Share of the times of days ahead that nobody has asked for yet.
OPEN_SHARE = 0.3
#: The visits of the story, by reference: minutes the work really takes.
TRUTH = {"tom-1": 135.0, "leila-1": 150.0, "mei-1": 105.0}


@dataclass(frozen=True, slots=True)
class Plan:
    """One planned visit of a generated day."""

    technician: int
    job: int
    street: int
    start: datetime
    minutes: int
    travel: float


def wall(on: date, clock: str) -> datetime:
    hour, minute = clock.split(":")
    return at_wall(on, int(hour), int(minute), ZONE)


def _wall(at: datetime) -> str:
    return local(at, ZONE).strftime("%Y-%m-%dT%H:%M")


def workday(on: date) -> date:
    """That day, or the Monday after a weekend."""
    return on + timedelta(days={5: 2, 6: 1}.get(on.weekday(), 0))


def company(s: Session, at: datetime) -> None:
    """The company, its people, job types and places. Everything is invented but the streets."""
    s.add(
        Company(
            id=1,
            name="Bellweather Heating",
            text_name="Bellweather Heating",
            zone=ZONE,
            language="en",
            country="GB",
            phone="0117 496 0118",
            hours="Mon-Fri 8:00-18:00",
            mail_from="visits@bellweather.example",
            rules={},
            demo=True,
            created_at=at,
        )
    )
    s.add(User(email="dana@bellweather.example", name="Dana Price", created_at=at))
    s.add(User(email="maria@bellweather.example", name="Maria Okafor", role="manager", created_at=at))
    s.add_all(
        [
            GoodRule(kind="late", late_min=15, warned=False, discount_pct=10),
            GoodRule(kind="late", late_min=45, warned=None, credit=2000),
            GoodRule(kind="missed", late_min=0, warned=None, credit=4000),
            GoodRule(kind="other", late_min=0, warned=None, ask=True),
        ]
    )
    rng = np.random.default_rng(7)
    for i, (street, code, lat, lon) in enumerate(STREETS):
        number = int(rng.integers(3, 190))
        s.add(Place(id=i + 1, address=f"{number} {street}, Bristol {code}", lat=lat, lon=lon, state="known"))
    s.flush()
    for i, (name, public, minutes, skill, _, _) in enumerate(JOBS):
        s.add(JobType(id=i + 1, name=name, public_name=public, planned_min=float(minutes), skill=skill))
    for i, (name, skills, home, _, _) in enumerate(TECHNICIANS):
        first = name.split()[0].lower()
        s.add(
            Technician(
                id=i + 1,
                ref=first,
                name=name,
                email=f"{first}@bellweather.example",
                skills=list(skills),
                home_place_id=home + 1,
            )
        )
    s.flush()
    for i in range(180):
        first, last = FIRST[i % len(FIRST)], LAST[(i * 7 + i // len(FIRST)) % len(LAST)]
        mail = f"{first}.{last}.{i}@example.com".lower()
        s.add(Customer(name=f"{first} {last}", email=mail, phone=f"+4479460{i:05d}", language="en", created_at=at))
    s.flush()


def plans(on: date, rng: np.random.Generator, most: int = 6) -> Iterator[list[Plan]]:
    """A plausible plan for every technician: nearby places, planned minutes, the drive, some slack, the break."""
    for t, (_, skills, home, start, end) in enumerate(TECHNICIANS):
        at, here, rested = wall(on, start), home, False
        last, rest = wall(on, end), wall(on, BREAK[0])
        day: list[Plan] = []
        fitting = [j for j, job in enumerate(JOBS) if job[3] in skills]
        while len(day) < most:
            job = int(rng.choice(fitting))
            street = int(rng.integers(len(STREETS)))
            there = STREETS[street]
            drive = float(estimate(*(np.asarray(x) for x in (*STREETS[here][2:], *there[2:]))))
            begin = at + timedelta(minutes=drive + (float(rng.integers(10, 32)) if day else 0.0))
            if not rested and begin >= rest - timedelta(minutes=15):
                rested, begin = True, max(begin, rest) + timedelta(minutes=30)
            begin += timedelta(minutes=-begin.minute % 15, seconds=-begin.second, microseconds=-begin.microsecond)
            minutes = JOBS[job][2]
            if begin + timedelta(minutes=minutes) > last:
                break
            day.append(Plan(t + 1, job + 1, street + 1, begin, minutes, drive))
            at, here = begin + timedelta(minutes=minutes), street
        yield day


def _shifts(on: date) -> list[dict[str, object]]:
    return [
        {
            "technician_id": t + 1, "date": on, "starts_at": wall(on, start), "ends_at": wall(on, end),
            "break_starts_at": wall(on, BREAK[0]), "break_ends_at": wall(on, BREAK[1]), "off": "",
        }
        for t, (_, _, _, start, end) in enumerate(TECHNICIANS)
    ]  # fmt: skip


def _row(p: Plan, on: date, ref: str, customer: int, at: datetime, origin: str, notes: str = "") -> dict[str, object]:
    uid = UUID(int=(on.toordinal() << 64) + (p.technician << 32) + int(p.start.timestamp()) % 2**31)
    end = p.start + timedelta(minutes=30)
    return {
        "ref": ref, "customer_id": customer, "technician_id": p.technician, "job_type_id": p.job, "place_id": p.street,
        "date": on, "zone": ZONE, "planned_start": p.start, "planned_min": float(p.minutes), "window_start": p.start,
        "window_end": end, "wall_start": _wall(p.start), "wall_end": _wall(end),
        "notes": notes, "origin": origin, "uid": f"{uid}@bellweather.example", "created_at": at, "changed_at": at,
        "promise_version": 1, "deadline_kind": "done", "early_ok": False, "late_min": 0.0, "state": "planned",
        "cancelled_by": "", "sequence": 0, "window_sequence": 0, "partstat": "NEEDS-ACTION", "told_kind": "",
        "arrived_at": None, "finished_at": None, "deadline": None,
    }  # fmt: skip


def history(s: Session, before: date, at: datetime) -> int:
    """Some months of finished visits, marked as generated; returns how many."""
    rng = np.random.default_rng(20261124)
    visits: list[dict[str, object]] = []
    shifts: list[dict[str, object]] = []
    on, made = before - timedelta(days=1), 0
    while made < HISTORY_DAYS:
        if on.weekday() < 5:
            made += 1
            shifts += _shifts(on)
            roads = float(rng.lognormal(0.0, 0.25))
            for day in plans(on, rng):
                free = day[0].start + _emergency(rng) if day else None
                for k, p in enumerate(day):
                    row = _row(
                        p, on, f"{on.isoformat()}-{p.technician}-{k}", int(rng.integers(1, 181)), at, "generated"
                    )
                    earliest = p.start - timedelta(minutes=float(rng.integers(0, 3)))
                    if free is not None:
                        earliest = max(
                            earliest, free + timedelta(minutes=p.travel * roads * float(rng.lognormal(0, 0.18)) + 2)
                        )
                    arrived = earliest + timedelta(minutes=float(rng.exponential(2.5)))
                    free = arrived + timedelta(minutes=duration(p.job, p.minutes, rng))
                    failed = rng.uniform() < FAILED_SHARE and (free - arrived).total_seconds() > 60.0 * p.minutes
                    state = "cannot_finish" if failed else "done"
                    visits.append(row | {"state": state, "arrived_at": arrived, "finished_at": free})
        on -= timedelta(days=1)
    s.execute(insert(Shift), shifts)
    s.execute(insert(Visit), visits)
    return len(visits)


def _emergency(rng: np.random.Generator) -> timedelta:
    """How long a technician is kept by something urgent before the day's first visit: on most days not at all."""
    return timedelta(minutes=float(rng.uniform(*EMERGENCY_MIN)) if rng.uniform() < EMERGENCY_SHARE else -60.0)


def duration(job: int, planned: float, rng: np.random.Generator) -> float:
    """How long such a job really takes in the demo, in minutes."""
    _, _, _, _, mean, spread = JOBS[job - 1]
    trouble = TROUBLE if job in REPAIRS and rng.uniform() < TROUBLE_SHARE else 0.0
    return float(planned * np.exp(np.clip(rng.normal(mean, spread), -1.0, 1.1) + trouble))


def day(s: Session, on: date, at: datetime, *, first: bool, most: int = 6) -> int:
    """One day's plan with its promises and the story; Grace and the others of the README are the first day's. At most
    `most` visits a technician; days ahead also have gaps between them. Returns how many visits."""
    rng = np.random.default_rng(on.toordinal())
    s.execute(insert(Shift), _shifts(on))
    rows: list[dict[str, object]] = []
    customers = rng.permutation(np.arange(1, 181))
    for planned in plans(on, rng, most):
        for k, p in enumerate(planned):
            who = TECHNICIANS[p.technician - 1][0].split()[0].lower()
            told = k < len(STORY.get(who, ()))
            if not first and k and not told and rng.uniform() < OPEN_SHARE:
                continue
            note = str(rng.choice(NOTES))
            rows.append(_row(p, on, f"{who}-{k + 1}-{on.isoformat()}", int(customers[len(rows)]), at, "demo", note))
    _tell_story(s, rows, on, named=first)
    ends = {t + 1: wall(on, end) + timedelta(minutes=30) for t, (_, _, _, _, end) in enumerate(TECHNICIANS)}
    rows = [r for r in rows if r["planned_start"] + timedelta(minutes=r["planned_min"]) <= ends[r["technician_id"]]]  # type: ignore[operator,index,arg-type]
    s.execute(insert(Visit), rows)
    made = s.query(Visit).filter_by(date=on, origin="demo").all()
    s.add_all(
        Promise(
            visit_id=v.id, kind="window", opens_at=v.window_start, due_at=v.window_end, made_by="import", made_at=at
        )
        for v in made
    )
    s.flush()
    return len(made)


#: technician's first visits on the story's day: (ref, planned start, minutes, job, street, customer's name)
STORY = {
    "tom": ((1, "08:00", 40, 4, 3, "Priya Nair"), (2, "09:00", 45, 1, 11, "Grace Whitfield")),
    "leila": ((1, "08:00", 45, 1, 17, "Noor Ashworth"), (2, "09:30", 40, 3, 5, "Ellen Quinn")),
    "mei": ((1, "08:00", 45, 4, 24, "Peter Marsh"), (2, "09:00", 40, 3, 23, "Ruth Bello")),
}


def _tell_story(s: Session, rows: list[dict[str, object]], on: date, *, named: bool) -> None:
    """Put the story's times - and its people, or whoever has these visits - into the first visits of three technicians."""
    for first, visits in STORY.items():
        for k, clock, minutes, job, street, name in visits:
            ref = f"{first}-{k}-{on.isoformat()}"
            row = next((r for r in rows if r["ref"] == ref), None)
            if row is None:
                continue
            if named:
                row["customer_id"] = _person(s, name, k, row["created_at"])
            start = wall(on, clock)
            end = start + timedelta(minutes=30)
            row |= {
                "planned_start": start, "planned_min": float(minutes), "job_type_id": job,
                "place_id": street, "window_start": start, "window_end": end,
                "wall_start": f"{on.isoformat()}T{clock}", "wall_end": _wall(end),
            }  # fmt: skip
            if name == "Grace Whitfield":
                row["deadline"] = wall(on, "10:00")
        mine = sorted((r for r in rows if str(r["ref"]).startswith(f"{first}-")), key=lambda r: str(r["ref"]))
        _respace(mine)


def _person(s: Session, name: str, k: int, at: object) -> int:
    mail = name.lower().replace(" ", ".") + "@example.com"
    customer = Customer(name=name, email=mail, phone=f"+447700900{300 + len(name) + k}", language="en", created_at=at)
    s.add(customer)
    s.flush()
    return customer.id


def _respace(rows: list[dict[str, object]]) -> None:
    """Later visits of a technician start after the story's ones with half an hour between."""
    free: datetime | None = None
    for row in rows:
        start, minutes = row["planned_start"], row["planned_min"]
        assert isinstance(start, datetime) and isinstance(minutes, float)
        if free is not None and start < free:
            start = free + timedelta(minutes=-free.minute % 15)
            end = start + timedelta(minutes=30)
            row |= {
                "planned_start": start, "window_start": start, "window_end": end,
                "wall_start": _wall(start), "wall_end": _wall(end),
            }  # fmt: skip
        free = start + timedelta(minutes=minutes + 15)
