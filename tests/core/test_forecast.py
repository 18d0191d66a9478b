"""The forecast: delay carried through slack, breaks and windows; silence; the same answer at every look."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual.core import duration, travel
from punctual.core.day import Day, Days, Place, Visit, Window, instant, minutes, pack
from punctual.core.fit import fit
from punctual.core.forecast import expected, forecast
from punctual.core.splice import joined
from tests.build import wall

ON = date(2026, 11, 24)
HERE, THERE = Place(51.46, -2.59), Place(51.47, -2.60)
NOTHING = duration.nothing()


def stop(id_: int, start: str, long: float = 60, place: Place | None = HERE, **values: object) -> Visit:
    begin = wall(start)
    return Visit(id_, 1, begin, long, Window(begin, begin + timedelta(minutes=30)), place, **values)  # type: ignore[arg-type]


def day(*visits: Visit, rest: Window | None = None) -> Days:
    return pack([Day(1, 1, ON, Window(wall("08:00"), wall("17:00")), visits, rest, HERE)])


def under_way(minutes_late: float = 0.0, late: float = 0.0) -> Days:
    arrived = wall("09:00") + timedelta(minutes=minutes_late)
    said = {"late_min": late, "late_at": wall("09:30")} if late else {}
    first = stop(1, "09:00", state="arrived", arrived_at=arrived, **said)
    return day(first, stop(2, "10:15", 45, THERE, deadline=wall("12:00")), stop(3, "14:00", 60))


def at(clock: str) -> float:
    return minutes(wall(clock))


def test_the_same_look_gives_the_same_answer() -> None:
    one, two = (forecast(under_way(), NOTHING, at("09:40")) for _ in range(2))
    assert np.array_equal(one.arrive, two.arrive) and np.array_equal(one.p_late, two.p_late)


def test_an_overrun_is_absorbed_by_slack() -> None:
    made = forecast(under_way(), NOTHING, at("10:20"))
    assert made.p_late[1] > 0.1, "the visit right after is at risk"
    assert made.p_late[2] < 0.05, "hours of slack absorb it"


def test_work_that_runs_cannot_have_ended_before_now() -> None:
    made = forecast(under_way(), replace(NOTHING, forgotten=0.0), at("10:40"))
    assert made.finish[0].min() >= at("10:40")


def test_a_forgotten_tap_is_not_an_hour_of_lateness() -> None:
    sure = forecast(under_way(), replace(NOTHING, forgotten=0.0), at("11:30")).mean_arrive[1]
    made = forecast(under_way(), NOTHING, at("11:30"))
    assert made.arrive[1, 0] < sure, "part of the range still believes that the work is over and the tap was forgotten"
    assert made.p_late[1] > 0.4, "and yet a real overrun does not stay invisible"


def test_nobody_starts_before_the_window_unless_the_customer_said_so() -> None:
    early = stop(2, "11:00", place=THERE)
    shut = forecast(day(stop(1, "08:00", 30), early), NOTHING, at("08:00"))
    free = forecast(day(stop(1, "08:00", 30), replace(early, early_ok=True)), NOTHING, at("08:00"))
    assert shut.mean_arrive[1] >= at("11:00") > free.mean_arrive[1]


def test_who_sets_out_hours_early_is_expected_within_the_range_that_is_shown() -> None:
    gone = day(stop(1, "12:00", place=THERE, state="on_my_way", on_my_way_at=wall("10:40")), stop(2, "14:00"))
    made = forecast(gone, NOTHING, at("10:42"))
    assert made.arrive[0, 1] == made.mean_arrive[0] == at("11:30"), "half an hour before it opens, not sooner"
    both = joined([(gone, np.zeros(2, dtype=np.int64))])
    assert forecast(both, NOTHING, at("10:42")).mean_arrive[[0, 2]].tolist() == [at("11:30")] * 2


def test_a_break_is_taken_before_the_visit_planned_after_it() -> None:
    rest = Window(wall("12:30"), wall("13:00"))
    late = stop(1, "11:30", state="arrived", arrived_at=wall("11:30"))
    with_, without = (
        forecast(day(late, stop(2, "13:00"), rest=r), NOTHING, at("12:55")).mean_arrive[1] for r in (rest, None)
    )
    assert with_ >= without + 15


def test_plus_thirty_moves_everybody_after_it() -> None:
    plain, said = forecast(under_way(), NOTHING, at("09:40")), forecast(under_way(late=45), NOTHING, at("09:40"))
    assert said.mean_arrive[1] > plain.mean_arrive[1] + 15
    assert said.p_late[1] > plain.p_late[1] and said.p_deadline[1] > plain.p_deadline[1]


def test_what_is_over_is_known_exactly() -> None:
    done = stop(1, "09:00", state="done", arrived_at=wall("09:05"), finished_at=wall("09:50"))
    made = forecast(day(done, stop(2, "10:15", place=THERE)), NOTHING, at("10:00"))
    assert np.allclose(made.finish[0], at("09:50")) and np.allclose(made.arrive[0], at("09:05"))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([0.0, 29.5, 30.0, 30.5, 44.9, 45.0, 45.1, 200.0]), st.sampled_from([10.0, 15.0]))
def test_what_has_begun_is_late_or_not_and_no_chance_any_more(late: float, threshold: float) -> None:
    made = forecast(under_way(late), NOTHING, at("12:30"), threshold=threshold)
    assert made.p_window[0] == (late > 30.0) and made.p_late[0] == (late > 30.0 + threshold)
    assert 0.0 < made.p_late[1] <= 1.0


def test_a_day_on_which_everything_is_over_expects_nothing() -> None:
    done = stop(1, "09:00", state="done", arrived_at=wall("09:05"), finished_at=wall("09:50"))
    assert np.isnan(forecast(day(done), NOTHING, at("10:00")).expected_report).all()
    assert len(expected(forecast(day(), NOTHING, at("10:00")), day(), np.arange(0))) == 0


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 23.999), st.integers(0, 40_000))
def test_times_are_written_to_the_second_as_a_datetime_writes_them(hour: float, days_on: int) -> None:
    begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days_on, hours=hour)
    known = pack([Day(1, 1, begin.date(), Window(begin, begin), (Visit(7, 1, begin, 30, Window(begin, begin), None),))])
    made = forecast(known, NOTHING, minutes(begin))
    (eta,) = expected(made, known, np.arange(1))
    means = made.mean_arrive[0], made.arrive[0, 1], made.arrive[0, 17]
    assert eta == (7, *(f"{instant(x):%Y-%m-%dT%H:%M:%SZ}" for x in means))


def test_the_next_report_is_expected_from_the_visit_under_way() -> None:
    made = forecast(under_way(), NOTHING, at("09:10"))
    assert at("10:00") < made.expected_report[0] < at("11:15")


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 90), st.floats(0, 60), st.sampled_from(["09:10", "09:40", "10:20", "11:00"]))
def test_a_longer_overrun_never_makes_anybody_earlier(late: float, more: float, clock: str) -> None:
    now = max(at(clock), at("09:00") + 1)
    short, long = (forecast(under_way(late=x), NOTHING, now) for x in (late or 0.0, late + more))
    assert np.all(long.mean_arrive >= short.mean_arrive - 1)
    assert np.all(long.arrive[1:] >= short.arrive[1:] - 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(15, 120), st.integers(0, 40)), min_size=1, max_size=8), st.integers(0, 600))
def test_every_day_gets_ordered_quantiles(parts: list[tuple[int, int]], now: int) -> None:
    begin, visits = wall("08:00"), []
    for i, (long, gap) in enumerate(parts):
        visits.append(Visit(i + 1, i % 3, begin, long, Window(begin, begin + timedelta(minutes=30)), HERE))
        begin += timedelta(minutes=long + gap)
    made = forecast(day(*visits), NOTHING, at("08:00") + now)
    assert np.all(np.diff(made.arrive, axis=1) >= 0) and np.all(np.diff(made.finish, axis=1) >= 0)
    assert np.all((made.p_late >= 0) & (made.p_late <= made.p_window))


def test_drives_are_estimated_known_or_nothing() -> None:
    far = Place(51.60, -2.40)
    days = day(stop(1, "08:00"), stop(2, "10:00", place=far), stop(3, "12:00", place=None))
    into = travel.into(days, unknown=9.0)
    assert into[0] == 0.0 and 30 < into[1] < 70 and into[2] == 9.0
    assert travel.into(replace(days, travel=np.array([1.0, 2.0, 3.0])))[1] == 2.0


def test_learning_finds_that_a_job_takes_longer_than_planned() -> None:
    rng, days = np.random.default_rng(1), []
    for d in range(60):
        begin, visits = datetime(2026, 9, 1, 8, tzinfo=wall("08:00").tzinfo) + timedelta(days=d), []
        for i in range(4):
            took = 60 * (1.5 if i % 2 else 1.0) * float(rng.lognormal(0, 0.1))
            end = begin + timedelta(minutes=took)
            window = Window(begin, begin + timedelta(minutes=30))
            visits.append(Visit(i, i % 2, begin, 60, window, HERE, "done", None, begin, end))
            begin = end + timedelta(minutes=20)
        days.append(Day(d, 1, begin.date(), Window(visits[0].planned_start, begin), tuple(visits)))
    learned = fit(pack(days), minutes(begin))
    quick, slow = np.exp(learned.type_mean)
    assert 0.95 < quick < 1.1 and 1.35 < slow < 1.55
    assert 0.05 < learned.type_sd.max() < 0.25
    again = duration.from_bytes(learned.to_bytes())
    assert np.array_equal(again.start, learned.start) and again.visits == learned.visits == 240
