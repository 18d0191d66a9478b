"""Who else could take a visit: inside its window, one start each, the least drive first."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from punctual.core.day import Window, instant, minutes
from punctual.core.rescue import MOST, inside, ways
from punctual.core.room import Found

TEN, HALF_PAST = datetime(2026, 11, 24, 10, tzinfo=UTC), datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
WINDOW = Window(TEN, HALF_PAST)


def found(*rows: tuple[int, int, float]) -> Found:
    """(start as index, technician, drive) in the order given."""
    start, technician, drive = (np.array(column) for column in zip(*rows, strict=True))
    return Found(start, technician, technician, drive.astype(float), np.full(len(start), 60.0))


def test_only_what_is_left_of_the_promised_window_is_tried() -> None:
    assert [instant(t).minute for t in inside(WINDOW, minutes(TEN) - 60).at] == [0, 5, 10, 15, 20, 25, 30]
    assert [instant(t).minute for t in inside(WINDOW, minutes(TEN) + 21).at] == [25, 30]
    assert len(inside(WINDOW, minutes(HALF_PAST) + 1).at) == 0


def test_each_technician_is_asked_once_for_their_earliest_and_the_one_who_has_it_never() -> None:
    grid = inside(WINDOW, minutes(TEN))
    some = found((0, 1, 5.0), (1, 2, 20.0), (0, 2, 20.0), (2, 3, 8.0), (3, 3, 8.0))
    assert [(int(some.technician[i]), int(some.start[i])) for i in ways(some, grid, 1)] == [(3, 2), (2, 0)]


def test_only_so_many_are_looked_at_closely() -> None:
    grid = inside(WINDOW, minutes(TEN))
    many = found(*((0, n, float(n)) for n in range(1, 30)))
    assert [int(many.technician[i]) for i in ways(many, grid, None)] == list(range(1, 1 + MOST))
