"""Sending itself on the board: a way out that is closed, whom to call, the alarm; pause, one again, one to oneself."""

from __future__ import annotations

from datetime import datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, gate, outbox
from punctual.actions import Refused, alarm, delivery, transaction
from punctual.core.kinds import KINDS
from punctual.models import Heartbeat, Message, Outage, Visit, db
from tests.build import wall
from tests.faults.truth import words
from tests.sender import CLOSED, Keeper, send, states, worker
from tests.texting import line
from tests.web.desk import Desk, desk, sit

AT = wall("08:40")


@pytest.fixture
def at_desk(lite: Flask) -> Desk:
    clock.configure("2026-11-24T08:40+00:00 x1")
    return desk(lite)


def put(made: Desk, key: str) -> None:
    with transaction() as s:
        outbox.put(s, key=key, kind="booked", at=AT, reason="booked", visit=s.get_one(Visit, made.visit("Grace")))


def test_a_dispatcher_pauses_everything_sees_it_on_every_page_and_resumes(lite: Flask, at_desk: Desk) -> None:
    keeper = Keeper()
    put(at_desk, "a")
    assert at_desk.post("/board/sending/pause").status_code == 303
    assert send(worker(lite, keeper), AT) == 0
    assert "paused all messages" in at_desk.text("/board/people")
    assert "Resume all messages" in at_desk.text("/board/messages")
    at_desk.post("/board/sending/resume")
    assert "paused all messages" not in at_desk.text("/board/people")
    assert send(worker(lite, keeper), AT) == 1


def test_a_message_is_sent_again_by_hand_and_one_that_waits_is_not(lite: Flask, at_desk: Desk) -> None:
    keeper = Keeper()
    put(at_desk, "a")
    id_ = db.session.scalars(select(Message.id)).one()
    assert at_desk.post(f"/board/messages/{id_}/again").status_code == 409
    send(worker(lite, keeper), AT)
    assert at_desk.post(f"/board/messages/{id_}/again").status_code == 303
    assert states() == [("booked", "queued", "sent again by hand")]
    send(worker(lite, keeper), clock.now())
    assert len(keeper.kept) == 2
    assert at_desk.post("/board/messages/999/again").status_code == 404


def test_a_copied_database_says_on_the_board_why_nothing_is_sent(lite: Flask, at_desk: Desk) -> None:
    send(worker(lite, Keeper()), AT)
    put(at_desk, "a")
    (lite.config["SETTINGS"].instance / gate.SEAL).write_text('{"instance": "x", "body": "x", "mark": 0}')
    assert "This is a restored or copied database. Nothing is sent" in at_desk.text("/board/messages")


def late(made: Desk, name: str, key: str) -> None:
    with transaction() as s:
        visit = s.get_one(Visit, made.visit(name))
        visit.customer.phone = "+447700900112"
        outbox.put(s, key=key, kind="late_first", at=AT, reason="late", visit=visit)


def test_a_closed_way_out_says_since_when_why_how_many_wait_whom_to_call_and_then_that_it_works(
    app: Flask,
) -> None:
    clock.configure(f"{AT.isoformat()} x1")
    board, keeper = desk(app), Keeper([CLOSED] * 2)
    sender = worker(app, keeper)
    late(board, "Grace", "a")
    put(board, "b")
    send(sender, AT)
    shown = board.text("/board/sending")
    assert "Closed since 08:40, last tried 08:40: The SMTP server cannot be reached." in shown
    assert "2 waiting, 1 of them urgent" in shown and "Grace Whitfield +447700900112 Running late, e-mail" in shown
    assert "E-mails cannot leave since 08:40: 2 wait, 1 of them urgent." in board.text("/board/people")
    for minute in (1, 2, 4):
        clock.configure(f"{(AT + timedelta(minutes=minute)).isoformat()} x1")
        send(sender, AT + timedelta(minutes=minute))
    assert {e.kind for e in keeper.kept} == {"late_first", "booked"}
    db.session.rollback()
    assert db.session.query(Outage).count() == 0
    shown = board.text("/board/sending")
    assert "It works. Last message left at 08:4" in shown and "Nobody would wait unwarned." in shown
    assert "cannot leave" not in board.text("/board/people")


def test_an_outage_a_dead_sender_left_behind_ends_with_the_first_message_of_another(lite: Flask, at_desk: Desk) -> None:
    put(at_desk, "a")
    send(worker(lite, Keeper([CLOSED])), AT)
    assert db.session.query(Outage).count() == 1
    clock.configure("2026-11-24T08:41+00:00 x1")
    assert send(worker(lite, Keeper()), AT + timedelta(minutes=1)) == 1
    db.session.rollback()
    assert db.session.query(Outage).count() == 0


def test_texts_that_cannot_leave_for_two_minutes_are_told_once_by_mail_to_who_is_at_the_board(
    sqlite_url: str, tmp_path: Path
) -> None:
    with line(sqlite_url, tmp_path, twilio_url="http://127.0.0.1:9") as made:
        sit(made.app)
        made.put("Grace", "reminder")
        alarms: list[Path] = []
        for second in range(0, 400, 20):
            at = AT + timedelta(seconds=second)
            clock.configure(f"{at.isoformat()} x1")
            made.worker.tick(at)
            alarms = list(made.settings.outbox_folder.glob("*esc_sender*.eml"))
            assert second >= 120 or alarms == [], "a hiccup is no alarm"
    [told] = [words(x.read_bytes()) for x in alarms]
    for part in ("Messages are not going out since 8:40", "Waiting: 1", "Urgent (a customer would wait unwarned): 0"):
        assert part in told
    assert "Reason: Twilio cannot be reached" in told and "/board/sending" in told


def beat(at: datetime) -> None:
    with transaction() as s:
        s.merge(Heartbeat(name="worker", at=at))


def test_a_dead_worker_is_told_once_past_the_outbox_and_again_when_it_dies_again(app: Flask) -> None:
    clock.configure(f"{AT.isoformat()} x1")
    board, settings = desk(app), app.config["SETTINGS"]
    late(board, "Grace", "a")
    assert alarm.dead_worker(settings, at=AT) == 0, "a worker that never ran is not missed"
    gate_open(app)
    beat(AT)
    assert alarm.dead_worker(settings, at=AT + timedelta(seconds=110)) == 0
    assert alarm.dead_worker(settings, at=AT + timedelta(seconds=130)) == 1
    assert alarm.dead_worker(settings, at=AT + timedelta(seconds=150)) == 0
    [mail] = settings.outbox_folder.glob("*esc_sender*.eml")
    said = words(mail.read_bytes())
    assert "not going out since 8:40" in said and "Urgent (a customer would wait unwarned): 1" in said
    assert f"To: {board.user.name} <{board.user.email}>" in mail.read_text()
    beat(AT + timedelta(minutes=5))
    assert alarm.dead_worker(settings, at=AT + timedelta(minutes=8)) == 1


def test_a_dead_worker_fails_the_health_check_within_two_minutes_which_says_that_and_nothing_else(
    lite: Flask, at_desk: Desk
) -> None:
    beat(AT)
    for seconds, status, said in ((119, 200, '"ok":true'), (121, 503, "No worker is alive: nothing is sent.")):
        clock.configure(f"{(AT + timedelta(seconds=seconds)).isoformat()} x1")
        answer = at_desk.get("/healthz")
        assert answer.status_code == status and said in answer.text and "database is busy" not in answer.text


def test_sending_does_not_say_that_it_works_while_the_worker_is_dead_or_all_is_paused(
    lite: Flask, at_desk: Desk
) -> None:
    gate_open(lite)
    put(at_desk, "a")
    send(worker(lite, Keeper()), AT)
    beat(AT)
    for minute, said in (
        (1, "It works. Last message left at 08:40"),
        (3, "worker that sends has been silent since 08:40."),
    ):
        clock.configure(f"{(AT + timedelta(minutes=minute)).isoformat()} x1")
        shown = at_desk.text("/board/sending")
        assert said in shown and shown.count("It works") == (minute == 1)
    beat(AT + timedelta(minutes=3))
    assert at_desk.post("/board/sending/pause").status_code == 303
    shown = at_desk.text("/board/sending")
    assert "Nothing leaves: all messages are paused. Last message left at 08:40" in shown and "It works" not in shown


def gate_open(app: Flask) -> None:
    with transaction() as s:
        gate.opened(s, app.config["SETTINGS"])


def test_a_copy_that_was_not_released_alarms_nobody(lite: Flask, at_desk: Desk) -> None:
    gate_open(lite)
    beat(AT)
    (lite.config["SETTINGS"].instance / gate.SEAL).write_text('{"instance": "x", "body": "x", "mark": 0}')
    assert alarm.dead_worker(lite.config["SETTINGS"], at=AT + timedelta(hours=1)) == 0


def test_any_message_can_be_sent_to_oneself_and_to_nobody_else(lite: Flask, at_desk: Desk) -> None:
    keeper = Keeper()
    for kind in KINDS:
        assert at_desk.post(f"/board/words/{kind}/to-me", language="de").status_code == 303
    send(worker(lite, keeper), clock.now())
    assert sorted(e.kind for e in keeper.kept) == sorted(KINDS)
    assert {e.recipient for e in keeper.kept} == {at_desk.user.email}
    subjects = [str(message_from_bytes(e.body, policy=policy.default)["Subject"]) for e in keeper.kept]
    assert all(x.startswith("Example: ") for x in subjects) and any("Wir kommen" in x for x in subjects)
    assert "Send this to myself" in at_desk.text("/board/words")
    assert at_desk.post("/board/words/nothing/to-me", language="de").status_code == 404
    with pytest.raises(Refused, match="own people only"):
        delivery.send_example("booked", "en", to="stranger@example.com", at=AT)


def test_a_message_held_for_the_night_says_until_when(lite: Flask, at_desk: Desk) -> None:
    night = wall("05:00")
    clock.configure(f"{night.isoformat()} x1")
    with transaction() as s:
        grace = s.get_one(Visit, at_desk.visit("Grace"))
        outbox.put(s, key="a", kind="booked", at=night, reason="booked", visit=grace)
    send(worker(lite, Keeper()), night)
    said = "held until 08:00: it is night where they are"
    assert said in at_desk.text("/board/messages") and said in at_desk.text(f"/board/visits/{grace.id}")
