"""Promises at the board: what is open and who owns it, what was told of it, and how those before ended."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, g, render_template, request
from werkzeug.wrappers import Response

from punctual.actions import promise as verbs
from punctual.core.day import at_wall
from punctual.core.promise import OFFICE
from punctual.models import db
from punctual.queries import board
from punctual.queries import promises as queries
from punctual.web import board_forms as form
from punctual.web import board_words as words
from punctual.web.access import allow
from punctual.web.board_forms import ID, back
from punctual.web.board_visit import by, shown

door = Blueprint("promises", __name__)
STATES = ("open", "kept", "moved", "broken", "cancelled")


@door.get("/promises")
@allow("dispatcher")
def listed() -> str:
    """Promises by due time, with what can be done about them."""
    s, state = db.session(), request.args.get("state", "open")
    state = state if state in STATES else "open"
    here = words.here(board.zone(s), g.at)
    found = queries.listed(s, state=state, at=g.at)
    kept, ended = queries.rate(s, g.at)
    return render_template(
        "board/promises.html",
        found=found,
        told=queries.told_of(s, [x.promise for x in found]),
        state=state,
        states=STATES,
        noun=words.owed,
        when=here.when,
        at=g.at,
        kinds=words.KINDS,
        kept=kept,
        ended=ended,
        today=here.today,
    )


@door.post(f"/promises/<{ID}:promise_id>/keep")
@allow("dispatcher")
def keep(promise_id: int) -> Response:
    """It is kept."""
    return _where(verbs.keep(promise_id, at=g.at, by=by()))


@door.post(f"/promises/<{ID}:promise_id>/move")
@allow("dispatcher")
def move(promise_id: int) -> Response:
    """Another time, told to the customer."""
    verbs.move(promise_id, _due(), owner_id=form.chosen("owner"), at=g.at, by=by())
    return back("/board/promises")


@door.post(f"/visits/<{ID}:visit_id>/promise")
@allow("dispatcher")
def make(visit_id: int) -> Response:
    """Promise something by a time."""
    verbs.make(
        visit_id,
        request.form.get("kind", ""),
        _due(),
        owner_id=form.chosen("owner"),
        note=form.text("about", 200),
        tell=form.ticked("tell"),
        at=g.at,
        by=by(),
    )
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/job")
@allow("dispatcher")
def job(visit_id: int) -> Response:
    """This visit is part of a job: a new one with its overall date, or one the customer has."""
    joined = form.chosen("job")
    if joined:
        verbs.join(visit_id, joined, at=g.at, by=by())
        return back(shown(visit_id))
    name = form.text("name", 80, needed="Give the job a name.")
    due = at_wall(form.day("date"), OFFICE[1], 0, board.zone(db.session()))
    verbs.group(name, [visit_id], due, at=g.at, by=by())
    return back(shown(visit_id))


def _due() -> datetime:
    """The date and time of the form, in the board's zone."""
    return form.time("time", form.day("date"), board.zone(db.session()))


def _where(visit_id: int) -> Response:
    return back(shown(visit_id) if request.form.get("from") == "visit" else "/board/promises")
