"""Which report contradicts what is known of a visit, and the sentence that says so."""

from __future__ import annotations

from datetime import datetime

from punctual.core.day import Standing, local

_CLOSED = {"done": "done", "nobody_home": "closed as nobody home", "cannot_finish": "closed as cannot finish"}
#: Reports that end a visit.
ENDS = frozenset(_CLOSED)


def impossible(visit: Standing, kind: str, tapped: datetime, zone: str) -> str:
    """Why a report cannot be, as a sentence for the technician; "" when it can. `tapped` is the moment on the phone."""
    if visit.state in _CLOSED:
        return f"This visit is already {_CLOSED[visit.state]}. Undo first if that is wrong."
    if kind in ("on_my_way", "arrived") and visit.arrived_at is not None:
        return f"You already arrived at {clock(visit.arrived_at, zone)}. Undo first if that is wrong."
    if kind == "on_my_way" and visit.on_my_way_at is not None:
        return "You are already on your way. Undo first if that is wrong."
    if kind in ("done", "cannot_finish") and visit.arrived_at is None:
        return "Tap Arrived before you finish this visit."
    if kind == "nobody_home" and visit.state == "planned":
        return "Tap On my way or Arrived before Nobody home."
    begun = visit.arrived_at or visit.on_my_way_at
    if kind in ENDS | {"arrived"} and begun is not None and tapped < begun:
        return f"This was tapped before the visit began at {clock(begun, zone)}; check the phone's time."
    return ""


def clock(at: datetime, zone: str) -> str:
    """An instant as a wall clock's "9:05" of a zone."""
    here = local(at, zone)
    return f"{here.hour}:{here.minute:02d}"
