"""How punctual a company was between two dates: what was told beside what happened, from the days that were learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.core import measure
from punctual.core.accuracy import LOOKS
from punctual.core.day import Days, Floats, minutes
from punctual.core.looks import WATCHED, highest, looks_from
from punctual.core.measure import CAUSES, Held, Tenth, Warned
from punctual.core.packed import joined
from punctual.core.policy import Rules
from punctual.models import Attempt, LearnedDay, Message, Promise
from punctual.models import Visit as VisitRow
from punctual.queries import day as queries
from punctual.queries import figures, history
from punctual.queries.standing import DELAY
from punctual.queries.taught import FORMAT

visit_, message_, attempt_ = VisitRow.__table__, Message.__table__, Attempt.__table__
learned_, promise_ = LearnedDay.__table__, Promise.__table__

#: Fewer finished visits than this are not summed up.
ENOUGH = 30
#: The look whose chance is judged: an hour ahead, where a warning is worth most.
JUDGED = WATCHED.index(60.0)


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of late minutes, its share of all of them."""

    name: str
    minutes: float
    share: float


@dataclass(frozen=True, slots=True)
class Summary:
    """All of it. `nothing` and `forward`: minutes waited unwarned had nobody been told, and had the known delay been
    carried forward at our share of false alarms. kept: share of arrival windows kept, or moved with notice before
    they were due. told: ranges customers were told; forecast: the 8-in-10 ranges forecast of every visit."""

    since: date
    until: date
    days: int
    threshold: float
    in_time_min: float
    ours: Warned
    nothing: float
    forward: float
    promises: int
    kept: float | None
    causes: tuple[Cause, ...]
    reliability: tuple[Tenth, ...]
    told: tuple[Held, ...]
    forecast: tuple[Held, ...]

    @property
    def enough(self) -> bool:
        """Whether there is something to say."""
        return self.ours.visits >= ENOUGH

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"since": self.since.isoformat(), "until": self.until.isoformat()}


@dataclass(frozen=True, slots=True)
class _Seen:
    """The days of a span as columns, with minutes lost, and what was forecast: [rows, looks(, 3)], NaN where nothing."""

    days: Days
    lost: Floats
    watched: Floats
    arrive: Floats
    dates: int


def summary(s: Session, since: date, until: date, *, in_time: float | None = None, would: bool = False) -> Summary:
    """Sum up the learned days from `since` to `until`. `in_time`: minutes before a window opens that count as in time;
    None: the company's rule.

    `would`: warned are not those who were told, but those who would have been, by the looks back at each day; only
    visits that were looked at count.
    """
    rules = queries.rules(s)
    ahead = rules.warn_by_min if in_time is None else in_time
    seen = _seen(s, since, until)
    days = seen.days
    lateness = days.arrived - days.window_end
    if would:
        reached = (highest(seen.watched, x, rise=rules.tell_rise, warn_by=rules.warn_by_min) for x in (0.0, ahead))
        told, timely = (x >= rules.tell_chance for x in reached)
        counted = ~np.isnan(seen.watched).all(axis=1)
    else:
        told, timely = _told(days, figures.warned(s, since, until), ahead)
        counted = np.ones(days.rows, dtype=np.bool_)
    ours = measure.warned(lateness[counted], told[counted], timely[counted], rules.threshold_min)
    late = lateness > rules.threshold_min
    promises, kept = _promises(s, since, until)
    return Summary(
        since=since,
        until=until,
        days=seen.dates,
        threshold=rules.threshold_min,
        in_time_min=ahead,
        ours=ours,
        nothing=float(np.maximum(lateness[counted], 0.0).sum()),
        forward=_forward(measure.forward(days, ahead)[counted], lateness[counted], rules, ours.false_alarms or 0.0),
        promises=promises,
        kept=kept,
        causes=_causes(days, seen.lost),
        reliability=_reliability(seen, late),
        told=_ranges(s, days, since, until),
        forecast=_forecast(seen),
    )


def span(s: Session) -> tuple[date, date] | None:
    """The first and the last learned date; None before there is any."""
    first, last = (
        s.connection()
        .execute(select(func.min(learned_.c.date), func.max(learned_.c.date)).where(learned_.c.format == FORMAT))
        .one()
    )
    return (first, last) if first is not None else None


def _seen(s: Session, since: date, until: date) -> _Seen:
    rows = s.connection().execute(
        select(learned_.c.columns, learned_.c.looks)
        .where(learned_.c.date.between(since, until), learned_.c.format == FORMAT)
        .order_by(learned_.c.date)
    )
    pasts, watches, arrives = [], [np.empty((0, len(WATCHED)))], [np.empty((0, len(LOOKS), 3))]
    for columns, looks in rows:
        past, look = history.past_from(bytes(columns)), looks_from(bytes(looks))
        watched = np.full((past.days.rows, len(WATCHED)), np.nan)
        arrive = np.full((past.days.rows, len(LOOKS), 3), np.nan)
        watched[look.row], arrive[look.row] = look.watched, look.arrive
        pasts.append(past)
        watches.append(watched)
        arrives.append(arrive)
    lost = np.concatenate([np.empty(0), *(p.lost for p in pasts)])
    return _Seen(joined([p.days for p in pasts]), lost, np.concatenate(watches), np.concatenate(arrives), len(pasts))


def _told(days: Days, warned: Mapping[int, datetime], ahead: float) -> tuple[Any, Any]:
    """Who had a warning, and who had it in time."""
    at = np.asarray([minutes(warned[i]) if i in warned else np.inf for i in days.visit_id.tolist()])
    return at < np.inf, at <= days.window_start - ahead


def _forward(known: Floats, lateness: Floats, rules: Rules, alarms: float) -> float:
    warned = measure.same_alarms(known, lateness, rules.threshold_min, alarms)
    return float(np.maximum(lateness, 0.0)[~warned].sum())


def _causes(days: Days, lost: Floats) -> tuple[Cause, ...]:
    """Causes, the dearest first."""
    sums = measure.causes(days, lost).sum(axis=0)
    whole = float(sums.sum())
    found = [Cause(name, round(float(x), 1), float(x) / whole) for name, x in zip(CAUSES, sums, strict=True) if whole]
    return tuple(sorted(found, key=lambda c: -c.minutes))


def _reliability(seen: _Seen, late: Any) -> tuple[Tenth, ...]:
    known = ~np.isnan(seen.watched[:, JUDGED])
    return tuple(measure.reliability(seen.watched[known, JUDGED], late[known]))


def _forecast(seen: _Seen) -> tuple[Held, ...]:
    came = seen.days.arrived - seen.days.planned_start
    parts = []
    for i, ahead in enumerate(LOOKS):
        known = ~np.isnan(seen.arrive[:, i, 0])
        parts.append(
            (np.full(int(known.sum()), ahead), seen.arrive[known, i, 0], seen.arrive[known, i, 2], came[known])
        )
    return tuple(measure.held(*(np.concatenate([p[j] for p in parts]) for j in range(4))))


def _ranges(s: Session, days: Days, since: date, until: date) -> tuple[Held, ...]:
    """Every range that was told, beside the arrival."""
    rows = s.connection().execute(
        select(message_.c.visit_id, attempt_.c.told_start, attempt_.c.told_end, attempt_.c.ended_at)
        .select_from(
            visit_.join(message_, message_.c.visit_id == visit_.c.id).join(
                attempt_, attempt_.c.message_id == message_.c.id
            )
        )
        .where(
            visit_.c.date.between(since, until),
            message_.c.customer_id.is_not(None),
            message_.c.kind.in_(DELAY),
            attempt_.c.state == "accepted",
            attempt_.c.told_start.is_not(None),
            attempt_.c.ended_at.is_not(None),
        )
    )
    row_of = {int(v): r for r, v in enumerate(days.visit_id)}
    told = [
        (
            float(days.planned_start[row_of[r.visit_id]]) - minutes(r.ended_at),
            minutes(r.told_start),
            minutes(r.told_end),
            float(days.arrived[row_of[r.visit_id]]),
        )
        for r in rows
        if r.visit_id in row_of
    ]
    columns = np.asarray(told, dtype=np.float64).reshape(-1, 4).T
    return tuple(measure.held(*columns))


def _promises(s: Session, since: date, until: date) -> tuple[int, float | None]:
    """Arrival windows that ended, and the share that was kept or moved with notice before it was due."""
    rows = s.connection().execute(
        select(promise_.c.state, func.count().label("n"))
        .select_from(visit_.join(promise_, promise_.c.visit_id == visit_.c.id))
        .where(visit_.c.date.between(since, until), promise_.c.kind == "window")
        .where(promise_.c.state.in_(("kept", "moved", "broken")))
        .group_by(promise_.c.state)
    )
    counts = {r.state: r.n for r in rows}
    total = sum(counts.values())
    return total, (1 - counts.get("broken", 0) / total) if total else None
