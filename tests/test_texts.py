"""Texts: sent once, in two segments, to numbers that may have them; what became of them; what happens instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from punctual import letters, messages, outbox, texting
from punctual.actions import transaction
from punctual.core.segments import size
from punctual.models import Company, Message, Suppression, Technician, Visit, db
from tests.build import wall
from tests.sender import tasks
from tests.test_messages import CAPS, TO_CUSTOMERS
from tests.texting import AT, PHONES, TOM, Line, line

GRACE = PHONES["Grace"]


@pytest.fixture
def way(database_url: str, tmp_path: Path) -> Iterator[Line]:
    """A line on both databases."""
    with line(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def lite(sqlite_url: str, tmp_path: Path) -> Iterator[Line]:
    with line(sqlite_url, tmp_path) as made:
        yield made


def test_a_customer_with_a_phone_is_texted_once_and_not_mailed(way: Line) -> None:
    way.put("Grace")
    assert way.send() == 1 and way.send() == 0
    (sent,) = way.provider.accepted()
    assert (sent["To"], sent["From"], sent["ValidityPeriod"]) == (GRACE, "+441174960118", "300")
    assert sent["Body"].startswith("Bellweather: Grace, we are running late. We are sorry. We now expect to arrive")
    assert way.messages() == [("late_first", "sms", "sent", "")] and way.mails() == []
    kept = way.attempt()
    assert sent["StatusCallback"] == f"https://visits.example.com/in/twilio/status/{kept.id}"
    assert (kept.provider_id, kept.text, kept.segments) == (sent["sid"], sent["Body"], 2)


def test_the_visit_knows_what_was_told_by_text(lite: Line) -> None:
    lite.put("Grace")
    lite.send()
    told = db.session.get_one(Visit, lite.visits["Grace"])
    assert (told.told_start, told.told_end, told.told_at) == (wall("10:40"), wall("11:15"), AT)


def test_how_to_stop_is_said_once_to_a_number(lite: Line) -> None:
    lite.put("Grace", "booked")
    lite.send()
    lite.put("Grace", "late_first", at=AT + timedelta(minutes=1))
    lite.send(AT + timedelta(minutes=1))
    lite.put("Priya", "booked")
    lite.send()
    line_ = "\nReply STOP to opt out, HELP for help."
    assert [line_ in t for t in lite.texts()] == [True, False, True]


def test_what_moves_the_calendar_goes_by_mail_as_well(lite: Line) -> None:
    lite.put("Grace", "rescheduled")
    lite.send()
    assert len(lite.texts(GRACE)) == 1 and lite.mails() == ["rescheduled"]


def test_a_name_the_air_cannot_carry_cheaply_is_left_out(lite: Line) -> None:
    lite.change("Grace", name_="Мария Whitfield")
    lite.put("Grace")
    lite.send()
    assert lite.texts()[0].startswith("Bellweather: we are running late.")
    assert lite.attempt().segments == 2


@pytest.mark.parametrize(
    ("phone", "language", "hint"),
    [
        ("+447700900112", "en", ""), ("+12125550123", "en", " (London time)"), ("+4930123456", "de", " (Zeit in London)"),
        ("+34911234567", "es", " (hora de Londres)"), ("+18005550199", "en", ""),
    ],
)  # fmt: skip
def test_a_phone_from_another_zone_is_told_by_whose_clocks(lite: Line, phone: str, language: str, hint: str) -> None:
    with transaction() as s:
        visit = s.get_one(Visit, lite.visits["Grace"])
        visit.customer.phone, visit.customer.language = phone, language
        outbox.put(s, key="k", kind="late_first", at=AT, reason="late", visit=visit)
        text = texting.write(s, s.scalars(select(Message)).one(), lite.settings, AT).text
    end = re.search(r"\d+:\d\d( Uhr)?( \([^)]+\))", text)
    assert (end[2] if end else "") == hint
    assert size(text).segments <= 2


@pytest.mark.parametrize(
    "own", [{"tech": "Γιάννης", "owner": "Δήμητρα"}, {"company": "東京ガス株式会社"}, {"name": "日本"}]
)
@pytest.mark.parametrize("language", ["en", "es", "de"])
def test_a_name_in_another_script_never_costs_a_third_segment(lite: Line, own: dict[str, str], language: str) -> None:
    facts = messages.EXAMPLE | messages.example_values(language) | own
    facts["truth"] = messages.fill("{tech} is not on the way. Expected {from}-{to}.", facts)
    whole = re.compile(re.escape(facts["link"]) + r"(\s|$)")
    for kind in TO_CUSTOMERS:
        text = messages.text(kind, facts, language, first=True)
        assert size(text).segments <= 2, (kind, text)
        assert whole.search(text) or facts["link"] not in messages.compose(kind, facts, language).sms
        assert "..." not in text and text.count("STOP") >= (kind not in messages.NO_STOP_LINE)


def test_a_name_in_another_script_is_left_as_it_is_where_there_is_room(lite: Line) -> None:
    facts = messages.EXAMPLE | {"company": "東京ガス", "tech": "Γιάννης", "words": "The blue one."}
    assert messages.text("reply", facts, "en") == "東京ガス: The blue one."
    assert messages.text("on_my_way", facts, "en").startswith(
        "visits.example.com: Our technician is on the way to you."
    )


def test_what_is_too_long_even_so_is_cut_at_a_word(lite: Line) -> None:
    text = messages.text("reply", messages.EXAMPLE | {"words": "日本: " + "Tom has the key. " * 12}, "en", first=True)
    assert size(text).segments == 2
    assert text.endswith("Tom has the key...\nReply STOP to opt out, HELP for help.")


@pytest.mark.parametrize("language", ["ja", "el", "pl", "fr", "pt-BR"])
def test_who_is_written_to_in_english_reads_english_days_and_zones(lite: Line, language: str) -> None:
    with transaction() as s:
        visit = s.get_one(Visit, lite.visits["Grace"])
        visit.customer.phone, visit.customer.language = "+12125550123", language
        outbox.put(s, key="k", kind="booked", at=AT, reason="booked", visit=visit)
        text = texting.write(s, s.scalars(select(Message).filter_by(channel="sms")).one(), lite.settings, AT).text
    assert "booked for Tue 24 Nov." in text and "(London time" in text and size(text).coding == "GSM-7"


def test_the_hint_is_cut_to_its_letters_before_a_text_gets_a_third_segment(lite: Line) -> None:
    facts = CAPS | {"zone_hint": "Ho Chi Minh City time, UTC+7"}
    for kind in TO_CUSTOMERS:
        assert size(messages.text(kind, facts, "en", first=True)).segments <= 2
    assert "(Ho Chi Minh City time)" in messages.text("booked", facts, "en")
    assert "(UTC+7)" in messages.text("late_first", facts, "en", first=True)


def test_a_technician_is_nudged_on_the_phone(lite: Line) -> None:
    with transaction() as s:
        tom = s.scalars(select(Technician).where(Technician.ref == "Tom")).one()
        outbox.put(
            s, key="n", kind="tech_nudge", at=AT, reason="silent", visit=s.get_one(Visit, lite.visits["Priya"]),
            to="technician", person=tom,
        )  # fmt: skip
    lite.send()
    assert lite.texts(TOM)[0].startswith("Bellweather: still at your 9:00 visit? Reply LATE 15")


def test_a_nudge_names_the_next_visit_by_the_clock_there_and_says_which_clock_that_is(lite: Line) -> None:
    with transaction() as s:
        tom = s.scalars(select(Technician).where(Technician.ref == "Tom")).one()
        priya = s.get_one(Visit, lite.visits["Priya"])
        priya.arrived_at = priya.window_start
        s.get_one(Visit, lite.visits["Grace"]).state = "cancelled"
        s.get_one(Visit, lite.visits["Helen"]).zone = "Europe/Paris"
        outbox.put(s, key="n", kind="tech_nudge", at=AT, reason="silent", visit=priya, to="technician", person=tom)
        facts = letters.technician_facts(s, s.scalars(select(Message)).one(), tom, s.get_one(Company, 1), lite.settings)
    assert (facts["visit_ref"], facts["last_report"]) == ("your 9:00 visit", "9:00")
    lite.send()
    (text,) = lite.texts(TOM)
    assert "still at your 9:00 visit?" in text and text.endswith("Next visit: 14:00 (Paris time, CET).")
    assert size(text).segments <= 2


# --- what becomes of it -----------------------------------------------------------------------------------------------


def test_a_text_that_arrived_is_delivered_whatever_comes_after_it(way: Line) -> None:
    way.put("Grace")
    way.send()
    for state in ("sent", "delivered", "sending", "delivered", "undelivered", "queued"):
        assert way.status(0, state) == 204
    assert way.messages() == [("late_first", "sms", "delivered", "")]
    assert way.attempt().progress == "delivered"


def test_a_call_about_nothing_of_ours_is_answered_and_changes_nothing(way: Line) -> None:
    way.put("Grace")
    way.send()
    assert way.status(0, "delivered", sid="SM" + "0" * 32) == 204
    assert way.call("/in/twilio/status/999", {"MessageSid": "SM1", "MessageStatus": "failed"}).status_code == 204
    assert way.messages() == [("late_first", "sms", "sent", "")]


def test_a_call_nobody_signed_changes_nothing(way: Line) -> None:
    way.put("Grace")
    way.send()
    row = way.provider.accepted()[0]
    path = row["StatusCallback"].removeprefix("https://visits.example.com")
    answer = way.call(path, {"MessageSid": row["sid"], "MessageStatus": "failed"}, token="guessed")
    assert answer.status_code == 403 and "signed" in answer.text
    assert way.messages() == [("late_first", "sms", "sent", "")]


def test_the_providers_call_may_come_before_its_answer(way: Line) -> None:
    """The answer to our request is lost; the call back alone is proof that it was accepted."""
    way.provider.plan("drop")
    way.put("Grace")
    way.send()
    assert way.messages()[0][2] == "sending"
    way.status(0, "delivered")
    assert way.messages() == [("late_first", "sms", "delivered", "")]
    assert way.send(AT + timedelta(minutes=3)) == 0 and len(way.texts()) == 1


def test_a_lost_answer_is_asked_for_and_nothing_is_sent_twice(way: Line) -> None:
    way.provider.plan("drop")
    way.put("Grace")
    way.send()
    way.send(AT + timedelta(minutes=3))
    assert way.messages() == [("late_first", "sms", "sent", "")] and len(way.texts()) == 1


def test_without_asking_it_would_be_sent_twice(way: Line) -> None:
    """Negative control: the provider has no memory to be asked, and the same words go again."""
    way.provider.plan("drop")
    way.put("Grace", "help")
    way.send()
    way.worker.sender.ways["sms"].transport.find = lambda sent, taken: None  # type: ignore[method-assign]
    way.send(AT + timedelta(minutes=3))
    assert len(way.texts()) == 2


# --- e-mail instead ---------------------------------------------------------------------------------------------------


def test_an_undelivered_warning_goes_by_mail_once_its_validity_has_run_out(way: Line) -> None:
    way.put("Grace")
    way.send()
    way.status(0, "undelivered", "30003")
    way.status(0, "failed", "30003")
    assert way.messages()[0][2:] == (
        "undelivered",
        "by e-mail instead: not delivered: the phone is off or out of reach (30003)",
    )
    assert way.send(AT + timedelta(minutes=4)) == 0, "until then the phone may still get it"
    assert way.send(AT + timedelta(minutes=6)) == 1
    assert way.mails() == ["late_first"] and len(way.texts()) == 1 and tasks() == []


def test_a_state_we_do_not_know_is_answered_and_changes_nothing(lite: Line) -> None:
    lite.put("Grace")
    lite.send()
    assert lite.status(0, "partially_delivered") == 204 and lite.messages()[0][2] == "sent"
    lite.status(0, "delivered")
    assert lite.status(0, "partially_delivered") == 204 and lite.messages()[0][2] == "delivered"


def test_a_late_word_that_a_text_was_delivered_does_not_put_off_the_next_one(way: Line) -> None:
    way.put("Grace")
    way.send()
    way.status(0, "delivered", at=AT + timedelta(minutes=12))
    later = AT + timedelta(minutes=21)
    way.put("Grace", "late_update", at=later)
    assert way.send(later) == 1, way.messages()


def test_how_long_a_warning_may_be_on_its_way_is_the_companys(lite: Line) -> None:
    with transaction() as s:
        s.get_one(Company, 1).rules = {"text_valid_s": 480}
    lite.put("Grace")
    lite.send()
    assert lite.provider.accepted()[0]["ValidityPeriod"] == "480"
    lite.status(0, "undelivered", "30003")
    assert [lite.send(AT + timedelta(minutes=m)) for m in (7, 9)] == [0, 1]


def test_an_undelivered_booking_need_not_wait(lite: Line) -> None:
    lite.put("Grace", "promise_call", due=(AT + timedelta(hours=2)).isoformat())
    lite.send()
    lite.status(0, "undelivered", "30003")
    assert lite.send(AT + timedelta(seconds=5)) == 1
    assert lite.mails() == ["promise_call"]


def test_without_an_address_somebody_calls(lite: Line) -> None:
    lite.change("Grace", email=None)
    lite.put("Grace")
    lite.send()
    lite.status(0, "failed", "30008")
    assert tasks() == [("call", "undelivered")]


@pytest.mark.parametrize("code", ["21211", "21610", "21614", "21635"])
def test_a_number_the_provider_will_not_text_is_frozen_and_mailed_at_once(lite: Line, code: str) -> None:
    lite.provider.plan(f"400:{code}")
    lite.put("Grace")
    lite.send()
    lite.send()
    assert lite.texts() == [] and lite.mails() == ["late_first"]
    assert code in lite.customer("Grace").phone_bad
    lite.put("Grace", "promise_call", at=AT + timedelta(minutes=1), due=(AT + timedelta(hours=2)).isoformat())
    lite.send(AT + timedelta(minutes=1))
    assert lite.texts() == [] and lite.mails() == ["late_first", "promise_call"]


@pytest.mark.parametrize("code", ["30005", "30006"])
def test_a_number_found_dead_later_is_frozen_too(lite: Line, code: str) -> None:
    lite.put("Grace")
    lite.send()
    lite.status(0, "undelivered", code)
    assert code in lite.customer("Grace").phone_bad


def test_a_frozen_number_is_frozen_for_everybody_who_has_it(lite: Line) -> None:
    lite.change("Priya", phone=GRACE)
    lite.provider.plan("400:21614")
    lite.put("Grace")
    lite.send()
    assert lite.customer("Priya").phone_bad


# --- the line ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["401", "403:30034", "400:30007"])
def test_a_refusal_of_ourselves_stops_the_line_and_says_so(lite: Line, step: str) -> None:
    lite.provider.plan(f"always {step}")
    lite.put("Grace")
    lite.put("Priya")
    lite.send()
    assert [t for t in tasks() if t[0] == "texts_stopped"] == [("texts_stopped", "texts_stopped")]


def test_while_the_line_is_stopped_mails_go_instead(lite: Line) -> None:
    lite.provider.plan("401")
    lite.put("Grace")
    lite.send()
    lite.send(AT + timedelta(minutes=2))
    assert lite.mails() == ["late_first"] and lite.texts() == []


def test_a_filtered_text_stops_the_line_for_the_next(lite: Line) -> None:
    lite.put("Grace")
    lite.send()
    lite.status(0, "undelivered", "30007")
    lite.put("Priya")
    lite.send(AT + timedelta(seconds=1))
    assert len(lite.texts()) == 1 and lite.mails() == ["late_first"]


# --- who may be texted, and how much ----------------------------------------------------------------------------------


def rules(**changed: float) -> None:
    with transaction() as s:
        s.get_one(Company, 1).rules = dict(changed)


def test_numbers_abroad_get_no_texts_unless_their_country_is_allowed(sqlite_url: str, tmp_path: Path) -> None:
    with line(sqlite_url, tmp_path, sms_countries="GB,IE") as made:
        made.change("Grace", phone="+35315550123")
        made.change("Priya", phone="+882341234567")
        made.put("Grace")
        made.put("Priya")
        made.send()
        made.send()
        assert [r["To"] for r in made.provider.accepted()] == ["+35315550123"]
        assert made.mails() == ["late_first"]


@pytest.mark.parametrize(
    "cap", [{"texts_number": 1}, {"texts_alike": 1}, {"segments_day": 3}, {"text_price": 1.0, "spend_day": 3.0}]
)
def test_over_a_cap_of_texts_the_mail_goes(lite: Line, cap: dict[str, float]) -> None:
    rules(**cap)
    lite.put("Grace")
    lite.send()
    lite.put("Grace", "promise_call", at=AT + timedelta(minutes=1), due=(AT + timedelta(hours=2)).isoformat())
    lite.send(AT + timedelta(minutes=1))
    assert len(lite.texts()) == 1 and lite.mails() == ["promise_call"]


def test_under_the_caps_both_go_by_text(lite: Line) -> None:
    """Negative control."""
    rules(texts_number=2, texts_alike=2, segments_day=4, spend_day=0)
    lite.put("Grace")
    lite.send()
    lite.put("Grace", "promise_call", at=AT + timedelta(minutes=1), due=(AT + timedelta(hours=2)).isoformat())
    lite.send(AT + timedelta(minutes=1))
    assert len(lite.texts()) == 2 and lite.mails() == []


def test_a_technician_is_answered_five_times_as_often_and_a_phone_that_answers_by_itself_is_not_for_ever(
    lite: Line,
) -> None:
    rules(texts_number=1)
    for _ in range(7):
        lite.hear("I am driving and will read this later", sender=TOM)
        lite.send()
    assert len(lite.texts(TOM)) == 5
    assert lite.messages()[-1][2:] == ("failed", "the cap is reached: 5 texts to one number in 24 hours")


def test_an_opt_out_is_kept_as_a_hash_only(way: Line) -> None:
    way.hear("STOP")
    (row,) = db.session.scalars(select(Suppression))
    assert GRACE not in row.address_hash and len(row.address_hash) == 64 and "7700900112" not in str(row.data)
