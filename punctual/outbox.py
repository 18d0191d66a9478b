"""The outbox: put, claim, deliver, retry, expire, wake."""

from __future__ import annotations

from sqlalchemy.orm import Session


def wake(s: Session) -> None:
    """Tell the worker that something was put."""
