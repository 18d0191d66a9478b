"""Every page and mail as a picture, three languages, phone and desk, light and dark: python -m tests.browser.everything screenshots"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import select

from punctual import config, letters, links, messages, outbox, watch
from punctual.actions import access, transaction
from punctual.app import create_app
from punctual.core.kinds import KINDS
from punctual.migrations import upgrade
from punctual.models import Notice, Promise, Visit, touch_board
from tests import build
from tests.browser import chromium, stocked
from tests.browser.chromium import ARGUMENTS
from tests.build import Built, wall

#: Kinds whose mail shows a range in large figures.
RANGE = letters.FORECAST | {"booked", "reminder", "invitation", "rescheduled", "moved_by_us", "kept"}
LANGUAGES = ("en", "es", "de")
SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 900}}
SCHEMES = ("light", "dark")
CLOCK = "2026-11-24T09:40:00+00:00 x1"


@dataclass
class Served:
    """A company that is served, its rows, and the address of Grace's page."""

    app: Flask
    url: str
    built: Built
    grace: str

    def change(self, **values: Any) -> None:
        """Grace's visit, as it would be."""
        with transaction() as s:
            visit = s.get_one(Visit, self.built.visits["Grace"].id)
            for name, value in values.items():
                setattr(visit, name, value)
            touch_board(s, visit.date)
            watch.look(s, [x.id for x in self.built.shifts.values()], at=wall("09:40"))


@contextmanager
def served(folder: Path, *, full: bool = False) -> Iterator[Served]:
    """The built day at 09:40, in a database of its own; `full`: with something on each of the board's pages."""
    settings = config.Settings(instance=folder, clock=CLOCK, origin="http://127.0.0.1")
    app = create_app(settings)
    with app.app_context():
        upgrade()
        server = chromium.server(app)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with transaction() as s:
            built = build.day(s)
            build.day(s, "Ana 08:00-17:00 skills boiler\n", on=build.DATE + timedelta(days=1))
            user = build.dispatcher(s)
            token = links.make(s, settings.key("link"), "customer", built.visits["Grace"].id, at=wall("08:00"))
        if full:
            stocked.stock(built, user.id)
        yield Served(app, f"http://127.0.0.1:{server.server_port}", built, token)
        server.shutdown()


def late(here: Served) -> None:
    """Tom's job runs over; Grace was told 10:45 to 11:20."""
    stocked.tap(here.built, "late", "09:20", 30)
    told = {"told_start": wall("10:45"), "told_end": wall("11:20"), "told_at": wall("09:21"), "told_kind": "late_first"}
    here.change(**told, deadline=None)


def earlier(here: Served) -> None:
    """Somebody has asked Grace whether Tom may come a quarter of an hour earlier."""
    with transaction() as s:
        visit = s.get_one(Visit, here.built.visits["Grace"].id)
        facts = {"earlier_from": wall("09:45").isoformat(), "earlier_to": wall("10:05").isoformat()}
        key = f"{visit.id}:{visit.promise_version}:earlier:1"
        outbox.put(s, key=key, kind="earlier", at=wall("09:39"), reason="by_hand", visit=visit, facts=facts)
        touch_board(s, visit.date)


def at_risk(here: Served) -> None:
    """Tom's job runs over so far that Grace may be late; she was not told yet, and no earlier time is left."""
    with transaction() as s:
        for asked in s.scalars(select(Notice).where(Notice.kind == "earlier")):
            asked.facts = asked.facts | {"earlier_from": wall("09:30").isoformat()}
    stocked.tap(here.built, "arrived", "09:00")
    stocked.tap(here.built, "late", "09:15", 50)
    here.change(deadline=None)


def no_time(here: Served) -> None:
    """Nobody knows when; Grace was told that."""
    none = dict.fromkeys(("cancelled_at", "finished_at", "arrived_at", "on_my_way_at"))
    here.change(state="planned", cancelled_by="", **none)
    with transaction() as s:
        visit = s.get_one(Visit, here.built.visits["Grace"].id)
        key = f"{visit.id}:{visit.promise_version}:no_time_yet"
        outbox.put(s, key=key, kind="no_time_yet", at=wall("09:35"), reason="no_news", visit=visit)


def missed(here: Served) -> None:
    """Nobody came yesterday, and that is final."""
    with transaction() as s:
        of = Promise.visit_id == here.built.visits["Grace"].id, Promise.kind == "window"
        for promise in s.scalars(select(Promise).where(*of)):
            promise.state, promise.ended_at = "broken", wall("09:30")
        touch_board(s, build.DATE)


#: The board's pages: name and address, of a company that has something on each (stocked.py); {} takes ids.
BOARD: tuple[tuple[str, str], ...] = (
    ("day", "/board/"), ("day-empty", "/board/?day=2026-12-24"), ("visit", "/board/visits/{grace}"),
    ("visit-others-times", "/board/visits/{grace}?others=1&times=1"), ("visit-concern", "/board/visits/{helen}"),
    ("effect", "/board/visits/{grace}/effect?technician={ana}"), ("technician", "/board/technicians/{tom}"),
    ("customer", "/board/customers/{customer}"), ("new", "/board/visits/new?customer={customer}"),
    ("search", "/board/search?q=Grace"), ("search-nothing", "/board/search?q=Zebedee"), ("messages", "/board/messages"),
    ("received", "/board/received"), ("words", "/board/words?language=de"), ("promises", "/board/promises"),
    ("promises-kept", "/board/promises?state=kept"), ("concerns", "/board/concerns"), ("good", "/board/making-good"),
    ("differences", "/board/differences"), ("people", "/board/people"), ("import", "/board/import"),
    ("imported", "/board/import/1"), ("summary", "/board/summary"), ("error", "/board/visits/99999"),
)  # fmt: skip

#: The customer's page in its states, one after the other, and what brings each about.
STATES: tuple[tuple[str, Callable[[Served], None]], ...] = (
    ("on-time", lambda here: here.change(deadline=wall("12:00"))),
    ("earlier", earlier),
    ("at-risk", at_risk),
    ("late", late),
    ("very-late", lambda here: here.change(deadline=wall("11:00"))),
    ("on-my-way", lambda here: here.change(deadline=None, state="on_my_way", on_my_way_at=wall("09:30"))),
    ("arrived", lambda here: here.change(state="arrived", arrived_at=wall("09:38"))),
    ("done", lambda here: here.change(state="done", finished_at=wall("09:39"))),
    ("nobody-home", lambda here: here.change(state="nobody_home")),
    ("cannot-finish", lambda here: here.change(state="cannot_finish")),
    ("cancelled-us", lambda here: here.change(state="cancelled", cancelled_by="us", cancelled_at=wall("09:00"))),
    ("cancelled-you", lambda here: here.change(cancelled_by="customer")),
    ("no-time", no_time),
    ("missed", missed),
)


class Camera:
    """Takes one picture of each look of a page."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.folder = folder
        self.pages = {
            f"{size}-{scheme}": browser.new_context(viewport=viewport, color_scheme=scheme).new_page()  # type: ignore[arg-type]
            for size, viewport in SIZES.items()
            for scheme in SCHEMES
        }

    def each(self, act: Callable[[Any], None]) -> None:
        """Do something in every browser: sign in."""
        for page in self.pages.values():
            act(page)

    def shoot(self, name: str, *, url: str = "", content: str = "") -> None:
        for look, page in self.pages.items():
            page.goto(url or "about:blank")
            if content:
                page.set_content(content)
            page.screenshot(path=str(self.folder / f"{name}-{look}.png"), full_page=True)


def customers(here: Served, camera: Camera) -> None:
    """Every state of the customer's page, and the pages behind it."""
    page = f"{here.url}/c/{here.grace}"
    for state, bring in STATES:
        bring(here)
        for language in LANGUAGES:
            with transaction() as s:
                s.get_one(Visit, here.built.visits["Grace"].id).customer.language = language
                touch_board(s, build.DATE)
            camera.shoot(f"customer-{state}-{language}", url=page)
            if state == "late":
                camera.shoot(f"customer-times-{language}", url=f"{page}/times")
                camera.shoot(f"customer-cancel-{language}", url=f"{page}/cancel")
    camera.shoot("customer-gone", url=f"{here.url}/c/wrong")


def mails(here: Served, camera: Camera) -> None:
    """Every kind of mail, as its HTML part."""
    for kind in KINDS:
        for language in LANGUAGES if KINDS[kind].class_ != "staff" else ("en",):
            with here.app.test_request_context():
                made = messages.compose(kind, facts(kind, language), language)
            camera.shoot(f"mail-{kind}-{language}", content=made.html)


def facts(kind: str, language: str) -> dict[str, Any]:
    """Example values of a kind, as a language writes them."""
    own = {} if KINDS[kind].class_ == "delay" else {"times_link": ""}
    staff, ranged = KINDS[kind].class_ == "staff", kind in RANGE
    return messages.EXAMPLE | messages.example_values(language) | own | {"staff": staff, "range_from": ranged}


def staff(here: Served, camera: Camera) -> None:
    """The board, the technician's phone and the doors to both."""
    key, tom, at = here.app.config["SETTINGS"].key("link"), here.built.technicians["Tom"].id, wall("09:40")

    def phone(page: Any) -> None:
        page.goto(f"{here.url}/t/enrol/{access.enrol_link(tom, key=key, at=at)}")
        page.get_by_role("button").first.click()

    def desk(page: Any) -> None:
        page.goto(f"{here.url}/board/enter/{access.signin_link(1, key=key, at=at)}")
        page.get_by_role("button").first.click()

    camera.shoot("start", url=f"{here.url}/")
    camera.shoot("sign-in", url=f"{here.url}/board/")
    camera.shoot("enrol", url=f"{here.url}/t/enrol/{access.enrol_link(tom, key=key, at=at)}")
    camera.shoot("enter", url=f"{here.url}/board/enter/{access.signin_link(1, key=key, at=at)}")
    camera.each(phone)
    camera.shoot("technician-day", url=f"{here.url}/t/")
    camera.shoot("technician-tomorrow", url=f"{here.url}/t/?day=tomorrow")
    camera.shoot("technician-error", url=f"{here.url}/t/photos/999")
    camera.each(desk)
    for name, path in BOARD:
        camera.shoot(f"board-{name}", url=here.url + path.format(**ids(here)))


def ids(here: Served) -> dict[str, int]:
    """What the board's addresses name."""
    return {
        "grace": here.built.visits["Grace"].id,
        "helen": here.built.visits["Helen"].id,
        "ana": here.built.technicians["Ana"].id,
        "tom": here.built.technicians["Tom"].id,
        "customer": here.built.customers["Grace"].id,
    }


def main(folder: Path) -> None:
    """All of it, into that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        camera = Camera(browser, folder)
        with served(Path(scratch) / "full", full=True) as here:
            staff(here, camera)
        with served(Path(scratch) / "day") as here:
            mails(here, camera)
            customers(here, camera)
        browser.close()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
