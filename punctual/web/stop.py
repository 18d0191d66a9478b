"""No more e-mails: the page behind the link in a mail, and its one-click form (RFC 8058). Opening it changes nothing."""

from __future__ import annotations

from flask import Blueprint, abort, g, render_template

from punctual import links, suppression
from punctual.actions import stop as verbs
from punctual.models import Company, Customer, db
from punctual.web import filters
from punctual.web.access import allow

door = Blueprint("stop", __name__, url_prefix="/s")


@door.get("/<token>")
@allow("customer")
def page(token: str) -> str:
    """Whether e-mails go, and the button that changes it."""
    return _page(token)


@door.post("/<token>")
@allow("customer")
def stop(token: str) -> str:
    """No more. A mail program's one click and the button of the page alike: answered here, never redirected."""
    verbs.mails(_customer(token).id, at=g.at)
    return _page(token)


@door.post("/<token>/again")
@allow("customer")
def again(token: str) -> str:
    """E-mails again."""
    verbs.mails_again(_customer(token).id, at=g.at)
    return _page(token)


def _customer(token: str) -> Customer:
    """Whose link it is; every wrong, old or revoked one is the same 404."""
    link = links.find(db.session(), "stop", token, at=g.at)
    who = db.session.get(Customer, link.owner_id) if link is not None else None
    if who is None or not who.email:
        abort(404)
    return who


def _page(token: str) -> str:
    who = _customer(token)
    filters.speak(who.language)
    return render_template(
        "customer/stop.html",
        token=token,
        lang=who.language,
        company=db.session.get_one(Company, 1),
        stopped=bool(suppression.reason(db.session(), who.email, "email")),
    )
