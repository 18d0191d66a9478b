"""The customer's page in a real browser: by keyboard, without JavaScript, on small phones, light and dark."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from punctual import clock, config, links, watch
from punctual.actions import technician, transaction
from punctual.app import create_app
from punctual.models import Visit, db
from tests import build
from tests.browser import chromium
from tests.browser.chromium import AXE, NAMES, RULES
from tests.build import Built, wall

pytestmark = pytest.mark.browser


class Grace:
    """A served company at 09:40; Tom is 75 minutes late and Grace was told 10:45 to 11:20."""

    def __init__(self, url: str, token: str, built: Built, browser: Browser) -> None:
        self.url, self.token, self.built, self.browser = url, token, built, browser

    def page(self, path: str = "", **options: Any) -> Page:
        given = {"viewport": {"width": 390, "height": 844}, "bypass_csp": True} | options
        page = self.browser.new_context(**given).new_page()
        page.goto(f"{self.url}/c/{self.token}{path}")
        return page

    def tap(self, name: str, kind: str, at: str, minutes: int = 0) -> None:
        visit = self.built.visits[name].id
        technician.report(
            visit,
            kind,  # type: ignore[arg-type]
            technician_id=self.built.technicians["Tom"].id,
            key=f"{name}-{kind}-{at}",
            tapped_at=wall(at),
            at=wall(at),
            minutes=minutes,
        )


@pytest.fixture
def grace(sqlite_url: str, tmp_path: Path, browser: Browser) -> Iterator[Grace]:
    settings = config.Settings(
        instance=tmp_path / "instance",
        database_url=sqlite_url,
        clock="2026-11-24T09:40:00+00:00 x1",
        origin="http://127.0.0.1",
    )
    app = create_app(settings)
    with app.app_context():
        server = chromium.server(app)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with transaction() as s:
            built = build.day(s)
            build.day(s, "Ana 08:00-17:00 skills boiler\n", on=build.DATE + timedelta(days=1))
            key = settings.key("link")
            token = links.make(s, key, "customer", built.visits["Grace"].id, at=wall("08:00"))
        made = Grace(f"http://127.0.0.1:{server.server_port}", token, built, browser)
        made.tap("Priya", "arrived", "09:00")
        made.tap("Priya", "late", "09:20", 45)
        with transaction() as s:
            v = s.get_one(Visit, built.visits["Grace"].id)
            v.told_start, v.told_end, v.told_at, v.told_kind = wall("10:45"), wall("11:20"), wall("09:21"), "late_first"
            watch.look(s, [x.id for x in built.shifts.values()], at=wall("09:40"))
        yield made
        for context in browser.contexts:
            context.close()
        server.shutdown()
        db.session.remove()
        db.engine.dispose()
    clock.configure("")


def faults(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("([only, rules]) => axe.run({runOnly: only, rules})", [RULES, NAMES])
    return [f"{v['id']}: {json.dumps([n['target'] for n in v['nodes']])}" for v in found["violations"]]


@pytest.mark.parametrize("language", ["en", "es", "de"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "/times", "/cancel"])
def test_nothing_on_the_page_bars_anybody(grace: Grace, scheme: str, path: str, language: str) -> None:
    with transaction() as s:
        s.get_one(Visit, grace.built.visits["Grace"].id).customer.language = language
    page = grace.page(path, color_scheme=scheme)
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.locator("h1")).to_have_count(1)
    assert faults(page) == []


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("path", ["", "/times?more=1", "/cancel"])
def test_nothing_runs_out_of_the_screen(grace: Grace, width: int, path: str) -> None:
    page = grace.page(path, viewport={"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_target_is_large_enough_for_a_thumb(grace: Grace) -> None:
    for path in ("", "/times", "/cancel"):
        page = grace.page(path)
        for box in page.locator("main button:visible, main a.btn:visible, .offers label:visible").all():
            size = box.bounding_box()
            assert size is not None
            assert size["height"] >= 44, box.inner_text()
            assert size["width"] >= 44, box.inner_text()


def test_another_time_is_taken_without_javascript(grace: Grace) -> None:
    page = grace.page(java_script_enabled=False)
    expect(page.get_by_role("heading", level=1)).to_have_text("We are running late and we are sorry")
    page.get_by_role("button", name="Choose a new time").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Choose a new time")
    expect(page.locator("main")).to_contain_text("We are keeping these times free for you until")
    choice = page.get_by_role("radio").last
    choice.check()
    wanted = page.locator("label:has(:checked) b").inner_text()
    page.get_by_role("button", name="Take this time").click()
    expect(page.get_by_role("status")).to_contain_text("Your new time is confirmed.")
    start = wanted.split(", ")[-1].split(" to ")[0]
    expect(page.locator("#eta")).to_contain_text(start)


def test_this_works_by_keyboard_alone(grace: Grace) -> None:
    page = grace.page()
    for _ in range(6):
        page.keyboard.press("Tab")
        if "This works" in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Thank you. We keep your visit.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Saved at 9:40. Thank you. We keep your visit.")
    expect(page.locator("#head")).to_have_text("We plan to arrive between 10:45 and 11:20")


def test_reloading_after_a_choice_sends_nothing_again(grace: Grace) -> None:
    page = grace.page()
    page.get_by_role("button", name="This works, I will be here").click()
    expect(page.get_by_role("status")).to_contain_text("Saved at 9:40.")
    page.reload()
    expect(page.get_by_role("status")).to_contain_text("Saved at 9:40.")
    db.session.rollback()
    assert db.session.get_one(Visit, grace.built.visits["Grace"].id).promise_version == 2


def test_a_limit_is_set_with_the_time_field(grace: Grace) -> None:
    page = grace.page()
    page.get_by_text("I must leave at a fixed time").click()
    page.get_by_label("Do you have to leave at a fixed time?").fill("13:15")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Noted. It works as things stand now.")
    expect(page.get_by_label("Do you have to leave at a fixed time?")).to_have_value("13:15")


def test_the_page_keeps_itself_up_to_date_and_says_what_changed(grace: Grace) -> None:
    page = grace.page()
    page.get_by_label("What should we know?").fill("I am writing this")
    before = page.locator("#eta .range").inner_text()
    grace.tap("Priya", "late", "09:39", 30)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#eta .range")).not_to_have_text(before)
    heading, range_ = page.locator("#head").inner_text(), page.locator("#eta .range").inner_text()
    expect(page.locator("[data-news]")).to_have_text(f"{heading}. {range_}")
    boxes = [x.bounding_box() for x in page.get_by_text(heading).all()]
    assert sum(1 for box in boxes if box and box["width"] > 1) == 1, "who looks sees it once, in its place"
    expect(page.get_by_label("What should we know?")).to_have_value("I am writing this")


def test_when_the_technician_sets_off_the_choices_follow(grace: Grace) -> None:
    page = grace.page()
    grace.tap("Priya", "done", "09:38")
    grace.tap("Grace", "on_my_way", "09:39")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tom is on the way")
    expect(page.get_by_role("button", name="Choose a new time")).to_have_count(0)


def test_a_link_that_does_not_work_is_readable_too(grace: Grace) -> None:
    page = grace.browser.new_context(bypass_csp=True).new_page()
    page.goto(f"{grace.url}/c/aaaaaaaaaaaaaaaaaaaaaa")
    expect(page.get_by_role("heading", level=1)).to_have_text("This link does not work")
    assert faults(page) == []
