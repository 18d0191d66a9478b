"""The page that takes a schedule file: what it must look like, what it did, or what is wrong with it by row and column."""

from __future__ import annotations

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from punctual.actions import Refused, intake, places
from punctual.actions.dispatcher import By
from punctual.core.day import local
from punctual.intake import ics
from punctual.models import db
from punctual.queries import board, imports, people
from punctual.web import board_words
from punctual.web.access import allow, settings
from punctual.web.board_forms import ID, number, text, ticked

door = Blueprint("intake", __name__, url_prefix="/board/import")


def page(status: int = 200, **values: object) -> Response:
    """The page, with the newest imports and how far the looking up of addresses is."""
    s = db.session()
    zone = board.zone(s)
    shown = render_template(
        "board/import.html",
        when=lambda at: board_words.when(at, zone, local(g.at, zone).date()),
        imports=imports.newest(s),
        places=places.standing(s),
        geocoder=settings().geocoder_url,
        lost=places.lost(s),
        technicians=[t.person for t in people.technicians(s, g.at) if t.person.active],
        **values,
    )
    return Response(shown, status=status)


@door.get("")
@allow("dispatcher")
def form() -> Response:
    """Choose a file."""
    return page()


@door.post("")
@allow("dispatcher")
def take() -> BaseResponse:
    """Import the chosen file, or say what is wrong with it."""
    file, dry = request.files.get("file"), ticked("dry")
    if file is None or not file.filename:
        return page(422, sentence="Choose a file first.")
    by, zone, raw = By(g.user.id, g.user.name), text("zone", 64) or None, file.read()
    if ics.is_calendar(raw):
        return calendar(raw, file.filename, zone)
    try:
        done = intake.take(raw, name=file.filename, at=g.at, by=by.name, zone=zone, dry=dry)
    except Refused as error:
        return page(error.status, sentence=error.sentence, errors=error.facts.get("errors", []), name=file.filename)
    if dry:
        return page(done=done, name=file.filename)
    return redirect(url_for("intake.result", import_id=done.import_id), 303)


def calendar(raw: bytes, name: str, zone: str | None) -> Response:
    """What of a calendar would be taken; nothing is written until it is confirmed."""
    try:
        found = intake.from_calendar(raw, technician=text("technician", 80), zone=zone, at=g.at)
    except Refused as error:
        return page(error.status, sentence=error.sentence, name=name)
    return page(found=found, name=name, zone=zone or "")


@door.post("/calendar")
@allow("dispatcher")
def confirm() -> BaseResponse:
    """Take the visits of a calendar that were shown."""
    name, rows = text("name", 200) or "calendar.ics", request.form.get("rows", "")
    by, zone = By(g.user.id, g.user.name), text("zone", 64) or None
    try:
        done = intake.take(rows.encode("utf-8", "replace"), name=name, at=g.at, by=by.name, zone=zone)
    except Refused as error:
        return page(error.status, sentence=error.sentence, errors=error.facts.get("errors", []), name=name)
    return redirect(url_for("intake.result", import_id=done.import_id), 303)


@door.get(f"/<{ID}:import_id>")
@allow("dispatcher")
def result(import_id: int) -> Response:
    """What an import did, and whether somebody is still to be told."""
    record = imports.one(db.session(), import_id)
    if record is None:
        raise Refused("There is no such import.", status=404)
    return page(record=record, untold=intake.untold(db.session(), import_id, g.at))


@door.post(f"/<{ID}:import_id>/tell")
@allow("dispatcher")
def tell(import_id: int) -> BaseResponse:
    """Tell the customers whose window the import changed: exactly as many as were shown."""
    intake.tell(import_id, count=number("count", low=1, high=1_000_000), at=g.at)
    return redirect(url_for("intake.result", import_id=import_id), 303)
