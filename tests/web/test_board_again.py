"""Bad input at the board: the form comes back as it was filled in, with a sentence at the field that is at fault."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from punctual import clock
from punctual.models import Visit, db
from punctual.web.refill import refill
from tests.web.desk import Desk, desk, words

FORMS = [
    ("/board/visits/{grace}/edit", {"minutes": "75", "limit": "noon", "limit_kind": "arrive", "notes": "Ring\ntwice"},
     "limit", "Enter a time like 10:00."),
    ("/board/visits/{grace}/promise", {"kind": "part", "date": "2026-11-24", "time": "07:00", "about": "valve"},
     "time", "That time has passed. Choose a later one."),
    ("/board/visits/{grace}/hold", {"why": " "}, "why", "Say why it is held back; the board shows it."),
    ("/board/visits/{grace}/job", {"name": "Kitchen", "date": "2026-02-31"}, "date", "“2026-02-31” is not a date. Write 2026-02-28."),
    ("/board/visits/{grace}/answer", {"words": "x" * 1001}, "words", "It is 1 too long."),
    ("/board/visits", {"name": "Omar <Said>", "phone": "+44 20 7946 0000", "job": "2", "date": "2026-11-25", "from": "11:00",
                       "to": "10:00", "notes": "“Dog”", "address": 'Mill "Lane"'}, "to", "The window must end after it opens."),
    ("/board/technicians/{tom}/shift", {"day": "2026-11-25", "from": "08:00", "to": "17:00", "break_from": "19:00",
                                        "break_to": "20:00"}, "break_from", "The break must lie inside the hours"),
    ("/board/customers/2", {"name": "Grace W", "email": "grace@", "phone": "12", "language": "de", "early": "on"},
     "email", "is no e-mail address"),
    ("/board/customers/2/erase", {}, "sure", "Tick that you are sure"),
    ("/board/making-good/rules", {"kind": "missed", "late_min": "9999", "discount": "10", "ask": "on", "apology": "Sorry."},
     "late_min", "Enter a whole number from 0 to 1440"),
    ("/board/summary/days", {"date": "soon", "why": "snow"}, "date", "is not a date"),
]  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page: the values of the form around the field in focus, and what describes that field."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, Any]]] = []
        self.folds: list[bool] = []
        self.focus: dict[str, Any] = {}
        self.shown, self._in, self._select = False, "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = dict(attrs)
        if tag == "details":
            self.folds.append("open" in a)
        if tag == "form":
            self.forms.append((a.get("action") or "", {}))
        if tag in ("input", "select", "textarea") and self.forms:
            name, values = a.get("name") or "", self.forms[-1][1]
            if a.get("type") == "checkbox":
                values[name] = "on" if "checked" in a else None
            else:
                values[name] = a.get("value")
            self._in, self._select = tag, name
            if "autofocus" in a:
                self.focus, self.shown = {"form": self.forms[-1], **a}, all(self.folds)
        if tag == "option" and "selected" in a:
            self.forms[-1][1][self._select] = a.get("value")

    def handle_endtag(self, tag: str) -> None:
        if tag == "details":
            self.folds.pop()
        if tag == "textarea":
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "textarea" and self.forms:
            before = self.forms[-1][1][self._select]
            self.forms[-1][1][self._select] = data.removeprefix("\n") if before is None else before + data


@pytest.fixture
def board(lite: Flask) -> Desk:
    clock.configure("2026-11-24T09:30+00:00 x1")
    return desk(lite)


def again(board: Desk, path: str, fields: dict[str, str]) -> Any:
    ids = {"grace": board.visit("Grace"), "tom": board.built.technicians["Tom"].id}
    return board.post(path.format(**ids), **fields)


@pytest.mark.parametrize(("path", "fields", "at_fault", "says"), FORMS, ids=[f"{x[0]}-{x[2]}" for x in FORMS])
def test_the_form_comes_back_as_it_was_filled_in(
    board: Desk, path: str, fields: dict[str, str], at_fault: str, says: str
) -> None:
    answer = again(board, path, fields)
    assert answer.status_code == 422
    page = Page(answer.text)
    action, values = page.focus["form"]
    assert action == answer.request.path and page.focus["name"] == at_fault and page.shown, "unfolded, in focus"
    assert (page.focus["aria-invalid"], page.focus["aria-describedby"]) == ("true", "at-fault")
    sentence = re.search(r'id="at-fault">(.*?)</p>', answer.text)
    assert sentence and says in words(sentence[1])
    assert {name: values[name] for name in fields} == fields
    assert [name for name, value in values.items() if value == "on" and name not in fields] == [], "cleared boxes"


def test_what_was_mended_in_the_form_is_taken(board: Desk) -> None:
    wrong = {"name": "Omar Said", "job": "1", "date": "2026-11-25", "from": "11:00", "to": "10:00", "notes": "Dog"}
    _, values = Page(again(board, "/board/visits", wrong).text).focus["form"]
    sent = {name: value for name, value in values.items() if value is not None} | {"to": "11:30"}
    assert board.client.post("/board/visits", data=sent).status_code == 303
    assert db.session.scalar(select(func.count(Visit.id)).where(Visit.notes == "Dog")) == 1


def test_a_time_asked_about_before_a_move_comes_back_too(board: Desk) -> None:
    grace = board.visit("Grace")
    asked = f"/board/visits/{grace}/effect?technician=1&date=2026-11-25&from=11:00&to=10:00"
    page = Page(board.get(asked).text)
    assert page.shown and page.focus["name"] == "to"
    assert page.focus["form"][1]["date"] == "2026-11-25"


def test_a_piece_and_a_program_get_the_sentence_alone(board: Desk) -> None:
    token, grace = board.token(), board.visit("Grace")
    for headers in ({"HX-Request": "true"}, {"Accept": "application/json"}):
        answer = board.client.post(
            f"/board/visits/{grace}/edit", data={"csrf_token": token, "limit": "noon"}, headers=headers
        )
        assert answer.status_code == 422 and "<form" not in answer.text and "Enter a time like 10:00." in answer.text


def test_what_no_form_can_mend_is_a_page_of_its_own(board: Desk) -> None:
    answer = board.post(f"/board/visits/{board.visit('Grace')}/give", technician="999")
    assert "at-fault" not in answer.text and "Back to the board" in answer.text


def test_nothing_typed_becomes_markup_and_what_cannot_be_written_is_left_out() -> None:
    form = '<form action="/x"><label>A <input name="a"></label><textarea name="b"></textarea></form>'
    made = refill(form, "/x", {"a": ['"><script>\x00\ud800'], "b": ["</textarea><b>"]}, "a", "No <i>")
    assert made is not None
    assert "<script>" not in made and "<b>" not in made and "<i>" not in made and "\x00" not in made
    made.encode()
    assert refill(form, "/y", {}, "a", "No") is None and refill(form, "/x", {}, "c", "No") is None
