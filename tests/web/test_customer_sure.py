"""How sure we are, as the customer's page says it: of ten such visits, never all ten."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import select

from punctual.actions import transaction
from punctual.models import Shift, Visit
from punctual.watch import look
from tests.build import wall
from tests.web.visitor import visitor


@pytest.mark.parametrize(("leave", "at_least", "at_most"), [("16:30", 9, 9), ("11:15", 0, 8)])
def test_nothing_is_kept_ten_times_in_ten(lite: Flask, leave: str, at_least: int, at_most: int) -> None:
    page = visitor(lite)
    with transaction() as s:
        s.get_one(Visit, page.visit.id).deadline = wall(leave)
        look(s, list(s.scalars(select(Shift.id))), at=wall("08:30"))
    said = re.search(r"We manage that in (\d+) of 10 such visits", page.text())
    assert said and at_least <= int(said[1]) <= at_most
