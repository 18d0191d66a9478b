"""Other times that keep every promise: where a visit fits into a technician's day on the plan."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from punctual.core.day import Window, at_wall, local
from punctual.core.travel import estimate

#: Known drives, (from place, to place) -> minutes; what is not in it is estimated.
Drives = Mapping[tuple[int, int], float]


@dataclass(frozen=True, slots=True)
class Spot:
    """A point, degrees, with its place's row (0: none). A spot that is NaN is not known and costs no travel."""

    lat: float = np.nan
    lon: float = np.nan
    place: int = 0

    @property
    def known(self) -> bool:
        return not (np.isnan(self.lat) or np.isnan(self.lon))


@dataclass(frozen=True, slots=True)
class Stop:
    """Something already planned, minutes since 1970: a visit, a break, a hold. `latest` is its last start that keeps
    its promise; a break is wherever the technician is then, its spot is not known."""

    start: float
    minutes: float
    latest: float
    spot: Spot = Spot()


@dataclass(frozen=True, slots=True)
class Opening:
    """A technician's day as room for one more visit: from `spot`, where they are at `earliest`; `stops` are in order."""

    technician: int
    earliest: float
    shift_end: float
    spot: Spot
    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A free time: who comes, when work is planned, the arrival window, and the drive to it in minutes."""

    technician: int
    start: datetime
    window: Window
    travel: float
    why: str = ""


def fits(
    opening: Opening, spot: Spot, minutes: float, starts: Iterable[float], drives: Drives | None = None
) -> list[tuple[float, float]]:
    """Which of these starts (minutes) keep every promise of the day, as (start, drive there).

    A start fits after what comes before it with the drive, and pushes what comes after it no later than each one's
    `latest`, nor past the end of the shift. What is late already on the plan must not become later.
    """
    stops, known = opening.stops, drives or {}
    at = [opening.spot, *(s.spot for s in stops)]
    there = _filled(_legs(at, [spot] * len(at), known), [x.known for x in at])
    into = _legs(_last(at), at[1:], known)
    back = _legs([spot] * len(stops), at[1:], known) if spot.known else into
    begins, ends = _undisturbed(stops, into)
    planned, found = [s.start for s in stops], []
    for start in starts:
        k = bisect_right(planned, start)
        free = max(ends[k - 1], opening.earliest) if k else opening.earliest
        if free + there[k] > start + 1e-6 or start + minutes > opening.shift_end + 1e-6:
            continue
        if _after(stops[k:], start + minutes, back[k:], into[k:], begins[k:], ends[-1:], opening.shift_end):
            found.append((float(start), there[k]))
    return found


def _last(at: Sequence[Spot]) -> list[Spot]:
    """Where the technician comes from before each stop: the last spot that is known."""
    found, here = [], at[0]
    for spot in at[:-1]:
        here = spot if spot.known else here
        found.append(here)
    return found


def _filled(legs: list[float], known: list[bool]) -> list[float]:
    """Drives from the last known spot: a break is wherever the stop before it was."""
    found: list[float] = []
    for leg, own in zip(legs, known, strict=True):
        found.append(leg if own or not found else found[-1])
    return found


def _legs(origins: Sequence[Spot], targets: Sequence[Spot], drives: Drives) -> list[float]:
    """Minutes of each drive: as known, else estimated; 0 where a spot is not known."""
    if not origins:
        return []
    guess = np.nan_to_num(
        estimate(
            np.array([a.lat for a in origins]),
            np.array([a.lon for a in origins]),
            np.array([b.lat for b in targets]),
            np.array([b.lon for b in targets]),
        )
    )
    pairs = zip(origins, targets, guess.tolist(), strict=True)
    return [drives.get((a.place, b.place), g) if a.place and b.place else g for a, b, g in pairs]


def _undisturbed(stops: Sequence[Stop], into: Sequence[float]) -> tuple[list[float], list[float]]:
    """When the stops begin and end as things stand; the first one as it is planned."""
    begins: list[float] = []
    ends: list[float] = []
    for i, stop in enumerate(stops):
        begins.append(max(stop.start, ends[-1] + into[i]) if i else stop.start)
        ends.append(begins[-1] + stop.minutes)
    return begins, ends


def _after(
    stops: Sequence[Stop],
    end: float,
    back: Sequence[float],
    into: Sequence[float],
    begins: Sequence[float],
    over: Sequence[float],
    shift_end: float,
) -> bool:
    """Do the stops after the new one, which ends at `end`, still begin in time and the day end in its shift?

    `back` is the drive from the new place to each stop, `into` from the stop before; `begins` is when each begins,
    `over` when the day ends, as things stand.
    """
    moved = False
    for i, stop in enumerate(stops):
        drive = into[i] if moved else back[i]
        moved = moved or stop.spot.known
        begin = max(stop.start, end + drive)
        if begin > max(stop.latest, begins[i]) + 1e-6:
            return False
        end = begin + stop.minutes
    return end <= max(shift_end, *over, -np.inf) + 1e-6


def grid(window: Window, zone: str, step: int) -> list[datetime]:
    """The instants of a span that lie on the local grid (minutes of the local day divisible by `step`)."""
    step = max(step, 1)
    day, last, found = local(window.start, zone).date(), local(window.end, zone).date(), []
    while day <= last:
        times = {at_wall(day, *divmod(minute, 60), zone) for minute in range(0, 1440, step)}
        found += [t for t in sorted(times) if window.start <= t <= window.end]
        day += timedelta(days=1)
    return found


def diverse(slots: Sequence[Slot], *, technician: int | None, today: date, zone: str, most: int = 6) -> list[Slot]:
    """A few that differ: the soonest, later today with the same technician, another technician, the next mornings and
    afternoons; then, where there is room, whatever is next. Soonest first, one window only once."""
    ordered = sorted(slots, key=lambda x: (x.start, x.technician != technician, x.technician))
    wall = {id(x): local(x.start, zone) for x in ordered}
    chosen: dict[Window, Slot] = {}

    def take(found: Iterable[Slot], why: str) -> None:
        slot = next((x for x in found if x.window not in chosen), None)
        if slot is not None and len(chosen) < most:
            chosen[slot.window] = Slot(slot.technician, slot.start, slot.window, slot.travel, why)

    take(ordered, "soonest")
    take((x for x in ordered if wall[id(x)].date() == today and x.technician == technician), "same_technician")
    take((x for x in ordered if x.technician != technician), "other_technician")
    for on in sorted({x.date() for x in wall.values() if x.date() > today}):
        take((x for x in ordered if wall[id(x)].date() == on and wall[id(x)].hour < 12), "morning")
        take((x for x in ordered if wall[id(x)].date() == on and wall[id(x)].hour >= 12), "afternoon")
    while len(chosen) < most and any(x.window not in chosen for x in ordered):
        take(ordered, "")
    return sorted(chosen.values(), key=lambda x: x.start)
