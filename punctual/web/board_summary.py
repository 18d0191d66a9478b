"""The manager's summary on the board: how punctual we were, the false-alarm budget, plans to mend, days to forget."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import Blueprint, current_app, g, render_template, request
from flask_babel import gettext as _
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from punctual.actions import Refused, learning
from punctual.charts import drawn, one_in
from punctual.models import db
from punctual.queries import learned
from punctual.queries import summary as queries
from punctual.web import board_forms as form
from punctual.web.access import allow
from punctual.web.board_forms import back

door = Blueprint("summary", __name__)

#: Spans that can be shown, in days.
SPANS = (7, 30, 84)
PAGE = "/board/summary"


@door.get("/summary")
@allow("dispatcher")
def page() -> str:
    """How punctual we were, as far as there is history."""
    s = db.session()
    days = asked()
    known = learned.learned(s)
    x = kept(s, known, days)
    return render_template(
        "summary/page.html",
        x=x,
        c=drawn(x, known) if x is not None else None,
        known=known,
        one_in=one_in,
        span=days,
        spans=[(n, _("Last %(n)s days", n=n)) if n < 84 else (n, _("Last 12 weeks")) for n in SPANS],
    )


def asked() -> int:
    """How many days are asked for; 12 weeks unless a span of the list is chosen."""
    value = request.args.get("span", "")
    return int(value) if value in {str(n) for n in SPANS} else SPANS[-1]


def kept(s: Session, known: learned.Known, days: int) -> queries.Summary | None:
    """The summary of the newest so many days, worked out once per version of what was learned; None without any."""
    cache: dict[Any, queries.Summary | None] = current_app.extensions.setdefault("punctual_summary", {})
    key = (known.version, days)
    if key not in cache:
        for old in [k for k in cache if k[0] != known.version]:
            del cache[old]
        cache[key] = _summary(s, days)
    return cache[key]


def _summary(s: Session, days: int) -> queries.Summary | None:
    span = queries.span(s)
    if span is None:
        return None
    first: date = max(span[0], span[1] - timedelta(days=days - 1))
    return queries.summary(s, first, span[1])


@door.post("/summary/budget")
@allow("dispatcher")
def budget() -> Response:
    """Choose a false-alarm budget of the curve."""
    try:
        chosen = float(request.form.get("budget", ""))
    except ValueError:
        raise Refused("Choose a budget from the table.", status=422, field="budget") from None
    learning.choose_budget(chosen)
    return back(f"{PAGE}#budget")


@door.post("/summary/plan")
@allow("dispatcher")
def plan() -> Response:
    """Plan other minutes for a kind of work from now on."""
    learning.plan(form.chosen("job"), form.number("minutes", low=5, high=1440))
    return back(f"{PAGE}#plans")


@door.post("/summary/days")
@allow("dispatcher")
def days() -> Response:
    """Forget a day, or take it back."""
    learning.mark(
        form.day("date"), forgotten=not form.ticked("back"), note=form.text("why", 200), at=g.at, by=g.user.name
    )
    return back(f"{PAGE}#forget")
