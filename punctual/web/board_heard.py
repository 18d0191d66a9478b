"""The board's pages about words: what came in and came back, and every message as it reads in every language."""

from __future__ import annotations

from flask import Blueprint, abort, g, render_template, request
from werkzeug.wrappers import Response as Answer

from punctual import facts, messages
from punctual.actions import delivery
from punctual.core.day import local
from punctual.core.kinds import KINDS
from punctual.core.segments import size
from punctual.models import db
from punctual.queries import board, heard
from punctual.web import board_words as words
from punctual.web.access import allow, settings
from punctual.web.board_forms import back

door = Blueprint("heard", __name__)
LANGUAGES = {"en": "English", "es": "Español", "de": "Deutsch"}


@door.get("/received")
@allow("dispatcher")
def received() -> str:
    """Texts and mails that came in, addresses that do not work, and what texts cost today."""
    s = db.session()
    here = board.zone(s)
    return render_template(
        "board/received.html",
        received=heard.received(s),
        unreachable=heard.unreachable(s),
        spend=heard.spend(s, g.at),
        texts=settings().sms,
        when=lambda at: words.when(at, here, local(g.at, here).date()),
    )


@door.get("/words")
@allow("dispatcher")
def texts() -> str:
    """Every kind of message in a language, with example values; how each text travels."""
    language = request.args.get("language", "en")
    language = language if language in LANGUAGES else "en"
    own = facts.own(db.session(), settings())
    made = [(kind, messages.example(kind, language, own)) for kind in KINDS]
    return render_template(
        "board/words.html",
        language=language,
        languages=LANGUAGES,
        sent=request.args.get("sent", ""),
        me=g.user.email,
        kinds=[(kind, words.KINDS.get(kind, kind), m, size(m.sms)) for kind, m in made],
    )


@door.post("/words/<kind>/to-me")
@allow("dispatcher")
def to_me(kind: str) -> Answer:
    """One mail to whoever is signed in, by the way mails leave."""
    language = request.form.get("language", "en")
    if kind not in KINDS or language not in LANGUAGES:
        abort(404)
    delivery.send_example(kind, language, to=g.user.email, at=g.at)
    return back(f"/board/words?language={language}&sent={kind}#{kind}")


@door.get("/words/<kind>.html")
@allow("dispatcher")
def mail(kind: str) -> Answer:
    """One mail as a mail program shows it."""
    language = request.args.get("language", "en")
    if kind not in KINDS or language not in LANGUAGES:
        return Answer("There is no such message.", status=404, mimetype="text/plain")
    example = messages.example(kind, language, facts.own(db.session(), settings()))
    page = Answer(example.html, mimetype="text/html")
    page.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return page
