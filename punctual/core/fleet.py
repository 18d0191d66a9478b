"""How everybody's day goes so far, and the circumstances of a visit that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned
from punctual.core.spread import looked_up

#: Circumstances of a visit, in the order of `circumstances`. Rising: more of it can only make a start later.
#: `ahead` and `steps` are counted down: as time passes without a report, nothing that is told may move back.
#: From the fleet: known only where the fleet is.
NAMES = (
    "x", "carried", "type", "place", "technician", "hour", "position", "to_come", "planned", "slack", "ahead",
    "steps", "all_1h", "all_3h", "all_owed", "place_1h", "place_3h", "place_seen", "place_owed", "place_owing",
    "next_place", "type_3h",
)  # fmt: skip
RISING: Bools = np.isin(
    NAMES,
    ("x", "carried", "type", "place", "technician", "ahead", "steps", "all_1h", "all_3h", "all_owed", "place_1h", "place_3h",
     "place_owed", "next_place", "type_3h"),
)  # fmt: skip
FROM_FLEET: Bools = np.asarray([n.startswith(("all_", "place_", "next_", "type_")) for n in NAMES])
#: How far what each adds may fall as it grows, per minute. What is already in the technician's own delay need not be
#: added again, so that one may - by less than the delay itself moves a start.
FALL: Floats = np.where(np.asarray(NAMES) == "x", 0.008, np.where(RISING, 0.0, np.inf))
#: The technician's own delay, and time that passes: they may move a start, never the width of a range.
OWN: Bools = np.isin(NAMES, ("x", "carried", "ahead", "steps"))
HOUR = 60.0
#: Lateness of one start counts as at most this early and this late, minutes.
EARLIEST, LATEST = -30.0, 180.0
#: A visit that should have begun longer ago than this is no longer owed: nobody told that it was dropped.
FORGOTTEN_AFTER = 300.0
#: Moments count from the first one planned; before this one nothing was. Groups lie _GAP apart.
EVER, _GAP = -1e6, 1e8


class _Sums:
    """Events of groups in order of time, for sums over any span of it."""

    def __init__(self, group: Ints, time: Floats, value: Floats) -> None:
        good = ~np.isnan(time)
        key = group[good] * _GAP + time[good]
        by = np.argsort(key, kind="stable")
        self.key = key[by]
        self.total = np.concatenate([[0.0], np.cumsum(value[good][by])])

    def until(self, group: Ints, times: Floats) -> tuple[Floats, Ints]:
        """Sum and number of a group's events up to some moments [n], or several for each [m, n]; only differences mean
        something."""
        n = self.key.searchsorted(group * _GAP + times, side="right")
        return self.total[n], n


@dataclass(frozen=True, slots=True)
class _Group:
    late: _Sums
    owed: _Sums
    paid: _Sums


@dataclass(frozen=True, slots=True)
class Fleet:
    """What has begun, and what should have, of many days: by all, by place, by job type. Made once for many looks."""

    all: _Group
    place: _Group
    job_type: _Group
    base: float


def fleet(days: Days) -> Fleet:
    """Everybody's starts. Days of everyone on duty, or of many dates at once: a look at `at` uses what was by then."""
    return so_far(days.planned_start, days.arrived, days.place_id, days.job_type)


def so_far(planned: Floats, arrived: Floats, place: Ints, job_type: Ints) -> Fleet:
    """The same from columns: planned starts and arrivals in minutes, NaN for not yet."""
    base = float(np.nanmin(planned)) if len(planned) else 0.0
    begun = arrived - base
    due = np.fmin(planned, arrived) - base
    dropped = np.isnan(begun) & (due + FORGOTTEN_AFTER < np.nanmax(np.append(begun, 0.0)))
    due = np.where(dropped, np.nan, due)
    late = np.clip(arrived - planned, EARLIEST, LATEST)
    paid = np.where(np.isnan(due), np.nan, begun)

    def group(by: Ints) -> _Group:
        return _Group(_Sums(by, begun, late), _Sums(by, due, due), _Sums(by, paid, due))

    return Fleet(group(np.zeros(len(planned), dtype=np.int64)), group(place), group(job_type), base)


@dataclass(frozen=True, slots=True)
class _Standing:
    """How groups stand [n]: minutes by which visits that should have begun have not, `owed`, and how many there are,
    `owing`; of each span before now [m, n] how late what began in it and what is owed are on average, `late`, and how many
    `began`."""

    owed: Floats
    owing: Floats
    late: Floats
    began: Ints


def _standing(group: _Group, which: Ints, now: Floats, *spans: float) -> _Standing:
    ever = np.empty((2, len(now)))
    ever[0], ever[1] = EVER, now
    (due, n), (paid, m) = group.owed.until(which, ever), group.paid.until(which, ever)
    owing = ((n[1] - n[0]) - (m[1] - m[0])).astype(np.float64)
    owed = np.maximum(owing * now - ((due[1] - due[0]) - (paid[1] - paid[0])), 0.0)
    late, begun = group.late.until(which, now - np.array([(0.0,), *((span,) for span in spans)]))
    began = begun[0] - begun[1:]
    return _Standing(owed, owing, (late[0] - late[1:] + owed) / (began + owing + 1.0), began)


@dataclass(frozen=True, slots=True)
class Looks:
    """Visits looked at: row, its day, when (minutes), and the technician's own delay as the chain has it [n]."""

    row: Ints
    day: Ints
    at: Floats
    x: Floats
    carried: Floats


def circumstances(days: Days, learned: Learned, looks: Looks, others: Fleet | None) -> Floats:
    """What is known about each visit looked at, [NAMES, n]; NaN where nothing is."""
    row, day, at = looks.row, looks.day, looks.at
    first, end = days.offset[day], days.offset[day + 1]
    plan, last = days.planned_start[row], row > first
    ended = days.planned_start + days.planned_min
    before = np.maximum(row - 1, first)
    earlier = row[:, None] - np.arange(1, int((row - first).max(initial=0)) + 1)
    steps = ((earlier >= first[:, None]) & (ended[np.maximum(earlier, 0)] > at[:, None])).sum(axis=1)
    out = [
        looks.x,
        looks.carried,
        looked_up(learned.types, learned.type_start, days.job_type[row]),
        looked_up(learned.places, learned.place_start, days.place_id[row]),
        looked_up(learned.technicians, learned.technician_start, days.technician[day]),
        plan / HOUR % 24.0,
        (row - first).astype(np.float64),
        (end - row).astype(np.float64),
        days.planned_min[row],
        np.where(last, plan - ended[before], np.nan),
        at - plan,
        -steps.astype(np.float64),
    ]
    if others is None:
        return np.array([*out, *(np.full(len(row), np.nan) for _ in range(len(NAMES) - len(out)))])
    return np.array([*out, *_from_fleet(days, looks, end, others)])


def _from_fleet(days: Days, looks: Looks, end: Ints, others: Fleet) -> list[Floats]:
    row, now = looks.row, looks.at - others.base
    everyone, by_place, by_type = others.all, others.place, others.job_type
    place, on = days.place_id[row], days.place_id[np.minimum(row + 1, days.rows - 1)]
    all_ = _standing(everyone, np.zeros(len(row), dtype=np.int64), now, HOUR, 3 * HOUR)
    here = _standing(by_place, place, now, HOUR, 3 * HOUR)
    there = _standing(by_place, on, now, 2 * HOUR).late[0]
    alike = _standing(by_type, days.job_type[row], now, 3 * HOUR).late[0]
    of_place = np.array((here.late[0], here.late[1], here.began[0], here.owed, here.owing))
    return [
        all_.late[0],
        all_.late[1],
        all_.owed / (all_.began[1] + 1.0),
        *np.where(place != 0, of_place, np.nan),
        np.where((row + 1 < end) & (on != 0), there, np.nan),
        alike,
    ]
