"""Making good, each minute: a broken promise that is final is made good by the company's rule, once, without being asked."""

from __future__ import annotations

from datetime import datetime, timedelta

from babel.numbers import get_territory_currencies
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import outbox
from punctual.core import promise as core
from punctual.follow import turn
from punctual.models import Attempt, Company, Good, GoodRule, Message, Promise, Visit, touch_board
from punctual.queries import day as days
from punctual.queries.standing import DELAY

#: A promise that was broken longer ago is history when a rule comes.
LONGEST = timedelta(days=2)


def look(s: Session, at: datetime) -> int:
    """Apply the rules to what is final and not made good yet; returns how many. Again it changes nothing."""
    rules = {r.id: r for r in s.scalars(select(GoodRule))}
    if not rules:
        return 0
    values = [core.Rule(r.id, r.kind, r.late_min, r.warned) for r in rules.values()]
    final = at - timedelta(minutes=days.rules(s).final_min)
    rows = s.execute(
        select(Promise, Visit)
        .join(Visit, Visit.id == Promise.visit_id)
        .outerjoin(Good, Good.promise_id == Promise.id)
        .where(
            Promise.state == "broken",
            Promise.kind.not_in(("answer", "reply")),
            Promise.ended_at <= final,
            Promise.ended_at > at - LONGEST,
            Good.id.is_(None),
        )
    ).all()
    done = 0
    for promise, visit in rows:
        kind, late = _broken(promise, visit, at)
        if kind == core.OTHER and _followed(s, promise):
            continue
        warned = promise.kind == "window" and _warned(s, visit, promise)
        rule = core.worth(values, kind, late, warned)
        if rule is not None and turn.taken(s, promise, state="broken"):
            _give(s, rules[rule.id], promise, visit, round(late), warned, at)
            done += 1
    return done


def _broken(promise: Promise, visit: Visit, at: datetime) -> tuple[str, float]:
    """What was broken and by how many minutes."""
    if promise.kind != "window":
        return core.OTHER, core.minutes_over(promise.due_at, at)
    came = visit.arrived_at or visit.finished_at
    return (core.MISSED, core.minutes_over(promise.due_at, at)) if came is None else (
        core.LATE, core.minutes_over(promise.due_at, came))  # fmt: skip


def _followed(s: Session, promise: Promise) -> bool:
    """Whether it took the place of another broken one: a chain is made good once."""
    before = s.get(Promise, promise.replaces_id) if promise.replaces_id else None
    return before is not None and before.state == "broken"


def _warned(s: Session, visit: Visit, promise: Promise) -> bool:
    """Whether a delay notice was accepted in time before the window opened."""
    first = s.scalar(
        select(func.min(Attempt.ended_at))
        .join(Message, Message.id == Attempt.message_id)
        .where(
            Message.visit_id == visit.id,
            Message.kind.in_(DELAY),
            Message.customer_id.is_not(None),
            Attempt.state == "accepted",
        )
    )
    opens = promise.opens_at or promise.due_at
    return first is not None and first <= opens - timedelta(minutes=days.rules(s).warn_by_min)


def _give(s: Session, rule: GoodRule, promise: Promise, visit: Visit, late: int, warned: bool, at: datetime) -> None:
    good = Good(
        promise_id=promise.id,
        visit_id=visit.id,
        kind=rule.kind,
        late_min=late,
        warned=warned,
        discount_pct=rule.discount_pct,
        credit=rule.credit,
        currency=get_territory_currencies(s.get_one(Company, 1).country)[0],
        apology=rule.apology,
        state="asked" if rule.ask else "granted",
        at=at,
        decided_at=None if rule.ask else at,
        decided_by="" if rule.ask else "rule",
    )
    s.add(good)
    s.flush()
    touch_board(s, visit.date)
    if rule.ask:
        outbox.put(
            s,
            key=f"{visit.id}:{promise.version}:good:{good.id}",
            kind="good",
            at=at,
            reason="good",
            cause=f"good:{good.id}",
            decision="task",
            facts={"good": good.id, "late_min": late},
            visit=visit,
            to="dispatcher",
            promise_id=promise.id,
        )
    else:
        tell(s, good, promise, at)


def tell(s: Session, good: Good, promise: Promise, at: datetime) -> None:
    """Say what is given, once; the amount stands in the mail and on the page, never in a text."""
    visit = s.get_one(Visit, good.visit_id)
    opens = promise.opens_at or promise.due_at
    came = visit.arrived_at or visit.finished_at
    facts = {"good": good.id, "old_start": opens.isoformat(), "old_end": promise.due_at.isoformat()}
    outbox.put(
        s,
        key=f"{visit.id}:{promise.version}:makegood:{good.id}",
        kind="makegood",
        at=at,
        reason="good",
        cause=f"good:{good.id}",
        facts=facts | ({"arrived": came.isoformat()} if came else {}),
        visit=visit,
        promise_id=promise.id,
    )
