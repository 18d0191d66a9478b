"""The board's other pages: technicians and their phones, customers, messages, search."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, g, render_template, request
from werkzeug.wrappers import Response as Answer

from punctual import gate
from punctual.actions import Refused, access, erase
from punctual.actions import people as verbs
from punctual.actions.delivery import AGAIN
from punctual.core.day import local
from punctual.models import db
from punctual.queries import board, people
from punctual.web import board_forms as form
from punctual.web import board_words as words
from punctual.web.access import allow, settings
from punctual.web.board_forms import ID, back, partial
from punctual.web.board_qr import picture
from punctual.web.board_visit import by
from punctual.web.feed import addresses

door = Blueprint("people", __name__)


@door.get("/people")
@door.get("/technicians")
@allow("dispatcher")
def everybody() -> str:
    """Technicians with their phones, and the dispatchers."""
    s = db.session()
    return render_template(
        "board/people.html",
        technicians=people.technicians(s, g.at),
        dispatchers=people.dispatchers(s, g.at),
        when=_when(),
    )


@door.get(f"/technicians/<{ID}:technician_id>")
@allow("dispatcher")
def technician(technician_id: int) -> str:
    """One technician: the day, the shift, the phones signed in."""
    s = db.session()
    found = people.technician(s, technician_id, g.at)
    if found is None:
        raise Refused("There is no such technician.", status=404)
    here = board.zone(s)
    on = form.day("day") if request.values.get("day") else local(g.at, here).date()
    return render_template(
        "board/technician.html" if partial() else "board/technician_page.html",
        found=found,
        shift=people.shift(s, technician_id, on),
        day=on,
        date=words.long_date(on),
        clock=lambda t: words.clock(t, here),
        when=_when(),
    )


def _when() -> object:
    return words.here(board.zone(db.session()), g.at).when


@door.post(f"/technicians/<{ID}:technician_id>/off")
@allow("dispatcher")
def off(technician_id: int) -> Answer:
    """Off that day (sick): their visits become tasks. Or on again."""
    on = form.day("day")
    if form.ticked("on"):
        verbs.on_again(technician_id, on, at=g.at, by=by())
    else:
        verbs.off(technician_id, on, form.text("why", 40) or "sick", at=g.at, by=by())
    return back(f"/board/?day={on}")


@door.post(f"/technicians/<{ID}:technician_id>/shift")
@allow("dispatcher")
def shift(technician_id: int) -> Answer:
    """Change the hours and the break of one day."""
    on, zone = form.day("day"), board.zone(db.session())
    pause = bool(request.form.get("break_from", "").strip() or request.form.get("break_to", "").strip())
    verbs.edit_shift(
        technician_id,
        on,
        starts_at=form.time("from", on, zone),
        ends_at=form.time("to", on, zone),
        break_=(form.time("break_from", on, zone), form.time("break_to", on, zone)) if pause else None,
        at=g.at,
        by=by(),
    )
    return back(f"/board/technicians/{technician_id}?day={on}")


@door.post(f"/technicians/<{ID}:technician_id>/link")
@allow("dispatcher")
def link(technician_id: int) -> str:
    """A fresh link to enrol a phone: mailed, or shown as a QR code here and now."""
    found = people.technician(db.session(), technician_id, g.at)
    if found is None:
        raise Refused("There is no such technician.", status=404)
    name, key, url = found.person.name, settings().key("link"), ""
    if form.ticked("mail"):
        access.mail_enrol_link(technician_id, key=key, origin=settings().origin, at=g.at, by=by().cause("enrol"))
    else:
        url = f"{settings().origin}/t/enrol/{access.enrol_link(technician_id, key=key, at=g.at)}"
    return render_template("board/enrol.html", name=name, url=url, qr=picture(url) if url else "")


@door.post(f"/technicians/<{ID}:technician_id>/feed")
@allow("dispatcher")
def feed(technician_id: int) -> str | Answer:
    """Show the address of a technician's calendar feed, or end it."""
    if form.ticked("end"):
        access.revoke_feed(technician_id, at=g.at)
        return back(f"/board/technicians/{technician_id}")
    return render_template("board/feed.html", technician_id=technician_id, **addresses(technician_id))


@door.post(f"/sessions/<{ID}:signin_id>/revoke")
@allow("dispatcher")
def revoke(signin_id: int) -> Answer:
    """Sign a phone or a browser out at once."""
    access.revoke(signin_id, at=g.at)
    return back("/board/people")


@door.get(f"/customers/<{ID}:customer_id>")
@allow("dispatcher")
def customer(customer_id: int) -> str:
    """One customer: how to reach them, and their visits."""
    found = people.customer(db.session(), customer_id)
    if found is None:
        raise Refused("There is no such customer.", status=404)
    return render_template(
        "board/customer.html", customer=found, visits=people.visits(db.session(), customer_id), when=_when()
    )


@door.post(f"/customers/<{ID}:customer_id>")
@allow("dispatcher")
def edit_customer(customer_id: int) -> Answer:
    """Change how somebody is reached; what failed before is offered again."""
    verbs.edit_customer(
        customer_id,
        name=form.text("name", 120, needed="A customer needs a name."),
        email=form.text("email", 254),
        phone=form.text("phone", 40),
        language=form.text("language", 8),
        early=form.ticked("early"),
        at=g.at,
        by=by(),
    )
    return back(f"/board/customers/{customer_id}")


@door.post(f"/customers/<{ID}:customer_id>/cancel")
@allow("dispatcher")
def cancel_customer(customer_id: int) -> Answer:
    """Cancel every coming visit of a customer."""
    verbs.cancel_customer(customer_id, tell=form.ticked("tell"), at=g.at, by=by())
    return back(f"/board/customers/{customer_id}")


@door.post(f"/customers/<{ID}:customer_id>/erase")
@allow("dispatcher")
def erase_customer(customer_id: int) -> Answer:
    """Erase who they are and what they wrote; what was promised and kept stays as counts."""
    if not form.ticked("sure"):
        raise Refused("Tick that you are sure: what is erased cannot be brought back.", status=422, field="sure")
    erase.customer(customer_id, folder=settings().outbox_folder, at=g.at, by=by())
    return back(f"/board/customers/{customer_id}")


@door.get("/messages")
@allow("dispatcher")
def messages() -> str:
    """What was told, is waiting, or did not go."""
    s = db.session()
    here = board.zone(s)
    today = local(g.at, here).date()
    state = request.args.get("state", "")
    state = state if state in people.STATES else ""
    page = request.args.get("page", 1, type=int)
    page = page if 1 <= page <= people.PAGES else 1
    day = form.day("day") if request.args.get("day") else None
    found, older = people.messages(s, state=state, day=day, page=page)
    asked = {"state": state} | ({"day": request.args["day"]} if day else {})
    return render_template(
        "board/messages.html",
        messages=found,
        page=page,
        newer=urlencode(asked | {"page": page - 1}) if page > 1 else "",
        older=urlencode(asked | {"page": page + 1}) if older and page < people.PAGES else "",
        again=AGAIN,
        shut=gate.shut(s, settings()),
        states=people.STATES,
        state=state,
        words=words,
        zone=here,
        today=today,
        day=request.args.get("day", ""),
    )


@door.get("/search")
@allow("dispatcher")
def search() -> str:
    """Visits and customers by name, street, technician or day."""
    s = db.session()
    here = board.zone(s)
    q = people.readable(request.args.get("q", ""))
    found = people.search(s, q, local(g.at, here).date()) if q else people.Found((), ())
    return render_template(
        "board/search.html", q=q, found=found, words=words, zone=here, today=local(g.at, here).date()
    )
