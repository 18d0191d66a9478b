"""A way out that is closed: since when and why, kept where the board and the alarm can read it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from punctual.core.day import local
from punctual.models import Outage, touch_board
from punctual.queries import board


def down(s: Session, channel: str, transport: str, why: str, *, at: datetime) -> None:
    """Nothing leaves by that channel now; the first moment stays, the newest reason is kept."""
    row = s.get(Outage, channel, with_for_update=True)
    if row is None:
        s.add(Outage(channel=channel, transport=transport, since=at, tried_at=at, why=why))
        _show(s, at)
        return
    row.transport, row.tried_at, row.why = transport, at, why


def up(s: Session, channel: str, *, at: datetime) -> None:
    """Something left by that channel again."""
    row = s.get(Outage, channel)
    if row is not None:
        s.delete(row)
        _show(s, at)


def _show(s: Session, at: datetime) -> None:
    touch_board(s, local(at, board.zone(s)).date())
