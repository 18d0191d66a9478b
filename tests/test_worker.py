"""The worker: watches every minute, sends at once when rung, goes on after faults, ends cleanly when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from punctual import clock, messages, outbox
from punctual.actions import technician, transaction
from punctual.core.kinds import KINDS
from punctual.models import (
    Company,
    Forecast,
    Heartbeat,
    Learned,
    Message,
    Notice,
    Promise,
    SlotClaim,
    Visit,
    db,
)
from punctual.queries import day as days
from punctual.sender import Way
from punctual.worker import Worker
from tests import build
from tests.build import wall
from tests.sender import Keeper, states, worker

#: Tom's first job overruns: the next customer's window cannot be kept.
OVERRUN = """
Tom 08:00-17:00 home 51.4545,-2.5879
  08:30-09:00 Priya boiler 60 at 51.4683,-2.5967
  09:45-10:00 Grace boiler 45 at 51.4600,-2.6000
"""


@pytest.fixture
def day(app: Flask) -> build.Built:
    """A built day, its rows readable without a session."""
    with transaction() as s:
        built = build.day(s, OVERRUN)
        for row in [*built.visits.values(), *built.shifts.values()]:
            s.refresh(row)
            s.expunge(row)
    return built


def arrive(built: build.Built) -> None:
    priya = built.visits["Priya"]
    technician.report(
        priya.id, "arrived", technician_id=priya.technician_id or 0, key="tap-0001",
        tapped_at=wall("08:30"), at=wall("08:30"),
    )  # fmt: skip


def minutes(start: str, end: str) -> Iterator[datetime]:
    at = wall(start)
    while at < wall(end):
        yield at
        at += timedelta(minutes=1)


def until(true: Callable[[], object]) -> None:
    """Wait until something is true; on a busy machine everything takes long."""
    end = time.monotonic() + 30.0
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_minute_by_minute_silence_becomes_one_warning_that_leaves_in_the_same_minute(
    app: Flask, day: build.Built
) -> None:
    arrive(day)
    keeper = Keeper()
    made = worker(app, keeper)
    for at in minutes("08:31", "10:30"):
        made.tick(at)
        made.tick(at)
    late = [e for e in keeper.kept if e.kind == "late_first"]
    assert [e.recipient for e in late] == ["grace@example.com"]
    notice = db.session.scalars(select(Notice).where(Notice.kind == "late_first")).one()
    assert late[0].at == notice.at < wall("10:30"), "before the window closes"


def test_the_days_are_looked_at_once_a_minute_of_the_clock(app: Flask, day: build.Built) -> None:
    made = worker(app, Keeper())

    def looked(at: datetime) -> datetime | None:
        made.tick(at)
        db.session.rollback()
        return made.looked

    assert looked(wall("09:00")) == wall("09:00")
    assert looked(wall("09:00") + timedelta(seconds=40)) == wall("09:00")
    assert looked(wall("09:01") + timedelta(seconds=3)) == wall("09:01")
    first = days.forecasts(db.session(), [day.shifts["Tom"].id])[day.visits["Grace"].id]
    made.tick(wall("09:30"))
    db.session.rollback()
    moved = days.forecasts(db.session(), [day.shifts["Tom"].id])[day.visits["Grace"].id]
    assert moved.at == wall("09:30") and moved.arrive[1] > first.arrive[1]


def test_a_heartbeat_says_that_it_lives(app: Flask, day: build.Built) -> None:
    made = worker(app, Keeper())
    made.tick(wall("09:00"))
    made.tick(wall("09:00") + timedelta(seconds=3))
    made.tick(wall("09:01"))
    beat = db.session.scalars(select(Heartbeat)).one()
    assert (beat.name, beat.at) == ("worker", wall("09:01"))


def test_each_visit_is_reminded_once_a_day_ahead_unless_it_was_only_just_made(app: Flask) -> None:
    with transaction() as s:
        built = build.day(s, build.MORNING)
        built.visits["Helen"].created_at = wall("08:00") - timedelta(hours=1)
        built.visits["Lewis"].state = "cancelled"
    keeper = Keeper()
    made = worker(app, keeper)
    for at in minutes("08:30", "14:00"):
        if at.minute % 10 == 0:
            made.tick(at - timedelta(days=1))
    assert [e.recipient for e in keeper.kept] == ["priya@example.com", "grace@example.com"]
    assert {e.kind for e in keeper.kept} == {"reminder"}


def test_how_long_ahead_a_visit_is_reminded_is_the_companys(lite: Flask) -> None:
    with transaction() as s:
        build.day(s, build.MORNING).company.rules = {"reminder_h": 3}
    keeper = Keeper()
    made, came = worker(lite, keeper), {}
    for at in minutes("05:30", "12:00"):
        if at.minute % 10 == 0:
            made.tick(at - timedelta(days=1))
            made.tick(at)
            came |= {e.recipient: at for e in keeper.kept if e.kind == "reminder" and e.recipient not in came}
    assert came["helen@example.com"] == wall("10:00"), "three hours before 13:00"


def test_holds_end_and_promises_to_call_are_broken_when_their_time_has_passed(app: Flask, day: build.Built) -> None:
    grace = day.visits["Grace"]
    with transaction() as s:
        for ends in ("09:00", "09:20"):
            s.add(
                SlotClaim(
                    technician_id=grace.technician_id, visit_id=grace.id, kind="hold", exempt=True,
                    starts_at=wall("14:00"), ends_at=wall("15:00"), window_start=wall("14:00"),
                    window_end=wall("14:30"), planned_start=wall("14:00"), expires_at=wall(ends), created_at=wall("08:00"),
                )
            )  # fmt: skip
        s.add(Promise(visit_id=grace.id, kind="call", due_at=wall("09:05"), made_by="test", made_at=wall("08:00")))
    worker(app, Keeper()).tick(wall("09:10"))
    db.session.rollback()
    assert [c.expires_at for c in db.session.scalars(select(SlotClaim))] == [wall("09:20")]
    assert db.session.scalars(select(Promise.state).where(Promise.kind == "call")).all() == ["broken", "open"]


def test_it_learns_at_the_start_and_then_once_a_night(app: Flask, day: build.Built) -> None:
    made = worker(app, Keeper())

    def learned() -> int:
        db.session.rollback()
        return len(db.session.scalars(select(Learned.id)).all())

    made.tick(wall("09:00"))
    assert learned() == 1
    made.tick(wall("18:00"))
    assert learned() == 1
    made.tick(wall("03:30") + timedelta(days=1))
    assert learned() == 2
    made.tick(wall("05:30") + timedelta(days=1))
    assert learned() == 2


def test_a_chore_that_fails_stops_neither_the_others_nor_the_sending(
    app: Flask, day: build.Built, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[datetime] = []

    def broken(at: datetime) -> None:
        raise RuntimeError("broken chore")

    keeper = Keeper()
    made = Worker(app, (broken, ran.append))
    made.sender.ways = {"email": Way(keeper)}
    with transaction() as s:
        outbox.put(
            s,
            key="k",
            kind="cancelled_us",
            at=wall("09:00"),
            reason="x",
            visit=s.get_one(Visit, day.visits["Grace"].id),
        )
        s.execute(update(Company).values(rules={"nonsense": 1}))
    made.tick(wall("09:00"))
    assert ran == [wall("09:00")] and "broken chore" in caplog.text
    assert states()[0][1] in ("failed", "sent"), "the message was dealt with, whatever the rules say"
    with transaction() as s:
        s.execute(update(Company).values(rules={}))
    made.tick(wall("09:01"))
    assert db.session.scalar(select(Forecast.at)) == wall("09:01")


class Running:
    """A worker's loop in a thread of its own."""

    def __init__(self, app: Flask, aside: tuple[Callable[[datetime], None], ...] = ()) -> None:
        self.keeper = Keeper()
        self.worker = Worker(app, aside=aside)
        self.worker.sender.ways = {"email": Way(self.keeper)}
        self.thread = threading.Thread(target=self.worker.loop)

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.worker.stopping = True
        self.thread.join(30)
        assert not self.thread.is_alive()


def beating() -> bool:
    db.session.rollback()
    return db.session.scalar(select(Heartbeat.at)) is not None


def test_a_tap_becomes_a_mail(app: Flask, day: build.Built) -> None:
    arrive(day)
    clock.configure("2026-11-24T09:00+00:00 x1")
    priya = day.visits["Priya"]
    with Running(app) as running:
        until(beating)
        now = clock.now()
        technician.report(
            priya.id, "late", technician_id=priya.technician_id or 0, key="tap-0002", tapped_at=now, at=now, minutes=60
        )
        until(lambda: running.keeper.kept)
    assert [(e.kind, e.recipient) for e in running.keeper.kept] == [("late_first", "grace@example.com")]


def test_a_ring_is_answered_without_waiting_for_the_poll(
    app: Flask, day: build.Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("punctual.worker.POLL_S", 300.0)
    clock.configure("2026-11-24T09:00+00:00 x1")
    with Running(app) as running:
        until(beating)
        for i in range(3):
            with transaction() as s:
                grace = s.get_one(Visit, day.visits["Grace"].id)
                outbox.put(s, key=f"k{i}", kind="booked", at=clock.now(), reason="x", visit=grace)
            until(lambda want=i: len(running.keeper.kept) > want)  # type: ignore[misc]
        running.worker.stopping = True
        with transaction() as s:
            grace = s.get_one(Visit, day.visits["Grace"].id)
            outbox.put(s, key="last", kind="booked", at=clock.now(), reason="x", visit=grace)


def test_a_worker_that_waits_has_written_every_warning_once_and_is_interrupted_by_a_ring(
    app: Flask, day: build.Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("punctual.worker.POLL_S", 300.0)
    clock.configure("2026-11-24T09:00+00:00 x1")
    known = app.jinja_env.cache
    assert known is not None
    known.clear()
    with Running(app) as running:
        until(lambda: len(known) > 0)  # it has begun
        with transaction() as s:
            grace = s.get_one(Visit, day.visits["Grace"].id)
            outbox.put(s, key="k", kind="booked", at=clock.now(), reason="x", visit=grace)
        until(lambda: running.keeper.kept)
        warnings = [kind.name for kind in KINDS.values() if kind.class_ == "delay"]
        parts = {f"messages/{kind}/{part}" for kind in warnings for part in messages.PARTS}
        until(lambda: parts <= {name for _loader, name in known})
        with transaction() as s:
            outbox.ring(s)  # it ends at once, not when its poll does


def test_a_slow_server_asked_beside_the_loop_delays_no_message(lite: Flask) -> None:
    with transaction() as s:
        grace = build.day(s, OVERRUN).visits["Grace"]
        outbox.put(s, key="k", kind="booked", at=wall("09:00"), reason="x", visit=grace)
    clock.configure("2026-11-24T09:00+00:00 x1")
    slow, asked = threading.Event(), threading.Event()

    def ask(at: datetime) -> None:
        asked.set()
        slow.wait(60)

    with Running(lite, aside=(ask,)) as running:
        assert asked.wait(30)
        with transaction() as s:
            again = s.get_one(Visit, grace.id)
            outbox.put(s, key="k2", kind="moved_by_us", at=clock.now(), reason="x", visit=again)
        until(lambda: len(running.keeper.kept) == 2)
        assert not slow.is_set()
        slow.set()


def test_on_a_fast_clock_every_minute_of_that_clock_is_watched(lite: Flask) -> None:
    with transaction() as s:
        build.day(s, OVERRUN)
    clock.configure("2026-11-24T09:10+00:00 x20")
    seen: set[datetime] = set()

    def three_minutes() -> bool:
        db.session.rollback()
        seen.update(at.replace(second=0, microsecond=0) for at in db.session.scalars(select(Forecast.at)))
        return len(seen) >= 3

    with Running(lite):
        until(three_minutes)
    first = min(seen)
    assert sorted(seen) == [first, first + timedelta(minutes=1), first + timedelta(minutes=2)]


def test_it_ends_at_once_and_cleanly_when_told(lite: Flask, tmp_path: Path) -> None:
    with transaction() as s:
        build.day(s, OVERRUN)
    settings = lite.config["SETTINGS"]
    env = os.environ | {
        "PUNCTUAL_INSTANCE": str(settings.instance),
        "DATABASE_URL": settings.database_url,
        "PUNCTUAL_ORIGIN": "http://localhost",
    }
    code = "from punctual.app import create_app; from punctual.worker import Worker; Worker(create_app()).run()"
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE)
    try:
        until(beating)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, said.decode()
    assert b"Traceback" not in said


def test_by_default_messages_leave_as_files_named_by_time_kind_and_recipient(lite: Flask) -> None:
    with transaction() as s:
        grace = build.day(s).visits["Grace"]
        outbox.put(s, key="k", kind="booked", at=wall("09:00"), reason="x", visit=grace)
    assert Worker(lite).tick(wall("09:00")) >= 1
    names = [f.name for f in lite.config["SETTINGS"].outbox_folder.iterdir()]
    assert len([n for n in names if n.startswith("20261124T090000-booked-grace@example.com-")]) == 1
    assert db.session.scalars(select(Notice.kind)).first() == "booked"
    assert db.session.scalars(select(Message.state)).first() == "sent"
