"""What the plan alone gives is remembered for one day, and only as long as the plan is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from punctual.core.day import Days
from punctual.core.planned import planned, work
from punctual.core.splice import joined
from tests.core.test_forecast import under_way
from tests.core.test_forecast_rules import learned

#: A change of each column that a plan follows from.
CHANGES = ("technician", "home_lat", "home_lon", "job_type", "planned_min", "window_start", "lat", "lon")


def read_again(days: Days, **changed: np.ndarray) -> Days:
    """The same day as another reading of the database gives it."""
    columns = {f: getattr(days, f).copy() for f in Days.__dataclass_fields__}
    return Days(**(columns | changed))


def test_a_day_that_is_read_again_has_the_plan_it_had() -> None:
    first, again = under_way(), read_again(under_way(late=30))
    assert planned(first, learned()) is planned(again, learned()), "a report is no change of the plan"
    assert planned(first, learned()) is not planned(first, replace(learned())), "what was learned anew counts anew"


@pytest.mark.parametrize("column", [*CHANGES, "travel", "early_ok", "shift_start", "break_start"])
def test_a_changed_plan_is_worked_out_anew(column: str) -> None:
    days = read_again(under_way(), early_ok=np.full(under_way().rows, column == "shift_start"))
    changed = {column: getattr(days, column) + 1}
    if np.isnan(changed[column]).any():
        changed[column] = np.full(len(changed[column]), 21.0)
    before, new = planned(days, learned()), read_again(days, **changed)
    after, among = planned(new, learned()), planned(joined([(new, np.array([0, 0]))]), learned())
    names = ("travel", "sd", "expected", "middle", "spread", "opens")
    assert any(not np.array_equal(getattr(after, n), getattr(before, n)) for n in (*names, "breaks"))
    assert all(np.array_equal(getattr(after, n), getattr(among, n)[: days.rows]) for n in names), "as among others"


def test_work_is_remembered_from_the_visit_that_is_open_now() -> None:
    plan, position = planned(under_way(), learned()), np.arange(2)
    last_two, first_two = (work(learned(), plan, first + position, position, 1) for first in (1, 0))
    among = work(learned(), plan, np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 2)
    assert np.array_equal(first_two.singles, among.singles[[0, 2]])
    assert np.array_equal(last_two.singles, among.singles[[1, 3]])
    assert np.array_equal(last_two.added, among.added[[1, 3]]), "added as the same numbers"
    assert not np.array_equal(last_two.singles, first_two.singles)
