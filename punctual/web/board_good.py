"""Making good at the board: the rules, what a dispatcher decides, and the ledger as a file for billing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from babel.numbers import get_currency_precision
from flask import Blueprint, Response, g, make_response, render_template
from werkzeug.wrappers import Response as Answer

from punctual import facts
from punctual.actions import good as verbs
from punctual.models import db
from punctual.queries import board
from punctual.queries import good as queries
from punctual.web import board_forms as form
from punctual.web import board_words as words
from punctual.web.access import allow
from punctual.web.board_forms import ID, back
from punctual.web.board_visit import by, shown

door = Blueprint("good", __name__)
COLUMNS = ("id", "date", "visit", "customer", "kind", "late_min", "warned", "discount_percent", "credit", "currency",
           "state", "decided_by", "decided_at")  # fmt: skip
ABOUT = {"late": "A late arrival", "missed": "A visit nobody came to", "other": "Any other promise"}


@door.get("/making-good")
@allow("dispatcher")
def listed() -> str:
    """The rules and the ledger, newest first."""
    s = db.session()
    here = words.here(board.zone(s), g.at)
    return render_template(
        "board/good.html",
        rules=queries.rules(s),
        entries=queries.ledger(s)[::-1],
        about=ABOUT,
        given=lambda good: facts.given(good, "en"),
        when=here.when,
    )


@door.get("/making-good.csv")
@allow("dispatcher")
def download() -> Response:
    """The ledger for billing: RFC 4180, and nothing a spreadsheet would take for a formula."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(COLUMNS)
    for e in queries.ledger(db.session(), most=100_000):
        good, unit = e.good, 10 ** get_currency_precision(e.good.currency)
        writer.writerow(
            safe(
                (good.id, good.at.date(), e.visit.ref or e.visit.id, e.customer.name, good.kind, good.late_min,
                 "yes" if good.warned else "no", good.discount_pct, f"{good.credit / unit:.2f}", good.currency,
                 good.state, good.decided_by, good.decided_at.isoformat() if good.decided_at else "")
            )
        )  # fmt: skip
    response = make_response(made.getvalue())
    response.mimetype = "text/csv"
    response.headers["Content-Disposition"] = "attachment; filename=making-good.csv"
    return response


def safe(row: Iterable[object]) -> list[str]:
    """Cells a spreadsheet shows as they are: a quote before what it would take for a formula."""
    return [f"'{x}" if str(x)[:1] in ("=", "+", "-", "@", "\t", "\r") else str(x) for x in row]


@door.post("/making-good/rules")
@allow("dispatcher")
def add() -> Answer:
    """A new rule."""
    warned = {"yes": True, "no": False}.get(form.text("warned", 5))
    verbs.add_rule(
        form.text("kind", 8),
        form.number("late_min", low=0, high=1440, default=0),
        warned,
        discount_pct=form.number("discount", low=0, high=100, default=0),
        credit=100 * form.number("credit", low=0, high=10_000, default=0),
        ask=form.ticked("ask"),
        apology=form.text("apology", 200),
    )
    return back("/board/making-good")


@door.post(f"/making-good/rules/<{ID}:rule_id>/drop")
@allow("dispatcher")
def drop(rule_id: int) -> Answer:
    """A rule applies no more."""
    verbs.drop_rule(rule_id)
    return back("/board/making-good")


@door.post(f"/making-good/<{ID}:good_id>/decide")
@allow("dispatcher")
def decide(good_id: int) -> Answer:
    """What a rule left to the dispatcher: so much, or nothing."""
    verbs.decide(
        good_id,
        discount_pct=form.number("discount", low=0, high=100, default=0),
        credit=100 * form.number("credit", low=0, high=10_000, default=0),
        at=g.at,
        by=by(),
    )
    return back("/board/making-good")


@door.post(f"/visits/<{ID}:visit_id>/missed")
@allow("dispatcher")
def missed(visit_id: int) -> Answer:
    """A person confirms that nobody came."""
    verbs.did_not_come(visit_id, at=g.at, by=by())
    return back(shown(visit_id))
