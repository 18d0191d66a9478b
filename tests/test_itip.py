"""Calendar parts of mails, property by property: what programs of customers need to show, move and remove a visit."""

from __future__ import annotations

import email
import email.policy
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage

import icalendar
import pytest
from flask import Flask

from punctual import clock, itip, outbox
from punctual.actions import transaction
from punctual.config import Settings
from punctual.core.day import Window
from punctual.models import Visit
from tests import build
from tests.build import wall
from tests.sender import Keeper, send, worker

AT = wall("08:40")

ENTRY = itip.Entry(
    uid="6d1f7a9e-3f0e-4f0b-9df7-1a2b3c4d5e6f@bellweather.example",
    sequence=3,
    stamp=AT,
    created=AT - timedelta(days=3),
    start=wall("10:00"),
    end=wall("10:30"),
    summary="Boiler; service, yearly – Bellweather",
    description="We arrive between 10:00 and 10:30.\nView: https://visits.bellweather.example/c/x",
    location="2 Upton Road, Bristol",
    url="https://visits.bellweather.example/c/x",
    organizer="visits@bellweather.example",
    organizer_name='Bellweather "Heating"\nLtd',
    attendee="grace@example.com",
    attendee_name="Grace Ünlü; Whitfield, " + "é" * 60,
)


def event(raw: bytes) -> icalendar.Event:
    parsed = icalendar.Calendar.from_ical(raw)
    assert not parsed.errors
    events = list(parsed.walk("VEVENT"))
    assert len(events) == 1 and not events[0].errors and len(list(parsed.walk())) == 2, "one event, nothing else"
    return events[0]


def test_lines_end_with_crlf_fit_75_octets_and_never_split_a_letter() -> None:
    raw = itip.invite(ENTRY, "REQUEST")
    assert raw.endswith(b"END:VCALENDAR\r\n") and b"\n" not in raw.replace(b"\r\n", b"")
    for line in raw.split(b"\r\n"):
        assert len(line) <= 75
        line.decode("utf-8")


def test_text_is_escaped_by_the_library_and_read_back_the_same() -> None:
    raw = itip.invite(ENTRY, "REQUEST")
    read = event(raw)
    assert str(read["SUMMARY"]) == ENTRY.summary
    assert str(read["DESCRIPTION"]) == ENTRY.description
    assert rb"Boiler\; service\, yearly" in raw
    assert str(read["ORGANIZER"].params["CN"]) == "Bellweather 'Heating' Ltd"


def test_times_are_utc_and_there_is_no_zone_alarm_or_rule_in_it() -> None:
    raw = itip.invite(ENTRY, "REQUEST").decode()
    assert "DTSTART:20261124T100000Z" in raw and "DTEND:20261124T103000Z" in raw
    assert not re.search("VTIMEZONE|TZID|VALARM|RRULE|X-", raw)
    assert raw.count("ATTENDEE") == 1


def test_a_request_and_a_cancellation_differ_in_method_and_status() -> None:
    for method, status in (("REQUEST", "CONFIRMED"), ("CANCEL", "CANCELLED")):
        raw = itip.invite(ENTRY, method)  # type: ignore[arg-type]
        assert f"METHOD:{method}\r\n" in raw.decode()
        assert str(event(raw)["STATUS"]) == status


def test_created_is_never_after_the_stamp() -> None:
    read = event(itip.invite(replace(ENTRY, created=AT + timedelta(hours=1)), "REQUEST"))
    assert read["CREATED"].dt <= read["LAST-MODIFIED"].dt <= read["DTSTAMP"].dt


def test_an_entry_to_add_by_hand_asks_nobody_and_has_the_invitations_uid() -> None:
    raw = itip.entry(ENTRY)
    read = event(raw)
    assert b"METHOD" not in raw and "ATTENDEE" not in read and "ORGANIZER" not in read
    assert str(read["UID"]) == ENTRY.uid, "a later mail then moves this very entry"


class Story:
    """Mails of one visit, one after the other, as a customer gets them."""

    def __init__(self, app: Flask, name: str = "Grace") -> None:
        clock.configure("2026-11-24T08:40+00:00 x1")
        self.app, self.keeper, self.at = app, Keeper(), AT
        with transaction() as s:
            self.visit = build.day(s).visits[name].id

    def mail(self, kind: str, settings: Settings, **changes: object) -> EmailMessage:
        self.at += timedelta(minutes=25)
        with transaction() as s:
            row = s.get_one(Visit, self.visit)
            old = {"old_start": row.window_start.isoformat(), "old_end": row.window_end.isoformat()}
            for name, value in changes.items():
                setattr(row, name, value)
            outbox.put(
                s, key=f"{kind}{self.at}", kind=kind, at=self.at, reason="x", visit=row, facts=old,
                told=Window(wall("11:40"), wall("12:15")),
            )  # fmt: skip
        made = worker(self.app, self.keeper)
        made.sender.settings = settings
        assert send(made, self.at) == 1
        return email.message_from_bytes(self.keeper.kept[-1].body, policy=email.policy.SMTP)  # type: ignore[return-value]


@pytest.fixture
def story(lite: Flask) -> Story:
    return Story(lite)


@pytest.fixture
def settings(lite: Flask) -> Settings:
    return replace(lite.config["SETTINGS"], origin="https://visits.bellweather.example")


def part(mail: EmailMessage) -> icalendar.Event:
    found = [p for p in mail.walk() if p.get_content_type() == "text/calendar"]
    assert len(found) == 1
    return event(found[0].get_payload(decode=True))  # type: ignore[arg-type]


def attendee(read: icalendar.Event) -> dict[str, str]:
    return {name: str(value) for name, value in read["ATTENDEE"].params.items()}


def window(read: icalendar.Event) -> tuple[datetime, datetime]:
    return read["DTSTART"].dt, read["DTEND"].dt


def test_the_mail_has_the_structure_calendar_programs_look_for(story: Story, settings: Settings) -> None:
    mail = story.mail("booked", settings)
    assert [p.get_content_type() for p in mail.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar", "application/ics",
    ]  # fmt: skip
    *_, calendar, attached = mail.walk()
    assert calendar.get_param("method") == "REQUEST" and calendar.get_param("component") == "VEVENT"
    assert calendar["Content-Transfer-Encoding"] == "base64" and calendar["Content-Disposition"] is None
    assert calendar.get_payload(decode=True) == attached.get_payload(decode=True)
    assert (attached.get_filename(), attached.get_content_disposition()) == ("invite.ics", "attachment")
    assert mail["From"].addresses[0].addr_spec == "visits@bellweather.example"
    assert [a.addr_spec for a in mail["To"].addresses] == ["grace@example.com"]
    assert mail["Auto-Submitted"] == "auto-generated" and mail["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert mail["Message-ID"].endswith("@bellweather.example>") and mail["Reply-To"] is None
    assert mail["Date"].datetime == story.at


def test_later_mails_of_a_visit_thread_under_the_first(story: Story, settings: Settings) -> None:
    first, second, third = (story.mail(k, settings) for k in ("booked", "late_first", "kept"))
    assert first["In-Reply-To"] is None
    assert second["In-Reply-To"] == third["In-Reply-To"] == third["References"] == first["Message-ID"]
    assert len({m["Message-ID"] for m in (first, second, third)}) == 3


def test_a_confirmation_asks_for_an_answer_about_the_promised_window(story: Story, settings: Settings) -> None:
    read = part(story.mail("booked", settings))
    assert attendee(read) == {
        "CN": "Grace Whitfield", "CUTYPE": "INDIVIDUAL", "PARTSTAT": "NEEDS-ACTION", "ROLE": "REQ-PARTICIPANT",
        "RSVP": "TRUE",
    }  # fmt: skip
    assert str(read["ATTENDEE"]) == "mailto:grace@example.com"
    assert str(read["ORGANIZER"]) == "mailto:visits@bellweather.example"
    assert (read["SEQUENCE"], window(read)) == (0, (wall("10:00"), wall("10:30")))
    assert str(read["SUMMARY"]) == "Boiler service – Bellweather Heating"
    assert str(read["TRANSP"]) == "OPAQUE" and str(read["LOCATION"]) == "2 Upton Road, Bristol"
    link = str(read["URL"])
    assert re.fullmatch(r"https://visits\.bellweather\.example/c/[\w-]{22}", link)
    assert link in str(read["DESCRIPTION"]) and "between 10:00 and 10:30" in str(read["DESCRIPTION"])


def test_a_late_note_keeps_the_window_and_names_the_expected_time(story: Story, settings: Settings) -> None:
    before, read = part(story.mail("booked", settings)), part(story.mail("late_first", settings))
    assert (read["UID"], window(read), str(read["STATUS"])) == (before["UID"], window(before), "CONFIRMED")
    assert read["SEQUENCE"] > before["SEQUENCE"] and read["DTSTAMP"].dt > before["DTSTAMP"].dt
    assert str(read["SUMMARY"]) == "Boiler service – running late, expected 11:40-12:15"
    for words in ("between 11:40 and 12:15", "promised between 10:00 and 10:30", str(read["URL"])):
        assert words in str(read["DESCRIPTION"])
    assert (attendee(read)["RSVP"], attendee(read)["PARTSTAT"]) == ("FALSE", "NEEDS-ACTION")


@pytest.mark.parametrize(
    ("kind", "partstat", "rsvp", "words"),
    [
        ("rescheduled", "ACCEPTED", "FALSE", "You chose a new time. It replaces Tue 24 Nov, 10:00 to 10:30."),
        ("kept", "ACCEPTED", "FALSE", "You said this time works."),
        ("moved_by_us", "NEEDS-ACTION", "TRUE", "We moved your visit from Tue 24 Nov, 10:00 to 10:30. We are sorry."),
    ],
)
def test_a_new_window_moves_the_same_entry(
    story: Story, settings: Settings, kind: str, partstat: str, rsvp: str, words: str
) -> None:
    before = part(story.mail("booked", settings))
    read = part(story.mail(kind, settings, window_start=wall("14:00"), window_end=wall("14:30")))
    assert read["UID"] == before["UID"] and read["SEQUENCE"] > before["SEQUENCE"]
    assert window(read) == (wall("14:00"), wall("14:30"))
    assert (attendee(read)["PARTSTAT"], attendee(read)["RSVP"]) == (partstat, rsvp)
    assert words in str(read["DESCRIPTION"])


def test_the_first_invitation_of_an_imported_visit_asks_whatever_brought_it(story: Story, settings: Settings) -> None:
    read = part(story.mail("rescheduled", settings, window_start=wall("14:00"), window_end=wall("14:30")))
    assert (attendee(read)["PARTSTAT"], attendee(read)["RSVP"]) == ("NEEDS-ACTION", "TRUE")


def test_a_late_note_to_an_imported_visit_has_no_calendar_part(story: Story, settings: Settings) -> None:
    mail = story.mail("late_first", settings)
    assert [p.get_content_type() for p in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("kind", ["cancelled_us", "cancelled_you"])
def test_a_cancellation_takes_the_entry_away(story: Story, settings: Settings, kind: str) -> None:
    before = part(story.mail("booked", settings))
    mail = story.mail(kind, settings, state="cancelled")
    read = part(mail)
    assert [p.get_param("method") for p in mail.walk() if p.get_content_type() == "text/calendar"] == ["CANCEL"]
    assert read["UID"] == before["UID"] and read["SEQUENCE"] > before["SEQUENCE"]
    assert str(read["STATUS"]) == "CANCELLED" and str(read["SUMMARY"]).startswith("Cancelled: ")
    assert window(read) == window(before) and attendee(read)["RSVP"] == "FALSE"
    assert "ook again" in str(read["DESCRIPTION"])


def test_a_cancellation_of_what_was_never_invited_has_no_calendar_part(story: Story, settings: Settings) -> None:
    mail = story.mail("cancelled_us", settings, state="cancelled")
    assert "text/calendar" not in [p.get_content_type() for p in mail.walk()]


def reservation(mail: EmailMessage) -> dict[str, object] | None:
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', html, re.DOTALL)
    return json.loads(found[1]) if found else None


def test_programs_that_file_appointments_find_the_reservation_but_never_a_forecast(
    story: Story, settings: Settings
) -> None:
    booked = reservation(story.mail("booked", settings))
    assert booked is not None and booked["reservationStatus"] == "http://schema.org/ReservationConfirmed"
    assert booked["reservationFor"]["startDate"] == "2026-11-24T10:00:00+00:00"  # type: ignore[index]
    assert reservation(story.mail("late_first", settings)) is None
    cancelled = reservation(story.mail("cancelled_us", settings, state="cancelled"))
    assert cancelled is not None and cancelled["reservationStatus"] == "http://schema.org/ReservationCancelled"
    assert cancelled["reservationNumber"] == booked["reservationNumber"]
