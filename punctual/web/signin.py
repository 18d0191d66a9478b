"""Signing in and out: dispatchers by password or one-use link, technicians by enrolling a phone."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Base

from punctual.actions import Refused
from punctual.actions import access as verbs
from punctual.models import Company, Technician, User, db
from punctual.web.access import address, allow, cookie, set_cookie

door = Blueprint("signin", __name__)


def _label() -> str:
    """Which device, in a word or two: what a person recognises in a list of sessions."""
    agent = request.headers.get("User-Agent", "")
    for mark, name in (
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android phone"),
        ("Mac OS", "Mac"),
        ("Windows", "Windows"),
        ("Linux", "Linux"),
    ):
        if mark in agent:
            return name
    return "A browser"


def _local(path: str) -> str:
    """A path of ours to go on to; anything else is the board."""
    parts = urlsplit(path)
    safe = path.startswith("/board") and not parts.netloc and not parts.scheme and "\\" not in path and "//" not in path
    return path if safe else url_for("board.day")


def _signed_in(kind: str, secret: str, target: str) -> Base:
    response = redirect(target, 303)
    seconds = verbs.DISPATCHER_S if kind == "dispatcher" else verbs.TECHNICIAN_S
    return set_cookie(response, kind, secret, int(seconds))  # type: ignore[arg-type]


def _form(error: str = "", status: int = 200, email: str = "") -> Response:
    company = db.session.get(Company, 1)
    target = _local(request.values.get("next", ""))
    page = render_template("signin/form.html", error=error, email=email, target=target, company=company)
    return make_response(page, status)


@door.get("/board/sign-in")
@allow("public")
def form() -> Response:
    """The sign-in page."""
    return _form()


@door.post("/board/sign-in")
@allow("public")
def sign_in() -> Response | Base:
    """E-mail and password."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        secret = verbs.sign_in(email[:254], password[:1000], address=address(), label=_label(), at=g.at)
    except Refused as no:
        return _form(no.sentence, no.status, email[:254])
    return _signed_in("dispatcher", secret, _local(request.form.get("next", "")))


@door.get("/board/enter/<token>")
@allow("public")
def look_at_link(token: str) -> str:
    """Shows one button; opening it uses nothing up."""
    user_id = verbs.peek("signin", token, s=db.session(), at=g.at)
    if user_id is None:
        abort(404, verbs.DEAD_LINK)
    return render_template("signin/enter.html", user=db.session.get_one(User, user_id), token=token)


@door.post("/board/enter/<token>")
@allow("public")
def enter(token: str) -> Base:
    """Uses the link up and signs in."""
    return _signed_in("dispatcher", verbs.enter(token, label=_label(), at=g.at), url_for("board.day"))


@door.post("/board/sign-out")
@allow("dispatcher")
def sign_out() -> Base:
    """Ends this session."""
    verbs.sign_out(g.signin_id, at=g.at)
    response = redirect(url_for("signin.form"), 303)
    response.delete_cookie(cookie("dispatcher"))
    return response


@door.get("/t/enrol/<token>")
@allow("public")
def look_at_phone_link(token: str) -> str:
    """Whose day it is, and one button; opening it uses nothing up."""
    technician_id = verbs.peek("enrol", token, s=db.session(), at=g.at)
    if technician_id is None:
        abort(404, verbs.DEAD_LINK)
    technician = db.session.get_one(Technician, technician_id)
    return render_template("signin/enrol.html", technician=technician, token=token, company=db.session.get(Company, 1))


@door.post("/t/enrol/<token>")
@allow("public")
def enrol(token: str) -> Base:
    """Uses the link up: this phone is the technician's from now on."""
    return _signed_in("technician", verbs.enrol(token, label=_label(), at=g.at), url_for("technician.day"))


@door.post("/t/sign-out")
@allow("technician")
def sign_out_phone() -> Base:
    """Ends this phone's session and wipes what it kept."""
    verbs.sign_out(g.signin_id, at=g.at)
    response = redirect(url_for("technician.day"), 303)
    response.delete_cookie(cookie("technician"))
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response
