"""Old links and old tabs of a customer: nothing is offered that would be refused, and nothing moves unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, links
from punctual.models import Link, Visit, db
from tests.web.desk import words
from tests.web.visitor import Page, everything, visitor


@pytest.fixture
def grace(lite: Flask) -> Iterator[Page]:
    yield visitor(lite)


def form(page: Page, path: str = "/times") -> tuple[list[str], str]:
    """The times on a page, and the promise it was made of."""
    html = page.get(path)
    version = re.search(r'name="version" value="([^"]+)"', html)
    assert version
    return re.findall(r'name="slot" value="([^"]+)"', html), version[1]


def starts(page: Page) -> str:
    return page.visit.planned_start.isoformat()


def test_a_tab_left_open_does_not_move_the_visit_again(grace: Page) -> None:
    times, old = form(grace)
    first, second = times[0], times[1]
    grace.post("choice", slot=first, version=old)
    before = everything()
    answer = grace.post("choice", 409, slot=second, version=old)
    text = words(answer.text)
    assert re.search(
        r"Your visit has been moved since you opened this page: \w+ \d+ November 2026, between [\d:]+ and [\d:]+\. "
        r"Nothing was changed now\.",
        text,
    )
    assert first.endswith(starts(grace)) and everything() == before
    fresh = re.search(r'name="version" value="([^"]+)"', answer.text)
    assert fresh and fresh[1] != old, "who reads that and still wants another time, takes it here"
    other = next(x for x in re.findall(r'name="slot" value="([^"]+)"', answer.text) if not x.endswith(starts(grace)))
    assert "Your new time is confirmed." in grace.after("choice", slot=other, version=fresh[1])
    assert other.endswith(starts(grace))


def test_the_same_time_from_two_tabs_is_one_choice(grace: Page) -> None:
    times, old = form(grace)
    grace.post("choice", slot=times[0], version=old)
    assert "We already have this from you" in grace.after("choice", slot=times[0], version=old)


def test_the_link_to_other_times_of_a_finished_visit_says_what_can_be_done(grace: Page) -> None:
    assert 'name="slot"' in grace.get("/times")
    slot = form(grace)[0][-1]
    clock.configure("2026-11-24T12:00:00+00:00 x1")
    grace.tap("Grace", "arrived", "10:05")
    grace.tap("Grace", "done", "11:00")
    html = grace.get("/times")
    assert 'name="slot"' not in html
    text = words(html)
    assert "This visit is over, so no other time can be chosen for it. Ask for a call if something is wrong." in text
    assert "Something is not right: call me" in text and "Not done" in text
    refused = grace.post("choice", 409, slot=slot).text
    assert "This visit is over or cancelled already" in words(refused) and 'name="slot"' not in refused
    grace.post("not-done")
    assert "no other time can be chosen" not in grace.text("/times"), "work that is not done can have another time"


def test_with_the_technician_on_the_way_no_times_are_shown_that_nobody_can_take(grace: Page) -> None:
    grace.tap("Priya", "arrived", "08:20")
    grace.tap("Priya", "done", "08:25")
    grace.tap("Grace", "on_my_way", "08:29")
    text = grace.text("/times")
    assert "Another time or a cancellation is not possible here any more. Ask for a call" in text
    assert 'name="slot"' not in grace.get("/times")


def test_a_visit_that_is_long_past_offers_no_times(grace: Page) -> None:
    clock.configure("2026-11-26T12:00:00+00:00 x1")
    text = grace.text("/times")
    assert "This visit is over, so no other time can be chosen for it." in text and "Ask for a call" in text


def test_what_is_booked_again_has_its_page_behind_a_button(grace: Page) -> None:
    grace.post("cancel")
    slot = form(grace)[0][0]
    html = grace.client.get(grace.post("choice", slot=slot).location).text
    assert "Your next visit is booked. The confirmation has its own page." in words(html)
    found = re.search(r'href="/c/([^"/]+)">Open the page of your next visit', html)
    assert found and found[1] != grace.token
    theirs = db.session.scalars(select(Visit).where(Visit.state == "planned").order_by(Visit.id.desc())).first()
    assert theirs is not None and slot.endswith(theirs.planned_start.isoformat())
    assert "We plan to arrive between" in words(grace.client.get(f"/c/{found[1]}").text)
    text = grace.text("/times")
    assert "Your next visit is booked." in text and "Open the page of your next visit" in text
    assert 'name="slot"' not in grace.get("/times")


def test_a_link_to_the_next_visit_that_no_longer_works_is_not_shown(grace: Page) -> None:
    grace.post("cancel")
    grace.post("choice", slot=form(grace)[0][0])
    html = grace.get()
    token = re.search(r'href="/c/([^"/]+)">Open the page', html)
    assert token
    link = db.session.scalars(select(Link).where(Link.token_hash == links.hashed(token[1]))).one()
    link.revoked_at = clock.now()
    db.session.commit()
    grace.app.extensions.pop("punctual_pages", None)
    assert "Open the page of your next visit" not in grace.text()
