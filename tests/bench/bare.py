"""The anchors: Flask and SQLAlchemy Core committing one row, saying hello, showing one row - with no product in it."""

from __future__ import annotations

import os
import time

import sqlalchemy as sa
from flask import Flask, Response, jsonify

engine = sa.create_engine(os.environ["BARE_URL"], pool_size=8)
metadata = sa.MetaData()
tap = sa.Table(
    "bare_tap",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("technician", sa.Integer),
    sa.Column("kind", sa.Text),
    sa.Column("at", sa.Float),
)


@sa.event.listens_for(engine, "connect")
def _connect(dbapi: sa.engine.interfaces.DBAPIConnection, record: object) -> None:
    cursor = dbapi.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


job = sa.Table(
    "bare_job",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token", sa.Text, unique=True),
    sa.Column("customer", sa.Text),
    sa.Column("technician", sa.Text),
    sa.Column("eta", sa.Text),
)
metadata.create_all(engine)
app = Flask(__name__)
app.secret_key = "anchor"  # Flask looks for a session in every request, as in any application that has some
STATUS = app.jinja_env.from_string(
    "<!doctype html><html><head><title>Your visit</title></head><body><h1>Hello {{ j.customer }}</h1>"
    "<p>{{ j.technician }} is on the way.</p><p>Expected between <b>{{ j.eta }}</b></p>"
    "{% for step in steps %}<li>{{ step }}</li>{% endfor %}"
    "<form method=post><input type=hidden name=csrf value=x><button>Another time</button></form></body></html>"
)


@app.post("/tap")
def do_tap() -> Response:
    with engine.begin() as connection:
        connection.execute(tap.insert(), {"technician": 1, "kind": "late", "at": time.time()})
    return jsonify(ok=True)


@app.get("/hello")
def hello() -> str:
    return "ok"


@app.get("/status/<token>")
def status(token: str) -> str:
    """One row and a small template."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(job).where(job.c.token == token)).one()
    return STATUS.render(j=row, steps=["Booked", "Confirmed", "On the way", "Arrived", "Done"])
