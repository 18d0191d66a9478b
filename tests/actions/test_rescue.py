"""Before a customer is asked to move, somebody else comes: proposed to the dispatcher, or done alone by rule."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import watch
from punctual.actions import dispatcher, effect, technician, transaction
from punctual.actions.technician import Taken
from punctual.core.day import Window
from punctual.models import Message, Visit, db
from punctual.queries import board, slots
from punctual.queries import visit as visits
from tests import build
from tests.build import Built, wall
from tests.sender import Keeper, send, worker

#: Lewis leaves Ana room for Grace between 9:30 and 11:00, or none.
BUSY = build.MORNING.replace("11:00-11:30 Lewis boiler 60", "10:00-10:30 Lewis boiler 60")
#: Ana is with Lewis until noon.
FULL = build.MORNING.replace("11:00-11:30 Lewis boiler 60", "09:30-10:00 Lewis boiler 150")


def morning(text: str = build.MORNING, **rules: Any) -> Built:
    with transaction() as s:
        return build.day(s, text, rules=rules)


def overrun(built: Built, at: str = "09:20") -> Taken:
    """Tom came to Priya at nine and says two hours more."""
    taken = None
    for kind, when, long in (("arrived", "09:00", 0), ("late", at, 120)):
        taken = technician.report(
            built.visits["Priya"].id, kind, technician_id=built.technicians["Tom"].id, key=f"{kind}-key-00",
            tapped_at=wall(when), at=wall(when), minutes=long,
        )  # type: ignore[arg-type]  # fmt: skip
    assert taken is not None
    return taken


def grace(built: Built) -> Visit:
    db.session.rollback()
    return db.session.get_one(Visit, built.visits["Grace"].id)


def queued(built: Built) -> list[str]:
    found = select(Message.kind).where(Message.visit_id == grace(built).id, Message.state == "queued")
    return list(db.session.scalars(found))


def proposed(built: Built, at: datetime) -> effect.Effect | None:
    db.session.rollback()
    return effect.rescue(db.session(), built.visits["Grace"].id, at)


def test_somebody_with_room_is_proposed_and_every_promise_holds(app: Flask) -> None:
    built = morning()
    overrun(built)
    best = proposed(built, wall("09:20"))
    assert best is not None and best.technician_id == built.technicians["Ana"].id
    assert best.holds
    assert wall("10:00") <= best.changes[0].after <= wall("10:30")


def test_nobody_is_proposed_whose_own_promises_would_break(app: Flask) -> None:
    built = morning(BUSY)
    overrun(built)
    assert proposed(built, wall("09:20")) is None


def test_nobody_without_the_skill_or_off_that_day_is_proposed(app: Flask) -> None:
    built = morning(build.MORNING.replace("Ana 08:00-17:00 skills boiler", "Ana 08:00-17:00 skills heating"))
    overrun(built)
    assert proposed(built, wall("09:20")) is None


def test_the_customers_own_limit_is_one_of_the_promises(app: Flask) -> None:
    built = morning(build.MORNING.replace("leave 12:00", "leave 10:50"))
    overrun(built)
    assert proposed(built, wall("09:20")) is None


def test_where_the_company_allows_it_the_visit_is_given_away_before_anybody_is_told(app: Flask) -> None:
    built = morning(rescue_alone=1)
    taken = overrun(built)
    assert grace(built).technician_id == built.technicians["Ana"].id
    assert queued(built) == []
    assert [x for x in taken.told if x["visit_id"] == grace(built).id] == []


def test_where_it_does_not_the_customer_is_told_and_the_dispatcher_decides(app: Flask) -> None:
    built = morning()
    overrun(built)
    assert grace(built).technician_id == built.technicians["Tom"].id
    assert queued(built) == ["deadline_done"]


def test_alone_nothing_is_given_to_somebody_who_would_break_a_promise(app: Flask) -> None:
    built = morning(BUSY, rescue_alone=1)
    overrun(built)
    assert grace(built).technician_id == built.technicians["Tom"].id
    assert queued(built) == ["deadline_done"]


@pytest.mark.parametrize(("alone", "who", "told"), [(1, "Ana", []), (0, "Tom", ["late_first"])])
def test_the_worker_does_the_same_by_itself(app: Flask, alone: int, who: str, told: list[str]) -> None:
    """Tom's day is known to be two hours late, and nobody has looked at it since: the worker does."""
    built = morning(build.MORNING.replace(" leave 12:00", ""), rescue_alone=alone)
    with transaction() as s:
        priya = s.get_one(Visit, built.visits["Priya"].id)
        priya.state, priya.arrived_at, priya.late_min, priya.late_at = "arrived", wall("09:00"), 120.0, wall("09:20")
    keeper = Keeper()
    made = worker(app, keeper)
    for minute in range(21, 40):
        made.tick(wall(f"09:{minute}"))
    assert grace(built).technician_id == built.technicians[who].id
    assert [e.kind for e in keeper.kept if e.recipient == "grace@example.com"] == told


@pytest.mark.parametrize(
    ("text", "told"), [(build.MORNING, ["deadline_done", "correction"]), (FULL, ["deadline_done"])]
)
def test_who_was_told_that_we_cannot_make_it_hears_that_somebody_else_can(
    app: Flask, text: str, told: list[str]
) -> None:
    """Else she has left when Ana comes: she read that she does not have to wait. Where it still cannot be, no word."""
    built = morning(text)
    overrun(built)
    made = worker(app, keeper := Keeper())
    send(made, wall("09:20"))
    visit, ana = grace(built).id, built.technicians["Ana"].id  # type: ignore[arg-type]
    dispatcher.give(visit, ana, at=wall("09:21"), by=dispatcher.By(1, "Dana Price"))
    send(made, wall("09:21"))
    mine = [e for e in keeper.kept if e.recipient == "grace@example.com"]
    assert [e.kind for e in mine] == told
    words = message_from_bytes(mine[-1].body, policy=SMTP).get_body(("plain",)).get_content()  # type: ignore[attr-defined]
    assert (re.search(r"What is true now: Ana comes instead\. Expected \d+:\d\d-\d+:\d\d\.", words) is not None) == (
        told[-1] == "correction"
    )
    if told[-1] == "correction":
        assert visits.story(db.session(), visit, at=wall("09:21")).state == "on_time", "the page says the same"


@pytest.mark.parametrize(("heard", "who"), [(True, "Ana"), (False, "Tom")])
def test_nothing_is_given_to_somebody_of_whom_nobody_has_heard(app: Flask, heard: bool, who: str) -> None:
    """Nobody knows how her day stands: not alone, not proposed, and no time today is offered with her."""
    text = build.MORNING.replace("11:00-11:30 Lewis boiler 60", "08:00-08:30 Lewis boiler 30")
    built = morning(text.replace(" leave 12:00", ""), rescue_alone=1)
    ana = built.technicians["Ana"].id
    if heard:
        for kind, when in (("arrived", "08:05"), ("done", "08:40")):
            technician.report(
                built.visits["Lewis"].id, kind, technician_id=ana, key=f"ana-{kind}", tapped_at=wall(when), at=wall(when)
            )  # fmt: skip
    made = worker(app, Keeper())
    for minute in range(0, 80, 8):
        made.tick(wall("08:00") + timedelta(minutes=minute))
    overrun(built)
    assert grace(built).technician_id == built.technicians[who].id
    if not heard:
        visit, at = grace(built).id, wall("09:21")
        assert effect.rescue(db.session(), visit, at) is None
        assert ana not in [e.technician_id for e in effect.candidates(db.session(), visit, at)]
        today = [x.technician for x in slots.free(db.session(), visit, at=at) if x.start < wall("18:00")]
        assert today and ana not in today


def test_whom_the_board_shows_silent_is_not_proposed_though_nobody_has_asked_yet(app: Flask) -> None:
    """Half an hour lies between a report that is missed and the question about it; before, she is proposed."""
    text = build.MORNING.replace("11:00-11:30 Lewis boiler 60", "09:15-09:45 Lewis boiler 30")
    built = morning(
        text.replace("10:00-10:30 Grace boiler 45", "11:00-11:30 Grace boiler 45").replace(" leave 12:00", "")
    )
    ana, visit = built.technicians["Ana"].id, built.visits["Grace"].id
    overrun(built, "09:05")
    seen: dict[bool, set[bool]] = {True: set(), False: set()}
    for minute in range(0, 60, 2):
        at = wall("09:06") + timedelta(minutes=minute)
        with transaction() as s:
            watch.look(s, [x.id for x in built.shifts.values()], at=at)
        db.session.rollback()
        line = next(x for x in board.load(db.session(), build.DATE, at).lines if x.technician_id == ana)
        if line.nudged_at is not None:
            break
        best = effect.rescue(db.session(), visit, at)
        could = {e.technician_id for e in effect.candidates(db.session(), visit, at)}
        seen[line.silent_since is not None] |= {best is not None and best.technician_id == ana, ana in could}
    assert seen == {False: {True}, True: {False}}


@pytest.mark.parametrize(
    ("before", "after", "broken", "risky", "harmless", "holds"),
    [
        ("ontime", "ontime", 0, 0, True, True),
        ("ontime", "late", 1, 0, False, False),
        ("risk", "late", 1, 0, False, False),
        ("late", "late", 0, 0, True, False),
        ("ontime", "risk", 0, 1, False, False),
        ("late", "risk", 0, 0, True, False),
    ],
)
def test_a_promise_that_is_late_anyway_is_not_broken_by_giving_another_visit_away(
    before: Any, after: Any, broken: int, risky: int, harmless: bool, holds: bool
) -> None:
    """What it costs is what it makes worse; that every promise holds is said only where every one does."""
    window, at = Window(wall("10:00"), wall("10:30")), wall("10:10")
    mine = effect.Change(1, "Grace Whitfield", window, at, "late", at, "ontime")
    other = effect.Change(2, "Lewis Whitfield", window, at, before, at, after)
    found = effect.Effect(1, "Ana Hale", at, (mine, other), window)
    assert (found.broken, found.risky, found.harmless, found.holds) == (broken, risky, harmless, holds)
    unsaved = effect.Effect(1, "Ana Hale", at, (replace(mine, after_look="late"),), window)
    assert unsaved.broken == 1, "their own promise is what it is for"
