"""Promises of people are followed up by themselves: reminded, passed on, and the customer told either way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select

from punctual.actions import dispatcher, schedule, technician, transaction
from punctual.actions import promise as verbs
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.follow import promises as follow
from punctual.models import Forecast, Message, Notice, Promise, User, Visit, db
from tests import build
from tests.build import DATE, LONG_AGO, Built, wall

DANA = By(1, "Dana Price")


@pytest.fixture
def built(app: Flask) -> Built:
    """The built day with a dispatcher and a manager."""
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
        s.add(User(email="maria@bellweather.example", name="Maria Boss", role="manager", created_at=LONG_AGO))
    return made


def minutes(start: str, end: str) -> Iterator[datetime]:
    at = wall(start)
    while at <= wall(end):
        yield at
        at += timedelta(minutes=1)


def look(at: datetime) -> int:
    with transaction() as s:
        return follow.look(s, at)


def put() -> list[tuple[str, str, str]]:
    """(minute, kind, to) of every message, oldest first."""
    db.session.rollback()
    rows = db.session.execute(
        select(Message, User.name).outerjoin(User, User.id == Message.user_id).order_by(Message.id)
    )
    return [(f"{m.created_at:%H:%M}", m.kind, name.split()[0] if name else "customer") for m, name in rows]


def promised(built: Built, kind: str = "part", due: str = "11:00", at: str = "09:00", name: str = "Grace") -> int:
    return verbs.make(built.visits[name].id, kind, wall(due), at=wall(at), by=DANA)


def states() -> list[tuple[str, str, str]]:
    """(kind, state, owner) of every promise but windows, oldest first."""
    db.session.rollback()
    rows = db.session.scalars(select(Promise).where(Promise.kind != "window").order_by(Promise.id))
    return [(p.kind, p.state, p.owner) for p in rows]


def test_a_promise_that_nobody_keeps_reminds_its_owner_then_the_next_one_up_then_tells_the_customer(
    built: Built,
) -> None:
    promised(built)
    for at in minutes("09:00", "11:05"):
        look(at)
    assert put() == [
        ("09:00", "promise_made", "customer"),
        ("10:00", "esc_promise", "Dana"),
        ("10:30", "esc_promise", "Dana"),
        ("10:30", "esc_promise", "Maria"),
        ("11:01", "promise_broken", "customer"),
        ("11:01", "esc_promise", "Maria"),
    ]
    assert states() == [("part", "broken", "Dana Price"), ("part", "open", "Maria Boss")]


def test_a_promise_that_is_kept_in_time_is_said_to_be_kept_and_never_escalates(built: Built) -> None:
    made = promised(built)
    verbs.keep(made, at=wall("09:40"), by=DANA)
    verbs.keep(made, at=wall("09:41"), by=DANA)
    for at in minutes("09:41", "11:05"):
        look(at)
    assert [kind for _, kind, _ in put()] == ["promise_made", "promise_kept"]
    assert states() == [("part", "kept", "Dana Price")]


def test_a_promise_is_never_kept_by_the_clock(built: Built) -> None:
    """Negative control of "no automatic all done": a day passes without anybody's word."""
    promised(built)
    look(wall("11:01"))
    assert "promise_kept" not in [kind for _, kind, _ in put()]


def test_a_move_is_told_before_the_old_time_has_passed_and_starts_the_clock_anew(built: Built) -> None:
    verbs.move(promised(built), wall("15:00"), at=wall("10:45"), by=DANA)
    for at in minutes("10:46", "11:30"):
        look(at)
    assert [(at, kind) for at, kind, _ in put()] == [("09:00", "promise_made"), ("10:45", "promise_moved")]
    assert states() == [("part", "moved", "Dana Price"), ("part", "open", "Dana Price")]
    chain = db.session.scalars(select(Promise).where(Promise.kind == "part").order_by(Promise.id)).all()
    assert chain[1].replaces_id == chain[0].id


def test_a_customer_is_not_written_to_every_hour_about_what_does_not_happen(built: Built) -> None:
    promised(built)
    for hour in range(11, 18):
        look(wall(f"{hour}:01"))
    broken = [x for x in put() if x[1] == "promise_broken"]
    assert len(broken) == 2, "once at the due time, once when the next word did not come; then it is another day"


def test_looking_twice_changes_nothing(built: Built) -> None:
    promised(built)
    look(wall("10:30"))
    before = put()
    assert look(wall("10:30")) == 0
    assert put() == before


def test_a_restore_time_that_will_not_hold_is_moved_before_it_is_due(built: Built) -> None:
    promised(built, "restore", due="11:00", at="08:30")
    tap(built, "Priya", "arrived", "09:05")
    tap(built, "Priya", "late", "09:20", minutes=90)
    look(wall("09:21"))
    moved = [x for x in put() if x[1] == "promise_moved"]
    assert moved == [("09:21", "promise_moved", "customer")]
    new = db.session.scalars(select(Promise).where(Promise.kind == "restore", Promise.state == "open")).one()
    assert new.due_at > wall("11:30")


def test_a_restore_time_that_holds_is_left_alone(built: Built) -> None:
    promised(built, "restore", due="14:00", at="08:30")
    tap(built, "Priya", "arrived", "09:05")
    look(wall("09:21"))
    assert [kind for _, kind, _ in put()] == ["promise_made"]


def test_the_end_of_the_work_keeps_a_restore_time(built: Built) -> None:
    promised(built, "restore", due="12:00", at="08:30", name="Priya")
    tap(built, "Priya", "arrived", "09:05")
    tap(built, "Priya", "done", "10:00")
    assert states() == [("restore", "kept", "Dana Price")]
    assert "promise_kept" in [kind for _, kind, _ in put()]


def test_taking_the_end_back_does_not_leave_a_kept_restore_time(built: Built) -> None:
    promised(built, "restore", due="12:00", at="08:30", name="Priya")
    tap(built, "Priya", "arrived", "09:05")
    tap(built, "Priya", "done", "10:00")
    technician.undo(
        built.visits["Priya"].id,
        technician_id=built.technicians["Tom"].id,
        key="undo-done",
        tapped_at=wall("10:01"),
        at=wall("10:01"),
    )
    assert states() == [("restore", "open", "Dana Price")]


def tap(built: Built, name: str, kind: str, at: str, minutes: int = 0) -> None:
    technician.report(
        built.visits[name].id,
        kind,
        technician_id=built.technicians["Tom"].id,
        key=f"{name}-{kind}-{at}",
        tapped_at=wall(at),
        at=wall(at),
        minutes=minutes,
    )


def second_visit(built: Built, days: int) -> int:
    """Another visit for Grace, some days later."""
    on = DATE + timedelta(days=days)
    with transaction() as s:
        first = s.get_one(Visit, built.visits["Grace"].id)
        window = Window(wall("09:00", on), wall("10:00", on))
        made = schedule.add(
            s,
            customer=first.customer,
            job_type=first.job_type,
            technician_id=first.technician_id,
            place=first.place,
            planned_start=window.start,
            planned_min=60,
            window=window,
            at=wall("08:00"),
            by="test",
            tell=False,
        )
        return made.id


def grouped(built: Built) -> tuple[int, int]:
    second = second_visit(built, 2)
    job = verbs.group(
        "New boiler",
        [built.visits["Grace"].id, second],
        wall("18:00", DATE + timedelta(days=2)),
        at=wall("08:05"),
        by=DANA,
    )
    return job, second


def test_the_overall_date_of_a_job_moves_with_notice_when_one_of_its_visits_moves(built: Built) -> None:
    _, second = grouped(built)
    assert look(wall("08:06")) == 0
    later = DATE + timedelta(days=9)
    with transaction() as s:
        visit = s.get_one(Visit, second)
        schedule.move(
            s,
            visit,
            technician_id=visit.technician_id or 0,
            planned_start=wall("09:00", later),
            window=Window(wall("09:00", later), wall("10:00", later)),
            at=wall("08:10"),
            by="user:1",
            forced=True,
        )
    assert look(wall("08:11")) == 1
    assert [kind for _, kind, _ in put()] == ["promise_made", "moved_by_us", "promise_moved"]
    new = db.session.scalars(select(Promise).where(Promise.kind == "job", Promise.state == "open")).one()
    assert (new.due_at, new.visit_id) == (wall("18:00", later), second)


@pytest.mark.parametrize(("minutes", "moves"), [(60, 0), (480, 1)])
def test_the_overall_date_moves_where_the_forecast_says_so_though_no_window_has_moved(
    built: Built, minutes: int, moves: int
) -> None:
    verbs.group("New boiler", [built.visits["Grace"].id], wall("18:00"), at=wall("08:05"), by=DANA)
    tap(built, "Priya", "arrived", "09:00")
    tap(built, "Priya", "late", "09:20", minutes)
    assert look(wall("09:21")) == moves
    kinds = [kind for _, kind, _ in put()]
    assert ("promise_moved" in kinds) == bool(moves)
    grace = db.session.get_one(Visit, built.visits["Grace"].id)
    assert grace.window_start == wall("10:00"), "the window stands: only the forecast has moved"
    due = db.session.scalars(select(Promise.due_at).where(Promise.kind == "job", Promise.state == "open")).one()
    assert due > wall("18:15") if moves else due == wall("18:00")


def test_a_day_nobody_has_looked_at_yet_is_forecast_for_the_overall_date(built: Built) -> None:
    """Its last visit would not be over in time though its window is kept: too much is planned before it."""
    _, second = grouped(built)
    with transaction() as s:
        visit = s.get_one(Visit, second)
        for n in range(3):
            schedule.add(
                s, customer=visit.customer, job_type=visit.job_type, technician_id=visit.technician_id,
                place=visit.place, planned_start=visit.planned_start - timedelta(minutes=30 - n), planned_min=240,
                window=Window(visit.window_start, visit.window_end), at=wall("08:06"), by="test", tell=False,
            )  # fmt: skip
        s.execute(delete(Forecast))
    assert look(wall("08:07")) == 1
    due = db.session.scalars(select(Promise.due_at).where(Promise.kind == "job", Promise.state == "open")).one()
    assert due > wall("19:00", DATE + timedelta(days=2))


def test_a_job_outlives_the_cancellation_of_its_last_visit(built: Built) -> None:
    _, second = grouped(built)
    with transaction() as s:
        schedule.cancel(s, s.get_one(Visit, second), at=wall("08:10"), by="user:1")
    assert states() == [("job", "open", "Dana Price")]


def test_a_job_is_not_finished_because_its_visits_are(built: Built) -> None:
    """No automatic "all done": a person says so."""
    grouped(built)
    tap(built, "Grace", "arrived", "10:00")
    tap(built, "Grace", "done", "11:00")
    for hour in (11, 12, 17):
        look(wall(f"{hour}:30"))
    assert states() == [("job", "open", "Dana Price")]


def test_a_promised_call_that_was_made_keeps_its_promise_and_one_that_was_not_breaks_it(built: Built) -> None:
    promised(built, "call", due="10:00")
    promised(built, "call", due="10:00", name="Lewis")
    dispatcher.called(built.visits["Grace"].id, at=wall("09:30"), by=DANA)
    look(wall("10:01"))
    assert states() == [
        ("call", "kept", "Dana Price"),
        ("call", "broken", "Dana Price"),
        ("call", "open", "Maria Boss"),
    ]
    tasks = db.session.scalars(select(Notice).where(Notice.decision == "task", Notice.resolved_at.is_(None))).all()
    assert [n.visit_id for n in tasks] == [built.visits["Lewis"].id]


def test_without_anybody_at_the_board_the_company_owns_the_promise(app: Flask) -> None:
    with transaction() as s:
        made = build.day(s)
    promised(made)
    look(wall("10:30"))
    assert states() == [("part", "open", "Bellweather Heating")]
