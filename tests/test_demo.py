"""The demo tells its story: lived minute by minute through the very same parts as a real company."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text

from punctual import clock, demo, demo_day, demo_run, demo_state, gate
from punctual.actions import Refused, access, transaction
from punctual.actions import demo as verbs
from punctual.app import create_app
from punctual.config import Settings
from punctual.models import Company, Message, Notice, Report, Visit, db
from punctual.processes import let_go
from punctual.queries import slots
from punctual.web import board_words
from punctual.worker import Worker
from tests import build

DAY = date(2026, 11, 24)


@pytest.fixture(scope="module")
def prepared(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's company as it stands at 08:40; made once, lived in by copies."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copy(sqlite_template, folder / "demo.db")
    app = create_app(Settings(instance=folder, database_url=f"sqlite:///{folder / 'demo.db'}", demo=True))
    demo.prepare(app, DAY)
    with app.app_context():
        db.session.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        db.session.remove()
        db.engine.dispose()
    return folder


@pytest.fixture
def example(prepared: Path, tmp_path: Path) -> Iterator[Flask]:
    """The demo's company as it stands at 08:40."""
    instance = tmp_path / "instance"
    shutil.copytree(prepared, instance)
    app = create_app(Settings(instance=instance, database_url=f"sqlite:///{instance / 'demo.db'}", demo=True))
    with app.app_context():
        with transaction() as s:
            gate.seal(s, app.config["SETTINGS"])  # a copy is silent until it is released
        yield app
        db.session.remove()
        db.engine.dispose()


def live(app: Flask, start: str, end: str) -> Worker:
    """Live the day from one clock time to another, minute by minute."""
    db.session.rollback()
    worker, at = Worker(app, (demo.Ticker(app).tick,)), demo_day.wall(DAY, start)
    while at <= demo_day.wall(DAY, end):
        worker.tick(at)
        at += timedelta(minutes=1)
    worker.sender.close()
    db.session.rollback()  # see what the worker wrote
    return worker


def visit(ref: str) -> Visit:
    return db.session.query(Visit).filter_by(ref=f"{ref}-{DAY.isoformat()}").one()


def test_the_first_story_is_told(example: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert db.session.query(Visit).filter_by(date=DAY).count() in range(38, 50)
        assert db.session.query(Visit).filter_by(origin="generated", state="done").count() > 1500
        ruth = visit("mei-2")
        assert ruth.promise_version == 2, "one customer has answered: this works"
        live(example, "08:40", "08:55")
        grace = visit("tom-2")
        asked = db.session.query(Message).filter_by(visit_id=grace.id, kind="deadline_done").one()
        assert asked.state == "sent" and demo_day.wall(DAY, "08:40") < asked.state_at < demo_day.wall(DAY, "08:56")
        mails = list(example.config["SETTINGS"].outbox_folder.glob("*deadline_done*grace*.eml"))
        assert len(mails) == 1 and b"free as we write" in mails[0].read_bytes()
        assert slots.offers(db.session(), grace.id, at=demo_day.wall(DAY, "08:55"))
        leila = db.session.query(Report).filter_by(visit_id=visit("leila-1").id).all()
        assert max(r.at for r in leila) <= demo_day.wall(DAY, "08:12")
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_what_was_told_on_the_days_before_says_why(example: Flask) -> None:
    with example.app_context():
        past = db.session.scalars(select(Notice.facts).where(Notice.kind == "late_first", Notice.cause == "watch:0"))
        told = [board_words.why_told("late_first", "late", facts, "watch:0", demo_day.ZONE) for facts in past]
    assert told
    assert not [words for words in told if "?" in words]


def test_a_silent_technician_is_noticed_without_a_tap(example: Flask) -> None:
    live(example, "08:40", "09:50")
    task = db.session.query(Notice).filter_by(decision="task", kind="silent").first()
    assert task is not None and task.shift_id is not None


def test_the_hero_can_be_played_and_is_then_left_alone(example: Flask) -> None:
    key = example.config["SETTINGS"].key("link")
    at = demo_day.wall(DAY, "08:41")
    access.enrol(access.enrol_link(1, key=key, at=at), label="phone", at=at)
    before = db.session.query(Report).filter_by(technician_id=1).count()
    live(example, "08:41", "10:30")
    assert db.session.query(Report).filter_by(technician_id=1).count() == before
    assert db.session.query(Report).filter_by(technician_id=8).count() > 0


def test_the_next_day_tells_the_story_again_of_somebody_else(example: Flask) -> None:
    key, client, at = example.config["SETTINGS"].key("link"), example.test_client(), demo_day.wall(DAY, "08:41")
    clock.configure(f"{at.isoformat()} x0.01")
    assert "Grace was promised 9:00" in client.get("/").text and "Leila" in client.get("/").text
    access.enrol(access.enrol_link(1, key=key, at=at), label="phone", at=at)
    begin, tomorrow = demo.next_day(example, DAY), DAY + timedelta(days=1)
    assert begin == demo_day.wall(tomorrow, "08:40")
    clock.configure(f"{begin.isoformat()} x0.01")
    name = verbs.story(begin).name  # type: ignore[union-attr]
    page = client.get("/").text
    assert name != "Grace" and f"{name} was promised 9:00 and must leave at 10:00" in page and "Grace" not in page
    hers = client.post("/demo/customer", follow_redirects=True).text
    assert "9:00 and 9:30" in hers

    def tomorrows(ref: str) -> Visit:
        return db.session.query(Visit).filter_by(ref=f"{ref}-{tomorrow}").one()

    assert tomorrows("tom-1").state == "arrived", "whose phone a visitor has is there in time too"
    assert tomorrows("mei-2").promise_version == 2, "one customer has answered: this works"
    worker, minute = Worker(example, (demo.Ticker(example).tick,)), begin
    while minute <= demo_day.wall(tomorrow, "09:10"):
        worker.tick(minute)
        minute += timedelta(minutes=1)
    worker.sender.close()
    db.session.rollback()
    asked = db.session.query(Message).filter_by(visit_id=tomorrows("tom-2").id, kind="deadline_done").one()
    assert asked.state == "sent"
    clock.configure(f"{demo_day.wall(tomorrow, '11:00').isoformat()} x0.01")
    with transaction():
        tomorrows("tom-1").state = tomorrows("leila-1").state = "done"
    page = client.get("/").text
    assert "had to leave at 10:00" in page and "Leila" not in page


def test_the_three_links_open_the_three_faces(example: Flask) -> None:
    clock.configure(f"{demo_day.wall(DAY, '08:40').isoformat()} x1")
    links = demo.make_links(example, clock.now())
    client = example.test_client()
    assert client.get("/").status_code == 200 and "Demo" in client.get("/").text
    assert client.get("/").text.count('target="_blank"') == 3, "they are looked at side by side"
    for link, words in (
        (links.technician, "Use this phone"),
        (links.customer, "visit"),
        (links.board, "Open the board"),
    ):
        assert words in client.get(link).text
    for face in ("technician", "customer", "board"):
        assert client.post(f"/demo/{face}").status_code == 303
    hers = client.post("/demo/customer", follow_redirects=True).text
    assert "9:00 and 9:30" in hers and "What we have promised you" in hers, "the story's own visit, not a later one"


def test_a_real_company_is_never_overwritten(lite: Flask, tmp_path: Path, sqlite_url: str) -> None:
    with transaction() as s:
        build.day(s)
    settings = Settings(instance=tmp_path / "instance", database_url=sqlite_url)
    with pytest.raises(Refused, match="real company"):
        demo_run._refuse_real(settings)
    assert db.session.get_one(Company, 1).demo is False
    assert lite.test_client().post("/demo/board").status_code == 404


def test_a_fresh_demo_is_no_copied_database(tmp_path: Path) -> None:
    """A seal left behind would keep the new day's messages back."""
    old = [tmp_path / name for name in (gate.SEAL, demo_state.FILE)]
    for file in old:
        file.write_text("{}")
    demo_run._forget(Settings(instance=tmp_path))
    assert not any(file.exists() for file in old)


def test_a_demo_that_was_killed_goes_on_from_its_last_sign_of_life(
    example: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody wrote down where its day stopped."""
    for name in ("DEMO", "PORT", "HOST", "ORIGIN"):
        monkeypatch.setenv(f"PUNCTUAL_{name}", "1")
    app, begin = demo_run._ready(example.config["SETTINGS"], "", 20.0)
    let_go(app)
    assert begin == demo_day.wall(DAY, "08:39")
    app, begin = demo_run._ready(example.config["SETTINGS"], demo_day.wall(DAY, "08:40").isoformat(), 20.0)
    let_go(app)
    assert begin == demo_day.wall(DAY, "08:40"), "where one wrote it down, that counts"


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refused, match="Choose another with --port"):
            demo_run._port_free("127.0.0.1", taken.getsockname()[1])


def test_a_phone_is_given_an_address_of_this_machine_that_is_not_its_own_name() -> None:
    asked = "from punctual.demo_run import _address; print(_address('0.0.0.0'), _address('10.0.0.7'))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    every, named = done.stdout.split()
    with socket.socket() as probe:
        probe.bind((every, 0))
    assert named == "10.0.0.7" and every != "127.0.1.1"
