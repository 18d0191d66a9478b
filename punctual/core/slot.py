"""Other times that keep every promise: the local grid, what a customer loses by each, which few to offer, how sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from punctual.core.day import Bools, Day, Days, Floats, Ints, Visit, Window, at_wall, local, minutes
from punctual.core.forecast import Forecast
from punctual.core.room import Found
from punctual.core.splice import rows_of

#: What a customer loses, in minutes of trouble: a day of waiting, each minute off the time of day they had (or, the
#: same day, each minute later), somebody they do not know, each tenth of a chance that the time is not kept.
DAY, OFF, STRANGER, UNSURE = 120.0, 0.5, 15.0, 30.0
#: A start that could hardly be sooner or later is hardly kept: each minute short of this counts as one lost.
TIGHT = 30.0
#: A start this near to the customer's usual time is their usual time.
USUAL_MIN = 30
#: Chances of 512 samples differ by this much without meaning anything.
NOISE = 0.02


@dataclass(frozen=True, slots=True)
class Slot:
    """A free time: who comes, when work is planned, the arrival window, the drive to it in minutes, and how sure it is
    (the chance that the window is kept; NaN: not forecast). `why` is what it is offered for."""

    technician: int
    start: datetime
    window: Window
    travel: float
    why: str = ""
    sure: float = float("nan")

    @property
    def of_ten(self) -> int:
        """Out of ten such visits, how many are kept; never ten."""
        return min(9, int(10.0 * self.sure))


def spreads(risk: float) -> float:
    """How many spreads above the mean are passed only with that chance; 0 for one half and more."""
    return max(0.0, NormalDist().inv_cdf(1.0 - min(max(risk, 0.001), 0.5)))


def grid(window: Window, zone: str, step: int) -> list[datetime]:
    """The instants of a span that lie on the local grid (minutes of the local day divisible by `step`)."""
    day, last, found = local(window.start, zone).date(), local(window.end, zone).date(), []
    while day <= last:
        found += [t for t in _grid_of(day, zone, max(step, 1)) if window.start <= t <= window.end]
        day += timedelta(days=1)
    return found


@lru_cache(maxsize=512)
def _grid_of(day: date, zone: str, step: int) -> tuple[datetime, ...]:
    """The grid of one local day; what clocks skip or show twice is there once."""
    return tuple(sorted({at_wall(day, *divmod(minute, 60), zone) for minute in range(0, 1440, step)}))


@dataclass(frozen=True, slots=True)
class Starts:
    """The grid as columns: instants (minutes since 1970), the local date (ordinal) and local minute of the day."""

    at: Floats
    day: Ints
    minute: Ints


@lru_cache(maxsize=64)
def starts(first: date, last: date, zone: str, step: int) -> Starts:
    """The grid from the first to the last local date."""
    days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    found = [(t, d.toordinal(), local(t, zone)) for d in days for t in _grid_of(d, zone, max(step, 1))]
    return Starts(
        np.array([minutes(t) for t, _, _ in found]),
        np.array([d for _, d, _ in found], dtype=np.int64),
        np.array([w.hour * 60 + w.minute for _, _, w in found], dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What the customer has now: the technician, the local date (ordinal) and minute of the window; what date it is;
    and the weekday and minute at which they usually have their visits, None when they have no habit."""

    technician: int | None
    today: int
    day: int
    minute: int
    usual: tuple[int, int] | None = None


def loss(found: Found, grid: Starts, wish: Wish) -> Floats:
    """What the customer would lose by each of these times, in minutes of trouble."""
    day, minute = grid.day[found.start], grid.minute[found.start]
    days, off = np.abs(day - wish.day), np.abs(minute - wish.minute)
    if wish.usual is not None:
        weekday, at = wish.usual
        same = (day + 6) % 7 == weekday
        off = np.where(same, np.minimum(off, np.abs(minute - at)), off)
    strange = found.technician != (wish.technician if wish.technician is not None else -1)
    return np.asarray(days * DAY + off * np.where(days == 0, 1.0, OFF) + strange * STRANGER + tight(found))


def tight(found: Found) -> Floats:
    """By how many minutes each start is short of room to be kept."""
    return np.maximum(TIGHT - found.margin, 0.0)


def usual(past: Sequence[datetime], zone: str) -> tuple[int, int] | None:
    """The weekday and minute of the day at which at least half of some past visits were, two or more; else None."""
    walls = [local(t, zone) for t in past]
    seen = [(w.weekday(), w.hour * 60 + w.minute) for w in walls]
    for weekday, minute in seen:
        near = sum(d == weekday and abs(m - minute) <= USUAL_MIN for d, m in seen)
        if near >= 2 and 2 * near >= len(seen):
            return weekday, minute
    return None


def pick(
    found: Found,
    grid: Starts,
    wish: Wish,
    most: int,
    *,
    window: float,
    sure: Callable[[Sequence[int]], Sequence[float]],
) -> list[tuple[int, str, float]]:
    """A few that differ in kind, the one to keep first first: (index into found, why, how sure).

    The soonest; then, the least loss first, later today with the same technician, the usual time, the next morning, the
    next afternoon, another technician; then the mornings and afternoons of the days after, then whatever is next best.
    No two of them begin within APART of one another, and no two windows (`window` minutes) overlap. `sure` says of some
    of them how sure each is, NaN for one that is not to be offered. More are asked about than are wanted, and of each
    kind one on another day of work: twice as many days at once cost a third more, a second look twice as much.
    """
    cost = loss(found, grid, wish)
    order = np.argsort(cost, kind="stable")
    found = found.only(order)
    here = _Here.of(found, grid, wish, cost[order], window)
    left, good = np.ones(len(found), dtype=np.bool_), np.zeros(len(found), dtype=np.bool_)
    known: dict[int, float] = {}
    chosen: list[tuple[int, str]] = []
    for _ in range(ROUNDS):
        asked = _diverse(here, left, most + most // 2)
        others = left & (found.shift[:, None] != found.shift[[i for i, _ in asked[:NAMED]]]).all(axis=1)
        new = sorted({i for i, _ in (*asked, *_kinds(here, _List(here, others)))} - known.keys())
        if not new:
            break
        known |= zip(new, sure(order[new].tolist()), strict=True)
        failed = np.isnan([known[i] for i in new])
        left[np.array(new)[failed]], good[np.array(new)[~failed]] = False, True
        chosen = _diverse(here, good, most)
        if len(chosen) >= min(most, ENOUGH):
            break
    best = sorted(
        chosen, key=lambda c: (c[1] != "soonest", not c[1], here.cost[c[0]] + (1.0 - known[c[0]]) * 10.0 * UNSURE)
    )
    return [(int(order[i]), why, known[i]) for i, why in best]


#: So many kinds have a name of their own.
NAMED = 6
#: So often is looked again, while fewer than ENOUGH of those that were looked at are to be offered.
ROUNDS, ENOUGH = 4, 4
#: Two times that are offered together begin at least this many minutes apart; the second where nothing else is left.
APART = (60.0, 30.0)


@dataclass(frozen=True, slots=True)
class _Here:
    """The free times as columns, the least loss first: when they begin; by what the soonest is found (what is tight is
    hardly soon); the half of which local day that is, from this morning, and whether the day is still to come; whether
    the technician is the one they know, whether it is their usual time, what is lost by each. How long windows are."""

    at: Floats
    soon: Floats
    half: Ints
    ahead: Bools
    mine: Bools
    usual: Bools
    cost: Floats
    window: float

    @classmethod
    def of(cls, found: Found, grid: Starts, wish: Wish, cost: Floats, window: float) -> _Here:
        at, day, minute = grid.at[found.start], grid.day[found.start], grid.minute[found.start]
        habit = np.zeros(len(found), dtype=np.bool_)
        if wish.usual is not None:
            habit = ((day + 6) % 7 == wish.usual[0]) & (np.abs(minute - wish.usual[1]) <= USUAL_MIN)
        mine = found.technician == (wish.technician if wish.technician is not None else -1)
        soon = at + tight(found) + cost * 1e-6
        half = 2 * (day - wish.today) + (minute >= 720)
        return cls(at, soon, half, day > wish.today, mine, habit, cost, window)


class _List:
    """The rows that are in a list so far, and which may still come into it."""

    def __init__(self, here: _Here, left: Bools, rows: Sequence[int] = (), apart: float = APART[0]) -> None:
        self.here, self.left, self.apart = here, left, max(apart, here.window)
        self.rows: list[int] = []
        for i in rows:
            self._add(i)

    def _add(self, i: int) -> None:
        self.rows.append(i)
        self.left = self.left & (np.abs(self.here.at - self.here.at[i]) >= self.apart)

    def best(self, which: Bools | None, by: Floats | None = None) -> int | None:
        """Put the best of some rows in - the least loss, or the least of something else; None where none is left."""
        some = self.left if which is None else self.left & which
        if not some.any():
            return None
        self._add(int(some.argmax() if by is None else np.where(some, by, np.inf).argmin()))
        return self.rows[-1]

    def halves(self) -> list[int]:
        """Halves of days to come in which something is left and nothing is taken."""
        half = self.here.half
        taken = {int(half[i]) for i in self.rows}
        return [h for h in np.bincount(half[self.left & self.here.ahead]).nonzero()[0].tolist() if h not in taken]

    def rest(self, most: int) -> list[tuple[int, str]]:
        """Whatever is next best, up to so many."""
        found: list[tuple[int, str]] = []
        while len(found) < most and (row := self.best(None)) is not None:
            found.append((row, ""))
        return found


def _diverse(here: _Here, left: Bools, most: int) -> list[tuple[int, str]]:
    """The best of each kind, then the best of the rest: up to so many."""
    list_ = _List(here, left)
    asked = _kinds(here, list_)[:most]
    for half in list_.halves() if len(asked) < most else ():
        row = list_.best(here.half == half) if len(asked) < most else None
        if row is not None:
            asked.append((row, _named(half)))
    asked += list_.rest(most - len(asked))
    if len(asked) < most:
        asked += _List(here, left, list_.rows, APART[1]).rest(most - len(asked))
    return asked


def _kinds(here: _Here, list_: _List) -> list[tuple[int, str]]:
    """One of each kind: the soonest, then the least loss first."""
    asked: list[tuple[int, str]] = []

    def take(which: Bools | None, why: str, by: Floats | None = None) -> None:
        row = list_.best(which, by)
        if row is not None:
            asked.append((row, why))

    take(None, "soonest", here.soon)
    take(here.mine & ~here.ahead, "same_technician")
    if not here.usual[list_.rows].any():
        take(here.usual, "usual")
    for which in range(len(HALVES)):
        for half in [h for h in list_.halves() if h % 2 == which][:1]:
            take(here.half == half, _named(half))
    if here.mine[list_.rows].all():
        take(~here.mine, "other_technician")
    return sorted(asked, key=lambda x: (x[1] != "soonest", here.cost[x[0]]))


HALVES = ("morning", "afternoon")


def _named(half: int) -> str:
    """The name of half a day, with how many days ahead it is: each is a kind of its own."""
    return f"{HALVES[half % 2]}:{half // 2}"


def in_order(some: Iterable[Slot]) -> list[Slot]:
    """As a person reads them: the soonest first."""
    return sorted(some, key=lambda x: (x.start, x.technician))


def without(day: Day, visit_id: int) -> Day:
    """The day without one visit."""
    return replace(day, visits=tuple(v for v in day.visits if v.id != visit_id))


def with_visit(day: Day, visit: Visit) -> Day:
    """The day with one more visit, in the order of the plan, after what has begun."""
    begun = [v for v in day.visits if v.over or v.state in ("arrived", "on_my_way")]
    rest = sorted([*(v for v in day.visits if v not in begun), visit], key=lambda v: (v.planned_start, v.id))
    return replace(day, visits=(*begun, *rest))


def breaks(days: Days, made: Forecast) -> Floats:
    """The chance of each row that its promise or its customer's own limit is not kept; 0 where somebody has come."""
    chance = np.fmax(made.p_window, made.p_deadline)
    return np.where(np.isnan(days.arrived) & np.isnan(days.finished), chance, 0.0)


def keeps(days: Days, made: Forecast, put: Ints, own: int, risk: float) -> Floats:
    """For days of which the last len(put) are the first ones with a visit put into them - the n-th into day put[n] -
    the chance that its time is kept; NaN where it must not be offered.

    It must not where its own chance of breaking, or that of anybody who is there already, would come above `risk` -
    one that is above it already must not rise.
    """
    chance, first = breaks(days, made), len(days) - len(put)
    begin = int(days.offset[first])
    mine = days.visit_id[begin:] == own
    after, day = chance[begin:], np.repeat(np.arange(len(put)), np.diff(days.offset[first:]))
    row = rows_of(days, put)
    before = np.zeros(len(after))
    before[~mine] = chance[row] + NOISE
    bad = np.bincount(day, (after > risk) & (after > before), len(put)) > 0
    return np.where(bad, np.nan, 1.0 - after[mine])


def in_time(found: Found, grid: Starts, limit: Window | None, work: float, window: float) -> Found:
    """Those that keep the customer's own limit on its day: `limit` is (start of that local day, the limit); the window
    may be used up and `work` minutes of work may follow. Other days are free."""
    if limit is None:
        return found
    at = grid.at[found.start]
    same = (at >= minutes(limit.start)) & (at < minutes(limit.start) + 1440)
    return found.only(np.flatnonzero(~same | (at + window + work <= minutes(limit.end) + 1e-6)))


def apart(found: Found, grid: Starts, planned: float, claims: Iterable[tuple[int, float, float, float]]) -> Found:
    """Those that overlap no claim: (technician, from, to, drive from there to here), minutes; claims of one technician
    never overlap one another. A time takes its planned minutes and the drive to it."""
    rows = sorted(claims)
    if not rows or not len(found):
        return found
    technician, begin, end, back = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    base = min(float(begin.min()), float(grid.at[0])) - 1440.0
    span = max(float(end.max()), float(grid.at[-1])) - base + 2880.0
    at = grid.at[found.start]
    key = found.technician * span + at + planned - base - 1e-6
    last = np.searchsorted(technician * span + begin - base, key) - 1
    there = (last >= 0) & (technician[last] == found.technician)
    over = np.maximum(end[last] - at + found.drive, end[last] + back[last] - at)
    return found.only(np.flatnonzero(~(there & (over > 1e-6))))
