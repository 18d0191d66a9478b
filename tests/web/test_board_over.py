"""What is over and not done is told apart from what is done: by shape, by word, and where it is counted."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from punctual import clock
from tests import build
from tests.web.desk import Desk, desk, words

ONE = """
Ana 08:00-17:00 skills boiler home 51.4600,-2.5800
  08:30-09:00 Lewis boiler 60 at 51.4550,-2.5900
"""


def ended(lite: Flask, kind: str, text: str = ONE) -> Desk:
    clock.configure("2026-11-24T09:50:10+00:00 x1")
    made = desk(lite, text)
    made.tap("Lewis", "arrived", "08:35")
    made.tap("Lewis", kind, "09:30")
    made.look("09:49")
    return made


@pytest.mark.parametrize(
    ("kind", "bar", "day"),
    [
        ("done", "Whitfield", "Done for the day"),
        ("nobody_home", "Whitfield, nobody home", "Done for the day, 1 nobody home"),
        ("cannot_finish", "Whitfield, not finished", "Done for the day, 1 not finished"),
    ],
)
def test_a_tick_means_done_and_nothing_else(lite: Flask, kind: str, bar: str, day: str) -> None:
    board = ended(lite, kind)
    html = board.get("/board/").text
    shape = re.search(r'<li class="visit ([^"]*)" id="v1"', html)
    assert shape and shape[1].split() == (["done"] if kind == "done" else ["done", "failed"])
    lane = words(html.split('<ol class="lane">')[1].split("</ol>")[0])
    assert lane == bar
    assert words(html.split('<div class="who">')[1].split("</div>")[0]) == f"Ana Hale {day}"
    chip = re.search(r'<p class="chip ([^"]*)"', board.get(f"/board/visits/{board.visit('Lewis')}").text)
    assert chip and ("failed" in chip[1]) == (kind != "done")


def test_the_legend_explains_every_outline_and_mark(lite: Flask) -> None:
    legend = ended(lite, "done", build.MORNING.replace("11:00-11:30 Lewis", "08:30-09:00 Lewis")).text("/board/")
    assert "done over, not done silent two at one time" in legend
