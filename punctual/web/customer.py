"""The customer's page, behind the link in every message: GET shows and changes nothing, every choice is a POST."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as Base

from punctual import itip, letters, links
from punctual.actions import Refused
from punctual.actions import customer as verbs
from punctual.core.day import Window, local
from punctual.models import Company, Technician, Visit, db
from punctual.queries import slots
from punctual.queries import visit as visits
from punctual.web.access import allow, settings
from punctual.web.ruler import ruler

door = Blueprint("customer", __name__, url_prefix="/c")

#: What a redirect after a choice may say; the page shows it as its status line.
SAID = {
    "keep": "Thank you. We keep your visit.",
    "time": "Your new time is confirmed.",
    "deadline": "Noted. It works as things stand now.",
    "nolimit": "Noted: no fixed time.",
    "call": "We will call you.",
    "cancel": "Your visit is cancelled.",
    "note": "Received. Your technician sees it before setting off.",
}


def _visit_id(token: str) -> int:
    """Whose page it is; every wrong, old or revoked link is the same 404."""
    link = links.find(db.session(), "customer", token, at=g.at)
    if link is None:
        abort(404)
    return link.owner_id


def _page(
    token: str, template: str = "page", status: int = 200, said: str = "", error: str = "", **more: object
) -> Response:
    visit_id = _visit_id(token)
    story = visits.story(db.session(), visit_id, at=g.at)
    body = render_template(
        f"customer/{template}.html",
        token=token,
        story=story,
        ruler=ruler(story),
        said=said,
        error=error,
        at=g.at,
        names=_names(),
        lang=story.visit.customer.language,
        **more,
    )
    return make_response(body, status)


def _names() -> dict[int, str]:
    return {t.id: t.first_name for t in db.session.query(Technician)}


def _times(token: str, error: str = "", status: int = 200, lead: str = "") -> Response:
    found = slots.offers(db.session(), _visit_id(token), at=g.at)
    return _page(token, "times", status, error=error, offers=found, lead=lead)


def _done(token: str, what: str) -> Base:
    return redirect(url_for("customer.page", token=token, done=what), 303)


@door.get("/<token>")
@allow("customer")
def page(token: str) -> Response:
    """The page; `done` names the choice that has just been made."""
    return _page(token, said=_(SAID.get(request.args.get("done", ""), "")) if request.args.get("done") in SAID else "")


@door.get("/<token>/live")
@allow("customer")
def live(token: str) -> Response:
    """The part that moves: expected time, ruler, stops."""
    return _page(token, "live")


@door.get("/<token>/times")
@allow("customer")
def times(token: str) -> Response:
    """Other times that are free now; nothing is held by looking."""
    return _times(token)


@door.get("/<token>/cancel")
@allow("customer")
def ask_cancel(token: str) -> Response:
    """Are they sure? The change itself is a POST."""
    return _page(token, "cancel")


@door.post("/<token>/keep")
@allow("customer")
def keep(token: str) -> Response | Base:
    """This works."""
    try:
        verbs.keep(_visit_id(token), at=g.at)
    except Refused as no:
        return _page(token, status=no.status, error=no.sentence)
    return _done(token, "keep")


@door.post("/<token>/choice")
@allow("customer")
def choice(token: str) -> Response | Base:
    """Take one of the free times; the loser of a race sees fresh ones."""
    visit_id = _visit_id(token)
    try:
        technician, start = _chosen()
        verbs.choose(visit_id, technician, start, at=g.at)
    except Refused as no:
        return _times(token, error=no.sentence, status=no.status)
    return _done(token, "time")


def _chosen() -> tuple[int, datetime]:
    """The slot a form names: "3|2026-11-24T14:00:00+00:00", or the two fields apart."""
    given = request.form.get("slot", "")
    technician, _sep, start = (
        given.partition("|") if given else (request.form.get("technician", ""), "", request.form.get("start", ""))
    )
    try:
        at = datetime.fromisoformat(start)
        if at.tzinfo is None or not technician.isdecimal() or len(technician) > 9:
            raise ValueError
    except ValueError:
        raise Refused(_("Choose one of the times, then press the button."), status=422, field="slot") from None
    return int(technician), at


@door.post("/<token>/deadline")
@allow("customer")
def deadline(token: str) -> Response | Base:
    """I must leave by ..., or it is enough that you arrive by ..., or no fixed time."""
    visit_id = _visit_id(token)
    kind = "arrive" if request.form.get("kind") == "arrive" else "done"
    clock = "" if request.form.get("kind") == "none" else request.form.get("leave_by", "").strip() or "?"
    try:
        sentence, works = verbs.leave_by(visit_id, clock, kind, at=g.at)
    except Refused as no:
        return _page(token, status=no.status, error=no.sentence)
    if not works:
        return _times(token, lead=sentence)
    return _done(token, "deadline" if clock else "nolimit")


@door.post("/<token>/call")
@allow("customer")
def call(token: str) -> Base:
    """Ask for a call."""
    verbs.call_me(_visit_id(token), at=g.at)
    return _done(token, "call")


@door.post("/<token>/cancel")
@allow("customer")
def cancel(token: str) -> Response | Base:
    """Cancel the visit."""
    try:
        verbs.cancel(_visit_id(token), at=g.at)
    except Refused as no:
        return _page(token, status=no.status, error=no.sentence)
    return _done(token, "cancel")


@door.post("/<token>/note")
@allow("customer")
def note(token: str) -> Response | Base:
    """Something the technician should know."""
    try:
        verbs.note(_visit_id(token), request.form.get("note", ""), at=g.at)
    except Refused as no:
        return _page(token, status=no.status, error=no.sentence)
    return _done(token, "note")


@door.get("/<token>/visit.ics")
@allow("customer")
def calendar(token: str) -> Response:
    """The visit as a calendar entry to add by hand; the invitation's UID, so later mails move it."""
    visit = db.session.get_one(Visit, _visit_id(token))
    company = db.session.get_one(Company, 1)
    window = Window(visit.window_start, visit.window_end)
    url = f"{settings().origin}/c/{token}"
    entry = itip.Entry(
        uid=visit.uid,
        sequence=visit.sequence,
        stamp=visit.changed_at.replace(microsecond=0),
        created=visit.created_at.replace(microsecond=0),
        start=window.start,
        end=window.end,
        summary=letters.summary("booked", {"job": visit.job_type.public_name, "company_full": company.name}),
        description=f"We arrive between {local(window.start, visit.zone):%-H:%M} and {local(window.end, visit.zone):%-H:%M}.\n{url}",
        location=visit.place.address if visit.place else "",
        url=url,
        organizer=company.mail_from,
        organizer_name=company.name,
        attendee=visit.customer.email or "",
        attendee_name=visit.customer.name,
    )
    response = make_response(itip.entry(entry))
    response.mimetype = "text/calendar"
    response.headers["Content-Disposition"] = "attachment; filename=visit.ics"
    return response
