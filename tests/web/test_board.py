"""The dispatcher's board as a browser gets it: lines, what needs somebody, figures, and that it stays current."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, outbox
from punctual.actions import transaction
from punctual.models import (
    Answer,
    Heartbeat,
    Notice,
    Place,
    Promise,
    Shift,
    Signin,
    Technician,
    Visit,
    db,
    touch_board,
)
from tests.build import DATE, wall
from tests.web.desk import Desk, deliver, desk, overrun, words

DAY = f"?day={DATE}"


@pytest.fixture
def board(lite: Flask) -> Desk:
    return overrun(lite)


def line(html: str, name: str) -> str:
    """The HTML of one technician's line."""
    found = re.search(rf'<section class="row[^"]*"[^>]*aria-label="{name}">.*?</section>', html, re.S)
    assert found, f"no line of {name}"
    return found[0]


def test_every_technician_has_a_line_with_promise_plan_and_prediction(board: Desk) -> None:
    html = board.get("/board/").text
    tom = line(html, "Tom Hale")
    assert 'class="promise f12 n6"' in tom, "Priya's window 09:00 to 09:30 on an axis that starts at 08:00"
    assert "Priya Whitfield" in tom and "began 09:05" in tom
    assert re.search(r'class="block f\d+ n\d+"[^>]*aria-label="Grace Whitfield, late', tom)
    assert "At Whitfield, 35 min over" not in tom and "As planned" not in tom
    assert "Starts at 11:00" in line(html, "Ana Hale")


@pytest.mark.parametrize(("then", "look"), [("13:30-14:00", "ontime"), ("12:00-12:30", "risk")])
def test_a_job_that_runs_over_is_amber_only_where_it_makes_a_later_one_late(lite: Flask, then: str, look: str) -> None:
    """Noor's own time is too short for Mia's visit before it: while Mia waits for her window, Lewis takes none of it."""
    clock.configure("2026-11-24T12:20:10+00:00 x1")
    start, end = then.split("-")
    board = desk(
        lite,
        f"""
Ana 08:00-17:00 skills boiler home 51.4600,-2.5800
  11:00-11:30 Lewis boiler 60 at 51.4550,-2.5900
  {start}-{end} Mia boiler 60 at 51.4550,-2.5900
  {end}-{end[:2]}:45 Noor boiler 30 at 51.4550,-2.5900
""",
    )
    board.tap("Lewis", "arrived", "11:00")
    board.look("12:20")
    ana = line(board.get("/board/").text, "Ana Hale")
    assert re.search(r'class="visit (late|risk)[^"]*" id="v3"', ana), "Noor waits in both"
    assert re.search(rf'class="visit {look}[^"]*" id="v1"', ana), ana


def test_a_job_that_is_reported_longer_is_said_to_be_longer_before_it_is_over_its_time(board: Desk) -> None:
    board.look("09:40")
    assert re.search(r"At Whitfield, \d+ min longer", line(board.get("/board/").text, "Tom Hale"))


def test_the_hour_under_the_present_is_not_written_twice(lite: Flask) -> None:
    clock.configure("2026-11-24T11:05:10+00:00 x1")
    axis = desk(lite).get("/board/").text.split('class="axis"')[1].split("</header>")[0]
    assert ">11:05<" in axis and ">11:00<" not in axis and ">10:00<" in axis and ">12:00<" in axis


@pytest.mark.parametrize(("begins", "shown"), [("16:00", True), ("10:00", False)])
def test_the_word_of_a_break_is_left_out_where_a_bar_lies_over_it(board: Desk, begins: str, shown: bool) -> None:
    with board.app.app_context():
        tom = db.session.query(Technician).filter_by(name="Tom Hale").one()
        shift = db.session.query(Shift).filter_by(technician_id=tom.id).one()
        shift.break_starts_at, shift.break_ends_at = wall(begins), wall(begins) + timedelta(minutes=30)
        db.session.commit()
    assert (">break</li>" in line(board.get("/board/").text, "Tom Hale")) is shown


def test_no_page_of_the_board_has_an_inline_style_or_script(board: Desk) -> None:
    for path in (
        "/board/",
        f"/board/visits/{board.visit('Grace')}",
        "/board/people",
        "/board/messages",
        "/board/visits/new",
    ):
        html = board.get(path).text
        assert " style=" not in html and "<style" not in html and not re.search(r"<script(?![^>]*src=)", html), path


def test_worst_lines_come_first_by_need_and_names_in_order_by_name(board: Desk) -> None:
    by_need, by_name = board.get("/board/").text, board.get("/board/?sort=name").text
    assert by_need.index('aria-label="Tom Hale"') < by_need.index('aria-label="Ana Hale"')
    assert by_name.index('aria-label="Ana Hale"') < by_name.index('aria-label="Tom Hale"')


def test_an_unchanged_board_is_answered_304_and_a_tap_makes_a_new_one(board: Desk) -> None:
    for piece in ("rows", "queue"):
        first = board.get(f"/board/{piece}{DAY}")
        assert first.headers["Cache-Control"] == "private, no-cache"
        again = board.get(f"/board/{piece}{DAY}", If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
        board.tap("Lewis", "late", "09:30", minutes=15)
        changed = board.get(f"/board/{piece}{DAY}", If_None_Match=first.headers["ETag"])
        assert changed.status_code == 200 and changed.data


def test_a_signed_out_browser_learns_nothing_from_the_short_cut(board: Desk) -> None:
    etag = board.get(f"/board/rows{DAY}").headers["ETag"]
    with transaction() as s:
        for row in s.scalars(select(Signin)):
            row.revoked_at = wall("09:39")
    assert board.get(f"/board/rows{DAY}", If_None_Match=etag).status_code == 303
    board.client.delete_cookie("punctual_dispatcher")
    assert board.get(f"/board/rows{DAY}", If_None_Match=etag).status_code == 303


def test_the_next_minute_is_a_new_board(board: Desk) -> None:
    first = board.get(f"/board/rows{DAY}")
    clock.configure("2026-11-24T09:41:10+00:00 x1")
    changed = board.get(f"/board/rows{DAY}", If_None_Match=first.headers["ETag"])
    assert changed.status_code == 200 and ">09:41<" in changed.text


def test_a_board_left_open_over_midnight_asks_to_be_loaded_again(board: Desk) -> None:
    clock.configure("2026-11-25T08:00:00+00:00 x1")
    assert board.get(f"/board/rows{DAY}&follow=1").headers["HX-Refresh"] == "true"
    assert "HX-Refresh" not in board.get(f"/board/rows{DAY}").headers


def test_who_is_late_is_the_first_task_with_what_was_told_and_who_could_come(board: Desk) -> None:
    deliver(board.visit("Grace"))
    board.look("09:40")
    queue = board.text(f"/board/queue{DAY}")
    assert "Grace Whitfield Late, told" in queue
    assert "Told 09:21: 11:20 – 12:00. No answer. Must leave at 12:00." in queue
    with transaction() as s:
        s.get_one(Visit, board.visit("Grace")).deadline_kind = "arrive"
        touch_board(s, DATE)
    assert "No answer. We must be there by 12:00." in board.text(f"/board/queue{DAY}")
    assert "Give 10:00 Grace to Ana: every promise holds. Effect: Helen -" in queue, "who comes earlier is named"
    button = re.search(r'action="(/board/visits/\d+/give\?[^"]+)"', board.get(f"/board/queue{DAY}").text)
    assert button
    assert board.post(unescape(button[1])).status_code == 303
    db.session.rollback()
    assert db.session.get_one(Visit, board.visit("Grace")).technician_id == board.built.technicians["Ana"].id


def test_a_promise_that_has_passed_within_the_threshold_is_said_to_be_past(lite: Flask) -> None:
    board = desk(lite)
    clock.configure("2026-11-24T11:40:10+00:00 x1")
    with transaction() as s:
        s.get_one(Visit, board.visit("Lewis")).planned_start = wall("11:30")
    assert "Lewis Whitfield, past its time" in board.get("/board/").text


def test_an_answer_replaces_no_answer(board: Desk) -> None:
    deliver(board.visit("Grace"))
    with transaction() as s:
        s.add(Answer(visit_id=board.visit("Grace"), kind="call", at=wall("09:31")))
        s.add(
            Promise(
                visit_id=board.visit("Grace"),
                kind="call",
                due_at=wall("10:15"),
                made_by="customer",
                made_at=wall("09:31"),
            )
        )
    board.look("09:40")
    queue = board.text(f"/board/queue{DAY}")
    assert "Asked for a call, 09:31." in queue and "Call by 10:15" in queue and "I called" in queue


def test_a_call_leaves_the_queue_only_when_it_was_made(board: Desk) -> None:
    with transaction() as s:
        visit = board.visit("Lewis")
        s.add(Promise(visit_id=visit, kind="call", due_at=wall("10:15"), made_by="customer", made_at=wall("09:31")))
    assert "Lewis Whitfield" in board.text(f"/board/queue{DAY}")
    assert board.post(f"/board/visits/{visit}/called").status_code == 303
    assert "Lewis Whitfield" not in board.text(f"/board/queue{DAY}")


def test_what_two_rows_ask_alike_stands_there_once_since_the_first(board: Desk) -> None:
    with transaction() as s:
        row = s.get_one(Visit, board.visit("Lewis"))
        for key, at in (("b", "09:33"), ("a", "09:31")):
            outbox.put(
                s, key=key, kind="call", at=wall(at), reason="differs", decision="task", visit=row, to="dispatcher"
            )
    queue = board.text(f"/board/queue{DAY}")
    assert queue.count("What was told and what is planned differ") == 1 and "will say so. Since 09:31." in queue


def test_nobody_is_to_be_asked_whether_earlier_suits_once_the_visit_is_over(board: Desk) -> None:
    with transaction() as s:
        row, reason = s.get_one(Visit, board.visit("Lewis")), "earlier_than_told"
        outbox.put(
            s, key="e", kind="call", at=wall("09:31"), reason=reason, decision="task", visit=row, to="dispatcher"
        )
    assert "We now come earlier than they were told" in board.text(f"/board/queue{DAY}")
    assert board.post(f"/board/visits/{board.visit('Lewis')}/cancel").status_code == 303
    assert "We now come earlier than they were told" not in board.text(f"/board/queue{DAY}")


def test_a_warning_that_was_worth_nothing_any_more_asks_for_a_call_in_a_sentence(board: Desk) -> None:
    visit = board.visit("Lewis")
    with transaction() as s:
        row = s.get_one(Visit, visit)
        outbox.put(
            s,
            key="a",
            kind="call",
            at=wall("09:31"),
            reason="too_late",
            cause="report:1",
            decision="task",
            visit=row,
            to="dispatcher",
        )
    said = "A warning could not go while it was worth sending."
    assert f"{said} Since 09:31." in board.text(f"/board/queue{DAY}")
    assert f"Why: {said} Set off by a technician's report." in board.text(f"/board/visits/{visit}")


def test_a_technician_of_whom_nothing_is_heard_is_shown_silent(lite: Flask) -> None:
    clock.configure("2026-11-24T12:10:00+00:00 x1")
    board = desk(lite)
    board.tap("Lewis", "arrived", "11:00")
    with transaction() as s:
        s.get_one(Technician, board.built.technicians["Ana"].id).phone = "+447700900117"
    for at in ("11:00", "12:00", "14:30"):
        board.look(at)
    clock.configure("2026-11-24T14:31:00+00:00 x1")
    page = board.text("/board/")
    assert "Ana Hale Silent since 11:00" in page
    assert "Nothing since 11:00." in page and "Nudged 14:30." in page and "Call Ana" in page
    task = db.session.scalars(select(Notice).where(Notice.kind == "silent", Notice.decision == "task")).first()
    assert task is not None
    assert board.post(f"/board/tasks/{task.id}/resolve").status_code == 303
    db.session.rollback()
    assert db.session.get_one(Notice, task.id).resolved_by == "Dana Price"


def test_an_address_nobody_found_is_a_task(board: Desk) -> None:
    with transaction() as s:
        s.get_one(Place, board.built.visits["Lewis"].place_id).state = "not_found"
    assert "was not found" in board.text(f"/board/queue{DAY}")


def test_a_visit_under_way_of_somebody_who_goes_home_sick_needs_nobody_else(board: Desk) -> None:
    tom, priya = board.built.technicians["Tom"].id, board.visit("Priya")
    with transaction() as s:
        s.add(Promise(visit_id=priya, kind="call", due_at=wall("10:15"), made_by="customer", made_at=wall("09:31")))
    board.post(f"/board/technicians/{tom}/off", day=str(DATE), why="sick")
    page = board.text("/board/")
    assert "Off today, 3 to be given" not in page and "Off today, 2 to be given" in page
    assert "Priya Whitfield Nobody comes yet" not in page and "Grace Whitfield Nobody comes yet" in page


def test_visits_of_nobody_are_a_line_and_tasks(board: Desk) -> None:
    with transaction() as s:
        s.get_one(Visit, board.visit("Lewis")).technician_id = None
    page = board.text("/board/")
    assert "Nobody yet 1 to be given" in page


def test_visits_whose_plans_overlap_name_each_other(board: Desk) -> None:
    with transaction() as s:
        s.get_one(Visit, board.visit("Helen")).planned_start = wall("10:15")
    assert "overlaps Grace Whitfield" in board.get("/board/").text


def test_a_dead_worker_is_seen_on_every_page_and_a_living_one_is_not(board: Desk) -> None:
    with transaction() as s:
        s.add(Heartbeat(name="worker", at=wall("09:40")))
    assert "Messages are not going out" not in board.text("/board/people")
    first = board.get(f"/board/queue{DAY}").headers["ETag"]
    with transaction() as s:
        s.get_one(Heartbeat, "worker").at = wall("04:30")
    answer = board.get(f"/board/queue{DAY}", If_None_Match=first)
    assert "Messages are not going out since 04:30. 1 customer would wait unwarned." in words(answer.text)
    assert "Messages are not going out since 04:30." in board.text("/board/people")


def test_minutes_waited_past_the_window_count_unless_told_half_an_hour_before_it(board: Desk) -> None:
    clock.configure("2026-11-24T10:50:10+00:00 x1")
    assert "min unwarned today 20" in board.text("/board/")
    deliver(board.visit("Grace"))
    board.look("10:50")
    assert "min unwarned today 0" in board.text("/board/")


def test_a_share_is_shown_only_of_enough_visits(board: Desk) -> None:
    assert "kept, 30 days" not in board.text("/board/")
    with transaction() as s:
        grace = s.get_one(Visit, board.visit("Grace"))
        for n in range(20):
            late = timedelta(minutes=45 if n < 5 else -5)
            row = {
                c.name: getattr(grace, c.name) for c in Visit.__table__.columns if c.name not in ("id", "ref", "uid")
            }
            day = timedelta(days=n + 1)
            row |= {
                "uid": f"past{n}",
                "date": grace.date - day,
                "state": "done",
                "arrived_at": grace.window_end - day + late,
            }
            row |= {"window_start": grace.window_start - day, "window_end": grace.window_end - day}
            s.add(Visit(**row))
        touch_board(s, DATE)
    page = board.text("/board/")
    assert "kept, 30 days 76%" in page, "16 of 21 came by the end of the promised window, Priya's among them"
    assert "warned in time 0%" in page


@pytest.mark.parametrize(
    "query", ["?day=9999-99-99", "?day=0001-01-01", "?day=%00", "?day=" + "9" * 5000, "?sort=%ff", "?queue=%ED%A0%80"]
)
def test_a_day_that_cannot_be_read_is_today(board: Desk, query: str) -> None:
    assert "Tuesday 24 November" in board.text(f"/board/{query}")


def test_what_is_kept_for_all_readers_carries_a_token_that_works(board: Desk) -> None:
    with transaction() as s:
        s.add(
            Notice(
                key="c",
                visit_id=board.visit("Lewis"),
                decision="task",
                kind="call",
                reason="asked",
                facts={},
                at=wall("09:31"),
            )
        )
    found = re.search(r'name="csrf_token" value="([^"]+)"', board.get(f"/board/queue{DAY}").text)
    assert found and "@" not in found[1]
    answer = board.client.post(f"/board/visits/{board.visit('Lewis')}/called", data={"csrf_token": found[1]})
    assert answer.status_code == 303
