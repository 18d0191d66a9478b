"""The customer's page, behind the link in every message: GET shows and changes nothing, every choice is a POST."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as Base

from punctual import facts, invites, itip, links
from punctual.actions import Refused, concern, earlier, offer, signoff
from punctual.actions import customer as verbs
from punctual.actions import note as notes
from punctual.core.day import Window
from punctual.core.slot import in_order
from punctual.models import Company, Technician, Visit, db
from punctual.queries import day as days
from punctual.queries import offers, promises, slots
from punctual.queries import visit as visits
from punctual.web import again, customer_said, filters
from punctual.web.access import allow, settings
from punctual.web.ruler import ruler

door = Blueprint("customer", __name__, url_prefix="/c")

#: Times shown at first, and when more are asked for.
FEW, MANY = 6, 30


def _visit_id(token: str) -> int:
    """Whose page it is; every wrong, old or revoked link is the same 404."""
    link = links.find(db.session(), "customer", token, at=g.at)
    if link is None:
        abort(404)
    return link.owner_id


def _page(token: str, template: str = "page", status: int = 200, **more: object) -> Response:
    story = visits.story(db.session(), _visit_id(token), at=g.at)
    filters.speak(story.visit.customer.language)
    if template == "page" and story.state == "very_late":
        more = _free(story.visit.id) | more
    body = render_template(
        f"customer/{template}.html",
        token=token,
        story=story,
        ruler=ruler(story),
        said=customer_said.said(story, bool(more.get("offers"))),
        next_page=_next(story),
        just={x: request.args[x] for x in ("saved", "had") if x in request.args},
        kinds_said=filters.kinds_said(),
        about=lambda what: facts.about(what, story.visit.customer.language),
        first_name=promises.first_name,
        given=lambda good: facts.given(good, story.visit.customer.language),
        noun=lambda kind: facts.noun(kind, story.visit.customer.language),
        promise_told=promises.told_of(db.session(), story.promises),
        seen=visits.seen(story),
        at=g.at,
        lang=story.visit.customer.language,
        **more,
    )
    again.keep(body)
    return make_response(body, status)


def _free(visit_id: int) -> dict[str, object]:
    """A few times that are free, for a page whose customer need not wait; nothing is held."""
    found = slots.offers(db.session(), visit_id, at=g.at, most=offer.HELD)
    return {"offers": in_order(found), "names": _names()}


def _next(story: visits.Story) -> str:
    """The address of the visit that was booked for this one: the same person's, who has its link by message too."""
    if not story.next_id:
        return ""
    made = links.token(settings().key("link"), "customer", story.next_id, story.visit.customer.link_version)
    live = links.find(db.session(), "customer", made, at=g.at) is not None
    return url_for("customer.page", token=made) if live else ""


def _names() -> dict[int, str]:
    return {t.id: t.first_name for t in db.session.query(Technician)}


def _times(token: str, error: str = "", status: int = 200) -> Response:
    """Times kept for this customer, else times that are free; a time shown without being kept says so. Where none can be
    taken any more, the page with what can be done."""
    visit_id, s = _visit_id(token), db.session()
    if not visits.choosable(s, visit_id, at=g.at):
        return _page(token, status=status, error=error, fixed=not error)
    more = request.args.get("more") == "1"
    kept = offers.standing(s, visit_id, at=g.at)
    found = list(kept.slots) if kept.slots and not more else slots.offers(s, visit_id, at=g.at, most=_most(more))
    return _page(
        token,
        "times",
        status,
        error=error,
        offers=in_order(found[: MANY if more else FEW]),
        kept=kept,
        more=more,
        rest=not more and (bool(kept.slots) or len(found) > FEW),
        names=_names(),
        days=days.rules(s).offer_days,
        call_due=offer.call_due(s, g.at),
    )


def _most(more: bool) -> int:
    return MANY if more else FEW + 1


def _done(token: str, saved: verbs.Saved, where: str = "customer.page") -> Base:
    """To the page again, which says what was saved; reloading it sends nothing."""
    said: dict[str, Any] = {"had" if saved.already else "saved": saved.answer_id} if saved.answer_id else {}
    return redirect(url_for(where, token=token, **said), 303)


def _pressed(token: str, verb: Callable[..., verbs.Saved], *values: object) -> Response | Base:
    """Do what a button says and show the page; a refusal is the page with its sentence."""
    try:
        return _done(token, verb(_visit_id(token), *values, at=g.at))
    except Refused as no:
        return _page(token, status=no.status, error=filters.refusal(no))


@door.get("/<token>")
@allow("customer")
@again.page
def page(token: str) -> Response:
    """The page; after a choice with the sentence that says it was saved."""
    return _page(token)


@door.get("/<token>/live")
@allow("customer")
@again.live
def live(token: str) -> Response:
    """The part that moves: expected time, ruler, stops."""
    return _page(token, "live")


@door.get("/<token>/times")
@allow("customer")
def times(token: str) -> Response:
    """The times kept for them, or those that are free now; nothing is held by looking."""
    return _times(token)


@door.post("/<token>/times")
@allow("customer")
def hold(token: str) -> Response | Base:
    """Another time: a few are kept free for a while; where nothing fits, a call is promised."""
    try:
        offer.times(_visit_id(token), at=g.at)
    except Refused as no:
        return _page(token, status=no.status, error=filters.refusal(no))
    return redirect(url_for("customer.times", token=token), 303)


@door.post("/<token>/wish")
@allow("customer")
def wish(token: str) -> Response | Base:
    """None of the times suits: what they need, in their words."""
    try:
        return _done(token, offer.wish(_visit_id(token), request.form.get("wish", ""), at=g.at))
    except Refused as no:
        return _times(token, error=filters.refusal(no), status=no.status)


@door.get("/<token>/cancel")
@allow("customer")
def ask_cancel(token: str) -> Response:
    """Are they sure? The change itself is a POST."""
    return _page(token, "cancel")


@door.post("/<token>/keep")
@allow("customer")
def keep(token: str) -> Response | Base:
    """This works."""
    return _pressed(token, verbs.keep, request.form.get("seen", ""))


@door.post("/<token>/choice")
@allow("customer")
def choice(token: str) -> Response | Base:
    """Take one of the free times; the loser of a race sees fresh ones."""
    visit_id = _visit_id(token)
    try:
        technician, start = _chosen()
        return _done(
            token,
            verbs.choose(
                visit_id,
                technician,
                start,
                at=g.at,
                version=request.form.get("version", ""),
                key=settings().key("link"),
            ),
        )
    except Refused as no:
        return _times(token, error=filters.refusal(no), status=no.status)


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


@door.post("/<token>/earlier")
@allow("customer")
def come_earlier(token: str) -> Response | Base:
    """Come earlier: the time that was offered."""
    return _pressed(token, earlier.take)


@door.post("/<token>/deadline")
@allow("customer")
def deadline(token: str) -> Response | Base:
    """I must leave by ..., or it is enough that you arrive by ..., or no fixed time."""
    visit_id, none = _visit_id(token), request.form.get("kind") == "none"
    kind = "arrive" if request.form.get("kind") == "arrive" else "done"
    clock = "" if none else request.form.get("leave_by", "").strip() or "?"
    try:
        saved = verbs.leave_by(visit_id, clock, kind, at=g.at)
    except Refused as no:
        return _page(token, status=no.status, error=filters.refusal(no))
    return _done(token, saved, "customer.page" if saved.works else "customer.times")


@door.post("/<token>/call")
@allow("customer")
def call(token: str) -> Response | Base:
    """Ask for a call."""
    return _pressed(token, verbs.call_me, request.form.get("number", ""))


@door.post("/<token>/cancel")
@allow("customer")
def cancel(token: str) -> Response | Base:
    """Cancel the visit."""
    return _pressed(token, verbs.cancel)


@door.post("/<token>/note")
@allow("customer")
def note(token: str) -> Response | Base:
    """Something the technician should know."""
    try:
        photos = [f.read() for f in request.files.getlist("photo")[: notes.PHOTOS_MAX + 1] if f.filename]
        return _done(token, notes.write(_visit_id(token), request.form.get("note", ""), photos, at=g.at))
    except Refused as no:
        return _page(token, status=no.status, error=filters.refusal(no))


@door.post("/<token>/done")
@allow("customer")
def work_done(token: str) -> Response | Base:
    """The work is done, says the customer."""
    return _pressed(token, signoff.done)


@door.post("/<token>/not-done")
@allow("customer")
def work_not_done(token: str) -> Response | Base:
    """The work is not done: it is reopened."""
    return _pressed(token, signoff.not_done)


@door.post("/<token>/rating")
@allow("customer")
def rate(token: str) -> Response | Base:
    """How it was, in one tap."""
    given = request.form.get("stars", "")
    return _pressed(token, signoff.rate, int(given) if given in ("1", "2", "3", "4", "5") else 0)


@door.post("/<token>/was-there")
@allow("customer")
def was_there(token: str) -> Response | Base:
    """They were there, though nobody was reached."""
    return _pressed(token, signoff.was_there)


@door.post("/<token>/nobody-here")
@allow("customer")
def nobody_here(token: str) -> Response | Base:
    """Nobody is here, though the technician is said to have arrived."""
    return _pressed(token, signoff.nobody_here)


@door.post("/<token>/seen")
@allow("customer")
def seen(token: str) -> Response:
    """The page is visible, says its own script; kept beside what was told, and used by no rule."""
    verbs.seen(_visit_id(token), at=g.at)
    return make_response("", 204)


@door.post("/<token>/wrong")
@allow("customer")
def wrong(token: str) -> Response | Base:
    """This looks wrong."""
    form = request.form
    return _pressed(token, concern.raise_, form.get("about", ""), form.get("text", ""))


@door.post("/<token>/still")
@allow("customer")
def still(token: str) -> Response | Base:
    """The answer did not settle it."""
    return _pressed(token, concern.still)


@door.get("/<token>/visit.ics")
@allow("customer")
def calendar(token: str) -> Response:
    """The visit as a calendar entry to add by hand; the invitation's UID, so later mails move it."""
    visit = db.session.get_one(Visit, _visit_id(token))
    if visit.state == "cancelled":
        raise Refused("This visit is cancelled, so there is nothing to add to a calendar.")
    company = db.session.get_one(Company, 1)
    window, zone = Window(visit.window_start, visit.window_end), visit.zone
    url = f"{settings().origin}/c/{token}"
    filters.speak(visit.customer.language)
    facts = {
        "job": visit.job_type.public_name,
        "company_full": company.name,
        "from": filters.clock(window.start, zone),
        "to": filters.clock(window.end, zone),
        "zone": filters.zone_of(zone, window.start),
        "link": url,
    }
    entry = itip.Entry(
        uid=visit.uid,
        sequence=invites.entry_sequence(visit),
        stamp=visit.changed_at.replace(microsecond=0),
        created=visit.created_at.replace(microsecond=0),
        start=window.start,
        end=window.end,
        summary=invites.summary("booked", facts),
        description=invites.description("booked", facts),
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
