"""A company's calendar as its schedule: shown first, taken when confirmed, everything left out named, twice the same."""

from __future__ import annotations

import html
import io
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from punctual import clock
from punctual.actions import transaction
from punctual.models import Message, Technician, Visit, db
from tests.build import wall
from tests.web.desk import Desk, desk, words

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n"


def event(uid: str, start: str, *lines: str) -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", start, *lines, "END:VEVENT", ""])


WEEK = (
    HEAD
    + "X-WR-CALNAME:Tom Hale\r\n"
    + event("a1", "DTSTART;TZID=Europe/London:20261125T090000", "DTEND;TZID=Europe/London:20261125T103000", "SUMMARY:Boiler",
            "LOCATION:2 Upton Road\\, Bristol", "CATEGORIES:boiler", "DESCRIPTION:Ring twice",
            "ORGANIZER:mailto:office@bellweather.example", "ATTENDEE;CN=Ida Holt:mailto:ida@example.com")
    + event("a2", "DTSTART;TZID=GMT Standard Time:20261126T140000", "DURATION:PT45M", "SUMMARY:Mr Osei, radiator",
            "RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;TZID=GMT Standard Time:20261203T140000")
    + event("a3", "DTSTART;VALUE=DATE:20261127", "SUMMARY:Day off")
    + event("a4", "DTSTART;TZID=Mars/Base:20261127T090000", "SUMMARY:Far away")
    + event("a5", "DTSTART:20251127T090000Z", "SUMMARY:Last year")
    + event("a6", "DTSTART:20261128T090000Z", "RRULE:FREQ=MINUTELY", "SUMMARY:Too often")
    + "END:VCALENDAR\r\n"
)  # fmt: skip


@pytest.fixture
def at_desk(lite: Flask) -> Desk:
    clock.configure("2026-11-24T08:00+00:00 x0.01")
    return desk(lite)


def upload(at_desk: Desk, content: str, **fields: str) -> Any:
    data = {"csrf_token": at_desk.token(), **fields, "file": (io.BytesIO(content.encode()), "tom.ics")}
    return at_desk.client.post("/board/import", data=data, content_type="multipart/form-data")


def confirm(at_desk: Desk, shown: str) -> Any:
    rows = re.search(r'<textarea name="rows" hidden>(.*?)</textarea>', shown, re.DOTALL)
    assert rows
    sent = {"csrf_token": at_desk.token(), "name": "tom.ics", "rows": html.unescape(rows[1])}
    return at_desk.client.post("/board/import/calendar", data=sent)


def many(what: type) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(what)) or 0


def test_a_calendar_is_shown_with_what_is_left_out_and_nothing_is_written(at_desk: Desk) -> None:
    before = many(Visit)
    answer = upload(at_desk, WEEK)
    shown = words(answer.text)
    assert answer.status_code == 200 and "tom.ics: 3 visits can be taken" in shown and "Take these 3 visits" in shown
    assert "2026-11-25, 09:00 to 09:30 Ida Holt boiler, 90 min Tom Hale 2 Upton Road, Bristol" in shown
    assert "4 events left out" in shown
    for sentence in (
        "Event “Day off” (line 24): it lasts whole days; a visit has a time. Not taken.",
        "time zone “Mars/Base” is not in the file and not known. Not taken.",
        "it begins outside 2026-11-24 to 2027-12-29. Not taken.",
        "it repeats by MINUTELY",
    ):
        assert sentence in shown
    assert many(Visit) == before


def test_what_was_shown_is_taken_silently_and_once(at_desk: Desk) -> None:
    before, told = many(Visit), many(Message)
    shown = at_desk.text(confirm(at_desk, upload(at_desk, WEEK).text).location)
    assert "tom.ics 3 visits imported, 0 changed, 0 unchanged, 0 messages sent." in shown
    assert many(Visit) == before + 3 and many(Message) == told
    again = at_desk.text(confirm(at_desk, upload(at_desk, WEEK).text).location)
    assert "0 visits imported, 0 changed, 3 unchanged" in again
    visit = db.session.scalars(select(Visit).where(Visit.ref == "a1")).one()
    assert (visit.customer.email, visit.planned_min, visit.notes) == ("ida@example.com", 90.0, "Boiler Ring twice")
    assert visit.planned_start == wall("09:00", visit.date) and visit.technician is not None
    refs = db.session.scalars(select(Visit.ref).where(Visit.ref.like("a2/%")).order_by(Visit.ref)).all()
    assert refs == ["a2/20261126T140000", "a2/20261210T140000"]


def test_a_cancelled_event_of_a_later_file_cancels_its_visit(at_desk: Desk) -> None:
    confirm(at_desk, upload(at_desk, WEEK).text)
    later = WEEK.replace("UID:a1\r\n", "UID:a1\r\nSTATUS:CANCELLED\r\n")
    confirm(at_desk, upload(at_desk, later).text)
    db.session.rollback()
    assert db.session.scalars(select(Visit.state).where(Visit.ref == "a1")).one() == "cancelled"


def test_the_technician_is_who_is_asked_named_or_chosen(at_desk: Desk) -> None:
    one = event("b1", "DTSTART:20261125T090000Z", "DTEND:20261125T100000Z", "SUMMARY:Ida Holt")
    nameless = HEAD + one + "END:VCALENDAR\r\n"
    assert "nobody yet" in words(upload(at_desk, nameless).text)
    assert "Ida Holt Visit, 60 min Ana Hale" in words(upload(at_desk, nameless, technician="Ana").text)
    with transaction() as s:
        assert s.scalars(select(Technician.email).where(Technician.ref == "Tom")).one() == "tom@bellweather.example"
    theirs = nameless.replace("SUMMARY", "ATTENDEE;CN=Tom:mailto:Tom@Bellweather.example\r\nSUMMARY")
    assert "Ida Holt Visit, 60 min Tom Hale" in words(upload(at_desk, theirs).text)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("BEGIN:VCALENDAR\r\n", "never ends"),
        (HEAD + "END:VCALENDAR\r\n", "There is no event in this calendar."),
        (HEAD + event("x", "DTSTART:soon", "SUMMARY:x") + "END:VCALENDAR\r\n", "No event of this calendar has a time"),
    ],
)
def test_what_is_no_calendar_is_refused_in_a_sentence(at_desk: Desk, content: str, sentence: str) -> None:
    answer = upload(at_desk, content)
    assert answer.status_code == 422 and sentence in words(answer.text)


def test_rows_that_somebody_changed_are_checked_like_any_file(at_desk: Desk) -> None:
    sent = {"csrf_token": at_desk.token(), "name": "x.ics", "rows": "id,date\n1,tomorrow\n"}
    assert at_desk.client.post("/board/import/calendar", data=sent).status_code == 422
