"""Why a visit is expected when it is, in words: the same for the board, for programs and for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from flask import render_template
from sqlalchemy.orm import Session

from punctual import messages
from punctual.core.day import OVER, Window, instant, local, minutes
from punctual.core.forecast import forecast
from punctual.core.why import Why, why
from punctual.models import Shift, Visit
from punctual.queries import day as days
from punctual.queries import learned as lessons
from punctual.queries import taught
from punctual.queries.others import others


@dataclass(frozen=True, slots=True)
class Explained:
    """`time`: the likely arrival asked about (the end, once there; "" where there is none); `sum`: what it is made of,
    line by line; `sentences`; `plans`: plans that are wrong; `numbers`: what all of it was made from."""

    time: str
    sum: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    plans: tuple[lessons.Plan, ...]
    numbers: Why | None

    def as_json(self) -> dict[str, Any]:
        """The numbers as plain JSON: minutes, and instants as text; {} without a forecast."""
        return _plain(self.numbers) if self.numbers is not None else {}


def _plain(w: Why) -> dict[str, Any]:
    def value(name: str) -> Any:
        found = getattr(w, name)
        if name in ("at", "since"):
            return None if np.isnan(found) else instant(found).isoformat()
        if name == "arrive":
            return [instant(x).isoformat() for x in found]
        if isinstance(found, tuple):
            return [round(x, 1) for x in found]
        return round(found, 1) if isinstance(found, float) else found

    return {name: value(name) for name in Why.__dataclass_fields__}


def explain(s: Session, visit: Visit, at: datetime | None, zone: str) -> Explained:
    """Explain the forecast made at `at` (None: there is none yet); times are written in `zone`."""
    shift = days.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    state = _state(visit, shift, at)
    tech = visit.technician.first_name if visit.technician else ""
    if state or shift is None or at is None:
        return Explained("", (), _lines("sentence", state=state, tech=tech), (), None)
    known = lessons.learned(s)
    facts, w = _facts(s, visit, shift, at, zone, known)
    sum_ = () if w.where == "here" else tuple(_pair(x) for x in _lines("sum", tech=tech, **facts))
    kinds = {visit.job_type_id, facts["there"].job_type_id}
    return Explained(
        time=facts["time"],
        sum=sum_,
        sentences=_lines("sentence", state="", tech=tech, **facts),
        plans=tuple(lessons.plans(known, kinds)),
        numbers=w,
    )


def _state(visit: Visit, shift: Shift | None, at: datetime | None) -> str:
    """Why there is nothing to explain; "" when there is."""
    if visit.state in OVER:
        return "over"
    if visit.technician is None or (shift is not None and shift.off and visit.state != "arrived"):
        return "nobody"
    return "none" if at is None or shift is None else ""


@dataclass(frozen=True, slots=True)
class _There:
    """The visit the technician is at, or this one."""

    customer: str
    street: str
    job: str
    job_type_id: int


def _there(s: Session, visit_id: int, visit: Visit) -> _There:
    found = s.get_one(Visit, visit_id) if visit_id else visit
    street = found.place.address.split(",")[0] if found.place and found.place.address else ""
    return _There(found.customer.name, street, found.job_type.public_name, found.job_type_id)


def _facts(
    s: Session, visit: Visit, shift: Shift, at: datetime, zone: str, known: lessons.Known
) -> tuple[dict[str, Any], Why]:
    """Everything the templates may say."""
    columns = days.columns(s, [shift.id])
    learned = taught.current(s)
    fleet = others(s, at, learned)
    made = forecast(columns, learned, minutes(at), threshold=days.rules(s).threshold_min, others=fleet)
    row = int(np.flatnonzero(columns.visit_id == visit.id)[0])
    w = why(columns, made, row)
    there = _there(s, w.visit, visit)
    likely = made.finish[row, made.finish.shape[1] // 2] if w.where == "here" else w.arrive[1]
    missed = float(made.p_deadline[row])
    on = local(instant(likely), zone).date()
    facts = {
        "w": w,
        "n": lambda x: f"{x:.0f}",
        "there": there,
        "since": "" if np.isnan(w.since) else _clock(instant(w.since), zone),
        "now": _clock(instant(w.at), zone),
        "time": _clock(instant(likely), zone),
        "later": "" if on == local(at, zone).date() else messages.day_short(on),
        "range": _span(Window(instant(w.arrive[0]), instant(w.arrive[2])), zone),
        "opens": _clock(visit.window_start, zone),
        "window": _span(Window(visit.window_start, visit.window_end), zone),
        "keep": f"{100 * (1 - float(made.p_window[row])):.0f}",
        "deadline": _clock(visit.deadline, zone) if visit.deadline else "",
        "deadline_arrive": visit.deadline_kind == "arrive",
        "made": "" if np.isnan(missed) else f"{100 * (1 - missed):.0f}",
        "of_kind": sum(j.work.visits for j in known.jobs if j.work.job_type == there.job_type_id),
        "learned": known.visits,
    }
    return facts, w


def _lines(name: str, **facts: Any) -> tuple[str, ...]:
    made = render_template(f"explain/{name}.txt", **facts)
    return tuple(" ".join(line.split()) for line in made.splitlines() if line.strip())


def _pair(line: str) -> tuple[str, str]:
    what, _, value = line.rpartition("|")
    return what, value


def _clock(at: datetime, zone: str) -> str:
    return f"{local(at, zone):%H:%M}"


def _span(window: Window, zone: str) -> str:
    return f"{_clock(window.start, zone)} – {_clock(window.end, zone)}"
