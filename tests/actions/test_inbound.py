"""What comes in: a customer's answers by text, a technician without data, mails that come back - each acted on once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from punctual.actions import conversation, dispatcher, inbound, people, transaction
from punctual.models import Answer, Company, Notice, Promise, Received, Report, SlotClaim, Suppression, User, Visit, db
from tests import build
from tests.build import wall
from tests.mails import dsn, person
from tests.sender import tasks
from tests.texting import AT, PHONES, TOM, Line, line

GRACE = PHONES["Grace"]


@pytest.fixture
def way(database_url: str, tmp_path: Path) -> Iterator[Line]:
    with line(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def lite(sqlite_url: str, tmp_path: Path) -> Iterator[Line]:
    with line(sqlite_url, tmp_path) as made:
        yield made


def answers(line_: Line, name: str = "Grace") -> list[tuple[str, str]]:
    db.session.rollback()
    found = select(Answer).where(Answer.visit_id == line_.visits[name]).order_by(Answer.id)
    return [(a.kind, a.by) for a in db.session.scalars(found)]


def visit(line_: Line, name: str = "Grace") -> Visit:
    db.session.rollback()
    return db.session.get_one(Visit, line_.visits[name])


# --- 1, 2, 3 ----------------------------------------------------------------------------------------------------------


def test_one_keeps_the_told_time_like_the_button_on_the_page(way: Line) -> None:
    way.put("Grace")
    way.send()
    way.hear("1", at=AT + timedelta(minutes=2))
    assert answers(way) == [("keep", "sms")] and way.received() == [("keep", "kept")]
    assert (visit(way).window_start, visit(way).window_end) == (wall("10:40"), wall("11:15"))
    way.send(AT + timedelta(minutes=2))
    assert way.texts()[-1].startswith("Bellweather: thank you, Grace. We keep your visit")


def test_the_same_text_delivered_twice_counts_once(way: Line) -> None:
    way.hear("3", sid="SMsame")
    way.hear("3", sid="SMsame", at=AT + timedelta(minutes=1))
    assert len(way.received()) == 1 and answers(way) == [("call", "sms")]


def test_acting_on_a_text_again_after_a_crash_changes_nothing_more(way: Line) -> None:
    for words in ("3", "help", "what?", "2"):
        way.hear(words)
    before = (answers(way), way.messages(), tasks(), db.session.query(SlotClaim).count())
    with transaction() as s:
        for row in s.scalars(select(Received)):
            row.settled_at = None
    inbound.settle(way.settings, AT)
    assert (answers(way), way.messages(), tasks(), db.session.query(SlotClaim).count()) == before


def test_how_long_times_are_kept_free_is_the_companys(lite: Line) -> None:
    with transaction() as s:
        s.get_one(Company, 1).rules = {"hold_s": 1500}
    lite.hear("2")
    assert set(db.session.scalars(select(SlotClaim.expires_at))) == {AT + timedelta(minutes=25)}


def test_two_keeps_times_free_and_sends_the_link(way: Line) -> None:
    way.hear("2")
    way.send()
    held = list(db.session.scalars(select(SlotClaim).where(SlotClaim.kind == "hold")))
    assert 1 <= len(held) <= 3 and {c.expires_at for c in held} == {AT + timedelta(minutes=10)}
    assert "choose a new time here: https://visits.example.com/c/" in way.texts()[0]
    assert "free for you until 8:50." in way.texts()[0] and "stays until you confirm" in way.texts()[0]


def test_where_no_other_time_fits_a_call_is_promised_at_once(lite: Line) -> None:
    with transaction() as s:
        for v in s.scalars(select(Visit)):
            v.job_type.skill = "nobody has this"
    lite.hear("2")
    assert answers(lite) == [("times", "sms")]
    assert db.session.scalars(select(Promise).where(Promise.kind == "call")).one().state == "open"


def test_a_limit_in_their_words_counts_like_the_field_on_the_page(way: Line) -> None:
    way.hear("I must leave at 12:30")
    assert answers(way) == [("deadline", "sms")] and way.received() == [("deadline", "limit 12:30 noted")]
    assert (visit(way).deadline, visit(way).deadline_kind) == (wall("12:30"), "done")
    way.hear("please arrive by 11", at=AT + timedelta(minutes=1))
    assert (visit(way).deadline, visit(way).deadline_kind) == (wall("11:00"), "arrive")
    way.hear("Can you come at 2pm instead? I have a meeting", at=AT + timedelta(minutes=2))
    assert way.received()[-1] == ("unknown", "a person reads it"), "another time is wished for: no limit"
    assert visit(way).deadline == wall("11:00")


def test_a_limit_that_has_passed_goes_to_a_person(lite: Line) -> None:
    before = visit(lite).deadline
    lite.hear("must leave at 8:15")
    assert visit(lite).deadline == before
    assert lite.received()[0][0] == "unknown"


def test_three_asks_for_a_call_and_says_by_when(lite: Line) -> None:
    lite.hear(" 3. ")
    lite.send()
    assert answers(lite) == [("call", "sms")] and ("call", "asked") in tasks()
    assert lite.texts()[0].startswith("Bellweather: Grace, we will call you by")


def test_yes_answers_a_question_of_the_last_day_only(lite: Line) -> None:
    lite.hear("Yes")
    assert lite.received()[-1][0] == "unknown", "nothing was asked"
    lite.put("Grace")
    lite.send()
    lite.hear("yes please", at=AT + timedelta(minutes=5))
    assert lite.received()[-1] == ("keep", "kept")


def test_yes_never_lifts_an_opt_out(lite: Line) -> None:
    lite.put("Grace")
    lite.send()
    lite.hear("STOP", at=AT + timedelta(minutes=1))
    lite.hear("YES", at=AT + timedelta(minutes=2))
    assert lite.customer("Grace").phone_bad == "asked for no texts"


def test_help_says_how_to_reach_us(lite: Line) -> None:
    lite.hear("Help")
    lite.send()
    assert "STOP ends these texts, not your visit. Contact and details: https://" in lite.texts()[0]


# --- STOP and START ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["STOP", "please stop texting me", "Wrong number", "Bitte keine SMS mehr"])
def test_stop_is_in_force_at_once_confirmed_once_and_everything_goes_by_mail(way: Line, words: str) -> None:
    way.put("Grace")  # queued before they asked
    way.hear(words)
    way.hear("STOP", at=AT + timedelta(seconds=20))
    way.send(AT + timedelta(seconds=30))
    way.put("Grace", "promise_call", at=AT + timedelta(minutes=1), due=(AT + timedelta(hours=2)).isoformat())
    way.send(AT + timedelta(minutes=1))
    assert [t.split(".")[0] for t in way.texts(GRACE)] == ["Bellweather: you will get no more texts from us"]
    assert way.mails() == ["late_first", "promise_call"]


def test_a_stop_that_the_provider_has_answered_is_not_answered_again(lite: Line) -> None:
    lite.hear("STOP", OptOutType="STOP")
    lite.send()
    assert lite.texts() == [] and lite.customer("Grace").phone_bad


def test_an_opt_out_survives_another_customer_with_that_number_an_import_and_an_edit(way: Line) -> None:
    way.hear("STOP")
    way.change("Grace", phone=None, phone_bad="")
    way.change("Priya", phone=GRACE, phone_bad="")
    way.put("Priya")
    way.send()
    assert GRACE not in [r["To"] for r in way.provider.accepted() if "no more texts" not in r["Body"]]
    assert way.mails() == ["late_first"] and way.customer("Priya").phone_bad == "asked for no texts"


def test_start_lifts_it(way: Line) -> None:
    way.hear("STOP")
    way.hear("start", at=AT + timedelta(minutes=1))
    assert way.customer("Grace").phone_bad == ""
    way.put("Grace", at=AT + timedelta(minutes=2))
    way.send(AT + timedelta(minutes=2))
    assert "we are running late" in way.texts(GRACE)[-1]


def test_cancel_stops_texts_and_a_person_looks_whether_the_visit_is_meant(way: Line) -> None:
    way.hear("CANCEL")
    assert ("wrote", "may_cancel") in tasks() and visit(way).state == "planned"
    asked = db.session.scalars(select(Notice).where(Notice.kind == "wrote")).one()
    assert asked.visit_id == way.visits["Grace"], "under her name, not under a number"
    assert way.customer("Grace").phone_bad == "asked for no texts"


def test_a_stranger_who_stops_is_remembered_and_not_texted(lite: Line) -> None:
    lite.hear("STOP", sender="+447700900999")
    lite.send()
    assert lite.texts() == [] and db.session.query(Suppression).count() == 1


# --- a person reads it ------------------------------------------------------------------------------------------------


def test_anything_else_lands_with_the_dispatcher_and_says_so_once(way: Line) -> None:
    way.hear("The gate code is 4711, ring twice")
    way.hear("and mind the dog", at=AT + timedelta(minutes=1))
    way.send(AT + timedelta(minutes=1))
    asked = db.session.scalars(select(Notice).where(Notice.kind == "wrote")).all()
    assert [n.facts["words"] for n in asked] == ["The gate code is 4711, ring twice", "and mind the dog"]
    assert {n.visit_id for n in asked} == {way.visits["Grace"]} and all(n.due_at for n in asked)
    assert len(way.texts()) == 1 and "A person reads your text and answers by 9:45 today." in way.texts()[0]


def test_the_dispatcher_answers_by_text_and_the_task_is_done(way: Line) -> None:
    with transaction() as s:
        user = build.dispatcher(s)
        by = dispatcher.By(user.id, user.name)
    way.hear("Which door?")
    conversation.answer(way.visits["Grace"], "The blue one on the left.", at=AT + timedelta(minutes=3), by=by)
    way.send(AT + timedelta(minutes=3))
    assert way.texts()[-1] == "Bellweather: The blue one on the left."
    assert tasks() == []


def test_a_stranger_is_one_task_a_day_and_gets_no_answer(lite: Line) -> None:
    for i in range(3):
        lite.hear(f"hello {i}", sender="+447700900999")
    lite.send()
    assert lite.texts() == [] and tasks() == [("wrote", "wrote")]


def test_a_text_is_about_the_visit_we_last_wrote_about(lite: Line) -> None:
    lite.change("Helen", phone=GRACE)
    lite.put("Helen")
    lite.send()
    lite.hear("1", at=AT + timedelta(minutes=1))
    assert answers(lite, "Helen") == [("keep", "sms")] and answers(lite, "Grace") == []


def test_a_text_that_cannot_be_acted_on_goes_to_a_person_and_keeps_nobody_waiting(way: Line) -> None:
    with transaction() as s:
        s.get_one(Visit, way.visits["Grace"]).zone = "Mars/Base"
    way.hear("2")
    way.hear("3", sender=PHONES["Helen"])
    assert ("wrote", "wrote") in tasks() and answers(way, "Helen") == [("call", "sms")]


def test_a_dispatcher_who_enters_a_number_that_opted_out_sees_it_at_once(lite: Line) -> None:
    lite.hear("STOP", sender="+447700900999")
    with transaction() as s:
        user = build.dispatcher(s)
        by = dispatcher.By(user.id, user.name)
    people.edit_customer(
        lite.customer("Grace").id, name="Grace Whitfield", email="grace@example.com", phone="+447700900999",
        language="en", early=False, at=AT, by=by,
    )  # fmt: skip
    assert lite.customer("Grace").phone_bad == "asked for no texts"


# --- a technician without data ----------------------------------------------------------------------------------------


def reports(line_: Line) -> list[tuple[str, int, str, str]]:
    db.session.rollback()
    rows = db.session.scalars(select(Report).order_by(Report.id))
    name = {v: k for k, v in line_.visits.items()}
    return [(r.kind, r.minutes, r.source, name[r.visit_id]) for r in rows]


def test_a_technician_taps_by_text_and_is_told_what_was_saved(way: Line) -> None:
    steps = [("OMW", "08:50"), ("here", "09:02"), ("Late 30", "09:40"), ("DONE", "10:20"), ("omw", "10:22")]
    for words, at in steps:
        way.hear(words, sender=TOM, at=wall(at))
        way.send(wall(at))
    assert reports(way) == [
        ("on_my_way", 0, "sms", "Priya"),
        ("arrived", 0, "sms", "Priya"),
        ("late", 30, "sms", "Priya"),
        ("done", 0, "sms", "Priya"),
        ("on_my_way", 0, "sms", "Grace"),
    ]
    assert way.texts(TOM)[1] == "Bellweather: Whitfield: Arrived is saved. Nobody else has to be told."


def test_a_report_that_cannot_be_is_answered_with_a_sentence(lite: Line) -> None:
    lite.hear("DONE", sender=TOM)
    lite.hear("the van broke down", sender=TOM)
    lite.send()
    assert reports(lite) == []
    assert lite.texts(TOM) == [
        "Bellweather: Whitfield: Tap Arrived before you finish this visit.",
        "Bellweather: This was not understood. Text OMW, HERE, LATE 15, LATE 30, LATE 60, DONE or UNDO.",
    ]


def test_a_text_that_was_sent_twice_is_not_about_the_next_visit(lite: Line) -> None:
    for words, at in (("OMW", "08:50"), ("omw", "08:51"), ("HERE", "09:02"), ("here", "09:03"), ("OMW", "10:03")):
        lite.hear(words, sender=TOM, at=wall(at))
    assert [(r[0], r[3]) for r in reports(lite)] == [
        ("on_my_way", "Priya"),
        ("arrived", "Priya"),
        ("on_my_way", "Grace"),  # an hour later, Done was forgotten
    ]
    assert lite.received()[1][1] == "You are already on your way. Undo first if that is wrong."


def test_undo_takes_back_what_was_texted_last_and_the_customer_hears_of_it_once(way: Line) -> None:
    way.hear("UNDO", sender=TOM, at=wall("08:40"))
    way.hear("OMW", sender=TOM, at=wall("08:50"))
    way.send(wall("08:51"))
    for at in (wall("08:52"), wall("08:52") + timedelta(seconds=20)):
        way.hear("undo.", sender=TOM, at=at)
    way.send(wall("08:53"))
    assert [r[0] for r in reports(way)] == ["on_my_way", "undo"]
    assert [m[0] for m in way.messages() if m[0] in ("on_my_way", "correction")] == ["on_my_way", "correction"]
    said = "Bellweather: There is nothing to take back."
    undone = "Bellweather: Whitfield: On my way is taken back. A customer who was told of it gets a correction."
    assert [t for t in way.texts(TOM) if "back" in t] == [said, undone, said]


def test_only_their_own_number_reports(lite: Line) -> None:
    """Negative control: the same words from somebody else are a customer's."""
    lite.hear("DONE", sender=GRACE)
    assert reports(lite) == [] and lite.received() == [("unknown", "a person reads it")]


# --- mails that come back ---------------------------------------------------------------------------------------------


def mailed(line_: Line, kind: str = "late_first") -> str:
    """A mail to Grace that left; its Message-ID."""
    line_.change("Grace", phone=None)
    line_.put("Grace", kind)
    line_.send()
    return line_.attempt().mail_id


def test_a_bounce_of_our_mail_is_shown_with_its_visit_and_somebody_calls(way: Line) -> None:
    sent = mailed(way)
    assert inbound.mail(dsn(sent), at=AT + timedelta(minutes=1)) == "bounce"
    assert way.customer("Grace").email_bad == "came back (5.1.1): 550 no such user"
    assert way.messages() == [("late_first", "email", "undelivered", "came back (5.1.1): 550 no such user")]
    assert tasks() == [("call", "undelivered")]
    assert inbound.mail(dsn(sent), at=AT + timedelta(minutes=2)) == "again"


def mended(line_: Line, email: str, at: datetime) -> None:
    with transaction() as s:
        by = dispatcher.By((s.scalars(select(User)).first() or build.dispatcher(s)).id, "Dana Price")
    people.edit_customer(
        line_.customer("Grace").id, name="Grace", email=email, phone="", language="en", early=False, at=at, by=by
    )
    line_.send(at)


def test_the_call_for_a_mail_that_came_back_ends_when_it_is_with_the_mended_address_and_comes_again_with_it(
    way: Line,
) -> None:
    sent = mailed(way, "booked")
    inbound.mail(dsn(sent), at=AT + timedelta(minutes=1))
    assert tasks() == [("call", "undelivered")]
    mended(way, "grace.w@example.com", AT + timedelta(minutes=2))
    assert way.messages()[0][2] == "sent" and tasks() == []
    task = db.session.scalars(select(Notice).where(Notice.reason == "undelivered")).one()
    assert (task.resolved_at, task.resolved_by) == (AT + timedelta(minutes=2), "message")
    inbound.mail(dsn(sent, status="5.7.1"), at=AT + timedelta(minutes=3))
    assert tasks() == [] and way.customer("Grace").email_bad == "", "the old address, once more"
    inbound.mail(dsn(sent, status="5.1.2", to="grace.w@example.com"), at=AT + timedelta(minutes=4))
    assert tasks() == [("call", "undelivered")] and way.customer("Grace").email_bad.startswith("came back (5.1.2)")


def test_a_bounce_of_the_address_before_does_not_condemn_the_mended_one(lite: Line) -> None:
    sent = mailed(lite, "booked")
    mended(lite, "grace.w@example.com", AT + timedelta(minutes=1))
    inbound.mail(dsn(sent), at=AT + timedelta(minutes=2))
    assert lite.customer("Grace").email_bad == "" and tasks() == [("call", "undelivered")]


@pytest.mark.parametrize(("status", "action"), [("4.4.1", "delayed"), ("2.0.0", "delivered")])
def test_a_report_that_is_not_final_changes_nothing(lite: Line, status: str, action: str) -> None:
    sent = mailed(lite)
    inbound.mail(dsn(sent, status=status, action=action), at=AT)
    assert lite.messages()[0][2] == "sent" and lite.customer("Grace").email_bad == ""


def test_a_full_box_is_not_the_addresss_fault(lite: Line) -> None:
    sent = mailed(lite)
    inbound.mail(dsn(sent, status="5.2.2"), at=AT)
    assert lite.messages()[0][2] == "undelivered" and lite.customer("Grace").email_bad == ""


@pytest.mark.parametrize("forged", [dsn("<guessed@bellweather.example>"), dsn("<x@y>", to="priya@example.com")])
def test_a_bounce_about_no_mail_of_ours_changes_nothing(lite: Line, forged: bytes) -> None:
    mailed(lite)
    inbound.mail(forged, at=AT)
    assert lite.messages()[0][2] == "sent" and lite.customer("Grace").email_bad == ""


def test_a_bounce_must_name_the_recipient_we_wrote_to(lite: Line) -> None:
    sent = mailed(lite)
    inbound.mail(dsn(sent, to="priya@example.com"), at=AT)
    assert lite.messages()[0][2] == "sent"


def test_a_person_who_answers_a_mail_is_read_by_a_person(way: Line) -> None:
    sent = mailed(way)
    assert inbound.mail(person("Could you come at 3?", about=sent), at=AT + timedelta(minutes=1)) == "person"
    (task,) = db.session.scalars(select(Notice).where(Notice.kind == "wrote"))
    assert task.visit_id == way.visits["Grace"] and task.facts["words"] == "Could you come at 3?"
    way.send(AT + timedelta(minutes=1))
    assert way.mails() == ["late_first", "not_understood"]


def test_a_person_is_known_by_their_address_too(lite: Line) -> None:
    inbound.mail(person("Hello?", about="<gone@elsewhere>"), at=AT)
    (task,) = db.session.scalars(select(Notice).where(Notice.kind == "wrote"))
    assert task.visit_id == lite.visits["Grace"]


@pytest.mark.parametrize(
    "header", ["Auto-Submitted: auto-replied", "Return-Path: <>", "Precedence: bulk", "List-Id: <x>"]
)
def test_an_automatic_answer_is_never_answered_so_that_two_machines_do_not_write_forever(
    lite: Line, header: str
) -> None:
    sent = mailed(lite)
    assert inbound.mail(person("I am away.", header, about=sent), at=AT) == "automatic"
    assert lite.send() == 0 and tasks() == []
    assert lite.mails() == ["late_first"]


def test_our_own_mail_sent_back_to_us_is_not_answered(lite: Line) -> None:
    mailed(lite)
    ours = next(lite.settings.outbox_folder.glob("*.eml")).read_bytes()
    assert inbound.mail(ours, at=AT) == "automatic"


def test_a_customer_who_texts_us_into_the_night_is_answered_at_once(lite: Line) -> None:
    night = datetime.combine(build.DATE, datetime.min.time(), AT.tzinfo) + timedelta(hours=23)
    lite.hear("3", at=night)
    assert lite.send(night) == 1
