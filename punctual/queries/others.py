"""How everybody's day goes so far, for the forecast of some: read once a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Date, Engine, bindparam, func, select
from sqlalchemy.orm import Session

from punctual.core.day import minutes
from punctual.core.duration import Learned
from punctual.core.fleet import Fleet, so_far
from punctual.models import Plain, UtcDateTime
from punctual.models import Visit as VisitRow
from punctual.queries.numbers import Moment, Numbers

visit_ = VisitRow.__table__

#: Visits planned this long ago up to this far ahead say how the day goes.
BACK, AHEAD = timedelta(hours=10), timedelta(hours=2)

_START = Numbers(
    floats={"planned": Moment(visit_.c.planned_start), "arrived": Moment(visit_.c.arrived_at)},
    whole={"place": func.coalesce(visit_.c.place_id, 0), "job_type": visit_.c.job_type_id},
    flags={},
)
_STARTS = Plain(
    select(*_START.expressions).where(
        visit_.c.date.in_([bindparam(f"on{n + 1}", None, Date) for n in (-1, 0, 1)]),
        visit_.c.state.not_in(("cancelled", "nobody_home")),
        visit_.c.planned_start.between(bindparam("first", None, UtcDateTime), bindparam("last", None, UtcDateTime)),
    ),
    "first", "last", "on0", "on1", "on2",
)  # fmt: skip

_kept: dict[tuple[Engine, int], Fleet] = {}


def others(s: Session, at: datetime, learned: Learned) -> Fleet | None:
    """Everybody's starts around `at`, kept for that minute; None while nothing was learned that would use them."""
    if not len(learned.shift.edges):
        return None
    key = (s.connection().engine, int(minutes(at)))
    if key not in _kept:
        found = _read(s, at)
        _kept.clear()
        _kept[key] = found
    return _kept[key]


def _read(s: Session, at: datetime) -> Fleet:
    dates = {f"on{n + 1}": at.date() + timedelta(days=n) for n in (-1, 0, 1)}
    found = _START.table(_STARTS.rows(s.connection(), first=at - BACK, last=at + AHEAD, **dates)).columns()
    return so_far(found.planned, found.arrived, found.place, found.job_type)
