"""Mails with a calendar part: acted on once, shown when they cannot be, and never the beginning of a loop."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from punctual import clock, preview_answers
from punctual.actions import inbound, post
from punctual.models import Answer, Notice, Received, Visit, db
from tests import imap
from tests.actions.test_invitation import ME, Calendar, calendar
from tests.build import wall

__all__ = ["calendar"]
SERVER = "mx.bellweather.example"
PROOF = f"Authentication-Results: {SERVER}; dkim=pass header.d=example.com\r\n".encode()
AT = wall("08:45")


def mail(calendar: Calendar, partstat: str = "DECLINED", **values: object) -> bytes:
    a = calendar.answer(**values)
    return preview_answers.mail(a, preview_answers.reply(a, partstat), "REPLY", attached=True)


def proposal(calendar: Calendar, start: str = "14:30") -> bytes:
    a = calendar.answer()
    ics = preview_answers.counter_outlook(a, wall(start), wall("15:00"))
    return preview_answers.mail(a, ics, "COUNTER")


def kept() -> list[tuple[str, str]]:
    db.session.rollback()
    return [(r.meaning, r.outcome) for r in db.session.scalars(select(Received).order_by(Received.id))]


def tasks() -> list[str]:
    db.session.rollback()
    open_ = select(Notice.kind).where(Notice.decision == "task", Notice.resolved_at.is_(None)).order_by(Notice.id)
    return list(db.session.scalars(open_))


def test_an_answer_is_acted_on_once_whatever_brings_it_again(calendar: Calendar) -> None:
    raw = mail(calendar)
    assert inbound.mail(raw, at=AT) == "calendar"
    assert inbound.mail(raw, at=AT) == "again"
    assert kept() == [("calendar", "Declined the invitation.")]
    assert calendar.visit.partstat == "DECLINED" and calendar.mails() == ["declined"]


def test_a_proposal_moves_the_visit_only_when_our_server_vouches_for_the_sender(calendar: Calendar) -> None:
    inbound.mail(proposal(calendar), server=SERVER, at=AT)
    assert calendar.visit.window_start == wall("10:00") and kept()[-1][1] == "Proposed another time."
    inbound.mail(PROOF + proposal(calendar, "15:00").replace(b"COUNTER.", b"COUNTER2."), server=SERVER, at=AT)
    assert calendar.visit.window_start == wall("10:00"), "an end before its start is no time"
    late = calendar.answer(9)
    ics = preview_answers.counter_outlook(late, wall("14:30"), wall("15:00"))
    inbound.mail(PROOF + preview_answers.mail(late, ics, "COUNTER"), server=SERVER, at=AT)
    assert calendar.visit.window_start == wall("14:30") and kept()[-1][1] == "Proposed another time, which fits."


def test_a_broken_calendar_part_goes_to_a_person_with_its_words(calendar: Calendar) -> None:
    raw = mail(calendar, comment="Please ring me").replace(
        b"Content-Type: text/calendar", b"Content-Type: text/calendar"
    )
    half = raw.replace(b'method="REPLY"', b'method="COUNTER"')
    assert inbound.mail(half, at=AT) == "calendar"
    assert "neither was taken" in kept()[0][1] or "a person reads it" in kept()[0][1]
    row = db.session.scalars(select(Received)).one()
    assert "neither was taken" in row.text and "Please ring me" in row.text
    assert tasks() == ["wrote"] and calendar.visit.partstat == "NEEDS-ACTION"


def carrying(*parts: bytes, kind: bytes = b"multipart/mixed") -> bytes:
    """A mail of the customer with such parts."""
    head = b"From: Grace <" + ME.encode() + b">\r\nMIME-Version: 1.0\r\nContent-Type: " + kind + b"; boundary=q\r\n\r\n"
    return head + b"".join(b"--q\r\n%s\r\n" % p for p in parts) + b"--q--\r\n"


def test_two_answers_in_one_mail_are_one_if_they_say_the_same_and_a_persons_to_read_if_not(calendar: Calendar) -> None:
    def part(partstat: str, charset: str = "utf-8") -> bytes:
        ics = preview_answers.reply(calendar.answer(), partstat)
        return f"Content-Type: text/calendar; method=REPLY; charset={charset}\r\n\r\n".encode() + ics

    words = b"Content-Type: text/plain\r\n\r\nMy cat is ill.\r\n"
    assert inbound.mail(carrying(words, part("DECLINED"), part("ACCEPTED")), at=AT) == "calendar"
    assert kept() == [("calendar", "a person reads it")] and tasks() == ["wrote"]
    row = db.session.scalars(select(Received)).one()
    assert row.text == "It holds several calendar objects, so none was taken. My cat is ill."
    assert calendar.visit.partstat == "NEEDS-ACTION"
    deep = part("DECLINED", "undefined")
    for n in range(100):
        deep = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--" % (n, n, deep, n)
    assert inbound.mail(carrying(deep, part("DECLINED")), at=AT) == "calendar"
    assert kept()[-1] == ("calendar", "Declined the invitation.") and calendar.visit.partstat == "DECLINED"


def test_an_answer_inside_a_mail_that_is_carried_along_is_not_the_senders(calendar: Calendar) -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\n" + mail(calendar)
    assert inbound.mail(carrying(inner), at=AT) == "person"
    assert calendar.visit.partstat == "NEEDS-ACTION" and tasks() == ["wrote"]


def test_what_only_another_program_can_read_is_named_to_the_dispatcher(calendar: Calendar) -> None:
    tnef = b'Content-Type: application/ms-tnef; name="winmail.dat"\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+IgAAAA=='
    assert inbound.mail(carrying(tnef), at=AT) == "person"
    (task,) = db.session.scalars(select(Notice).where(Notice.kind == "wrote"))
    assert task.facts["words"] == "It holds no words. It carries winmail.dat: look in the mailbox."
    assert task.visit_id == calendar.visit.id


def test_somebody_elses_answer_is_shown_and_changes_nothing(calendar: Calendar) -> None:
    assert inbound.mail(mail(calendar, customer="crasher@example.org"), at=AT) == "calendar"
    assert tasks() == ["wrote"] and calendar.visit.partstat == "NEEDS-ACTION"


def test_an_automatic_answer_that_must_be_read_gets_no_answer_itself(calendar: Calendar) -> None:
    raw = b"Auto-Submitted: auto-generated\r\n" + mail(calendar, customer="crasher@example.org")
    inbound.mail(raw, at=AT)
    assert tasks() == ["wrote"] and calendar.mails() == []


def test_a_bounce_that_carries_our_invitation_is_no_answer(calendar: Calendar) -> None:
    ours = calendar.keeper.kept[0].body
    raw = (b"From: mailer-daemon@example.com\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
           b"--b\r\nContent-Type: text/plain\r\n\r\nNot delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
           b"Reporting-MTA: dns; mx.example.com\r\n\r\nFinal-Recipient: rfc822; " + ME.encode() + b"\r\nAction: failed\r\n"
           b"Status: 5.1.1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + ours + b"\r\n--b--\r\n")  # fmt: skip
    assert inbound.mail(raw, at=AT) == "bounce"
    db.session.rollback()
    assert db.session.scalars(select(Answer)).all() == [] and calendar.visit.customer.email_bad != ""


def test_the_worker_reads_the_mailbox_and_marks_what_it_kept(calendar: Calendar, app: Flask) -> None:
    with imap.serving() as folder:
        folder.add(mail(calendar, "ACCEPTED"))
        settings = replace(
            app.config["SETTINGS"], imap_host="127.0.0.1", imap_port=folder.port, imap_user="visits",
            imap_password="secret", imap_tls="none",
        )  # fmt: skip
        clock.configure("2026-11-24T08:45+00:00 x1")
        chore = post.reading(settings)
        chore(AT)
        assert folder.seen == {1} and calendar.visit.partstat == "ACCEPTED"
        chore(AT)
        assert folder.asked.count("LOGOUT") == 1, "not again for a while"


def test_a_mail_servers_pipe_takes_one_in(lite: Flask, tmp_path: Path) -> None:
    made = Calendar(lite)
    raw = mail(made, "ACCEPTED")
    settings = lite.config["SETTINGS"]
    env = {"PATH": "", "PUNCTUAL_INSTANCE": str(settings.instance), "DATABASE_URL": settings.database_url,
           "PUNCTUAL_CLOCK": "2026-11-24T08:45+00:00 x1"}  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "punctual.cli", "receive-mail"], input=raw, env=env, capture_output=True,
                          check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout.decode().strip()) == (0, "calendar"), done.stderr.decode()
    db.session.rollback()
    assert db.session.get_one(Visit, made.id).partstat == "ACCEPTED"
