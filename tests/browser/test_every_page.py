"""Every page in a real browser: at a desk and on a phone, light and dark, zoomed to twice its size, by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from punctual import clock
from punctual.actions import access
from punctual.models import Report, db
from tests.browser import everything
from tests.browser.chromium import AXE, NAMES, RULES
from tests.browser.everything import BOARD, STATES, Served
from tests.build import wall

pytestmark = pytest.mark.browser
_RUN = "([only, rules]) => axe.run(document, {runOnly: only, rules, resultTypes: ['violations']})"
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture
def stocked(tmp_path: Path, browser: Browser) -> Iterator[Served]:
    """A company that has something on every page."""
    yield from _served(tmp_path, browser, full=True)


@pytest.fixture
def plain(tmp_path: Path, browser: Browser) -> Iterator[Served]:
    """The same day before anything has happened."""
    yield from _served(tmp_path, browser, full=False)


def _served(folder: Path, browser: Browser, *, full: bool) -> Iterator[Served]:
    with everything.served(folder / "instance", full=full) as here:
        yield here
        for context in browser.contexts:
            context.close()
        db.session.remove()
        db.engine.dispose()
    clock.configure("")


def signed_in(here: Served, browser: Browser, face: str) -> Page:
    """A browser of the dispatcher or of Tom."""
    page = browser.new_context(viewport=DESK, bypass_csp=True, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
    key, at = here.app.config["SETTINGS"].key("link"), wall("09:40")
    tom = here.built.technicians["Tom"].id
    path = f"/board/enter/{access.signin_link(1, key=key, at=at)}" if face == "board" else f"/t/enrol/{access.enrol_link(tom, key=key, at=at)}"  # fmt: skip
    page.goto(here.url + path)
    page.get_by_role("button").first.press("Enter")
    return page


def barriers(page: Page) -> list[str]:
    """What axe finds in four looks, and where a page must be scrolled both ways (twice its size is half its width)."""
    page.evaluate(AXE.read_text())
    found = []
    for size, scheme, rules in ((DESK, "light", RULES), (DESK, "dark", "color-contrast"), (PHONE, "dark", RULES), (PHONE, "light", "color-contrast")):  # fmt: skip
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        only = {"type": "tag", "values": rules} if isinstance(rules, list) else {"type": "rule", "values": [rules]}
        seen = page.evaluate(_RUN, [only, NAMES if rules is RULES else {}])
        found += [f"{size['width']} {scheme} {v['id']}: {v['nodes'][0]['html'][:120]}" for v in seen["violations"]]
    for width in (1280, 640, 390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{wide} wide at {width}"] if wide > width else []
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    heads = page.locator("h1").count()
    return found + ([f"{heads} h1"] if heads != 1 else [])


def test_every_page_of_the_board_can_be_read_by_everybody(stocked: Served, browser: Browser) -> None:
    page = signed_in(stocked, browser, "board")
    found = {}
    for name, path in BOARD:
        page.goto(stocked.url + path.format(**everything.ids(stocked)))
        found[name] = barriers(page)
    assert {name: x for name, x in found.items() if x} == {}


def test_every_page_of_a_technicians_phone_can_be_read_by_everybody(stocked: Served, browser: Browser) -> None:
    page = browser.new_context(bypass_csp=True, reduced_motion="reduce").new_page()
    for path in ("/", "/board/sign-in", "/nothing-here", "/board/enter/wrong", "/t/enrol/wrong"):
        page.goto(stocked.url + path)
        assert barriers(page) == [], path
    page = signed_in(stocked, browser, "phone")
    for path in ("/t/", "/t/?day=tomorrow", "/t/photos/999"):
        page.goto(stocked.url + path)
        assert barriers(page) == [], path


def test_every_state_of_a_customers_page_can_be_read_by_everybody(plain: Served, browser: Browser) -> None:
    page = browser.new_context(bypass_csp=True, reduced_motion="reduce").new_page()
    found = {}
    for state, bring in STATES:
        bring(plain)
        page.goto(f"{plain.url}/c/{plain.grace}")
        found[state] = barriers(page)
    assert {state: x for state, x in found.items() if x} == {}


def test_a_barrier_would_be_found(plain: Served, browser: Browser) -> None:
    """Negative control."""
    page = browser.new_context(bypass_csp=True, reduced_motion="reduce").new_page()
    page.goto(f"{plain.url}/c/{plain.grace}")
    page.evaluate("document.querySelector('h1').outerHTML = '<p style=\"width: 700px; color: #ccc\">Late</p>'")
    found = " ".join(barriers(page))
    assert "color-contrast" in found and "wide at 640" in found and "0 h1" in found


def test_a_technician_reports_by_keyboard_alone(plain: Served, browser: Browser) -> None:
    page = signed_in(plain, browser, "phone")
    for button, then in (("Arrived", "Arrived, tapped"), ("+30", "Running late +30, tapped")):
        _tab_to(page, button)
        page.keyboard.press("Enter")
        expect(page.locator("form.saved")).to_contain_text(then)


def test_a_day_that_renews_itself_leaves_the_keyboard_where_it_was(plain: Served, browser: Browser) -> None:
    page = signed_in(plain, browser, "phone")
    _tab_to(page, "+30")
    page.evaluate("document.getElementById('live').firstElementChild.dataset.old = 1")
    page.evaluate(
        "fetch(document.activeElement.form.action, {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({key: 'another-phone', minutes: 15})})"
    )
    expect(page.locator("[data-old]")).to_have_count(0)
    assert page.evaluate("document.activeElement.textContent.trim()") == "+30"


def test_a_tap_shows_the_new_times_though_the_fresh_day_does_not_come_through(plain: Served, browser: Browser) -> None:
    page = signed_in(plain, browser, "phone")
    page.route("**/t/live*", lambda route: route.abort())
    times = page.locator("time[data-eta]")
    before = times.all_text_contents()
    page.get_by_role("button", name="+60").click()
    expect(page.locator("#strip")).to_contain_text("sent at")
    expect(times.first).not_to_have_text(before[0])
    after = times.all_text_contents()
    page.unroute("**/t/live*")
    page.reload()
    assert times.all_text_contents() == after, "the page itself says the same"


@pytest.mark.parametrize("size", [PHONE, {"width": 320, "height": 568}])
def test_what_a_tap_did_and_its_undo_are_in_sight_wherever_the_day_is_scrolled(
    plain: Served, browser: Browser, size: dict[str, int]
) -> None:
    page = signed_in(plain, browser, "phone")
    page.set_viewport_size(size)  # type: ignore[arg-type]
    page.evaluate("scrollTo(0, 9999)")
    page.get_by_role("button", name="+15").click()
    answer, undo = page.locator("#answer"), page.locator("#answer button")
    for seen in (answer.get_by_text("+15 sent at"), undo):
        expect(seen).to_be_in_viewport(ratio=1)
    apart = (
        "Math.round(document.querySelector('.dock').getBoundingClientRect().top"
        " - document.getElementById('answer').getBoundingClientRect().bottom)"
    )
    page.wait_for_function(f"{apart} === 8")
    page.get_by_text("More", exact=True).click()
    page.wait_for_function(f"{apart} === 8")
    page.get_by_text("More", exact=True).click()
    page.evaluate("scrollTo(0, 9999)")
    for last in (page.get_by_role("button", name="Sign out"), page.get_by_role("button", name="Arrived")):
        last.click(trial=True, timeout=3000)  # Playwright refuses where something else is on top
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    undo.press("Enter")
    expect(answer).to_contain_text("Undo sent at")
    expect(undo).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "strip", "the keyboard stays where the answer is"
    assert db.session.query(Report).filter_by(kind="undo").count() == 1


def test_an_answer_offers_no_undo_of_another_report(plain: Served, browser: Browser) -> None:
    page = signed_in(plain, browser, "phone")
    page.get_by_role("button", name="+15").click()
    expect(page.locator("#answer button")).to_be_visible()
    page.evaluate(
        "fetch(document.querySelector('[data-tap=late]').action, {method: 'POST',"
        " headers: {'Content-Type': 'application/json'}, body: JSON.stringify({key: 'another-phone', minutes: 30})})"
    )
    expect(page.locator("form#undo")).to_contain_text("+30")
    expect(page.locator("#answer button")).to_be_hidden()


def test_an_answer_goes_away_and_its_undo_stays_in_the_day(plain: Served, browser: Browser) -> None:
    page = signed_in(plain, browser, "phone")
    page.clock.install()
    page.reload()
    page.get_by_role("button", name="+15").click()
    expect(page.locator("#answer button")).to_be_visible()
    page.mouse.move(1, 1)
    page.clock.run_for(21000)
    expect(page.locator("#answer")).to_have_class("vh")
    expect(page.locator("#answer button")).to_be_hidden()
    expect(page.locator("form#undo").get_by_role("button", name="Undo")).to_be_visible()


def test_a_dispatcher_answers_a_concern_by_keyboard_alone(stocked: Served, browser: Browser) -> None:
    page = signed_in(stocked, browser, "board")
    page.goto(stocked.url + "/board/concerns")
    _tab_to(page, "Answer to")
    page.keyboard.type("Tuesday is right.")
    _tab_to(page, "Send the answer")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("Tuesday is right.")


def test_nothing_moves_for_who_wants_no_motion(plain: Served, browser: Browser) -> None:
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(f"{plain.url}/c/{plain.grace}")
    moves = (
        "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    )
    assert page.evaluate(moves) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moves) > 0, "else this finds nothing"


@pytest.mark.parametrize(
    ("press", "then"),
    [("Ask for a call", "call you by"), ("Cancel the visit", "Cancel this visit?"), ("Save", "Noted")],
)
def test_a_customers_choices_need_no_script(plain: Served, browser: Browser, press: str, then: str) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{plain.url}/c/{plain.grace}")
    page.get_by_text("I must leave at a fixed time").click()
    page.get_by_label("Do you have to leave at a fixed time?").fill("13:15")
    page.get_by_label("Your telephone number").fill("0117 496 0002")
    page.get_by_role("button", name=press).or_(page.get_by_role("link", name=press)).click()
    expect(page.locator("main")).to_contain_text(then)


def _tab_to(page: Page, words: str) -> None:
    """Press Tab until what has the focus is called so."""
    name = "(e => e === document.body ? '' : e.labels && e.labels.length ? e.labels[0].innerText : e.getAttribute('aria-label') || e.innerText)(document.activeElement)"
    for _ in range(80):
        page.keyboard.press("Tab")
        if words in (page.evaluate(name) or ""):
            return
    raise AssertionError(f"Tab does not reach {words}")
