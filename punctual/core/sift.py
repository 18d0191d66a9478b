"""Many visits at once: for most of them columns alone tell that nobody is told, and why; the rest is decided one by one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints, State, minutes
from punctual.core.forecast import Forecast
from punctual.core.frozen import frozen
from punctual.core.limit import CALL_CHANCE, limits_of
from punctual.core.notice import HIGH, LOW
from punctual.core.policy import Rules

#: The reasons for silence, by code; "" says nothing was written yet. Kept in packed forecasts: only ever append.
REASONS = (
    "", "fine", "inside_threshold", "below_limit", "over", "already_told", "no_news", "second_look", "held",
    "no_channel", "cap", "too_soon", "night", "muted", "storm", "too_late",
)  # fmt: skip
CODES = {name: code for code, name in enumerate(REASONS)}
#: The states of a visit, by code; from OPEN on it is arrived at or over.
STATES: tuple[State, ...] = ("planned", "on_my_way", "arrived", "done", "nobody_home", "cannot_finish")
ON_MY_WAY, OPEN, ENDED = 1, 2, 3
#: A reason is written again when its chance has moved by this much (tenths of a per cent).
STEP = 50


#: As arrays: a NumPy call with a plain number takes half as long again.
_MINUTE, _LIKELY, _TENTHS, _TEN = np.array(60.0), np.array(0.2), np.array(1000.0), np.array(10.0)


@frozen()
class Stands:
    """How visits and days stand beside their numbers. Minutes since 1970 like Days, NaN where there is none.

    By row: `state` (STATES), `reachable`, `held` back by a person, `since` when the chance has been over the limit (not at
    the last look: NaN), `set_out` (told that the technician is on the way); and of the newest notice of this promise that
    told a range or asked: `told` whether there is one, `told_start` and `told_end` its range. By day: `off`, `nudged`.
    """

    state: Ints
    reachable: Bools
    held: Bools
    since: Floats
    set_out: Bools
    told: Bools
    told_start: Floats
    told_end: Floats
    off: Bools
    nudged: Floats


@frozen()
class Sifted:
    """`reason` [rows]: the code of the reason for silence, 0 for a visit to be decided one by one. `chance` [rows]:
    tenths of a per cent, as reasons are compared by."""

    reason: Ints
    chance: Ints


def sift(
    days: Days,
    made: Forecast,
    stands: Stands,
    rules: Rules,
    at: datetime,
    *,
    second_look: bool = True,
    nudged: Floats | None = None,
) -> Sifted:
    """The reason for silence of every visit that columns decide; exactly what notice.decide() says of it.

    `second_look`: a visit over the limit waits for one, because nothing but time has passed (policy.acted). `nudged`
    [days]: when somebody was asked in this silence, where that is not as it stands.
    """
    now, second = minutes(at), at.timestamp()
    chance = made.p_late
    limit = limits_of(days, rules, second)
    crossed = chance >= limit
    reason = _untold(days, made, stands, rules, crossed)
    if np.count_nonzero(stands.told):
        reason = np.where(stands.told, _told(made, stands, rules, at, ~crossed), reason)
    if second_look:
        reason[(reason == 0) & ~stands.told & _waits(stands, rules, at)] = CODES["second_look"]
    if np.count_nonzero(stands.held):
        reason[stands.held] = 0
    if np.count_nonzero(stands.state == ON_MY_WAY):
        reason[_setting_out(days, stands, rules, second)] = 0
    if np.count_nonzero(np.isnan(days.deadline)) < len(reason):
        reason[_missing(days, made, rules, second)] = 0
    nudged = stands.nudged if nudged is None else nudged
    stale = stands.off | (now - made.expected_report - rules.silence_min >= 0)
    some = np.count_nonzero(stale)
    if some:
        day_of = days.day_of
        silent = _silent(days, made, stands, nudged, rules, second, crossed, day_of)
        reason = np.where(stale[day_of], silent, reason)
    reason[crossed == np.isnan(stands.since)] = 0
    reason[stands.state >= OPEN] = CODES["over"]
    if some:
        reason[(stale & np.isnan(nudged))[day_of]] = 0
    return Sifted(reason, np.rint(_TENTHS * chance).astype(np.int64))


def _second(column: Floats) -> Floats:
    """To the second, as instants are made of columns."""
    return np.asarray(np.rint(column * _MINUTE) / _MINUTE)


def _setting_out(days: Days, stands: Stands, rules: Rules, second: float) -> Bools:
    fresh = second - np.rint(days.on_my_way * 60.0) <= 60.0 * rules.useful_on_my_way_min
    return np.asarray((stands.state == ON_MY_WAY) & fresh & stands.reachable & ~stands.set_out)


def _missing(days: Days, made: Forecast, rules: Rules, second: float) -> Bools:
    """The customer's own limit is too unsure to be made: asked about, or asked already."""
    ahead = second < np.rint(days.deadline * 60.0)
    return np.asarray(ahead & (1.0 - made.p_deadline < rules.deadline_chance))


def _untold(days: Days, made: Forecast, stands: Stands, rules: Rules, crossed: Bools) -> Ints:
    """Below the limit: how far; 0 from the limit on."""
    over = made.mean_arrive - _second(days.window_end)
    code = np.array((-np.inf, 0.0, rules.threshold_min)).searchsorted(over)  # so many of them it is more than
    code[made.p_late >= _LIKELY] = CODES["below_limit"]
    if np.count_nonzero(stands.reachable) < len(code):
        crossed = crossed | (~stands.reachable & (made.p_late >= CALL_CHANCE))
    code[crossed] = 0
    return code


def _waits(stands: Stands, rules: Rules, at: datetime) -> Bools:
    """Over the limit at an earlier look, not yet for long enough; to the microsecond."""
    until = np.rint(stands.since * 6e7) + rules.second_look_min * 6e7
    return np.asarray(stands.reachable & (round(at.timestamp() * 1e6) < until))


def _told(made: Forecast, stands: Stands, rules: Rules, at: datetime, back: Bools) -> Ints:
    """Told already: silent while the range stays inside the update band; 0 where it has left it."""
    low, high = _second(made.arrive[:, LOW]), _second(np.maximum(made.arrive[:, LOW], made.arrive[:, HIGH]))
    now = minutes(at)
    step = np.where(np.rint(low * 60.0) - at.timestamp() > 7200.0, 15.0, 5.0)
    start, end = np.floor(low / step) * step, np.ceil(high / step) * step
    need = np.maximum(rules.update_min, rules.update_share * np.maximum(0.0, stands.told_end - now))
    inside = (end - stands.told_end < need) & (stands.told_start - start < rules.update_min)
    still = np.where(back, high >= stands.told_start, inside) | np.isnan(stands.told_start)
    return np.where(still, CODES["already_told"], 0)


def _silent(
    days: Days,
    made: Forecast,
    stands: Stands,
    nudged: Floats,
    rules: Rules,
    second: float,
    crossed: Bools,
    day_of: Ints,
) -> Ints:
    """A day nothing is heard from: no news, until somebody was asked in vain and a promise is at risk."""
    waited = second >= np.rint(nudged * 60.0) + rules.silence_answer_min * 60.0
    risk = crossed | (~np.isnan(days.deadline) & (1.0 - made.p_deadline < rules.deadline_chance))
    warn_by = np.rint(days.window_start * 60.0) - (rules.warn_by_min + rules.silence_answer_min) * 60.0
    risk |= stands.off[day_of] & (second >= warn_by)
    return np.where(waited[day_of] & risk, 0, CODES["no_news"])


def numbers(days: Days, made: Forecast, rows: Ints, rules: Rules, at: datetime) -> list[dict[str, Any]]:
    """The numbers behind a reason for silence, as notice.decide() gives them, for visits that columns decided."""
    low = made.arrive[rows, LOW]
    tenths = np.array((
        100.0 * made.p_late[rows],
        100.0 * limits_of(days, rules, at.timestamp())[rows],
        made.mean_arrive[rows] - _second(days.window_end[rows]),
    ))  # fmt: skip
    tenths = np.rint(tenths * _TEN) / _TEN
    instants = _iso(np.array((low, np.maximum(low, made.arrive[rows, HIGH]))))
    return [
        {"chance": chance, "limit": limit, "threshold": rules.threshold_min, "late_min": late, "from": a, "to": b}
        for chance, limit, late, a, b in zip(*tenths.tolist(), *instants, strict=True)
    ]


def _iso(columns: Floats) -> list[list[str]]:
    """Columns of instants as ISO 8601, to the second."""
    seconds = np.rint(columns * _MINUTE).astype(np.int64).astype("datetime64[s]")
    return [[f"{x}+00:00" for x in column] for column in np.datetime_as_string(seconds).tolist()]
