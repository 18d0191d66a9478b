"""Fifty customers press for the same time at the same moment: one gets it, the others see times that are free."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier
from typing import TypeVar

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError

from punctual.actions import Refused, customer, offer, schedule, transaction
from punctual.core.day import Window
from punctual.core.slot import Slot
from punctual.models import Customer, Message, SlotClaim, Visit, db
from punctual.queries import day as queries
from punctual.queries import slots
from tests import build
from tests.build import wall

T = TypeVar("T")
CROWD = 50
NOW = wall("08:30")
START = wall("14:00")
#: Ana has the day free; every customer has a visit nobody has been found for yet.
DAY = "Ana 08:00-17:00 skills boiler home 51.46,-2.58\n  08:00-08:30 Seed boiler 45 at 51.455,-2.59\n"


def crowd(many: int, day: str = DAY) -> tuple[int, list[int]]:
    """Ana's id and the visits of that many customers, all of the same work at the same street."""
    with transaction() as s:
        built = build.day(s, day)
        seed, ana = built.visits["Seed"], built.technicians["Ana"].id
        found = []
        for n in range(many):
            person = Customer(name=f"Kim{n} Reed", email=f"kim{n}@example.com", created_at=build.LONG_AGO)
            s.add(person)
            s.flush()
            made = schedule.add(
                s,
                customer=person,
                job_type=seed.job_type,
                technician_id=None,
                place=seed.place,
                planned_start=wall("09:00"),
                planned_min=45,
                window=Window(wall("09:00"), wall("09:30")),
                at=NOW,
                by="board",
                tell=False,
            )
            found.append(made.id)
        return ana, found


def together(app: Flask, visits: list[int], act: Callable[[int, Barrier], T]) -> list[T]:
    """Each visit's act in a thread of its own, all let go at the same moment."""
    barrier = Barrier(len(visits))

    def one(visit_id: int) -> T:
        with app.app_context():
            try:
                return act(visit_id, barrier)
            finally:
                db.session.remove()

    with ThreadPoolExecutor(len(visits)) as pool:
        return list(pool.map(one, visits))


def owners(technician_id: int) -> list[int]:
    """The visits that claim the time everybody wanted."""
    db.session.rollback()
    end = START + timedelta(minutes=45)
    found = select(SlotClaim.visit_id).where(
        SlotClaim.technician_id == technician_id, SlotClaim.starts_at < end, SlotClaim.ends_at > START
    )
    return list(db.session.scalars(found))


def test_of_fifty_customers_one_gets_the_time_and_the_others_see_fresh_ones(app: Flask) -> None:
    ana, visits = crowd(CROWD)

    def press(visit_id: int, barrier: Barrier) -> tuple[int, list[Slot]]:
        barrier.wait()
        try:
            customer.choose(visit_id, ana, START, at=NOW)
        except Refused as no:
            assert no.status == 409
            assert no.sentence.startswith("Somebody took this time a moment ago. We are sorry.")
            return 409, slots.offers(db.session(), visit_id, at=NOW)
        return 200, []

    answers = together(app, visits, press)
    assert [status for status, _ in answers].count(200) == 1
    for status, fresh in answers:
        if status == 409:
            assert fresh
            for slot in fresh:
                assert abs(slot.start - START) >= timedelta(minutes=45)
    winner = visits[[status for status, _ in answers].index(200)]
    assert owners(ana) == [winner]
    confirmations = db.session.scalars(select(Message.visit_id).where(Message.kind == "rescheduled")).all()
    assert confirmations == [winner]
    moved = select(Visit.id).where(Visit.technician_id == ana, Visit.planned_start == START)
    assert db.session.scalars(moved).all() == [winner]


def test_of_fifty_customers_who_ask_for_times_no_two_are_kept_the_same(app: Flask) -> None:
    ana, visits = crowd(CROWD)

    def press(visit_id: int, barrier: Barrier) -> offer.Offered:
        barrier.wait()
        return offer.times(visit_id, at=NOW)

    answers = together(app, visits, press)
    db.session.rollback()
    held = db.session.scalars(select(SlotClaim).order_by(SlotClaim.starts_at)).all()
    assert held and all(c.kind == "hold" and c.technician_id == ana for c in held)
    assert all(a.ends_at <= b.starts_at for a, b in pairwise(held))
    assert len(held) == sum(len(x.slots) for x in answers if x.until)
    for answer in answers:
        assert len(answer.slots) <= offer.HELD
        assert bool(answer.slots) != bool(answer.call_due), "times, or a call"


def asked(app: Flask, visit_id: int, act: Callable[[int], object]) -> bool:
    """In a thread, with its own connection."""
    with app.app_context():
        try:
            act(visit_id)
        finally:
            db.session.remove()
    return True


@pytest.mark.parametrize("way", ["keep", "choose"])
def test_who_takes_a_technicians_time_waits_for_who_is_taking_it(app: Flask, way: str) -> None:
    """Overlapping rows put in at one moment would wait for each other: PostgreSQL ends one of them for a deadlock."""
    ana, (kim, lee) = crowd(2)
    ways: dict[str, Callable[[int], object]] = {
        "keep": lambda visit_id: offer.times(visit_id, at=NOW),
        "choose": lambda visit_id: customer.choose(visit_id, ana, START, at=NOW),
    }
    with ThreadPoolExecutor(2) as pool:
        with transaction() as s:
            queries.lock_claims(s, [ana])
            waits = pool.submit(asked, app, lee, ways[way])
            with pytest.raises(TimeoutError):
                waits.result(timeout=0.5)
        assert waits.result(timeout=60)
        if db.engine.dialect.name == "postgresql":  # of another technician: nobody waits (SQLite has one writer)
            with transaction() as s:
                queries.lock_claims(s, [ana + 1])
                assert pool.submit(asked, app, kim, lambda visit_id: offer.times(visit_id, at=NOW)).result(timeout=60)


def test_a_time_that_is_kept_for_one_customer_is_no_others(app: Flask) -> None:
    ana, (kim, lee) = crowd(2)
    kept = max(offer.times(kim, at=NOW).slots, key=lambda x: x.start)
    with pytest.raises(Refused) as no:
        customer.choose(lee, ana, kept.start, at=NOW)
    assert no.value.status == 409
    assert all(x.start != kept.start for x in slots.offers(db.session(), lee, at=NOW, most=30))
    later = NOW + timedelta(minutes=10)
    customer.choose(lee, ana, kept.start, at=later)
    assert owner_of(kept.start) == lee
    with pytest.raises(Refused):
        customer.choose(kim, ana, kept.start, at=later)


def owner_of(start: datetime) -> int | None:
    return db.session.scalar(select(SlotClaim.visit_id).where(SlotClaim.planned_start == start))


def check_then_insert(ana: int, *, exempt: bool) -> Callable[[int, Barrier], bool]:
    """What a careless program does: look, everybody at once, and then write what was free a moment ago."""

    def act(visit_id: int, barrier: Barrier) -> bool:
        (free,) = slots.still_free(db.session(), visit_id, [(ana, START)], at=NOW)
        db.session.rollback()
        barrier.wait()
        try:
            with transaction() as s:
                s.add(
                    SlotClaim(
                        technician_id=ana,
                        visit_id=visit_id,
                        kind="choice",
                        starts_at=START - timedelta(minutes=free.travel),
                        ends_at=START + timedelta(minutes=45),
                        window_start=START,
                        window_end=START + timedelta(minutes=30),
                        planned_start=START,
                        exempt=exempt,
                        created_at=NOW,
                    )
                )
        except (IntegrityError, OperationalError) as error:
            # Without the queue (`lock_claims`) PostgreSQL may end one of two for a deadlock: refused as well.
            assert "ex_slot_claim_overlap" in str(error) or "deadlock detected" in str(error)
            return False
        return True

    return act


def test_the_database_alone_lets_one_claim_stand(app: Flask) -> None:
    ana, visits = crowd(12)
    won = together(app, visits, check_then_insert(ana, exempt=False))
    assert won.count(True) == 1
    assert len(owners(ana)) == 1


def test_without_the_constraint_the_same_race_has_many_winners(app: Flask) -> None:
    ana, visits = crowd(12)
    won = together(app, visits, check_then_insert(ana, exempt=True))
    assert won.count(True) == 12
    assert len(owners(ana)) == 12


def test_a_customer_who_presses_twice_at_once_moves_once(app: Flask) -> None:
    ana, (visit_id,) = crowd(1)

    def press(_n: int, barrier: Barrier) -> bool:
        barrier.wait()
        return customer.choose(visit_id, ana, START, at=NOW).already

    assert sorted(together(app, [1, 2, 3, 4], press)) == [False, True, True, True]
    assert owners(ana) == [visit_id]
    assert db.session.get_one(Visit, visit_id).promise_version == 2


def test_calls_asked_for_at_once_are_one_promise(app: Flask) -> None:
    _ana, (visit_id,) = crowd(1)

    def press(_n: int, barrier: Barrier) -> bool:
        barrier.wait()
        return customer.call_me(visit_id, at=NOW).already

    assert sorted(together(app, [1, 2, 3, 4], press)) == [False, True, True, True]


def only_spread(ana: int, visit_id: int) -> datetime:
    """A start that is not offered any more by a hair of its spread. Ana's second visit is moved until there is one."""
    every = [(ana, wall("08:45") + timedelta(minutes=15 * n)) for n in range(12)]
    for minute in range(90):
        with transaction() as s:
            lock = s.scalars(select(Visit).join(Customer).where(Customer.name.startswith("Lock"))).one()
            lock.planned_start = lock.window_start = wall("10:30") + timedelta(minutes=minute)
            lock.window_end = lock.window_start + timedelta(minutes=30)
        kept = {x.start for x in slots.still_free(db.session(), visit_id, every, at=NOW, held=True)}
        free = {x.start for x in slots.still_free(db.session(), visit_id, every, at=NOW)}
        assert free <= kept
        if kept - free:
            return min(kept - free)
    raise AssertionError("no such start")


def test_a_time_that_is_kept_is_refused_to_others_but_not_to_its_customer_for_its_spread_alone(app: Flask) -> None:
    ana, (kim, lee) = crowd(2, DAY + "  10:30-11:00 Lock boiler 45 at 51.455,-2.59\n")
    start = only_spread(ana, kim)
    with pytest.raises(Refused):
        customer.choose(lee, ana, start, at=NOW)
    with transaction() as s:
        s.add(
            SlotClaim(
                technician_id=ana, visit_id=kim, kind="hold", starts_at=start, ends_at=start + timedelta(minutes=45),
                planned_start=start, window_start=start, window_end=start + timedelta(minutes=30), created_at=NOW,
                expires_at=NOW + timedelta(minutes=10),
            )
        )  # fmt: skip
    with pytest.raises(Refused):
        customer.choose(kim, ana, start, at=NOW + timedelta(minutes=10))
    customer.choose(kim, ana, start, at=NOW + timedelta(minutes=9))
    assert owner_of(start) == kim
