"""Why this time? The sum behind a forecast, line by line, and a sentence with the same figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from punctual.core.day import OVER, Window
from punctual.core.forecast import VisitForecast
from punctual.queries.log import Dossier
from punctual.web.board_words import chance, clock, span

#: A rest of the sum below this many minutes is rounding, not a line.
ROUNDING = 2.0


@dataclass(frozen=True, slots=True)
class Why:
    """`time`: the likely arrival asked about ("" when there is none); `sum`: what it is made of."""

    time: str
    sum: tuple[tuple[str, str], ...]
    sentence: str
    sure: str


def why(d: Dossier, zone: str) -> Why:
    """The reason of a visit's forecast in words; a sentence alone where there is no forecast."""
    v, f = d.visit, d.forecast
    if v.state in OVER:
        return Why("", (), "This visit is over.", "")
    if v.technician is None or (d.shift is not None and d.shift.off and v.state != "arrived"):
        who = f"{v.technician.first_name} is off that day. " if v.technician else ""
        return Why("", (), f"{who}Nobody comes until the visit is given to somebody.", "")
    if f is None:
        return Why(
            "", (), "There is no forecast for this day yet. It is made on the day, from what technicians report.", ""
        )
    name = v.technician.first_name
    if v.state == "arrived" and v.arrived_at:
        done = Window(f.finish[0], f.finish[2])
        text = f"{name} is there since {clock(v.arrived_at, zone)}. Jobs like this, this far, end between {span(done, zone).replace(' – ', ' and ')} in 8 of 10 cases."
        return Why(clock(f.finish[1], zone), (), text, _sure(d, f))
    arrive = Window(f.arrive[0], f.arrive[2])
    rows = (
        *_sum(d, f, name, zone),
        (f"Arrives, 8 in 10 sure of {span(arrive, zone)}", clock(f.arrive[1], zone)),
    )
    keep = f"Chance of keeping the promise {span(Window(v.window_start, v.window_end), zone)}: {100 * (1 - f.p_window):.0f} %."
    return Why(clock(f.arrive[1], zone), rows, f"{_sentence(f, name)} {keep}", _sure(d, f))


def _sum(d: Dossier, f: VisitForecast, name: str, zone: str) -> Iterable[tuple[str, str]]:
    """Where the technician is, what is left there, the drive - and what lies between, so that it adds up."""
    w, opens = f.why, d.visit.window_start
    left, travel = w.get("left"), float(w.get("travel") or 0.0)
    when = f.at
    if w.get("at_visit") and left:
        over = float(w.get("over") or 0.0)
        where = f"with {d.present.customer.name}" if d.present else "at another visit"
        late = f", {over:.0f} min over plan" if over >= 1 else ""
        yield (
            f"{name} is {where} since {clock(d.present.arrived_at, zone)}{late}"
            if d.present and d.present.arrived_at
            else f"{name} is {where}{late}",
            clock(when, zone),
        )
        yield f"Such jobs, this far: {left[0]:.0f} to {left[2]:.0f} min more", f"+ {left[1]:.0f} min"
        when += timedelta(minutes=float(left[1]))
    else:
        yield f"{name} is under no visit now", clock(when, zone)
    yield "Drive", f"+ {travel:.0f} min"
    rest = (f.arrive[1] - when) / timedelta(minutes=1) - travel
    if rest < ROUNDING:
        return
    if f.stops_before > 1:
        yield (
            f"{f.stops_before - 1} more stop{'s' if f.stops_before > 2 else ''} before, drives, breaks and waiting",
            f"+ {rest:.0f} min",
        )
    elif abs(f.arrive[1] - opens) <= timedelta(minutes=ROUNDING):
        yield f"Nobody comes before the promised {clock(opens, zone)}", f"+ {rest:.0f} min"
    else:
        yield "Waiting for the planned time, parking, door", f"+ {rest:.0f} min"


def _sentence(f: VisitForecast, name: str) -> str:
    w = f.why
    parts = []
    if w.get("at_visit") and w.get("left"):
        parts.append(
            f"{name} has been at the present visit for {float(w.get('elapsed', 0)):.0f} min; {float(w.get('at_planned', 0)):.0f} were planned."
        )
        if w.get("said"):
            parts.append(f"{name} reported +{float(w['said']):.0f}, which is part of it.")
    if f.stops_before:
        parts.append(f"{f.stops_before} stop{'s' if f.stops_before > 1 else ''} before this one.")
    return " ".join(parts)


def _sure(d: Dossier, f: VisitForecast) -> str:
    """How sure, and from how much."""
    parts = []
    if f.p_deadline is not None:
        what = "Done" if d.visit.deadline_kind == "done" else "There"
        parts.append(f"{what} by the customer's own limit: {chance(1 - f.p_deadline)}.")
    if d.learned:
        parts.append(f"Learned from {d.learned} past visits.")
    else:
        parts.append("No history yet: the planned time with a wide spread.")
    return " ".join(parts)
