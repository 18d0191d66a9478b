"""The files that were taken, newest first."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.models import Import


def newest(s: Session, most: int = 10) -> list[Import]:
    """The last imports."""
    return list(s.scalars(select(Import).order_by(Import.id.desc()).limit(most)))


def one(s: Session, import_id: int) -> Import | None:
    """One import."""
    return s.get(Import, import_id)
