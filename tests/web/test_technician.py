"""The technician's phone: taps as forms and as JSON, each once, and a sentence for everything impossible."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from punctual import clock
from punctual.actions import access, note, transaction
from punctual.models import Report, Shift, Visit, db
from tests import build

NOW = "2026-11-24T09:20+00:00"


@pytest.fixture
def phone(lite: Flask) -> FlaskClient:
    """Tom's phone at 09:20 on the built morning; Priya's job is under way since 09:00."""
    clock.configure(f"{NOW} x1")
    with transaction() as s:
        build.day(s)
    client = lite.test_client()
    client.post(f"/t/enrol/{access.enrol_link(1, key=lite.config['SETTINGS'].key('link'), at=clock.now())}")
    assert tap(client, 1, "arrived", tapped_at="2026-11-24T09:00:00+00:00").status_code == 200
    return client


def tap(client: FlaskClient, visit: int, step: str, key: str = "", **body: object) -> object:
    given = {"key": key or f"key-{visit}-{step}-1", **body}
    return client.post(f"/t/visits/{visit}/{step}", json=given)


def test_the_page_shows_the_day_in_order(phone: FlaskClient) -> None:
    page = phone.get("/t/").text
    assert page.index("Priya") < page.index("Grace") < page.index("Helen")
    assert "Must leave by 12:00" in page and "Lewis" not in page


@pytest.mark.parametrize(
    ("step", "counted", "mark"), [("done", "1 of 3 done", "done"), ("nobody-home", "0 of 3 done", "done failed")]
)
def test_who_was_not_at_home_is_over_and_not_counted_as_done(
    phone: FlaskClient, step: str, counted: str, mark: str
) -> None:
    tap(phone, 1, step, "key-over-1")
    page = phone.get("/t/").text
    assert f"Tom, {counted}" in page
    assert f'<span class="chip {mark}"' in page.split('id="before"')[1]


@pytest.mark.parametrize(
    ("begins", "order"),
    [("10:30", ["Grace", "Break, until 11:00", "Helen"]), ("18:00", ["Helen", "Break"]), ("08:30", [])],
)
def test_a_break_stands_where_it_comes_until_it_is_over(phone: FlaskClient, begins: str, order: list[str]) -> None:
    with transaction() as s:
        shift = s.get_one(Shift, 1)
        shift.break_starts_at, shift.break_ends_at = build.wall(begins), build.wall(begins) + timedelta(minutes=30)
    coming = phone.get("/t/").text.split('id="next"')[1]
    assert [coming.index(word) for word in order] == sorted(coming.index(word) for word in order)
    assert ("Break" in coming) is bool(order)


def test_a_time_that_was_named_is_shown_as_it_was_said(phone: FlaskClient) -> None:
    tap(phone, 1, "undo", "key-undo-0")
    tap(phone, 1, "arrived", "key-arrived-2", tapped_at="2026-11-24T09:00:40+00:00")
    assert "here until <input" in phone.get("/t/").text
    assert tap(phone, 1, "late", "key-of-a-time", time="10:29").status_code == 200  # type: ignore[attr-defined]
    page = phone.get("/t/").text
    assert "Here until 10:29, tapped 9:20" in page and "Running late +" not in page
    tap(phone, 1, "late", "key-of-a-button", minutes=30)
    assert "Running late +30, tapped 9:20" in phone.get("/t/").text
    tap(phone, 1, "undo", "key-undo-1")
    assert "Here until 10:29, tapped 9:20" in phone.get("/t/").text
    tap(phone, 1, "done", "key-done-1")
    assert "there at <input" in phone.get("/t/").text
    tap(phone, 2, "late", "key-of-a-time-2", time="11:05")
    assert "There at 11:05, tapped 9:20" in phone.get("/t/").text


@pytest.mark.parametrize("minutes", ["99999", "-1", "1.5", "many"])
def test_minutes_that_cannot_be_are_answered_with_those_that_can(phone: FlaskClient, minutes: str) -> None:
    answer = tap(phone, 1, "late", minutes=minutes)
    assert "1 to 600" in answer.get_json()["detail"]  # type: ignore[attr-defined]


def test_the_phone_and_the_board_have_one_word_for_how_a_visit_stands(phone: FlaskClient) -> None:
    """Told of a lateness that has shrunk since: the board does not call it late, nor does the phone."""
    with transaction() as s:
        grace = s.get_one(Visit, 2)
        grace.told_kind, grace.told_start, grace.told_end = "late_first", build.wall("10:20"), build.wall("10:50")
    coming = phone.get("/t/").text.split('id="next"')[1]
    assert "On time" in coming and "Late" not in coming


def test_plus_sixty_tells_the_next_customer_and_the_phone_says_whom(phone: FlaskClient) -> None:
    answer = tap(phone, 1, "late", minutes=60)
    told = answer.get_json()["told"]  # type: ignore[attr-defined]
    assert [t["name"] for t in told] == ["Grace"] and told[0]["kind"] == "late_first"
    assert datetime.fromisoformat(told[0]["from"]) > build.wall("10:15")


def test_the_answer_to_a_tap_carries_the_times_the_page_shows(phone: FlaskClient) -> None:
    etas = tap(phone, 1, "late", minutes=60).get_json()["etas"]  # type: ignore[attr-defined]
    shown = re.findall(r'<time data-eta="(\d+)" datetime="([^"]+)"', phone.get("/t/").text)
    said = [(int(visit), datetime.fromisoformat(at)) for visit, at in shown]
    assert said == [(e["visit"], datetime.fromisoformat(e["expected"])) for e in etas] and len(said) == 2


def test_whoever_cannot_be_written_to_is_called_and_the_phone_says_so(phone: FlaskClient) -> None:
    assert "The office has been asked to call." not in phone.get("/t/").text
    with transaction() as s:
        s.get_one(Visit, 2).customer.email = None
    assert tap(phone, 1, "late", minutes=60).get_json()["told"][0]["decision"] == "task"  # type: ignore[attr-defined]
    said = phone.get("/t/").text.split('id="told"')[1].split("</section>")[0]
    assert "Not told" in said and "The office has been asked to call." in said
    with transaction() as s:
        s.get_one(Visit, 3).customer.email = None
    form = {"key": "without-script", "minutes": "240"}
    answer = phone.post("/t/visits/1/late", data=form, follow_redirects=True).text
    assert "The office is asked to call: Helen, Grace." in answer and "Being told" not in answer, "Grace: still"


def test_who_must_wait_to_be_told_is_named_with_the_hour_in_both_answers(phone: FlaskClient) -> None:
    """Grace is told at 9:20, and not again within 20 minutes."""
    first, second = (tap(phone, 1, "late", f"key-{n}-of-two", minutes=60).get_json() for n in (1, 2))  # type: ignore[attr-defined]
    assert (len(first["told"]), first["later"], second["told"]) == (1, [], [])
    (grace,) = second["later"]
    assert datetime.fromisoformat(grace.pop("from")).replace(second=0, microsecond=0) == build.wall("09:40")
    assert grace == {"visit": 2, "name": "Grace", "reason": "too_soon", "decision": "later", "when": "9:40"}
    form = {"key": "without-script", "minutes": "1"}
    for _ in ("once", "again"):
        answer = phone.post("/t/visits/1/late", data=form, follow_redirects=True).text
        assert "Told later: Grace, from 9:40." in answer and "Nobody needs to be told" not in answer


def test_nobody_needs_to_be_told_where_nobody_waits(phone: FlaskClient) -> None:
    form = {"key": "without-script", "minutes": "1"}
    answer = phone.post("/t/visits/1/late", data=form, follow_redirects=True).text
    assert "Nobody needs to be told." in answer and "Told later" not in answer


def test_who_waits_for_the_same_hour_shares_it_in_the_sentence(phone: FlaskClient) -> None:
    tap(phone, 1, "late", "key-1-of-two", minutes=220)
    answer = phone.post(
        "/t/visits/1/late", data={"key": "without-script", "minutes": "200"}, follow_redirects=True
    ).text
    assert "Told later: Grace, Helen, from 9:40." in answer


def test_a_time_on_another_day_comes_with_the_day(phone: FlaskClient) -> None:
    """Said on the evening before, when no messages go any more."""
    clock.configure("2026-11-23T21:30+00:00 x1")
    said = tap(phone, 2, "late", minutes=180, tapped_at="2026-11-23T21:30:00+00:00").get_json()  # type: ignore[attr-defined]
    assert ("Grace", "8:00 on Tue 24 Nov") in [(x["name"], x["when"]) for x in said["later"]]


def test_the_same_key_counts_once(phone: FlaskClient) -> None:
    first, again = (tap(phone, 1, "late", "one-and-the-same", minutes=30).get_json() for _ in range(2))  # type: ignore[attr-defined]
    assert again["already"] and not first["already"] and first["report"] == again["report"]
    assert db.session.query(Report).filter_by(kind="late").count() == 1


def test_without_script_a_tap_is_a_form_and_says_what_it_did(phone: FlaskClient) -> None:
    page = phone.get("/t/").text
    key = re.search(r'action="/t/visits/1/late".*?name="key" value="([^"]+)"', page)
    assert key
    answer = phone.post("/t/visits/1/late", data={"key": key[1], "minutes": "60"}, follow_redirects=True)
    assert answer.status_code == 200 and "Being told: Grace" in answer.text
    phone.post("/t/visits/1/late", data={"key": key[1], "minutes": "60"})
    assert db.session.query(Report).filter_by(kind="late").count() == 1


def test_undo_takes_the_last_tap_back(phone: FlaskClient) -> None:
    tap(phone, 1, "done")
    assert db.session.get_one(Visit, 1).state == "done"
    assert tap(phone, 1, "undo").status_code == 200  # type: ignore[attr-defined]
    db.session.expire_all()
    assert db.session.get_one(Visit, 1).state == "arrived"


@pytest.mark.parametrize(
    ("visit", "step", "body", "status"),
    [
        (2, "done", {}, 409),
        (4, "arrived", {}, 403),
        (99, "arrived", {}, 404),
        (2**40, "arrived", {}, 404),
        (1, "juggle", {}, 404),
        (1, "late", {"minutes": "many"}, 422),
        (1, "late", {"minutes": -5}, 422),
        (1, "late", {"minutes": "9" * 5000}, 422),
        (1, "late", {"minutes": 10**18}, 422),
        (1, "late", {"time": "25:99"}, 422),
        (1, "done", {"tapped_at": "2026-11-24T11:00:00+00:00"}, 422),
        (1, "done", {"tapped_at": "9999-12-31T23:59:59+00:00"}, 422),
        (1, "done", {"tapped_at": "yesterday"}, 422),
        (1, "done", {"tapped_at": "2026-11-24T09:10:00"}, 422),
        (1, "done", {"key": "\x00\x00\x00\x00\x00\x00\x00\x00\x00"}, 422),
        (1, "done", {"key": "\ud800" * 10}, 422),
        (1, "done", {"key": 7}, 422),
    ],
)
def test_what_cannot_be_gets_a_sentence(
    phone: FlaskClient, visit: int, step: str, body: dict[str, object], status: int
) -> None:
    answer = phone.post(f"/t/visits/{visit}/{step}", json={"key": "impossible-tap", **body})
    assert answer.status_code == status and answer.get_json()["detail"].endswith((".", "?"))
    assert db.session.query(Report).count() == 1, "nothing was kept"


@pytest.mark.parametrize(
    "raw", [b"[" * 5000 + b"]" * 5000, b'{"key":', b"[]", b'"text"', b"\xff\xfe", b"{}" * 2, b'{"minutes": 1e999}']
)
def test_no_body_breaks_it(phone: FlaskClient, raw: bytes) -> None:
    answer = phone.post("/t/visits/1/late", data=raw, content_type="application/json")
    assert 400 <= answer.status_code < 500


def test_tomorrow_is_shown_and_nothing_farther(phone: FlaskClient) -> None:
    assert "Tomorrow" in phone.get("/t/").text
    assert "No visits tomorrow" in phone.get("/t/?day=tomorrow").text
    assert "Priya" in phone.get("/t/?day=2027-01-01").text


def test_what_the_customer_wrote_is_read_once(phone: FlaskClient) -> None:
    note.write(1, "Key under the mat", at=clock.now())
    assert "Key under the mat" in phone.get("/t/").text
    assert phone.post("/t/visits/1/read").status_code == 303
    assert "I have read it" not in phone.get("/t/").text


def test_an_unchanged_day_is_a_304(phone: FlaskClient) -> None:
    first = phone.get("/t/live")
    again = phone.get("/t/live", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.data
    tap(phone, 1, "late", "another-key-here", minutes=15)
    assert phone.get("/t/live", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_a_tap_made_in_a_cellar_an_hour_ago_counts_at_its_time(phone: FlaskClient) -> None:
    clock.configure((datetime.fromisoformat(NOW) + timedelta(hours=2)).isoformat(timespec="minutes") + " x1")
    assert tap(phone, 1, "done", tapped_at="2026-11-24T09:40:00+00:00").status_code == 200  # type: ignore[attr-defined]
    assert db.session.get_one(Visit, 1).finished_at == build.wall("09:40")
