"""Sending itself, on the board: how each way out stands and whom to call, pause and resume, one message once more."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, g, render_template
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as Answer

from punctual import clock, gate
from punctual.actions import delivery
from punctual.core.day import local
from punctual.models import Gate, db
from punctual.queries import board, heard, ways
from punctual.queries.board import Stamp
from punctual.web import board_words as words
from punctual.web.access import allow, settings
from punctual.web.board_forms import ID, back
from punctual.web.board_visit import by

door = Blueprint("sending", __name__)


#: A worker silent for this many real seconds is dead: with the minute until it is asked again, seen within two minutes.
DEAD_S = 100.0
#: What a channel's messages are called.
NAMES = {"email": "E-mails", "sms": "Texts"}


@door.get("/sending")
@allow("dispatcher")
def page() -> str:
    """Each way out: does it work, since when not and why, what waits, what to do; and who is to be called meanwhile."""
    s, given, here = db.session(), settings(), board.zone(db.session())
    today = local(g.at, here).date()
    return render_template(
        "board/sending.html",
        ways=[ways.way(s, channel, g.at) for channel in NAMES],
        transports={"email": given.mail, "sms": given.sms},
        names=NAMES,
        shut=gate.shut(s, given),
        dead=dead_since(board.stamp(s, today), g.at),
        stopped=heard.stopped(s),
        waiting=ways.unwarned(s, g.at),
        at=g.at,
        kinds=words.KINDS,
        when=lambda at: words.when(at, here, today),
    )


@door.post("/sending/pause")
@allow("dispatcher")
def pause() -> Answer:
    """Nothing goes out any more."""
    delivery.pause(settings(), at=g.at, by=by().name)
    return back("/board/messages")


@door.post("/sending/resume")
@allow("dispatcher")
def resume() -> Answer:
    """Messages go out again."""
    delivery.resume(at=g.at)
    return back("/board/messages")


@door.post(f"/messages/<{ID}:message_id>/again")
@allow("dispatcher")
def again(message_id: int) -> Answer:
    """One message once more, written afresh."""
    delivery.send_again(message_id, at=g.at)
    return back("/board/messages")


def closed(s: Session, at: datetime) -> list[dict[str, str]]:
    """A banner for each way out that is closed: since when, how many wait, what happens meanwhile. None for texts that
    were stopped: they are not tried again, and have a banner of their own."""
    found, stopped = [], heard.stopped(s) is not None
    for way in (ways.way(s, channel, at) for channel in NAMES):
        if way.outage is None or not way.closed(at) or (way.channel == "sms" and stopped):
            continue
        text = f"{NAMES[way.channel]} cannot leave since {words.clock(way.outage.since, board.zone(s))}: "
        text += f"{way.waiting} wait{'s' if way.waiting == 1 else ''}"
        text += f", {way.urgent} of them urgent." if way.urgent else "."
        text += " It is tried again at least every minute."
        found.append({"id": f"way-{way.channel}", "look": "late", "text": text, "href": "/board/sending"})
    return found


def banner(s: Session) -> dict[str, str] | None:
    """Why nothing is sent at all; None while messages go out."""
    shut = gate.shut(s, settings())
    if shut == "copied":
        text = "This is a restored or copied database. Nothing is sent until it is released: punctual outbox release"
        return {"id": "gate", "look": "late", "text": text}
    if shut != "paused":
        return None
    row = s.get_one(Gate, 1)
    when = f" at {words.clock(row.paused_at, board.zone(s))}" if row.paused_at else ""
    text = f"{row.paused_by} paused all messages{when}. Resume them there."
    return {"id": "gate", "look": "late", "text": text, "href": "/board/messages"}


def dead_since(stamp: Stamp, at: datetime) -> datetime | None:
    """When the worker last lived, if that is too long ago in real seconds; a worker that never ran is not missed."""
    if stamp.beat is None or clock.real_seconds(at - stamp.beat) <= DEAD_S:
        return None
    return stamp.beat
