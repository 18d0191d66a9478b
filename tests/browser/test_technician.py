"""The technician's phone in a real browser: two taps within twenty minutes, with JavaScript and without."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from punctual import clock, config
from punctual.actions import access, transaction
from punctual.app import create_app
from punctual.models import db
from tests import build
from tests.browser import chromium
from tests.build import wall

pytestmark = pytest.mark.browser


@pytest.fixture
def phone(sqlite_url: str, tmp_path: Path) -> Iterator[str]:
    """Where Tom's phone is enrolled at 09:20; a served company."""
    settings = config.Settings(
        instance=tmp_path / "instance",
        database_url=sqlite_url,
        clock="2026-11-24T09:20:00+00:00 x1",
        origin="http://127.0.0.1",
    )
    app = create_app(settings)
    with app.app_context():
        server = chromium.server(app)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with transaction() as s:
            tom = build.day(s).technicians["Tom"].id
        link = access.enrol_link(tom, key=settings.key("link"), at=wall("09:20"))
        yield f"http://127.0.0.1:{server.server_port}/t/enrol/{link}"
        server.shutdown()
        db.session.remove()
        db.engine.dispose()
    clock.configure("")


@pytest.mark.parametrize("script", [True, False])
def test_a_second_tap_says_who_is_told_later_and_from_when(phone: str, browser: Browser, script: bool) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=script)
    try:
        page: Page = context.new_page()
        page.goto(phone)
        page.get_by_role("button", name="Use this phone").click()
        strip = page.get_by_role("status")
        page.get_by_role("button", name="Arrived").click()
        expect(strip).to_contain_text("Nobody needs to be told.")
        for said, not_said in (("Being told: Grace.", "Told later"), ("Told later: Grace, from 9:40.", "Nobody")):
            if not page.get_by_role("button", name="+60").is_visible():
                page.get_by_text("Running late").click()
            page.get_by_role("button", name="+60").click()
            expect(strip).to_contain_text(said)
            expect(strip).not_to_contain_text(not_said)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        context.close()
