"""A visit's story at the board, effects before acts, people and messages - and what is refused, with a sentence."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, outbox
from punctual.actions import transaction
from punctual.core.day import Window
from punctual.models import (
    Attempt,
    Customer,
    Message,
    Shift,
    Signin,
    Visit,
    db,
)
from punctual.web.board_words import why_silent
from tests.build import DATE, wall
from tests.sender import Keeper, send, worker
from tests.web.desk import Desk, deliver, desk, notices, overrun, words

DAY = f"?day={DATE}"


@pytest.fixture
def board(lite: Flask) -> Desk:
    return overrun(lite)


def test_why_was_this_customer_told_is_answered_by_the_visits_page(board: Desk) -> None:
    deliver(board.visit("Grace"), "We now expect to arrive between 11:20 and 12:00.")
    page = board.text(f"/board/visits/{board.visit('Grace')}")
    assert "Why: Chance of making their limit 12:00 was" in page
    assert "Set off by a technician's report." in page
    assert "As sent to grace@example.com New arrival time We now expect to arrive between 11:20 and 12:00." in page
    assert "e-mail, sent" in page


def test_the_log_says_the_range_that_left_and_until_then_the_one_that_was_decided(board: Desk) -> None:
    at, grace = wall("09:25"), board.visit("Grace")
    with transaction() as s:
        visit = s.get_one(Visit, grace)
        told = Window(wall("10:40"), wall("11:15"))
        outbox.put(s, key="1:1:late_first:9", kind="late_first", at=at, reason="late", visit=visit, told=told)
    assert "Running late: 10:40 – 11:15" in board.text(f"/board/visits/{grace}")
    send(worker(board.app, Keeper()), at)
    db.session.rollback()
    left = db.session.scalars(select(Attempt).where(Attempt.state == "accepted").order_by(Attempt.id.desc())).first()
    assert left is not None and left.told_start != told.start
    shown = board.text(f"/board/visits/{grace}")
    assert f"Running late: {left.told_start:%H:%M} – {left.told_end:%H:%M}" in shown and "10:40 – 11:15" not in shown


def test_why_this_time_is_a_sum_that_names_the_visit_under_way(board: Desk) -> None:
    page = board.text(f"/board/visits/{board.visit('Grace')}")
    assert re.search(r"Why 1\d:\d\d\?", page)
    assert "Tom is with Priya Whitfield since 09:05" in page
    assert "Tom reported +120, which is part of it." in page
    assert "Chance of keeping the promise 10:00 – 10:30: 0 %." in page
    assert "No history yet" in page


def test_why_a_customer_was_not_told_is_a_sentence_with_figures(board: Desk) -> None:
    board.look("09:40")
    page = board.text(f"/board/visits/{board.visit('Lewis')}")
    assert re.search(
        r"Nothing is being sent now: On time: the chance of being over 15 min late is [\d.]+ %. The limit is 80 %.",
        page,
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("late_first", "Told at 08:24: 11:00 to 12:00."),
        ("deadline_done", "Told at 08:24 that their limit may not hold."),
    ],
)
def test_a_message_that_named_no_range_is_not_said_to_have_named_one(kind: str, words: str) -> None:
    facts = {"told_at": wall("08:24"), "told_from": wall("11:00"), "told_to": wall("12:00"), "told_kind": kind}
    said = why_silent("already_told", {k: str(v) for k, v in facts.items()}, "Europe/London")
    assert said == f"{words} Nothing new since."


def test_a_night_abroad_is_told_by_the_customers_clock_and_by_ours(lite: Flask) -> None:
    clock.configure("2026-11-24T11:40:10+00:00 x1")
    board = desk(lite)
    with transaction() as s:
        s.get_one(Customer, board.built.visits["Helen"].customer_id).phone = "+819012345678"
    board.tap("Priya", "arrived", "11:30")
    board.tap("Priya", "late", "11:40", minutes=120)
    said = "Nothing is being sent now: It is {} where the customer is. Messages start again at Wed 08:00 here."
    page = f"/board/visits/{board.visit('Helen')}"
    assert said.format("20:40") in board.text(page)
    clock.configure("2026-11-24T13:00:10+00:00 x1")
    assert said.format("22:00") in board.text(page)


def test_a_visit_without_a_forecast_says_so(lite: Flask) -> None:
    board = desk(lite)
    assert "There is no forecast for this day yet." in board.text(f"/board/visits/{board.visit('Grace')}")


def test_the_drawer_is_the_same_template_without_the_frame(board: Desk) -> None:
    piece = board.get(f"/board/visits/{board.visit('Grace')}", HX_Request="true").text
    assert "<html" not in piece and 'id="visit"' in piece


def test_the_effect_is_shown_before_the_button_that_makes_it_so(board: Desk) -> None:
    ana = board.built.technicians["Ana"].id
    path = f"/board/visits/{board.visit('Grace')}/effect?technician={ana}"
    assert "Give to Ana: every promise holds" in board.text(path)
    answer = board.post(f"/board/visits/{board.visit('Grace')}/give", technician=str(ana))
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/board/visits/{board.visit('Grace')}")
    db.session.rollback()
    assert db.session.get_one(Visit, board.visit("Grace")).technician_id == ana


def test_moving_by_hand_shows_the_effect_and_then_moves(board: Desk) -> None:
    ana, lewis = board.built.technicians["Ana"].id, board.visit("Lewis")
    shown = board.get(f"/board/visits/{lewis}/effect?technician={ana}&date={DATE}&from=14:00&to=14:30").text
    assert "Tuesday 24 November, 14:00 – 14:30, Ana Hale" in words(shown)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', shown))
    hidden.pop("csrf_token")
    assert board.post(f"/board/visits/{lewis}/move", tell="on", **hidden).status_code == 303
    db.session.rollback()
    row = db.session.get_one(Visit, lewis)
    assert (row.window_start, row.wall_start, row.promise_version) == (wall("14:00"), f"{DATE}T14:00", 2)
    assert [n.kind for n in notices(lewis)] == ["moved_by_us"]


def test_free_times_that_keep_every_promise_are_offered_when_asked_for(board: Desk) -> None:
    page = board.get(f"/board/visits/{board.visit('Lewis')}?times=1").text
    assert re.search(r'/effect\?technician=\d+&amp;start=[^"]+&amp;opens=[^"]+&amp;closes=', page)


def test_a_customer_without_an_address_that_works_can_be_mended_from_the_task(board: Desk) -> None:
    grace = board.built.customers["Grace"].id
    with transaction() as s:
        m = s.scalars(select(Message).where(Message.customer_id == grace)).one()
        m.state, m.state_reason, m.state_at = "failed", "no such mailbox.", wall("09:22")
    assert "May not be done by their limit by e-mail at 09:22: failed: no such mailbox. " in board.text(
        f"/board/queue{DAY}"
    )
    answer = board.post(f"/board/customers/{grace}", name="Grace", email="g@example.com", phone="", language="en")
    assert answer.status_code == 303
    db.session.rollback()
    assert db.session.get_one(Message, m.id).state == "queued"
    assert "no such mailbox" not in board.text(f"/board/queue{DAY}")


def test_a_technician_off_sick_leaves_visits_to_be_given(board: Desk) -> None:
    ana = board.built.technicians["Ana"].id
    assert board.post(f"/board/technicians/{ana}/off", day=str(DATE), why="sick").status_code == 303
    page = board.text("/board/")
    assert "Off today, 1 to be given" in page and "Lewis Whitfield Nobody comes yet" in page
    board.post(f"/board/technicians/{ana}/off", day=str(DATE), on="1")
    assert "to be given" not in board.text("/board/")


def test_a_walk_in_is_added_by_hand(board: Desk) -> None:
    job = board.built.visits["Grace"].job_type_id
    answer = board.post(
        "/board/visits",
        name="Omar Said",
        email="omar@example.com",
        job=str(job),
        technician=str(board.built.technicians["Ana"].id),
        date=str(DATE),
        address="9 Park Row",
        limit="16:00",
        limit_kind="arrive",
        **{"from": "14:00", "to": "14:30"},
    )
    assert answer.status_code == 303
    page = board.text(answer.headers["Location"])
    assert "Omar Said" in page and "Arrive by" in page and "16:00" in page
    assert "Omar Said" in board.get("/board/").text


def test_search_finds_name_street_technician_and_date(board: Desk) -> None:
    assert "Grace Whitfield" in board.text("/board/search?q=grace")
    assert "Lewis Whitfield" in board.text("/board/search?q=Ana")
    assert "Helen Whitfield" in board.text("/board/search?q=24 Nov")
    assert "Priya Whitfield" in board.text("/board/search?q=1 Upton")
    assert "Nothing for “zzz”." in board.text("/board/search?q=zzz")
    assert "Nothing for “100%”." in board.text("/board/search?q=100%25")


def test_people_lists_phones_and_signs_one_out(board: Desk) -> None:
    tom = board.built.technicians["Tom"].id
    with transaction() as s:
        row = Signin(
            token_hash="phone",
            technician_id=tom,
            label="Pixel",
            created_at=wall("08:00"),
            expires_at=wall("09:40") + timedelta(days=9),
        )
        s.add(row)
    assert "Pixel, since 08:00" in board.text("/board/people")
    assert board.post(f"/board/sessions/{row.id}/revoke").status_code == 303
    assert "Pixel" not in board.text("/board/people")


def test_an_enrol_link_is_shown_as_a_code_or_mailed(board: Desk) -> None:
    tom = board.built.technicians["Tom"].id
    shown = board.post(f"/board/technicians/{tom}/link").text
    assert (
        '<svg class="qr"' in shown
        and "/t/enrol/" in shown
        and "style" not in re.search(r"<svg.*?</svg>", shown, re.S)[0]
    )  # type: ignore[index]
    mailed = board.post(f"/board/technicians/{tom}/link", mail="1").text
    assert "/t/enrol/" not in mailed and "by e-mail" in mailed


def test_hours_of_a_day_are_changed(board: Desk) -> None:
    ana = board.built.technicians["Ana"].id
    fields = {"from": "10:00", "to": "18:00", "break_from": "", "break_to": "", "day": str(DATE)}
    assert board.post(f"/board/technicians/{ana}/shift", **fields).status_code == 303
    db.session.rollback()
    shift = db.session.scalars(select(Shift).where(Shift.technician_id == ana)).one()
    assert (shift.starts_at, shift.ends_at, shift.break_starts_at) == (wall("10:00"), wall("18:00"), None)


def test_messages_are_listed_by_state_with_their_reason(board: Desk) -> None:
    assert "Grace Whitfield May not be done by their limit, e-mail queued" in board.text("/board/messages")
    assert "No message is failed." in board.text("/board/messages?state=failed")


@pytest.mark.parametrize(
    ("path", "fields", "status", "says"),
    [
        ("/board/visits/{grace}/give", {"technician": "9" * 9}, 422, "Choose a technician"),
        ("/board/visits/{grace}/give", {"technician": "x"}, 422, "Choose a technician from the list."),
        ("/board/visits/{grace}/give", {}, 422, "Choose a technician."),
        ("/board/visits/{grace}/move", {"technician": "1"}, 422, "Enter the new time"),
        ("/board/visits/{grace}/move", {"technician": "1", "date": "2026-02-31", "from": "9:00", "to": "10:00"}, 422, "is not a date"),
        ("/board/visits/{grace}/move", {"technician": "1", "date": "9999-12-31", "from": "9:00", "to": "10:00"}, 422, "too far away"),
        ("/board/visits/{grace}/move", {"technician": "1", "date": "2026-11-24", "from": "9", "to": "10:00"}, 422, "Enter a time like 10:00."),
        ("/board/visits/{grace}/move", {"technician": "1", "date": "2026-11-24", "from": "11:00", "to": "10:00"}, 422, "must end after"),
        ("/board/visits/{grace}/move", {"technician": "1", "start": "9" * 5000}, 422, "cannot be read"),
        ("/board/visits/{grace}/hold", {"why": " "}, 422, "Say why"),
        ("/board/visits/{grace}/hold", {"why": "a\x00b"}, 422, "cannot be written"),
        ("/board/visits/{grace}/note", {"note": "x" * 1001}, 422, "It is 1 too long."),
        ("/board/visits/{grace}/edit", {"minutes": "9" * 5000}, 422, "Enter a whole number"),
        ("/board/visits/999999/cancel", {}, 404, "There is no such visit."),
        ("/board/visits/99999999999999999999/cancel", {}, 404, ""),
        ("/board/tasks/999/resolve", {}, 404, "There is no such task."),
        ("/board/visits", {"date": "2026-11-24", "from": "10:00", "to": "11:00"}, 422, "Who is it for?"),
        ("/board/visits", {"name": "Omar Said", "job": "1", "date": "2026-11-24", "from": "10:00", "to": "11:00", "limit": "09:30"}, 422, "must be after the visit begins"),
        ("/board/technicians/999/off", {"day": "2026-11-24"}, 404, "There is no shift"),
        ("/board/technicians/999/link", {}, 404, "There is no such technician."),
        ("/board/customers/999", {"name": "x"}, 404, "There is no such customer."),
        ("/board/customers/2/erase", {}, 422, "Tick that you are sure: what is erased cannot be brought back."),
        ("/board/customers/2/erase", {"sure": "1"}, 409, "This customer has a visit to come. Cancel it first"),
        ("/board/sessions/999/revoke", {}, 404, "There is no such session."),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence(board: Desk, path: str, fields: dict[str, str], status: int, says: str) -> None:
    answer = board.post(path.format(grace=board.visit("Grace")), **fields)
    assert answer.status_code == status and says in words(answer.text)


@pytest.mark.parametrize("q", ["%00", "%ED%A0%80", "'; drop", "x" * 5000, "9999-12-31", "31 Feb"])
def test_any_search_is_answered(board: Desk, q: str) -> None:
    assert board.get(f"/board/search?q={q}").status_code == 200


def test_a_change_without_the_forms_token_is_refused(board: Desk) -> None:
    answer = board.client.post(f"/board/visits/{board.visit('Grace')}/cancel")
    assert answer.status_code == 400
    db.session.rollback()
    assert db.session.get_one(Visit, board.visit("Grace")).state == "planned"


def test_names_are_escaped_wherever_they_come_from(board: Desk) -> None:
    with transaction() as s:
        s.get_one(Customer, board.built.customers["Grace"].id).name = "<script>alert(1)</script>"
    for path in ("/board/", f"/board/visits/{board.visit('Grace')}", "/board/messages", "/board/search?q=script"):
        assert "<script>alert" not in board.get(path).text
