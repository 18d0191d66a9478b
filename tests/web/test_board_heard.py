"""Words at the board: what came in is read and answered there, and every message can be read before it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from punctual import clock
from punctual.actions import inbound, technician, transaction
from punctual.core.kinds import KINDS
from punctual.models import Company, Notice, Visit, db
from punctual.web import board_words
from tests.build import wall
from tests.mails import dsn
from tests.sender import tasks
from tests.texting import AT, PHONES, TOM, Line, line
from tests.web.desk import Desk, sit

GRACE = PHONES["Grace"]


@pytest.fixture
def way(sqlite_url: str, tmp_path: Path) -> Iterator[Line]:
    with line(sqlite_url, tmp_path, origin="http://localhost") as made:
        yield made


@pytest.fixture
def desk(way: Line) -> Desk:
    return sit(way.app)


def test_what_a_customer_texts_waits_in_the_queue_and_is_answered_in_the_drawer(way: Line, desk: Desk) -> None:
    way.hear("Which door do you come to?")
    queue = desk.text("/board/queue?day=2026-11-24")
    assert "Wrote to us and waits for an answer. “Which door do you come to?”" in queue and "Answer" in queue
    visit = way.visits["Grace"]
    assert "Wrote by text: “Which door do you come to?”" in desk.text(f"/board/visits/{visit}")
    assert desk.post(f"/board/visits/{visit}/answer", words="The blue one.").status_code == 303
    way.send(AT + timedelta(minutes=1))
    assert way.texts(GRACE)[-1].startswith("Bellweather: The blue one.")
    assert tasks() == [] and "Our answer" in desk.text(f"/board/visits/{visit}")


def test_one_press_sees_to_all_that_a_customer_wrote_and_to_nothing_that_came_in_since(way: Line, desk: Desk) -> None:
    for said in ("Which door?", "The blue one?"):
        way.hear(said)
    queue = desk.get("/board/queue?day=2026-11-24").text
    (press,) = re.findall(r'action="(/board/tasks/\d+/resolve)"', queue)
    way.hear("And who comes?")
    desk.post(press)
    left = desk.text("/board/queue?day=2026-11-24")
    assert tasks() == [("wrote", "wrote")] and "And who comes?" in left and "Which door?" not in left


def test_an_answer_of_three_segments_is_refused_with_how_much_it_is(way: Line, desk: Desk) -> None:
    way.hear("Which door?")
    answer = desk.post(f"/board/visits/{way.visits['Grace']}/answer", words="a" * 330)
    assert answer.status_code == 422 and "3 segments" in answer.text and tasks() == [("wrote", "wrote")]


def test_an_answer_goes_though_the_visit_is_over(way: Line, desk: Desk) -> None:
    way.hear("Was that all?")
    with transaction() as s:
        s.get_one(Visit, way.visits["Grace"]).state = "done"
    desk.post(f"/board/visits/{way.visits['Grace']}/answer", words="Yes, all is done.")
    way.send(AT + timedelta(minutes=1))
    assert way.texts(GRACE)[-1].startswith("Bellweather: Yes, all is done.")


def test_a_stopped_line_is_a_red_banner_until_somebody_says_it_is_mended(way: Line, desk: Desk) -> None:
    way.provider.plan("401")
    way.put("Grace")
    way.send()
    board = desk.text("/board/")
    assert "Texts are stopped since 08:40. E-mails go instead. Twilio refuses us" in board
    assert "Texts cannot leave" not in board, "one banner: they are not tried again"
    (row,) = [n for n in desk_tasks() if n.kind == "texts_stopped"]
    assert "It is mended" in desk.text("/board/queue?day=2026-11-24")
    desk.post(f"/board/tasks/{row.id}/resolve")
    board = desk.text("/board/")
    assert "Texts are stopped" not in board and "Texts cannot leave" not in board
    way.put("Priya", at=AT + timedelta(minutes=2))
    way.send(AT + timedelta(minutes=2))
    assert len(way.texts(PHONES["Priya"])) == 1


def desk_tasks() -> list[Notice]:
    db.session.rollback()
    return list(db.session.scalars(select(Notice).where(Notice.decision == "task")))


def test_the_days_texts_and_their_price_are_shown_against_their_caps(way: Line, desk: Desk) -> None:
    way.put("Grace")
    way.send()
    assert "2 segments of 2000, about 0.10 of 100.00 in the company's money." in desk.text("/board/received")


def test_addresses_that_do_not_work_are_listed_with_what_to_do(way: Line, desk: Desk) -> None:
    assert "Every address works" in desk.text("/board/received")
    way.change("Helen", email_bad="came back (5.1.1): no such user")
    way.hear("STOP")
    page = desk.text("/board/received")
    assert "came back (5.1.1): no such user" in page and "ask for the right e-mail address" in page
    assert "asked for no texts" in page and "Nothing: e-mails go instead." in page
    assert "no more texts" in page


def test_a_text_of_a_technician_is_listed_under_their_name(way: Line, desk: Desk) -> None:
    way.hear("LATE 15", sender=TOM)
    page = desk.text("/board/received")
    assert "Tom Hale, text LATE 15" in page and TOM not in page


def test_a_task_says_in_the_story_that_a_message_did_not_arrive(way: Line, desk: Desk) -> None:
    way.change("Grace", email=None)
    way.put("Grace")
    way.send()
    way.status(0, "undelivered", "30003")
    assert "Why: A message did not arrive." in desk.text(f"/board/visits/{way.visits['Grace']}")


def test_words_of_a_stranger_are_shown_as_words(way: Line, desk: Desk) -> None:
    way.hear("<b>hi</b> <script>alert(1)</script>", sender="+447700900999")
    assert "<script>alert" not in desk.get("/board/received").text


def test_every_kind_of_message_has_a_name_on_the_board() -> None:
    assert set(KINDS) <= set(board_words.KINDS)


@pytest.mark.parametrize("language", ["en", "es", "de"])
def test_every_message_can_be_read_in_every_language_with_how_it_travels(desk: Desk, language: str) -> None:
    page = desk.text(f"/board/words?language={language}")
    assert all(f" {kind} " in page for kind in KINDS)
    assert "UCS-2" not in page and "3 segments" not in page
    assert {"en": "we are running late", "es": "vamos con retraso", "de": "wir kommen"}[language] in page


def test_the_words_are_those_of_the_own_company(desk: Desk) -> None:
    with transaction() as s:
        company = s.get_one(Company, 1)
        company.name, company.text_name, company.phone = "Περικλής ΕΠΕ", "Περικλής ΕΠΕ", "0117 496 0000"
    page = desk.text("/board/words")
    assert "Bellweather" not in page and "0117 496 0000" in page
    assert "UCS-2, 125 units, 2 segments" in page and "3 segments" not in page
    assert "Περικλής ΕΠΕ" in desk.text("/board/words/late_first.html")


def test_a_mail_is_shown_as_a_mail_program_shows_it(desk: Desk) -> None:
    answer = desk.get("/board/words/late_first.html?language=de")
    assert answer.status_code == 200 and '<html lang="de">' in answer.text
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert desk.get("/board/words/nothing.html").status_code == 404


def test_a_customer_with_a_phone_alone_is_texted_by_the_watch(way: Line, desk: Desk) -> None:
    way.change("Grace", email=None)
    priya, tom, at = way.visits["Priya"], 1, wall("09:20")
    for kind, minutes in (("arrived", 0), ("late", 120)):
        technician.report(
            priya, kind, technician_id=tom, key=f"tap-{kind}-1", tapped_at=at, at=at, minutes=minutes
        )  # fmt: skip
    way.send(wall("09:20"))
    assert "You must leave at 12:00 and we cannot be done by then." in way.texts(GRACE)[0] and tasks() == []


def test_who_was_to_be_told_and_was_not_reached_is_not_shown_as_told(way: Line, desk: Desk) -> None:
    way.change("Grace", email=None)
    visit, at = way.visits["Grace"], wall("09:20")
    for kind, minutes in (("arrived", 0), ("late", 120)):
        technician.report(
            way.visits["Priya"], kind, technician_id=1, key=f"tap-{kind}-1", tapped_at=at, at=at, minutes=minutes
        )  # fmt: skip
    way.send(at)
    clock.configure(f"{at.isoformat()} x1")
    assert "Late, told" in desk.text(f"/board/visits/{visit}")
    way.status(0, "undelivered", "30005", at=wall("09:21"))
    queue, drawer = desk.text("/board/queue?day=2026-11-24"), desk.text(f"/board/visits/{visit}")
    assert "Late, not reached" in queue and "Late, not reached" in drawer
    assert "What was to be told did not arrive." in queue and "there is no such number (30005)" in queue
    desk.post(f"/board/visits/{visit}/called")
    for page in (desk.text("/board/queue?day=2026-11-24"), desk.text(f"/board/visits/{visit}")):
        assert "not reached" not in page


def test_a_mail_that_came_back_goes_to_the_mended_address(way: Line, desk: Desk) -> None:
    way.change("Grace", phone=None)
    way.put("Grace", "booked")
    way.send()
    inbound.mail(dsn(way.attempt().mail_id), at=AT + timedelta(minutes=1))
    assert way.messages()[0][2] == "undelivered"
    customer = way.customer("Grace")
    fields = {"name": customer.name, "email": "right@example.com", "phone": "", "language": "en"}
    assert desk.post(f"/board/customers/{customer.id}", **fields).status_code == 303
    assert way.send(AT + timedelta(minutes=2)) == 1
    assert way.attempt().recipient == "right@example.com" and way.messages()[0][2] == "sent"


def test_what_a_booking_said_is_no_word_on_a_delay(way: Line, desk: Desk) -> None:
    at = wall("09:20")
    with transaction() as s:
        visit = s.get_one(Visit, way.visits["Grace"])
        visit.told_start, visit.told_end, visit.told_at = visit.window_start, visit.window_end, wall("08:00")
        s.get_one(Company, 1).rules = {"max_delay": 0}
    for kind, minutes in (("arrived", 0), ("late", 120)):
        technician.report(
            way.visits["Priya"], kind, technician_id=1, key=f"tap-{kind}-1", tapped_at=at, at=at, minutes=minutes
        )  # fmt: skip
    clock.configure(f"{at.isoformat()} x1")
    grace = desk.text("/board/queue?day=2026-11-24").partition("Grace Whitfield")[2].partition("Whitfield")[0]
    assert "Late, NOT told" in grace and "Not told yet." in grace and "No answer" not in grace
