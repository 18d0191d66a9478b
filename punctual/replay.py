"""Recorded days, minute by minute, through the very same watch, notices and outbox - and what would have happened."""

from __future__ import annotations

import csv
import gzip
import heapq
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from flask import Flask
from sqlalchemy import event, func, select

from punctual import learn, watch
from punctual.actions import Refused, company, intake, technician, transaction
from punctual.core import accuracy
from punctual.core.day import minutes
from punctual.core.kinds import KINDS
from punctual.models import Message, Shift, Visit, db
from punctual.queries import day as days
from punctual.worker import Worker

#: A customer is late when the work starts more than this many minutes after plan (a recorded window is 15 long).
LATE = 15.0
#: Every day in progress is looked at this often; days whose technician owes a report, every minute.
CALM_MIN = 5
#: Days looked at in one go.
PIECE = 200
#: Printed beside what was asked for: warned so many minutes ahead.
ALSO = (30.0,)


@dataclass(frozen=True, slots=True)
class Result:
    """What the replay found. Shares are of 1; minutes are beyond the planned start of customers not warned in time."""

    visits: int
    late: int
    warned_in_time: float
    false_alarms: float
    messages_per_visit: float
    unwarned: float
    unwarned_nothing: float
    unwarned_forward: float
    forward_false_alarms: float
    unwarned_forward_same_alarms: float
    tell_chance: float
    looks: int
    learned: int
    first: date
    in_time: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"first": self.first.isoformat()}


@dataclass(frozen=True, slots=True)
class Job:
    """One recorded job: its visit, its technician, and what really happened; minutes since 1970."""

    visit: int
    technician: int
    shift: int
    plan_start: float
    plan_end: float
    start: float
    end: float


def selected(raw: bytes, most_days: int = 0, most_resources: int = 0) -> bytes:
    """The first days and resources of a recorded file (0: all), as CSV text; reads .gz."""
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    dates = sorted({r["date"] for r in rows})[: most_days or None]
    resources = sorted({r["resource_id"] for r in rows})[: most_resources or None]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(r for r in rows if r["date"] in set(dates) and r["resource_id"] in set(resources))
    return out.getvalue().encode()


def run(
    app: Flask,
    recorded: bytes,
    history: bytes | None,
    *,
    zone: str,
    in_time: float = 15.0,
    budget: float = 0.05,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Result]:
    """Replay recorded days in this (scratch) application, whose database is empty and migrated.

    The first result counts warnings at least `in_time` minutes ahead as in time, the others those of ALSO.
    """
    with app.app_context():
        _fast()
        start = datetime.fromisoformat("2000-01-01T00:00+00:00")
        if history is not None:
            intake.take(history, name="history.csv", at=start, by="replay", zone=zone, actuals=True)
        intake.take(recorded, name="recorded.csv", at=start, by="replay", zone=zone)
        company.change_rules({"false_alarm_budget": budget, "warn_by_min": in_time})
        jobs = _jobs(recorded)
        first = min(j.plan_start for j in jobs.values())
        on: date = db.session.scalar(select(func.min(Visit.date)).where(Visit.state == "planned")) or start.date()
        with transaction() as s:
            learned = learn.learn(s, at=datetime.fromtimestamp((first - 720) * 60, tz=UTC)).visits
        looks = _live(app, jobs, progress)
        return [_measured(jobs, ahead, looks, learned, on) for ahead in dict.fromkeys((in_time, *ALSO))]


def _fast() -> None:
    """A scratch database need not survive a power cut."""

    @event.listens_for(db.engine, "connect")
    def quick(dbapi: object, record: object) -> None:
        dbapi.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]

    db.engine.dispose()


def _jobs(recorded: bytes) -> dict[int, Job]:
    """The imported visits with what the file says really happened."""
    text = recorded.decode()
    truth = {f"{r['date']}-{r['resource_id']}-{r['seq']}": r for r in csv.DictReader(io.StringIO(text))}
    found = {}
    shifts = {(x.technician_id, x.date): x.id for x in db.session.scalars(select(Shift))}
    for v in db.session.scalars(select(Visit).where(Visit.state == "planned")):
        r = truth[v.ref or ""]
        planned = datetime.fromisoformat(r["planned_start"])
        begin, base = minutes(v.planned_start), planned

        def at(key: str, r: dict[str, str] = r, begin: float = begin, base: datetime = base) -> float:
            return begin + (datetime.fromisoformat(r[key]) - base).total_seconds() / 60

        technician_id = v.technician_id or 0
        found[v.id] = Job(
            v.id,
            technician_id,
            shifts[(technician_id, v.date)],
            begin,
            at("planned_end"),
            at("actual_start"),
            at("actual_end"),
        )
    db.session.rollback()
    return found


def _live(app: Flask, jobs: dict[int, Job], progress: Callable[[int, int], None]) -> int:
    """Live every minute of the recorded days: reports as they were made, looks, deliveries, and every night the day
    before is learned from. Returns how many looks."""
    worker = Worker(app)
    events = [(j.start, 0, j) for j in jobs.values()] + [(j.end, 1, j) for j in jobs.values()]
    heap = [(at, kind, j.visit) for at, kind, j in events]
    heapq.heapify(heap)
    by_shift: dict[int, list[Job]] = defaultdict(list)
    for j in jobs.values():
        by_shift[j.shift].append(j)
    spans = {
        k: (min(j.plan_start for j in v) - 90, max(max(j.end, j.plan_end) for j in v)) for k, v in by_shift.items()
    }
    total, looks = len(heap), 0
    for minute in sorted({m for a, b in spans.values() for m in range(int(a), int(b) + 1)}):
        at = datetime.fromtimestamp(minute * 60, tz=UTC)
        while heap and heap[0][0] <= minute:
            _, kind, visit = heapq.heappop(heap)
            _report(jobs[visit], "done" if kind else "arrived", at)
        due = [
            k
            for k, (a, b) in spans.items()
            if a <= minute <= b and (minute % CALM_MIN == 0 or _owes(by_shift[k], minute))
        ]
        for i in range(0, len(due), PIECE):
            with transaction() as s:
                watch.look(s, due[i : i + PIECE], at=at)
        looks += len(due)
        worker.deliver(at)
        if minute % 60 == 0:
            worker.nightly(at)
        progress(total - len(heap), total)
    worker.sender.close()
    return looks


def _owes(jobs: Iterable[Job], minute: float) -> bool:
    """Whether the technician of a day owes a report by now, as far as plan and reports say."""
    for j in jobs:
        if j.start <= minute < j.end and minute > j.plan_end - 10:
            return True
        if j.start > minute > j.plan_start:
            return True
    return False


def _report(job: Job, kind: str, at: datetime) -> None:
    """A step as it was made; one half a day after its shift is refused like any technician's, and stays unreported."""
    key = f"replay-{job.visit}-{kind}"
    with suppress(Refused):
        technician.report(job.visit, kind, technician_id=job.technician, key=key, tapped_at=at, at=at, source="replay")


def _measured(jobs: dict[int, Job], in_time: float, looks: int, learned: int, first: date) -> Result:
    """Compare what was told with what happened, and with two alternatives on the same days."""
    delay = [k.name for k in KINDS.values() if k.class_ == "delay"]
    told = {
        visit: minutes(at)
        for visit, at in db.session.execute(
            select(Message.visit_id, func.min(Message.state_at))
            .where(Message.kind.in_(delay), Message.state == "sent")
            .group_by(Message.visit_id)
        )
    }
    sent = db.session.scalar(select(func.count()).select_from(Message).where(Message.state == "sent")) or 0
    rows = sorted(jobs.values(), key=lambda j: (j.shift, j.plan_start, j.visit))
    lateness = [j.start - j.plan_start for j in rows]
    ours = [told.get(j.visit, float("inf")) <= j.plan_start - in_time for j in rows]
    alarms = accuracy.false_alarms(lateness, [j.visit in told for j in rows], LATE)
    known = _forward(rows, in_time)
    raw = [x > LATE for x in known]
    same = accuracy.threshold_at(lateness, known, LATE, alarms)
    return Result(
        visits=len(rows),
        late=sum(x > LATE for x in lateness),
        warned_in_time=accuracy.recall(lateness, ours, LATE),
        false_alarms=alarms,
        messages_per_visit=sent / max(len(rows), 1),
        unwarned=accuracy.unwarned(lateness, ours),
        unwarned_nothing=accuracy.unwarned(lateness, [False] * len(rows)),
        unwarned_forward=accuracy.unwarned(lateness, raw),
        forward_false_alarms=accuracy.false_alarms(lateness, raw, LATE),
        unwarned_forward_same_alarms=accuracy.unwarned(lateness, [x > same for x in known]),
        tell_chance=days.rules(db.session()).tell_chance,
        looks=looks,
        learned=learned,
        first=first,
        in_time=in_time,
    )


def _forward(rows: list[Job], in_time: float) -> list[float]:
    """For each visit the most lateness its technician was known to have between 90 and `in_time` minutes before it."""
    by_shift: dict[int, list[Job]] = defaultdict(list)
    for j in rows:
        by_shift[j.shift].append(j)
    found = []
    for j in rows:
        before = [x for x in by_shift[j.shift] if x.plan_start < j.plan_start]
        times = range(int(j.plan_start - 90), int(j.plan_start - in_time) + 1)
        found.append(
            max(
                (accuracy.carried([(x.plan_start, x.plan_end, x.start, x.end) for x in before], t) for t in times),
                default=0.0,
            )
        )
    return found


def words(results: Sequence[Result]) -> str:
    """The results as a person reads them."""
    return "\n".join([_words(results[0]), *(_also(r) for r in results[1:])])


def _also(r: Result) -> str:
    return (
        f"counting {r.in_time:.0f} min ahead as in time: {r.warned_in_time:.1%} of the late warned, {r.unwarned:.0f} minutes "
        f"unwarned; carrying the delay forward at our false alarms {r.unwarned_forward_same_alarms:.0f}"
    )


def _words(r: Result) -> str:

    def fewer(than: float) -> str:
        return f"{(than - r.unwarned) / than:.0%} fewer" if than else "none to spare"

    return "\n".join(
        (
            f"{r.visits} visits, {r.late} late by more than {LATE:.0f} min ({r.looks} looks at a day)",
            f"warned at least {r.in_time:.0f} min ahead: {r.warned_in_time:.1%} of the late",
            f"false alarms: {r.false_alarms:.1%} of the customers served on time (told at a chance of {r.tell_chance:.2f})",
            f"messages per visit: {r.messages_per_visit:.2f}",
            f"unwarned waiting minutes: {r.unwarned:.0f}",
            f"  doing nothing: {r.unwarned_nothing:.0f} ({fewer(r.unwarned_nothing)})",
            f"  carrying the delay forward over {LATE:.0f} min: {r.unwarned_forward:.0f} ({fewer(r.unwarned_forward)}), "
            f"at {r.forward_false_alarms:.1%} false alarms",
            f"  the same at our share of false alarms: {r.unwarned_forward_same_alarms:.0f} ({fewer(r.unwarned_forward_same_alarms)})",
        )
    )
