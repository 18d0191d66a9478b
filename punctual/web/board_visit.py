"""One visit at the board: everything about it, and what a dispatcher can do with it."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

from flask import Blueprint, g, make_response, render_template, request
from werkzeug.wrappers import Response

from punctual.actions import Refused, conversation, dispatcher, learning, task
from punctual.actions import effect as effects
from punctual.actions import note as notes
from punctual.core.day import Window
from punctual.models import Visit, db
from punctual.queries import log, whole
from punctual.web import board_forms as form
from punctual.web import board_story
from punctual.web.access import allow, settings
from punctual.web.board_forms import ID, back, partial

door = Blueprint("visit", __name__)


class Wanted(NamedTuple):
    """What a form asks for: whom, planned when, and the window that is promised (None: as it is)."""

    technician: int
    start: datetime
    window: Window | None


def by() -> dispatcher.By:
    """Who is acting."""
    return dispatcher.By(g.user.id, g.user.name)


def shown(visit_id: int) -> str:
    """The page of a visit."""
    return f"/board/visits/{visit_id}"


def found(visit_id: int) -> log.Dossier:
    """All about a visit, or a sentence."""
    dossier = log.dossier(db.session(), visit_id)
    if dossier is None:
        raise Refused("There is no such visit.", status=404)
    return dossier


@door.get(f"/visits/<{ID}:visit_id>")
@allow("dispatcher")
def visit(visit_id: int) -> str:
    """One visit: in the drawer, or as a page of its own."""
    story = board_story.story(
        db.session(), found(visit_id), g.at, others="others" in request.args, times="times" in request.args
    )
    page = "board/visit.html" if partial() else "board/visit_page.html"
    return render_template(page, geocoder=settings().geocoder_url, **story)


@door.get(f"/visits/<{ID}:visit_id>/effect")
@allow("dispatcher")
def effect(visit_id: int) -> str:
    """What a change would do to everybody, before it is made."""
    dossier = found(visit_id)
    w = wanted(dossier.visit)
    change = effects.effect(db.session(), visit_id, technician_id=w.technician, start=w.start, window=w.window, at=g.at)
    shown = board_story.preview(db.session(), dossier, change, w.technician, w.start, w.window, g.at)
    return render_template("board/effect.html" if partial() else "board/effect_page.html", **shown)


def wanted(visit: Visit) -> Wanted:
    """Technician, planned start and window as asked for: as instants, or as a date and wall times of the visit's zone."""
    technician = form.chosen()
    if not technician:
        raise Refused("Choose a technician.", status=422, field="technician")
    if (request.values.get("from") or "").strip():
        on = form.day()
        opens, closes = form.time("from", on, visit.zone), form.time("to", on, visit.zone)
        if closes <= opens:
            raise Refused("The window must end after it opens.", status=422, field="to")
        return Wanted(technician, opens, Window(opens, closes))
    opens_at, closes_at = form.instant("opens"), form.instant("closes")
    window = Window(opens_at, closes_at) if opens_at and closes_at and opens_at < closes_at else None
    return Wanted(technician, form.instant("start") or visit.planned_start, window)


@door.post(f"/visits/<{ID}:visit_id>/give")
@allow("dispatcher")
def give(visit_id: int) -> Response:
    """Another technician, the promise as it is."""
    w = wanted(found(visit_id).visit)
    dispatcher.give(visit_id, w.technician, start=w.start, at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/move")
@allow("dispatcher")
def move(visit_id: int) -> Response:
    """Another time: a new promise, of which the customer is told unless the box is cleared."""
    w = wanted(found(visit_id).visit)
    if w.window is None:
        raise Refused("Enter the new time: date, from and to.", status=422, field="from")
    dispatcher.move(visit_id, w.technician, start=w.start, window=w.window, tell=form.ticked("tell"), at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/cancel")
@allow("dispatcher")
def cancel(visit_id: int) -> Response:
    """Cancel the visit, and tell the customer unless the box is cleared."""
    dispatcher.cancel(visit_id, tell=form.ticked("tell"), at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/edit")
@allow("dispatcher")
def edit(visit_id: int) -> Response:
    """Notes, planned minutes and the customer's own limit."""
    visit = found(visit_id).visit
    deadline, kind = _limit(visit.date, visit.zone)
    dispatcher.edit_visit(
        visit_id,
        notes=form.text("notes", 2000),
        planned_min=form.number("minutes", low=5, high=1440, default=round(visit.planned_min)),
        deadline=deadline,
        deadline_kind=kind,
        at=g.at,
        by=by(),
    )
    return back(shown(visit_id))


def _limit(on: date, zone: str) -> tuple[datetime | None, str]:
    """The customer's own limit on that day, and what it means."""
    given = request.form.get("limit", "").strip()
    kind = "arrive" if request.form.get("limit_kind") == "arrive" else "done"
    return form.time("limit", on, zone) if given else None, kind


@door.post(f"/visits/<{ID}:visit_id>/plan")
@allow("dispatcher")
def plan(visit_id: int) -> Response:
    """Plan other minutes for a kind of work from now on, where what was learned says that its plan is wrong."""
    learning.plan(form.chosen("job"), form.number("minutes", low=5, high=1440))
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/tell")
@allow("dispatcher")
def tell(visit_id: int) -> Response:
    """Tell the customer the present range now, whatever the limit says."""
    dispatcher.tell_now(visit_id, at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/earlier")
@allow("dispatcher")
def come_earlier(visit_id: int) -> Response:
    """Ask the customer whether we may come earlier."""
    dispatcher.offer_earlier(visit_id, at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/hold")
@allow("dispatcher")
def hold(visit_id: int) -> Response:
    """Hold back automatic messages, with a reason; or release them."""
    if form.ticked("release"):
        dispatcher.release(visit_id, at=g.at, by=by())
    else:
        why = form.text("why", 200, needed="Say why it is held back; the board shows it.")
        dispatcher.hold(visit_id, why, at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/note")
@allow("dispatcher")
def note(visit_id: int) -> Response:
    """Add a line to the visit's notes."""
    dispatcher.add_note(visit_id, form.text("note", 1000, needed="Write the note first."), at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/answer")
@allow("dispatcher")
def answer(visit_id: int) -> Response:
    """Write to the customer in one's own words, the way they wrote."""
    conversation.answer(visit_id, form.text("words", 1000, needed="Write the answer first."), at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/visits/<{ID}:visit_id>/called")
@allow("dispatcher")
def called(visit_id: int) -> Response:
    """The customer was called: calls promised and asked for are done."""
    dispatcher.called(visit_id, at=g.at, by=by())
    return back(shown(visit_id))


@door.post(f"/tasks/<{ID}:task_id>/resolve")
@allow("dispatcher")
def resolve(task_id: int) -> Response:
    """A task is seen to."""
    answer = "drop" if request.args.get("answer") == "drop" else ""
    visit_id = task.resolve(task_id, answer=answer, at=g.at, by=by())
    return back(shown(visit_id) if visit_id else "/board/")


@door.get("/visits/new")
@allow("dispatcher")
def new() -> str:
    """The form to add a visit: for a customer we know or a new one, now (a walk-in) or later."""
    return render_template("board/new.html", **board_story.blank(db.session(), request.values, g.at))


@door.post("/visits")
@allow("dispatcher")
def add() -> Response:
    """Add a visit."""
    zone = board_story.zone(db.session())
    on = form.day()
    opens, closes = form.time("from", on, zone), form.time("to", on, zone)
    if closes <= opens:
        raise Refused("The window must end after it opens.", status=422, field="to")
    known, (deadline, kind) = form.chosen("customer"), _limit(on, zone)
    made = dispatcher.add_visit(
        dispatcher.Caller(
            id=known,
            name=form.text("name", 120, needed="" if known else "Who is it for? Write a name or choose a customer."),
            email=form.text("email", 254),
            phone=form.text("phone", 40),
        ),
        job_type_id=form.chosen("job"),
        technician_id=form.chosen() or None,
        address=form.text("address", 300),
        window=Window(opens, closes),
        planned_min=form.number("minutes", low=5, high=1440, default=0),
        notes=form.text("notes", 2000),
        deadline=deadline,
        deadline_kind=kind,
        tell=form.ticked("tell"),
        at=g.at,
        by=by(),
    )
    return back(shown(made))


@door.post(f"/visits/<{ID}:visit_id>/read")
@allow("dispatcher")
def read(visit_id: int) -> Response:
    """What the customer wrote has been read here."""
    notes.read_by_dispatcher(visit_id, at=g.at, by=by())
    return back(shown(visit_id))


@door.get(f"/photos/<{ID}:photo_id>")
@allow("dispatcher")
def photo(photo_id: int) -> Response:
    """A customer's photo."""
    data = whole.photo(db.session(), photo_id)
    if data is None:
        raise Refused("There is no such photo.", status=404)
    return make_response(data, 200, {"Content-Type": "image/jpeg"})
