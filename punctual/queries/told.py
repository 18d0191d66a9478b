"""Rows -> what was decided and said about visits before: the other half of what the watch decides from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, func, select
from sqlalchemy.orm import Session

from punctual.core.day import Window, minutes
from punctual.core.notice import Known, Mark, Quiet
from punctual.core.policy import Said
from punctual.models import Message, Notice, Visit
from punctual.queries.day import Loaded, Who, phone_zones

notice_, message_, visit_ = Notice.__table__, Message.__table__, Visit.__table__

#: A message in one of these states was never seen by anybody.
UNSEEN = frozenset({"dropped"})
#: How long a released storm stays released, and how far back a cause's messages are counted.
STORM_SPAN = timedelta(hours=1)
BURST = timedelta(minutes=5)


@dataclass(slots=True)
class Past:
    """One visit: the notices put for it, its row of silence, when a dispatcher answered for the technician."""

    said: list[Said] = field(default_factory=list)
    silent: Any = None
    answered_at: datetime | None = None
    held: str = ""


@dataclass(frozen=True, slots=True)
class Lately:
    """Messages from one cause and from all in the last minutes, today's visits, and whether a storm is asked about."""

    cause: int
    all: int
    visits: int
    open: bool
    released: bool


_NOTICES = (
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
        notice_.c.resolved_by,
        message_.c.state,
    )
    .select_from(notice_.outerjoin(message_, message_.c.notice_id == notice_.c.id))
    .where(notice_.c.visit_id.in_(bindparam("visits", expanding=True)))
    .order_by(notice_.c.id)
)


def past(s: Session, visit_ids: Sequence[int]) -> dict[int, Past]:
    """Every notice about these visits, and whether its message was ever on its way; one statement."""
    found: dict[int, Past] = {v: Past() for v in visit_ids}
    if not found:
        return found
    by_notice: dict[int, list[Any]] = {}
    for row in s.connection().execute(_NOTICES, {"visits": list(visit_ids)}):
        by_notice.setdefault(row.id, []).append(row)
    for rows in by_notice.values():
        _add(found[rows[0].visit_id], rows)
    return found


def _add(mine: Past, rows: Sequence[Any]) -> None:
    r = rows[0]
    if r.decision == "silent":
        mine.silent = r
    elif r.decision == "tell":
        mine.said.append(_said(r, any(x.state not in UNSEEN for x in rows)))
    elif r.decision == "hold":
        mine.held = "" if r.resolved_at is not None else str((r.facts or {}).get("why") or r.reason)
    elif r.kind == "silent" and r.resolved_at is not None and r.resolved_by != "report":
        mine.answered_at = max(filter(None, (mine.answered_at, r.resolved_at)))


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


def known(x: Loaded, i: int, past: Mapping[int, Past], company_zone: str) -> Known:
    """What the core must know of the i-th visit of a day, beside its numbers."""
    visit, who = x.day.visits[i], x.who[i]
    mine = past[visit.id]
    by_phone = (phone_zones(who.phone) or (company_zone,)) if who.phone else ()
    return Known(
        version=visit.promise_version,
        zones=(who.zone, *by_phone),
        state=visit.state,
        said=tuple(_as_sent(said, who) for said in mine.said),
        mark=_mark(x.forecast.get("_", {}).get("marks", {}).get(str(visit.id)), visit.promise_version),
        early=who.early_messages,
        reachable=who.email,  # the only way out so far; outbox.put asks for a call without it
        held=mine.held,
    )


def _as_sent(said: Said, who: Who) -> Said:
    """A range is composed when its message is claimed: what the provider accepted counts, not what was planned."""
    newest = who.told is not None and who.told_at is not None and who.told_kind == said.kind and who.told_at >= said.at
    return replace(said, told=who.told) if newest else said


def _mark(kept: dict[str, Any] | None, version: int) -> Mark:
    if kept is None or kept["version"] != version:
        return Mark()
    since = datetime.fromisoformat(kept["since"]) if kept["since"] else None
    return Mark(since, kept["chance"], tuple(datetime.fromisoformat(t) for t in kept["crossings"]))


def quiet(x: Loaded, expected: float, silence_min: float) -> Quiet:
    """Whether the technician was asked in this silence: a nudge before it had lasted belongs to another one."""
    nudged = x.nudged_at
    if nudged is not None and not x.off and not minutes(nudged) > expected + silence_min - 1.0:
        nudged = None
    return Quiet(nudged, bool(x.off))


def lately(s: Session, cause: str, at: datetime) -> Lately:
    """How much was said just now, for the storm guard; asked only when something is about to be said."""
    c = s.connection()
    of_cause, of_all = c.execute(
        select(
            func.coalesce(func.sum(case((message_.c.cause == cause, 1), else_=0)), 0),
            func.coalesce(func.sum(case((message_.c.created_at > at - BURST, 1), else_=0)), 0),
        ).where(message_.c.created_at > at - STORM_SPAN)
    ).one()
    asked = c.execute(
        select(notice_.c.resolved_at, notice_.c.facts).where(
            notice_.c.kind == "storm", notice_.c.decision == "task", notice_.c.at > at - 12 * STORM_SPAN
        )
    ).all()
    released = [r for r in asked if r.resolved_at is not None and r.resolved_at > at - STORM_SPAN]
    return Lately(
        cause=int(of_cause),
        all=int(of_all),
        visits=c.execute(select(func.count()).select_from(visit_).where(visit_.c.date == at.date())).scalar_one(),
        open=any(r.resolved_at is None for r in asked),
        released=any((r.facts or {}).get("answer") != "drop" for r in released),
    )
