"""Carry the delay through many days at once: when each visit will be reached and finished, and what may break."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints, instant
from punctual.core.duration import LEVELS as SPREAD
from punctual.core.duration import Learned, left, sample, spread_of
from punctual.core.travel import into

#: Levels of the told quantiles: 5 % ... 95 %.
LEVELS: Floats = np.arange(1, 20, dtype=np.float64) * 0.05
#: Samples a visit: stratified, so that 512 are as smooth as thousands of random ones.
SAMPLES = 512
#: Days forecast in one piece, to bound memory.
CHUNK = 400
P10, P50, P90 = 1, 9, 17
#: Spread of a drive under way, log scale.
DRIVE_SD = 0.25
#: A technician's own figure is this sure, relative to what history says of such work.
OWN_SPREAD = 0.4


@dataclass(frozen=True, slots=True)
class Forecast:
    """Columns of a forecast made at `at` (minutes since 1970, like every time here).

    arrive, finish [rows, 19]: quantiles at LEVELS. mean_arrive, mean_finish [rows]: the mean schedule. p_late: chance
    of arriving more than the threshold after the window's end; p_window: after its end; p_deadline: of missing the
    customer's deadline, NaN without one. p_shift [days]: of running past the shift. expected_report [days]: when, nine
    times in ten, the next report has come; NaN when none is expected.
    """

    at: float
    threshold: float
    arrive: Floats
    finish: Floats
    mean_arrive: Floats
    mean_finish: Floats
    p_late: Floats
    p_window: Floats
    p_deadline: Floats
    p_shift: Floats
    expected_report: Floats


@dataclass(frozen=True, slots=True)
class VisitForecast:
    """The forecast of one visit, as kept and shown: instants of the 10, 50 and 90 % points, chances from 0 to 1."""

    visit_id: int
    at: datetime
    arrive: tuple[datetime, datetime, datetime]
    finish: tuple[datetime, datetime, datetime]
    mean_arrive: datetime
    mean_finish: datetime
    p_late: float
    p_window: float
    p_deadline: float | None
    stops_before: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "visit_id": self.visit_id,
            "at": self.at.isoformat(),
            "arrive": [t.isoformat() for t in self.arrive],
            "finish": [t.isoformat() for t in self.finish],
            "mean": [self.mean_arrive.isoformat(), self.mean_finish.isoformat()],
            "p_late": round(self.p_late, 4),
            "p_window": round(self.p_window, 4),
            "p_deadline": None if self.p_deadline is None else round(self.p_deadline, 4),
            "stops_before": self.stops_before,
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> VisitForecast:
        """The inverse of to_json."""
        read = datetime.fromisoformat
        a, f, m = ([read(t) for t in data[k]] for k in ("arrive", "finish", "mean"))
        return VisitForecast(
            data["visit_id"], read(data["at"]), (a[0], a[1], a[2]), (f[0], f[1], f[2]), m[0], m[1],
            data["p_late"], data["p_window"], data["p_deadline"], data["stops_before"],
        )  # fmt: skip


@lru_cache(maxsize=64)
def uniforms(stream: int) -> Floats:
    """Stratified numbers in (0, 1), one in each of SAMPLES strata, in an order of its own for each stream."""
    order = np.random.default_rng(stream).permutation(SAMPLES)
    return np.asarray((order + 0.5) / SAMPLES)


def forecast(days: Days, learned: Learned, at: float, *, threshold: float = 15.0) -> Forecast:
    """Forecast every visit of every day at `at` (minutes); deterministic, the same look gives the same answer."""
    made = _empty(days, at, threshold)
    travel = into(days, learned.changeover)
    for low in range(0, len(days), CHUNK):
        _part(days, np.arange(low, min(low + CHUNK, len(days))), travel, learned, made)
    _reports(days, made)
    return made


def _empty(days: Days, at: float, threshold: float) -> Forecast:
    n, d = days.rows, len(days)

    def column(size: int = n) -> Floats:
        return np.zeros(size)

    return Forecast(
        at=at,
        threshold=threshold,
        arrive=np.zeros((n, len(LEVELS))),
        finish=np.zeros((n, len(LEVELS))),
        mean_arrive=column(),
        mean_finish=column(),
        p_late=column(),
        p_window=column(),
        p_deadline=column(),
        p_shift=column(d),
        expected_report=np.full(d, np.nan),
    )


@dataclass(slots=True)
class _State:
    """Where the technicians of some days are, sample by sample: free [days, samples] and the mean schedule [days]."""

    free: Floats
    mean: Floats
    rested: Bools


def _part(days: Days, which: Ints, travel: Floats, learned: Learned, made: Forecast) -> None:
    """Forecast some days, position by position, all of them at once."""
    counts = days.offset[which + 1] - days.offset[which]
    start = days.shift_start[which]
    state = _State(np.repeat(start[:, None], SAMPLES, axis=1), start.copy(), np.isnan(days.break_start[which]))
    for k in range(int(counts.max(initial=0))):
        live = np.flatnonzero(counts > k)
        rows = days.offset[which[live]] + k
        arrive, mean_arrive = _arrivals(days, rows, which[live], live, k, travel, learned, state, made.at)
        finish, mean_finish = _finishes(days, rows, which[live], k, arrive, mean_arrive, learned, made.at)
        state.free[live], state.mean[live] = finish, mean_finish
        _measure(days, rows, arrive, finish, mean_arrive, mean_finish, made)
    made.p_shift[which] = np.mean(state.free > days.shift_end[which][:, None], axis=1)


def _arrivals(
    days: Days, rows: Ints, day: Ints, live: Ints, k: int, travel: Floats, learned: Learned, state: _State, at: float
) -> tuple[Floats, Floats]:
    """When the visits at position k are reached: [rows, samples] and the mean schedule's [rows]."""
    free, mean = state.free[live], state.mean[live]
    due = ~state.rested[live] & (days.planned_start[rows] >= days.break_start[day])
    length = np.where(due, days.break_end[day] - days.break_start[day], 0.0)
    rest_from = np.where(due, days.break_start[day], -np.inf)
    free = np.maximum(free, rest_from[:, None]) + length[:, None]
    mean = np.maximum(mean, rest_from) + length
    state.rested[live] |= due
    drive = travel[rows]
    opens = np.where(days.early_ok[rows], -np.inf, days.window_start[rows])
    opens = np.maximum(opens, np.where(np.isneginf(opens), days.shift_start[day] + drive, -np.inf))
    u = uniforms(2 * k + 1)[None, :]
    x = free + drive[:, None] - opens[:, None]
    arrive = opens[:, None] + (_first(learned, x, u) if k == 0 else _started(learned, x, u))
    mean_arrive = np.maximum(mean + drive, opens)
    said = ~np.isnan(days.late_at[rows]) & np.isnan(days.arrived[rows])
    named = np.where(said, days.planned_start[rows] + days.late_min[rows], -np.inf)
    arrive, mean_arrive = np.maximum(arrive, named[:, None]), np.maximum(mean_arrive, named)
    left_at = days.on_my_way[rows]
    driving = ~np.isnan(left_at)
    if driving.any():
        there = left_at[:, None] + drive[:, None] * np.exp(DRIVE_SD * np.interp(u, SPREAD, learned.shape))
        there = np.maximum(np.maximum(there, days.window_start[rows][:, None] - 30.0), named[:, None])
        arrive = np.where(driving[:, None], there, arrive)
        mean_arrive = np.where(driving, np.maximum(np.where(driving, left_at, 0.0) + drive, named), mean_arrive)
    arrive = _not_yet(arrive, at, learned.forgotten, uniforms(90 + k))
    known = ~np.isnan(days.arrived[rows])
    arrive = np.where(known[:, None], days.arrived[rows][:, None], arrive)
    over = ~np.isnan(days.finished[rows]) & ~known
    arrive = np.where(over[:, None], days.finished[rows][:, None], arrive)
    mean_arrive = np.where(known, days.arrived[rows], np.maximum(mean_arrive, at))
    return arrive, np.where(over, days.finished[rows], mean_arrive)


def _first(learned: Learned, x: Floats, u: Floats) -> Floats:
    return np.asarray(np.maximum(x, 0.0) + np.interp(u, SPREAD, learned.first))


def _started(learned: Learned, x: Floats, u: Floats) -> Floats:
    """Minutes after the earliest start at which work starts, x minutes after it the technician is free; monotone in x."""
    grid, table = learned.start_x, learned.start
    at = np.clip(np.searchsorted(grid, x) - 1, 0, len(grid) - 2)
    share = np.clip((x - grid[at]) / np.maximum(grid[at + 1] - grid[at], 1e-9), 0.0, 1.0)
    column = np.minimum((np.broadcast_to(u, x.shape) * len(SPREAD)).astype(np.int64), len(SPREAD) - 1)
    low, high = table[at, column], table[at + 1, column]
    return np.asarray(low + share * (high - low) + np.maximum(x - grid[-1], 0.0))


def _not_yet(when: Floats, at: float, forgotten: float, u: Floats) -> Floats:
    """Condition on "no report by now": samples in the past are drawn again from those still to come.

    A share of them stays where it was: the tap was forgotten, and more surely so the less such a delay was to be
    expected (Bayes with the share of taps that are never made). Where none is to come, it comes within minutes.
    """
    past = when <= at
    if not past.any():
        return when
    out = when.copy()
    for i in np.flatnonzero(past.any(axis=1)):
        row, gone = when[i], past[i]
        to_come = np.sort(row[~gone])
        share = gone.mean()
        lost = forgotten * share / (forgotten * share + (1 - forgotten) * max(1 - share, 0.02))
        n = int(gone.sum())
        again = np.flatnonzero(gone)[np.argsort(row[gone], kind="stable")]
        moved = again[round(min(lost, 0.5) * n) :]
        if len(to_come) >= 8:
            out[i, moved] = np.quantile(to_come, u[: len(moved)])
        else:
            ahead = max(3.0, 0.2 * (at - float(np.median(row))))
            out[i, moved] = at - np.log(1.0 - u[: len(moved)]) * ahead
    return out


def _finishes(
    days: Days, rows: Ints, day: Ints, k: int, arrive: Floats, mean_arrive: Floats, learned: Learned, at: float
) -> tuple[Floats, Floats]:
    """When the visits at position k are over: [rows, samples] and the mean schedule's [rows]."""
    planned = days.planned_min[rows]
    mean, sd = spread_of(learned, days.job_type[rows], days.technician[day])
    u = uniforms(2 * k + 2)[None, :]
    known = ~np.isnan(days.arrived[rows])
    whole = sample(learned, planned, mean, sd, u)
    expected = planned * np.exp(mean + 0.0 * sd)
    said = ~np.isnan(days.late_at[rows]) & known
    own = planned + np.where(said, days.late_min[rows], 0.0)
    if known.any():
        elapsed = np.where(known, at - np.where(known, days.arrived[rows], at), 0.0)
        rest, over = left(learned, planned, mean, sd, np.maximum(elapsed, 0.0), u)
        lost = (
            learned.forgotten * over / (learned.forgotten * over + (1 - learned.forgotten) * np.maximum(1 - over, 0.02))
        )
        gone = uniforms(60 + k)[None, :] < np.minimum(lost, 0.5)[:, None]
        under_way = np.where(gone, np.minimum(whole, elapsed[:, None]), rest)
        named = own[:, None] * np.exp(OWN_SPREAD * sd[:, None] * np.interp(u, SPREAD, learned.shape))
        under_way = np.where(said[:, None], np.maximum(np.maximum(rest, named), elapsed[:, None]), under_way)
        whole = np.where(known[:, None], under_way, whole)
        expected = np.where(known, np.maximum(expected, elapsed), expected)
        expected = np.where(said, np.maximum(expected, own), expected)
    done = ~np.isnan(days.finished[rows])
    finish = np.where(done[:, None], days.finished[rows][:, None], arrive + whole)
    return finish, np.where(done, days.finished[rows], mean_arrive + expected)


def _measure(
    days: Days, rows: Ints, arrive: Floats, finish: Floats, mean_arrive: Floats, mean_finish: Floats, made: Forecast
) -> None:
    """Quantiles and chances of the visits at one position."""
    pick = np.minimum((LEVELS * SAMPLES).astype(np.int64), SAMPLES - 1)
    made.arrive[rows] = np.sort(arrive, axis=1)[:, pick]
    made.finish[rows] = np.sort(finish, axis=1)[:, pick]
    made.mean_arrive[rows], made.mean_finish[rows] = mean_arrive, mean_finish
    end = days.window_end[rows][:, None]
    made.p_window[rows] = np.mean(arrive > end, axis=1)
    made.p_late[rows] = np.mean(arrive > end + made.threshold, axis=1)
    limit = days.deadline[rows][:, None]
    by = np.where(days.deadline_arrive[rows][:, None], arrive, finish)
    made.p_deadline[rows] = np.where(np.isnan(limit[:, 0]), np.nan, np.mean(by > limit, axis=1))


def _reports(days: Days, made: Forecast) -> None:
    """When the next report should have come: the end of the visit under way, else the next arrival."""
    for d in range(len(days)):
        rows = np.arange(days.offset[d], days.offset[d + 1])
        open_ = rows[np.isnan(days.finished[rows])]
        if len(open_):
            row = open_[0]
            under_way = not np.isnan(days.arrived[row])
            made.expected_report[d] = (made.finish if under_way else made.arrive)[row, P90]


def visit(made: Forecast, days: Days, row: int) -> VisitForecast:
    """One row as a value, with the numbers behind it."""
    d = int(np.searchsorted(days.offset, row, side="right")) - 1
    first = int(days.offset[d])
    before = int(np.isnan(days.finished[first:row]).sum())
    missed = float(made.p_deadline[row])
    return VisitForecast(
        visit_id=int(days.visit_id[row]),
        at=instant(made.at),
        arrive=(instant(made.arrive[row, P10]), instant(made.arrive[row, P50]), instant(made.arrive[row, P90])),
        finish=(instant(made.finish[row, P10]), instant(made.finish[row, P50]), instant(made.finish[row, P90])),
        mean_arrive=instant(made.mean_arrive[row]),
        mean_finish=instant(made.mean_finish[row]),
        p_late=float(made.p_late[row]),
        p_window=float(made.p_window[row]),
        p_deadline=None if np.isnan(missed) else missed,
        stops_before=before,
    )
