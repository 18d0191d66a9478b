"""What happened, beside what was told: who waited unwarned, what made them wait, and how honest chances and ranges were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.travel import into

#: Causes of late minutes, in the order of the columns of causes().
CAUSES = ("planning", "travel", "previous", "own", "customer")
#: A technician free this long before they had to leave was not held up by what was before.
FREE_MIN = 10.0
#: A kind of work with fewer visits than this has no usual length of its own.
USUAL_FROM = 5
#: How far ahead a range is counted to have been told: from so many minutes on, and what the step is called.
STEPS = ((90.0, 120), (45.0, 60), (22.0, 30), (-np.inf, 15))
#: The known delay is carried forward from looks this long before a visit (forecast.md), every so many minutes.
FORWARD_FROM, FORWARD_STEP = 90.0, 5.0


@dataclass(frozen=True, slots=True)
class Warned:
    """Who was warned, and what came of it. Shares are of 1, None where there is nobody to count; minutes are waited
    past the window's end by customers not warned in time."""

    visits: int
    late: int
    in_time: float | None
    ever: float | None
    false_alarms: float | None
    in_vain: int
    too_late: int
    unwarned: int
    minutes: float


def warned(lateness: Floats, told: Bools, in_time: Bools, late: float) -> Warned:
    """Count customers. lateness: minutes after the window's end; told: had any warning; in_time: had it early enough."""
    tardy = lateness > late
    calm = ~tardy
    return Warned(
        visits=len(lateness),
        late=int(tardy.sum()),
        in_time=float(np.mean(in_time[tardy])) if tardy.any() else None,
        ever=float(np.mean(told[tardy])) if tardy.any() else None,
        false_alarms=float(np.mean(told[calm])) if calm.any() else None,
        in_vain=int((told & calm).sum()),
        too_late=int((told & ~in_time & tardy).sum()),
        unwarned=int((~told & tardy).sum()),
        minutes=float(np.maximum(lateness, 0.0)[~in_time].sum()),
    )


def position(days: Days) -> Ints:
    """Which visit of its day each row is, from 0."""
    found: Ints = np.arange(days.rows) - np.repeat(days.offset[:-1], days.counts)
    return found


def forward(days: Days, ahead: float) -> Floats:
    """For each row the most lateness its technician was known to have between 90 and `ahead` minutes before it.

    What "running late" tools do: the lateness of the last thing that happened, or how long it is overdue.
    """
    most = np.zeros(days.rows)
    plan_end = days.planned_start + days.planned_min
    where = position(days)
    steps = np.unique(np.append(np.arange(FORWARD_FROM, ahead, -FORWARD_STEP), ahead))
    for k in range(1, int(where.max(initial=0)) + 1):
        rows = np.flatnonzero(where == k)
        for before in steps:
            at = days.planned_start[rows] - before
            late, known = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.bool_)
            for back in range(k, 0, -1):
                j = rows - back
                over = days.finished[j] <= at
                there = days.arrived[j] <= at
                running = np.maximum(days.arrived[j] - days.planned_start[j], at - plan_end[j])
                waiting = np.maximum(late, at - days.planned_start[j])
                now = np.where(over, days.finished[j] - plan_end[j], np.where(there, running, waiting))
                late = np.where(known, late, now)
                known |= ~over
            most[rows] = np.maximum(most[rows], late)
    return most


def same_alarms(known: Floats, lateness: Floats, late: float, alarms: float) -> Bools:
    """Who would be warned by a known lateness over the limit that warns that share of those served on time."""
    calm = np.sort(known[lateness <= late])[::-1]
    limit = calm[min(int(alarms * len(calm) + 1e-9), len(calm) - 1)] if len(calm) else 0.0
    return np.asarray(known > limit)


def causes(days: Days, lost: Floats) -> Floats:
    """Minutes past the window's end of each row, split by CAUSES: [rows, 5].

    Lateness is carried from visit to visit, less the plan's slack, with what it was made of. A visit that overruns adds
    what such visits usually overrun (planning) and the rest (previous); a drive longer than estimated adds travel;
    minutes lost at a visit nobody could finish add customer; a start later than all that is the visit's own.
    """
    found = np.zeros((days.rows, len(CAUSES)))
    travel, usual, where = into(days), _usual(days), position(days)
    carried = np.zeros((len(days), len(CAUSES)))
    day_of = days.day_of
    for k in range(int(where.max(initial=-1)) + 1):
        rows = np.flatnonzero(where == k)
        d = day_of[rows]
        parts = _arrival(days, rows, travel[rows], lost[rows], carried[d], first=k == 0)
        late = np.maximum(days.arrived[rows] - days.planned_start[rows], 0.0)
        past = np.maximum(days.arrived[rows] - days.window_end[rows], 0.0)
        found[rows] = parts * _share(past, late)[:, None]
        carried[d] = _finish(days, rows, usual[rows], parts, late)
    return found


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1e-9), 0.0))


def _arrival(days: Days, rows: Ints, travel: Floats, lost: Floats, carried: Floats, *, first: bool) -> Floats:
    """What an arrival's lateness is made of: what is carried over the slack, and what is new."""
    late = np.maximum(days.arrived[rows] - days.planned_start[rows], 0.0)
    before = carried.sum(axis=1)
    slack, free = np.zeros(len(rows)), np.full(len(rows), np.inf)
    if not first:
        end = days.planned_start[rows - 1] + days.planned_min[rows - 1]
        slack = days.planned_start[rows] - end - travel
        free = days.planned_start[rows] - travel - days.finished[rows - 1]
    through = np.minimum(np.maximum(before - np.maximum(slack, 0.0), 0.0), late)
    parts = carried * _share(through, before)[:, None]
    rest = late - through
    customer = np.minimum(rest, lost)
    rest = rest - customer
    drive = days.arrived[rows] - days.on_my_way[rows] - travel
    longer = np.where(np.isnan(drive), np.where(free < FREE_MIN, rest, 0.0), np.maximum(drive, 0.0))
    road = np.minimum(rest, longer + np.maximum(-slack, 0.0))
    parts[:, CAUSES.index("customer")] += customer
    parts[:, CAUSES.index("travel")] += road
    parts[:, CAUSES.index("own")] += rest - road
    return parts


def _finish(days: Days, rows: Ints, usual: Floats, parts: Floats, late: Floats) -> Floats:
    """What the lateness of an end is made of."""
    planned = days.planned_min[rows]
    over = days.finished[rows] - days.arrived[rows] - planned
    planning = np.clip(np.minimum(over, usual - planned), 0.0, None)
    made = parts.copy()
    made[:, CAUSES.index("planning")] += planning
    made[:, CAUSES.index("previous")] += np.maximum(over, 0.0) - planning
    early = np.minimum(days.arrived[rows] - days.planned_start[rows], 0.0)
    return np.asarray(made * _share(np.maximum(late + early + over, 0.0), made.sum(axis=1))[:, None])


def _usual(days: Days) -> Floats:
    """How long such a visit usually takes: its plan times the median factor of its kind of work."""
    taken = days.finished - days.arrived
    factor = np.where(days.planned_min > 0, taken / np.maximum(days.planned_min, 1.0), 1.0)
    usual = days.planned_min.copy()
    for kind in np.unique(days.job_type):
        mine = days.job_type == kind
        if mine.sum() >= USUAL_FROM:
            usual[mine] *= float(np.median(factor[mine]))
    return usual


@dataclass(frozen=True, slots=True)
class Tenth:
    """What was said and what happened, shares of 1; low and high: what chance alone could do, 8 times in 10."""

    said: float
    happened: float
    low: float
    high: float
    visits: int


def reliability(chance: Floats, happened: Bools, bins: int = 10) -> list[Tenth]:
    """Chances that were said against what happened, tenth by tenth; tenths that were never said are left out."""
    which = np.minimum((chance * bins).astype(np.int64), bins - 1)
    found = []
    for b in range(bins):
        mine = which == b
        n = int(mine.sum())
        if n:
            low, high = _wilson(float(happened[mine].mean()), n)
            found.append(Tenth(float(chance[mine].mean()), float(happened[mine].mean()), low, high, n))
    return found


def _wilson(share: float, n: int, z: float = 1.2816) -> tuple[float, float]:
    """Wilson's interval of a share of n (Wilson 1927): honest where n is small."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Held:
    """Ranges told or forecast about `ahead` minutes before a visit, and the share that held the arrival (None: none)."""

    ahead: int
    ranges: int
    share: float | None


def held(ahead: Floats, start: Floats, end: Floats, came: Floats) -> list[Held]:
    """Whether ranges held the arrival, by how long before the planned start they were told; all columns of minutes."""
    found, rest = [], np.ones(len(ahead), dtype=np.bool_)
    for least, name in STEPS:
        mine = rest & (ahead >= least)
        rest &= ~mine
        good = (came[mine] >= start[mine]) & (came[mine] <= end[mine])
        found.append(Held(name, int(mine.sum()), float(good.mean()) if mine.any() else None))
    return found


def overall(parts: Sequence[Held]) -> float | None:
    """The share over all steps; None without any range."""
    n = sum(h.ranges for h in parts)
    return sum((h.share or 0.0) * h.ranges for h in parts) / n if n else None
