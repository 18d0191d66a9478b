"""A visit taken out of days or put into them as columns gives what the same days built anew would be."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from punctual.core.day import Day, Days, Visit, Window, minutes, pack
from punctual.core.slot import with_visit
from punctual.core.slot import without as left
from punctual.core.splice import New, joined, neighbours, only, rows_of, with_each, without
from tests import walk

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
DAYS = [walk.random_day(seed, NOW) for seed in range(60)]
FULL = [d for d in DAYS if d.visits]
NONE = float("nan")


def same(a: Days, b: Days) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name), equal_nan=True) for f in fields(Days))


def new(days: list[Day], seed: int, **more: object) -> tuple[New, list[Visit]]:
    """A visit for the middle of each day, as values and as columns."""
    visit = walk.random_day(seed, NOW).visits[0]
    assert visit.place is not None
    starts = [d.shift.start + timedelta(minutes=15 * (n % 30)) for n, d in enumerate(days)]
    made = [
        replace(visit, id=1000, planned_start=t, window=Window(t, t + timedelta(minutes=30)), deadline=None)
        for t in starts
    ]
    at = np.array([minutes(t) for t in starts])
    values = New(
        1000, visit.job_type, visit.planned_min, visit.place.lat, visit.place.lon, visit.place.id, at, at, at + 30.0,
        np.full(len(days), NONE), False, {}, {},
    )  # fmt: skip
    return replace(values, **more), made  # type: ignore[arg-type]


def put(days: list[Day], some: New, travel: list[float] | None = None) -> Days:
    """Each of the days with the visit, without the days as they were."""
    which = np.arange(len(days))
    return only(with_each(pack(days, travel), which, some), which + len(days))


def test_a_visit_put_into_days_stands_where_the_plan_has_it() -> None:
    some, made = new(DAYS, 3)
    assert same(put(DAYS, some), pack([with_visit(d, v) for d, v in zip(DAYS, made, strict=True)]))


def test_the_days_stay_as_they_were_and_one_may_be_tried_several_times() -> None:
    which = [4, 4, 1]
    some, made = new([DAYS[i] for i in which], 3)
    tried = [with_visit(DAYS[i], v) for i, v in zip(which, made, strict=True)]
    assert same(with_each(pack(DAYS), np.array(which), some), pack([*DAYS, *tried]))


def test_it_stands_behind_what_has_begun() -> None:
    begun = [replace(d, visits=(replace(d.visits[0], state="arrived", arrived_at=NOW), *d.visits[1:])) for d in FULL]
    early, made = new(begun, 3)
    assert same(put(begun, early), pack([with_visit(d, v) for d, v in zip(begun, made, strict=True)]))


def test_known_drives_to_it_and_from_it_are_used() -> None:
    day = replace(FULL[0], visits=FULL[0].visits[:1])
    some, _ = new([day], 3, out={-day.technician: 7.0}, back={day.visits[0].place.id: 9.0})  # type: ignore[union-attr]
    first = put([day], replace(some, start=some.start - 600.0))
    assert first.travel.tolist() == [7.0, 9.0]
    last = put([day], replace(some, start=some.start + 6000.0), [5.0])
    assert last.travel[0] == 5.0 and np.isnan(last.travel[1])


@pytest.mark.parametrize("which", [0, -1])
def test_days_without_a_visit_are_as_if_it_never_was(which: int) -> None:
    for day in FULL:
        gone = day.visits[which].id
        others = [replace(d, visits=tuple(replace(v, id=v.id + 5000) for v in d.visits)) for d in DAYS[:3]]
        assert same(without(pack([*others, day]), gone), pack([*others, left(day, gone)]))
    assert same(without(pack(DAYS), 77_777), pack(DAYS))


def test_the_way_past_a_visit_that_is_gone_is_the_one_given() -> None:
    day = next(d for d in FULL if len(d.visits) >= 3)
    ids = [v.place.id for v in day.visits if v.place]
    packed = pack([day], [1.0] * len(day.visits))
    assert neighbours(packed, day.visits[0].id) == (-day.technician, ids[1])
    assert neighbours(packed, day.visits[1].id) == (ids[0], ids[2])
    assert neighbours(packed, day.visits[-1].id) is None
    assert neighbours(packed, 77_777) is None
    assert without(packed, day.visits[1].id, 44.0).travel.tolist()[:2] == [1.0, 44.0]
    assert without(packed, day.visits[-1].id, 44.0).travel.tolist() == [1.0] * (len(day.visits) - 1)


def test_some_days_in_any_order_and_more_than_once() -> None:
    which = np.array([5, 2, 2, 0])
    assert same(only(pack(DAYS), which), pack([DAYS[i] for i in which]))
    parts = [(pack(DAYS[:4]), np.arange(4)), (pack(DAYS[4:]), which)]
    assert same(joined(parts), pack([*DAYS[:4], *(DAYS[4 + i] for i in which)]))
    assert len(rows_of(pack(DAYS), which)) == sum(len(DAYS[i].visits) for i in which)
