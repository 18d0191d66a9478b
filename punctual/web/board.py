"""The dispatcher's day board: its page, and the two pieces of it that are asked for every two seconds."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple

from flask import Blueprint, Response, current_app, g, get_template_attribute, render_template, request
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup

from punctual import links
from punctual.actions import Refused
from punctual.actions.effect import Effect, candidates, rescue
from punctual.core.day import local
from punctual.models import db
from punctual.queries import board as queries
from punctual.queries import figures as head
from punctual.queries import heard, tasks, truth
from punctual.queries.board import Board, Line, Stamp
from punctual.queries.standing import FAILED
from punctual.web import (
    board_again,
    board_concerns,
    board_good,
    board_heard,
    board_people,
    board_promises,
    board_sending,
    board_summary,
    board_visit,
    board_words,
)
from punctual.web.access import allow, cookie, quick
from punctual.web.board_grid import Axis, axis
from punctual.web.board_queue import LIMIT, items, wants_somebody

door = Blueprint("board", __name__, url_prefix="/board")
door.register_blueprint(board_visit.door)
door.register_blueprint(board_people.door)
door.register_blueprint(board_promises.door)
door.register_blueprint(board_sending.door)
door.register_blueprint(board_concerns.door)
door.register_blueprint(board_summary.door)
door.register_blueprint(board_good.door)
door.register_blueprint(board_heard.door)
door.register_error_handler(Refused, board_again.refused)

#: More technicians than this are shown one line each, without words in the bars.
ROOMY = 15
#: Stands for a reader's own CSRF token in what is kept for all of them.
TOKEN = f"@{secrets.token_hex(12)}@"
#: Pieces kept: a few dates and orders, this minute's and the last one's.
KEPT = 16
#: Lines kept.
LINES = 8192
#: So many late visits come with somebody who could take them.
PROPOSED = 3


class View(NamedTuple):
    """Which board is asked for: its date, order, whether it is today's, and the stamp of what it shows."""

    day: date
    sort: str
    today: bool
    zone: str
    stamp: Stamp
    all_tasks: bool = False

    def etag(self, piece: str, at: datetime) -> str:
        minute = int(at.timestamp() // 60)
        dead = board_sending.dead_since(self.stamp, at) is not None
        return f"{piece}-{self.day}-{self.stamp.version}-{minute}-{self.sort}-{self.today:d}{self.all_tasks:d}{dead:d}"


@door.get("/")
@allow("dispatcher")
def day() -> str:
    """The day board."""
    return page(view())


def unchanged(piece: str) -> Response | None:
    """304 by one statement where what the reader has is still true: session, version and heartbeat in one."""
    wanted = parsed_day(request.args.get("day", ""), g.at) if request.if_none_match else None
    if wanted is None:
        return None
    session = links.hashed(request.cookies.get(cookie("dispatcher"), ""))
    stamp = queries.stamp_for(db.engine, wanted, session, g.at)
    if stamp is None:
        return None
    v = _view(wanted, stamp)
    return not_modified(piece, v) if request.if_none_match.contains(v.etag(piece, g.at)) else None


@door.get("/rows")
@allow("dispatcher")
@quick(partial(unchanged, "rows"))
def rows() -> Response:
    """Axis and lines, or 304."""
    return piece("rows", view())


@door.get("/queue")
@allow("dispatcher")
@quick(partial(unchanged, "queue"))
def queue() -> Response:
    """Who needs somebody now, or 304."""
    return piece("queue", view())


def view() -> View:
    """The board this request asks for; a day that cannot be read is today."""
    s = db.session()
    wanted = parsed_day(request.args.get("day", ""), g.at) or local(g.at, queries.zone(s)).date()
    return _view(wanted, queries.stamp(s, wanted))


def _view(wanted: date, stamp: Stamp) -> View:
    today = local(g.at, stamp.zone).date()
    sort = "name" if request.args.get("sort") == "name" else "need"
    return View(wanted, sort, wanted == today, stamp.zone, stamp, request.args.get("queue") == "all")


def parsed_day(text: str, at: datetime) -> date | None:
    """A date from an address; None for anything that is none, or so far off that no plan reaches it."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if abs((found - at.date()).days) <= 3660 else None


def piece(name: str, v: View) -> Response:
    """One polled piece by conditional GET: nothing is loaded when what the reader has is still true."""
    if request.if_none_match.contains(v.etag(name, g.at)):
        return not_modified(name, v)
    return _marked(Response(own(kept(f"{name}+", v.etag(name, g.at), v, polled=True)), mimetype="text/html"), name, v)


def not_modified(name: str, v: View) -> Response:
    """What the reader has is still true."""
    return _marked(Response(status=304), name, v)


def _marked(response: Response, name: str, v: View) -> Response:
    if not v.today and request.args.get("follow"):
        response.headers["HX-Refresh"] = "true"
    response.set_etag(v.etag(name, g.at))
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def own(text: str) -> Markup:
    """What was kept for all, with this reader's token."""
    return Markup(text.replace(TOKEN, generate_csrf()) if TOKEN in text else text)


def kept(name: str, etag: str, v: View, *, polled: bool = False) -> str:
    """A piece rendered once per version and minute, whoever asks for it."""
    cache: OrderedDict[str, str] = current_app.extensions.setdefault("punctual_board", OrderedDict())
    key = name + etag
    found = cache.get(key)
    if found is None:
        found = cache[key] = _render(name.rstrip("+"), v, polled)
        while len(cache) > KEPT:
            cache.popitem(last=False)
    return found


def _render(name: str, v: View, polled: bool) -> str:
    board = queries.load(db.session(), v.day, g.at, sort=v.sort)
    return rows_html(board, v) if name == "rows" else queue_html(board, v, polled)


def rows_html(board: Board, v: View) -> str:
    """The axis and the lines."""
    hours, dense = axis(board), len(board.lines) > ROOMY
    return render_template(
        "board/rows.html",
        board=board,
        sort=v.sort,
        axis=hours,
        title=board_words.long_date(v.day),
        now=hours.now(g.at, 8) if v.today else "",
        now_line=hours.now(g.at),
        now_label=board_words.clock(g.at, v.zone),
        lines=[_shown(line, v.zone, hours, dense, v.day) for line in board.lines],
    )


def _shown(line: Line, zone: str, hours: Axis, dense: bool, on: date) -> Markup:
    """One line's HTML; a line that is the very same in the same minute is not even compared."""
    cache: dict[int, tuple[Line, Any, Markup]] = current_app.extensions.setdefault("punctual_lines", {})
    key = (int(g.at.timestamp() // 60), zone, hours, dense, on)
    known = cache.get(id(line))
    if known is not None and known[0] is line and known[1] == key:
        return known[2]
    made = _line(line, board_words.line_words(line, g.at, zone), hours, dense, on)
    if len(cache) >= LINES:
        cache.clear()
    cache[id(line)] = (line, key, made)
    return made


@lru_cache(maxsize=LINES)
def _line(line: Line, words: str, hours: Axis, dense: bool, on: date) -> Markup:
    """One line's HTML, kept until it changes."""
    row = get_template_attribute("board/row.html", "row")
    named = [(s, _name(s), board_words.bar_words(s, hours.zone)) for s in line.stops]
    if dense and line.look in ("ontime", "late", "risk", "silent"):
        words = {"ontime": "On time", "late": "Late", "risk": "At risk", "silent": "Silent"}[line.look]
    made: Markup = row(line, hours, dense, on, {"line": words, "stops": named}, board_words.clock)
    return made


def _name(stop: queries.Stop) -> str:
    if stop.look == "silent" or stop.state in FAILED:
        return f"{stop.surname}, {stop.word.lower()}"
    return (
        f"{stop.surname}, still there"
        if stop.state == "arrived" and stop.over_min >= board_words.NEAR
        else stop.surname
    )


def queue_html(board: Board, v: View, polled: bool) -> str:
    """The tasks, most urgent first, and the messages by state."""
    found = tasks.queue(db.session(), board, g.at, today=v.today)
    shown = found.tasks if v.all_tasks else found.tasks[:LIMIT]
    return render_template(
        "board/queue.html",
        polled=polled,
        csrf=TOKEN,
        day=v.day,
        count=len(found.tasks),
        tasks=items(shown, g.at, v.zone, _proposed(board, shown)),
        more=len(found.tasks) - len(shown),
        messages=sorted(found.messages.items()) or [("sent", 0)],
        next_look=board_words.clock(g.at + timedelta(minutes=1), v.zone),
        banners=lambda: banners(v.stamp),
    )


def _proposed(board: Board, shown: Sequence[tasks.Task]) -> dict[int, Effect]:
    """Who could take the most urgent late visits: every promise kept where that can be; on a board that is not long,
    else whoever does the least harm."""
    found: dict[int, Effect] = {}
    for visit_id in [t.visit_id for t in shown if wants_somebody(t)][:PROPOSED]:
        best = rescue(db.session(), visit_id, g.at)
        if best is None and len(board.lines) <= ROOMY:
            best = next(iter(candidates(db.session(), visit_id, g.at)), None)
        if best is not None and best.changes[0].after_look != "late":
            found[visit_id] = best
    return found


def page(v: View, **more: Any) -> str:
    """The whole board, with a drawer where one is asked for."""
    s = db.session()
    board = queries.load(s, v.day, g.at, sort=v.sort)
    return render_template(
        "board/day.html",
        board=board,
        title=board_words.long_date(v.day),
        sort=v.sort,
        is_today=v.today,
        before=v.day - timedelta(days=1),
        after=v.day + timedelta(days=1),
        follow="&follow=1" if v.today else "",
        dense=len(board.lines) > ROOMY,
        axis=axis(board),
        figures=_figures(v, board),
        rows=own(kept("rows", v.etag("rows", g.at), v)),
        queue=own(kept("queue", v.etag("queue", g.at), v)),
        etags={"rows": v.etag("rows", g.at), "queue": v.etag("queue", g.at)},
        **more,
    )


def _figures(v: View, board: Board) -> head.Figures:
    """Counted once per version and minute: thirty days are many rows."""
    cache: dict[str, Any] = current_app.extensions.setdefault("punctual_figures", {})
    key = v.etag("figures", g.at)
    if key not in cache:
        cache.clear()
        cache[key] = head.figures(db.session(), v.day, g.at, board.rules)
    found: head.Figures = cache[key]
    return found


def banners(stamp: Stamp | None = None) -> list[dict[str, str]]:
    """What is true for the whole board: a worker that has stopped, customers who know something else."""
    s = db.session()
    found = []
    since = board_sending.dead_since(stamp or queries.stamp(s, g.at.date()), g.at)
    if since is not None:
        n = tasks.unwarned(s, g.at)
        text = f"Messages are not going out since {board_words.clock(since, queries.zone(s))}."
        more = f" {n} customer{'s' if n != 1 else ''} would wait unwarned." if n else ""
        found.append({"id": "worker", "look": "late", "text": text + more, "href": "/board/sending"})
    if (shut := board_sending.banner(s)) is not None:
        found.append(shut)
    found += board_sending.closed(s, g.at)
    if stopped := heard.stopped(s):
        text = f"Texts are stopped since {board_words.clock(stopped.at, queries.zone(s))}. E-mails go instead."
        more = f" {(stopped.facts or {}).get('why', '')} Mend it, then say so in the list."
        found.append({"id": "texts", "look": "late", "text": text + more, "href": "/board/received"})
    differ = truth.visits_that_differ(s)
    if differ:
        visits = f"{differ} visits" if differ > 1 else "1 visit"
        text = f"{visits} where what was told and what is planned differ, and no message will say so."
        found.append({"id": "differences", "look": "", "text": text, "href": "/board/differences"})
    return found


@door.app_context_processor
def shared() -> dict[str, Any]:
    """What every page of the board may ask for."""
    return {"banners": banners}
