"""Free times: none of them breaks a promise, none that keeps all of them is missing, and few enough to choose from."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from punctual.core.day import Window, local, minutes
from punctual.core.slot import Drives, Opening, Slot, Spot, Stop, diverse, fits, grid
from punctual.core.travel import estimate

EIGHT = minutes(datetime(2026, 11, 24, 8, tzinfo=UTC))
LONDON = "Europe/London"
#: Four streets of one town, and somewhere nobody knows.
SPOTS = [Spot(51.45, -2.60, 1), Spot(51.47, -2.58, 2), Spot(51.44, -2.63, 3), Spot(51.50, -2.55, 4), Spot()]


def drive(a: Spot, b: Spot, drives: Drives) -> float:
    """Minutes between two spots, one at a time."""
    if not (a.known and b.known):
        return 0.0
    leg = estimate(np.array([a.lat]), np.array([a.lon]), np.array([b.lat]), np.array([b.lon]))[0]
    return drives.get((a.place, b.place), float(leg))


def walk(opening: Opening, drives: Drives, new: Stop | None = None) -> tuple[list[tuple[Stop, float]], float]:
    """Live the day stop by stop: when each begins, and when it is over. The first stop is taken as planned."""
    stops = list(opening.stops)
    if new is not None:
        stops.insert(sum(x.start <= new.start for x in stops), new)
    here, free, begun = opening.spot, opening.earliest, []
    for i, stop in enumerate(stops):
        first_as_planned = i == 0 and stop is not new
        free = max(free, opening.earliest) if stop is new else free
        at = stop.start if first_as_planned else max(stop.start, free + drive(here, stop.spot, drives))
        begun.append((stop, at))
        free, here = at + stop.minutes, stop.spot if stop.spot.known else here
    return begun, free


def keeps_everything(opening: Opening, new: Stop, drives: Drives) -> bool:
    """Nobody comes later than promised, or later than without the new visit; the new one begins when it says."""
    before, over_before = walk(opening, drives)
    stands = {id(stop): at for stop, at in before}
    after, over = walk(opening, drives, new)
    for stop, at in after:
        if stop is new:
            if at > new.start + 1e-6 or at + new.minutes > opening.shift_end + 1e-6:
                return False
        elif at > max(stop.latest, stands[id(stop)]) + 1e-6:
            return False
    return over <= max(opening.shift_end, over_before if before else 0.0) + 1e-6


stops = st.builds(
    lambda start, long, slack, spot: Stop(EIGHT + start, long, EIGHT + start + slack, SPOTS[spot]),
    st.integers(0, 480).map(float),
    st.integers(10, 120).map(float),
    st.integers(0, 60).map(float),
    st.integers(0, 4),
)
openings = st.builds(
    lambda found, spot, late: Opening(
        1, EIGHT + late, EIGHT + 540, SPOTS[spot], tuple(sorted(found, key=lambda x: x.start))
    ),
    st.lists(stops, max_size=6),
    st.integers(0, 4),
    st.integers(0, 120).map(float),
)
known_drives = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(1, 4)), st.integers(1, 90).map(float), max_size=8
)
STARTS = [EIGHT + 15.0 * n for n in range(40)]


@given(openings, st.integers(0, 3), st.integers(15, 120), known_drives)
def test_no_offered_start_breaks_a_promise_on_the_plan(
    opening: Opening, spot: int, long: int, drives: dict[tuple[int, int], float]
) -> None:
    for start, there in fits(opening, SPOTS[spot], float(long), STARTS, drives):
        assert start >= opening.earliest
        assert there >= 0
        assert keeps_everything(opening, Stop(start, float(long), start, SPOTS[spot]), drives)


@given(openings, st.integers(0, 3), st.integers(15, 120), known_drives)
def test_a_start_that_is_not_offered_would_break_something(
    opening: Opening, spot: int, long: int, drives: dict[tuple[int, int], float]
) -> None:
    offered = {start for start, _ in fits(opening, SPOTS[spot], float(long), STARTS, drives)}
    for start in set(STARTS) - offered:
        new = Stop(start, float(long), start, SPOTS[spot])
        assert start < opening.earliest or not keeps_everything(opening, new, drives)


def test_the_checker_notices_an_overlap() -> None:
    busy = Opening(1, EIGHT, EIGHT + 540, SPOTS[0], (Stop(EIGHT + 60, 60, EIGHT + 60, SPOTS[1]),))
    assert not keeps_everything(busy, Stop(EIGHT + 30, 60, EIGHT + 30, SPOTS[0]), {})


def test_an_empty_day_takes_a_visit_after_the_drive_and_before_the_shift_ends() -> None:
    empty = Opening(1, EIGHT, EIGHT + 540, SPOTS[0], ())
    there = drive(SPOTS[0], SPOTS[1], {})
    found = [start for start, _ in fits(empty, SPOTS[1], 60, STARTS)]
    assert found[0] == min(x for x in STARTS if x >= EIGHT + there)
    assert found[-1] == EIGHT + 480


def test_a_known_drive_counts_instead_of_the_estimate() -> None:
    empty = Opening(1, EIGHT, EIGHT + 540, SPOTS[0], ())
    assert fits(empty, SPOTS[1], 60, STARTS, {(1, 2): 100.0})[0] == (EIGHT + 105, 100.0)


def test_the_drive_is_not_lost_in_a_break() -> None:
    rest = Stop(EIGHT + 120, 30, EIGHT + 180)
    day = Opening(1, EIGHT, EIGHT + 540, SPOTS[0], (Stop(EIGHT + 60, 60, EIGHT + 60, SPOTS[0]), rest))
    found = [x for x, _ in fits(day, SPOTS[1], 30, STARTS, {(1, 2): 40.0}) if x > EIGHT + 120]
    assert found[0] == EIGHT + 195


def test_who_is_late_already_may_stay_late_but_not_become_later() -> None:
    late = Stop(EIGHT + 240, 60, EIGHT + 200, SPOTS[0])
    day = Opening(1, EIGHT, EIGHT + 540, SPOTS[0], (Stop(EIGHT, 30, EIGHT, SPOTS[0]), late))
    found = [x for x, _ in fits(day, SPOTS[0], 60, STARTS)]
    assert EIGHT + 180 in found
    assert EIGHT + 195 not in found


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


def slot(technician: int, day: int, hour: int, minute: int = 0) -> Slot:
    start = datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    return Slot(technician, start, Window(start, start + timedelta(minutes=30)), 10.0)


TODAY = date(2026, 11, 24)
MANY = [slot(t, d, h, m) for d in (24, 25, 26) for h in range(9, 17) for m in (0, 30) for t in (1, 2, 3)]


def test_the_few_times_shown_differ_from_one_another() -> None:
    shown = diverse(MANY, technician=2, today=TODAY, zone=LONDON)
    assert len(shown) == 6
    assert len({x.window for x in shown}) == 6
    assert [x.start for x in shown] == sorted(x.start for x in shown)
    assert [x.why for x in shown][:3] == ["soonest", "same_technician", "other_technician"]
    assert {(x.start.day, x.start.hour >= 12) for x in shown[3:]} == {(25, False), (25, True), (26, False)}


def test_the_soonest_time_prefers_the_technician_who_is_known() -> None:
    assert diverse(MANY, technician=3, today=TODAY, zone=LONDON)[0].technician == 3


def test_another_technician_is_shown_at_another_time_than_the_soonest() -> None:
    shown = diverse([slot(1, 24, 9), slot(2, 24, 9), slot(2, 24, 10)], technician=1, today=TODAY, zone=LONDON)
    assert [(x.technician, x.start.hour) for x in shown] == [(1, 9), (2, 10)]


def test_more_times_are_filled_up_in_order() -> None:
    shown = diverse(MANY, technician=1, today=TODAY, zone=LONDON, most=30)
    assert len(shown) == 30
    assert len({x.window for x in shown}) == 30


def test_nothing_free_offers_nothing() -> None:
    assert diverse([], technician=1, today=TODAY, zone=LONDON) == []
