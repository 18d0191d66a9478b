"""Rows -> what was said about visits before, for those that are decided one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Integer, String, bindparam, case, cast, func, select
from sqlalchemy.orm import Session

from punctual.core.day import Floats, Window
from punctual.core.notice import Known, Mark
from punctual.core.policy import Said
from punctual.core.sift import STATES
from punctual.models import Customer, Message, Notice, Plain, UtcDateTime, Visit
from punctual.queries.columns import UNSEEN, Seen
from punctual.queries.day import phone_zones
from punctual.queries.numbers import Values

notice_, message_, visit_, customer_ = Notice.__table__, Message.__table__, Visit.__table__, Customer.__table__

#: How long a storm stays released or dropped, and how far back a cause's messages are counted.
STORM_SPAN = timedelta(hours=1)
BURST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Lately:
    """Messages from one cause and from all in the last minutes, whether a storm is asked about, and what was said of the
    last one within the hour."""

    cause: int
    all: int
    open: bool
    released: bool
    dropped: bool


_ASKED = Values(bindparam("visits", "", type_=String)).table_valued("value", name="asked")
_WHO = Plain(
    select(
        visit_.c.id,
        visit_.c.zone,
        visit_.c.told_start,
        visit_.c.told_end,
        visit_.c.told_at,
        visit_.c.told_kind,
        customer_.c.phone,
        customer_.c.phone_bad,
        customer_.c.early_messages,
    ).select_from(
        _ASKED.join(visit_, visit_.c.id == cast(_ASKED.c.value, Integer)).join(
            customer_, customer_.c.id == visit_.c.customer_id
        )
    ),
    "visits",
)
_NOTICES = Plain(
    select(
        notice_.c.id,
        notice_.c.key,
        notice_.c.visit_id,
        notice_.c.decision,
        notice_.c.kind,
        notice_.c.reason,
        notice_.c.facts,
        notice_.c.at,
        notice_.c.told_start,
        notice_.c.told_end,
        notice_.c.resolved_at,
        message_.c.state,
    )
    .select_from(
        _ASKED.join(notice_, notice_.c.visit_id == cast(_ASKED.c.value, Integer)).outerjoin(
            message_, message_.c.notice_id == notice_.c.id
        )
    )
    .where(notice_.c.decision.in_(("tell", "hold")))
    .order_by(notice_.c.id),
    "visits",
)


_SINCE = bindparam("since", None, UtcDateTime)
_LATELY = Plain(
    select(
        func.coalesce(func.sum(case((message_.c.cause == bindparam("cause", ""), 1), else_=0)), 0),
        func.coalesce(func.sum(case((message_.c.created_at > bindparam("just", None, UtcDateTime), 1), else_=0)), 0),
    ).where(message_.c.created_at > _SINCE),
    "cause",
    "just",
    "since",
)
_STORMS = Plain(
    select(notice_.c.resolved_at, notice_.c.facts).where(
        notice_.c.kind == "storm", notice_.c.decision == "task", notice_.c.at > _SINCE
    ),
    "since",
)


def known(s: Session, seen: Seen, rows: Sequence[int], company_zone: str) -> list[Known]:
    """What the core must know of some visits, beside their numbers, to decide them one by one; two statements."""
    if not rows:
        return []
    visits = seen.days.visit_id[rows].tolist()
    c, asked = s.connection(), json.dumps(visits)
    who = {r.id: r for r in _WHO.all(c, visits=asked)}
    notices: dict[int, dict[int, list[Any]]] = {}
    for r in _NOTICES.all(c, visits=asked):
        notices.setdefault(r.visit_id, {}).setdefault(r.id, []).append(r)
    day_of = (np.searchsorted(seen.days.offset, rows, side="right") - 1).tolist()
    marks = {d: json.loads(seen.marks[d] or "{}") for d in set(day_of)}
    return [
        _known(seen, r, who[v], list(notices.get(v, {}).values()), marks[d], company_zone)
        for r, d, v in zip(rows, day_of, visits, strict=True)
    ]


def _known(seen: Seen, row: int, who: Any, notices: list[list[Any]], marks: dict[str, Any], company_zone: str) -> Known:
    version = int(seen.version[row])
    phone = who.phone if who.phone and not who.phone_bad else ""
    by_phone = (phone_zones(phone) or (company_zone,)) if phone else ()
    said, held = [], ""
    for of_notice in notices:
        r = of_notice[0]
        if r.decision == "hold":
            held = "" if r.resolved_at is not None else str((r.facts or {}).get("why") or r.reason)
        else:
            said.append(_as_sent(_said(r, any(x.state not in UNSEEN for x in of_notice)), who))
    return Known(
        version=version,
        zones=(who.zone, *by_phone),
        state=STATES[int(seen.stands.state[row])],
        said=tuple(said),
        mark=_mark(marks.get(f"{seen.days.visit_id[row]}:{version}")),
        early=who.early_messages,
        reachable=bool(seen.stands.reachable[row]),
        held=held,
    )


def _said(r: Any, live: bool) -> Said:
    version = r.key.split(":")[1:2]
    deadline = (r.facts or {}).get("deadline")
    return Said(
        kind=r.kind,
        at=r.at,
        version=int(version[0]) if version and version[0].isdigit() else 0,
        live=live,
        told=Window(r.told_start, r.told_end) if r.told_start is not None and r.told_end is not None else None,
        deadline=datetime.fromisoformat(deadline) if deadline else None,
    )


def _as_sent(said: Said, who: Any) -> Said:
    """A range is composed when its message is claimed: what the provider accepted counts, not what was planned."""
    told = Window(who.told_start, who.told_end) if who.told_start is not None and who.told_end is not None else None
    newest = told is not None and who.told_at is not None and who.told_kind == said.kind and who.told_at >= said.at
    return replace(said, told=told) if newest else said


def _mark(kept: dict[str, Any] | None) -> Mark:
    if kept is None:
        return Mark()
    since = datetime.fromisoformat(kept["since"]) if kept["since"] else None
    return Mark(since, kept["chance"], tuple(datetime.fromisoformat(t) for t in kept["crossings"]))


def quiet(seen: Seen, expected: Floats, silence_min: float) -> Floats:
    """When each technician was asked in this silence (minutes): a nudge before it had lasted belongs to another one."""
    nudged, off = seen.stands.nudged, seen.stands.off
    if not np.count_nonzero(np.isfinite(nudged)):
        return nudged
    return np.where(off | (nudged > expected + silence_min - 1.0), nudged, np.nan)


def lately(s: Session, cause: str, at: datetime) -> Lately:
    """How much was said just now, for the storm guard; asked only when something is about to be said."""
    c = s.connection()
    of_cause, of_all = _LATELY.first(c, cause=cause, just=at - BURST, since=at - STORM_SPAN)
    asked = _STORMS.all(c, since=at - 12 * STORM_SPAN)
    said = [r for r in asked if r.resolved_at is not None and r.resolved_at > at - STORM_SPAN]
    last = max(said, key=lambda r: r.resolved_at, default=None)
    drop = last is not None and (last.facts or {}).get("answer") == "drop"
    return Lately(
        cause=int(of_cause),
        all=int(of_all),
        open=any(r.resolved_at is None for r in asked),
        released=last is not None and not drop,
        dropped=drop,
    )


def visits_on(s: Session, at: datetime, most: int) -> int:
    """How many visits that day has, counted up to `most`: only where it decides, and no farther than it decides."""
    some = select(visit_.c.id).where(visit_.c.date == at.date()).limit(most).subquery()
    return int(s.connection().execute(select(func.count()).select_from(some)).scalar_one())
