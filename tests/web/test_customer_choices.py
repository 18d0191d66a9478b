"""The choices on the customer's page: saved once, said back with their time, refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock
from punctual.actions import note, transaction
from punctual.models import Answer, Message, Notice, Promise, Shift, SlotClaim, Visit, db, touch_board
from punctual.queries import slots
from tests.build import wall
from tests.web.desk import words
from tests.web.visitor import Page, everything, late, visitor


@pytest.fixture
def grace(lite: Flask) -> Iterator[Page]:
    yield visitor(lite)


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


def test_who_was_told_of_a_delay_is_not_asked_to_wait_when_it_grows_to_hours(grace: Page) -> None:
    late(grace)
    assert "This works" in grace.text()
    grace.tap("Priya", "late", "08:31", minutes=240)
    text = grace.text()
    assert "We cannot keep your visit as promised. We are sorry" in text and "You do not have to wait." in text
    assert "This works" not in text
    assert "We cannot keep that time any more" in words(grace.post("keep", 409).text)


#: The first story: due at nine, must leave at ten; at 9:27 the visit before is not over for an hour and more.
NINE = """
Tom 08:00-17:00 skills boiler home 51.4545,-2.5879
  08:00-08:30 Priya boiler 45 at 51.4683,-2.5967
  09:00-09:30 Grace boiler 30 at 51.4600,-2.6000 leave 10:00
"""


@pytest.mark.parametrize("kind", ["done", "arrive"])
def test_who_must_leave_at_ten_is_never_asked_to_wait_at_half_past_nine(lite: Flask, kind: str) -> None:
    page = visitor(lite, "09:27", NINE.replace("leave 10:00", f"{'leave' if kind == 'done' else 'arrive'} 10:00"))
    page.tap("Priya", "arrived", "08:10")
    page.tap("Priya", "late", "09:27", minutes=90)
    (asked,) = db.session.scalars(
        select(Message.kind).where(Message.visit_id == page.visit.id, Message.state == "queued")
    )
    assert asked == f"deadline_{kind}"
    text = page.text()
    assert "You do not have to wait." in text
    assert "This works" not in text
    page.post("keep", 409)
    for other in slots.free(db.session(), page.visit.id, at=wall("09:27")):
        assert other.start > wall("10:00"), "no time that cannot be kept is offered"


def test_without_that_limit_waiting_is_a_choice(lite: Flask) -> None:
    page = visitor(lite, "09:27", NINE.replace(" leave 10:00", ""))
    page.tap("Priya", "arrived", "08:10")
    page.tap("Priya", "late", "09:27", minutes=90)
    page.told("10:30", "11:15")
    assert "This works, I will be here" in page.text()


def test_who_was_asked_to_choose_is_not_offered_to_wait_and_is_called_unless_they_choose(grace: Page) -> None:
    with transaction() as s:
        s.get_one(Visit, grace.visit.id).deadline = None
    grace.tap("Priya", "arrived", "08:29")
    grace.tap("Priya", "late", "08:30", minutes=300)
    found = db.session.scalars(
        select(Message.kind).where(Message.visit_id == grace.visit.id, Message.state == "queued")
    )
    assert list(found) == ["please_choose"]
    promise = db.session.scalars(select(Promise).where(Promise.kind == "call", Promise.state == "open")).one()
    text = grace.text()
    assert "We cannot keep your visit as promised. We are sorry" in text and "This works" not in text
    grace.post("times")
    grace.post("choice", slot=offered(grace)[0])
    db.session.rollback()
    assert db.session.get_one(Promise, promise.id).state == "cancelled"


def test_who_agrees_on_an_old_page_agrees_to_nothing_they_have_not_seen(grace: Page) -> None:
    late(grace)
    shown = re.search(r'name="seen" value="([^"]+)" form="keep"', grace.get())
    assert shown is not None
    grace.told("11:00", "11:40", "late_update")
    with transaction() as s:
        touch_board(s, grace.visit.date)
    sentence = "The time has changed since you opened this page. Nothing was saved. Here is what is true now."
    assert sentence in words(grace.post("keep", 409, seen=shown[1]).text)
    assert (grace.visit.window_start, grace.visit.promise_version) == (wall("10:00"), 1)
    fresh = re.search(r'name="seen" value="([^"]+)"', grace.get("/live"))
    assert fresh is not None and fresh[1] != shown[1], "a page that keeps itself up to date knows the new one"
    grace.post("keep", seen=fresh[1])
    assert grace.visit.window_start == wall("11:00")
    assert "We already have this from you" in grace.after("keep", seen=fresh[1]), "pressed twice it counts once"


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
    assert "Noted. We cannot do it by then, and we are sorry. These times work:" in text
    assert "Choose a new time" in text
    page = grace.text()
    assert "You do not have to wait. These times are free now." in page
    assert "Nothing is kept for you until you take one." in page and "This works" not in page
    first = re.search(r'name="slot" value="([^"]+)"', grace.get())
    assert first and "Your new time is confirmed." in grace.after("choice", slot=first[1]), "taken where it is shown"


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


def test_pressing_another_time_keeps_a_few_for_ten_minutes_and_only_that_does(grace: Page) -> None:
    rows = everything()
    grace.get("/times")
    assert everything() == rows
    text = grace.after("times")
    assert "We are keeping these times free for you until 8:40." in text
    assert "Your present visit stays until you confirm." in text
    assert "times out of 10" in text
    assert 1 < len(offered(grace)) <= 3
    rows = everything()
    grace.post("times")
    assert everything() == rows, "one open offer a visit"


@pytest.mark.parametrize(
    ("language", "words"),
    [("es", "guardamos estas horas hasta las 8:40."), ("de", "Zeiten bis 8:40 Uhr für Sie frei.")],
)
def test_until_when_times_are_kept_is_said_as_the_language_says_it(lite: Flask, language: str, words: str) -> None:
    assert words in visitor(lite, language=language).after("times")


def test_where_the_clock_runs_faster_the_readers_own_minutes_are_named(grace: Page) -> None:
    clock.configure("2026-11-24T08:30:00+00:00 x20")
    text = grace.after("times")
    assert "We are keeping these times free for you for another 10 minutes by your own watch." in text
    assert "free for you until" not in text


def test_what_is_shown_beside_the_kept_times_says_that_it_is_not_kept(grace: Page) -> None:
    grace.post("times")
    assert "Show more times" in grace.text("/times")
    assert "Nothing is kept for you until you take one." in grace.text("/times?more=1")


def test_an_offer_that_ran_out_says_so_and_frees_the_times(grace: Page) -> None:
    grace.post("times")
    kept = offered(grace)
    clock.configure("2026-11-24T08:41:00+00:00 x1")
    text = grace.text("/times")
    assert "We no longer keep these times. Here is what is free now." in text
    assert kept[0] in offered(grace)
    grace.post("choice", slot=kept[0])
    assert f"{grace.visit.technician_id}|{grace.visit.planned_start.isoformat()}" == kept[0]
    clock.configure("2026-11-24T08:42:00+00:00 x1")
    assert "no longer keep" not in grace.text("/times")


def test_a_kept_time_is_taken_and_the_others_are_free_again(grace: Page) -> None:
    grace.post("times")
    text = grace.after("choice", slot=offered(grace)[1])
    assert "Your new time is confirmed." in text
    db.session.rollback()
    assert [c.kind for c in db.session.scalars(select(SlotClaim))] == ["choice"]


def test_who_has_chosen_may_ask_for_other_times_again(grace: Page) -> None:
    grace.post("times")
    grace.post("choice", slot=offered(grace)[0])
    assert "We are keeping these times free for you until 8:40." in grace.after("times")


def test_where_nothing_fits_a_call_is_promised_at_once(grace: Page) -> None:
    with transaction() as s:
        for shift in s.scalars(select(Shift)):
            shift.off = "sick"
    rows = everything()
    assert "We have no time that works in the next 14 days. We are sorry. Ask for a call" in grace.text("/times")
    assert everything() == rows
    text = grace.after("times")
    assert (
        "We have no time that works in the next 14 days. We are sorry. Bellweather Heating will call you by 9:30 today."
        in text
    )
    assert db.session.scalars(select(Notice.reason).where(Notice.kind == "call")).one() == "nothing_fits"
    grace.post("times")
    assert len(db.session.scalars(select(Promise).where(Promise.kind == "call")).all()) == 1


def test_a_wish_in_their_own_words_is_answered_by_a_person_in_time(grace: Page) -> None:
    assert "Write the time you need. A person answers by 9:30 today." in grace.text("/times")
    text = grace.after("wish", wish="Saturday  at seven,\x00 please")
    assert "Saved at 8:30. We will call you by 9:30 today." in text
    assert (
        db.session.scalars(select(Notice).where(Notice.kind == "call")).one().facts["wish"]
        == "Saturday at seven, please"
    )
    assert "We already have this from you" in grace.after("wish", wish="Saturday at seven, please")
    assert "Write the time you need, then send it." in words(grace.post("wish", 422, wish=" ").text)
    assert "It is 3 too long." in words(grace.post("wish", 422, wish="x" * 503).text)


def test_who_chooses_a_time_need_not_be_called_about_it(grace: Page) -> None:
    with transaction() as s:
        off = [x.id for x in s.scalars(select(Shift))]
        for shift in s.scalars(select(Shift)):
            shift.off = "sick"
    grace.post("times")
    with transaction() as s:
        for n in off:
            s.get_one(Shift, n).off = ""
    grace.post("choice", slot=offered(grace)[0])
    db.session.rollback()
    assert db.session.scalars(select(Promise.state).where(Promise.kind == "call")).all() == ["cancelled"]


def test_more_times_can_be_asked_for(grace: Page) -> None:
    assert "Show more times" not in grace.text("/times"), "today's are few enough to be shown at once"
    with transaction() as s:
        for today in s.scalars(select(Shift)).all():
            touch_board(s, today.date + timedelta(days=1))
            s.add(
                Shift(
                    technician_id=today.technician_id,
                    date=today.date + timedelta(days=1),
                    starts_at=today.starts_at + timedelta(days=1),
                    ends_at=today.ends_at + timedelta(days=1),
                )
            )
    assert "Show more times" in grace.text("/times")
    few, more = offered(grace), offered(grace, "/times?more=1")
    assert len(few) == 6 < len(more)
    for shown in (few, more):
        starts = [datetime.fromisoformat(x.partition("|")[2]) for x in shown]
        assert starts == sorted(starts), "as a person reads them"
        assert min(b - a for a, b in pairwise(starts)) >= timedelta(minutes=30)
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
    assert "A call Open, due 9:30 today" in text
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
    assert "Book again" in text and "Ask for a call" in text
    assert "Add to my calendar" not in text
    assert "We already have this from you" in grace.after("cancel")
    grace.post("keep", 409)
    grace.post("deadline", 409, leave_by="12:30")
    grace.post("note", 409, note="hello")
    grace.get("/visit.ics", 409)


def test_a_cancelled_visit_can_be_booked_again_at_any_hour_and_once(grace: Page) -> None:
    grace.post("cancel")
    assert f'href="/c/{grace.token}/times">Book again' in grace.get()
    first, second = offered(grace)[:2]
    assert "Your next visit is booked. The confirmation has its own page." in grace.after("choice", slot=first)
    assert "Book again" not in grace.text()
    assert "We already have this from you" in grace.after("choice", slot=second)
    theirs = select(Visit.state).where(Visit.customer_id == grace.visit.customer_id).order_by(Visit.id)
    assert db.session.scalars(theirs).all() == ["cancelled", "planned"]


def test_a_note_is_kept_word_for_word_and_shown_unread(grace: Page) -> None:
    wish = "Ring twice <b>please</b>\nthe dog is friendly"
    text = grace.after("note", note=wish)
    assert "Received. Your technician sees it before setting off." in text
    assert "Not read yet. Tom sees it before setting off." in text
    assert "please" not in grace.get(), "a page behind a link shows that it was received, not the words"
    assert "We already have this from you" in grace.after("note", note=wish)
    note.read_by_technician(grace.visit.id, technician_id=grace.built.technicians["Tom"].id, at=wall("08:35"))
    assert "Read by Tom at 8:35." in grace.text()


def test_a_note_that_is_empty_or_too_long_gets_a_sentence(grace: Page) -> None:
    assert "Write what we should know" in words(grace.post("note", 422, note=" \x00 ").text)
    assert "It is 7 too long." in words(grace.post("note", 422, note="x" * 1007).text)
