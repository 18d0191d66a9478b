"""Who writes waits for their turn before they hold anything: on PostgreSQL, where many write at once, nobody waits in a circle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import NamedTuple

import pytest
from flask import Flask
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from punctual import clock, links, outbox
from punctual.actions import (
    api,
    customer,
    dispatcher,
    good,
    intake,
    invitation,
    note,
    people,
    promise,
    task,
    technician,
    transaction,
)
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.follow import promises
from punctual.itip.reply import Incoming
from punctual.models import BoardVersion, Link, Visit, db, touch_board
from punctual.queries import day as queries
from punctual.queries import slots
from punctual.sender import AGAIN_S
from punctual.transports import Envelope, Receipt
from tests import build
from tests.build import wall
from tests.conftest import _application, fresh_postgres
from tests.sender import Keeper, send, states, worker

pytestmark = pytest.mark.pg
AT, BY = wall("09:10"), By(1, "Dana Price")
#: What an act may write before or after it waits: everything that others lock, change or point at.
TABLES = ("visit", "message", "attempt", "notice", "promise", "slot_claim", "customer", "forecast", "board_version")
PATIENCE = 30.0
ROWS = "id,date,from,to,minutes,technician,job,customer,email\ng7,2026-11-24,{},45,Tom,boiler,Gus,gus@example.com\n"


class Ids(NamedTuple):
    """The rows of Bristol's morning that are acted on."""

    tom: int
    ana: int
    shift: int
    anas: int
    priya: int
    grace: int
    customer: int
    uid: str
    silent: int


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """The application on PostgreSQL: SQLite has one writer."""
    yield from _application(fresh_postgres(request), tmp_path)


@pytest.fixture
def ids(app: Flask) -> Ids:
    """Tom's morning; a warning to Grace and a booking wait to be sent, and a file has brought Gus."""
    with transaction() as s:
        made = build.day(s, build.MORNING)
        build.dispatcher(s)
        s.flush()
        grace, (tom, ana) = made.visits["Grace"], (made.technicians[x].id for x in ("Tom", "Ana"))
        for n, kind in enumerate(("late_first", "booked", "reminder")):
            outbox.put(s, key=f"{grace.id}:1:{kind}:{n}", kind=kind, at=AT, reason="x", visit=grace)
        shifts = [made.shifts[x].id for x in ("Tom", "Ana")]
        silent = outbox.put(
            s, key="silent", kind="silent", at=AT, reason="silent", decision="task", shift_id=shifts[0], visit=grace,
            to="dispatcher",
        )  # fmt: skip
        assert silent is not None
        found = Ids(tom, ana, *shifts, made.visits["Priya"].id, grace.id, grace.customer_id, grace.uid, silent.id)
    intake.take(ROWS.format("14:00,15:00").encode(), name="a.csv", at=AT, by="user:1")
    return found


@contextmanager
def somebody(app: Flask) -> Iterator[Connection]:
    """Somebody else's connection; what they hold they let go of at the end."""
    with app.app_context():
        engine = db.engine
    with engine.connect().execution_options(writer=True) as c:
        yield c
        c.rollback()


def hold(c: Connection, table: str, *ids: int) -> None:
    """Lock these rows, as an act on them does."""
    for i in ids:
        c.execute(text(f"SELECT id FROM {table} WHERE id = {i} FOR NO KEY UPDATE"))


#: Who waits for what this connection holds.
BLOCKED = "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


def waiting(c: Connection) -> bool:
    """Somebody waits for what this connection holds; False when nobody did for long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if c.execute(text(BLOCKED)).first() is not None:
            return True
        time.sleep(0.01)
    return False


def held(c: Connection, *tables: str) -> list[str]:
    """The tables of which somebody else holds a row."""
    found = []
    for table in tables:
        inside = c.begin_nested()
        try:
            c.execute(text(f"SELECT 1 FROM {table} FOR UPDATE NOWAIT"))
        except OperationalError:
            found.append(table)
        inside.rollback()
    return found


class Act(Thread):
    """One act in a thread of its own; `error` is what it raised."""

    def __init__(self, app: Flask, act: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.app, self.act, self.error = app, act, None
        self.start()

    def run(self) -> None:
        with self.app.app_context():
            try:
                self.act()
            except BaseException as error:
                self.error = error  # type: ignore[assignment]
            finally:
                db.session.remove()

    def ends(self) -> None:
        self.join(PATIENCE)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


def move(x: Ids) -> None:
    there = Window(wall("15:00"), wall("16:00"))
    dispatcher.move(x.grace, x.tom, start=wall("15:00"), window=there, tell=True, at=AT, by=BY)


def edit(x: Ids) -> None:
    until = {"deadline": wall("12:30"), "deadline_kind": "done"}
    dispatcher.edit_visit(x.grace, notes="Ring twice.", planned_min=50, at=AT, by=BY, **until)  # type: ignore[arg-type]


def edit_customer(x: Ids) -> None:
    new = {"name": "Grace", "email": "new@example.com", "phone": "", "language": "en", "early": True}
    people.edit_customer(x.customer, at=AT, by=BY, **new)  # type: ignore[arg-type]


def choose(x: Ids) -> None:
    free = slots.offers(db.session(), x.grace, at=AT, most=40)
    customer.choose(x.grace, x.tom, next(slot.start for slot in free if slot.technician == x.tom), at=AT)


def propose(x: Ids) -> None:
    """Her calendar proposes three o'clock."""
    counter = Incoming(
        "COUNTER", x.uid, 0, AT, "grace@example.com", (), "", "", "", "", wall("15:00"), wall("15:30"), None
    )
    invitation.take(counter, sender="grace@example.com", proven=False, at=AT)


def tap(x: Ids) -> None:
    late = {"key": "late-0001", "tapped_at": AT, "at": AT, "minutes": 60}
    technician.report(x.priya, "late", technician_id=x.tom, **late)  # type: ignore[arg-type]


def take_file(x: Ids) -> None:
    """A newer file moves Gus."""
    intake.take(ROWS.format("16:00,17:00").encode(), name="b.csv", at=AT, by="user:1")


ACTS: dict[str, Callable[[Ids], object]] = {
    "tap": tap,
    "give": lambda x: dispatcher.give(x.grace, x.ana, at=AT, by=BY),
    "move": move,
    "cancel": lambda x: dispatcher.cancel(x.grace, tell=True, at=AT, by=BY),
    "edit": edit,
    "edit_by_a_program": lambda x: api.edit(x.grace, {"notes": "Ring twice.", "deadline": wall("12:30")}, at=AT, by=BY),
    "add_a_note": lambda x: dispatcher.add_note(x.grace, "Ring twice.", at=AT, by=BY),
    "hold_back": lambda x: dispatcher.hold(x.grace, "parts", at=AT, by=BY),
    "called": lambda x: dispatcher.called(x.grace, at=AT, by=BY),
    "off": lambda x: people.off(x.tom, build.DATE, "ill", at=AT, by=BY),
    "edit_a_customer": edit_customer,
    "cancel_a_customer": lambda x: people.cancel_customer(x.customer, tell=True, at=AT, by=BY),
    "did_not_come": lambda x: good.did_not_come(x.grace, at=wall("10:40"), by=BY),
    "keep": lambda x: customer.keep(x.grace, at=AT),
    "choose": choose,
    "call_me": lambda x: customer.call_me(x.grace, at=AT),
    "propose": propose,
    "resolve": lambda x: task.resolve(x.silent, at=AT, by=BY),
    "read_a_note": lambda x: note.read_by_dispatcher(x.grace, at=AT, by=BY),
    "take_a_file": take_file,
}


def held_while_waiting(app: Flask, other: Connection, act: Callable[[], object]) -> list[str]:
    """What an act holds while it waits for what `other` holds; then it is called off, and nothing of it stays."""
    running = Act(app, act)
    assert waiting(other), "it takes its turn"
    found = held(other, *TABLES)
    other.execute(text(f"SELECT pg_cancel_backend(pid) FROM ({BLOCKED}) AS them"))
    running.join(PATIENCE)
    assert isinstance(running.error, OperationalError)
    return found


def test_who_waits_for_a_day_has_written_nothing_yet(app: Flask, ids: Ids) -> None:
    with somebody(app) as other:
        hold(other, "shift", ids.shift)
        found = {name: held_while_waiting(app, other, partial(act, ids)) for name, act in ACTS.items()}
    assert {name: tables for name, tables in found.items() if tables} == {}


def test_an_act_that_writes_first_and_takes_the_day_then_is_caught(app: Flask, ids: Ids) -> None:
    """Negative control: two of them, each the other way round, are a deadlock."""

    def careless() -> None:
        with transaction() as s:
            s.get_one(Visit, ids.grace).notes = "Ring twice."
            s.flush()
            queries.lock(s, [ids.shift])

    with somebody(app) as other:
        hold(other, "shift", ids.shift)
        assert held_while_waiting(app, other, careless) == ["visit"]


def test_who_finds_the_visit_on_another_day_lets_go_and_takes_that_day_first(app: Flask, ids: Ids) -> None:
    with somebody(app) as other, somebody(app) as third:
        hold(other, "shift", ids.shift)
        hold(third, "shift", ids.anas)
        act = Act(app, lambda: ACTS["add_a_note"](ids))
        assert waiting(other)
        other.execute(text(f"UPDATE visit SET technician_id = {ids.ana} WHERE id = {ids.grace}"))
        other.commit()
        assert waiting(third), "it takes the other day"
        assert held(third, *TABLES) == []
    act.ends()
    assert "Ring twice." in db.session.get_one(Visit, ids.grace).notes


def test_who_takes_a_tap_back_waits_for_the_visit_before_its_messages(app: Flask, ids: Ids) -> None:
    tapped = {"technician_id": ids.tom, "at": AT, "tapped_at": AT}
    technician.report(ids.grace, "on_my_way", key="omw-0001", **tapped)  # type: ignore[arg-type]
    with somebody(app) as other:
        hold(other, "visit", ids.grace)
        back = partial(technician.undo, ids.grace, key="back-0001", **tapped)
        assert held_while_waiting(app, other, back) == ["visit"]


def test_the_worker_leaves_a_promise_of_a_visit_that_somebody_is_at_for_the_next_minute(app: Flask, ids: Ids) -> None:
    promise.make(ids.grace, "restore", AT + timedelta(minutes=5), at=AT, by=BY)
    due = AT + timedelta(minutes=6)
    with somebody(app) as other:
        hold(other, "visit", ids.grace)
        with transaction() as s:
            assert promises.look(s, due) == 0
    with transaction() as s:
        assert promises.look(s, due) == 1


def test_a_sender_that_waits_for_a_visit_holds_none_of_its_messages(app: Flask, ids: Ids) -> None:
    made = worker(app, Keeper())
    with somebody(app) as other:
        hold(other, "visit", ids.grace)
        act = Act(app, lambda: send(made, AT))
        assert waiting(other)
        assert held(other, "message", "attempt") == []
    act.ends()
    assert {kind for kind, state, _why in states() if state == "sent"} == {"booked", "reminder"}


class Grabbing(Keeper):
    """A server during whose answer somebody takes the visit."""

    def __init__(self, c: Connection, visit: int) -> None:
        super().__init__()
        self.c, self.visit = c, visit

    def send(self, envelope: Envelope) -> Receipt:
        hold(self.c, "visit", self.visit)
        return super().send(envelope)


def test_what_came_of_a_message_is_kept_in_the_turn_of_its_visit(app: Flask, ids: Ids) -> None:
    with somebody(app) as other:
        made = worker(app, Grabbing(other, ids.grace))
        act = Act(app, lambda: made.deliver(AT))
        assert waiting(other), "the outcome waits"
        assert held(other, "message", "attempt") == []
    act.ends()
    assert "sent" in {state for _kind, state, _why in states()}


def impatient(app: Flask) -> None:
    """Whoever waits for a lock for 0.1 s gives up with an error, as after a deadlock."""
    name = db.engine.url.database
    with somebody(app) as c:
        c.execute(text(f"ALTER DATABASE {name} SET lock_timeout = '100ms'"))
        c.commit()
    db.session.remove()
    db.engine.dispose()


def test_a_message_whose_writing_gave_way_to_others_goes_at_the_next_look(app: Flask, ids: Ids) -> None:
    impatient(app)
    keeper = Keeper()
    made = worker(app, keeper)
    with somebody(app) as other:
        hold(other, "visit", ids.grace)
        made.deliver(AT)
        assert not keeper.kept
        assert {state for _kind, state, _why in states()} == {"queued"}
        db.session.remove()
    assert send(made, AT + timedelta(seconds=AGAIN_S)) == len(keeper.kept) == 2


def test_a_door_that_gave_way_to_others_says_try_again_and_the_next_press_counts(app: Flask, ids: Ids) -> None:
    clock.configure(f"{AT.isoformat()} x1")
    with transaction() as s:
        token = links.make(s, app.config["SETTINGS"].key("link"), "customer", ids.grace, at=AT)
    impatient(app)
    client = app.test_client()
    with somebody(app) as other:
        hold(other, "shift", ids.shift)
        answer = client.post(f"/c/{token}/cancel")
        assert answer.status_code == 503
        assert "Nothing was saved. Try again in a moment." in answer.text
        db.session.remove()
    assert client.post(f"/c/{token}/cancel").status_code == 303


def test_who_reads_sees_one_moment_and_who_writes_what_others_have_committed(app: Flask, ids: Ids) -> None:
    notes = select(Visit.notes).where(Visit.id == ids.grace)

    def seen(s: Session) -> tuple[str | None, str | None]:
        before = s.scalar(notes)
        with somebody(app) as other:
            other.execute(text(f"UPDATE visit SET notes = notes || 'x' WHERE id = {ids.grace}"))
            other.commit()
        return before, s.scalar(notes)

    assert seen(db.session()) == ("", "")
    with transaction() as s:
        assert seen(s) == ("x", "xx")
    assert db.session.scalar(notes) == "xx"


def test_two_who_touch_the_boards_of_two_dates_the_other_way_round_both_come_through(app: Flask, ids: Ids) -> None:
    barrier, tomorrow = Barrier(2), build.DATE + timedelta(days=1)

    def touch(*dates: object) -> Callable[[], None]:
        def act() -> None:
            with transaction() as s:
                for on in dates:
                    touch_board(s, on)  # type: ignore[arg-type]
                    barrier.wait(PATIENCE)

        return act

    before = {v.date: v.version for v in db.session.scalars(select(BoardVersion))}
    db.session.rollback()
    acts = [Act(app, touch(build.DATE, tomorrow)), Act(app, touch(tomorrow, build.DATE))]
    for act in acts:
        act.ends()
    after = {v.date: v.version for v in db.session.scalars(select(BoardVersion))}
    assert {on: v - before.get(on, 0) for on, v in after.items()} == {build.DATE: 2, tomorrow: 2}


def test_a_link_that_two_make_at_once_is_one(app: Flask, ids: Ids) -> None:
    barrier, key = Barrier(2), app.config["SETTINGS"].key("link")

    def make() -> None:
        with transaction() as s:
            s.execute(text("SELECT 1"))
            barrier.wait(PATIENCE)
            links.make(s, key, "customer", ids.grace, at=AT, version=7)

    acts = [Act(app, make), Act(app, make)]
    for act in acts:
        act.ends()
    assert len(db.session.scalars(select(Link).where(Link.version == 7)).all()) == 1
