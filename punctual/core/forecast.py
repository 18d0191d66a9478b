"""Carry the delay through many days at once: when each visit will be reached and finished, and what may break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from punctual.core import told
from punctual.core.ahead import Chains
from punctual.core.chain import Steps, carry, over_by
from punctual.core.day import Bools, Days, Floats, Ints, instant, minutes
from punctual.core.duration import Learned
from punctual.core.fleet import Fleet
from punctual.core.frozen import frozen
from punctual.core.planned import Plan, planned

#: Levels of the told quantiles: 5 % ... 95 %.
LEVELS: Floats = told.TOLD
#: Days forecast in one piece, to bound memory.
CHUNK = 500
P10, P50, P90 = 1, 9, 17
_TWO = [f"{n:02}" for n in range(60)]
_CLOCK = [f"{hour}:{minute}" for hour in _TWO[:24] for minute in _TWO]


@frozen()
class Forecast:
    """Columns of a forecast made at `at` (minutes since 1970, like every time here).

    arrive, finish [rows, 19]: quantiles at LEVELS. mean_arrive, mean_finish [rows]: the mean schedule. p_late: chance
    of arriving more than the threshold after the window's end; p_window: after its end; p_deadline: of missing the
    customer's deadline, NaN without one. expected_report [days]: when, nine times in ten, the next report has come; NaN
    when none is expected. moments [2, rows, 19], mean [2, rows], chances [2, rows]: arrive and finish, mean_arrive and
    mean_finish, p_window and p_late are of these.
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
    expected_report: Floats
    moments: Floats
    mean: Floats
    chances: Floats


@dataclass(frozen=True, slots=True)
class VisitForecast:
    """The forecast of one visit, as shown: instants of the 10, 50 and 90 % points, chances from 0 to 1."""

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


class Eta(NamedTuple):
    """When a visit will be reached: on average, and eight times in ten between `start` and `end`. ISO 8601, as programs
    and phones read them."""

    visit_id: int
    expected: str
    start: str
    end: str


def forecast(
    days: Days, learned: Learned, at: float, *, threshold: float = 15.0, others: Fleet | None = None
) -> Forecast:
    """Forecast every visit of every day at `at` (minutes); deterministic, the same look gives the same answer.

    `others`: how the day of everyone on duty goes so far (fleet.fleet); None leaves it out.
    """
    made = _empty(days, at, threshold)
    over = over_by(days)
    ahead = np.isnan(over).nonzero()[0]
    chains = _open(days, ahead, at)
    if len(ahead) < len(over):
        _over(days, over, np.isfinite(over).nonzero()[0], made)
    plan = planned(days, learned)
    for part in _pieces(chains):
        _part(days, part, learned, over, plan, others, made)
    begun = np.isfinite(days.arrived[chains.first]).astype(np.intp)
    made.expected_report[chains.day] = made.moments[begun, chains.first, P90]
    return made


def next_report(days: Days, learned: Learned, at: Floats, which: Bools) -> Floats:
    """When the next report of some days was expected at a moment of each, `at` [days]: as expected_report, NaN elsewhere."""
    over = over_by(days)
    every = _open(days, np.isnan(over).nonzero()[0], 0.0)
    mine = which[every.day]
    day, row = every.day[mine], every.first[mine]
    chains = Chains(day, row, row, at[day])
    step = carry(days, chains, learned, over, planned(days, learned))
    around = told.prepared(days, learned, row, day, chains.at, told.carried(days, chains, over), None)
    shift = around.shift + told.own_shift(learned, step.free)
    arrive = told.quantiles(learned, around, shift, step.arrive)[:, P90]
    out = np.full(len(days), np.nan)
    out[day] = chains.at + np.where(step.known, told.plain(step.finish)[:, P90], arrive)
    return out


def _empty(days: Days, at: float, threshold: float) -> Forecast:
    n = len(days.visit_id)
    moments, mean, chances = np.empty((2, n, len(LEVELS))), np.empty((2, n)), np.empty((2, n))
    return Forecast(
        at, threshold, moments[0], moments[1], mean[0], mean[1], chances[1], chances[0], _filled(n, np.nan),
        _filled(len(days), np.nan), moments, mean, chances,
    )  # fmt: skip


def _filled(n: int, value: float) -> Floats:
    out = np.empty(n)
    out.fill(value)
    return out


def _open(days: Days, row: Ints, at: float) -> Chains:
    """From the first visit that is not over to the last of each day that has one; `row`: all that are not."""
    day, first = days.firsts(row)
    return Chains(day, first, days.offset[1:][day] - 1, _filled(len(day), at))


def _pieces(chains: Chains) -> Iterator[Chains]:
    """At most CHUNK of them at a time."""
    if len(chains.first) <= CHUNK:
        yield chains
        return
    for low in range(0, len(chains.first), CHUNK):
        yield chains.some(slice(low, low + CHUNK))


def _part(
    days: Days, chains: Chains, learned: Learned, over: Floats, plan: Plan, others: Fleet | None, made: Forecast
) -> None:
    """Forecast some days and measure every visit on the way."""
    steps = carry(days, chains, learned, over, plan)
    around = None
    if told.corrects(learned):
        late, on, now = told.carried(days, chains, over)[steps.which], chains.day[steps.which], chains.at[steps.which]
        around = told.prepared(days, learned, steps.row, on, now, late, others)
    _measure(days, learned, around, steps, made)


def _measure(days: Days, learned: Learned, around: told.Told | None, step: Steps, made: Forecast) -> None:
    """Quantiles and chances of the visits of some days, all positions at once."""
    at, rows, arrive = np.array(made.at), step.ahead.rows, step.arrive
    shown, shift = told.plain(step.moments), None
    if around is not None:
        shift = around.shift + told.own_shift(learned, step.free)
        new = (~step.known).nonzero()[0]
        shown[:, new] = told.ends(learned, around.of(new), shift[new], arrive[new], step.work[new])
    limits = (days.window_end[rows] - at)[:, None] + _limits(made.threshold)
    chance = told.chance_after(learned, around, shift, arrive, limits)
    if around is not None:  # else it is 1 or 0 by itself of what has begun
        np.copyto(chance, arrive[:, :1] > limits, where=step.known[:, None])
    made.chances[:, rows] = chance.T
    deadline = days.deadline[rows]
    asked = np.isfinite(deadline).nonzero()[0]
    if len(asked):
        who = step.row[asked]
        by = np.where(days.deadline_arrive[who][:, None], shown[0, asked], shown[1, asked])
        made.p_deadline[who] = _beyond(by, deadline[asked] - at)
    shown += at
    made.moments[:, rows] = shown
    step.mean += at
    made.mean[:, rows] = step.mean


@lru_cache(maxsize=8)
def _limits(threshold: float) -> Floats:
    """How long after a window's end an arrival breaks the promise, and is late."""
    return np.array((0.0, threshold))


def _beyond(quantiles: Floats, limit: Floats) -> Floats:
    """The chance [n] of more than a limit [n], read off told quantiles [n, 19]; nothing lies beyond a half step more."""
    ends = np.concatenate(
        [2 * quantiles[:, :1] - quantiles[:, 1:2], quantiles, 2 * quantiles[:, -1:] - quantiles[:, -2:-1]], axis=1
    )
    n, rows = np.sum(ends <= limit[:, None], axis=1), np.arange(len(ends))
    low, high = ends[rows, np.maximum(n - 1, 0)], ends[rows, np.minimum(n, 20)]
    share = np.where(high > low, (limit - low) / np.maximum(high - low, 1e-9), 0.0)
    share = np.minimum(np.maximum(share, 0.0), 1.0)
    return np.asarray(1.0 - np.minimum(np.maximum((n - 1 + share) * 0.05, 0.0), 1.0))


def _over(days: Days, over: Floats, row: Ints, made: Forecast) -> None:
    """What is over was as it was reported, and is not chance any more."""
    came, ended, end = days.arrived[row], over[row], days.window_end[row]
    came = np.where(np.isnan(came), ended, came)
    made.mean[:, row] = both = np.array((came, ended))
    made.moments[:, row] = both[:, :, None]
    made.p_window[row], made.p_late[row] = came > end, came > end + made.threshold
    deadline = days.deadline[row]
    missed = np.where(days.deadline_arrive[row], came, ended) > deadline
    made.p_deadline[row] = np.where(np.isnan(deadline), np.nan, missed)


def expected(made: Forecast, days: Days, rows: Ints) -> list[Eta]:
    """When some visits will be reached, in the order of their rows."""
    columns = made.mean_arrive, made.arrive[:, P10], made.arrive[:, P90]
    texts = [list(map(_text, column[rows].tolist())) for column in columns]
    return list(map(Eta, days.visit_id[rows].tolist(), *texts))


def eta(known: VisitForecast) -> Eta:
    """The same of a forecast that was kept."""
    return Eta(known.visit_id, *(_text(minutes(at)) for at in (known.mean_arrive, known.arrive[0], known.arrive[2])))


def _text(value: float) -> str:
    """A time column's value as ISO 8601, to the second, without a datetime in between, which costs more."""
    minute, second = divmod(round(value * 60.0), 60)
    day, minute = divmod(minute, 1440)
    return f"{_date(day)}T{_CLOCK[minute]}:{_TWO[second]}Z"


@lru_cache(maxsize=8)
def _date(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


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
