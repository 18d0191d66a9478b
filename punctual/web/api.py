"""The JSON API: import, visits, taps, forecasts, free times, days and messages, for programs with a token."""

from __future__ import annotations

import re
from datetime import date

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.exceptions import NotFound

from punctual.actions import Refused, dispatcher, intake
from punctual.actions import api as verbs
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.core.slot import in_order
from punctual.explain import explain
from punctual.models import Visit, db
from punctual.queries import api as queries
from punctual.queries import board, slots
from punctual.web import api_in as given
from punctual.web import api_out as out
from punctual.web import api_promises
from punctual.web.access import allow, settings
from punctual.web.api_spec import Api, document

door = Blueprint("api", __name__, url_prefix="/api/v1")
api = Api(door)
ABSENT = "There is no such visit."
api_promises.register(api)


def by() -> By:
    """Whose token this is, as the one who acts."""
    return By(g.token.id, g.token.name, "token")


def day(text: str, wanted: str = "This is not a date. Write 2026-02-28.") -> date:
    """A date of an address or a query; Refused in a sentence."""
    try:
        found = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
    except ValueError:
        found = None
    if found is None or not 2000 <= found.year < 2100:
        raise Refused(wanted, status=422, field="date")
    return found


def shown(visit_id: int) -> out.VisitOut:
    """A visit as it is now."""
    db.session.rollback()
    return out.VisitOut.of(here(visit_id))


def here(visit_id: int) -> Visit:
    """The visit's row, or 404."""
    found = queries.visit(db.session(), visit_id)
    if found is None:
        raise NotFound(ABSENT)
    return found


@door.get("/openapi.json")
@allow("public")
def openapi() -> Response:
    """This API, described."""
    return jsonify(document(api, settings().origin))


@api.operation("post", "/import", answer=out.ImportOut, body=given.ImportIn, problems=(409,))
def import_schedule(body: given.ImportIn) -> out.ImportOut:
    """Import a schedule file: all of it or nothing."""
    raw = body.csv.encode("utf-8", "surrogatepass")
    done = intake.take(
        raw, name=body.name, at=g.at, by=by().source, zone=body.zone, dry=body.dry, tell=body.tell, actuals=body.actuals
    )
    counted = done.as_json() | {"id": done.import_id, "moved": len(done.moved), "sentence": done.sentence}
    return out.ImportOut(**counted)


@api.operation("get", "/visits", answer=out.VisitsOut, query=("on", "ref"))
def list_visits() -> out.VisitsOut:
    """The visits of a date, by planned start."""
    on = day(request.args.get("date", ""), "Name the day as ?date=2026-02-28.")
    ref = request.args.get("ref")
    if ref is not None and (not 1 <= len(ref) <= 80 or "\0" in ref):
        raise Refused("A ref has 1 to 80 characters.", status=422, field="ref")
    return out.VisitsOut(date=on, visits=[out.VisitOut.of(v) for v in queries.visits(db.session(), on, ref)])


@api.operation("get", "/visits/{visit_id}", answer=out.VisitOut)
def get_visit(visit_id: int) -> out.VisitOut:
    """One visit."""
    return out.VisitOut.of(here(visit_id))


@api.operation("post", "/visits", answer=out.VisitOut, body=given.VisitIn, status=201, problems=(409,))
def add_visit(body: given.VisitIn) -> out.VisitOut:
    """Add a visit; its customer gets the booking unless `tell` is false."""
    values = body.model_dump(exclude={"window_start", "window_end", "customer", "tell"})
    person = body.customer.model_dump() if body.customer else {}
    new = verbs.New(window=Window(body.window_start, body.window_end), **values | person)
    return shown(verbs.add(new, tell=body.tell, at=g.at, by=by()))


@api.operation("patch", "/visits/{visit_id}", answer=out.VisitOut, body=given.VisitEdit, problems=(409,))
def edit_visit(visit_id: int, body: given.VisitEdit) -> out.VisitOut:
    """Change notes, planned minutes or the customer's own limit."""
    verbs.edit(visit_id, body.changes(), at=g.at, by=by())
    return shown(visit_id)


@api.operation("post", "/visits/{visit_id}/move", answer=out.VisitOut, body=given.MoveIn, problems=(409,))
def move_visit(visit_id: int, body: given.MoveIn) -> out.VisitOut:
    """Give a visit another time, and maybe another technician: a new promise."""
    window = Window(body.window_start, body.window_end)
    start = body.planned_start or body.window_start
    dispatcher.move(visit_id, body.technician_id, start=start, window=window, tell=body.tell, at=g.at, by=by())
    return shown(visit_id)


@api.operation("post", "/visits/{visit_id}/give", answer=out.VisitOut, body=given.GiveIn, problems=(409,))
def give_visit(visit_id: int, body: given.GiveIn) -> out.VisitOut:
    """Give a visit to another technician on its day; the promise stays."""
    dispatcher.give(visit_id, body.technician_id, at=g.at, by=by())
    return shown(visit_id)


@api.operation("post", "/visits/{visit_id}/cancel", answer=out.VisitOut, body=given.CancelIn, problems=(409,))
def cancel_visit(visit_id: int, body: given.CancelIn) -> out.VisitOut:
    """Cancel a visit; its customer is told unless `tell` is false."""
    dispatcher.cancel(visit_id, tell=body.tell, at=g.at, by=by())
    return shown(visit_id)


@api.operation("post", "/visits/{visit_id}/reports", answer=out.ReportOut, body=given.ReportIn, problems=(409,))
def report(visit_id: int, body: given.ReportIn) -> out.ReportOut:
    """Report a technician's tap; the same key counts once."""
    taken = verbs.report(visit_id, **body.model_dump(), at=g.at)
    told = [out.ToldOut(**{k: x[k] for k in out.ToldOut.model_fields}) for x in taken.told]
    later = [out.LaterOut(**x) for x in taken.later]
    etas = [out.EtaOut(**e._asdict()) for e in taken.etas]
    return out.ReportOut(report_id=taken.report_id, already=taken.already, told=told, later=later, etas=etas)


@api.operation("get", "/visits/{visit_id}/forecast", answer=out.ForecastOut)
def get_forecast(visit_id: int) -> out.ForecastOut:
    """The newest forecast of a visit, with the numbers behind it and what was decided about telling."""
    found = queries.foreseen(db.session(), visit_id)
    if found is None:
        raise NotFound(ABSENT)
    at = found.forecast.at if found.forecast else None
    made = out.ForecastOut.of(found, explain(db.session(), found.visit, at, found.visit.zone))
    if made is None:
        raise NotFound("There is no forecast of this visit: its day is not in progress.")
    return made


@api.operation("get", "/visits/{visit_id}/times", answer=out.TimesOut)
def get_times(visit_id: int) -> out.TimesOut:
    """Free times to which a visit could move, every other promise kept: a few that differ, the soonest first."""
    visit = here(visit_id)
    found = in_order(slots.offers(db.session(), visit_id, at=g.at))
    return out.TimesOut(visit_id=visit_id, times=[out.TimeOut.of(x, visit.zone) for x in found])


@api.operation("get", "/visits/{visit_id}/messages", answer=out.MessagesOut)
def get_messages(visit_id: int) -> out.MessagesOut:
    """Every message about a visit and how it stands."""
    zone = here(visit_id).zone
    found = queries.messages(db.session(), visit_id)
    return out.MessagesOut(visit_id=visit_id, messages=[out.MessageOut.of(x, zone) for x in found])


@api.operation("get", "/days/{date}", answer=out.DayOut, problems=(422,))
def get_day(date: str) -> out.DayOut:
    """The board of a date: every technician's line, planned against predicted."""
    on, s = day(date), db.session()
    return out.DayOut.of(board.load(s, on, g.at), board.stamp(s, on).version)
