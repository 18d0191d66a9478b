"""How everybody's day goes so far, for the forecast of some: read once a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core.day import minutes
from punctual.core.duration import Learned
from punctual.core.fleet import Fleet, so_far
from punctual.models import Visit as VisitRow

visit_ = VisitRow.__table__

#: Visits planned this long ago up to this far ahead say how the day goes.
BACK, AHEAD = timedelta(hours=10), timedelta(hours=2)

_kept: dict[tuple[str, int], Fleet] = {}


def others(s: Session, at: datetime, learned: Learned) -> Fleet | None:
    """Everybody's starts around `at`, kept for that minute; None while nothing was learned that would use them."""
    if not len(learned.shift.edges):
        return None
    key = (str(s.get_bind().engine.url), int(minutes(at)))
    if key not in _kept:
        found = _read(s, at)
        _kept.clear()
        _kept[key] = found
    return _kept[key]


def _read(s: Session, at: datetime) -> Fleet:
    days = [at.date() + timedelta(days=n) for n in (-1, 0, 1)]
    rows = s.execute(
        select(visit_.c.planned_start, visit_.c.arrived_at, visit_.c.place_id, visit_.c.job_type_id).where(
            visit_.c.date.in_(days),
            visit_.c.state.not_in(("cancelled", "nobody_home")),
            visit_.c.planned_start.between(at - BACK, at + AHEAD),
        )
    ).all()
    return so_far(
        np.array([minutes(r[0]) for r in rows]),
        np.array([np.nan if r[1] is None else minutes(r[1]) for r in rows]),
        np.array([r[2] or 0 for r in rows], dtype=np.int64),
        np.array([r[3] for r in rows], dtype=np.int64),
    )
