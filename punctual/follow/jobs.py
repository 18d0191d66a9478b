"""The overall date of a job of several visits, forecast again from its visits: where it will not hold, it is moved in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import promises
from punctual.core import forecast as core
from punctual.core import promise as core_promise
from punctual.core.day import OVER, at_wall, local, minutes
from punctual.core.forecast import VisitForecast
from punctual.follow import turn
from punctual.models import Company, Promise, Shift, Visit
from punctual.queries import day as days
from punctual.queries.others import others
from punctual.queries.taught import current

#: The forecast has to be this much later than a promise that hangs on it before it is moved.
SLACK = timedelta(minutes=5)


def look(s: Session, at: datetime) -> int:
    """Move the overall date of every job that its visits' forecasts say will not hold; returns how many."""
    zone = s.scalar(select(Company.zone)) or "UTC"
    rows = s.scalars(select(Promise).where(Promise.kind == "job", Promise.state == "open", Promise.due_at > at)).all()
    ends = _ends(s, {p.job_id for p in rows if p.job_id}, at) if rows else {}
    moved = 0
    for promise in rows:
        found = ends.get(promise.job_id or 0, [])
        late = bool(found) and max(expected for expected, _ in found) > promise.due_at + SLACK
        if late and turn.taken(s, promise):
            sure = max(sure for _, sure in found)
            close = at_wall(local(sure, zone).date(), core_promise.OFFICE[1], 0, zone)
            promises.move(s, promise, max(close, quarter(sure)), at=at, by="forecast")
            moved += 1
    return moved


def quarter(at: datetime) -> datetime:
    """Up to the next quarter of an hour."""
    at = at.replace(second=0, microsecond=0) + timedelta(minutes=1 if at.second or at.microsecond else 0)
    return at + timedelta(minutes=-at.minute % 15)


def _ends(s: Session, jobs: Collection[int], at: datetime) -> dict[int, list[tuple[datetime, datetime]]]:
    """When each visit to come of these jobs is over: as expected, and nine times in ten.

    As last forecast; a day that nobody has looked at yet is forecast here; where nobody comes yet, by its window.
    """
    rows = s.execute(
        select(Visit, Shift.id)
        .outerjoin(Shift, (Shift.technician_id == Visit.technician_id) & (Shift.date == Visit.date))
        .where(Visit.job_id.in_(jobs), Visit.state.not_in(OVER))
    ).all()
    known = days.forecasts(s, {shift_id for _, shift_id in rows if shift_id})
    known |= _forecast(s, {shift_id for visit, shift_id in rows if shift_id and visit.id not in known}, at)
    found: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for visit, _ in rows:
        made = known.get(visit.id)
        planned = visit.window_end + timedelta(minutes=visit.planned_min)
        found[visit.job_id or 0].append((made.finish[1], made.finish[2]) if made else (planned, planned))
    return found


def _forecast(s: Session, shifts: Collection[int], at: datetime) -> dict[int, VisitForecast]:
    if not shifts:
        return {}
    columns, learned = days.columns(s, shifts), current(s)
    made = core.forecast(columns, learned, minutes(at), others=others(s, at, learned))
    return {int(columns.visit_id[r]): core.visit(made, columns, r) for r in range(columns.rows)}
