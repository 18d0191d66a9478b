"""Why this time: the minutes between now and the arrival add up, and name what they go into."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from punctual.core.day import Day, Days, Place, Visit, Window, minutes, pack
from punctual.core.duration import nothing
from punctual.core.forecast import forecast
from punctual.core.why import Why, why
from tests.build import wall

ON = date(2026, 11, 24)
HERE, THERE = Place(51.46, -2.59), Place(51.47, -2.60)


def stop(id_: int, start: str, long: float = 60, place: Place | None = HERE, **values: object) -> Visit:
    begin = wall(start)
    return Visit(id_, 1, begin, long, Window(begin, begin + timedelta(minutes=30)), place, **values)  # type: ignore[arg-type]


def day(*visits: Visit, rest: Window | None = None) -> Days:
    return pack([Day(1, 1, ON, Window(wall("08:00"), wall("17:00")), visits, rest, HERE)])


def asked(days: Days, at: str, row: int) -> Why:
    found = why(days, forecast(days, nothing(), minutes(wall(at))), row)
    whole = (found.left[1] if found.where == "at" else 0) + found.work + found.drive + found.rest + found.wait
    if found.where != "here":
        assert whole == pytest.approx(found.arrive[1] - found.at, abs=0.01), "the sum adds up"
    return found


def under_way(**values: object) -> Days:
    first = stop(1, "09:00", state="arrived", arrived_at=wall("09:00"), **values)
    return day(first, stop(2, "10:15", 45, THERE), stop(3, "11:30", 30))


def test_an_overrun_names_where_how_long_and_what_is_left() -> None:
    found = asked(under_way(), "10:20", 1)
    assert (found.where, found.visit, found.planned) == ("at", 1, 60.0)
    assert found.elapsed == pytest.approx(80) and found.over == pytest.approx(20)
    assert 0 <= found.left[0] <= found.left[1] <= found.left[2]
    assert found.drive > 3 and found.stops == 0 and not found.opens


def test_the_stops_between_are_counted_with_their_work() -> None:
    found = asked(under_way(), "10:20", 2)
    assert found.stops == 1 and found.work > 20 and found.drive > 8


def test_spare_time_of_the_plan_is_what_the_delay_uses_up() -> None:
    late = asked(under_way(), "10:20", 1)
    spare = 75 - 60 - late.drive
    assert late.slack == pytest.approx(spare, abs=1.0)
    assert asked(under_way(), "09:20", 1).slack < spare, "without a delay little is used up"


def test_what_the_technician_said_is_part_of_it() -> None:
    assert asked(under_way(late_min=30.0, late_at=wall("09:40")), "09:50", 1).said == 30.0


def test_nobody_comes_before_the_window_opens() -> None:
    found = asked(under_way(), "09:10", 2)
    assert found.opens and found.wait > 10


def test_the_break_is_named() -> None:
    rest = Window(wall("12:00"), wall("12:30"))
    first = stop(1, "11:00", 45, state="arrived", arrived_at=wall("11:00"))
    days = day(first, stop(2, "12:30", 45), rest=rest)
    assert asked(days, "11:30", 1).rest == pytest.approx(30, abs=3)


def test_a_drive_under_way_is_all_drive() -> None:
    days = day(stop(1, "09:00", place=THERE, state="on_my_way", on_my_way_at=wall("08:50")))
    found = asked(days, "08:52", 0)
    assert (found.where, found.visit, found.wait) == ("driving", 1, 0.0) and found.drive > 0


def test_who_set_out_far_too_early_waits_and_does_not_drive_for_hours() -> None:
    days = day(stop(1, "10:30", place=THERE, state="on_my_way", on_my_way_at=wall("08:42"), early_ok=False))
    found = asked(days, "08:43", 0)
    assert found.where == "driving" and found.opens and 0 < found.drive < 15 and found.wait > 60


@pytest.mark.parametrize(("at", "where"), [("07:00", "before"), ("08:30", "free")])
def test_before_anything_was_reported(at: str, where: str) -> None:
    found = asked(day(stop(1, "09:00")), at, 0)
    assert (found.where, found.visit) == (where, 0) and np.isnan(found.since)


def test_at_the_visit_itself_what_is_left_of_it_is_told() -> None:
    found = asked(under_way(), "09:30", 0)
    assert found.where == "here" and found.left[1] > 0 and found.visit == 1


def test_a_visit_that_is_over_needs_no_reason() -> None:
    done = stop(1, "09:00", state="done", arrived_at=wall("09:00"), finished_at=wall("09:50"))
    with pytest.raises(ValueError, match="is over"):
        asked(day(done), "10:00", 0)
