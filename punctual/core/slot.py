"""Other times that keep every promise: where a visit fits into a technician's day on the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from punctual.core.day import Floats, Window, at_wall, local
from punctual.core.travel import estimate


@dataclass(frozen=True, slots=True)
class Stop:
    """Something already planned, minutes since 1970: a visit, a break, a hold. `latest` is its last start that keeps
    its promise; a place that is NaN costs no travel."""

    start: float
    minutes: float
    latest: float
    lat: float = np.nan
    lon: float = np.nan


@dataclass(frozen=True, slots=True)
class Opening:
    """A technician's day as room for one more visit: nothing starts before `earliest`; `stops` are in order."""

    technician: int
    earliest: float
    shift_end: float
    lat: float
    lon: float
    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A free time: who comes, when work is planned, the arrival window, and the drive to it in minutes."""

    technician: int
    start: datetime
    window: Window
    travel: float
    why: str = ""


def fits(opening: Opening, lat: float, lon: float, minutes: float, starts: Floats) -> list[tuple[float, float]]:
    """Which of these starts (minutes) keep every promise of the day, as (start, travel there).

    A start fits after what comes before it with the drive, and pushes what comes after it no later than each one's
    `latest`, nor past the end of the shift. Without a place the drive counts nothing.
    """
    stops = opening.stops
    lats = np.array([opening.lat, *(s.lat for s in stops)])
    lons = np.array([opening.lon, *(s.lon for s in stops)])
    there = np.nan_to_num(estimate(lats, lons, np.full(len(lats), lat), np.full(len(lats), lon)))
    between = np.nan_to_num(estimate(lats[:-1], lons[:-1], lats[1:], lons[1:]))
    found = []
    for start in starts:
        k = sum(s.start <= start for s in stops)
        free = stops[k - 1].start + stops[k - 1].minutes if k else opening.earliest
        if max(free, opening.earliest) + (there[k] if k else 0.0) > start + 1e-6 or start < opening.earliest:
            continue
        end = start + minutes
        if _after(stops[k:], end, there[k + 1 :], between[k + 1 :], opening.shift_end):
            found.append((float(start), float(there[k])))
    return found


def _after(stops: Sequence[Stop], end: float, back: Floats, between: Floats, shift_end: float) -> bool:
    """Do the stops after the new one still begin in time? `back` is the drive from the new place to each of them."""
    for i, stop in enumerate(stops):
        begin = max(stop.start, end + (back[0] if i == 0 else between[i - 1]))
        if begin > stop.latest + 1e-6:
            return False
        end = begin + stop.minutes
    return end <= shift_end + 1e-6


def grid(window: Window, zone: str, step: int) -> list[datetime]:
    """The instants of a span that lie on the local grid (minutes of the hour divisible by `step`)."""
    first = local(window.start, zone)
    minute = -(-(first.hour * 60 + first.minute + (1 if first.second or first.microsecond else 0)) // step) * step
    at = at_wall(first.date(), 0, 0, zone) if minute >= 1440 else at_wall(first.date(), *divmod(minute, 60), zone)
    if minute >= 1440:
        at += timedelta(days=1)
    found = []
    while at <= window.end:
        found.append(at)
        at += timedelta(minutes=step)
    return found


def diverse(slots: Sequence[Slot], *, technician: int | None, today: date, zone: str, most: int = 6) -> list[Slot]:
    """A few that differ: the soonest, later today with the same technician, another technician, the next mornings and
    afternoons; soonest first, one window only once."""
    ordered = sorted(slots, key=lambda x: (x.start, x.technician != technician, x.technician))
    chosen: list[Slot] = []

    def take(slot: Slot | None, why: str) -> None:
        if slot is not None and all(slot.window != x.window for x in chosen):
            chosen.append(Slot(slot.technician, slot.start, slot.window, slot.travel, why))

    take(ordered[0] if ordered else None, "soonest")
    day = {id(x): local(x.start, zone) for x in ordered}
    later = (x for x in ordered if day[id(x)].date() == today and x.technician == technician)
    take(next(later, None), "same_technician")
    take(next((x for x in ordered if x.technician != technician), None), "other_technician")
    for ahead in range(1, 15):
        on = today + timedelta(days=ahead)
        take(next((x for x in ordered if day[id(x)].date() == on and day[id(x)].hour < 12), None), "morning")
        take(next((x for x in ordered if day[id(x)].date() == on and day[id(x)].hour >= 12), None), "afternoon")
        if len(chosen) >= most:
            break
    return sorted(chosen[:most], key=lambda x: x.start)
