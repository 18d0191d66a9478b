"""Sending itself, on the board: pause everything and resume, send one message again, and why nothing goes out."""

from __future__ import annotations

from flask import Blueprint, g
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as Answer

from punctual import gate
from punctual.actions import delivery
from punctual.models import Gate
from punctual.queries import board
from punctual.web import board_words as words
from punctual.web.access import allow, settings
from punctual.web.board_forms import ID, back
from punctual.web.board_visit import by

door = Blueprint("sending", __name__)


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


def banner(s: Session) -> dict[str, str] | None:
    """Why nothing is sent at all; None while messages go out."""
    shut = gate.shut(s, settings())
    if shut == "copied":
        text = "This is a restored or copied database. Nothing is sent until it is released: punctual outbox release"
        return {"id": "gate", "look": "late", "text": text}
    if shut != "paused":
        return None
    row = s.get_one(Gate, 1)
    since = f" since {words.clock(row.paused_at, board.zone(s))}" if row.paused_at else ""
    text = f"{row.paused_by} paused all messages{since}. Resume them there."
    return {"id": "gate", "look": "late", "text": text, "href": "/board/messages"}
