"""The customer's page: the truth in every state, and nothing that a look would change."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from icalendar import Calendar
from sqlalchemy import select

from punctual import clock, links, outbox
from punctual.actions import schedule as verbs
from punctual.actions import transaction
from punctual.core.day import Window
from punctual.models import Company, Link, Promise, Visit, db
from tests import build
from tests.build import wall
from tests.web.desk import words
from tests.web.visitor import Page, everything, late, visitor


@pytest.fixture
def grace(lite: Flask) -> Iterator[Page]:
    yield visitor(lite)


def test_on_time_the_page_says_when_who_and_where_in_the_day(grace: Page) -> None:
    text = grace.text()
    assert "We plan to arrive between 10:00 and 10:30" in text
    assert "Tuesday 24 November 2026. Bellweather Heating, Tom. Last checked 8:30." in text
    assert "Boiler service. London time, GMT." in text
    assert "One stop before you" in text
    assert "0117 496 0118" in text
    assert "If this changes, we will tell you before you are left waiting." in text


def test_looking_changes_nothing(grace: Page) -> None:
    before = everything()
    for path in ("", "/times", "/times?more=1", "/cancel", "/live", "/visit.ics"):
        grace.get(path)
        assert grace.client.head(f"/c/{grace.token}{path}").status_code == 200
    assert everything() == before


def test_no_cookie_is_set(grace: Page) -> None:
    assert "Set-Cookie" not in grace.client.get(f"/c/{grace.token}").headers


def test_the_page_is_small_and_needs_no_inline_script_or_style(grace: Page) -> None:
    late(grace)
    html = grace.get()
    assert len(html) < 30_000
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)", html)


def test_every_bad_link_is_the_same_page(grace: Page) -> None:
    gone = [grace.client.get(f"/c/{bad}") for bad in ("x", "a" * 22, "é" * 22, grace.token[:-1], grace.token + "A")]
    assert {x.status_code for x in gone} == {404}
    assert len({x.text for x in gone}) == 1
    assert "This link does not work" in gone[0].text
    assert "or call Bellweather Heating: 0117 496 0118 , Mon-Fri 8:00-18:00." in words(gone[0].text)
    assert "Grace" not in gone[0].text


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "Nothing was saved. Try again, or call 0117 496 0118."),
     ("es", "No se ha guardado nada. Inténtelo otra vez o llame al 0117 496 0118."),
     ("de", "Nichts wurde gespeichert. Noch einmal versuchen oder 0117 496 0118 anrufen.")],
)  # fmt: skip
def test_what_should_not_happen_is_said_with_a_number_to_call(lite: Flask, language: str, sentence: str) -> None:
    door = visitor(lite, language=language)
    with transaction() as s:
        key = f"{door.visit.id}:1:earlier:1"
        facts = {"earlier_from": "no time", "earlier_to": "no time"}
        outbox.put(s, key=key, kind="earlier", at=wall("08:20"), reason="by_hand", visit=door.visit, facts=facts)
    broken = door.client.get(f"/c/{door.token}", headers={"Accept-Language": language})
    assert broken.status_code == 500 and sentence in words(broken.text)
    with transaction() as s:
        s.get_one(Company, 1).phone = ""
    assert "0117" not in door.client.get(f"/c/{door.token}").text


@pytest.mark.parametrize(
    ("asked", "words"), [("de-AT,de;q=0.9", "Dieser Link funktioniert nicht"), ("fr", "This link does not work")]
)
def test_a_bad_link_speaks_the_browsers_language(grace: Page, asked: str, words: str) -> None:
    page = grace.client.get("/c/x", headers={"Accept-Language": asked})
    assert f'<h1 id="head">{words}</h1>' in page.text and f'lang="{asked[:2] if "de" in asked else "en"}"' in page.text


def test_the_title_says_what_the_heading_says_and_that_something_went_wrong(grace: Page) -> None:
    assert "<title>We plan to arrive between 10:00 and 10:30 - Bellweather Heating</title>" in grace.get()
    assert "<title>Error: We plan to arrive" in grace.post("deadline", 422, leave_by="25:99", kind="done").text


def test_a_link_that_has_run_out_or_was_revoked_is_that_page_too(grace: Page) -> None:
    with transaction() as s:
        s.scalars(select(Link)).one().expires_at = wall("08:00")
    expired = grace.get(status=404)
    with transaction() as s:
        row = s.scalars(select(Link)).one()
        row.expires_at, row.revoked_at = None, wall("08:00")
    assert grace.get(status=404) == expired == grace.client.get("/c/" + "a" * 22).text


def test_a_link_of_another_purpose_opens_no_page(grace: Page) -> None:
    with transaction() as s:
        other = links.make(s, grace.app.config["SETTINGS"].key("link"), "enrol", 1, at=wall("08:00"))
    assert grace.client.get(f"/c/{other}").status_code == 404


def test_at_risk_and_not_told_yet_shows_the_same_truth_as_the_board(grace: Page) -> None:
    late(grace, told=False)
    text = grace.text()
    assert "We may be later than planned" in text
    assert "We planned to arrive between 10:00 and 10:30. It looks more like 10:30 to 11:15." in text
    assert "We look again every minute and write to you if it stays so." in text
    assert "This works" not in text


def test_late_and_told_apologises_and_offers_every_choice(grace: Page) -> None:
    late(grace)
    text = grace.text()
    assert "We are running late and we are sorry" in text
    assert "We now expect to arrive between 10:30 and 11:15. We promised by 10:30." in text
    for choice in (
        "This works, I will be here",
        "Choose a new time",
        "I must leave at a fixed time",
        "Ask for a call",
        "Cancel the visit",
    ):
        assert choice in text
    assert "Tom is here since 8:29" in text
    assert 'aria-label="Promised 10:00 to 10:30. Now expected ' in grace.get()


def test_the_live_part_is_a_piece_of_the_page(grace: Page) -> None:
    late(grace)
    piece = grace.get("/live")
    assert "<html" not in piece
    assert 'data-state="late"' in piece
    whole = words(grace.get())
    assert "Tom is here since 8:29" in words(piece)
    assert all(words(part) in whole for part in piece.split("</section>"))


def test_on_the_way_it_is_too_late_to_move_or_cancel(grace: Page) -> None:
    grace.tap("Priya", "arrived", "08:25")
    grace.tap("Priya", "done", "08:29")
    grace.tap("Grace", "on_my_way", "08:30")
    text = grace.text()
    assert "Tom is on the way" in text
    assert "Choose a new time" not in text
    assert "Cancel the visit" not in text
    for path, fields in (("cancel", {}), ("deadline", {"leave_by": "12:30"}), ("keep", {})):
        sentence = words(grace.post(path, 409, **fields).text)
        assert "Tom is already on the way, so this cannot be changed here. Ask for a call, or call 0117" in sentence
    assert "We will call you by" in grace.after("call", number="1")


def test_on_the_way_nothing_is_offered_that_would_be_refused_even_where_the_limit_cannot_be_met(grace: Page) -> None:
    late(grace)
    grace.post("deadline", leave_by="10:30", kind="done")
    grace.tap("Priya", "done", "08:31")
    grace.tap("Grace", "on_my_way", "08:32")
    text = grace.text()
    assert "Tom is on the way" in text
    assert "Choose a new time" not in text
    assert "You told us: done by 10:30." in text


def test_once_there_and_once_done_the_page_says_so(grace: Page) -> None:
    grace.tap("Priya", "arrived", "08:20")
    grace.tap("Priya", "done", "08:25")
    grace.tap("Grace", "arrived", "08:28")
    text = grace.text()
    assert "Tom arrived at 8:28" in text
    assert "We expect to be done between" in text
    grace.tap("Grace", "done", "08:30")
    text = grace.text()
    assert "The work was reported done at 8:30" in text
    assert "Something is not right: call me" in text


def test_nobody_home_is_said_without_blame(grace: Page) -> None:
    grace.tap("Grace", "arrived", "08:25")
    grace.tap("Grace", "nobody_home", "08:30")
    assert "We could not reach you at 8:30" in grace.text()


def test_cancelled_by_us_apologises(grace: Page) -> None:
    with transaction() as s:
        verbs.cancel(s, s.get_one(Visit, grace.visit.id), at=wall("08:30"), by="user:1")
    assert "We have cancelled this visit. We are sorry" in grace.text()


def test_a_visit_long_past_is_over_and_offers_a_call(grace: Page) -> None:
    clock.configure("2026-11-25T10:00:00+00:00 x1")
    text = grace.text()
    assert "This visit is over" in text
    assert "Ask for a call" in text
    assert "This visit is over or cancelled already" in words(grace.post("keep", 409).text)


def test_a_visit_without_a_technician_or_forecast_has_a_page(grace: Page) -> None:
    with transaction() as s:
        s.get_one(Visit, grace.visit.id).technician_id = None
    assert "We plan to arrive between 10:00 and 10:30" in grace.text()
    assert 'name="slot"' in grace.get("/times")


def test_the_calendar_entry_has_the_invitations_uid_and_the_promised_window(grace: Page) -> None:
    answer = grace.client.get(f"/c/{grace.token}/visit.ics")
    assert answer.mimetype == "text/calendar"
    event = Calendar.from_ical(answer.data).walk("VEVENT")[0]
    visit = grace.visit
    assert event["UID"] == visit.uid
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (wall("10:00"), wall("10:30"))
    assert event["STATUS"] == "CONFIRMED"
    assert grace.token in event["URL"]


def test_what_was_promised_stays_to_be_read(grace: Page) -> None:
    with transaction() as s:
        verbs.move(
            s,
            s.get_one(Visit, grace.visit.id),
            technician_id=grace.built.technicians["Ana"].id,
            planned_start=wall("14:00"),
            window=Window(wall("14:00"), wall("14:30")),
            at=wall("08:30"),
            by="user:1",
            forced=True,
        )
    text = grace.text()
    assert "Arrival Tue 24 Nov, between 14:00 and 14:30 Open, due 14:30 today" in text
    assert "Arrival Tue 24 Nov, between 10:00 and 10:30 Moved to Tue 24 Nov, between 14:00 and 14:30" in text
    db.session.rollback()
    assert db.session.scalars(select(Promise.state).where(Promise.visit_id == grace.visit.id)).all() == [
        "moved",
        "open",
    ]


def test_an_american_reads_american_times(lite: Flask) -> None:
    grace = visitor(lite, language="en-US")
    html = grace.get()
    assert '<html lang="en-US">' in html
    assert "We plan to arrive between 10:00 AM and 10:30 AM" in words(html)
    assert "Tuesday, November 24, 2026" in words(html)


def test_a_language_nobody_knows_falls_back_to_english(lite: Flask) -> None:
    assert "We plan to arrive between 10:00 and 10:30" in visitor(lite, language="zz").text()


def test_the_saved_sentence_cannot_be_forged(grace: Page) -> None:
    for query in ("?saved=1", "?saved=999", "?had=x", "?saved=%00", "?saved=" + "9" * 5000):
        assert "Saved at" not in grace.text(query)


def test_another_sites_form_is_refused(grace: Page) -> None:
    answer = grace.client.post(f"/c/{grace.token}/cancel", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert grace.visit.state == "planned"


def test_a_limit_for_our_arriving_is_not_drawn_as_the_customers_leaving(lite: Flask) -> None:
    page = visitor(lite, "09:00", build.MORNING.replace("leave 12:00", "arrive 12:00"))
    drawn = page.get()
    assert "At the latest" in drawn and "You leave" not in drawn and "You told us: arrive by 12:00." in drawn


def test_a_check_of_another_day_is_named_with_its_day(lite: Flask) -> None:
    page = visitor(lite, "08:30")
    clock.configure("2026-11-23T18:00:00+00:00 x1")
    assert "Last checked Tue 24 Nov, 8:30." in page.text()
