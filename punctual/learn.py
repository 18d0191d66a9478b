"""History to learned state: fitted on finished visits, kept in versions, read by every look."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core import accuracy
from punctual.core.day import minutes
from punctual.core.duration import Learned, fit, from_bytes, nothing
from punctual.models import Company
from punctual.models import Learned as LearnedRow
from punctual.queries import day as queries
from punctual.queries import history

#: Format of `learned.data`; an older one is learned anew.
FORMAT = 1
#: Fewer finished visits than this calibrate no threshold.
ENOUGH = 30

_kept: dict[tuple[str, int], Learned] = {}


def current(s: Session) -> Learned:
    """The newest learned state of this database, or the built-in priors; unpacked once a process."""
    newest = s.execute(
        select(LearnedRow.id).where(LearnedRow.format == FORMAT).order_by(LearnedRow.id.desc()).limit(1)
    ).scalar()
    if newest is None:
        return nothing()
    key = (str(s.get_bind().engine.url), newest)
    if key not in _kept:
        _kept.clear()
        _kept[key] = from_bytes(s.get_one(LearnedRow, newest).data)
    return _kept[key]


def learn(s: Session, *, at: datetime) -> LearnedRow:
    """Learn from all history up to `at` and keep it as the newest version; the caller's transaction writes it.

    With enough history the company's tell_chance is set from its false-alarm budget, by forecasting the past.
    """
    days = history.finished(s, at)
    learned = fit(days, minutes(at))
    rules = queries.rules(s)
    if learned.visits >= ENOUGH:
        chance = accuracy.calibrated(days, learned, budget=rules.false_alarm_budget, threshold=rules.threshold_min)
        learned = replace(learned, tell_chance=chance)
        company = s.get(Company, 1)
        if company is not None and chance == chance:
            company.rules = {**company.rules, "tell_chance": round(chance, 3)}
    row = LearnedRow(at=at, until=at, visits=learned.visits, format=FORMAT, data=learned.to_bytes())
    s.add(row)
    s.flush()
    return row
