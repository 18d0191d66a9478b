"""After the visit, at the doors: one tap says done or not done; the ledger is a file no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re

from flask import Flask
from sqlalchemy import select

from punctual import clock
from punctual.actions import good, token, transaction
from punctual.follow import good as follow
from punctual.models import Customer, Good, GoodRule, db
from punctual.web.board_good import safe
from tests.build import wall
from tests.web.desk import desk, sit
from tests.web.visitor import Page, everything, visitor


def finished(app: Flask) -> Page:
    grace = visitor(app, at="12:00")
    grace.tap("Grace", "arrived", "10:05")
    grace.tap("Grace", "done", "11:00")
    return grace


def test_the_customer_decides_in_one_tap_and_rates_in_another(lite: Flask) -> None:
    grace = finished(lite)
    page = grace.text()
    assert page.count("Is the work done? You decide") == 1 and "reported done at 11:00. Done Not done" in page
    text = grace.after("done")
    assert "Thank you. The work is done." in text and "How was it? 1 (bad) to 5 (good) 1 2 3 4 5" in text
    before = everything()
    assert "We already have this from you" in grace.after("done")
    assert everything() == before
    honest = grace.after("rating", stars="1")
    assert re.search(r"Thank you for being honest\. \w+ .*reads this and answers by \d+:\d\d today\.", honest)
    assert grace.client.post(f"/c/{grace.token}/rating", data={"stars": "9"}).status_code == 422


def test_not_done_says_at_once_what_happens_next(lite: Flask) -> None:
    grace = finished(lite)
    text = grace.after("not-done")
    assert "We are sorry. We have reopened it. Bellweather Heating will call you by 13:00 today." in text
    assert "Choose a new time" in text


def test_who_was_not_reached_says_that_they_were_there(lite: Flask) -> None:
    grace = visitor(lite, at="12:00")
    grace.tap("Grace", "arrived", "10:05")
    grace.tap("Grace", "nobody_home", "10:15")
    assert "I was there" in grace.text()
    assert "checks it and answers you by 14:00 today" in grace.after("was-there")


def test_where_the_technician_is_said_to_be_there_and_nobody_is(lite: Flask) -> None:
    grace = visitor(lite, at="10:10")
    grace.tap("Grace", "arrived", "10:05")
    assert "Nobody is here" in grace.text()
    assert "answers you by 12:15 today" in grace.after("nobody-here")


def test_opening_the_page_decides_nothing(lite: Flask) -> None:
    grace = finished(lite)
    before = everything()
    for path in ("", "/live", "/done", "/not-done", "/rating", "/was-there", "/seen", "/wrong"):
        grace.client.get(f"/c/{grace.token}{path}")
        grace.client.head(f"/c/{grace.token}{path}")
    assert everything() == before


def made_good(app: Flask) -> Page:
    grace = visitor(app, at="12:00")
    good.add_rule("late", 15, None, credit=2000)
    grace.tap("Grace", "arrived", "11:00")
    with transaction() as s:
        follow.look(s, wall("11:30"))
    return grace


def test_what_is_given_is_on_the_page_without_asking(lite: Flask) -> None:
    grace = made_good(lite)
    assert "What we give you A credit of £20.00. We did not keep our promise, and we are sorry." in grace.text()


def test_the_ledger_is_a_file_and_no_cell_is_a_formula(lite: Flask) -> None:
    grace = made_good(lite)
    with transaction() as s:
        s.get_one(Customer, grace.visit.customer_id).name = '=HYPERLINK("http://evil")'
    day = sit(lite)
    answer = day.get("/board/making-good.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.mimetype == "text/csv"
    assert (rows[0]["customer"], rows[0]["credit"], rows[0]["currency"]) == (
        '\'=HYPERLINK("http://evil")',
        "20.00",
        "GBP",
    )
    assert safe(["=1", "+1", "-1", "@x", "\tx", "1", "a=1"]) == ["'=1", "'+1", "'-1", "'@x", "'\tx", "1", "a=1"]


def test_programs_read_the_ledger_from_where_they_stopped(lite: Flask) -> None:
    made_good(lite)
    secret = token.make("billing", ["read"], days=1, at=clock.now())
    headers = {"Authorization": f"Bearer {secret}"}
    client = lite.test_client()
    first = client.get("/api/v1/making-good", headers=headers).json["entries"]
    assert [(e["credit"], e["currency"], e["state"]) for e in first] == [(2000, "GBP", "granted")]
    assert client.get(f"/api/v1/making-good?after={first[0]['id']}", headers=headers).json["entries"] == []
    assert client.get("/api/v1/making-good?after=-1", headers=headers).status_code == 422


def test_rules_are_made_and_removed_at_the_board(lite: Flask) -> None:
    day = desk(lite)
    form = {"kind": "late", "late_min": "30", "warned": "no", "discount": "10", "credit": "5"}
    assert day.post("/board/making-good/rules", **form).status_code == 303
    assert "A late arrival 30 min no 10 % off credit 5.00" in day.text("/board/making-good")
    assert day.post("/board/making-good/rules", **form | {"apology": "Unfortunately."}).status_code == 422
    rule = db.session.scalars(select(GoodRule.id)).one()
    assert day.post(f"/board/making-good/rules/{rule}/drop").status_code == 303
    assert "No rules yet" in day.text("/board/making-good")


def test_a_dispatcher_decides_where_a_rule_leaves_it_to_them(lite: Flask) -> None:
    grace = visitor(lite, at="12:00")
    good.add_rule("late", 15, None, ask=True)
    grace.tap("Grace", "arrived", "11:00")
    with transaction() as s:
        follow.look(s, wall("11:30"))
    day = sit(lite)
    assert "Decide what the customer gets" in day.text("/board/queue")
    entry = db.session.scalars(select(Good.id)).one()
    assert day.post(f"/board/making-good/{entry}/decide", discount="15").status_code == 303
    assert "A discount of 15 percent on this visit" in grace.text()
