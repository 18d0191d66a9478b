"""What was learned, as people may see it: kinds of work, forgotten days, and what each false-alarm budget buys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core.looks import Choice
from punctual.core.plan import Work, better
from punctual.models import JobType, Learned, LearnedDay
from punctual.queries import day as days


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of work as it went and as it is planned today; `propose`: minutes to plan instead, None when it is right."""

    name: str
    public_name: str
    planned_today: float
    work: Work
    propose: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A kind of work whose planned time is wrong: what is planned, what half of such visits take, and what to plan."""

    job_type_id: int
    job: str
    planned: int
    takes: int
    propose: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A day that teaches nothing: marked by whom and why."""

    date: date
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class Known:
    """The newest version of what was learned; version 0 and no visits before there is any history."""

    version: int
    at: datetime | None
    visits: int
    days: int
    first: date | None
    last: date | None
    technicians: int
    changeover: float
    spread: float
    chance: float
    budget: float
    jobs: tuple[Job, ...]
    curve: tuple[Choice, ...]
    forgotten: tuple[Forgotten, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = asdict(self)
        for name in ("at", "first", "last"):
            plain[name] = plain[name].isoformat() if plain[name] else None
        for day in plain["forgotten"]:
            day["date"] = day["date"].isoformat()
        return plain


def learned(s: Session) -> Known:
    """Read it, with the plans and marks of today."""
    row = s.scalar(select(Learned).order_by(Learned.id.desc()).limit(1))
    facts = (row.facts if row else None) or {}
    rules = days.rules(s)
    return Known(
        version=row.id if row else 0,
        at=row.at if row else None,
        visits=row.visits if row else 0,
        days=facts.get("days", 0),
        first=_date(facts.get("first")),
        last=_date(facts.get("last")),
        technicians=facts.get("technicians", 0),
        changeover=facts.get("changeover", 0.0),
        spread=facts.get("spread", 0.0),
        chance=rules.tell_chance,
        budget=rules.false_alarm_budget,
        jobs=tuple(_jobs(s, facts.get("types", []))),
        curve=tuple(Choice(**c) for c in facts.get("curve", [])),
        forgotten=tuple(
            Forgotten(d.date, d.marked_by, d.note)
            for d in s.scalars(select(LearnedDay).where(LearnedDay.forgotten).order_by(LearnedDay.date))
        ),
    )


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _jobs(s: Session, types: list[dict[str, Any]]) -> Iterator[Job]:
    names = {j.id: j for j in s.scalars(select(JobType))}
    for t in types:
        work = Work(t["job_type"], t["visits"], t["planned"], (t["taken"][0], t["taken"][1], t["taken"][2]))
        job = names.get(work.job_type)
        if job is not None:
            yield Job(job.name, job.public_name, job.planned_min, work, better(work, job.planned_min))


def plans(known: Known, kinds: set[int] | None = None) -> list[Plan]:
    """Plans that are wrong, of these kinds of work or of all."""
    return [
        Plan(j.work.job_type, j.public_name, round(j.planned_today), round(j.work.taken[1]), j.propose)
        for j in known.jobs
        if j.propose is not None and (kinds is None or j.work.job_type in kinds)
    ]


def table(k: Known) -> Iterator[str]:
    """The same for a terminal, line by line. Technicians are counted, never ranked."""
    if not k.version:
        yield "Nothing has been learned yet; `punctual learn` learns from finished visits."
        return
    span = f" on {k.days} days, {k.first} to {k.last}, of {k.technicians} technicians" if k.visits else ""
    yield f"Version {k.version} of {k.at:%Y-%m-%d %H:%M} UTC: {k.visits} finished visits{span}"
    yield f"Told at a chance of {k.chance:.2f} of being late, for a budget of {k.budget:.1%} false alarms"
    yield f"Changeover without places {k.changeover:.0f} min; durations spread by a factor of {2.718281828**k.spread:.2f}"
    yield ""
    yield f"{'kind of work':24} {'visits':>6} {'planned':>8} {'takes':>6} {'8 in 10':>12}"
    for j in sorted(k.jobs, key=lambda j: -j.work.visits):
        low, mid, high = j.work.taken
        hint = f"  plan {j.propose}?" if j.propose else ""
        yield f"{j.name[:24]:24} {j.work.visits:6} {j.planned_today:8.0f} {mid:6.0f} {f'{low:.0f} to {high:.0f}':>12}{hint}"
    if k.curve:
        yield ""
        yield f"{'budget':>7} {'told at':>8} {'warned in time':>15} {'in vain':>8} {'too late':>9} {'unwarned':>9}  (customers in 100)"
    for c in k.curve:
        now = "  <- chosen" if abs(c.budget - k.budget) < 1e-6 else ""
        yield f"{c.budget:7.1%} {c.chance:8.2f} {c.recall:15.0%} {c.in_vain:8.1f} {c.too_late:9.1f} {c.unwarned:9.1f}{now}"
    for d in k.forgotten:
        yield f"forgotten: {d.date} {d.note} ({d.by})"
