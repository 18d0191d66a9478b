"""What the board advises: the filled button gives a visit away only where that costs nobody their promise."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from punctual import clock
from tests import build
from tests.build import DATE
from tests.web.desk import Desk, desk, words

#: Ana has room for Grace, or is with somebody who would then wait.
FREE = build.MORNING.replace(" leave 12:00", "")
BUSY = FREE.replace("11:00-11:30 Lewis boiler 60", "10:15-10:45 Lewis boiler 60")


def late(lite: Flask, day: str) -> Desk:
    """09:40: Tom will be two hours late at Grace's."""
    clock.configure("2026-11-24T09:40:10+00:00 x1")
    made = desk(lite, day)
    made.tap("Priya", "arrived", "09:05")
    made.tap("Priya", "late", "09:20", minutes=120)
    return made


def primary(html: str) -> list[str]:
    """The filled buttons and links."""
    return [words(x) for x in re.findall(r'<(?:button|a) class="btn primary"[^>]*>(.*?)</(?:button|a)>', html, re.S)]


@pytest.mark.parametrize(("day", "free"), [(FREE, True), (BUSY, False)])
def test_what_would_cost_a_promise_is_said_and_never_the_button_that_is_filled(
    lite: Flask, day: str, free: bool
) -> None:
    board = late(lite, day)
    task = board.get(f"/board/queue?day={DATE}").text.split("Grace Whitfield")[1].split("</li>")[0]
    assert primary(task) == (["Give to Ana"] if free else ["Give or move"])
    assert ("every promise holds" in task) == free
    visit = f"/board/visits/{board.visit('Grace')}"
    drawer = board.get(visit).text
    assert primary(drawer) == (["Give to Ana G"] if free else [])
    assert ("Nobody else could come in time without another promise breaking" in words(drawer)) != free
    assert ("would break 1" in drawer or "1 at risk" in drawer) != free
    ana = board.built.technicians["Ana"].id
    effect = board.get(f"{visit}/effect?technician={ana}").text
    assert primary(effect) == (["Give to Ana G"] if free else [])
    assert "Give to Ana" in effect, "who has seen the cost may still choose it"


@pytest.mark.parametrize("heard", [True, False])
def test_who_is_silent_can_be_chosen_by_hand_and_the_page_says_so(lite: Flask, heard: bool) -> None:
    """13:20 is more than two hours after Ana's visit began; she is shown silent until she says that it is over."""
    clock.configure("2026-11-24T13:20:10+00:00 x1")
    board = desk(lite, build.MORNING)
    board.tap("Lewis", "arrived", "11:00")
    if heard:
        board.tap("Lewis", "done", "11:50")
    board.look("13:20")
    assert ("Silent since 11:00" in board.text("/board/")) != heard
    page = board.get(f"/board/visits/{board.visit('Helen')}/effect?technician={board.built.technicians['Ana'].id}").text
    assert ("A report of Ana's is overdue" in words(page)) != heard
    assert "Give to Ana" in words(page)
    if not heard:
        assert primary(page) == []
