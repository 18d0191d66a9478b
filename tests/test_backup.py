"""A backup made under load comes back whole, opens every link already sent, and stays silent."""

from __future__ import annotations

import tarfile
import threading
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from punctual import backup, doctor, gate, links, outbox
from punctual.actions import Refused, transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.models import Base, Company, Message, Visit, db
from tests import build
from tests.build import wall
from tests.conftest import fresh_postgres
from tests.sender import Keeper, send, worker

AT = wall("08:40")


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Settings:
    """Another machine: its own folder and an empty database of the same kind."""
    if database_url.startswith("sqlite"):
        return Settings(instance=tmp_path / "elsewhere", database_url="")
    return Settings(instance=tmp_path / "elsewhere", database_url=fresh_postgres(request))


def rows() -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the gate's, whose number is new."""
    db.session.rollback()
    return {
        t.name: sorted((tuple(r) for r in db.session.execute(select(t))), key=repr)
        for t in Base.metadata.sorted_tables
        if t.name != "gate"
    }


def put(visit: int, key: str) -> None:
    with transaction() as s:
        outbox.put(s, key=key, kind="booked", at=AT, reason="ä\t\\n", visit=s.get_one(Visit, visit))


def test_what_comes_back_is_what_was_there_links_included_and_silent(
    app: Flask, tmp_path: Path, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = app.config["SETTINGS"]
    with transaction() as s:
        grace = build.day(s).visits["Grace"].id
        link = links.make(s, settings.key("link"), "customer", grace, at=AT, version=1)
    put(grace, "a")
    send(worker(app, Keeper()), AT)
    put(grace, "b")
    before = rows()
    counts = backup.save(settings, tmp_path / "b.tar.gz")
    assert counts["message"] == 2
    assert backup.load(elsewhere, tmp_path / "b.tar.gz") == counts
    monkeypatch.setattr("punctual.config.load", lambda _: elsewhere)
    (mend,) = (f.mend for f in doctor.examine() if f.what == "messages go out")
    assert mend.endswith("`punctual outbox release`")
    with create_app(elsewhere).app_context() as there:
        assert rows() == before
        assert links.make(db.session(), elsewhere.key("link"), "customer", grace, at=AT, version=1) == link
        db.session.rollback()
        assert gate.shut(db.session(), elsewhere) == "copied"
        keeper = Keeper()
        assert send(worker(there.app, keeper), AT) == 0 and keeper.kept == []
        with transaction() as s:
            build.dispatcher(s)  # the sequences go on behind the restored rows
        put(grace, "c")
        with pytest.raises(Refused, match="already"):
            backup.load(elsewhere, tmp_path / "b.tar.gz")
        db.session.remove()
        db.engine.dispose()


def test_a_backup_under_load_is_one_consistent_state(app: Flask, tmp_path: Path, elsewhere: Settings) -> None:
    """Two counters move in one transaction all the while: in every backup they are equal."""
    with transaction() as s:
        grace = build.day(s).visits["Grace"].id
    over = threading.Event()

    def load() -> None:
        with app.app_context():
            n = 0
            while not over.is_set():
                n += 1
                put(grace, f"n{n}")
                with transaction() as w:
                    w.execute(text("UPDATE company SET name = :n, text_name = :n"), {"n": str(n)})

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for i in range(3):
            backup.save(app.config["SETTINGS"], tmp_path / f"{i}.tar.gz")
    finally:
        over.set()
        thread.join()
    backup.load(elsewhere, tmp_path / "2.tar.gz")
    with create_app(elsewhere).app_context():
        company = db.session.get_one(Company, 1)
        assert company.name == company.text_name
        n = db.session.scalar(select(func.count()).select_from(Message)) or 0
        assert int(company.name if company.name.isdecimal() else 0) in (n, n - 1)
        db.session.remove()
        db.engine.dispose()


def test_what_is_no_backup_is_refused_in_a_sentence(app: Flask, tmp_path: Path, elsewhere: Settings) -> None:
    (tmp_path / "x").write_bytes(b"not a backup")
    with pytest.raises(Refused, match="not a backup"):
        backup.load(elsewhere, tmp_path / "x")
    backup.save(app.config["SETTINGS"], tmp_path / "b")
    (tmp_path / "half").write_bytes((tmp_path / "b").read_bytes()[:-400])
    with pytest.raises(Refused, match="not a backup"):
        backup.load(elsewhere, tmp_path / "half")


@pytest.mark.parametrize("name", ["../outside", "/tmp/punctual-outside", "sub/outside", "link"])
def test_a_file_that_reaches_out_of_its_folder_is_refused(tmp_path: Path, elsewhere: Settings, name: str) -> None:
    with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = (tarfile.SYMTYPE, "/etc/hostname") if name == "link" else (tarfile.REGTYPE, "")
        tar.addfile(member)
    with pytest.raises(Refused, match="not a backup"):
        backup.load(elsewhere, tmp_path / "made.tar.gz")
    assert not list(tmp_path.parent.rglob("outside")) and not Path("/tmp/punctual-outside").exists()
