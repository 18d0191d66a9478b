"""Many days packed as gaps with a longest-gap index, and which starts in them keep every promise with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned, spread_of
from punctual.core.splice import begun, drives
from punctual.core.travel import estimate, into

#: A break may begin this many minutes late.
BREAK_LATE = 60.0
#: Spread in minutes of a start that nothing delays (somebody opens the door, a parking space is found).
DOOR_SD = 3.0
#: A job that has run longer than usual goes on for about this share of what it has taken.
GOES_ON = 0.2

#: One gap between two stops of a day. Times are minutes since 1970. The technician is free at `free` on the mean
#: schedule and by `sure` as often as the company asks; `lat0 lon0 place0` is where
#: (a place's row; minus a technician: their home). The new visit starts before
#: `before` and ends by `close`; then it is max(rest_until, end + rest) when they can drive to the next stop whose
#: place is known (`lat1 lon1 place1`), to arrive by `must` on the mean schedule and, with what its own spread and
#: that of the technician's day add, by `promised`. `room`: minutes of a visit that fits without any drive.
GAP = np.dtype(
    [("shift", np.int64), ("technician", np.int64), ("place0", np.int64), ("place1", np.int64)]
    + [
        (name, np.float64)
        for name in (
            "free", "sure", "lat0", "lon0", "before", "close", "rest_until", "rest",
            "lat1", "lon1", "must", "promised", "room",
        )
    ]
)  # fmt: skip
Gaps = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """The mean schedule of some days with its spread, one value a row; minutes since 1970.

    `sure_arrive` and `sure_finish` are kept with the chance that was asked for: the reserve of a visit is what lies
    between them and the mean. `begun`: somebody is on the way there, has arrived or is done.
    """

    arrive: Floats
    finish: Floats
    sure_arrive: Floats
    sure_finish: Floats
    drive: Floats
    begun: Bools


def normal(x: Floats) -> Floats:
    """The standard normal distribution function, to 0.0003 (the tanh approximation)."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))))


def late(sd: Floats, wait: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of max(0, e - wait) for a normal e of that spread: what a wait leaves of a delay, minutes."""
    s = np.maximum(sd, 1e-6)
    a = wait / s
    density = np.exp(-0.5 * a * a) * 0.3989422804
    over = 1.0 - normal(a)
    mean = np.maximum(s * density - wait * over, 0.0)
    square = (s * s + wait * wait) * over - wait * s * density
    return mean, np.maximum(square - mean * mean, 0.0)


def plan(days: Days, learned: Learned, at: float, z: float) -> Plan:
    """How the days stand at `at` on the mean schedule, and `z` spreads later; position by position, all days at once."""
    n = days.rows
    arrive, finish, sure_arrive, sure_finish = np.zeros((4, n))
    drive = into(days, learned.changeover)
    made = Plan(arrive, finish, sure_arrive, sure_finish, drive, begun(days))
    counts = days.counts
    free, behind, spread = np.maximum(days.shift_start, at), np.zeros(len(days)), np.zeros(len(days))
    rested = np.isnan(days.break_start)
    for k in range(int(counts.max(initial=0))):
        day = np.flatnonzero(counts > k)
        rows = days.offset[day] + k
        due = ~rested[day] & (days.planned_start[rows] >= days.break_start[day])
        after = np.maximum(free[day], days.break_start[day]) + days.break_end[day] - days.break_start[day]
        rested[day] |= due
        begin = np.where(due, after, free[day])
        behind[day], spread[day] = _stop(days, learned, at, z, rows, day, begin, behind[day], spread[day], made)
        free[day] = made.finish[rows]
    return made


def _stop(
    days: Days, learned: Learned, at: float, z: float, rows: Ints, day: Ints,
    free: Floats, behind: Floats, sd: Floats, made: Plan,
) -> tuple[Floats, Floats]:  # fmt: skip
    """The visits at one position: when they are reached and over; how far, on average and in spread, the day is then
    behind its mean schedule (`behind`, `sd`: the same before it)."""
    opens = np.where(days.early_ok[rows], days.shift_start[day], days.window_start[rows])
    named = np.where(np.isnan(days.late_at[rows]), -np.inf, days.planned_start[rows] + days.late_min[rows])
    left = np.where(np.isnan(days.on_my_way[rows]), free, days.on_my_way[rows])
    reached = np.maximum(np.maximum(left + made.drive[rows], named), at)
    known, over = ~np.isnan(days.arrived[rows]), ~np.isnan(days.finished[rows])
    arrive = np.where(known, days.arrived[rows], np.maximum(reached, opens))
    wait = opens - reached
    delay, variance = late(sd, wait - behind)
    behind = np.where(known | over, 0.0, np.minimum(wait, 0.0) + delay)
    variance = np.where(known | over, 0.0, variance + DOOR_SD**2)
    usual, spread = expected(learned, days.planned_min[rows], days.job_type[rows], days.technician[day])
    said = np.where(known & ~np.isnan(days.late_at[rows]), days.planned_min[rows] + days.late_min[rows], 0.0)
    gone = np.where(known, (at - arrive) * (1.0 + GOES_ON), 0.0)
    finish = np.where(over, days.finished[rows], arrive + np.maximum(np.maximum(usual, said), gone))
    after = np.where(over, 0.0, np.sqrt(variance + spread**2))
    made.arrive[rows], made.finish[rows] = np.where(over & ~known, finish, arrive), finish
    made.sure_arrive[rows] = made.arrive[rows] + (behind + z * np.sqrt(variance) if z else 0.0)
    made.sure_finish[rows] = finish + (behind + z * after if z else 0.0)
    return behind, after


def expected(learned: Learned, planned: Floats, job_type: Ints, technician: Ints) -> tuple[Floats, Floats]:
    """Mean minutes of such work by such a technician, and its spread in minutes."""
    mean, sd = spread_of(learned, job_type, technician)
    usual = planned * np.exp(mean)
    return usual, usual * np.sqrt(np.expm1(sd * sd))


def gaps(days: Days, learned: Learned, at: float, z: float) -> Gaps:
    """Every gap of the days that can still take a visit, the one with the most room first (the longest-gap index)."""
    made = plan(days, learned, at, z)
    day, day_of = np.arange(len(days)), days.day_of
    rests = _rests(days, day_of)
    must, promised = _limits(days, made, rests, day_of)
    open_ = (~made.begun).nonzero()[0]
    before = _between(days, made, day_of[open_], open_, at)
    before["before"], before["must"], before["promised"] = days.planned_start[open_], must[open_], promised[open_]
    before["lat1"], before["lon1"], before["place1"] = days.lat[open_], days.lon[open_], days.place_id[open_]
    ends = _between(days, made, day, days.offset[1:], at)
    ends["lat1"] = ends["lon1"] = np.nan
    ends["before"] = ends["must"] = ends["promised"] = np.inf
    all_ = np.concatenate([day_of[open_], day])
    rested = np.zeros(len(days), dtype=np.bool_)
    rested[day_of[rests]] = True
    split = np.concatenate([rests[open_], ~rested]) & ~np.isnan(days.break_start[all_])
    packed = _broken(together([before, ends]), days, all_, split)
    packed["room"] = (
        np.minimum(packed["close"], np.minimum(packed["must"], packed["promised"]) - packed["rest"]) - packed["free"]
    )
    return packed[np.argsort(-packed["room"], kind="stable")]


def _rests(days: Days, day_of: Ints) -> Bools:
    """The rows before which the break is taken: each day's first that is planned after the break begins."""
    after = days.planned_start >= days.break_start[day_of]
    before = np.concatenate([[0], np.cumsum(after)])
    first: Bools = after & (before[:-1] == before[days.offset[day_of]])
    return first


def _between(days: Days, made: Plan, day: Ints, row: Ints, at: float) -> Gaps:
    """The gaps before these rows (a day's end: the row after its last), as far as they follow from what comes first."""
    found = np.zeros(len(row), dtype=GAP)
    first, last = row == days.offset[day], row - 1
    start = np.maximum(days.shift_start[day], at)
    for name, begin, column in (
        ("free", start, made.finish),
        ("sure", start, made.sure_finish),
        ("lat0", days.home_lat[day], days.lat),
        ("lon0", days.home_lon[day], days.lon),
        ("place0", -days.technician[day], days.place_id),
    ):
        found[name] = np.where(first, begin, column[last]) if days.rows else begin
    found["shift"], found["technician"], found["close"] = days.day_id[day], days.technician[day], days.shift_end[day]
    found["rest_until"] = -np.inf
    return found


def _broken(found: Gaps, days: Days, day: Ints, split: Bools) -> Gaps:
    """A gap with the break in it is two: one that ends with the break, one that begins after it."""
    if not split.any():
        return found
    start, length = days.break_start[day], days.break_end[day] - days.break_start[day]
    first, then = found.copy(), found[split]
    first["before"] = np.where(split, np.minimum(found["before"], start), found["before"])
    late = np.minimum(found["close"], np.maximum(start + BREAK_LATE, found["free"]))
    first["close"] = np.where(split, late, found["close"])
    first["rest_until"] = np.where(split, start + length, -np.inf)
    first["rest"] = np.where(split, length, 0.0)
    for name in ("free", "sure"):
        then[name] = np.maximum(then[name], start[split]) + length[split]
    return together([first, then])


def _limits(days: Days, made: Plan, rests: Bools, day_of: Ints) -> tuple[Floats, Floats]:
    """The latest arrival of each row on the mean schedule that breaks no promise from there on, and its own limit.

    A row keeps what its spread needs between the mean and its promise: window and the customer's own limit. One whose
    promise is at risk already must not come later at all.
    """
    works = np.where(days.deadline_arrive, 0.0, made.finish - made.arrive)
    promised = np.fmin(days.window_end, days.deadline - works)
    done = np.where(days.deadline_arrive, np.nan, days.deadline - made.sure_finish)
    slack = np.fmin(
        np.fmin(days.window_end, np.where(days.deadline_arrive, days.deadline, np.nan)) - made.sure_arrive, done
    )
    must = made.arrive + np.maximum(slack, 0.0)
    counts = days.counts
    for k in range(int(counts.max(initial=0)) - 2, -1, -1):
        row = days.offset[:-1][counts > k + 1] + k
        rest = np.where(rests[row + 1], (days.break_end - days.break_start)[day_of[row]], 0.0)
        on = must[row + 1] - made.drive[row + 1] - rest
        on = np.where(rests[row + 1], np.minimum(on, days.break_start[day_of[row]] + BREAK_LATE), on)
        on = on - (made.finish[row] - made.arrive[row])
        must[row] = np.minimum(must[row], np.maximum(on, made.arrive[row]))
    return must, np.fmax(promised, made.sure_arrive)


def roomy(found: Gaps, long: float) -> Gaps:
    """The gaps of a date that can hold so many minutes: they stand first."""
    return found[: len(found) - int(found["room"][::-1].searchsorted(long))]


def together(parts: Sequence[Gaps]) -> Gaps:
    """Gaps of several dates after one another (as bytes: NumPy looks at every name of a structure that it joins)."""
    return np.concatenate([p.view(f"V{GAP.itemsize}") for p in parts]).view(GAP)


@dataclass(frozen=True, slots=True)
class Work:
    """One visit to be fitted in: where it is (degrees, its place's row), what kind of work, planned minutes, and how
    long its arrival window is. `out` and `back` are known drives from and to its place: place -> minutes."""

    lat: float
    lon: float
    job_type: int
    planned: float
    window: float
    out: dict[int, float]
    back: dict[int, float]


@dataclass(frozen=True, slots=True)
class Found:
    """Starts that fit: index into `starts`, technician, shift, the drive there in minutes, and by how many minutes it
    could begin sooner or later and everything still be kept as often as the company asks; one value a start."""

    start: Ints
    technician: Ints
    shift: Ints
    drive: Floats
    margin: Floats

    def __len__(self) -> int:
        return len(self.start)

    def only(self, which: NDArray[Any] | Sequence[int]) -> Found:
        """Some of them."""
        return Found(
            self.start[which], self.technician[which], self.shift[which], self.drive[which], self.margin[which]
        )


def fits(found: Gaps, work: Work, starts: Floats, learned: Learned, z: float) -> Found:
    """Which of these starts (minutes, ascending) keep every promise of the days the gaps are of.

    A start fits after what comes before it with the drive, soon enough after it to be kept as often as the company
    asks; and early enough before what comes next, with what its own spread adds. `z` is 0 for the plan alone.
    """
    planned = np.full(len(found), work.planned)
    usual, sd = expected(learned, planned, np.full(len(found), work.job_type), found["technician"])
    there = drives(work.out, found["place0"], np.fmax(estimate(found["lat0"], found["lon0"], work.lat, work.lon), 0.0))
    back = drives(work.back, found["place1"], np.fmax(estimate(work.lat, work.lon, found["lat1"], found["lon1"]), 0.0))
    free, sure, must, rest = found["free"], found["sure"], found["must"], found["rest"]
    low = np.maximum(free + there, sure + there - work.window if z else -np.inf)
    length = np.maximum(usual, planned)
    extra = np.sqrt((sure - free) ** 2 + (z * sd) ** 2) if z else 0.0
    end = np.minimum(must - back - rest, found["promised"] - back - rest - extra)
    end = np.where(found["rest_until"] + back > must, -np.inf, end)
    high = np.minimum(end - length, found["close"] - planned)
    some = ((high + 3e-6 >= low) & (found["before"] > low)).nonzero()[0]
    first, last = starts.searchsorted(low[some] - 1e-6), starts.searchsorted(high[some] + 1e-6, side="right")
    count = np.maximum(np.minimum(last, starts.searchsorted(found["before"][some] - 1e-6)) - first, 0)
    gap = np.repeat(some, count)
    index = np.arange(len(gap)) + np.repeat(first - np.cumsum(count) + count, count)
    margin = np.minimum(starts[index] - low[gap], high[gap] - starts[index])
    return Found(index, found["technician"][gap], found["shift"][gap], there[gap], margin)
