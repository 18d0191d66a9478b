"""Which free times are offered: on the local grid, few that differ, the least loss first, none that is unsure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from punctual.core.day import Day, Visit, Window, local, minutes, pack
from punctual.core.duration import nothing
from punctual.core.forecast import forecast
from punctual.core.room import Found
from punctual.core.slot import APART, Slot, Wish, apart, grid, in_time, keeps, loss, pick, spreads, starts, usual

LONDON = "Europe/London"


def test_starts_lie_on_the_local_grid_through_both_clock_changes() -> None:
    for on in (date(2026, 3, 29), date(2026, 10, 25)):
        begin = datetime(on.year, on.month, on.day, tzinfo=UTC) - timedelta(hours=2)
        found = grid(Window(begin, begin + timedelta(hours=10)), LONDON, 15)
        assert found == sorted(set(found))
        assert all(local(t, LONDON).minute % 15 == 0 for t in found)
        assert begin <= found[0]
        assert found[-1] <= begin + timedelta(hours=10)


def test_the_grid_follows_a_zone_that_is_off_by_45_minutes() -> None:
    begin = datetime(2026, 11, 24, 2, 7, tzinfo=UTC)
    found = grid(Window(begin, begin + timedelta(hours=2)), "Asia/Kathmandu", 30)
    assert [local(t, "Asia/Kathmandu").strftime("%H:%M") for t in found] == ["08:00", "08:30", "09:00", "09:30"]


TODAY = date(2026, 11, 24)
GRID = starts(TODAY, TODAY + timedelta(days=14), LONDON, 15)
#: Tuesday at nine with technician 2.
WISH = Wish(technician=2, today=TODAY.toordinal(), day=TODAY.toordinal(), minute=540)
NAN = float("nan")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def some(*slots: tuple[int, datetime]) -> Found:
    index = np.searchsorted(GRID.at, [minutes(t) for _, t in slots])
    technician = np.array([t for t, _ in slots], dtype=np.int64)
    return Found(index, technician, technician, np.full(len(slots), 10.0), np.full(len(slots), 60.0))


MANY = some(*((t, at(d, h, m)) for d in (24, 25, 26) for h in range(9, 17) for m in (0, 30) for t in (1, 2, 3)))


def all_sure(asked: Sequence[int]) -> list[float]:
    return [0.95] * len(asked)


def shown(found: Found, wish: Wish = WISH, most: int = 6) -> list[tuple[int, datetime, str]]:
    picked = pick(found, GRID, wish, most, window=30.0, sure=all_sure)
    walls = [datetime.fromtimestamp(GRID.at[found.start[i]] * 60, tz=UTC) for i, _, _ in picked]
    return [(int(found.technician[i]), t, why.partition(":")[0]) for (i, why, _), t in zip(picked, walls, strict=True)]


def test_the_few_times_shown_differ_in_kind() -> None:
    found = shown(MANY)
    assert len({t for _, t, _ in found}) == len(found) == 6
    assert {why for _, _, why in found} >= {"soonest", "same_technician", "other_technician", "morning", "afternoon"}
    assert found[0] == (2, at(24, 9), "soonest")


def test_a_short_list_is_the_soonest_and_what_loses_least_of_the_other_kinds() -> None:
    assert [(t, why) for _, t, why in shown(MANY, most=3)] == [
        (at(24, 9), "soonest"),
        (at(24, 10), "same_technician"),
        (at(25, 9), "morning"),
    ]
    tomorrow = some(*((1, at(25, h, m)) for h in (13, 14) for m in (0, 15, 30, 45)), (2, at(26, 14)), (2, at(27, 14)))
    assert [(t, why) for _, t, why in shown(tomorrow, most=3)] == [
        (at(25, 13), "soonest"),
        (at(26, 14), "afternoon"),
        (at(27, 14), "afternoon"),
    ], "one day's afternoon is one kind of time"


def dense(seed: int) -> tuple[Found, Wish]:
    """A random company's free times, every quarter of an hour of some stretches, and what its customer has now."""
    dice = random.Random(seed)
    slots = set()
    for _ in range(dice.randint(1, 30)):
        begin = minutes(at(24, 8)) + 1440 * dice.randint(0, 13) + 15 * dice.randint(0, 36)
        who = dice.randint(1, 8)
        slots |= {(who, begin + 15 * n) for n in range(dice.randint(1, 12))}
    rows = [(who, datetime.fromtimestamp(60 * t, tz=UTC)) for who, t in sorted(slots)]
    habit = (dice.randint(0, 4), 15 * dice.randint(32, 64)) if dice.random() < 0.5 else None
    day = TODAY.toordinal() + dice.choice([0, 0, 1])
    return some(*rows), Wish(dice.choice([None, 1, 2, 9]), TODAY.toordinal(), day, 15 * dice.randint(32, 64), habit)


def near(times: Sequence[float], least: float) -> bool:
    """Whether two of some times lie nearer than that."""
    return any(b - a < least for a, b in pairwise(sorted(times)))


def half(found: Found, i: int) -> int:
    """Which half of which local day a time is in."""
    return 2 * int(GRID.day[found.start[i]]) + int(GRID.minute[found.start[i]] >= 720)


def without_rule(found: Found, wish: Wish, most: int) -> list[int]:
    """What was shown before times had to differ: the least loss."""
    return np.argsort(loss(found, GRID, wish), kind="stable")[:most].tolist()


@pytest.mark.parametrize("seeds", [range(300), pytest.param(range(10_000), marks=pytest.mark.soak)])
def test_on_random_days_no_two_offered_times_are_nearly_the_same_and_none_that_differs_is_missing(seeds: range) -> None:
    control = missed = 0
    for seed in seeds:
        (found, wish), most, window = dense(seed), 3 + seed % 5, (30.0, 45.0, 90.0)[seed % 3]
        doubt = random.Random(seed)
        chance = [NAN if doubt.random() < 0.2 else doubt.uniform(0.8, 1.0) for _ in range(len(found))]
        looked_at: set[int] = set()

        def say(asked: Sequence[int], c: list[float] = chance, seen: set[int] = looked_at) -> list[float]:
            seen |= set(asked)
            return [c[i] for i in asked]

        picked = pick(found, GRID, wish, most, window=window, sure=say)
        times = [float(GRID.at[found.start[i]]) for i, _, _ in picked]
        assert not near(times, max(APART[1], window)), seed
        if len(picked) < min(most, 4):
            rest = [i for i in range(len(found)) if i not in looked_at and not np.isnan(chance[i])]
            far = max(APART[1], window)
            missed += any(all(abs(float(GRID.at[found.start[i]]) - t) >= far for t in times) for i in rest)
        if any(not why for _, why, _ in picked):
            good = [i for i in looked_at if not np.isnan(chance[i]) and half(found, i) >= 2 * wish.today + 2]
            seen, apart = {half(found, i) for i, _, _ in picked}, max(APART[0], window)
            rest = [float(GRID.at[found.start[i]]) for i in good if half(found, i) not in seen]
            assert all(any(abs(t - x) < apart for x in times) for t in rest), (
                f"{seed}: filled up while another half day is free"
            )
        control += near([float(GRID.at[found.start[i]]) for i in without_rule(found, wish, most)], APART[1])
    assert missed * 1000 <= len(seeds), "a short list although more is free"
    assert control > len(seeds) // 2, "ranked by loss alone, quarter hours crowd the list"


def test_the_soonest_time_prefers_the_technician_who_is_known() -> None:
    assert shown(MANY, Wish(3, TODAY.toordinal(), TODAY.toordinal(), 540))[0][0] == 3


def test_another_technician_is_shown_at_another_time_than_the_soonest() -> None:
    found = shown(
        some((1, at(24, 9)), (2, at(24, 9)), (2, at(24, 10))), Wish(1, TODAY.toordinal(), TODAY.toordinal(), 540)
    )
    assert [(t, when.hour) for t, when, _ in found] == [(1, 9), (2, 10)]


def test_the_usual_time_of_a_customer_is_among_them() -> None:
    habit = usual([at(3, 10), at(10, 10, 15), at(12, 15)], LONDON)
    assert habit == (1, 600)
    found = some(*((1, at(d, h)) for d in (24, 25, 26, 27, 28, 29, 30) for h in (8, 14)), (1, at(24, 16)))
    week = some(*((1, at(d, h)) for d in (25, 26, 27) for h in (8, 14)), (1, datetime(2026, 12, 1, 10, tzinfo=UTC)))
    wish = Wish(1, TODAY.toordinal(), TODAY.toordinal(), 540, habit)
    assert (1, datetime(2026, 12, 1, 10, tzinfo=UTC), "usual") in shown(week, wish)
    assert "usual" not in {why for _, _, why in shown(found, wish)}
    assert usual([at(3, 10)], LONDON) is None
    assert usual([at(3, 10), at(4, 11), at(5, 12)], LONDON) is None


def test_more_times_are_filled_up() -> None:
    assert len({t for _, t, _ in shown(MANY, most=30)}) == 30


def test_nothing_free_offers_nothing() -> None:
    assert shown(some()) == []


def test_the_place_of_an_unsure_time_goes_to_the_next_of_its_kind() -> None:
    early = {int(i) for i in np.flatnonzero(GRID.at[MANY.start] < minutes(at(24, 9, 30)))}
    picked = pick(MANY, GRID, WISH, 6, window=30.0, sure=lambda asked: [NAN if i in early else 0.9 for i in asked])
    assert len(picked) == 6
    assert not early & {i for i, _, _ in picked}
    assert "soonest" in {why for _, why, _ in picked}
    assert pick(MANY, GRID, WISH, 6, window=30.0, sure=lambda asked: [NAN] * len(asked)) == []


def test_behind_the_soonest_stands_who_loses_less_and_unsure_times_behind_them() -> None:
    found = some((2, at(24, 10)), (2, at(25, 9)), (1, at(25, 9)), (2, at(25, 14)), (2, at(26, 9)))
    cost = loss(found, GRID, WISH)
    assert cost[0] < cost[1] < cost[2] < cost[4] < cost[3]
    doubt = {1: 0.2}
    picked = pick(found, GRID, WISH, 3, window=30.0, sure=lambda asked: [doubt.get(i, 1.0) for i in asked])
    assert [(i, sure) for i, _, sure in picked] == [(0, 1.0), (3, 1.0), (1, 0.2)]


def sure(before: float, after: float, own: float) -> float:
    """How sure the new visit 9 is, put into a day with one other visit, by everybody's chance of breaking."""
    window = Window(at(24, 9), at(24, 10))
    one, new = (Visit(n, 1, at(24, 9), 45.0, window, None) for n in (1, 9))
    bare = Day(1, 1, TODAY, Window(at(24, 8), at(24, 17)), (one,))
    days = pack([bare, replace(bare, visits=(one, new))])
    made = replace(forecast(days, nothing(), minutes(at(24, 8))), p_window=np.array([before, after, own]))
    (found,) = keeps(days, made, np.zeros(1, dtype=np.int64), 9, 0.2)
    return float(found)


def test_a_time_is_offered_only_where_nobodys_chance_of_breaking_rises_over_the_limit() -> None:
    assert sure(0.05, 0.15, 0.1) == pytest.approx(0.9)
    assert np.isnan(sure(0.05, 0.25, 0.1))
    assert np.isnan(sure(0.05, 0.05, 0.3))
    assert sure(0.5, 0.5, 0.0) == 1.0
    assert np.isnan(sure(0.5, 0.6, 0.0))


def test_how_sure_is_said_as_so_many_of_ten_and_never_as_ten() -> None:
    window = Window(at(24, 9), at(24, 10))
    assert [Slot(1, at(24, 9), window, 0.0, sure=x).of_ten for x in (0.799, 0.95, 1.0)] == [7, 9, 9]


def test_a_rarer_break_needs_more_spreads() -> None:
    assert spreads(0.5) == 0.0
    assert spreads(0.2) == pytest.approx(0.8416, abs=0.001)
    assert spreads(0.0) > spreads(0.05) > spreads(0.2)


def test_what_another_visit_has_claimed_is_not_free() -> None:
    found = some((1, at(24, 9)), (1, at(24, 10)), (1, at(24, 11)), (2, at(24, 10)))
    claim = (1, minutes(at(24, 9, 50)), minutes(at(24, 10, 45)), 5.0)
    kept = apart(found, GRID, 45.0, [claim, (3, minutes(at(24, 9)), minutes(at(24, 12)), 0.0)])
    assert [(t, GRID.minute[i]) for t, i in zip(kept.technician, kept.start, strict=True)] == [
        (1, 540),
        (1, 660),
        (2, 600),
    ]
    assert len(apart(found, GRID, 45.0, [(1, claim[1], claim[2], 20.0)])) == 2
    assert len(apart(found, GRID, 45.0, [])) == 4


def test_on_the_day_of_the_customers_limit_a_time_keeps_it() -> None:
    found = some((1, at(24, 9)), (1, at(24, 12)), (1, at(25, 12)))
    limit = Window(at(24, 0), at(24, 11))
    assert in_time(found, GRID, limit, 60.0, 30.0).start.tolist() == found.start[[0, 2]].tolist()
    assert len(in_time(found, GRID, None, 60.0, 30.0)) == 3
