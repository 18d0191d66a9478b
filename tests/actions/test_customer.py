"""What a customer decides: each answer counts once, is answered once, and reaches the technician's day at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import outbox, watch
from punctual.actions import Refused, customer, technician, transaction
from punctual.core.day import Window, at_wall, local
from punctual.core.promise import office_due
from punctual.models import Answer, Message, Notice, Promise, Shift, Visit, db
from punctual.queries import day as days
from punctual.queries import visit as visits
from tests import build
from tests.build import DATE, Built, wall

NOW = wall("08:40")


@pytest.fixture
def built(app: Flask) -> Built:
    """08:40: Tom is at Priya's since 08:29 and stays 75 minutes longer."""
    with transaction() as s:
        made = build.day(s)
        watch.look(s, [x.id for x in made.shifts.values()], at=wall("08:29"))
    tap(made, "Priya", "arrived", "08:29")
    tap(made, "Priya", "late", "08:30", minutes=75)
    return made


def tap(built: Built, name: str, kind: str, at: str, minutes: int = 0) -> None:
    technician.report(
        built.visits[name].id,
        kind,  # type: ignore[arg-type]
        technician_id=built.technicians["Tom"].id,
        key=f"{name}-{kind}-{at}",
        tapped_at=wall(at),
        at=wall(at),
        minutes=minutes,
    )


def told(visit_id: int, start: str, end: str, kind: str = "late_first") -> None:
    """As the worker leaves a visit whose customer was told."""
    with transaction() as s:
        v = s.get_one(Visit, visit_id)
        v.told_start, v.told_end, v.told_at, v.told_kind = wall(start), wall(end), wall("08:35"), kind


def queued(visit_id: int) -> list[str]:
    db.session.rollback()
    found = select(Message.kind).where(Message.visit_id == visit_id, Message.state == "queued").order_by(Message.id)
    return list(db.session.scalars(found))


def answers(visit_id: int) -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(Answer.kind).where(Answer.visit_id == visit_id).order_by(Answer.id)))


def test_keeping_before_anything_was_told_confirms_the_window(built: Built) -> None:
    lewis = built.visits["Lewis"].id
    customer.keep(lewis, at=NOW)
    visit = db.session.get_one(Visit, lewis)
    assert (visit.window_start, visit.promise_version) == (wall("11:00"), 1)
    assert queued(lewis) == ["kept"]


def test_keeping_what_was_told_moves_the_promise_with_notice(built: Built) -> None:
    grace = built.visits["Grace"].id
    told(grace, "10:45", "11:20")
    assert not customer.keep(grace, at=NOW).already
    assert customer.keep(grace, at=NOW).already
    visit = db.session.get_one(Visit, grace)
    assert (visit.window_start, visit.window_end, visit.promise_version) == (wall("10:45"), wall("11:20"), 2)
    states = db.session.scalars(select(Promise.state).where(Promise.visit_id == grace).order_by(Promise.version)).all()
    assert states == ["moved", "open"]
    assert queued(grace).count("kept") == 1


@pytest.mark.parametrize("named", [True, False])
def test_a_time_the_technician_named_and_the_customer_keeps_is_not_counted_twice(app: Flask, named: bool) -> None:
    """Without the technician's word the plan moves with what was kept; with it, the word holds already."""
    with transaction() as s:
        made = build.day(s, build.MORNING.replace(" leave 12:00", ""))
        watch.look(s, [x.id for x in made.shifts.values()], at=wall("08:29"))
    grace = made.visits["Grace"].id
    if named:
        tap(made, "Grace", "late", "08:30", minutes=60)
    told(grace, "11:00", "11:30")
    customer.keep(grace, at=NOW)
    db.session.rollback()
    visit, story = db.session.get_one(Visit, grace), visits.story(db.session(), grace, at=NOW)
    assert visit.planned_start + timedelta(minutes=visit.late_min) == wall("11:00")
    assert story.state == "on_time" and story.arrival is not None
    assert wall("10:45") <= story.arrival.start <= wall("11:00"), "and not an hour later"


def test_a_range_told_after_the_answer_can_be_kept_again(built: Built) -> None:
    grace = built.visits["Grace"].id
    told(grace, "10:45", "11:20")
    customer.keep(grace, at=NOW)
    told(grace, "11:00", "11:30", "late_update")
    assert not customer.keep(grace, at=NOW + timedelta(minutes=5)).already
    assert db.session.get_one(Visit, grace).window_start == wall("11:00")


def test_who_presses_under_a_later_range_than_was_told_agrees_to_what_the_page_shows(built: Built) -> None:
    grace = built.visits["Grace"].id
    told(grace, "10:20", "10:45")
    with transaction() as s:
        story = visits.story(s, grace, at=NOW)
    assert story.arrival is not None and story.arrival.end > wall("11:00") and story.agreed == story.arrival
    with pytest.raises(Refused, match="The time has changed"):
        customer.keep(grace, f"{story.visit.promise_version}:{wall('10:20').isoformat()}", at=NOW)
    customer.keep(grace, visits.seen(story), at=NOW)
    visit = db.session.get_one(Visit, grace)
    assert Window(visit.window_start, visit.window_end) == story.arrival
    assert customer.keep(grace, visits.seen(story), at=NOW).already


@pytest.mark.parametrize("how", ["by a text, which answers what was told", "on a page that shows much the same"])
def test_else_what_was_told_is_agreed_to(built: Built, how: str) -> None:
    grace, text = built.visits["Grace"].id, how.startswith("by a text")
    told(grace, "10:20", "10:45" if text else "11:20")
    with transaction() as s:
        seen = "" if text else visits.seen(visits.story(s, grace, at=NOW))
    customer.keep(grace, seen, at=NOW, by="text" if text else "page")
    visit = db.session.get_one(Visit, grace)
    assert (visit.window_start, visit.window_end) == (wall("10:20"), wall("10:45" if text else "11:20"))


def test_keeping_a_range_that_has_passed_keeps_what_is_expected_now(built: Built) -> None:
    grace = built.visits["Grace"].id
    told(grace, "08:10", "08:35")
    customer.keep(grace, at=NOW)
    visit = db.session.get_one(Visit, grace)
    assert visit.window_end > wall("10:30")


def test_a_decision_closes_the_call_that_was_to_ask_for_it(built: Built) -> None:
    lewis = built.visits["Lewis"].id
    with transaction() as s:
        visit = s.get_one(Visit, lewis)
        for reason in ("cap", "asked"):
            outbox.put(s, key=reason, kind="call", at=NOW, reason=reason, decision="task", visit=visit, to="dispatcher")
    customer.keep(lewis, at=NOW)
    rows = db.session.execute(select(Notice.reason, Notice.resolved_by).where(Notice.kind == "call"))
    assert {row.reason: row.resolved_by for row in rows} == {"cap": "customer", "asked": ""}


def test_a_limit_that_works_is_answered_and_changes_the_forecast(built: Built) -> None:
    lewis = built.visits["Lewis"].id
    assert customer.leave_by(lewis, "15:00", "done", at=NOW).works
    assert queued(lewis) == ["deadline_noted"]
    chance = days.forecasts(db.session(), [built.shifts["Ana"].id])[lewis].p_deadline
    assert chance is not None and chance < 0.1


def test_a_limit_that_cannot_be_met_is_answered_with_the_truth_at_once(built: Built) -> None:
    grace = built.visits["Grace"].id
    saved = customer.leave_by(grace, "10:30", "done", at=NOW)
    assert not saved.works
    assert "deadline_noted" not in queued(grace)
    assert "deadline_done" in queued(grace)
    again = customer.leave_by(grace, "10:30", "done", at=NOW)
    assert (again.already, again.works) == (True, False)


def test_arriving_in_time_is_another_limit_than_being_done(built: Built) -> None:
    lewis = built.visits["Lewis"].id
    assert customer.leave_by(lewis, "12:00", "arrive", at=NOW).works
    assert not customer.leave_by(lewis, "11:15", "done", at=NOW).works
    assert answers(lewis) == ["deadline", "deadline"]


def test_the_limit_is_wall_time_at_the_visit(app: Flask) -> None:
    with transaction() as s:
        made = build.day(s, zone="America/New_York")
    grace = made.visits["Grace"].id
    customer.leave_by(grace, "12:30", "done", at=at_wall(DATE, 8, 0, "America/New_York"))
    deadline = db.session.get_one(Visit, grace).deadline
    assert deadline is not None
    assert local(deadline, "America/New_York").strftime("%H:%M") == "12:30"


def test_a_call_is_a_promise_a_task_and_a_message(built: Built) -> None:
    lewis = built.visits["Lewis"].id
    customer.call_me(lewis, at=NOW)
    promise = db.session.scalars(select(Promise).where(Promise.kind == "call")).one()
    assert (promise.due_at, promise.owner, promise.state) == (wall("09:45"), "Bellweather Heating", "open")
    task = db.session.scalars(select(Notice).where(Notice.kind == "call", Notice.reason == "asked")).one()
    assert (task.decision, task.due_at) == ("task", wall("09:45"))
    assert queued(lewis) == ["promise_call"]


def test_after_a_call_was_made_another_can_be_asked_for(built: Built) -> None:
    lewis = built.visits["Lewis"].id
    customer.call_me(lewis, at=NOW)
    with transaction() as s:
        s.scalars(select(Promise).where(Promise.kind == "call")).one().state = "kept"
    assert not customer.call_me(lewis, at=NOW + timedelta(hours=1)).already
    assert db.session.scalars(select(Promise.version).where(Promise.kind == "call")).all() == [1, 2]


def test_a_call_is_not_promised_for_a_day_nobody_works(built: Built) -> None:
    monday = DATE + timedelta(days=6)
    with transaction() as s:
        s.add(
            Shift(
                technician_id=built.technicians["Ana"].id,
                date=monday,
                starts_at=at_wall(monday, 8, 0, build.ZONE),
                ends_at=at_wall(monday, 17, 0, build.ZONE),
            )
        )
    customer.call_me(built.visits["Lewis"].id, at=wall("17:30"))
    due = db.session.scalars(select(Promise.due_at).where(Promise.kind == "call")).one()
    assert due == at_wall(monday, 9, 0, build.ZONE)


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-11-24T10:07", "2026-11-24T11:15"),
        ("2026-11-24T05:00", "2026-11-24T09:00"),
        ("2026-11-24T16:59", "2026-11-24T18:00"),
        ("2026-11-24T17:01", "2026-11-25T09:00"),
        ("2026-11-24T23:59", "2026-11-25T09:00"),
        ("2026-03-28T20:00", "2026-03-29T09:00"),
        ("2026-10-24T20:00", "2026-10-25T09:00"),
    ],
)
def test_a_call_is_due_inside_office_hours(asked: str, due: str) -> None:
    at = datetime.fromisoformat(asked)
    found = office_due(at_wall(at.date(), at.hour, at.minute, build.ZONE), build.ZONE, 60)
    assert local(found, build.ZONE).strftime("%Y-%m-%dT%H:%M") == due


def test_a_cancellation_is_answered_once_and_leaves_the_day(built: Built) -> None:
    grace = built.visits["Grace"].id
    customer.cancel(grace, at=NOW)
    assert customer.cancel(grace, at=NOW).already
    assert queued(grace) == ["cancelled_you"]
    assert grace not in days.forecasts(db.session(), [built.shifts["Tom"].id])
    visit = db.session.get_one(Visit, grace)
    assert (visit.state, visit.cancelled_by) == ("cancelled", "customer")


def test_once_the_technician_stands_at_the_door_nothing_can_be_moved(built: Built) -> None:
    tap(built, "Grace", "arrived", "08:40")
    grace = built.visits["Grace"].id
    for act in (
        lambda: customer.cancel(grace, at=NOW),
        lambda: customer.leave_by(grace, "12:30", "done", at=NOW),
        lambda: customer.choose(grace, built.technicians["Tom"].id, wall("14:00"), at=NOW),
    ):
        with pytest.raises(Refused, match="Tom is with you already"):
            act()
    assert answers(grace) == []
