"""The start page and the health check."""

from __future__ import annotations

from flask import Blueprint, Response, abort, g, jsonify, redirect, render_template, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as Base

from punctual import clock
from punctual.actions import demo as verbs
from punctual.models import Company, Heartbeat, db
from punctual.web.access import allow, settings
from punctual.web.errors import problem

door = Blueprint("start", __name__)

#: Real seconds after which a worker that says nothing counts as dead.
ALIVE_S = 120.0
#: What is wrong then, in short.
NOBODY = "No worker is alive: nothing is sent."


@door.app_context_processor
def demo_banner() -> dict[str, object]:
    """Every page of a demo says that it is one, which day it is there and how fast it goes: a clock that stands still
    beside the board's moving one would be wrong a moment later."""
    return {"demo": settings().demo, "demo_at": g.get("at"), "demo_speed": clock.speed()}


@door.get("/")
@allow("public")
def start() -> str:
    """In the demo: the three faces and what to try. Else the company and where to sign in."""
    company = db.session.get(Company, 1)
    return render_template("start.html", company=company, at=g.at, speed=clock.speed(), story=verbs.story(g.at))


@door.post("/demo/<face>")
@allow("public")
def open_face(face: str) -> Base:
    """Demo only: a fresh link to one of the three faces."""
    if not settings().demo:
        abort(404)
    made = verbs.link(face, key=settings().key("link"), at=g.at)
    if made is None:
        abort(404)
    endpoint, token = made
    return redirect(url_for(endpoint, token=token), 303)


@door.get("/healthz")
@allow("public")
def health() -> Response:
    """200 while the database answers and a worker is alive, else 503 with a sentence."""
    beat = db.session.scalar(select(Heartbeat.at).where(Heartbeat.name == "worker"))
    if beat is None:
        return problem(503, "No worker has started yet. Run `punctual worker` or `punctual run`.", title=NOBODY)
    age = clock.real_seconds(g.at - beat)
    if age > ALIVE_S:
        return problem(503, f"The worker has said nothing for {age / 60:.0f} minutes. Start it again.", title=NOBODY)
    return jsonify(ok=True, worker_seconds=round(max(age, 0.0), 1))
