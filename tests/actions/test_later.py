"""A tap's answer names who is to be told and is not yet: from when, or who decides - and nobody who need not be told."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from punctual import watch
from punctual.actions import dispatcher, task, transaction
from punctual.actions.dispatcher import By
from punctual.actions.technician import Taken
from punctual.models import Notice, Report, Visit, db
from tests.actions.test_technician import Days, built
from tests.build import wall

DANA = By(1, "Dana Price")
EARLY = """
Tom 05:00-17:00 skills boiler home 51.4545,-2.5879
  06:00-06:30 Priya boiler 60 at 51.4683,-2.5967
  09:00-09:30 Grace boiler 45 at 51.4600,-2.6000
"""


def later(taken: Taken) -> list[tuple[str, str, str, datetime | None]]:
    return [(x["name"], x["reason"], x["how"], x["at"]) for x in taken.later]


@pytest.fixture
def day(app: Flask) -> Days:
    """Grace was told at 9:05 that we come an hour later."""
    day = built()
    day.tap("Priya", "arrived", "09:02")
    first = day.tap("Priya", "late", "09:05", minutes=60)
    assert [t["name"] for t in first.told] == ["Grace"] and first.later == [], "who is told now need not wait"
    return day


def looked(day: Days, at: str) -> list[tuple[str, int | None]]:
    """What a minute's look tells, and whom."""
    with transaction() as s:
        return [(n.decision, n.visit_id) for n in watch.look(s, [day.shifts["Tom"]], at=wall(at))]


def test_who_was_told_a_moment_ago_is_told_again_when_the_gap_ends(day: Days) -> None:
    taken = day.tap("Priya", "late", "09:12", minutes=60)
    assert taken.told == []
    assert later(taken) == [("Grace", "too_soon", "later", wall("09:25"))]
    assert looked(day, "09:24") == [], "not before"
    assert looked(day, "09:25") == [("tell", day.visits["Grace"])], "what was announced is kept"


def test_a_tap_that_moves_nothing_announces_nobody(day: Days) -> None:
    taken = day.tap("Priya", "late", "09:12", minutes=1)
    assert (taken.told, taken.later) == ([], []), "the range she was told still holds"


def test_a_tap_about_which_nothing_waits_asks_the_database_nothing_more(lite: Flask) -> None:
    day, asked = built(), []
    day.tap("Priya", "arrived", "09:02")
    event.listen(db.engine, "checkout", lambda connection, *_: connection.set_trace_callback(asked.append))
    db.session.remove()
    db.engine.dispose()  # those of before are not listened to
    day.tap("Priya", "late", "09:05", minutes=60)
    names = "SELECT visit.id, customer.name"
    assert [sum(names in x for x in asked), len(day.messages("Grace"))] == [1, 1], "of who is told"
    asked.clear()
    day.tap("Priya", "late", "09:12", minutes=1)
    assert asked and not any(names in x for x in asked)
    asked.clear()
    day.tap("Priya", "late", "09:13", minutes=60)
    assert sum(names in x for x in asked) == 1, "of who waits"


def test_a_tap_delivered_again_names_who_still_waits_and_writes_nothing(day: Days) -> None:
    first = day.tap("Priya", "late", "09:12", minutes=60, key="one-and-only")
    rows = db.session.scalar(select(func.count()).select_from(Notice))
    again = day.tap("Priya", "late", "09:12", minutes=60, key="one-and-only", at="09:20")
    assert again.already and again.later == first.later
    due = day.tap("Priya", "late", "09:12", minutes=60, key="one-and-only", at="09:26")
    assert [x[::3] for x in later(due)] == [("Grace", wall("09:26"))], "the next look tells her"
    assert db.session.scalar(select(func.count()).select_from(Notice)) == rows
    assert db.session.scalar(select(func.count()).select_from(Report)) == 3


def test_a_tap_delivered_again_names_nobody_who_was_told_meanwhile(day: Days) -> None:
    day.tap("Priya", "late", "09:12", minutes=60, key="one-and-only")
    looked(day, "09:25")
    assert day.tap("Priya", "late", "09:12", minutes=60, key="one-and-only", at="09:27").later == []


def test_setting_out_that_can_no_longer_be_told_in_time_is_not_announced(day: Days) -> None:
    """On my way is worth ten minutes; the gap lasts longer."""
    day.tap("Priya", "done", "09:07")
    taken = day.tap("Grace", "on_my_way", "09:08")
    assert [x for x in later(taken) if x[0] == "Grace"] == [("Grace", "too_soon", "not_now", None)]
    assert looked(day, "09:25") == [], "indeed she is not told"


def test_setting_out_shortly_before_the_gap_ends_is_told_when_it_does(day: Days) -> None:
    day.tap("Priya", "done", "09:07")
    taken = day.tap("Grace", "on_my_way", "09:16")
    assert later(taken)[0] == ("Grace", "too_soon", "later", wall("09:25"))
    assert ("tell", day.visits["Grace"]) in looked(day, "09:25")


def test_at_night_the_hour_is_named_from_which_messages_go(app: Flask) -> None:
    day = built(EARLY)
    day.tap("Priya", "arrived", "06:02")
    taken = day.tap("Priya", "late", "06:56", minutes=240)
    assert taken.told == []
    assert later(taken) == [("Grace", "night", "later", wall("08:00"))]


def test_a_storm_and_a_hold_wait_for_the_office(app: Flask) -> None:
    day = built(rules={"storm_cause": 1})
    day.tap("Priya", "arrived", "09:02")
    taken = day.tap("Priya", "late", "09:05", minutes=300, key="one-and-only")
    assert [t["name"] for t in taken.told] == ["Grace"], "an hour before her window there is no time to ask"
    assert later(taken) == [("Helen", "storm", "office", None)]
    again = day.tap("Priya", "late", "09:05", minutes=300, key="one-and-only", at="09:06")
    assert again.later == taken.later and db.session.scalar(select(func.count()).where(Notice.kind == "storm")) == 1
    dispatcher.hold(day.visits["Helen"], "I ring her", at=wall("09:07"), by=DANA)
    assert later(day.tap("Priya", "late", "09:08", minutes=1)) == [("Helen", "held", "office", None)]


def test_who_is_held_back_and_on_time_is_not_named(app: Flask) -> None:
    day = built()
    dispatcher.hold(day.visits["Helen"], "I ring her", at=wall("09:00"), by=DANA)
    assert day.tap("Priya", "arrived", "09:02").later == []


def test_a_call_that_was_asked_for_is_named_until_somebody_has_made_it(app: Flask) -> None:
    day = built()
    with transaction() as s:
        s.get_one(Visit, day.visits["Grace"]).customer.email = None
    day.tap("Priya", "arrived", "09:02")
    first = day.tap("Priya", "late", "09:05", minutes=60)
    assert [(t["name"], t["decision"]) for t in first.told] == [("Grace", "task")] and first.later == []
    assert later(day.tap("Priya", "late", "09:06", minutes=1)) == [("Grace", "no_channel", "call", None)]
    asked = db.session.scalars(select(Notice.id).where(Notice.kind == "call")).one()
    task.resolve(asked, at=wall("09:10"), by=DANA)
    assert day.tap("Priya", "late", "09:11", minutes=1).later == [], "somebody has told her"
