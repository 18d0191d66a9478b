"""Links are safe to open and say nothing when they are wrong: every route that takes one, found in the application's own map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.routing import Rule

from punctual import clock, letters, links, outbox
from punctual.actions import access, transaction
from punctual.models import Customer, Link, Visit, db
from tests import build
from tests.build import Built, wall

#: Who opens links without anybody behind them: mail scanners, previews, crawlers, prefetching browsers.
SCANNERS = (
    {"User-Agent": "Mozilla/5.0 (compatible; Barracuda Sentinel; EE)"},
    {"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks", "X-Forwarded-For": "40.92.0.1"},
    {"User-Agent": "WhatsApp/2.23.20.0"},
    {"User-Agent": "Googlebot/2.1", "Purpose": "prefetch", "Sec-Purpose": "prefetch"},
    {"User-Agent": "", "Accept": "*/*", "Range": "bytes=0-99"},
)
#: What stands at <token>, by where the route lies.
PURPOSES = {"/c/": "customer", "/s/": "stop", "/feed/": "feed", "/t/enrol/": "enrol", "/board/enter/": "signin"}


@pytest.fixture
def tokens(lite: Flask) -> Iterator[dict[str, str]]:
    """A live link of every purpose; Grace has been told of a delay, so that her page shows all it can."""
    clock.configure("2026-11-24T09:40:00+00:00 x1")
    at, key = wall("09:40"), lite.config["SETTINGS"].key("link")
    with transaction() as s:
        built: Built = build.day(s)
        user, tom, grace = build.dispatcher(s).id, built.technicians["Tom"].id, built.visits["Grace"]
        outbox.put(s, key="k", kind="late_first", at=at, reason="x", visit=grace)
        found = {"customer": links.make(s, key, "customer", grace.id, at=at)}
        stop = letters.stop_link(s, lite.config["SETTINGS"], s.get_one(Customer, grace.customer_id), at)
        found["stop"] = stop.rpartition("/")[2]
    found["feed"] = access.feed_link(tom, key=key, at=at)
    found["enrol"] = access.enrol_link(tom, key=key, at=at)
    found["signin"] = access.signin_link(user, key=key, at=at)
    yield found


def routes(app: Flask, method: str) -> list[tuple[str, str]]:
    """(address with {token}, purpose) of every route behind a link that takes the method."""

    def purpose(rule: Rule) -> str:
        return next(p for start, p in PURPOSES.items() if rule.rule.startswith(start))

    mine = [r for r in app.url_map.iter_rules() if "<token>" in r.rule and method in (r.methods or ())]
    return [(r.rule.replace("<token>", "{token}"), purpose(r)) for r in mine]


def written(app: Flask) -> bytes:
    """Every byte of the database and of its log."""
    db.session.remove()
    base = Path(str(db.engine.url.database))
    return base.read_bytes() + Path(f"{base}-wal").read_bytes()


def phone(app: Flask, tokens: dict[str, str]) -> FlaskClient:
    browser = app.test_client()
    assert browser.post(f"/t/enrol/{tokens['enrol']}").status_code == 303
    return browser


def test_scanners_that_open_every_link_change_no_byte(lite: Flask, tokens: dict[str, str]) -> None:
    browser, before = lite.test_client(), written(lite)
    opened = 0
    for rule, purpose in routes(lite, "GET"):
        for headers in SCANNERS:
            for method in ("GET", "HEAD"):
                answer = browser.open(rule.format(token=tokens[purpose]), method=method, headers=headers)
                assert answer.status_code in (200, 206), (rule, answer.status_code)
                opened += 1
    assert opened >= 8 * 2 * len(SCANNERS)
    assert written(lite) == before


def test_a_technicians_own_pages_change_no_byte_when_they_are_read(lite: Flask, tokens: dict[str, str]) -> None:
    browser = phone(lite, tokens)
    before = written(lite)
    for path in ("/t/", "/t/live", "/t/photos/1", "/t/sw.js"):
        for headers in SCANNERS:
            assert browser.get(path, headers=headers).status_code in (200, 206, 404)
    assert written(lite) == before


def test_a_press_does_change_something(lite: Flask, tokens: dict[str, str]) -> None:
    """Negative control: the comparison would notice."""
    before = written(lite)
    lite.test_client().post(f"/c/{tokens['customer']}/call", data={"number": "0117 496 0199"})
    assert written(lite) != before


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_wrong_old_truncated_and_foreign_links_give_one_and_the_same_page(
    lite: Flask, tokens: dict[str, str], method: str
) -> None:
    with transaction() as s:
        old = s.scalars(select(Link).where(Link.purpose == "customer")).one()
        old.revoked_at = wall("09:00")
        other = links.make(s, lite.config["SETTINGS"].key("link"), "customer", 3, at=wall("09:40"))
        s.delete(s.scalars(select(Link).where(Link.token_hash == links.hashed(other))).one())
    browser, before = lite.test_client(), written(lite)
    for rule, purpose in routes(lite, method):
        foreign = next(t for p, t in tokens.items() if p not in (purpose, "customer"))
        bad = {"wrong": "a" * 22, "old": tokens["customer"], "never made": other, "foreign": foreign,
               "truncated": tokens[purpose][:-1], "longer": tokens[purpose] + "A", "odd": "%C3%A9" * 22, "nul": "%00"}  # fmt: skip
        seen = {}
        for name, token in bad.items():
            answer = browser.open(rule.format(token=token), method=method)
            seen[name] = (answer.status_code, answer.data, answer.headers.get("Cache-Control"))
        assert len(set(seen.values())) == 1, (rule, {k: v[0] for k, v in seen.items()})
        assert seen["wrong"][0] == (410 if purpose == "feed" else 404)
        assert b"Grace" not in seen["old"][1] and b"Whitfield" not in seen["old"][1]
    assert written(lite) == before
    assert db.session.get_one(Visit, 2).state == "planned"
