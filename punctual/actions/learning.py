"""What history may teach: forget a day and take it back, choose the false-alarm budget, mend a plan that is wrong."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy.orm import Session

from punctual.actions import Refused, transaction
from punctual.models import Company, JobType, LearnedDay
from punctual.queries import learned as queries


def mark(on: date, *, forgotten: bool, at: datetime, by: str, note: str = "") -> None:
    """Let a day teach nothing any more, or again; what is learned follows within a minute."""
    with transaction() as s:
        day = s.get(LearnedDay, on)
        if not forgotten and (day is None or not day.forgotten):
            raise Refused(f"{on} is not forgotten.", status=404, field="date")
        if day is None:
            day = LearnedDay(date=on, at=at)
            s.add(day)
        day.forgotten, day.marked_at, day.marked_by, day.note = forgotten, at, by, note if forgotten else ""


def choose_budget(budget: float) -> None:
    """Set the false-alarm budget, and with it the chance at which customers are told; only what the curve offers."""
    with transaction() as s:
        found = next((c for c in queries.learned(s).curve if abs(c.budget - budget) < 1e-6), None)
        if found is None:
            raise Refused("Choose a budget from the table.", status=422, field="budget")
        company = s.get_one(Company, 1)
        company.rules = {**company.rules, "false_alarm_budget": found.budget, **found.rules}


def plan(job_type_id: int, minutes: int) -> None:
    """Plan so many minutes for this kind of work from now on; visits that are planned keep theirs."""
    with transaction() as s:
        _job(s, job_type_id).planned_min = float(minutes)


def _job(s: Session, job_type_id: int) -> JobType:
    found = s.get(JobType, job_type_id)
    if found is None:
        raise Refused("There is no such kind of work.", status=404)
    return found
