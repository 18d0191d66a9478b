"""Looks at whole days: silence that warns, nobody told twice, storms that ask, and rows that say why not."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import watch
from punctual.actions import task, technician, transaction
from punctual.actions.dispatcher import By
from punctual.models import BoardVersion, Company, Forecast, Message, Notice, Promise, Shift, Travel, Visit, db
from punctual.queries import day as queries
from tests import build
from tests.build import wall

OVERRUN = """
Tom 08:00-17:00 home 51.4545,-2.5879
  08:30-09:00 Priya boiler 60 at 51.4683,-2.5967
  09:45-10:00 Grace boiler 45 at 51.4600,-2.6000
  15:00-15:30 Helen boiler 60 at 51.4480,-2.6050
"""
MUTE = OVERRUN.replace("Grace boiler 45 at 51.4600,-2.6000", "Grace boiler 45 at 51.4600,-2.6000 mute")


def made(text: str = OVERRUN, **values: object) -> build.Built:
    with transaction() as s:
        built = build.day(s, text, **values)
        for row in [*built.visits.values(), *built.shifts.values(), *built.technicians.values()]:
            s.refresh(row)
            s.expunge(row)
    return built


def look(built: build.Built, at: datetime | str, cause: str = "") -> list[tuple[str, str, str]]:
    with transaction() as s:
        found = watch.look(
            s, [x.id for x in built.shifts.values()], at=wall(at) if isinstance(at, str) else at, cause=cause
        )
        return [(n.decision, n.kind, n.reason) for n in found]


def arrive(built: build.Built, name: str, at: str) -> None:
    visit = built.visits[name]
    technician.report(
        visit.id,
        "arrived",
        technician_id=visit.technician_id or 0,
        key=f"arrived-{name}",
        tapped_at=wall(at),
        at=wall(at),
    )


def minutes_from(start: str, end: str) -> list[datetime]:
    first, last = wall(start), wall(end)
    return [first + timedelta(minutes=m) for m in range(int((last - first).total_seconds() // 60))]


def said(name: str, built: build.Built) -> list[str]:
    db.session.rollback()
    return list(
        db.session.scalars(
            select(Notice.kind)
            .where(Notice.visit_id == built.visits[name].id, Notice.decision == "tell")
            .order_by(Notice.id)
        )
    )


def silence(name: str, built: build.Built) -> Notice:
    db.session.rollback()
    return db.session.scalars(
        select(Notice).where(Notice.visit_id == built.visits[name].id, Notice.decision == "silent")
    ).one()


def test_a_job_that_runs_on_without_a_tap_warns_the_next_customer_once(app: Flask) -> None:
    built = made()
    arrive(built, "Priya", "08:35")
    told = [(at, x) for at in minutes_from("08:40", "11:00") for x in look(built, at) if x[0] == "tell"]
    about_grace = [x for x in said("Grace", built) if x == "late_first"]
    assert about_grace == ["late_first"]
    assert told


def test_looking_twice_at_one_instant_changes_nothing(app: Flask) -> None:
    built = made()
    arrive(built, "Priya", "08:35")
    technician.report(
        built.visits["Priya"].id,
        "late",
        technician_id=built.technicians["Tom"].id,
        key="late-sixty",
        tapped_at=wall("09:00"),
        at=wall("09:00"),
        minutes=60,
    )
    assert said("Grace", built) == ["late_first"]
    before = counts()
    assert look(built, "09:00") == []
    assert look(built, "09:00") == []
    assert counts() == before


def counts() -> list[int | None]:
    db.session.rollback()
    tables = (Notice, Message, Promise, Forecast)
    versions = db.session.scalar(select(func.sum(BoardVersion.version)))
    return [versions, *(db.session.scalar(select(func.count()).select_from(t)) for t in tables)]


def test_every_visit_has_one_row_that_says_why_nobody_is_told(app: Flask) -> None:
    built = made()
    look(built, "08:05")
    assert [silence(n, built).reason for n in built.visits] == ["fine", "fine", "fine"]
    arrive(built, "Priya", "08:35")
    assert silence("Priya", built).reason == "over"
    assert {"chance", "limit", "threshold", "late_min"} <= silence("Grace", built).facts.keys()


def test_the_forecast_of_every_visit_is_kept_with_its_day(app: Flask) -> None:
    built = made()
    look(built, "08:05")
    found = queries.forecasts(db.session(), [built.shifts["Tom"].id])
    assert set(found) == {v.id for v in built.visits.values()}
    grace = found[built.visits["Grace"].id]
    assert grace.arrive[0] <= grace.arrive[1] <= grace.arrive[2]


def test_a_look_that_shows_nothing_new_leaves_the_boards_version(app: Flask) -> None:
    built = made()
    look(built, "07:00")
    before = db.session.get_one(BoardVersion, build.DATE).version
    look(built, "07:01")
    db.session.rollback()
    assert db.session.get_one(BoardVersion, build.DATE).version == before
    look(built, "07:01", cause="user:1")
    db.session.rollback()
    assert db.session.get_one(BoardVersion, build.DATE).version == before + 1


def test_a_silent_technician_is_nudged_the_dispatcher_asked_and_then_customers_hear_without_a_time(app: Flask) -> None:
    built = made()
    log: list[tuple[datetime, str, str]] = []
    for at in minutes_from("08:00", "11:30"):
        log += [(at, kind, decision) for decision, kind, _ in look(built, at)]
    kinds = [kind for _, kind, _ in log]
    nudged = next(at for at, kind, _ in log if kind == "tech_nudge")
    assert ("silent", "task") in [(k, d) for at, k, d in log if at == nudged]
    no_time = [at for at, kind, _ in log if kind == "no_time_yet"]
    assert no_time and min(no_time) >= nudged + timedelta(minutes=10)
    assert kinds.count("tech_nudge") == 1
    late_after = [at for at, kind, _ in log if kind in ("late_first", "late_update") and at >= nudged]
    assert late_after == []
    promise = db.session.scalars(select(Promise).where(Promise.kind == "call")).first()
    assert promise is not None
    assert (promise.state, promise.due_at) == ("open", promise.made_at + timedelta(minutes=60))
    calls = db.session.scalars(select(Notice).where(Notice.decision == "task", Notice.kind == "call")).all()
    assert [n.due_at for n in calls if n.visit_id == promise.visit_id] == [promise.due_at]


def test_silence_counts_from_the_last_report_though_nobody_looked_meanwhile(app: Flask) -> None:
    built = made()
    arrive(built, "Priya", "08:35")
    with transaction() as s:
        s.delete(s.get_one(Forecast, built.shifts["Tom"].id))
    assert ("tell", "tech_nudge", "silent") in look(built, "12:30"), "the watch was away for four hours"


def test_a_dispatcher_who_answers_for_the_technician_restarts_the_wait(app: Flask) -> None:
    built = made()
    log: list[tuple[datetime, str]] = []
    answered: datetime | None = None
    for at in minutes_from("08:00", "12:00"):
        log += [(at, kind) for _, kind, _ in look(built, at)]
        if answered is None and log and log[-1][1] == "silent":
            answered = at
            with transaction() as s:
                task = s.scalars(select(Notice).where(Notice.kind == "silent", Notice.decision == "task")).one()
                task.resolved_at, task.resolved_by = at, "dana@bellweather.example"
    assert answered is not None
    nudged = [at for at, kind in log if kind == "tech_nudge"]
    assert nudged[:2] == [answered, answered + timedelta(minutes=30)]
    assert all(at >= answered + timedelta(minutes=40) for at, kind in log if kind == "no_time_yet")


def test_a_customer_with_no_channel_becomes_one_call_for_the_dispatcher(app: Flask) -> None:
    built = made(MUTE)
    arrive(built, "Priya", "08:35")
    for at in minutes_from("08:40", "10:40"):
        look(built, at)
    calls = db.session.scalars(
        select(Notice).where(Notice.visit_id == built.visits["Grace"].id, Notice.decision == "task")
    ).all()
    assert [(n.kind, n.reason) for n in calls] == [("call", "no_channel")]
    assert db.session.scalars(select(Message).where(Message.visit_id == built.visits["Grace"].id)).all() == []


EARLY = """
Tom 04:00-12:00 home 51.4545,-2.5879
  04:30-05:00 Priya boiler 120 at 51.4683,-2.5967
  06:00-06:15 Grace boiler 45 at 51.4600,-2.6000
"""


def test_a_delay_that_no_message_can_tell_before_the_window_closes_becomes_one_call_in_time(app: Flask) -> None:
    built = made(EARLY)
    arrive(built, "Priya", "05:20")
    for at in minutes_from("05:21", "06:40"):
        look(built, at)
    (call,) = db.session.scalars(select(Notice).where(Notice.decision == "task", Notice.kind == "call"))
    assert (call.reason, call.at) == ("night", wall("05:20")), "at the report, before the window opens"
    assert db.session.scalars(select(Message).where(Message.kind.startswith("late"))).all() == []


CROWD = "\n".join(
    f"T{t} 08:00-17:00 home 51.4545,-2.5879\n"
    f"  08:30-09:00 A{t} boiler 60 at 51.4683,-2.5967\n"
    f"  10:00-10:15 B{t} boiler 45 at 51.4600,-2.6000\n"
    f"  13:00-13:15 C{t} boiler 45 at 51.4600,-2.6100"
    for t in range(6)
)


def overrun_everywhere(built: build.Built) -> None:
    with transaction() as s:
        for name, visit in built.visits.items():
            if name.startswith("A"):
                row = s.get_one(Visit, visit.id)
                row.state, row.arrived_at, row.late_min, row.late_at = "arrived", wall("08:35"), 360.0, wall("08:40")


def test_too_many_messages_from_one_cause_wait_for_a_person_unless_time_is_short(app: Flask) -> None:
    built = made(CROWD, rules={"storm_cause": 5, "wait_max_min": 600})
    overrun_everywhere(built)
    found = look(built, "09:10", cause="import:1")
    told = [x for x in found if x[0] == "tell"]
    assert len(told) == 6, "the customers of 10:00 cannot wait for a person"
    assert [x for x in found if x[1] == "storm"] == [("task", "storm", "storm")]
    assert silence("C0", built).reason == "storm"
    assert look(built, "09:11") == [], "asked once, and what waits goes on waiting"


def stormy(answer: str) -> build.Built:
    """A storm at 09:10 about which a dispatcher decides two minutes later."""
    built = made(CROWD, rules={"storm_cause": 5, "wait_max_min": 600})
    overrun_everywhere(built)
    look(built, "09:10", cause="import:1")
    asked = db.session.scalars(select(Notice).where(Notice.kind == "storm")).one()
    task.resolve(asked.id, answer=answer, at=wall("09:12"), by=By(1, "Dana Price"))
    return built


def of_one_o_clock(built: build.Built) -> list[str]:
    db.session.rollback()
    mine = [v.id for name, v in built.visits.items() if name.startswith("C")]
    found = select(Notice.kind).where(Notice.visit_id.in_(mine), Notice.decision == "tell")
    return list(db.session.scalars(found))


def test_a_storm_that_is_released_is_told_with_that_press(app: Flask) -> None:
    assert of_one_o_clock(stormy("")) == ["late_first"] * 6


def test_a_storm_that_is_dropped_is_decided_again_an_hour_later(app: Flask) -> None:
    built = stormy("drop")
    for at in ("09:13", "09:18", "09:40", "10:11"):
        assert [x for x in look(built, at) if x[1] == "storm"] == [], "nobody is asked again"
        assert of_one_o_clock(built) == []
    assert silence("C0", built).reason == "storm"
    look(built, "10:13")
    assert len(of_one_o_clock(built)) == 6, "what is still true then is told"


def test_without_a_storm_guard_the_same_cause_tells_everybody(app: Flask) -> None:
    built = made(CROWD, rules={"storm_cause": 0, "storm_all": 0})
    overrun_everywhere(built)
    assert len([x for x in look(built, "09:10", cause="import:1") if x[0] == "tell"]) == 12


def test_what_share_of_a_days_visits_makes_a_storm_is_the_companys(lite: Flask) -> None:
    built = made(CROWD, rules={"storm_cause": 0, "storm_all": 5, "storm_share": 1.0, "wait_max_min": 600})
    overrun_everywhere(built)
    assert [x[0] for x in look(built, "09:10", cause="import:1")].count("tell") == 12, "as many as there are visits"


def test_by_default_that_would_be_a_storm(lite: Flask) -> None:
    built = made(CROWD, rules={"storm_cause": 0, "storm_all": 5, "wait_max_min": 600})
    overrun_everywhere(built)
    assert ("task", "storm", "storm") in look(built, "09:10", cause="import:1")


def test_many_watchers_at_once_tell_each_customer_once(app: Flask) -> None:
    built = made()
    with transaction() as s:
        row = s.get_one(Visit, built.visits["Priya"].id)
        row.state, row.arrived_at, row.late_min, row.late_at = "arrived", wall("08:35"), 120.0, wall("08:50")
    barrier, errors = threading.Barrier(8), []

    def run() -> None:
        with app.app_context():
            barrier.wait()
            try:
                look(built, "09:00", cause="user:1")
            except Exception as error:
                errors.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert said("Grace", built) == ["late_first"]
    assert len(db.session.scalars(select(Message).where(Message.visit_id == built.visits["Grace"].id)).all()) == 1


def test_days_in_progress_are_those_around_their_hours_with_work_left(app: Flask, s: Session) -> None:
    built = made()
    tom = built.shifts["Tom"].id
    assert queries.in_progress(s, wall("09:00")) == [tom]
    assert queries.in_progress(s, wall("09:00") - timedelta(days=1)) == []
    assert queries.in_progress(s, wall("09:00") + timedelta(days=1)) == []
    s.rollback()
    with transaction() as inner:
        for visit in built.visits.values():
            inner.get_one(Visit, visit.id).state = "done"
    assert queries.in_progress(s, wall("09:00")) == []


def test_visits_come_in_the_order_they_were_or_will_be_made(app: Flask) -> None:
    built = made()
    with transaction() as s:
        helen = s.get_one(Visit, built.visits["Helen"].id)
        helen.state, helen.arrived_at, helen.finished_at = "done", wall("08:10"), wall("08:30")
        grace = s.get_one(Visit, built.visits["Grace"].id)
        grace.state, grace.arrived_at = "arrived", wall("08:50")
    (day,) = queries.load(db.session(), [built.shifts["Tom"].id])
    names = {v.id: n for n, v in built.visits.items()}
    assert [names[v.id] for v in day.visits] == ["Helen", "Grace", "Priya"]


def test_travel_from_the_table_is_used_where_it_is_known(app: Flask, s: Session) -> None:
    built = made()
    with transaction() as inner:
        priya, grace = (inner.get_one(Visit, built.visits[n].id).place_id for n in ("Priya", "Grace"))
        inner.add(Travel(from_place=priya, to_place=grace, minutes=42.0, source="router", at=wall("07:00")))
    travel = queries.columns(s, [built.shifts["Tom"].id]).travel
    assert travel[1] == 42.0
    assert travel[2] != travel[2], "an unknown way is left to the core's estimate"


@pytest.mark.parametrize(
    ("phone", "zones"),
    [("+12125550123", ("America/New_York",)), ("", ()), ("nonsense", ()), ("+447700900123", ())],
)
def test_a_phone_number_tells_the_zones_its_prefix_may_mean(phone: str, zones: tuple[str, ...]) -> None:
    assert queries.phone_zones(phone) == zones


def test_a_company_without_rules_of_its_own_has_the_defaults(app: Flask, s: Session) -> None:
    build.company(s, rules={"threshold_min": 0})
    assert queries.rules(s).threshold_min == 0
    s.get_one(Company, 1).rules = {}
    s.flush()
    assert queries.rules(s).threshold_min == 15


def test_a_technician_who_is_off_leaves_a_task_and_tells_before_windows_open(app: Flask) -> None:
    built = made()
    with transaction() as s:
        s.get_one(Shift, built.shifts["Tom"].id).off = "sick"
    assert ("task", "silent", "off") in look(built, "07:30", cause="user:1")
    assert silence("Helen", built).reason == "no_news"
    found = [x for at in minutes_from("08:00", "09:10") for x in look(built, at)]
    assert [x[:2] for x in found if x[0] == "tell"] == [("tell", "please_choose")] * 2
