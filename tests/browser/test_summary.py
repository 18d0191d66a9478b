"""The summary in a real browser: readable for everybody, light and dark, at a desk and on a phone; a budget chosen by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from punctual import learn
from punctual.actions import transaction
from tests.browser.test_board import Stage, faults, stage
from tests.build import MORNING
from tests.test_learn import evening, live

pytestmark = pytest.mark.browser
PAGE = "/board/summary"


@pytest.fixture
def summed(sqlite_url: str, tmp_path: Path, browser: Browser) -> Iterator[Stage]:
    """A company with ten learned days."""
    for made in stage(sqlite_url, tmp_path / "instance", browser, MORNING):
        with transaction() as s:
            on = [live(s, n) for n in range(10)][-1]
            learn.learn(s, at=evening(on))
        yield made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, {"width": 320, "height": 640}])
def test_everybody_can_read_it(summed: Stage, scheme: str, size: dict[str, int]) -> None:
    page = summed.page(PAGE, color_scheme=scheme, viewport=size)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_a_budget_is_chosen_without_a_mouse_and_without_scripts(summed: Stage) -> None:
    page = summed.page(PAGE, java_script_enabled=False)
    page.get_by_role("radio", name="1 in 10", exact=True).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_text("budget: 1 in 10")).to_be_visible()
