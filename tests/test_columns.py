"""Rows read as columns are what they are as values; a day that changes between thought and act is looked at anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from punctual import outbox, watch
from punctual.actions import schedule, technician, transaction
from punctual.core.day import Window
from punctual.models import Company, Customer, Forecast, Message, Notice, Place, Shift, Travel, Visit, db
from punctual.queries import columns
from punctual.queries import day as days
from punctual.queries.memory import EVERY_MIN, Memory
from punctual.queries.numbers import Numbers, Table
from punctual.queries.same import unchanged, untouched
from tests import build
from tests.build import wall

TWO = """
Tom 08:00-17:00 break 12:30-13:00 home 51.4545,-2.5879
  08:30-09:00 Priya boiler 60 at 51.4683,-2.5967
  09:45-10:00 Grace boiler 45 at 51.4600,-2.6000 leave 12:00
  11:00-11:15 Noor boiler 45
  15:00-15:30 Helen boiler 60 at 51.4480,-2.6050 arrive 16:00
Ana 09:00-17:00
  11:00-11:30 Lewis boiler 60 at 51.4550,-2.5900 mute
Bea 09:00-17:00
"""


@pytest.fixture
def built(app: Flask) -> build.Built:
    with transaction() as s:
        made = build.day(s, TWO)
        for row in [*made.visits.values(), *made.shifts.values(), *made.technicians.values()]:
            s.refresh(row)
            s.expunge(row)
    return made


def ids(built: build.Built) -> list[int]:
    return [x.id for x in built.shifts.values()]


def report(built: build.Built, name: str, kind: str, at: str, minutes: int = 0) -> None:
    visit = built.visits[name]
    technician.report(
        visit.id,
        kind,
        technician_id=visit.technician_id or 0,
        key=f"{kind}-{name}-{at}",
        tapped_at=wall(at),
        at=wall(at),
        minutes=minutes,
    )


def test_columns_hold_what_values_hold(built: build.Built) -> None:
    report(built, "Priya", "arrived", "08:35")
    report(built, "Priya", "done", "09:20")
    report(built, "Helen", "on_my_way", "09:22")
    report(built, "Helen", "late", "09:25", minutes=30)
    with transaction() as s:
        priya, grace, helen = (s.get_one(Visit, built.visits[n].id).place_id for n in ("Priya", "Grace", "Helen"))
        for ends, minutes in (((priya, helen), 21.5), ((helen, grace), 9.0)):
            s.add(Travel(from_place=ends[0], to_place=ends[1], minutes=minutes, source="router", at=wall("07:00")))
    seen, values = columns.see(db.session(), ids(built)), days.columns(db.session(), ids(built))
    ahead = np.isnan(values.arrived)
    for f in fields(values):
        a, b = getattr(seen.days, f.name), getattr(values, f.name)
        if f.name == "travel":  # of ways that are made already nothing is asked
            b = np.where(ahead, b, np.nan)
        assert a.dtype == b.dtype, f.name
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), f.name
    assert np.nansum(seen.days.travel) == 30.5, "from the last visit that was made, and on from there"
    assert seen.stands.reachable.tolist() == [True, True, True, True, False]
    assert seen.dates == [build.DATE] * 3


def test_what_was_told_counts_as_the_provider_accepted_it(built: build.Built) -> None:
    grace = built.visits["Grace"].id
    with transaction() as s:
        visit = s.get_one(Visit, grace)
        for n, kind in enumerate(("late_first", "reminder")):
            outbox.put(s, key=f"{grace}:1:{kind}:1", kind=kind, at=wall(f"09:0{n}"), reason="x", visit=visit)
        visit.told_start, visit.told_end = wall("10:20"), wall("10:50")
        visit.told_at, visit.told_kind = wall("09:02"), "late_first"
    stands = columns.see(db.session(), ids(built)).stands
    assert stands.told.tolist() == [False, True, False, False, False]
    assert stands.told_end[1] - stands.told_start[1] == 30
    with transaction() as s:
        for message in s.scalars(select(Message)):
            message.state = "dropped"
    assert not columns.see(db.session(), ids(built)).stands.told.any(), "what nobody saw was not told"


def test_what_was_told_before_the_promise_moved_is_of_another_promise(built: build.Built) -> None:
    grace = built.visits["Grace"].id
    with transaction() as s:
        visit = s.get_one(Visit, grace)
        outbox.put(s, key=f"{grace}:1:late_first:1", kind="late_first", at=wall("09:00"), reason="x", visit=visit)
        visit.promise_version = 2
    assert not columns.see(db.session(), ids(built)).stands.told.any()


@pytest.mark.parametrize(
    "change",
    [
        lambda s, b: setattr(s.get_one(Visit, b.visits["Grace"].id), "window_end", wall("10:05")),
        lambda s, b: setattr(s.get_one(Visit, b.visits["Grace"].id), "state", "cancelled"),
        lambda s, b: setattr(s.get_one(Shift, b.shifts["Tom"].id), "off", "sick"),
        lambda s, b: setattr(
            s.get_one(Customer, s.get_one(Visit, b.visits["Noor"].id).customer_id), "email_bad", "550"
        ),
        lambda s, b: watch.look(s, [b.shifts["Tom"].id], at=wall("09:30"), cause="user:1"),
    ],
    ids=["window", "cancelled", "off", "address", "look"],
)
def test_a_day_that_has_changed_is_noticed(built: build.Built, change: Callable[[object, build.Built], object]) -> None:
    before = columns.see(db.session(), ids(built))
    every = np.arange(3)
    assert unchanged(before, every, columns.see(db.session(), ids(built))).tolist() == [True, True, True]
    with transaction() as s:
        change(s, built)
    now = columns.see(db.session(), ids(built))
    assert unchanged(before, every, now).tolist() == [False, True, True]


#: A minute in which no day's turn comes.
QUIET = wall("10:00") + timedelta(minutes=5)


def equal(one: columns.Seen, other: columns.Seen) -> bool:
    parts = [(getattr(one.days, f.name), getattr(other.days, f.name)) for f in fields(one.days)]
    parts += [(getattr(one.stands, f.name), getattr(other.stands, f.name)) for f in fields(one.stands)]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in parts)


CHANGES: dict[str, Callable[[build.Built], object]] = {
    "arrived": lambda b: report(b, "Priya", "arrived", "08:35"),
    "done": lambda b: report(b, "Priya", "done", "09:20"),
    "on my way": lambda b: report(b, "Grace", "on_my_way", "09:22"),
    "late": lambda b: report(b, "Grace", "late", "09:25", minutes=30),
    "later": lambda b: report(b, "Grace", "late", "09:26", minutes=15),
    "moved": lambda b: acted(
        lambda s: schedule.reassign(
            s,
            s.get_one(Visit, b.visits["Noor"].id),
            technician_id=b.technicians["Bea"].id,
            planned_start=wall("11:00"),
            at=wall("09:30"),
        )
    ),
    "agreed": lambda b: acted(
        lambda s: schedule.agree(
            s,
            s.get_one(Visit, b.visits["Helen"].id),
            window=Window(wall("15:20"), wall("15:50")),
            at=wall("09:31"),
            by="customer",
        )
    ),
    "cancelled": lambda b: acted(
        lambda s: schedule.cancel(s, s.get_one(Visit, b.visits["Grace"].id), at=wall("09:32"), by="user:1")
    ),
}


def acted(act: Callable[[Session], None]) -> None:
    with transaction() as s:
        act(s)


def test_what_is_remembered_of_a_day_is_what_it_is_after_every_change(built: build.Built) -> None:
    memory = Memory(few=0)
    columns.see(db.session(), ids(built), memory, QUIET)
    for name, change in CHANGES.items():
        change(built)
        db.session.rollback()
        remembered = columns.see(db.session(), ids(built), memory, QUIET)
        assert equal(remembered, columns.see(db.session(), ids(built))), name
    blind = Memory(few=0)
    shift = Numbers({}, {"shift": None}, {})
    for day in (Table(shift, np.ones((1, 1))), Table(shift, np.empty((0, 1)))):
        found = blind.rows([1], ["the same"], QUIET, lambda _, day=day: day, lambda i, _: i)  # type: ignore[misc]
    assert len(found) == 1, "a change without a sign would not be seen"


def test_every_change_between_thought_and_act_has_a_sign(built: build.Built) -> None:
    every = np.arange(3)
    for name, change in CHANGES.items():
        before = columns.see(db.session(), ids(built))
        assert untouched(before, every, columns.days_as_they_stand(db.session(), ids(built))).all()
        change(built)
        db.session.rollback()
        same = untouched(before, every, columns.days_as_they_stand(db.session(), ids(built)))
        assert same.tolist() == [False, True, name != "moved"], name


def test_rules_that_change_between_thought_and_act_make_every_day_another_one(built: build.Built) -> None:
    before, every = columns.see(db.session(), ids(built)), np.arange(3)
    acted(lambda s: setattr(s.get_one(Company, 1), "rules", {"threshold_min": 5}))
    assert not untouched(before, every, columns.days_as_they_stand(db.session(), ids(built))).any()


#: What changes without a sign on a visit, and how that of Grace is seen to have changed.
UNSIGNED: dict[str, tuple[Callable[[Session, Visit], object], Callable[[columns.Seen], bool]]] = {
    "address": (
        lambda s, grace: setattr(s.get_one(Customer, grace.customer_id), "email_bad", "550"),
        lambda seen: not seen.stands.reachable[1],
    ),
    "place": (
        lambda s, grace: setattr(s.get_one(Place, grace.place_id), "lat", 51.5),
        lambda seen: seen.days.lat[1] == 51.5,
    ),
    "place lost": (
        lambda s, grace: setattr(s.get_one(Place, grace.place_id), "lat", None),
        lambda seen: bool(np.isnan(seen.days.lat[1])),
    ),
    "way": (
        lambda s, grace: s.execute(update(Travel).values(minutes=33.0)),
        lambda seen: seen.days.travel[1] == 33.0,
    ),
}


@pytest.mark.parametrize("what", UNSIGNED)
def test_what_leaves_no_sign_is_read_when_the_turn_of_its_day_has_come(built: build.Built, what: str) -> None:
    change, seen_in = UNSIGNED[what]
    priya, grace = (built.visits[name] for name in ("Priya", "Grace"))
    way = Travel(from_place=priya.place_id, to_place=grace.place_id, minutes=9.0, source="router", at=wall("07:00"))
    acted(lambda s: s.add(way))
    memory = Memory(few=0)
    assert not seen_in(columns.see(db.session(), ids(built), memory, wall("10:00")))
    db.session.rollback()
    acted(lambda s: change(s, s.get_one(Visit, grace.id)))
    looks = [columns.see(db.session(), ids(built), memory, wall(f"10:{m:02}")) for m in range(1, 1 + EVERY_MIN)]
    assert seen_in(looks[-1]), "within twenty minutes"
    assert equal(looks[-1], columns.see(db.session(), ids(built)))
    assert seen_in(columns.see(db.session(), ids(built), Memory(), wall("10:01"))), "few days: at once"


def test_visits_are_not_read_again_because_their_turn_has_come_but_because_they_differ() -> None:
    shift, reads = Numbers({}, {"shift": None}, {}), list[list[int]]()

    def read(asked: list[int]) -> Table:
        reads.append(asked)
        return Table(shift, np.array(asked, dtype=np.float64).reshape(-1, 1))

    memory, every = Memory(few=0), list(range(1, 41))
    for minute in range(1 + EVERY_MIN):
        memory.rows(every, ["the same"] * 40, wall("10:00") + timedelta(minutes=minute), read, lambda i, _: i[:1])
    assert reads[0] == every
    assert [len(asked) for asked in reads[1:]] == [1] * EVERY_MIN, "of two whose turn it is the one that differs"


def counts() -> list[int | None]:
    db.session.rollback()
    return [db.session.scalar(select(func.count()).select_from(t)) for t in (Notice, Message, Forecast)]


def test_thinking_writes_nothing_and_acting_what_was_thought(built: build.Built) -> None:
    before = counts()
    thought = watch.think(db.session(), ids(built), at=wall("08:05"))
    assert counts() == before
    for part in watch.parts(thought, 2):
        with transaction() as s:
            watch.act(s, thought, part, at=wall("08:05"))
    found = days.forecasts(db.session(), ids(built))
    assert set(found) == {v.id for v in built.visits.values()}
    silent = db.session.scalars(select(Notice.visit_id).where(Notice.decision == "silent")).all()
    assert sorted(silent) == sorted(found)
    again = watch.think(db.session(), ids(built), at=wall("08:05"))
    assert list(watch.parts(again, 2)) == []


def test_many_days_with_reasons_for_silence_are_written_with_a_few_where_somebody_may_be_told(
    built: build.Built,
) -> None:
    thought = watch.think(db.session(), ids(built), at=wall("08:05"))
    assert [p.tolist() for p in watch.parts(thought, 1)] == [[0, 1], [2]], "no more than reasons"
    told = replace(thought, alone=thought.seen.days.day_of == 0)
    assert [p.tolist() for p in watch.parts(told, 1)] == [[0], [1, 2]]


def test_a_tap_between_thought_and_act_is_not_overwritten(built: build.Built) -> None:
    thought = watch.think(db.session(), ids(built), at=wall("08:40"))
    report(built, "Priya", "arrived", "08:40")
    with transaction() as s:
        watch.act(s, thought, np.arange(3), at=wall("08:41"))
    silent = select(Notice.reason).where(Notice.visit_id == built.visits["Priya"].id, Notice.decision == "silent")
    assert db.session.scalars(silent).one() == "over"
    assert days.forecasts(db.session(), ids(built))[built.visits["Grace"].id].stops_before == 1


def test_a_dispatchers_answer_for_the_technician_outlives_the_visit_it_was_about(built: build.Built) -> None:
    grace, tom = built.visits["Grace"].id, built.shifts["Tom"].id
    with transaction() as s:
        about, key = s.get_one(Visit, grace), f"{tom}:{grace}:1:silent"
        task = outbox.put(
            s, key=key, kind="silent", at=wall("09:00"), reason="silent", decision="task", visit=about, shift_id=tom, to="dispatcher",
        )  # fmt: skip
        assert task is not None
        task.resolved_at, task.resolved_by = wall("09:10"), "dana@bellweather.example"
    asked = columns.see(db.session(), ids(built)).answered
    assert asked.tolist()[0] * 60 == wall("09:10").timestamp()
    db.session.rollback()
    acted(lambda s: schedule.cancel(s, s.get_one(Visit, grace), at=wall("09:32"), by="user:1"))
    assert np.array_equal(columns.see(db.session(), ids(built)).answered, asked, equal_nan=True)
