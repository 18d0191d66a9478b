"""Looking at the past as it looked then: what was forecast of each visit before it, and what a budget then allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from punctual.core import told
from punctual.core.accuracy import LOOKS
from punctual.core.chain import over_by
from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned
from punctual.core.fleet import fleet
from punctual.core.forecast import P10, P50, P90
from punctual.core.limit import lifted
from punctual.core.packed import from_bytes, to_bytes
from punctual.core.past import last_steps, past_looks

#: A live company looks every minute and tells what two looks five minutes apart agree on (policy 1): a budget is calibrated
#: on looks as dense as that, or it would be overspent.
WATCHED = tuple(float(x) for x in range(90, 14, -5))
_AT_LOOKS = [WATCHED.index(x) for x in LOOKS]
#: False-alarm budgets a company may choose from.
BUDGETS = (0.01, 0.02, 1 / 30, 0.05, 0.08, 0.1, 0.15, 0.2)
#: Limits of a chance at which a customer is told: below, everybody would be told; above, nobody.
LOWEST, HIGHEST = 0.2, 0.98
LIMITS: Floats = np.round(np.arange(LOWEST, HIGHEST + 1e-9, 0.002), 3)
#: Ways for the limit to rise with the time ahead (limit.lifted).
RISES = (0.0, 0.25, 0.5, 0.75)
#: Dates after which one counts half as much towards the budget - or as many as ENOUGH_VISITS take, if that is more.
HALF_LIFE, ENOUGH_VISITS = 7.0, 500
#: Standard errors of the share of false alarms, from date to date, that must fit the budget too.
PRUDENCE = 0.5
#: Looks five minutes apart see this share of the false alarms that a look every minute makes (two recorded sets alike).
SEEN = 0.77


@dataclass(frozen=True, slots=True)
class Looks:
    """What was forecast of some visits at LOOKS before their planned starts.

    row [n]: rows of the Days looked at. watched [n, len(WATCHED)]: chance of being late, NaN where the visit had begun.
    arrive [n, looks, 3]: 10, 50 and 90 % points in minutes after the planned start. taught: visits the forecast had
    learned from.
    """

    row: Ints
    watched: Floats
    arrive: Floats
    taught: Ints

    @property
    def chance(self) -> Floats:
        """[n, looks]: the chance of being late at LOOKS."""
        return self.watched[:, _AT_LOOKS]

    def to_bytes(self) -> bytes:
        """As kept beside a date's columns: chances to a thousandth, times to a tenth of a minute."""
        return to_bytes(
            {
                "row": self.row,
                "watched": np.round(self.watched, 3).astype(np.float32),
                "arrive": np.round(self.arrive, 1).astype(np.float32),
                "taught": self.taught,
            }
        )


def looks_from(data: bytes) -> Looks:
    """The inverse of to_bytes, to its rounding; nothing for nothing."""
    if not data:
        none = np.empty(0, dtype=np.int64)
        return Looks(none, np.empty((0, len(WATCHED))), np.empty((0, len(LOOKS), 3)), none)
    kept = from_bytes(data)
    return Looks(kept["row"], kept["watched"].astype(np.float64), kept["arrive"].astype(np.float64), kept["taught"])


def looked(days: Days, learned: Learned, threshold: float) -> Looks:
    """Look at every visit of finished days at LOOKS before its planned start, knowing what was reported by then."""
    watched = np.full((days.rows, len(WATCHED)), np.nan)
    arrive = np.full((days.rows, len(LOOKS), 3), np.nan)
    if days.rows:
        over = over_by(days)
        chains, ahead = past_looks(days, np.flatnonzero(~np.isnan(days.arrived)), over, WATCHED)
        samples, free = last_steps(days, chains, learned, over)
        late = told.carried(days, chains, over)
        around = told.prepared(days, learned, chains.last, chains.day, chains.at, late, fleet(days))
        shift = around.shift + told.own_shift(learned, free)
        look = np.searchsorted(-np.asarray(WATCHED), -ahead)
        limit = days.window_end[chains.last] - chains.at + threshold
        watched[chains.last, look] = told.chance_after(learned, around, shift, samples, limit[:, None])[:, 0]
        points = told.quantiles(learned, around, shift, samples)[:, (P10, P50, P90)]
        shown = np.isin(ahead, LOOKS)
        where = np.searchsorted(-np.asarray(LOOKS), -ahead[shown])
        arrive[chains.last[shown], where] = points[shown] - ahead[shown, None]
    return Looks(np.arange(days.rows), watched, arrive, np.full(days.rows, learned.visits, dtype=np.int64))


def spread_over(days: Days, most: int) -> Bools:
    """Which days to look at where there are more than `most`: evenly spread, the same at every call."""
    chosen = np.zeros(len(days), dtype=np.bool_)
    chosen[np.unique(np.linspace(0, len(days) - 1, min(most, len(days))).astype(np.int64))] = True
    return chosen


def highest(watched: Floats, ahead: float, *, rise: float, warn_by: float) -> Floats:
    """For every visit the highest limit (limit.limits, at the warn-by clock) that two looks in a row at least `ahead`
    minutes before it agreed to have reached; 0 without."""
    lift = lifted(np.asarray(WATCHED), rise, warn_by)
    reached = (np.where(np.isnan(watched), 0.0, watched) - lift) / (1.0 - lift)
    early = reached[:, np.asarray(WATCHED) >= ahead]
    return np.asarray(np.max(np.minimum(early[:, :-1], early[:, 1:]), axis=1, initial=0.0))


@dataclass(frozen=True, slots=True)
class Choice:
    """A false-alarm budget and what it buys. chance: at which customers are told. recall: share of the late warned in
    time. in_vain, too_late, unwarned: customers in a hundred. rise: Rules.tell_rise."""

    budget: float
    chance: float
    recall: float
    in_vain: float
    too_late: float
    unwarned: float
    rise: float = 0.0

    @property
    def rules(self) -> dict[str, float]:
        """What it makes of the company's rules."""
        return {"tell_chance": self.chance, "tell_rise": self.rise}


def curve(
    watched: Floats,
    lateness: Floats,
    date: Ints,
    *,
    late: float,
    ahead: float,
    budgets: Sequence[float] = BUDGETS,
) -> list[Choice]:
    """What each budget would have bought: the lowest limit that warns at most that share of those served on time.

    lateness [n]: minutes after the window's end. date [n]: ordinals; a date counts half as much as one HALF_LIFE dates
    newer, for good and bad weeks come in rows, and PRUDENCE standard errors of the share, from date to date, must fit the
    budget as well. ahead: minutes before the planned start that count as in time. Of RISES the one that spares the late
    most minutes. Empty where nobody was on time.
    """
    if not (lateness <= late).any():
        return []
    weight = _recent(date)
    tries = [
        (
            rise,
            highest(watched, 0.0, rise=rise, warn_by=ahead),
            highest(watched, ahead, rise=rise, warn_by=ahead),
        )
        for rise in RISES
    ]
    found = []
    for budget in budgets:
        made = [_choice(budget, rise, ever, early, lateness, date, weight, late) for rise, ever, early in tries]
        found.append(max(made, key=lambda x: x[0])[1])
    return found


def _recent(date: Ints) -> Floats:
    """Weights of visits by how many dates ago they were; a small company's dates count for longer."""
    newest, age = np.unique(date, return_inverse=True)
    ago = (len(newest) - 1 - age).astype(np.float64)
    return np.asarray(0.5 ** (ago / max(HALF_LIFE, ENOUGH_VISITS * len(newest) / len(date))))


def _choice(
    budget: float, rise: float, ever: Floats, early: Floats, lateness: Floats, date: Ints, weight: Floats, late: float
) -> tuple[float, Choice]:
    """The minutes spared the late by this budget with this rise, and the choice."""
    tardy = lateness > late
    limit = _lowest(SEEN * budget, ever[~tardy], date[~tardy], weight[~tardy])
    told, timely = ever >= limit, early >= limit
    minutes, total = weight * np.where(tardy, lateness - late, 0.0), weight.sum()
    share = 100.0 / total
    return float(minutes[timely].sum()), Choice(
        budget=budget,
        chance=round(limit, 3),
        recall=float(weight[timely & tardy].sum() / weight[tardy].sum()) if tardy.any() else 1.0,
        in_vain=float(weight[told & ~tardy].sum() * share),
        too_late=float(weight[told & ~timely & tardy].sum() * share),
        unwarned=float(weight[~told & tardy].sum() * share),
        rise=rise,
    )


def _lowest(budget: float, reached: Floats, date: Ints, weight: Floats) -> float:
    """The lowest limit at which the weighted share of these on-time visits, and its standard error, fit the budget."""
    total = weight.sum()
    _, of = np.unique(date, return_inverse=True)
    whole = np.bincount(of, weight)

    def spent(limit: float) -> float:
        told = np.bincount(of, weight * (reached >= limit))
        share = told.sum() / total
        return float(share + PRUDENCE * np.sqrt(np.sum((told - share * whole) ** 2)) / total)

    low, high = 0, len(LIMITS) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if spent(LIMITS[middle]) <= budget else (middle + 1, high)
    return float(LIMITS[low])
