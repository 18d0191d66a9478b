"""What a replay found as one file: the manager's summary with its plots and styles inside."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from flask import Flask, render_template
from markupsafe import Markup
from sqlalchemy import func, select

from punctual import learn
from punctual.actions import transaction
from punctual.charts import drawn, one_in
from punctual.core.day import at_wall
from punctual.models import Visit, db
from punctual.queries import learned
from punctual.queries import summary as queries

#: The pages' own sheets, put into the file.
SHEETS = ("tokens.css", "summary.css")


def page(app: Flask, *, in_time: float, lines: str, recorded_from: date, before: int) -> str:
    """The summary of the days replayed in this application, as HTML; `before`: visits that were learned from before.

    The replayed days are looked back at as any night would, so that chances and ranges can be judged.
    """
    with app.test_request_context():
        last: date = db.session.scalar(select(func.max(Visit.date))) or recorded_from
        found = learn.find(db.session(), at=at_wall(last + timedelta(days=1), 12, 0, "UTC"))
        with transaction() as s:
            learn.keep(s, found)
        known = learned.learned(db.session())
        x = queries.summary(db.session(), recorded_from, last, in_time=in_time)
        return render_template(
            "summary/file.html",
            x=x,
            c=drawn(x, known),
            known=known,
            one_in=one_in,
            lines=lines,
            learned=before,
            style=Markup("\n".join(_sheet(app, name) for name in SHEETS)),
        )


def _sheet(app: Flask, name: str) -> str:
    return (Path(app.static_folder or "") / name).read_text(encoding="utf-8")
