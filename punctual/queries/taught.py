"""The newest learned state of a database, unpacked once a process."""

from __future__ import annotations

import zlib
from dataclasses import fields

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from punctual.core.day import Days
from punctual.core.duration import Learned, from_bytes, nothing
from punctual.models import Learned as LearnedRow
from punctual.models import Plain

#: Raise it when the same columns come to mean something else.
MEANING = 6
#: Format of what is kept; anything kept in another one is learned anew.
FORMAT = zlib.crc32(f"{MEANING}{[f.name for f in fields(Learned)]}{[f.name for f in fields(Days)]}".encode()) >> 1

_kept: dict[tuple[Engine, int], Learned] = {}
#: The id of the newest learned state.
NEWEST = select(LearnedRow.id).where(LearnedRow.format == FORMAT).order_by(LearnedRow.id.desc()).limit(1)
_NEWEST = Plain(NEWEST)


def current(s: Session) -> Learned:
    """The newest learned state of this database, or the built-in priors."""
    return state(s, _NEWEST.scalar(s.connection()))


def state(s: Session, id_: int | None) -> Learned:
    """A learned state by what NEWEST reads: kept until there is a newer one."""
    key = (s.connection().engine, id_ or 0)
    if key not in _kept:
        _kept.clear()
        _kept[key] = nothing() if id_ is None else from_bytes(s.get_one(LearnedRow, id_).data)
    return _kept[key]
