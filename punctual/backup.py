"""Backups: the database and the link key in one file, made while everything runs, and brought back by a restore."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from punctual import gate
from punctual.actions import Refused, transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.migrations import upgrade
from punctual.models import Base, Company, db

FORMAT = 1


def save(settings: Settings, file: Path) -> dict[str, int]:
    """Write a backup; returns how many rows of each table it holds. Taps and messages go on meanwhile.

    It is one consistent state, checked before the file gets its name: a half-written backup never looks like one.
    """
    app = create_app(settings)
    with app.app_context(), tempfile.TemporaryDirectory(dir=file.resolve().parent) as folder:
        there = Path(folder)
        kind = db.engine.dialect.name
        counts = _save_sqlite(there) if kind == "sqlite" else _save_postgres(there)
        revision = db.session.scalar(text("SELECT version_num FROM alembic_version"))
        db.session.remove()
        db.engine.dispose()
        manifest = {"format": FORMAT, "database": kind, "revision": revision, "tables": list(counts), "rows": counts}
        (there / "manifest.json").write_text(json.dumps(manifest))
        fresh = there / "backup"
        fresh.touch(mode=0o600)
        settings.key("link")
        with tarfile.open(fresh, "w:gz", compresslevel=1) as tar:
            tar.add(there / "manifest.json", "manifest.json")
            tar.add(settings.instance / "link.key", "link.key")
            for part in sorted(there.glob("*.data")):
                tar.add(part, part.name)
        with fresh.open("rb") as out:
            os.fsync(out.fileno())
        fresh.replace(file)
    return counts


def _save_sqlite(folder: Path) -> dict[str, int]:
    """SQLite's own online backup, in one step: writers go on in the write-ahead log."""
    driver: Any = db.engine.dialect.loaded_dbapi
    source: Any = db.engine.raw_connection()
    try:
        copy = driver.connect(str(folder / "database.data"))
        try:
            source.driver_connection.backup(copy)
            wrong = copy.execute("PRAGMA integrity_check").fetchall()
            if [row[0] for row in wrong] != ["ok"]:
                raise Refused(f"The database is damaged; no backup was written: {wrong[0][0]}.")
            copy.execute("PRAGMA journal_mode=DELETE")
            names = [t.name for t in Base.metadata.sorted_tables]
            return {n: copy.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names}
        finally:
            copy.close()
    finally:
        source.close()


def _save_postgres(folder: Path) -> dict[str, int]:
    """Every table by COPY inside one snapshot; nobody waits for it."""
    counts = {}
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as c:
        driver: Any = c.connection.dbapi_connection
        for table in Base.metadata.sorted_tables:
            counts[table.name] = c.execute(text(f'SELECT count(*) FROM "{table.name}"')).scalar_one()
            columns = ", ".join(f'"{x.name}"' for x in table.columns)
            with (
                (folder / f"{table.name}.data").open("wb") as out,
                driver.cursor().copy(f'COPY "{table.name}" ({columns}) TO STDOUT') as copy,
            ):
                out.write(f"{columns}\n".encode())
                for block in copy:
                    out.write(block)
    return counts


def load(settings: Settings, file: Path) -> dict[str, int]:
    """Bring a backup back into an empty instance; returns its rows. Nothing is sent until it is released.

    Raises Refused where the database holds a company already, or the file is no backup for this kind of database.
    """
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        manifest = _unpacked(file, there)
        kind = "sqlite" if settings.sqlalchemy_url.startswith("sqlite") else "postgresql"
        if manifest["database"] != kind:
            raise Refused(
                f"This backup is of {manifest['database']}, this database is {kind}. Set DATABASE_URL to match."
            )
        if kind == "sqlite":
            _load_sqlite(settings, there)
        app = create_app(settings)
        with app.app_context():
            if kind == "postgresql":
                _load_postgres(there, manifest)
            upgrade()
            _key(settings, there)
            with transaction() as s:
                gate.restored(s)
            db.session.remove()
            db.engine.dispose()
    rows: dict[str, int] = manifest["rows"]
    return rows


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One file of a backup. A backup has plain files side by side and nothing else; Python's own filter for that is
    missing before 3.11.4, which Debian 12 has."""
    packed = tar.extractfile(member) if member.isreg() and member.name == Path(member.name).name else None
    if packed is None:
        raise tarfile.ExtractError(f"{member.name} does not belong into a backup")
    with (folder / member.name).open("xb") as out:
        shutil.copyfileobj(packed, out)


def _unpacked(file: Path, folder: Path) -> dict[str, Any]:
    try:
        with tarfile.open(file, "r:gz") as tar:
            for member in tar:
                _take(tar, member, folder)
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise Refused(f"{file.name} is not a backup of Punctual, or it is damaged.") from error
    if manifest.get("format") != FORMAT:
        raise Refused("This backup was made by a newer Punctual. Update first.")
    return manifest


def _load_sqlite(settings: Settings, folder: Path) -> None:
    target = Path(settings.sqlalchemy_url.removeprefix("sqlite:///"))
    if target.exists() and _holds_company(target):
        raise Refused(f"There is a company in {target} already. Move that file away, then restore.")
    target.parent.mkdir(parents=True, exist_ok=True)
    for rest in ("", "-wal", "-shm"):
        Path(f"{target}{rest}").unlink(missing_ok=True)
    fresh = target.with_suffix(f".{secrets.token_hex(4)}")
    fresh.write_bytes((folder / "database.data").read_bytes())
    fresh.replace(target)


def _holds_company(file: Path) -> bool:
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as c:
            return bool(c.execute("SELECT count(*) FROM company").fetchone()[0])
    except sqlite3.Error:
        return file.stat().st_size > 0 and b"CREATE TABLE company" in file.read_bytes()


def _load_postgres(folder: Path, manifest: dict[str, Any]) -> None:
    """The tables as they were, filled by COPY, and every sequence past its highest number: all of it or nothing."""
    upgrade(revision=manifest["revision"])
    if db.session.scalar(select(Company.id)) is not None:
        raise Refused("There is a company in this database already. Restore into an empty one.")
    db.session.remove()
    with db.engine.begin() as c:
        driver: Any = c.connection.dbapi_connection
        for name in manifest["tables"]:
            with (folder / f"{name}.data").open("rb") as rows:
                columns = rows.readline().decode().strip()
                with driver.cursor().copy(f'COPY "{name}" ({columns}) FROM STDIN') as copy:
                    while block := rows.read(1 << 20):
                        copy.write(block)
            if '"id"' in columns.split(", "):
                c.execute(
                    text(
                        f"SELECT setval(pg_get_serial_sequence('\"{name}\"', 'id'), greatest(max(id), 1)) "
                        f"FROM \"{name}\" WHERE pg_get_serial_sequence('\"{name}\"', 'id') IS NOT NULL"
                    )
                )


def _key(settings: Settings, folder: Path) -> None:
    """The link key, or every link already sent would be dead; one that is here already is kept beside it."""
    wanted, file = (folder / "link.key").read_bytes(), settings.instance / "link.key"
    if file.exists() and file.read_bytes() != wanted:
        file.replace(file.with_name("link.key.before-restore"))
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(wanted)
