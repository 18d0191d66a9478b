"""A technician's visits to subscribe to in a calendar program: one address a person, revocable, without a cookie."""

from __future__ import annotations

from flask import Blueprint, Response, g, render_template, request
from werkzeug.wrappers import Response as Base

from punctual import itip, links
from punctual.actions import access
from punctual.models import db
from punctual.queries import feed as feeds
from punctual.web.access import allow, settings

door = Blueprint("feed", __name__)


@door.get("/feed/<token>.ics")
@allow("customer")
def feed(token: str) -> Base:
    """The feed with a strong ETag; 304 when it is as before; 410 and an empty calendar for a link that is no more."""
    s = db.session()
    link = links.find(s, "feed", token, at=g.at)
    if link is None:
        return _calendar(itip.feed(itip.Feed("No longer shared")), 410)
    made = _calendar(itip.feed(feeds.feed(s, link.owner_id, origin=settings().origin, at=g.at)), 200)
    made.add_etag()
    return made.make_conditional(request)


@door.post("/t/calendar")
@allow("technician")
def mine() -> str:
    """Show a technician the address of their own feed."""
    return render_template("technician/calendar.html", **addresses(g.technician_id))


def addresses(technician_id: int) -> dict[str, str]:
    """The address of a technician's feed, as a program fetches it (`url`) and as a tap opens it (`webcal`)."""
    token = access.feed_link(technician_id, key=settings().key("link"), at=g.at)
    url = f"{settings().origin}/feed/{token}.ics"
    return {"url": url, "webcal": f"webcal://{url.partition('://')[2]}"}


def _calendar(body: bytes, status: int) -> Response:
    response = Response(body, status, content_type="text/calendar; charset=utf-8")
    response.headers["Cache-Control"] = "private, max-age=0, must-revalidate"
    return response
