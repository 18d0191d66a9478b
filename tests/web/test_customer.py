"""The customer's page: the truth in every state, choices that are saved once, and nothing that a look would change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from icalendar import Calendar
from sqlalchemy import func, select

from punctual import clock, links, watch
from punctual.actions import schedule as verbs
from punctual.actions import technician, transaction
from punctual.core.day import Window
from punctual.models import Answer, Link, Message, Notice, Promise, Visit, db
from punctual.queries import slots
from tests import build
from tests.build import Built, wall
from tests.web.desk import words


@dataclass
class Page:
    """A customer's browser at Grace's page, without a session; follows no redirects unless told."""

    app: Flask
    built: Built
    token: str
    client: Any

    def get(self, path: str = "", status: int = 200, **headers: str) -> str:
        answer = self.client.get(f"/c/{self.token}{path}", headers=headers)
        assert answer.status_code == status, answer.text
        return str(answer.text)

    def text(self, path: str = "", status: int = 200) -> str:
        return words(self.get(path, status))

    def post(self, path: str, status: int = 303, **fields: str) -> Any:
        answer = self.client.post(f"/c/{self.token}/{path}", data=fields)
        assert answer.status_code == status, answer.text
        return answer

    def after(self, path: str, **fields: str) -> str:
        """Press, follow the redirect, read."""
        return words(self.client.get(self.post(path, **fields).location).text)

    @property
    def visit(self) -> Visit:
        db.session.rollback()
        return db.session.get_one(Visit, self.built.visits["Grace"].id)

    def tap(self, name: str, kind: str, at: str, **more: Any) -> None:
        technician.report(
            self.built.visits[name].id,
            kind,
            technician_id=self.built.technicians["Tom"].id,
            key=f"{name}-{kind}-{at}",
            tapped_at=wall(at),
            at=wall(at),
            **more,
        )

    def told(self, start: str, end: str, kind: str = "late_first") -> None:
        """As the worker leaves a visit whose customer was told."""
        with transaction() as s:
            v = s.get_one(Visit, self.built.visits["Grace"].id)
            v.told_start, v.told_end, v.told_at, v.told_kind = wall(start), wall(end), wall("09:21"), kind


def visitor(app: Flask, at: str = "08:30", text: str = build.MORNING, language: str = "en") -> Page:
    """Grace's page on the built day, at that wall time."""
    clock.configure(f"2026-11-24T{at}:00+00:00 x1")
    with transaction() as s:
        built = build.day(s, text)
        built.customers["Grace"].language = language
        made = links.make(s, app.config["SETTINGS"].key("link"), "customer", built.visits["Grace"].id, at=wall("08:00"))
        watch.look(s, [x.id for x in built.shifts.values()], at=wall(at))
    return Page(app, built, made, app.test_client())


@pytest.fixture
def grace(lite: Flask) -> Iterator[Page]:
    yield visitor(lite)


def late(grace: Page, told: bool = True) -> None:
    """Tom stays 75 minutes longer at Priya's; Grace was told 10:45 to 11:20."""
    grace.tap("Priya", "arrived", "08:29")
    grace.tap("Priya", "late", "08:30", minutes=75)
    if told:
        grace.told("10:45", "11:20")


def everything() -> dict[str, int]:
    """How many rows every table has."""
    db.session.rollback()
    tables = db.metadata.sorted_tables
    return {t.name: db.session.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}


def test_on_time_the_page_says_when_who_and_where_in_the_day(grace: Page) -> None:
    text = grace.text()
    assert "We plan to arrive between 10:00 and 10:30" in text
    assert "Tuesday 24 November 2026, London time, GMT" in text
    assert "Tom, Boiler service" in text
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
    assert "0117 496 0118" in gone[0].text
    assert "Grace" not in gone[0].text


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
    assert "Promised: between 10:00 and 10:30" in text
    assert "This works" not in text


def test_late_and_told_apologises_and_offers_every_choice(grace: Page) -> None:
    late(grace)
    text = grace.text()
    assert "We are running late and we are sorry" in text
    assert "Promised: between 10:00 and 10:30" in text
    for choice in (
        "This works, I will be here",
        "Choose another time",
        "I must leave by",
        "Call me",
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


def test_keep_makes_the_told_range_the_promise(grace: Page) -> None:
    late(grace)
    text = grace.after("keep")
    assert "Saved at 8:30. Thank you. We keep your visit." in text
    visit = grace.visit
    assert (visit.window_start, visit.window_end) == (wall("10:45"), wall("11:20"))
    assert "We plan to arrive between 10:45 and 11:20" in text
    assert db.session.scalars(select(Message.kind).where(Message.state == "queued")).all()[-1] == "kept"


def test_the_same_press_twice_is_saved_once(grace: Page) -> None:
    late(grace)
    grace.post("keep")
    rows = everything()
    text = grace.after("keep")
    assert "We already have this from you, at 8:30. You do not have to send it again." in text
    assert everything() == rows


def test_where_waiting_cannot_work_keep_is_neither_offered_nor_taken(grace: Page) -> None:
    late(grace)
    grace.post("deadline", leave_by="10:30", kind="done")
    text = grace.text()
    assert "We cannot keep your visit as promised. We are sorry" in text
    assert "You do not have to wait." in text
    assert "This works" not in text
    refused = words(grace.post("keep", 409).text)
    assert "We cannot keep that time any more, and we are sorry." in refused
    assert grace.visit.window_start == wall("10:00")


def test_a_limit_that_works_is_noted(grace: Page) -> None:
    text = grace.after("deadline", leave_by="12:30", kind="done")
    assert "Saved at 8:30. Noted. It works as things stand now." in text
    assert "You told us: done by 12:30." in text
    assert grace.visit.deadline == wall("12:30")
    assert "We already have this from you" in grace.after("deadline", leave_by="12:30", kind="done")
    assert "Noted: no fixed time." in grace.after("deadline", kind="none")
    assert grace.visit.deadline is None


def test_a_limit_that_cannot_be_met_shows_other_times_at_once(grace: Page) -> None:
    late(grace)
    text = grace.after("deadline", leave_by="10:30", kind="done")
    assert "Noted. We cannot do it by then, and we are sorry." in text
    assert "Choose a new time" in text


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "Enter a time like 10:00."),
        ("noon", "Enter a time like 10:00."),
        ("24:00", "Enter a time like 10:00."),
        ("١٠:٠٠", "Enter a time like 10:00."),
        ("9" * 5000, "Enter a time like 10:00."),
        ("\x00", "Enter a time like 10:00."),
        ("08:15", "08:15 has already passed. Enter a later time."),
    ],
)
def test_a_limit_that_is_no_time_gets_a_sentence(grace: Page, given: str, sentence: str) -> None:
    assert sentence in words(grace.post("deadline", 422, leave_by=given).text)
    assert grace.visit.deadline == wall("12:00")


def offered(grace: Page, path: str = "/times") -> list[str]:
    return re.findall(r'name="slot" value="([^"]+)"', grace.get(path))


def test_other_times_are_free_times_and_nothing_is_kept_by_looking(grace: Page) -> None:
    text = grace.text("/times")
    assert "These times are free now. Nothing is kept for you until you take one." in text
    assert "Your present visit stays until you confirm." in text
    free = {f"{x.technician}|{x.start.isoformat()}" for x in slots.free(db.session(), grace.visit.id, at=wall("08:30"))}
    found = offered(grace)
    assert 1 < len(found) <= 6
    assert set(found) <= free


def test_more_times_can_be_asked_for(grace: Page) -> None:
    assert "Show more times" in grace.text("/times")
    assert len(offered(grace, "/times?more=1")) > 6
    assert "Show more times" not in grace.text("/times?more=1")


def test_choosing_moves_the_visit_and_says_so(grace: Page) -> None:
    chosen = offered(grace)[0]
    text = grace.after("choice", slot=chosen)
    assert "Your new time is confirmed." in text
    visit = grace.visit
    assert f"{visit.technician_id}|{visit.planned_start.isoformat()}" == chosen
    assert visit.window_end - visit.window_start == timedelta(minutes=30)
    assert "We already have this from you" in grace.after("choice", slot=chosen)
    assert "Moved" in text


def test_a_time_that_is_gone_shows_fresh_ones(grace: Page) -> None:
    ana = grace.built.technicians["Ana"].id
    busy = f"{ana}|{wall('11:00').isoformat()}"
    answer = grace.post("choice", 409, slot=busy)
    assert "Somebody took this time a moment ago. We are sorry. Your visit is unchanged." in words(answer.text)
    assert 'name="slot"' in answer.text
    assert grace.visit.window_start == wall("10:00")


@pytest.mark.parametrize(
    "given",
    ["", "1", "1|", "x|2026-11-25T09:00:00+00:00", "1|2026-11-25T09:00", "²|2026-11-25T09:00:00+00:00", "1|\x00"],
)
def test_a_choice_that_names_no_time_gets_a_sentence(grace: Page, given: str) -> None:
    assert "Choose one of the times, then press the button." in words(grace.post("choice", 422, slot=given).text)


@pytest.mark.parametrize(
    "given",
    [
        "999999999|2026-11-25T09:00:00+00:00",
        "1|9999-12-31T23:59:59+00:00",
        "1|0001-01-01T00:00:00+14:00",
        "1|2026-11-24T08:00:00+00:00",
        "1|2026-11-25T09:07:00+00:00",
        "1|2026-12-24T09:00:00+00:00",
    ],
)
def test_a_time_that_was_never_offered_cannot_be_had(grace: Page, given: str) -> None:
    grace.post("choice", 409, slot=given)
    assert grace.visit.window_start == wall("10:00")


def test_a_call_is_promised_with_a_time_and_once(grace: Page) -> None:
    with transaction() as s:
        s.get_one(Visit, grace.visit.id).customer.phone = "+441174960118"
    text = grace.after("call")
    assert "Saved at 8:30. We will call you by 9:30 today." in text
    assert "A call by 9:30, Tue 24 Nov Open" in text
    rows = everything()
    assert "We already have this from you, at 8:30." in grace.after("call")
    assert everything() == rows


def test_who_has_no_number_is_asked_for_one(grace: Page) -> None:
    assert "Your telephone number" in grace.text()
    grace.post("call", number=" 0117 496\x00 0999 ")
    db.session.rollback()
    assert db.session.scalars(select(Answer.text)).one() == "0117 496 0999"
    assert db.session.scalars(select(Notice).where(Notice.kind == "call")).one().facts["number"] == "0117 496 0999"
    assert "Write a telephone number." in words(grace.post("call", 422, number="1" * 5000).text)


def test_cancelling_asks_first_and_then_says_what_can_be_done(grace: Page) -> None:
    asked = grace.text("/cancel")
    assert "Cancel this visit? Tuesday 24 November 2026, 10:00 to 10:30" in asked
    assert "Go back, keep it" in asked
    assert grace.visit.state == "planned"
    text = grace.after("cancel")
    assert "Your visit is cancelled." in text
    assert "This visit is cancelled, as you asked" in text
    assert "Call me to book again" in text
    assert "Add to my calendar" not in text
    assert "We already have this from you" in grace.after("cancel")
    grace.post("keep", 409)
    grace.post("deadline", 409, leave_by="12:30")
    grace.post("note", 409, note="hello")
    grace.get("/visit.ics", 409)


def test_a_note_is_kept_word_for_word_and_shown_unread(grace: Page) -> None:
    wish = "Ring twice <b>please</b>\nthe dog is friendly"
    text = grace.after("note", note=wish)
    assert "Received. Your technician sees it before setting off." in text
    assert "Not read yet. Tom sees it before setting off." in text
    assert "&lt;b&gt;please" in grace.get()
    assert "We already have this from you" in grace.after("note", note=wish)
    technician.note_read(grace.visit.id, technician_id=grace.built.technicians["Tom"].id, at=wall("08:35"))
    assert "Read by Tom" in grace.text()


def test_a_note_that_is_empty_or_too_long_gets_a_sentence(grace: Page) -> None:
    assert "Write what we should know" in words(grace.post("note", 422, note=" \x00 ").text)
    assert "It is 7 too long." in words(grace.post("note", 422, note="x" * 1007).text)


def test_on_the_way_it_is_too_late_to_move_or_cancel(grace: Page) -> None:
    grace.tap("Priya", "arrived", "08:25")
    grace.tap("Priya", "done", "08:29")
    grace.tap("Grace", "on_my_way", "08:30")
    text = grace.text()
    assert "Tom is on the way" in text
    assert "Choose another time" not in text
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
    assert "Choose another time" not in text
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
    assert "Call me to book again" in text
    assert "This visit is over or cancelled already" in words(grace.post("keep", 409).text)


def test_a_visit_without_a_technician_or_forecast_has_a_page(grace: Page) -> None:
    with transaction() as s:
        s.get_one(Visit, grace.visit.id).technician_id = None
    assert "We plan to arrive between 10:00 and 10:30" in grace.text()
    assert offered(grace)


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
    assert "Arrival Tue 24 Nov, between 14:00 and 14:30 Open" in text
    assert "Arrival Tue 24 Nov, between 10:00 and 10:30 Moved" in text
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
