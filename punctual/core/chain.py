"""Carry delay through days, position by position, many days at once: free, drive, start, work, free again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from punctual.core.day import Bools, Days, Floats, Ints
from punctual.core.duration import Learned, shape_of, spread_of
from punctual.core.spread import SAMPLES, Singles, order, still_to_come
from punctual.core.start import first_started, started

#: Spread of a drive under way, log scale.
DRIVE_SD = 0.25
#: Nobody on the way arrives more than this before the window opens, minutes.
EARLY = 30.0


@dataclass(frozen=True, slots=True)
class Chains:
    """Stretches of days to forecast: rows first..last of a day, looked at `at` [n].

    `seen` [n]: reports up to then are known. Live that is everything there is; for the past, what was known at `at`.
    """

    day: Ints
    first: Ints
    last: Ints
    at: Floats
    seen: Floats


@dataclass(frozen=True, slots=True)
class Step:
    """One position of some chains. Moments are minutes after each chain's `at`; samples ascend.

    which [n]: the chains; row [n]; opens [n]: the earliest start; free [n]: by how much the technician is free too late
    for it on average; known [n]: has begun; arrive, finish [n, SAMPLES]; work [n, SAMPLES]: how long the visit takes, in
    the order in which it meets the arrivals; mean_arrive, mean_finish [n].
    """

    which: Ints
    row: Ints
    opens: Floats
    free: Floats
    known: Bools
    arrive: Singles
    finish: Singles
    work: Singles
    mean_arrive: Floats
    mean_finish: Floats


@dataclass(slots=True)
class _State:
    """Where the technicians are after the last step: samples of when they are free, and the mean schedule's."""

    free: Singles
    mean: Floats
    rested: Bools


def over_by(days: Days) -> Floats:
    """When each row's work was over: as reported, else when the technician had arrived somewhere later that day."""
    lost = np.isnan(days.finished) & ~np.isnan(days.arrived)
    if not lost.any():
        return days.finished
    day_of = np.repeat(np.arange(len(days)), np.diff(days.offset))
    base, span = np.nanmin(days.arrived), np.nanmax(days.arrived) - np.nanmin(days.arrived) + 10.0
    key = np.where(np.isnan(days.arrived), span - 1.0, days.arrived - base) + day_of * span
    later = np.append(np.minimum.accumulate(key[::-1])[::-1][1:], np.inf) - day_of * span
    lost &= (later < span - 1.0) & (later + base >= days.arrived)
    return np.where(lost, later + base, days.finished)


def carry(days: Days, chains: Chains, learned: Learned, over: Floats, travel: Floats) -> Iterator[Step]:
    """Forecast chains step by step; `over` and `travel` [rows] as from over_by and start.travelled."""
    head = chains.first == days.offset[chains.day]
    before = np.maximum(chains.first - 1, 0)
    free = np.where(head, days.shift_start[chains.day], over[before]) - chains.at
    rested = np.isnan(days.break_start[chains.day])
    if not rested.all():
        rested |= ~head & (days.planned_start[before] >= days.break_start[chains.day])
    state = _State(np.repeat(free[:, None], SAMPLES, axis=1).astype(np.float32), free, rested)
    which = np.arange(len(chains.first))
    usual = _usual(days, learned)
    for k in range(int((chains.last - chains.first).max(initial=-1)) + 1):
        which = which[chains.first[which] + k <= chains.last[which]]
        step = _step(days, chains, which, k, learned, over, travel, state, usual)
        state.free[which], state.mean[which] = step.finish, step.mean_finish
        yield step


@dataclass(frozen=True, slots=True)
class _Usual:
    """How long the work of each row takes on the log scale, and the shape of the spread at each sample's level."""

    mean: Floats
    sd: Floats
    shape: Singles


def _usual(days: Days, learned: Learned) -> _Usual:
    mean, sd = spread_of(learned, days.job_type, np.repeat(days.technician, np.diff(days.offset)))
    return _Usual(mean, sd, shape_of(learned).astype(np.float32))


def _step(
    days: Days, chains: Chains, which: Ints, k: int, learned: Learned, over: Floats, travel: Floats, state: _State,
    usual: _Usual,
) -> Step:  # fmt: skip
    row, day, at, seen = chains.first[which] + k, chains.day[which], chains.at[which], chains.seen[which]
    come = np.where(days.arrived[row] <= seen, days.arrived[row], np.nan) - at
    gone = np.where(over[row] <= seen, over[row], np.nan) - at
    come = np.where(np.isnan(come), gone, come)
    free, mean = _rest(days, row, day, at, which, state)
    drive = travel[row]
    opens = np.where(days.early_ok[row], days.shift_start[day] + drive, days.window_start[row]) - at
    x = free + (drive - opens).astype(np.float32)[:, None]
    begun = ~np.isnan(come)
    arrive, mean_arrive = _arrivals(days, row, day, k, at, seen, learned, x, opens, drive, mean + drive)
    if begun.any():
        arrive[begun] = come[begun, None]
        mean_arrive = np.where(begun, come, mean_arrive)
    finish, work, mean_finish = _finishes(days, row, k, at, seen, learned, usual, arrive, mean_arrive, begun)
    done = ~np.isnan(gone)
    if done.any():
        finish[done] = gone[done, None]
        mean_finish = np.where(done, gone, mean_finish)
    return Step(which, row, opens, x.mean(axis=1), begun, arrive, finish, work, mean_arrive, mean_finish)


def _rest(days: Days, row: Ints, day: Ints, at: Floats, which: Ints, state: _State) -> tuple[Singles, Floats]:
    """A break that is due before this visit is taken: free after it."""
    free, mean = state.free[which], state.mean[which]
    due = ~state.rested[which]
    if due.any():
        due &= days.planned_start[row] >= days.break_start[day]
    if due.any():
        length = np.where(due, days.break_end[day] - days.break_start[day], 0.0)
        begins = np.where(due, days.break_start[day] - at, -np.inf)
        free = np.maximum(free, begins.astype(np.float32)[:, None]) + length.astype(np.float32)[:, None]
        mean = np.maximum(mean, begins) + length
        state.rested[which] |= due
    return free, mean


def _arrivals(
    days: Days, row: Ints, day: Ints, k: int, at: Floats, seen: Floats, learned: Learned, x: Singles, opens: Floats,
    drive: Floats, mean: Floats,
) -> tuple[Singles, Floats]:  # fmt: skip
    """When visits not begun yet are reached: sorted samples and the mean schedule's.

    Only the first of a chain says something by its silence; that a later one has not begun follows from the earlier.
    """
    head = row == days.offset[day]
    arrive = started(learned, x, 2 * k)
    if head.any():
        arrive[head] = first_started(learned, x[head], 2 * k)
    arrive += opens.astype(np.float32)[:, None]
    mean = np.maximum(mean, opens)
    said = (days.late_at[row] <= seen) & ~(days.arrived[row] <= seen)
    named = np.where(said, days.planned_start[row] + days.late_min[row] - at, -np.inf)
    if said.any():
        arrive = np.maximum(arrive, named[:, None].astype(np.float32))
        mean = np.maximum(mean, named)
    driving = np.flatnonzero(days.on_my_way[row] <= seen)
    if len(driving):
        r = row[driving]
        left = days.on_my_way[r] - at[driving]
        way = drive[driving]
        z = shape_of(learned)[None, :]
        there = left[:, None] + way[:, None] * np.exp(DRIVE_SD * z)
        least = np.maximum(days.window_start[r] - at[driving] - EARLY, named[driving])
        arrive[driving] = np.maximum(there, least[:, None])
        mean[driving] = np.maximum(left + way, named[driving])
    arrive.sort(axis=1)
    tail = np.maximum(3.0, 0.25 * (arrive[:, -1] - arrive[:, SAMPLES // 2]))
    if k == 0:
        arrive = still_to_come(arrive, np.zeros(len(row)), tail, learned.forgotten)
    else:
        arrive = np.maximum(arrive, np.float32(0.0))
    return arrive, np.maximum(mean, 0.0)


def _finishes(
    days: Days, row: Ints, k: int, at: Floats, seen: Floats, learned: Learned, usual: _Usual, arrive: Singles,
    mean_arrive: Floats, begun: Bools,
) -> tuple[Singles, Singles, Floats]:  # fmt: skip
    """When they are over, how long the work takes, and the mean schedule's end."""
    planned = days.planned_min[row]
    mean, sd, z = usual.mean[row], usual.sd[row], usual.shape[order(2 * k + 1)]
    whole = np.exp(sd.astype(np.float32)[:, None] * z + (mean + np.log(planned)).astype(np.float32)[:, None])
    expected = planned * np.exp(mean)
    finish = arrive + whole
    now = np.flatnonzero(begun)
    if len(now):
        finish[now] = mean_arrive[now, None] + whole[now]
    finish.sort(axis=1)
    if len(now):
        r, since = row[now], mean_arrive[now]
        tail = np.maximum(3.0, 0.25 * sd[now] * np.maximum(finish[now, -1] - since, planned[now]))
        finish[now] = still_to_come(finish[now], np.zeros(len(now)), tail, learned.forgotten)
        said = (days.late_at[r] <= seen[now]) & (days.late_min[r] > 0)
        own = np.where(said, planned[now] + days.late_min[r], 0.0)
        finish[now] = np.maximum(finish[now], _as_said(own[said], since[said], tail[said], said, learned))
        expected[now] = np.maximum(np.maximum(expected[now], own), -since)
    return finish, whole, mean_arrive + expected


def _as_said(own: Floats, since: Floats, tail: Floats, said: Bools, learned: Learned) -> Singles:
    """Samples of the end by the technician's own word, as right as such words have been; -inf where nothing was said."""
    out = np.full((len(said), SAMPLES), -np.inf, dtype=np.float32)
    if len(own):
        z = shape_of(learned)
        named = since[:, None] + own[:, None] * np.exp(learned.own_mean + learned.own_sd * z[None, :])
        out[said] = still_to_come(named.astype(np.float32), np.zeros(len(own)), tail, learned.forgotten)
    return out
