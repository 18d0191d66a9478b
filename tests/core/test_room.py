"""Packed days: no start that is found breaks a promise, none of those that break nothing is lost, waits absorb."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from punctual.core import forecast as core
from punctual.core.day import Day, Place, Visit, Window, instant, minutes, pack
from punctual.core.duration import nothing
from punctual.core.room import Found, Work, expected, fits, gaps, late, plan
from punctual.core.slot import keeps, spreads
from tests import walk

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
#: Days of the bounded run; the soak takes them all.
FEW, ALL = 400, 10_000
RISK, WINDOW = 0.2, 30.0
HOUR = timedelta(hours=1)
HERE, THERE = Place(51.45, -2.60, 90), Place(51.48, -2.55, 91)


def starts(day: Day) -> np.ndarray:  # type: ignore[type-arg]
    first = minutes(day.shift.start) // 15 * 15
    return np.arange(first, minutes(day.shift.end) + 15, 15.0)


def found(day: Day, visit: Visit, z: float, at: datetime = NOW) -> list[datetime]:
    assert visit.place is not None
    work = Work(visit.place.lat, visit.place.lon, 1, visit.planned_min, WINDOW, {}, {})
    grid = starts(day)
    some: Found = fits(gaps(pack([day]), nothing(), minutes(at), z), work, grid, nothing(), z)
    return [instant(grid[i]) for i in sorted(some.start.tolist())]


def new(n: int) -> Visit:
    place = Place(51.45 + 0.01 * (n % 5 - 2), -2.6 + 0.01 * (n % 7 - 3), 99)
    return Visit(1000, 1, NOW, float((30, 45, 60, 90)[n % 4]), Window(NOW, NOW), place)


def offered(day: Day, visit: Visit) -> list[datetime]:
    """What is offered of the starts that fit: the full forecast has the last word."""
    fit = found(day, visit, spreads(RISK))
    put = [walk.put(day, visit, t, WINDOW) for t in fit]
    columns = pack([day, *put])
    made = core.forecast(columns, nothing(), minutes(NOW))
    sure = keeps(columns, made, np.zeros(len(fit), dtype=np.int64), visit.id, RISK)
    return [t for t, x in zip(fit, sure, strict=True) if not np.isnan(x)]


def breaks_on_the_mean(day: Day, visit: Visit, start: datetime) -> list[int]:
    """The visits whose promise breaks on the mean schedule by the new one: late now, and not as late before."""
    before = {v.id: a for v, (a, _) in zip(day.visits, walk.mean(day, NOW), strict=True)}
    after = walk.put(day, visit, start, WINDOW)
    return [
        v.id
        for v, (arrive, end) in zip(after.visits, walk.mean(after, NOW), strict=True)
        if walk.broken(v, arrive, end) and arrive > before.get(v.id, v.window.start) + timedelta(seconds=2)
    ]


def check(seeds: range, tries: int) -> int:
    """No offered start breaks a promise on the mean schedule or raises a chance over the limit; returns how many."""
    n = 0
    for seed in seeds:
        day, visit = walk.random_day(seed, NOW), new(seed)
        times = offered(day, visit)
        for start in times[:: max(1, len(times) // 2)]:
            n += 1
            assert breaks_on_the_mean(day, visit, start) == [], (seed, start)
            before = walk.chances(day, NOW, tries, seed)
            after = walk.chances(walk.put(day, visit, start, WINDOW), NOW, tries, seed + 1)
            noise = 4.0 * (0.25 / tries) ** 0.5 + 0.03
            for i, chance in after.items():
                assert chance <= max(RISK, before.get(i, 0.0)) + noise, (seed, start, i, chance, before.get(i))
    return n


def test_no_offered_time_breaks_a_promise_or_raises_a_chance_over_the_limit() -> None:
    assert check(range(FEW // 4), 300) > 50


@pytest.mark.soak
def test_no_offered_time_does_so_in_ten_thousand_days() -> None:
    assert check(range(ALL), 8000) > 10_000


def test_no_start_that_fits_breaks_a_promise_on_the_mean_schedule() -> None:
    n = 0
    for seed in range(FEW):
        day, visit = walk.random_day(seed, NOW), new(seed)
        for start in found(day, visit, 0.0):
            n += 1
            assert breaks_on_the_mean(day, visit, start) == [], (seed, start)
    assert n > 1000


def test_a_start_that_does_not_fit_would_break_something_or_begin_late() -> None:
    n = 0
    for seed in range(FEW):
        day, visit = walk.random_day(seed, NOW), new(seed)
        fit = set(found(day, visit, 0.0))
        for start in {instant(x) for x in starts(day)} - fit:
            n += 1
            after = walk.put(day, visit, start, WINDOW)
            lived = dict(zip((v.id for v in after.visits), walk.mean(after, NOW), strict=True))
            mine = lived[visit.id]
            punctual = mine[0] <= start
            inside = start + timedelta(minutes=visit.planned_min) <= day.shift.end
            free = not any(v.window.start == v.planned_start == start for v in day.visits)
            rest = day.break_ is None or not day.break_.start - HOUR <= start < day.break_.end
            if punctual and inside and free and rest and start >= NOW:
                assert breaks_on_the_mean(day, visit, start) or slipped(day, after), (seed, start)
    assert n > 1000


def slipped(day: Day, after: Day) -> bool:
    """Somebody whose promise is broken already would come later still, or the break begins too late."""
    before = {v.id: a for v, (a, _) in zip(day.visits, walk.mean(day, NOW), strict=True)}
    lived = {v.id: a for v, (a, _) in zip(after.visits, walk.mean(after, NOW), strict=True)}
    rest = day.break_ is not None
    return rest or any(
        lived[i] > max(a, next(v.window.end for v in day.visits if v.id == i)) for i, a in before.items()
    )


def test_the_checker_notices_a_time_that_breaks_a_promise() -> None:
    busy = one_day(visit(1, 10, 60), visit(2, 11, 60))
    assert breaks_on_the_mean(busy, new(2), NOW + timedelta(hours=2, minutes=15)) != []
    tight = walk.put(busy, new(1), NOW + timedelta(minutes=60), WINDOW)
    assert walk.chances(tight, NOW, 500, 1)[1] > walk.chances(busy, NOW, 500, 1)[1] + 0.02


def visit(n: int, hour: int, long: float, window: int = 30, **more: object) -> Visit:
    start = datetime(2026, 11, 24, hour, tzinfo=UTC)
    return Visit(n, 1, start, long, Window(start, start + timedelta(minutes=window)), HERE, **more)  # type: ignore[arg-type]


def one_day(*visits: Visit, pause: Window | None = None, home: Place | None = HERE) -> Day:
    return Day(1, 7, NOW.date(), Window(NOW, NOW + 9 * HOUR), visits, pause, home)


def test_an_empty_day_takes_a_visit_after_the_drive_and_before_the_shift_ends() -> None:
    far = Visit(1000, 1, NOW, 60.0, Window(NOW, NOW), THERE)
    times = found(one_day(), far, 0.0)
    way = walk.drive(HERE, THERE)
    assert NOW + timedelta(minutes=way) <= times[0] < NOW + timedelta(minutes=way + 15)
    assert times[-1] == NOW + 8 * HOUR


def test_the_spread_of_the_work_keeps_a_distance_to_the_next_promise() -> None:
    day = one_day(visit(1, 12, 60))
    plan_only, with_spread = found(day, new(2), 0.0), found(day, new(2), spreads(RISK))
    before = [t for t in plan_only if t < NOW + 4 * HOUR]
    sure = [t for t in with_spread if t < NOW + 4 * HOUR]
    assert before[-1] > sure[-1] > NOW


def test_a_wait_absorbs_what_came_before_it() -> None:
    mean, variance = late(np.array([20.0, 20.0]), np.array([0.0, 60.0]))
    assert mean[0] == pytest.approx(20.0 * 0.3989, abs=0.1)
    assert mean[1] < 0.1
    assert variance[1] < variance[0] < 400.0


def test_a_visit_under_way_that_runs_over_pushes_what_is_free() -> None:
    at = NOW + 3 * HOUR
    running = visit(1, 9, 60, state="arrived", arrived_at=NOW + HOUR)
    made = plan(pack([one_day(running)]), nothing(), minutes(at), 0.0)
    assert instant(made.finish[0]) == at + timedelta(minutes=24)
    assert all(t >= at + timedelta(minutes=24) for t in found(one_day(running), new(0), 0.0, at))


def test_the_break_is_kept_and_what_fits_lies_before_or_after_it() -> None:
    pause = Window(NOW + 4 * HOUR, NOW + 4.5 * HOUR)
    times = found(one_day(pause=pause), new(2), 0.0)
    assert NOW + timedelta(hours=3, minutes=30) in times
    assert not [t for t in times if NOW + 4 * HOUR <= t < NOW + 4.5 * HOUR]
    assert any(t >= pause.end for t in times)


def test_somebody_at_risk_already_does_not_come_later() -> None:
    late_one = visit(2, 9, 60, window=0)
    day = one_day(visit(1, 8, 60), late_one)
    assert [t for t in found(day, new(0), 0.0) if t < late_one.planned_start + HOUR] == []


def test_the_customers_own_limit_counts_as_a_promise() -> None:
    limit = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)
    free, bound = one_day(visit(1, 11, 60, window=120)), one_day(visit(1, 11, 60, window=120, deadline=limit))
    assert len(found(bound, new(1), 0.0)) < len(found(free, new(1), 0.0))


def test_the_gap_with_the_most_room_stands_first_and_small_ones_are_not_looked_at() -> None:
    packed = gaps(pack([one_day(visit(1, 9, 60), visit(2, 13, 60)), one_day()]), nothing(), minutes(NOW), 0.0)
    assert packed["room"].tolist() == sorted(packed["room"].tolist(), reverse=True)
    assert found(one_day(), Visit(1000, 1, NOW, 600.0, Window(NOW, NOW), HERE), 0.0) == []


def test_work_that_usually_takes_longer_than_planned_is_given_its_time() -> None:
    usual, sd = expected(nothing(), np.array([60.0]), np.array([1]), np.array([1]))
    assert usual[0] == pytest.approx(63.1, abs=0.1)
    assert 20.0 < sd[0] < 26.0
