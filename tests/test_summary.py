"""How punctual we were: what was told beside what happened, on both databases, from the days that were learned."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import learn
from punctual.actions import transaction
from punctual.models import Attempt, Message, Notice, Promise, Visit, db
from punctual.queries import summary as queries
from tests.conftest import Filled
from tests.test_learn import FIRST, evening, live

LAST = FIRST + timedelta(days=11)


def told(s: Session, visit: Visit, sent: datetime, start: datetime, end: datetime, state: str = "accepted") -> None:
    """A delay notice as the worker leaves it."""
    notice = Notice(
        key=f"{visit.id}:1:late_first:1", visit_id=visit.id, decision="tell", kind="late_first", reason="late",
        told_start=start, told_end=end, at=sent,
    )  # fmt: skip
    s.add(notice)
    s.flush()
    message = Message(
        key=f"{notice.id}:c:email", notice_id=notice.id, visit_id=visit.id, customer_id=visit.customer_id,
        channel="email", kind="late_first", state="sent", state_at=sent, due_at=sent, useful_until=sent, created_at=sent,
    )  # fmt: skip
    s.add(message)
    s.flush()
    s.add(Attempt(
        message_id=message.id, transport="file", recipient="a@example.com", told_start=start, told_end=end, body=b"",
        state=state, at=sent, ended_at=sent,
    ))  # fmt: skip


def visit(s: Session, name: str, on: date = LAST) -> Visit:
    found = s.scalar(select(Visit).where(Visit.ref == f"{on}-{name}"))
    assert found is not None and found.arrived_at is not None
    return found


def ten_days() -> None:
    with transaction() as s:
        for n in range(10):
            live(s, n)
        for v in s.scalars(select(Visit)):
            mine = s.scalars(select(Promise).where(Promise.visit_id == v.id)).one()
            mine.state = "kept"
            v.window_end = max(v.window_end, v.arrived_at or v.window_end)
        for name, late in (("B9", 60), ("C9", 90)):
            v = visit(s, name)
            v.arrived_at = v.window_end + timedelta(minutes=late)
            v.finished_at = v.arrived_at + timedelta(minutes=v.planned_min)
            s.scalars(select(Promise).where(Promise.visit_id == v.id)).one().state = "broken"
        hour = timedelta(minutes=60)
        b, c, e = (visit(s, n) for n in ("B9", "C9", "E9"))
        told(s, b, b.window_start - hour, b.window_end + hour / 2, b.window_end + 2 * hour)
        told(s, c, c.window_start, c.window_end, c.window_end + hour)
        told(s, e, e.window_start - hour, e.window_end, e.window_end + hour)
        learn.learn(s, at=evening(LAST))


@pytest.fixture
def told_days(app: Flask, filled: Filled) -> Flask:
    """Ten working days. On the last, B is an hour late and was told in time; C an hour and a half, told too late; E was
    told in vain."""
    filled(ten_days)
    return app


def test_customers_promises_and_minutes_are_counted(told_days: Flask) -> None:
    x = queries.summary(db.session(), FIRST, LAST)
    assert (x.days, x.ours.visits, x.ours.late, x.enough) == (10, 50, 2, True)
    assert (x.ours.in_time, x.ours.in_vain, x.ours.too_late, x.ours.unwarned) == (0.5, 1, 1, 0)
    assert x.ours.false_alarms == pytest.approx(1 / 48)
    assert x.nothing - x.ours.minutes == pytest.approx(60), "B was spared an hour, C was told too late"
    assert (x.promises, x.kept) == (50, pytest.approx(0.96))
    assert sum(c.share for c in x.causes) == pytest.approx(1) and x.causes[0].minutes >= x.causes[-1].minutes
    assert sum(h.ranges for h in x.told) == 3 and sum(t.visits for t in x.reliability) == 50
    assert x.as_json()["since"] == FIRST.isoformat()


def test_what_no_provider_accepted_warned_nobody(told_days: Flask) -> None:
    with transaction() as s:
        for attempt in s.scalars(select(Attempt)):
            attempt.state = "refused"
    x = queries.summary(db.session(), FIRST, LAST)
    assert (x.ours.in_time, x.ours.in_vain, x.ours.unwarned) == (0.0, 0, 2) and x.ours.minutes == x.nothing
    assert sum(h.ranges for h in x.told) == 0


def test_only_the_days_asked_for_count(told_days: Flask) -> None:
    assert queries.summary(db.session(), FIRST, FIRST + timedelta(days=4)).ours.visits == 25
    nothing = queries.summary(db.session(), LAST + timedelta(days=1), LAST + timedelta(days=9))
    assert not nothing.enough and nothing.kept is None and nothing.causes == ()
    assert queries.span(db.session()) == (FIRST, LAST)


def test_who_would_have_been_warned_is_judged_on_the_visits_that_were_looked_at(told_days: Flask) -> None:
    x = queries.summary(db.session(), FIRST, LAST, would=True)
    looked_at = sum(t.visits for t in x.reliability)
    assert x.ours.visits == looked_at and x.ours.minutes <= x.nothing
