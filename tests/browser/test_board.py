"""The board in a real browser: live after a tap, by keyboard, readable with eight and with a hundred technicians."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from punctual import clock, config
from punctual.app import create_app
from punctual.models import db
from tests.browser import chromium
from tests.browser.chromium import AXE, NAMES, RULES
from tests.build import MORNING
from tests.web.desk import Desk, desk

pytestmark = pytest.mark.browser
STAGE = "2026-11-24T09:40:10+00:00 x1"


class Stage:
    """A company served on a free port, and pages of its dispatcher."""

    def __init__(self, app: Flask, browser: Browser, text: str) -> None:
        self.server = chromium.server(app)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.app, self.browser = app, browser
        self.desk: Desk = desk(app, text)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def page(self, path: str = "/board/", **options: Any) -> Page:
        given = {"viewport": {"width": 1440, "height": 900}, "bypass_csp": True} | options
        context = self.browser.new_context(**given)
        context.add_cookies([{"name": "punctual_dispatcher", "value": "secret", "url": self.url}])
        page = context.new_page()
        page.goto(self.url + path)
        return page

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()
        self.server.shutdown()


def stage(sqlite_url: str, folder: Path, browser: Browser, text: str) -> Iterator[Stage]:
    app = create_app(config.Settings(instance=folder, database_url=sqlite_url, clock=STAGE, origin="http://127.0.0.1"))
    with app.app_context():
        made = Stage(app, browser, text)
        made.desk.tap("Priya", "arrived", "09:05") if text == MORNING else None
        made.desk.look("09:40")
        yield made
        made.close()
        db.session.remove()
        db.engine.dispose()
    clock.configure("")


@pytest.fixture
def eight(sqlite_url: str, tmp_path: Path, browser: Browser) -> Iterator[Stage]:
    """A morning in which one job is under way."""
    yield from stage(sqlite_url, tmp_path / "instance", browser, MORNING)


@pytest.fixture
def hundred(sqlite_url: str, tmp_path: Path, browser: Browser) -> Iterator[Stage]:
    """A hundred technicians with eight visits each."""
    r = random.Random(7)
    lines = []
    for n in range(100):
        lines.append(f"T{n} 08:00-17:30 break 12:30-13:00 skills boiler home 51.4{n:02},-2.58")
        for k in range(8):
            minute = 8 * 60 + 15 + 65 * k + r.randrange(0, 10, 5)
            start = f"{minute // 60:02}:{minute % 60:02}"
            end = f"{(minute + 30) // 60:02}:{(minute + 30) % 60:02}"
            lines.append(f"  {start}-{end} C{n}x{k} boiler 35 at 51.4{n:02},-2.59")
    yield from stage(sqlite_url, tmp_path / "instance", browser, "\n".join(lines))


def focused(page: Page) -> str:
    text: str = page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
    return text


def faults(page: Page) -> list[str]:
    """What axe finds, as rule and element."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("([only, rules]) => axe.run(document, {runOnly: only, rules})", [RULES, NAMES])
    return [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found["violations"]]


def test_a_tap_is_on_the_board_within_three_seconds_and_focus_stays(eight: Stage) -> None:
    page = eight.page()
    bar = page.locator(".block[aria-label^='Lewis']")
    bar.focus()
    expect(page.locator(".block[aria-label^='Grace Whitfield, late']")).to_have_count(0)
    eight.desk.tap("Priya", "late", "09:40", minutes=120)
    expect(page.locator(".block[aria-label^='Grace Whitfield, late']")).to_be_visible(timeout=3000)
    expect(page.locator("#queue")).to_contain_text("Grace Whitfield", timeout=3000)
    assert focused(page).startswith("Lewis Whitfield")


def test_an_unchanged_board_is_polled_without_a_body(eight: Stage) -> None:
    page = eight.page()
    with page.expect_response(lambda r: "/board/rows" in r.url, timeout=4000) as rows:
        pass
    assert rows.value.status == 304


def test_the_drawer_opens_beside_the_lines_and_escape_gives_the_focus_back(eight: Stage) -> None:
    page = eight.page()
    bar = page.locator(".block[aria-label^='Grace']")
    bar.press("Enter")
    expect(page.locator("#drawer h2")).to_have_text("Grace Whitfield")
    assert "/board/visits/" in page.url and bar.get_attribute("aria-current") == "true"
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    assert focused(page).startswith("Grace Whitfield") and page.url.endswith("/board/")


def test_back_closes_the_drawer(eight: Stage) -> None:
    page = eight.page()
    page.locator(".block[aria-label^='Grace']").click()
    expect(page.locator("#drawer h2")).to_be_visible()
    page.go_back()
    expect(page.locator("#drawer")).to_be_hidden()


def test_g_gives_a_late_visit_to_the_one_proposed_and_both_lines_change(eight: Stage) -> None:
    eight.desk.tap("Priya", "late", "09:40", minutes=120)
    page = eight.page()
    page.keyboard.press("j")
    assert focused(page) == "Grace Whitfield"
    page.keyboard.press("Enter")
    expect(page.locator("#drawer")).to_contain_text("Give to Ana: every promise holds")
    page.keyboard.press("g")
    ana = page.locator("section[aria-label='Ana Hale']")
    expect(ana.locator(".block[aria-label^='Grace']")).to_be_visible(timeout=4000)
    expect(page.locator("#drawer")).to_contain_text("Ana Hale")


def test_arrows_go_along_a_line_and_between_lines(eight: Stage) -> None:
    page = eight.page("/board/?sort=name")
    page.locator(".block[aria-label^='Priya']").focus()
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith("Grace")
    page.keyboard.press("ArrowUp")
    assert focused(page).startswith("Lewis")


def test_keys_are_off_while_typing_and_can_be_switched_off(eight: Stage) -> None:
    page = eight.page()
    page.keyboard.press("/")
    page.keyboard.type("j?g")
    assert page.locator("#q").input_value() == "j?g" and not page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.get_by_label("Single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()


def test_a_refusal_is_shown_as_a_sentence_and_the_board_stays(eight: Stage) -> None:
    page = eight.page()
    page.locator(".block[aria-label^='Grace']").click()
    page.locator("summary", has_text="Cancel this visit").click()
    eight.desk.tap("Priya", "done", "09:40")
    eight.desk.tap("Grace", "arrived", "09:40")
    eight.desk.tap("Grace", "done", "09:40")
    page.get_by_role("button", name="Cancel the visit").click()
    expect(page.get_by_role("alert")).to_contain_text("over already")
    expect(page.locator(".row")).to_have_count(2)


def test_a_server_that_does_not_answer_leaves_the_board_and_says_so(eight: Stage) -> None:
    page = eight.page()
    page.route("**/board/rows*", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    expect(page.locator("#live")).to_contain_text("Not live since", timeout=4000)
    expect(page.locator(".row")).to_have_count(2)


def test_without_javascript_links_and_forms_work(eight: Stage) -> None:
    eight.desk.tap("Priya", "late", "09:40", minutes=120)
    page = eight.page(java_script_enabled=False)
    page.locator(".block[aria-label^='Grace']").click()
    expect(page.locator("h2").first).to_have_text("Grace Whitfield")
    page.get_by_role("button", name="Give to Ana").click()
    expect(page.locator("#drawer")).to_contain_text("Ana Hale")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_visit_laid_over_the_board(eight: Stage, scheme: str) -> None:
    eight.desk.tap("Priya", "late", "09:40", minutes=120)
    page = eight.page(color_scheme=scheme)
    page.locator(".block[aria-label^='Grace']").click()
    expect(page.locator("#drawer h2")).to_be_visible()
    assert faults(page) == []


def test_a_hundred_technicians_fit_one_line_each_and_every_bar_can_be_hit(hundred: Stage) -> None:
    page = hundred.page()
    expect(page.locator(".row")).to_have_count(100)
    expect(page.locator(".block")).to_have_count(800)
    heights = page.evaluate("[...document.querySelectorAll('.row')].map(r => r.getBoundingClientRect().height)")
    assert max(heights) <= 25
    small = page.evaluate(
        "[...document.querySelectorAll('.block')].filter(b => {"
        "  const r = b.getBoundingClientRect(), p = getComputedStyle(b, '::after');"
        "  return r.width < 24 || r.height - parseFloat(p.top) - parseFloat(p.bottom) < 24 - 0.5 }).length"
    )
    assert small == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert faults(page) == []


def test_at_half_the_width_nothing_is_lost_and_only_the_lines_scroll_sideways(eight: Stage) -> None:
    page = eight.page(viewport={"width": 640, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("#needs")).to_be_visible()
    page.locator(".block[aria-label^='Grace']").click()
    expect(page.locator("#drawer h2")).to_be_visible()
