"""Whether messages go out at all: not while somebody paused them, and not from a restored or copied database.

The database names its instance; the instance folder keeps a seal that names it too, with the database's body (a file's
inode, a PostgreSQL database's number) and the highest attempt that was made. Where the two differ, this is a copy or an
older state, and it stays silent until an operator releases it: `punctual outbox release`.
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from punctual.config import Settings
from punctual.models import Attempt, Gate, Plain, db

Shut = Literal["", "copied", "paused"]
SEAL = "seal.json"


def shut(s: Session, settings: Settings) -> Shut:
    """Why nothing may be sent now; "" while messages go out. Reads only.

    Who reads sees one moment, and what was sent since then is in the seal's file already: what looks like a copy is
    looked at once more, by a transaction that begins after the seal was read.
    """
    found = _shut(s, _GATE.first(s.connection()), _read(settings))
    if found != "copied":
        return found
    with Session(db.engine) as later:
        kept = _read(settings)
        return _shut(later, _GATE.first(later.connection()), kept)


def _shut(s: Session, row: Any, seal: dict[str, Any] | None) -> Shut:
    if row is None:
        return "" if seal is None or _begun(s, seal) else "copied"
    if seal is None or seal["instance"] != row.instance_id or seal["body"] != _body(s) or row.highest < seal["mark"]:
        return "copied"
    return "paused" if row.paused_at is not None else ""


def opened(s: Session, settings: Settings) -> Shut:
    """The same for a sender, in its writing transaction: a new instance is sealed, the mark follows what was sent."""
    kept, row = _read(settings), _GATE.first(s.connection())  # in this order: another sender's mark follows its commit
    if row is None and (kept is None or _begun(s, kept)):
        s.add(Gate(id=1, instance_id=kept["instance"] if kept else secrets.token_hex(8)))
        s.flush()
        seal(s, settings)
        return ""
    found = _shut(s, row, kept)
    if not found and kept is not None:
        _follow(settings, row, kept)
    return found


def _begun(s: Session, kept: dict[str, Any]) -> bool:
    """A seal whose row was never committed - the first sender died, or its first message could not be written: nothing
    was ever sent by this very database, so it is sealed anew."""
    return bool(kept["mark"] == 0 and kept["body"] == _body(s) and _highest(s) == 0)


def follow(s: Session, settings: Settings) -> None:
    """After some were sent, when nobody waits for the seal's file: its mark is the highest attempt that was made."""
    row, kept = _GATE.first(s.connection()), _read(settings)
    if row is not None and kept is not None and kept["instance"] == row.instance_id:
        _follow(settings, row, kept)


def _follow(settings: Settings, row: Any, kept: dict[str, Any]) -> None:
    if kept["mark"] < row.highest:
        _write(settings, kept | {"mark": row.highest})


_NEWEST = select(func.coalesce(func.max(Attempt.id), 0))
_GATE = Plain(select(Gate.instance_id, Gate.paused_at, _NEWEST.scalar_subquery().label("highest")).where(Gate.id == 1))


def seal(s: Session, settings: Settings) -> None:
    """This database is this instance's: from now on it may send from here."""
    row = s.get(Gate, 1) or Gate(id=1, instance_id=secrets.token_hex(8))
    s.add(row)
    s.flush()
    _write(settings, {"instance": row.instance_id, "body": _body(s), "mark": _highest(s)})


def restored(s: Session) -> None:
    """A database that came out of a backup is nobody's until it is released."""
    row = s.get(Gate, 1) or Gate(id=1)
    row.instance_id = secrets.token_hex(8)
    s.add(row)


def pause(s: Session, settings: Settings, *, at: datetime, by: str) -> None:
    """Nothing goes out until it is resumed; what waits is decided again then."""
    opened(s, settings)
    row = s.get(Gate, 1) or Gate(id=1, instance_id=secrets.token_hex(8))
    row.paused_at, row.paused_by = at, by[:120]
    s.add(row)


def resume(s: Session) -> None:
    """Messages go out again."""
    row = s.get(Gate, 1)
    if row is not None:
        row.paused_at, row.paused_by = None, ""


def _highest(s: Session) -> int:
    return s.scalar(_NEWEST) or 0


def _body(s: Session) -> str:
    """What a copy of the database does not share with it."""
    engine = s.connection().engine
    if engine.dialect.name == "postgresql":
        found = s.execute(
            text(
                "SELECT (SELECT system_identifier FROM pg_control_system()) || ':' || oid "
                "FROM pg_database WHERE datname = current_database()"
            )
        )
        return str(found.scalar_one())
    file = engine.url.database
    return str(Path(file).stat().st_ino) if file and file != ":memory:" else ""


def _read(settings: Settings) -> dict[str, Any] | None:
    file = settings.file(SEAL)
    try:
        kept = file.stat()
        return _kept(file, kept.st_ino, kept.st_mtime_ns)
    except FileNotFoundError:
        return None
    except ValueError:
        return {"instance": "", "body": "", "mark": 0}  # a broken seal fits nothing


@lru_cache(maxsize=4)
def _kept(file: Path, inode: int, changed: int) -> dict[str, Any]:
    """What a seal holds; a new one is another file."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _write(settings: Settings, value: dict[str, Any]) -> None:
    """Whole or not at all: a reader never sees half a seal."""
    file = settings.file(SEAL)
    fresh = file.with_suffix(f".{secrets.token_hex(4)}")
    fresh.write_text(json.dumps(value))
    fresh.replace(file)
