"""Concerns and differences at the board: who is owed an answer by when, and where what was told is not what is planned."""

from __future__ import annotations

from flask import Blueprint, g, render_template
from werkzeug.wrappers import Response

from punctual import facts
from punctual.actions import concern as verbs
from punctual.models import db
from punctual.queries import board, truth
from punctual.queries import promises as queries
from punctual.web import board_differs as differs
from punctual.web import board_forms as form
from punctual.web import board_words as words
from punctual.web.access import allow
from punctual.web.board_forms import ID, back
from punctual.web.board_visit import by

door = Blueprint("concerns", __name__)


@door.get("/concerns")
@allow("dispatcher")
def listed() -> str:
    """Everybody who said that something looks wrong: those who wait first."""
    s = db.session()
    here = words.here(board.zone(s), g.at)
    return render_template(
        "board/concerns.html",
        found=queries.concerns(s),
        about=lambda what: facts.about(what, "en"),
        when=here.when,
        at=g.at,
    )


@door.post(f"/concerns/<{ID}:concern_id>/answer")
@allow("dispatcher")
def answer(concern_id: int) -> Response:
    """Answer the customer, which closes it."""
    verbs.answer(concern_id, form.text("answer", verbs.TEXT_MAX), at=g.at, by=by())
    return back("/board/concerns")


@door.get("/differences")
@allow("dispatcher")
def differences() -> str:
    """Visits where what was told and what is true differ, and what will be done."""
    s = db.session()
    here = words.here(board.zone(s), g.at)
    return render_template(
        "board/differences.html",
        found=[
            (x, *differs.said(x.difference.what, x.difference.action, x.difference.facts, here.zone, here.today))
            for x in truth.open_(s)
        ],
        when=here.when,
    )
