"""A restored or copied database stays silent until somebody releases it; so does one that was paused."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from punctual import gate, outbox
from punctual.actions import delivery, transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.models import Attempt, Visit, db
from tests import build
from tests.build import wall
from tests.sender import Keeper, send, states, worker

AT = wall("08:40")


@pytest.fixture
def grace(app: Flask) -> int:
    with transaction() as s:
        return build.day(s).visits["Grace"].id


def put(visit: int, key: str) -> None:
    with transaction() as s:
        outbox.put(s, key=key, kind="booked", at=AT, reason="x", visit=s.get_one(Visit, visit))


def shut(app: Flask) -> str:
    db.session.rollback()
    return gate.shut(db.session(), app.config["SETTINGS"])


def test_a_new_instance_sends_and_stays_open(app: Flask, grace: int) -> None:
    keeper = Keeper()
    sender = worker(app, keeper)
    for key in ("a", "b"):
        put(grace, key)
        assert send(sender, AT) == 1
    assert shut(app) == "" and len(keeper.kept) == 2


def test_a_page_that_began_before_a_message_left_does_not_take_its_database_for_a_copy(app: Flask, grace: int) -> None:
    settings, sender = app.config["SETTINGS"], worker(app, Keeper())
    put(grace, "a")
    send(sender, AT)
    with Session(db.engine) as page:
        assert gate.shut(page, settings) == "", "from here on the page sees this moment"
        put(grace, "b")
        assert send(sender, AT) == 1
        assert gate.shut(page, settings) == ""
        with transaction() as s:
            s.execute(delete(Attempt))
        assert gate.shut(page, settings) == "copied", "an older state is one, whenever the page began"


def test_two_senders_in_turn_do_not_take_each_other_s_mark_for_a_copy(app: Flask, grace: int) -> None:
    settings, other = app.config["SETTINGS"], worker(app, Keeper())
    put(grace, "a")
    send(other, AT)
    put(grace, "b")

    class Meanwhile(Settings):
        """Settings whose seal is read right after another sender has sent - where two can write at once."""

        def file(self, name: str) -> Path:
            if name == gate.SEAL and db.engine.dialect.name == "postgresql":
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(send, other, AT).result()
            return super().file(name)

    with transaction() as s:
        assert gate.opened(s, Meanwhile(settings.instance, settings.database_url)) == ""


def test_a_first_sender_that_dies_before_it_commits_silences_nobody(app: Flask, grace: int) -> None:
    settings: Settings = app.config["SETTINGS"]
    with pytest.raises(RuntimeError), transaction() as s:
        assert gate.opened(s, settings) == ""
        raise RuntimeError("killed before the commit")
    assert (settings.instance / gate.SEAL).exists() and shut(app) == ""
    keeper = Keeper()
    put(grace, "a")
    assert send(worker(app, keeper), AT) == 1
    (settings.instance / gate.SEAL).write_text('{"instance": "x", "body": "another", "mark": 0}')
    assert shut(app) == "copied", "a seal of another database is no unfinished one of ours"


@pytest.mark.parametrize(
    "how", ["another database under the same folder", "an older state of the same one", "a folder without its seal"]
)
def test_a_copied_or_restored_database_is_silent_until_it_is_released(app: Flask, grace: int, how: str) -> None:
    settings: Settings = app.config["SETTINGS"]
    keeper = Keeper()
    sender = worker(app, keeper)
    put(grace, "a")
    send(sender, AT)
    send(sender, AT)  # the mark in the seal follows
    if how.startswith("another"):
        _with_seal(settings, body="another")
    elif how.startswith("an older"):
        with transaction() as s:
            s.execute(delete(Attempt))
    else:
        (settings.instance / gate.SEAL).unlink()
    put(grace, "b")
    assert shut(app) == "copied"
    assert send(sender, AT) == 0 and len(keeper.kept) == 1
    assert states()[-1][1] == "queued", "it waits, untouched"
    delivery.release(settings, at=AT)
    assert send(sender, AT) == 1


def test_without_the_gate_a_copy_would_send(app: Flask, grace: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a sender that does not look at the seal sends from the copy."""
    monkeypatch.setattr("punctual.gate.opened", lambda s, settings: "")
    (app.config["SETTINGS"].instance / gate.SEAL).write_text('{"instance": "x", "body": "x", "mark": 0}')
    put(grace, "a")
    keeper = Keeper()
    send(worker(app, keeper), AT)
    assert len(keeper.kept) == 1


def _with_seal(settings: Settings, **values: object) -> None:
    file = settings.instance / gate.SEAL
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_file_copied_beside_its_folder_is_another_body(lite: Flask, tmp_path: Path) -> None:
    """cp -a of a whole instance folder, seal and all: the copy's file is another file."""
    settings: Settings = lite.config["SETTINGS"]
    with transaction() as s:
        grace = build.day(s).visits["Grace"].id
    put(grace, "a")
    send(worker(lite, Keeper()), AT)
    db.session.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    db.session.remove()
    shutil.copytree(settings.instance, tmp_path / "copy")
    shutil.copy(tmp_path / "punctual.db", tmp_path / "copy.db")
    copy = create_app(Settings(instance=tmp_path / "copy", database_url=f"sqlite:///{tmp_path / 'copy.db'}"))
    with copy.app_context():
        put(grace, "b")
        keeper = Keeper()
        assert send(worker(copy, keeper), AT) == 0 and shut(copy) == "copied"
        db.session.remove()
        db.engine.dispose()
    put(grace, "c")
    assert send(worker(lite, keeper), AT) == 1, "the original goes on"


def test_paused_nothing_goes_out_and_resumed_it_is_decided_again(app: Flask, grace: int) -> None:
    keeper = Keeper()
    put(grace, "a")
    delivery.pause(app.config["SETTINGS"], at=AT, by="Dana")
    assert send(worker(app, keeper), AT) == 0 and shut(app) == "paused"
    delivery.resume(at=AT)
    assert send(worker(app, keeper), AT) == 1
