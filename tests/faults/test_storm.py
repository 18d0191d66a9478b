"""Everybody acts at once, at random, beside two workers on PostgreSQL: nobody waits in a circle, and no act ends in an error."""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from punctual import clock
from punctual.actions import (
    Refused,
    concern,
    conversation,
    customer,
    dispatcher,
    good,
    intake,
    note,
    offer,
    people,
    promise,
    signoff,
    task,
    technician,
    transaction,
)
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.models import GoodRule, Notice, Visit, db
from tests import build
from tests.build import wall
from tests.conftest import _application, fresh_postgres
from tests.sender import Keeper, worker

pytestmark = [pytest.mark.pg, pytest.mark.soak]
AT, BY = wall("09:20"), By(1, "Dana Price")
PEOPLE, WORKERS = 10, 2
#: Three technicians, eight visits each, half an hour apart.
DAY = "\n".join(
    f"T{t} 08:00-18:00 skills boiler home 51.45{t},-2.58\n"
    + "\n".join(
        f"  {9 + v // 2:02d}:{30 * (v % 2):02d}-{9 + (v + 1) // 2:02d}:{30 * ((v + 1) % 2):02d} "
        f"C{t}x{v} boiler 20 at 51.46{t},-2.59{v}"
        for v in range(8)
    )
    for t in range(1, 4)
)


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    yield from _application(fresh_postgres(request), tmp_path)


class Person:
    """Somebody - a technician, a customer, a dispatcher - who does one thing after the other."""

    def __init__(self, rng: random.Random, visits: list[int], technicians: list[int], customers: list[int]) -> None:
        self.rng, self.visits, self.technicians, self.customers = rng, visits, technicians, customers

    @property
    def visit(self) -> int:
        return self.rng.choice(self.visits)

    @property
    def technician(self) -> int:
        return self.rng.choice(self.technicians)

    def tap(self, kind: str, at: datetime) -> None:
        visit = self.visit
        whose = db.session.get_one(Visit, visit).technician_id or self.technician
        tapped: dict[str, Any] = {"technician_id": whose, "key": uuid.uuid4().hex, "tapped_at": at, "at": at}
        if kind == "undo":
            technician.undo(visit, **tapped)
        else:
            technician.report(visit, kind, minutes=30 if kind == "late" else 0, **tapped)

    def move(self, at: datetime) -> None:
        start = AT + timedelta(minutes=15 * self.rng.randint(4, 30))
        there = Window(start, start + timedelta(minutes=30))
        dispatcher.move(self.visit, self.technician, start=start, window=there, tell=True, at=at, by=BY)

    def take_a_file(self, at: datetime) -> None:
        rows = "".join(
            f"g{n},2026-11-24,{self.rng.randint(10, 16)}:00,17:30,20,T{self.rng.randint(1, 3)},boiler,Gus{n},gus{n}@example.com\n"
            for n in range(6)
        )
        head = "id,date,from,to,minutes,technician,job,customer,email\n"
        intake.take((head + rows).encode(), name="a.csv", at=at, by="user:1", tell=True)

    def choose(self, at: datetime) -> None:
        visit = self.visit
        for slot in offer.times(visit, at=at).slots[:1]:
            customer.choose(visit, slot.technician, slot.start, at=at)

    def promise(self, at: datetime) -> None:
        made = promise.make(self.visit, "restore", at + timedelta(minutes=self.rng.randint(1, 30)), at=at, by=BY)
        if self.rng.random() < 0.5:
            promise.keep(made, at=at, by=BY)
        else:
            promise.move(made, at + timedelta(hours=2), at=at, by=BY)

    def resolve(self, at: datetime) -> None:
        open_ = select(Notice.id).where(Notice.decision == "task", Notice.resolved_at.is_(None))
        tasks = db.session.scalars(open_).all()
        if tasks:
            task.resolve(self.rng.choice(tasks), at=at, by=BY)

    def edit_a_customer(self, at: datetime) -> None:
        new: dict[str, Any] = {"name": "New", "email": f"{uuid.uuid4().hex}@example.com", "phone": "", "language": "en"}
        people.edit_customer(self.rng.choice(self.customers), early=True, at=at, by=BY, **new)

    def acts(self, at: datetime) -> dict[str, Callable[[], object]]:
        words, edited = uuid.uuid4().hex, {"deadline": None, "deadline_kind": "done"}
        taps = {kind: lambda kind=kind: self.tap(kind, at) for kind in ("late", "arrived", "on_my_way", "done", "undo")}
        return taps | {  # type: ignore[return-value]
            "give": lambda: dispatcher.give(self.visit, self.technician, at=at, by=BY),
            "move": lambda: self.move(at),
            "edit": lambda: dispatcher.edit_visit(self.visit, notes=words, planned_min=20, at=at, by=BY, **edited),  # type: ignore[arg-type]
            "hold": lambda: dispatcher.hold(self.visit, "parts", at=at, by=BY),
            "release": lambda: dispatcher.release(self.visit, at=at, by=BY),
            "called": lambda: dispatcher.called(self.visit, at=at, by=BY),
            "tell": lambda: dispatcher.tell_now(self.visit, at=at, by=BY),
            "earlier": lambda: dispatcher.offer_earlier(self.visit, at=at, by=BY),
            "off": lambda: people.off(self.technician, build.DATE, "ill", at=at, by=BY),
            "on": lambda: people.on_again(self.technician, build.DATE, at=at, by=BY),
            "address": lambda: self.edit_a_customer(at),
            "file": lambda: self.take_a_file(at),
            "promise": lambda: self.promise(at),
            "answer": lambda: conversation.answer(self.visit, words, at=at, by=BY),
            "resolve": lambda: self.resolve(at),
            "did_not_come": lambda: good.did_not_come(self.visit, at=at, by=BY),
            "keep": lambda: customer.keep(self.visit, at=at),
            "call_me": lambda: customer.call_me(self.visit, at=at),
            "choose": lambda: self.choose(at),
            "leave_by": lambda: customer.leave_by(self.visit, self.rng.choice(["15:00", ""]), "done", at=at),
            "wish": lambda: offer.wish(self.visit, words, at=at),
            "concern": lambda: concern.raise_(self.visit, "other", words, at=at),
            "note": lambda: note.write(self.visit, words, at=at),
            "not_done": lambda: signoff.not_done(self.visit, words, at=at),
            "rate": lambda: signoff.rate(self.visit, self.rng.randint(1, 5), at=at),
            "cancel": lambda: customer.cancel(self.visit, at=at) if self.rng.random() < 0.2 else None,
        }


def test_whatever_people_do_at_once_nobody_waits_in_a_circle(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with transaction() as s:
        made = build.day(s, DAY, rules={"storm_all": 0, "storm_cause": 0, "rescue_alone": 1})
        build.dispatcher(s)
        s.add(GoodRule(kind="late", late_min=0, warned=None, discount_pct=10, credit=0, ask=False, apology=""))
        s.flush()
        rows = ([v.id for v in made.visits.values()], [t.id for t in made.technicians.values()])
        customers = [v.customer_id for v in made.visits.values()]
    clock.configure(f"{AT.isoformat()} x60")
    seconds, seed = float(os.environ.get("SOAK_SECONDS", "120")), int(os.environ.get("SOAK_SEED", "1"))
    ends, done, errors = time.monotonic() + seconds, Counter[str](), Counter[str]()

    def person(n: int) -> None:
        rng = random.Random(1000 * seed + n)
        one = Person(rng, *rows, customers)
        with app.app_context():
            while time.monotonic() < ends:
                name, act = rng.choice(list(one.acts(clock.now()).items()))
                try:
                    act()
                    done["done"] += 1
                except Refused:
                    done["refused"] += 1
                except Exception as error:
                    errors[f"{name}: {error!r}"[:200]] += 1
                db.session.remove()

    def work(_n: int) -> None:
        with app.app_context():
            worker_ = worker(app, Keeper())
            while time.monotonic() < ends:
                worker_.tick(clock.now())

    threads = [threading.Thread(target=person, args=(n,)) for n in range(PEOPLE)]
    threads += [threading.Thread(target=work, args=(n,)) for n in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    circles = db.session.scalar(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
    print(f"\n{done['done']} acts, {done['refused']} refused, {circles} deadlocks, {sum(errors.values())} errors")
    logged = [r.getMessage() for r in caplog.records if "deadlock" in str(r.exc_info)]
    assert errors == {} and logged == [] and circles == 0
