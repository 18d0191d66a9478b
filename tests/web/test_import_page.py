"""The import page: a file is taken whole, or every row to mend is named; nobody is told without a shown count."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from punctual import clock
from punctual.models import Import, Message, Visit, db
from tests.web.desk import Desk, desk, words

EXAMPLE = Path(__file__).parents[2] / "examples" / "schedule.csv"
HEADER = "id,date,from,to,minutes,technician,job,customer,email\n"
ONE = HEADER + "X-1,2026-11-25,09:00,09:30,60,Tom,boiler,Ida Holt,ida@example.com\n"


@pytest.fixture
def at_desk(lite: Flask) -> Desk:
    clock.configure("2026-11-24T08:00+00:00 x0.01")
    return desk(lite)


def upload(at_desk: Desk, content: str | bytes, **fields: str) -> Any:
    raw = content.encode() if isinstance(content, str) else content
    data = {"csrf_token": at_desk.token(), **fields, "file": (io.BytesIO(raw), "week 48.csv")}
    return at_desk.client.post("/board/import", data=data, content_type="multipart/form-data")


def test_the_page_says_what_the_file_looks_like_and_gives_an_example(at_desk: Desk) -> None:
    page = at_desk.get("/board/import")
    assert "leave_by" in page.text and 'href="/static/schedule.csv"' in page.text
    with at_desk.get("/static/schedule.csv") as example:
        assert example.data == EXAMPLE.read_bytes()


def test_a_good_file_is_taken_and_its_result_shown(at_desk: Desk) -> None:
    answer = upload(at_desk, ONE)
    assert answer.status_code == 303
    shown = at_desk.text(answer.location)
    assert "week 48.csv 1 visit imported, 0 changed, 0 unchanged, 0 messages sent." in shown
    again = at_desk.text(upload(at_desk, ONE).location)
    assert "0 visits imported, 0 changed, 1 unchanged, 0 messages sent." in again


def test_the_example_can_be_imported_as_it_is(at_desk: Desk) -> None:
    location = upload(at_desk, EXAMPLE.read_bytes()).location
    shown = at_desk.text(location)
    assert "5 visits imported" in shown and "1 address without a place: no geocoder is set" in shown
    helen = f"/board/visits/{db.session.query(Visit).filter_by(ref='A-103').one().id}"
    assert "nobody looks the address up: this visit is planned without a drive" in at_desk.text(helen)
    config = at_desk.client.application.config
    config["SETTINGS"] = replace(config["SETTINGS"], geocoder_url="http://127.0.0.1:9/")
    assert "found, 1 still to be looked up" in at_desk.text(location)
    assert "The address is being looked up" in at_desk.text(helen)


def test_a_bad_file_is_shown_row_by_row_and_nothing_is_taken(at_desk: Desk) -> None:
    answer = upload(at_desk, ONE + "X-2,2026-11-25,09:00,08:00,60,Tim,boiler,<b>Ida</b>,ida@example.com\n")
    assert answer.status_code == 422
    shown = words(answer.text)
    assert "Nothing was imported. 1 of 2 rows needs a change." in shown
    assert "3 to Row 3, column `to`: 08:00 is not after `from` 09:00." in shown
    assert 'Row 3, column `technician`: "Tim" is not known. Did you mean Tom?' in shown
    assert db.session.query(Visit).filter_by(ref="X-1").count() == 0


def test_only_saying_what_would_change_writes_nothing(at_desk: Desk) -> None:
    shown = words(upload(at_desk, ONE, dry="on").text)
    assert "week 48.csv can be imported 1 new visit, 0 changed, 0 unchanged. Nothing has been written." in shown
    assert db.session.query(Import).count() == 0


def test_customers_with_another_time_are_told_only_after_their_number_was_confirmed(at_desk: Desk) -> None:
    upload(at_desk, ONE)
    result = upload(at_desk, ONE.replace("09:00,09:30", "11:00,11:30")).location
    assert "1 customer has another time, or none, by this file, and has not been told. Tell 1 customer" in at_desk.text(
        result
    )
    assert db.session.query(Message).count() == 0
    assert at_desk.post(f"{result}/tell", count="2").status_code == 409
    assert at_desk.post(f"{result}/tell", count="1").status_code == 303
    assert [m.kind for m in db.session.query(Message)] == ["moved_by_us"]
    assert "Tell 1 customer" not in at_desk.text(result)
    assert at_desk.post(f"{result}/tell", count="1").status_code == 409, "nobody is told twice"


def test_the_page_of_an_import_is_marked_as_one_of_imports(at_desk: Desk) -> None:
    result = upload(at_desk, ONE).location
    assert '<a href="/board/import" aria-current="true">' in at_desk.get(result).text
    assert '<a href="/board/import" aria-current="page">' in at_desk.get("/board/import").text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02",
        b"\xff\xfe" + "id,date".encode("utf-16-le"),
        b"\x1f\x8b broken",
        b"id\n" + b"9" * 5000,
        HEADER.encode() + b'"unclosed,2026-11-25\n',
        HEADER.encode() + b"X-1,9999-12-31,09:00,09:30,60,Tom,boiler,Ida,i@example.com\n",
        HEADER.encode() + b"X-1,2026-11-25,09:00,09:30,9223372036854775808,Tom,boiler,Ida,i@example.com\n",
        HEADER.encode() + b"X-1,2026-11-25,09:00,09:30," + b"9" * 5000 + b",Tom,boiler,Ida,i@example.com\n",
        HEADER.encode() + b"X-1,2026-11-25,09:00,09:30,60,Tom,boiler,Ida\xed\xa0\x80,i@example.com\n",
        HEADER.encode() + b"," * 20_000,
    ],
)
def test_a_file_that_is_none_gets_a_sentence(at_desk: Desk, content: bytes) -> None:
    answer = upload(at_desk, content)
    assert answer.status_code == 422, answer.text
    assert "Row" in words(answer.text) or "Choose a file" in words(answer.text)


def test_without_a_file_the_page_asks_for_one(at_desk: Desk) -> None:
    answer = at_desk.post("/board/import")
    assert answer.status_code == 422 and "Choose a file first." in answer.text


def test_a_field_of_two_megabytes_is_refused(at_desk: Desk) -> None:
    field = '--b\r\nContent-Disposition: form-data; name="zone"\r\n\r\n' + "x" * 2**21 + "\r\n--b--\r\n"
    answer = at_desk.client.post("/board/import", data=field, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == 413


def test_an_unknown_import_is_not_found(at_desk: Desk) -> None:
    assert at_desk.get("/board/import/999").status_code == 404
    assert at_desk.get(f"/board/import/{2**63}").status_code == 404


def test_a_stranger_cannot_import(at_desk: Desk, lite: Flask) -> None:
    answer = lite.test_client().post("/board/import", data={"file": (io.BytesIO(ONE.encode()), "x.csv")})
    assert answer.status_code == 401
    assert db.session.query(Import).count() == 0
