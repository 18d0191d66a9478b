"""When a promise is due, at risk, kept or broken."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from punctual.core.day import Visit

Ending = Literal["open", "kept", "broken", "cancelled"]
Standing = Literal["open", "at_risk", "overdue", "kept", "moved", "broken", "cancelled"]

#: A call back is shown as at risk this long before it is due: somebody has to make it.
SOON = timedelta(minutes=15)


def window(visit: Visit, due: datetime) -> Ending:
    """How the promise of an arrival window stands: kept by arriving (or standing at the door) by `due`, else broken.

    It stays open until somebody came, however late it is: what is broken is known when it ends.
    """
    if visit.state == "cancelled":
        return "cancelled"
    came = visit.arrived_at or (visit.finished_at if visit.state == "nobody_home" else None)
    if came is None:
        return "broken" if visit.over else "open"
    return "kept" if came <= due else "broken"


def call(made: datetime, due: datetime, at: datetime, called_at: datetime | None = None) -> Ending:
    """How a promised call back stands at an instant; raises ValueError for one that was due before it was made."""
    if due < made:
        raise ValueError("A call cannot be due before it is promised.")
    if called_at is not None:
        return "kept" if called_at <= due else "broken"
    return "broken" if at > due else "open"


def standing(
    kind: str, state: str, due: datetime, at: datetime, *, chance: float = 0.0, limit: float = 1.0
) -> Standing:
    """What the board shows of a promise: an open window is at risk by its forecast, an open call by the clock."""
    if state != "open":
        return state  # type: ignore[return-value]
    if at > due:
        return "overdue"
    if kind == "window":
        return "at_risk" if chance >= limit else "open"
    return "at_risk" if due - at <= SOON else "open"


def minutes_over(due: datetime, came: datetime) -> float:
    """Minutes somebody came after what was promised; 0 when in time."""
    return max(0.0, (came - due).total_seconds() / 60)
