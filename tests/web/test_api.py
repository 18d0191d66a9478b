"""The API: programs with a token import, read, add, change, report - and get a sentence for everything else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from punctual import clock, outbox
from punctual.actions import Refused, token, transaction
from punctual.models import ApiToken, Visit, db
from punctual.web import api_in, api_promises
from tests import build
from tests.build import wall
from tests.sender import BUSY, Keeper, send, worker

START = "2026-11-24T08:00+00:00 x0.01"
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
DAY = "2026-11-24"


@pytest.fixture
def made(lite: Flask) -> build.Built:
    """Tom's and Ana's morning at 8:00, as ids that outlive a session."""
    clock.configure(START)
    with transaction() as s:
        found = build.day(s)
        found.visits = {name: v.id for name, v in found.visits.items()}  # type: ignore[misc]
        found.technicians = {name: t.id for name, t in found.technicians.items()}  # type: ignore[misc]
    return found


def bearer(*scopes: str, days: int = 30, name: str = "test") -> dict[str, str]:
    return {"Authorization": f"Bearer {token.make(name, scopes or ('read', 'write'), days, at=NOW)}"}


@pytest.fixture
def client(lite: Flask, made: build.Built) -> FlaskClient:
    """A program that may read and write."""
    found = lite.test_client()
    found.environ_base["HTTP_AUTHORIZATION"] = bearer()["Authorization"]
    return found


def post(client: FlaskClient, path: str, body: Any, status: int = 200) -> Any:
    answer = client.post(f"/api/v1{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.get_json()


def get(client: FlaskClient, path: str, status: int = 200) -> Any:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == status, answer.text
    return answer.get_json()


def tap(kind: str, at: datetime = NOW, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "key": f"key-{kind}-{at.isoformat()}", "tapped_at": at.isoformat(), **more}


def test_the_visits_of_a_date_come_in_order_of_plan(client: FlaskClient) -> None:
    found = get(client, f"/visits?date={DAY}")["visits"]
    assert [v["customer"].split()[0] for v in found] == ["Priya", "Grace", "Lewis", "Helen"]
    assert found[0]["window_start"] == "2026-11-24T09:00:00Z" and found[0]["state"] == "planned"


def test_a_visit_is_found_by_its_ref(client: FlaskClient) -> None:
    assert [v["ref"] for v in get(client, f"/visits?date={DAY}&ref={DAY}-Grace")["visits"]] == [f"{DAY}-Grace"]


def test_a_visit_is_added_moved_given_edited_and_cancelled(client: FlaskClient, made: build.Built) -> None:
    new = {
        "window_start": "2026-11-24T15:00:00Z",
        "window_end": "2026-11-24T15:30:00Z",
        "job": "boiler",
        "customer": {"name": "Ida Holt", "email": "ida@example.com", "phone": "07700 900555"},
        "technician_id": made.technicians["Ana"],
        "address": "1 Park Row, Bristol",
        "ref": "API-1",
    }
    visit = post(client, "/visits", new, 201)
    assert (visit["customer"], visit["state"], visit["planned_min"]) == ("Ida Holt", "planned", 60)
    path = f"/visits/{visit['id']}"
    given = post(client, f"{path}/give", {"technician_id": made.technicians["Tom"]})
    assert given["technician"] == "Tom Hale" and given["promise_version"] == 1
    moved = post(
        client,
        f"{path}/move",
        {
            "technician_id": made.technicians["Tom"],
            "window_start": "2026-11-24T15:30:00+00:00",
            "window_end": "2026-11-24T16:00:00+00:00",
        },
    )
    assert moved["promise_version"] == 2 and moved["window_start"] == "2026-11-24T15:30:00Z"
    edited = client.patch(f"/api/v1{path}", json={"notes": "Ring twice", "deadline": "2026-11-24T17:00:00Z"}).get_json()
    assert (edited["notes"], edited["deadline"]) == ("Ring twice", "2026-11-24T17:00:00Z")
    assert client.patch(f"/api/v1{path}", json={"deadline": None}).get_json()["deadline"] is None
    assert post(client, f"{path}/cancel", {})["state"] == "cancelled"
    kinds = [x["kind"] for x in get(client, f"{path}/messages")["messages"]]
    assert kinds[0] == "booked" and kinds[-1] == "cancelled_us" and "moved_by_us" in kinds


def test_a_message_says_when_it_came_into_its_state_why_and_each_try_to_send_it(
    lite: Flask, client: FlaskClient, made: build.Built
) -> None:
    with transaction() as s:
        visit = s.get_one(Visit, made.visits["Grace"])  # type: ignore[arg-type]
        outbox.put(s, key="k", kind="booked", at=wall("08:40"), reason="booked", cause="user:1:add", visit=visit)
    send(worker(lite, Keeper([BUSY])), wall("08:40"))
    [told] = get(client, f"/visits/{made.visits['Grace']}/messages")["messages"]
    assert (told["state"], told["at"], told["put_at"]) == ("sent", "2026-11-24T08:40:00Z", "2026-11-24T08:40:00Z")
    assert told["because"] == "The visit was booked. Set off by a dispatcher (add)."
    assert told["useful_until"] == "2026-11-25T08:40:00Z"
    assert [(a["state"], a["error"]) for a in told["attempts"]] == [
        ("refused", "The mail server answered 451: later."), ("accepted", "")
    ]  # fmt: skip


def test_the_same_ref_is_not_added_twice(client: FlaskClient) -> None:
    new = {
        "window_start": "2026-11-24T15:00:00Z",
        "window_end": "2026-11-24T15:30:00Z",
        "job": "boiler",
        "customer": {"name": "Ida Holt"},
        "ref": "API-1",
    }
    post(client, "/visits", new, 201)
    assert post(client, "/visits", new, 409)["detail"] == 'There is a visit "API-1" already.'


def test_a_tap_changes_the_forecast_and_the_same_key_counts_once(client: FlaskClient, made: build.Built) -> None:
    path = f"/visits/{made.visits['Priya']}"
    early = NOW - timedelta(minutes=5)
    first = post(client, f"{path}/reports", tap("arrived", early))
    again = post(client, f"{path}/reports", tap("arrived", early))
    assert (first["already"], again["already"]) == (False, True)
    assert first["report_id"] == again["report_id"]
    assert get(client, path)["state"] == "arrived"
    forecast = get(client, f"/visits/{made.visits['Grace']}/forecast")
    assert forecast["arrive"] == sorted(forecast["arrive"]) and forecast["stops_before"] == 1
    assert 0 <= forecast["p_late"] <= 1 and forecast["why"]


def test_a_tap_names_who_is_told_and_who_is_told_later(client: FlaskClient, made: build.Built) -> None:
    clock.configure("2026-11-24T09:20+00:00 x0.01")
    path, at = f"/visits/{made.visits['Priya']}/reports", NOW + timedelta(hours=1)
    post(client, path, tap("arrived", at))
    first = post(client, path, tap("late", at + timedelta(minutes=1), minutes=60))
    second = post(client, path, tap("late", at + timedelta(minutes=2), minutes=60))
    assert ([x["name"] for x in first["told"]], first["later"], second["told"]) == (["Grace"], [], [])
    (grace,) = second["later"]
    assert datetime.fromisoformat(grace.pop("at")).replace(second=0, microsecond=0) == wall("09:40")
    assert grace == {"visit_id": made.visits["Grace"], "name": "Grace", "reason": "too_soon", "how": "later"}


def test_a_forecast_comes_with_the_reason_for_telling_or_for_silence(client: FlaskClient, made: build.Built) -> None:
    post(client, f"/visits/{made.visits['Priya']}/reports", tap("late", minutes=180))
    decision = get(client, f"/visits/{made.visits['Grace']}/forecast")["decision"]
    assert decision["decision"] in ("tell", "silent", "task") and decision["reason"]


def test_an_impossible_tap_gets_a_sentence(client: FlaskClient, made: build.Built) -> None:
    path = f"/visits/{made.visits['Priya']}/reports"
    assert "Arrived" in post(client, path, tap("done"), 409)["detail"]
    ahead = post(client, path, tap("arrived", NOW + timedelta(hours=1)), 422)
    assert "future" in ahead["detail"] and ahead["title"] == "A value cannot be used. Change it and send this again."


def test_free_times_keep_every_other_promise(client: FlaskClient, made: build.Built) -> None:
    found = get(client, f"/visits/{made.visits['Helen']}/times")["times"]
    assert found and {x["technician_id"] for x in found} <= {made.technicians["Tom"]}, "only Tom can do heating"


def test_the_board_of_a_day_has_a_line_for_each_technician(client: FlaskClient) -> None:
    day = get(client, f"/days/{DAY}")
    assert {x["name"]: len(x["visits"]) for x in day["lines"]} == {"Tom Hale": 3, "Ana Hale": 1}
    assert day["zone"] == "Europe/London"


def test_the_board_version_rises_with_a_change(client: FlaskClient, made: build.Built) -> None:
    before = get(client, f"/days/{DAY}")["version"]
    post(client, f"/visits/{made.visits['Priya']}/reports", tap("on_my_way"))
    assert get(client, f"/days/{DAY}")["version"] > before


def test_a_schedule_file_is_imported_as_text(client: FlaskClient) -> None:
    csv = "id,date,from,to,minutes,technician,job,customer\nX-1,2026-11-25,09:00,09:30,60,Tom,boiler,Ida Holt\n"
    done = post(client, "/import", {"csv": csv, "name": "one.csv"})
    assert done["sentence"] == "1 visits imported, 0 unchanged, 0 messages sent."
    assert post(client, "/import", {"csv": csv})["unchanged"] == 1
    assert [v["ref"] for v in get(client, "/visits?date=2026-11-25")["visits"]] == ["X-1"]


def test_a_bad_file_is_answered_by_row_and_column(client: FlaskClient) -> None:
    csv = "id,date,from,to,minutes,technician,job,customer\nX-1,2026-11-25,09:00,08:30,60,Tom,boiler,Ida Holt\n"
    problem = post(client, "/import", {"csv": csv}, 422)
    assert problem["errors"] == [
        {"row": 2, "column": "to", "sentence": "Row 2, column `to`: 08:30 is not after `from` 09:00."}
    ]


def test_nobody_gets_in_without_a_live_token(client: FlaskClient, lite: Flask) -> None:
    stranger = lite.test_client()
    assert stranger.get(f"/api/v1/days/{DAY}").status_code == 401
    answer = stranger.get(f"/api/v1/days/{DAY}", headers={"Authorization": "Bearer punctual_wrong"})
    assert answer.status_code == 401 and answer.mimetype == "application/problem+json"
    assert "punctual token" in answer.get_json()["detail"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_that_reads_cannot_write(client: FlaskClient, lite: Flask, made: build.Built) -> None:
    reader, headers = lite.test_client(), bearer("read", name="reader")
    assert reader.get(f"/api/v1/days/{DAY}", headers=headers).status_code == 200
    answer = reader.post(f"/api/v1/visits/{made.visits['Priya']}/cancel", json={}, headers=headers)
    assert answer.status_code == 403 and "write" in answer.get_json()["detail"]


def test_a_token_ends_with_its_days_and_at_once_when_revoked(client: FlaskClient, lite: Flask) -> None:
    other, short, gone = lite.test_client(), bearer(days=1, name="short"), bearer(name="gone")
    assert token.revoke("gone", at=NOW) == 1
    assert other.get(f"/api/v1/days/{DAY}", headers=gone).status_code == 401
    clock.configure("2026-11-25T08:01+00:00 x0.01")
    assert other.get(f"/api/v1/days/{DAY}", headers=short).status_code == 401


def test_a_token_is_kept_only_as_a_hash(client: FlaskClient) -> None:
    secret = token.make("kept", ["read"], 30, at=NOW)
    rows = db.session.query(ApiToken).all()
    assert all(secret not in (r.token_hash, r.name) for r in rows) and len(rows) == 2


@pytest.mark.parametrize(
    ("name", "scopes", "days"), [("", ["read"], 1), ("x", ["all"], 1), ("x", [], 1), ("x", ["read"], 0)]
)
def test_a_token_that_makes_no_sense_is_not_made(lite: Flask, name: str, scopes: list[str], days: int) -> None:
    with pytest.raises(Refused) as refused:
        token.make(name, scopes, days, at=NOW)
    assert refused.value.status == 422


DEEP = "[" * 5000 + "]" * 5000
BAD_BODIES = {
    "not JSON": b"{",
    "5,000 deep": DEEP.encode(),
    "a deep object": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "a lone surrogate": b'{"kind":"arrived","key":"\\ud800aaaaaaaa","tapped_at":"2026-11-24T08:00:00Z"}',
    "bytes that are no text": b'{"kind":"\xff\xfe"}',
    "a number of 5,000 digits": b'{"kind":"late","key":"12345678","tapped_at":"2026-11-24T08:00:00Z","minutes":'
    + b"9" * 5000
    + b"}",
    "2^63": b'{"kind":"late","key":"12345678","tapped_at":"2026-11-24T08:00:00Z","minutes":9223372036854775808}',
    "the year 9999": b'{"kind":"arrived","key":"12345678","tapped_at":"9999-12-31T23:59:59-14:00"}',
    "no offset": b'{"kind":"arrived","key":"12345678","tapped_at":"2026-11-24T08:00:00"}',
    "NUL": b'{"kind":"arrived","key":"1234\\u00005678","tapped_at":"2026-11-24T08:00:00Z"}',
    "NUL in a note": b'{"kind":"arrived","key":"12345678","tapped_at":"2026-11-24T08:00:00Z","note":"\\u0000"}',
    "an extra name": b'{"kind":"arrived","key":"12345678","tapped_at":"2026-11-24T08:00:00Z","x":1}',
    "a text for a number": b'{"kind":"late","key":"12345678","tapped_at":"2026-11-24T08:00:00Z","minutes":"30"}',
    "NaN": b'{"kind":"late","key":"12345678","tapped_at":"2026-11-24T08:00:00Z","minutes":NaN}',
    "2 MB": b'{"note":"' + b"x" * 2**21 + b'"}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_gets_a_sentence(client: FlaskClient, made: build.Built, body: bytes) -> None:
    for path in (f"/visits/{made.visits['Priya']}/reports", "/visits", "/import"):
        answer = client.post(f"/api/v1{path}", data=body, content_type="application/json")
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert answer.mimetype == "application/problem+json" and answer.get_json()["detail"]
    assert db.session.get(Visit, made.visits["Priya"]).state == "planned"  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize(
    "path",
    [
        "/visits/0",
        "/visits/-1",
        "/visits/9223372036854775808",
        "/visits/" + "9" * 5000,
        "/visits/%00",
        "/visits?date=9999-12-31",
        "/visits?date=%00",
        "/visits?date=2026-11-24&ref=%00",
        "/visits?date=2026-11-24&ref=%ED%A0%80",
        "/days/2026-13-01",
        "/days/99999-01-01",
        "/days/%E2%81%A0",
        "/nothing",
    ],
)
def test_a_bad_address_gets_a_sentence(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code in (400, 404, 422) or answer.get_json() == {"date": DAY, "visits": []}, answer.text


def test_only_json_is_taken_and_only_the_declared_method(client: FlaskClient) -> None:
    assert client.post("/api/v1/visits", data=b"x", content_type="text/plain").status_code == 415
    answer = client.delete("/api/v1/visits")
    assert answer.status_code == 405 and {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert answer.mimetype == "application/problem+json"


def test_an_error_never_repeats_what_was_sent(client: FlaskClient, made: build.Built) -> None:
    path = f"/api/v1/visits/{made.visits['Priya']}/reports"
    answer = client.post(path, json={"kind": "s3cret-value", "key": "12345678", "tapped_at": "x"})
    assert answer.status_code == 422 and "s3cret-value" not in answer.text


def test_a_day_that_is_not_named_is_asked_for_by_its_name(client: FlaskClient) -> None:
    for query in ("?day=2026-11-24", "", "?date=tomorrow"):
        assert get(client, f"/visits{query}", 422)["detail"] == "Name the day as ?date=2026-02-28."


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"key": "with space"}, "key: Write letters, digits and signs without spaces."),
        ({"note": "a\x07b"}, "note: Write text without control characters."),
        ({"key": "short"}, "key: String should have at least 8 characters."),
    ],
)
def test_what_a_text_must_be_is_said_in_words(client: FlaskClient, wrong: dict[str, str], words: str) -> None:
    assert post(client, "/visits/1/reports", tap("late", minutes=15) | wrong, 422)["detail"] == words


def test_every_pattern_has_its_words() -> None:
    told = re.findall(r"pattern=(\w+)", "".join(Path(m.__file__ or "").read_text() for m in (api_in, api_promises)))
    assert told and {getattr(api_in, name) for name in told} == set(api_in.WANTED)
