"""The anchor of the tap's cost: Flask and SQLAlchemy Core committing one row, with no product in it."""

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


metadata.create_all(engine)
app = Flask(__name__)


@app.post("/tap")
def do_tap() -> Response:
    with engine.begin() as connection:
        connection.execute(tap.insert(), {"technician": 1, "kind": "late", "at": time.time()})
    return jsonify(ok=True)
