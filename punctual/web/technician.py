"""The technician's phone: today's visits and the taps; key and time of a tap are made on the phone."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from sqlalchemy import text
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as Base

from punctual import clock
from punctual.actions import Refused
from punctual.actions import note as notes
from punctual.actions import technician as verbs
from punctual.core.day import at_wall, local
from punctual.messages import clock_time, day_short
from punctual.models import Company, Technician, db
from punctual.queries import technician as queries
from punctual.queries import whole
from punctual.web.access import allow

door = Blueprint("technician", __name__, url_prefix="/t")

STEPS = {
    "on-my-way": "on_my_way",
    "arrived": "arrived",
    "late": "late",
    "done": "done",
    "nobody-home": "nobody_home",
    "cannot-finish": "cannot_finish",
    "undo": "undo",
}
SAID = {
    "on_my_way": "On my way",
    "arrived": "Arrived",
    "late": "Running late",
    "done": "Done",
    "nobody_home": "Nobody home",
    "cannot_finish": "Cannot finish",
    "undo": "Taken back",
}
#: What the answer to a tap says of whom it concerns, in this order; technician.js says the same.
TOLD = {
    "tell": "Being told",
    "later": "Told later",
    "office": "The office decides about telling",
    "task": "The office is asked to call",
    "not_now": "Not told now",
}


def _render(template: str, **more: object) -> str:
    tomorrow = request.args.get("day") == "tomorrow"
    zone = db.session.get_one(Company, 1).zone
    on = local(g.at, zone).date() + timedelta(days=1 if tomorrow else 0)
    page = queries.phone(db.session(), db.session.get_one(Technician, g.technician_id), at=g.at, on=on)
    return render_template(
        f"technician/{template}.html",
        phone=page,
        at=g.at,
        speed=clock.speed(),
        fresh=lambda: str(uuid4()),
        tomorrow=tomorrow,
        **more,
    )


@door.get("/")
@allow("technician")
def day() -> Response:
    """The day."""
    return make_response(_render("day", status=_status()))


@door.get("/live")
@allow("technician")
def live() -> Response:
    """The part that moves; 304 while nothing on this date has changed and the minute is the same."""
    zone = db.session.get_one(Company, 1).zone
    on = local(g.at, zone).date()
    version = db.session.execute(
        text("SELECT version FROM board_version WHERE date = :d"), {"d": on.isoformat()}
    ).scalar()
    tag = f"{version or 0}-{g.technician_id}-{g.at:%H%M}-{request.args.get('day', '')}"
    response = make_response()
    response.set_etag(tag)
    if request.if_none_match.contains(tag):
        response.status_code = 304
        return response
    response.set_data(_render("live"))
    response.headers["Cache-Control"] = "no-cache"
    return response


def _status() -> str:
    """What the last tap did, for a page without JavaScript: the redirect names the report and whom it told."""
    what = request.args.get("sent", "")
    if what not in SAID:
        return ""
    zone = db.session.get_one(Company, 1).zone
    said = ((words, request.args.get(name, "")[:120]) for name, words in TOLD.items())
    names = "".join(f" {words}: {who}." for words, who in said if who)
    sent = f"{SAID[what]}, sent at {clock_time(g.at, zone)}."
    return sent if what == "undo" else sent + (names or " Nobody needs to be told.")


@door.post("/visits/<int:visit_id>/<step>")
@allow("technician")
def tap(visit_id: int, step: str) -> Response | Base:
    """One tap, as a form or as JSON: key and tapped_at from the phone; the same key counts once."""
    as_json = request.is_json
    given = _given(as_json)
    kind = STEPS.get(step)
    if kind is None:
        raise Refused("There is no such button. Open your day again.", status=404)
    tapped = _instant(given.get("tapped_at")) or g.at
    key = str(given.get("key") or uuid4())
    if kind == "undo":
        taken = verbs.undo(visit_id, technician_id=g.technician_id, key=key, tapped_at=tapped, at=g.at)
    else:
        taken = verbs.report(
            visit_id,
            kind,
            technician_id=g.technician_id,
            key=key,
            tapped_at=tapped,
            at=g.at,
            minutes=_minutes(given) if kind == "late" else 0,
            arriving=_arriving(given) if kind == "late" else None,
            note=str(given.get("note") or "")[:500],
        )
    if as_json:
        etas = [{"visit": e.visit_id, "expected": e.expected, "from": e.start, "to": e.end} for e in taken.etas]
        told = [_told(t) for t in taken.told]
        later = [_later(x) for x in taken.later]
        said = {"report": taken.report_id, "already": taken.already, "told": told, "later": later, "etas": etas}
        return Response(json.dumps(said), mimetype="application/json")
    concerned = taken.told + [_later(x) for x in taken.later]
    names: dict[str, Any] = {decision: _names(concerned, decision) for decision in TOLD}
    return redirect(url_for("technician.day", sent=kind, **names), 303)


def _names(told: list[dict[str, Any]], decision: str) -> str | None:
    """ "Grace, Joan, from 9:20; Helen, from 9:25": these people, with the time from which, where there is one."""
    who: dict[str, list[str]] = {}
    for t in told:
        if t["decision"] == decision:
            who.setdefault(t.get("when", ""), []).append(t["name"])
    return "; ".join(", ".join(names) + (f", from {when}" if when else "") for when, names in who.items()) or None


def _later(x: dict[str, Any]) -> dict[str, Any]:
    """Who is to be told and is not yet, as JSON values; `when` is `from` in the company's zone, as it is read out."""
    when = _when(x["at"], db.session.get_one(Company, 1).zone) if x["at"] else ""
    return {
        "visit": x["visit_id"],
        "name": x["name"],
        "reason": x["reason"],
        "decision": "task" if x["how"] == "call" else x["how"],
        "from": x["at"].isoformat() if x["at"] else None,
        "when": when,
    }


def _when(at: datetime, zone: str) -> str:
    """ "9:20", with the day where it is not today's."""
    on = local(at, zone).date()
    return clock_time(at, zone) + ("" if on == local(g.at, zone).date() else f" on {day_short(on)}")


def _told(told: dict[str, Any]) -> dict[str, Any]:
    """Whom it concerns, as JSON values."""
    spans = {k: told[k].isoformat() if told[k] else None for k in ("from", "to")}
    return {
        "visit": told["visit_id"],
        "name": told["name"],
        "kind": told["kind"],
        "decision": told["decision"],
        **spans,
    }


def _given(as_json: bool) -> dict[str, Any]:
    if not as_json:
        return dict(request.form)
    try:
        body = request.get_json(force=True)
    except RecursionError:
        raise BadRequest("This cannot be read. Send one flat JSON object.") from None
    if not isinstance(body, dict):
        raise Refused("Send one JSON object.", status=422)
    return body


def _minutes(given: dict[str, Any]) -> int:
    value = str(given.get("minutes") or "0").strip()
    if not value.isdecimal() or len(value) > 4:
        raise Refused("Write the minutes as a whole number from 1 to 600, for example 30.", status=422, field="minutes")
    return int(value)


def _arriving(given: dict[str, Any]) -> datetime | None:
    """ "Other": a clock time on today's date instead of minutes."""
    value = str(given.get("time") or "").strip()
    if not value or _minutes(given):
        return None
    hour, colon, minute = value.partition(":")
    if not (
        colon and hour.isdecimal() and minute.isdecimal() and len(value) <= 5 and int(hour) < 24 and int(minute) < 60
    ):
        raise Refused("Enter a time like 10:00.", status=422, field="time")
    zone = db.session.get_one(Company, 1).zone
    return at_wall(local(g.at, zone).date(), int(hour), int(minute), zone)


def _instant(value: Any) -> datetime | None:
    if not value:
        return None
    try:
        at = datetime.fromisoformat(str(value)[:40])
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 2000 < at.year < 2100:
        raise Refused("The time of the tap cannot be read. Check the phone's time.", status=422, field="tapped_at")
    return at


@door.post("/visits/<int:visit_id>/read")
@allow("technician")
def read(visit_id: int) -> Base:
    """I have read what the customer wrote."""
    notes.read_by_technician(visit_id, technician_id=g.technician_id, at=g.at)
    return redirect(url_for("technician.day"), 303)


@door.get("/photos/<int(max=2147483647):photo_id>")
@allow("technician")
def photo(photo_id: int) -> Response:
    """A photo of a customer whose visit is this technician's."""
    data = whole.photo_for(db.session(), photo_id, g.technician_id)
    if data is None:
        raise NotFound("There is no such photo on your day.")
    return make_response(data, 200, {"Content-Type": "image/jpeg"})
