"""A technician nobody hears from: the customer's page tells no time any more, and says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask

from punctual import clock, watch
from punctual.actions import transaction
from punctual.models import Shift
from punctual.queries import day as queries
from tests.build import MORNING, wall
from tests.web.visitor import Page, visitor

DAY = MORNING.replace(" leave 12:00", "")
SILENT = "We have had no news since 8:35. The time may have changed. We are finding out."


@pytest.fixture
def grace(lite: Flask) -> Iterator[Page]:
    """Her page while the technician has arrived at the customer before her at 8:35, and says nothing more."""
    page = visitor(lite, text=DAY)
    page.tap("Priya", "arrived", "08:35")
    yield page


def due(page: Page) -> str:
    """The minute from which the watch holds that day silent, as a wall time."""
    with transaction() as s:
        shift, rules = page.built.shifts["Tom"], queries.rules(s)
        expected = queries.looked(s, shift.id)[1]
    assert expected is not None
    at = expected + timedelta(minutes=rules.silence_min, seconds=59)
    return f"{at:%H:%M}"


def before(at: str) -> str:
    return f"{wall(at) - timedelta(minutes=1):%H:%M}"


def see(page: Page, at: str, *, look: bool = True) -> str:
    """The page at that time, after the watch has looked."""
    clock.configure(f"2026-11-24T{at}:00+00:00 x1")
    if look:
        with transaction() as s:
            watch.look(s, [page.built.shifts["Tom"].id], at=wall(at))
    return page.text()


def nudged(page: Page) -> bool:
    with transaction() as s:
        return s.get_one(Shift, page.built.shifts["Tom"].id).nudged_at is not None


def test_from_the_minute_the_watch_holds_the_day_silent_no_expected_time_is_shown(grace: Page) -> None:
    silent = due(grace)
    text = see(grace, before(silent))
    assert not nudged(grace) and SILENT not in text
    assert "It looks more like" in text or "We now expect to arrive" in text, "the control: until then it tells a time"
    text = see(grace, silent)
    assert nudged(grace), "the same minute the technician is asked"
    assert SILENT in text
    assert not any(x in text for x in ("It looks more like", "We now expect", "Most likely", "On time"))
    assert "10:00" in text and "10:30" in text, "the promise stays"


def test_a_page_made_before_is_not_served_into_the_silence_though_nothing_was_written(grace: Page) -> None:
    silent = due(grace)
    assert SILENT not in see(grace, before(silent), look=False)
    assert SILENT in see(grace, silent, look=False)


def test_who_was_told_a_range_reads_that_there_is_no_new_time(grace: Page) -> None:
    silent = due(grace)
    grace.told("10:40", "11:15")
    text = see(grace, before(silent))
    assert "We now expect to arrive" in text and "This works" in text
    text = see(grace, silent)
    assert "We will be late and we are sorry. We have no new time yet" in text and SILENT in text
    assert "We now expect" not in text and "This works" not in text


def test_on_the_way_and_not_heard_of_again_no_time_is_shown_either(grace: Page) -> None:
    grace.tap("Priya", "done", "09:20")
    grace.tap("Grace", "on_my_way", "09:22")
    silent = due(grace)
    assert "We expect to arrive between" in see(grace, before(silent))
    text = see(grace, silent)
    assert "Tom is on the way" in text and "We have had no news since 9:22." in text
    assert "We expect to arrive between" not in text


def test_a_report_ends_it(grace: Page) -> None:
    silent = due(grace)
    assert SILENT in see(grace, silent)
    grace.tap("Priya", "done", silent)
    text = see(grace, silent)
    assert "no news" not in text and ("We now expect" in text or "It looks more like" in text)


def test_a_day_that_nobody_makes_tells_no_time(grace: Page) -> None:
    with transaction() as s:
        s.get_one(Shift, grace.built.shifts["Tom"].id).off = "sick"
    text = see(grace, "08:40")
    assert "The time may have changed. We are finding out." in text and "We now expect" not in text


def test_the_work_at_the_door_is_not_said_to_end_at_a_time_when_nothing_was_heard_for_long(grace: Page) -> None:
    grace.tap("Priya", "done", "09:20")
    grace.tap("Grace", "arrived", "09:40")
    silent = due(grace)
    assert "We expect to be done between" in see(grace, before(silent))
    text = see(grace, silent)
    assert "Tom arrived at 9:40" in text and "We expect to be done" not in text and "no news" not in text


def test_a_limit_is_not_said_to_work_while_nobody_knows(grace: Page) -> None:
    silent = due(grace)
    for at, works in ((before(silent), True), (silent, False)):
        text = see(grace, at)
        assert ("If you do nothing, we come as shown above." in text) == works
        said = grace.after("deadline", leave_by="16:30" if works else "16:40", kind="done")
        assert ("It works as things stand now." in said) == works
        assert "Saved at" in said and "Noted." in said
