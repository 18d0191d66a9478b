"""A technician's calendar to subscribe to: strong ETag, no cookie, revocable, and nothing of a customer's to give away."""

from __future__ import annotations

import re

import icalendar
import pytest
from flask import Flask
from flask.testing import FlaskClient

from punctual import clock
from punctual.actions import access, schedule, transaction
from punctual.core.day import Window
from punctual.models import Technician, Visit
from tests import build, judges
from tests.build import wall

AT = wall("08:40")


@pytest.fixture
def tom(lite: Flask) -> int:
    clock.configure("2026-11-24T08:40+00:00 x1")
    with transaction() as s:
        built = build.day(s)
        built.visits["Grace"].notes = "Ring 0117 496 0200, mail grace@example.com"
        return built.technicians["Tom"].id


def address(lite: Flask, technician: int) -> str:
    return f"/feed/{access.feed_link(technician, key=lite.config['SETTINGS'].key('link'), at=AT)}.ics"


def test_a_feed_shows_the_plan_and_nothing_of_the_customer_but_a_name(lite: Flask, tom: int) -> None:
    answer = lite.test_client().get(address(lite, tom))
    assert answer.status_code == 200 and answer.content_type == "text/calendar; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, max-age=0, must-revalidate"
    assert "Set-Cookie" not in answer.headers
    events = icalendar.Calendar.from_ical(answer.data).walk("VEVENT")
    assert [str(e["SUMMARY"]) for e in events] == [
        "Boiler service – Priya W.",
        "Boiler service – Grace W.",
        "Heating service – Helen W.",
    ]
    assert not re.search(rb"ATTENDEE|ORGANIZER|METHOD|VALARM|@example.com|0117", answer.data)
    with lite.app_context():
        invited = {v.uid for v in Visit.query}
    assert invited.isdisjoint({str(e["UID"]) for e in events}), "a technician's program cannot answer for a customer"


def test_a_judge_finds_nothing_wrong_with_it(lite: Flask, tom: int) -> None:
    judges.needed()
    raw = lite.test_client().get(address(lite, tom)).data
    assert judges.libical(raw) == [] and len(judges.ical_js(raw)) == 3


def test_the_same_feed_is_answered_with_304_until_something_changes(lite: Flask, tom: int) -> None:
    client, path = lite.test_client(), address(lite, tom)
    tag = client.get(path).headers["ETag"]
    assert tag.startswith('"')
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert client.head(path).headers["ETag"] == tag and client.head(path).data == b""
    with transaction() as s:
        visit = s.query(Visit).filter_by(ref="2026-11-24-Grace").one()
        schedule.move(
            s, visit, technician_id=tom, planned_start=wall("14:30"), window=Window(wall("14:30"), wall("15:00")),
            at=AT, by="dispatcher", forced=True,
        )  # fmt: skip
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_a_cancelled_visit_stays_a_day_struck_out(lite: Flask, tom: int) -> None:
    with transaction() as s:
        schedule.cancel(s, s.query(Visit).filter_by(ref="2026-11-24-Grace").one(), at=AT, by="customer")
    events = icalendar.Calendar.from_ical(lite.test_client().get(address(lite, tom)).data).walk("VEVENT")
    gone = [e for e in events if str(e["STATUS"]) == "CANCELLED"]
    assert [(str(e["SUMMARY"]), str(e["TRANSP"])) for e in gone] == [
        ("Cancelled: Boiler service – Grace W.", "TRANSPARENT")
    ]
    clock.configure("2026-11-25T08:41+00:00 x1")
    later = icalendar.Calendar.from_ical(lite.test_client().get(address(lite, tom)).data).walk("VEVENT")
    assert len(later) == len(events) - 1


def test_an_ended_a_wrong_and_a_made_up_address_are_the_same_empty_calendar(lite: Flask, tom: int) -> None:
    client, path = lite.test_client(), address(lite, tom)
    access.revoke_feed(tom, at=AT)
    answers = [client.get(p) for p in (path, "/feed/aaaaaaaaaaaaaaaaaaaaaa.ics", "/feed/x.ics")]
    assert {(a.status_code, a.data) for a in answers} == {(410, answers[0].data)}
    assert icalendar.Calendar.from_ical(answers[0].data).walk("VEVENT") == []
    fresh = address(lite, tom)
    assert fresh != path and client.get(fresh).status_code == 200 and client.get(path).status_code == 410


def test_technician_and_dispatcher_are_shown_the_address_and_can_end_it(lite: Flask, tom: int) -> None:
    key = lite.config["SETTINGS"].key("link")
    phone, desk = lite.test_client(), lite.test_client()
    phone.post(f"/t/enrol/{access.enrol_link(tom, key=key, at=AT)}")
    path = address(lite, tom)
    mine = phone.post("/t/calendar").text
    assert path in mine and "webcal://" in mine and "My calendar" in phone.get("/t/").text
    with transaction() as s:
        user = build.dispatcher(s).id
    desk.post(f"/board/enter/{access.signin_link(user, key=key, at=AT)}")
    token = csrf(desk, tom)
    assert path in desk.post(f"/board/technicians/{tom}/feed", data={"csrf_token": token}).text
    desk.post(f"/board/technicians/{tom}/feed", data={"csrf_token": token, "end": "1"})
    assert lite.test_client().get(path).status_code == 410
    with transaction() as s:
        assert s.get(Technician, tom) is not None


def csrf(desk: FlaskClient, tom: int) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', desk.get(f"/board/technicians/{tom}").text)
    assert found
    return found[1]
