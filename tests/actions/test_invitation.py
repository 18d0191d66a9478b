"""What customers' calendars answer: whose answer counts, for which invitation, what it changes - and what it never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, itip, outbox, preview_answers
from punctual.actions import company as companies
from punctual.actions import customer, invitation, transaction
from punctual.itip import reply
from punctual.models import Answer, Notice, Promise, SlotClaim, Technician, Visit, db
from tests import build
from tests.build import wall
from tests.sender import Keeper, send, worker

AT = wall("08:40")
ME = "grace@example.com"


class Calendar:
    """Grace's calendar program: it got the invitation and can answer it."""

    def __init__(self, app: Flask) -> None:
        clock.configure("2026-11-24T08:40+00:00 x1")
        self.keeper = Keeper()
        self.worker = worker(app, self.keeper)
        with transaction() as s:
            visit = build.day(s, origin="board").visits["Grace"]
            visit.deadline = None
            self.id, self.uid = visit.id, visit.uid
        self.put("booked", AT)

    def put(self, kind: str, at: datetime) -> None:
        with transaction() as s:
            visit = s.get_one(Visit, self.id)
            outbox.put(s, key=f"{kind}{at}", kind=kind, at=at, reason="x", visit=visit)
        assert send(self.worker, at) == 1

    @property
    def visit(self) -> Visit:
        db.session.rollback()
        return db.session.get_one(Visit, self.id)

    def answer(self, minutes: int = 5, **values: object) -> preview_answers.Answer:
        visit = self.visit
        made = preview_answers.Answer(
            uid=self.uid, sequence=visit.sequence - 1, organizer="visits@bellweather.example", customer=ME, name="Grace",
            start=visit.window_start, end=visit.window_end, stamp=AT + timedelta(minutes=minutes), comment="Not at home",
        )  # fmt: skip
        return replace(made, **values)  # type: ignore[arg-type]

    def say(self, partstat: str, minutes: int = 5, *, sender: str = ME, proven: bool = False, **values: object) -> str:
        found = reply.one(preview_answers.reply(self.answer(minutes, **values), partstat))
        return self.take(found, minutes, sender=sender, proven=proven)

    def propose(self, start: str, minutes: int = 5, *, proven: bool = True, **values: object) -> str:
        begin = wall(start)
        a = self.answer(minutes, **values)
        return self.take(
            reply.one(preview_answers.counter_outlook(a, begin, begin + timedelta(minutes=30))), minutes, proven=proven
        )

    def take(self, found: reply.Incoming, minutes: int, *, sender: str = ME, proven: bool = False) -> str:
        taken = invitation.take(found, sender=sender, proven=proven, at=AT + timedelta(minutes=minutes))
        return taken.word

    def mails(self, minutes: int = 5) -> list[str]:
        """The kinds that leave then."""
        before = len(self.keeper.kept)
        send(self.worker, AT + timedelta(minutes=minutes))
        return [e.kind for e in self.keeper.kept[before:]]


@pytest.fixture
def calendar(app: Flask) -> Calendar:
    return Calendar(app)


def tasks() -> list[str]:
    db.session.rollback()
    open_ = select(Notice.reason).where(Notice.decision == "task", Notice.resolved_at.is_(None)).order_by(Notice.id)
    return list(db.session.scalars(open_))


def test_accepted_marks_the_visit_and_sends_nothing(calendar: Calendar) -> None:
    assert calendar.say("ACCEPTED") == "accepted"
    assert calendar.visit.partstat == "ACCEPTED" and calendar.mails() == [] and tasks() == []


def test_an_answer_may_go_with_a_lateness_note_between(calendar: Calendar) -> None:
    """A note about lateness raises SEQUENCE but leaves the window: an answer to the invitation before it still counts."""
    with transaction() as s:
        s.get_one(Visit, calendar.id).sequence += 1
    assert calendar.say("ACCEPTED", sequence=0) == "accepted"


def test_tentative_and_delegated_leave_the_visit_unsure(calendar: Calendar) -> None:
    assert calendar.say("TENTATIVE") == "tentative"
    assert calendar.visit.partstat == "TENTATIVE" and tasks() == []
    found = replace(reply.one(preview_answers.reply(calendar.answer(6), "DELEGATED")), delegate="mum@example.com")
    assert calendar.take(found, 6) == "delegated"
    assert calendar.visit.partstat == "TENTATIVE" and tasks() == ["delegated"]


def test_declined_keeps_the_time_asks_the_dispatcher_and_offers_another(calendar: Calendar) -> None:
    assert calendar.say("DECLINED") == "declined"
    assert calendar.visit.state == "planned" and calendar.visit.partstat == "DECLINED"
    assert tasks() == ["declined"] and calendar.mails() == ["declined"]
    assert calendar.say("DECLINED") == "duplicate" and calendar.mails() == []


def test_declined_then_accepted_takes_the_no_back(calendar: Calendar) -> None:
    calendar.say("DECLINED", 5)
    assert calendar.say("ACCEPTED", 7) == "accepted"
    assert calendar.visit.partstat == "ACCEPTED" and tasks() == []
    assert calendar.say("TENTATIVE", 6) == "older" and calendar.visit.partstat == "ACCEPTED"


def test_somebody_else_changes_nothing_and_a_person_reads_it(calendar: Calendar) -> None:
    found = reply.one(preview_answers.reply(calendar.answer(customer="crasher@example.org"), "DECLINED"))
    taken = invitation.take(found, sender="crasher@example.org", proven=True, at=AT)
    assert taken.word == "other_person" and taken.person_reads
    assert calendar.visit.partstat == "NEEDS-ACTION" and calendar.mails() == []
    assert calendar.take(replace(found, sent_by=ME, stamp=AT), 6) == "declined", "on behalf of the customer it counts"


@pytest.mark.parametrize(("sequence", "word"), [(5, "never_sent"), (1, "never_sent")])
def test_a_revision_that_was_never_sent_is_refused(calendar: Calendar, sequence: int, word: str) -> None:
    assert calendar.say("DECLINED", sequence=sequence) == word
    assert calendar.visit.partstat == "NEEDS-ACTION" and calendar.mails() == []


def test_an_answer_to_an_older_window_gets_the_time_that_holds(calendar: Calendar) -> None:
    customer.choose(calendar.id, *free(calendar), at=AT)
    calendar.mails()
    assert calendar.say("DECLINED", sequence=0) == "stale"
    assert calendar.visit.partstat == "ACCEPTED" and calendar.mails() == ["invitation"]
    part = reply.find(message_from_bytes(calendar.keeper.kept[-1].body))
    assert part is not None and part.start == calendar.visit.window_start and part.sequence == 2


def free(calendar: Calendar, start: str = "14:30") -> tuple[int, datetime]:
    technician = calendar.visit.technician_id
    assert technician is not None
    return technician, wall(start)


def test_a_proposed_time_that_fits_moves_the_visit(calendar: Calendar) -> None:
    assert calendar.propose("14:30") == "moved"
    assert calendar.visit.window_start == wall("14:30") and calendar.visit.partstat == "NEEDS-ACTION"
    assert calendar.mails() == ["rescheduled"]
    part = reply.find(message_from_bytes(calendar.keeper.kept[-1].body))
    assert part is not None and (part.method, part.partstat, part.start) == ("REQUEST", "ACCEPTED", wall("14:30"))
    assert db.session.scalars(select(SlotClaim.planned_start)).all() == [wall("14:30")]


def test_where_nobody_else_works_a_time_that_does_not_fit_is_declined_too(calendar: Calendar) -> None:
    with transaction() as s:
        s.scalars(select(Technician).where(Technician.ref == "Ana")).one().active = False
    assert calendar.propose("22:00") == "not_free"


def test_a_proposed_time_that_does_not_fit_is_declined_with_real_times(calendar: Calendar) -> None:
    assert calendar.propose("22:00") == "not_free"
    assert calendar.visit.window_start == wall("10:00") and calendar.mails() == ["not_free"]
    body = message_from_bytes(calendar.keeper.kept[-1].body)
    part = reply.find(body)
    assert part is not None and (part.method, part.uid) == ("DECLINECOUNTER", calendar.uid)
    assert b"24 November 2026" in calendar.keeper.kept[-1].body, "other times are named"


def test_nothing_unproven_moves_a_visit_the_wish_goes_to_a_person(calendar: Calendar) -> None:
    assert calendar.propose("14:30", proven=False) == "wish"
    assert calendar.visit.window_start == wall("10:00")
    assert sorted(tasks()) == ["promised", "proposed"] and calendar.mails() == ["promise_call"]
    due = db.session.scalars(select(Notice.due_at).where(Notice.reason == "proposed")).one()
    assert due == db.session.scalars(select(Promise.due_at).where(Promise.kind == "call")).one(), "one truth"
    assert "call" not in db.session.scalars(select(Answer.kind)).all(), "they named a time, and asked for no call"
    open_ = select(Promise.kind).where(Promise.visit_id == calendar.id, Promise.state == "open")
    assert sorted(db.session.scalars(open_)) == ["call", "window"]


def test_the_company_may_keep_proposals_for_its_dispatcher(calendar: Calendar) -> None:
    companies.change_rules({"calendar_moves": 0})
    assert calendar.propose("14:30") == "wish" and calendar.visit.window_start == wall("10:00")


def test_the_same_time_as_ours_is_an_answer_and_one_for_an_older_time_is_stale(calendar: Calendar) -> None:
    assert calendar.propose("10:00") == "tentative"
    old = calendar.answer(7, start=wall("08:00"), end=wall("08:30"))
    found = reply.one(preview_answers.counter_outlook(old, wall("14:30"), wall("15:00")))
    assert calendar.take(found, 7, proven=True) == "stale" and calendar.visit.window_start == wall("10:00")


def test_refresh_sends_the_last_invitation_again_and_not_too_often(calendar: Calendar) -> None:
    ask = replace(reply.one(preview_answers.reply(calendar.answer(), "ACCEPTED")), method="REFRESH")
    assert calendar.take(ask, 5) == "resent" and calendar.mails() == ["invitation"]
    first, again = (reply.find(message_from_bytes(e.body)) for e in calendar.keeper.kept)
    assert first is not None and again is not None
    assert (again.sequence, again.start) == (first.sequence, first.start) and again.stamp != first.stamp
    later = replace(ask, stamp=AT + timedelta(minutes=6))
    assert calendar.take(later, 6) == "resent" and calendar.mails(6) == []


@pytest.mark.parametrize("method", ["REQUEST", "ADD", "CANCEL", "PUBLISH", "DECLINECOUNTER"])
def test_a_customers_calendar_cannot_change_the_visit_itself(calendar: Calendar, method: str) -> None:
    found = replace(reply.one(preview_answers.reply(calendar.answer(), "ACCEPTED")), method=method)
    taken = invitation.take(found, sender=ME, proven=True, at=AT)
    assert taken.word == "refused" and taken.person_reads and calendar.visit.state == "planned"


def test_after_the_work_began_an_answer_is_only_kept(calendar: Calendar) -> None:
    with transaction() as s:
        s.get_one(Visit, calendar.id).state = "arrived"
    assert calendar.say("DECLINED") == "over" and calendar.mails() == []
    db.session.rollback()
    assert [a.data["word"] for a in db.session.scalars(select(Answer))] == ["over"]


def test_an_unknown_visit_is_for_a_person(calendar: Calendar) -> None:
    assert calendar.say("DECLINED", uid="nobody@nowhere") == "unknown"


def test_two_programs_that_answer_one_another_end_after_a_few_mails(calendar: Calendar) -> None:
    """A program that answers each of our mails with a new "declined" gets a bounded number of them."""
    sent = []
    for n in range(30):
        calendar.say("DECLINED", n + 1)
        sent += calendar.mails(n + 1)
    assert 1 <= len(sent) <= invitation.MOST_MAILS


def test_the_parts_of_a_mail_are_found_wherever_they_lie(calendar: Calendar) -> None:
    a = calendar.answer()
    raw = preview_answers.mail(a, preview_answers.reply(a, "DECLINED"), "REPLY", attached=True)
    assert len(list(itip.parts(message_from_bytes(raw)))) == 2
    found = reply.find(message_from_bytes(raw))
    assert found is not None and found.partstat == "DECLINED"
