"""How good the forecast is here: the summary in lines, of the company itself or of recorded days in a scratch database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from flask import Flask
from sqlalchemy import func, select

from punctual import learn
from punctual.actions import company, intake, transaction
from punctual.charts import one_in
from punctual.core.measure import Held
from punctual.models import Visit, db
from punctual.queries import learned
from punctual.queries import summary as queries
from punctual.queries.summary import Summary

CAUSES = {
    "planning": "planned too short",
    "travel": "travel",
    "previous": "previous job",
    "own": "the job itself",
    "customer": "customer",
}
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

Progress = Callable[[int, int], None]


def of_file(
    app: Flask, recorded: bytes, *, zone: str, in_time: float, budget: float, progress: Progress = lambda done, of: None
) -> Summary | None:
    """Score recorded days in this (scratch) application, whose database is empty and migrated; None without any days.

    Every day is looked at as it looked then, by what was known before its week: who would have been warned within the
    budget, which ranges would have held.
    """
    with app.app_context():
        intake.take(recorded, name="recorded.csv", at=LONG_AGO, by="score", zone=zone, actuals=True)
        company.change_rules({"false_alarm_budget": budget, "warn_by_min": in_time})
        found = learn.find(db.session(), at=_after(), progress=progress)
        with transaction() as s:
            learn.keep(s, found)
        span = queries.span(db.session())
        return queries.summary(db.session(), *span, would=True) if span else None


def _after() -> datetime:
    """A moment when every recorded day is over."""
    last: date = db.session.scalar(select(func.max(Visit.date))) or LONG_AGO.date()
    return datetime.combine(last + timedelta(days=2), time(12), UTC)


def live(days: int) -> Summary | None:
    """The company's own summary of the newest so many learned days."""
    span = queries.span(db.session())
    if span is None:
        return None
    return queries.summary(db.session(), max(span[0], span[1] - timedelta(days=days - 1)), span[1])


def words(x: Summary | None, known: learned.Known) -> Iterator[str]:
    """The summary as a person reads it."""
    if x is None or not x.enough:
        n = x.ours.visits if x else 0
        yield f"Needs at least {queries.ENOUGH} finished visits with arrival times. There are {n}."
        return
    o = x.ours
    yield f"{x.since} to {x.until}: {o.visits} visits on {x.days} days, {o.late} of them late by more than {x.threshold:.0f} min"
    if x.kept is not None:
        yield f"promises kept or moved with notice: {x.kept:.1%} of {x.promises}"
    yield f"warned at least {x.in_time_min:.0f} min before the window: {_percent(o.in_time)} of the late ({_percent(o.ever)} at all)"
    yield f"false alarms: {one_in(o.false_alarms)} of those served on time (budget {one_in(known.budget)}, told at a chance of {known.chance:.2f})"
    yield f"unwarned waiting minutes: {o.minutes:.0f}; doing nothing {x.nothing:.0f}; carrying the delay forward at our false alarms {x.forward:.0f}"
    yield f"customers warned in vain {o.in_vain}, too late {o.too_late}, not at all {o.unwarned}"
    yield f"told ranges that held: {_held(x.told)}"
    yield f"8-in-10 ranges that held: {_held(x.forecast)}"
    said = "; ".join(f"{t.said:.0%}: {t.happened:.0%} of {t.visits}" for t in x.reliability)
    yield f"said and happened, an hour ahead: {said}"
    yield "late minutes by cause: " + ", ".join(f"{CAUSES[c.name]} {c.share:.0%}" for c in x.causes if c.minutes)
    for p in learned.plans(known):
        yield f"{p.job} is planned {p.planned} min, takes {p.takes}: plan {p.propose}?"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _held(parts: tuple[Held, ...]) -> str:
    return ", ".join(f"{_percent(h.share)} of {h.ranges} told {h.ahead} min ahead" for h in parts if h.ranges) or "none"
