"""A way out that is closed: since when and why, kept where the board and the alarm can read it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from punctual.core.day import local
from punctual.models import Outage, touch_board
from punctual.queries import board


def down(s: Session, channel: str, transport: str, why: str, *, at: datetime) -> None:
    """Nothing leaves by that channel now; the first moment stays, the newest reason is kept."""
    make = postgresql.insert if s.connection().dialect.name == "postgresql" else sqlite.insert
    news = {"transport": transport, "tried_at": at, "why": why}
    new = make(Outage).values(channel=channel, since=at, **news)
    s.execute(new.on_conflict_do_update(index_elements=["channel"], set_=news))
    _show(s, at)


def up(s: Session, channel: str, *, at: datetime) -> None:
    """Something left by that channel again."""
    if s.connection().execute(delete(Outage).where(Outage.channel == channel)).rowcount:
        _show(s, at)


def _show(s: Session, at: datetime) -> None:
    touch_board(s, local(at, board.zone(s)).date())
