"""A company of any size in the middle of its day, written straight into SQLite: what the benches look at."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from flask import Flask
from sqlalchemy import CursorResult, insert, text
from sqlalchemy.orm import Session

from punctual.actions import transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.migrations import upgrade
from punctual.models import Customer, JobType, Notice, Place, Shift, Technician, Travel, Visit, db
from tests import build

VISITS = 8
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
OPENS = datetime(2026, 11, 24, 8, tzinfo=UTC)
PLANNED = 45.0
FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def application(folder: Path, name: str = "crowd.db") -> Flask:
    """The product on that database."""
    return create_app(Settings(instance=folder, database_url=f"sqlite:///{folder / name}", origin="http://localhost"))


def make(folder: Path, technicians: int, at: datetime = NOON, name: str = "crowd.db") -> Flask:
    """A migrated database with that many technicians of VISITS visits each, as their taps leave it at that moment."""
    app = application(folder, name)
    with app.app_context():
        upgrade()
        with transaction() as s:
            s.execute(text("CREATE TABLE truth (visit_id INTEGER PRIMARY KEY, arrives TEXT, ends TEXT)"))
            build.company(s)
            s.add(JobType(id=1, name="boiler", public_name="Boiler service", planned_min=PLANNED))
            s.flush()
            r = random.Random(technicians)
            for low in range(1, technicians + 1, 500):
                _fill(s, range(low, min(low + 500, technicians + 1)), at, r)
        db.session.remove()
        db.engine.dispose()
    return app


def _t(at: datetime) -> str:
    return at.strftime(FORMAT)


def _fill(s: Session, technicians: range, at: datetime, r: random.Random) -> None:
    """Some technicians with their day, through the tables themselves."""
    rows: dict[Any, list[dict[str, Any]]] = {m: [] for m in (Technician, Place, Travel, Shift, Customer, Visit, Notice)}
    truth = []
    for t in technicians:
        rows[Technician].append(
            {"id": t, "ref": f"T{t}", "name": f"Tom{t} Hale", "email": f"tom{t}@bellweather.example"}
        )
        rows[Shift].append(
            {
                "id": t,
                "technician_id": t,
                "date": build.DATE,
                "starts_at": OPENS,
                "ends_at": OPENS + timedelta(hours=10),
            }
        )
        free = OPENS + timedelta(minutes=r.gauss(5, 5))
        for k in range(VISITS):
            v = (t - 1) * VISITS + k + 1
            opens = OPENS + timedelta(minutes=70 * k)
            begin = max(free + timedelta(minutes=14), opens - timedelta(minutes=10))
            free = begin + timedelta(minutes=PLANNED * r.lognormvariate(0.05, 0.35))
            truth.append({"v": v, "a": _t(begin), "e": _t(free)})
            place = {"id": v, "address": f"{v} Upton Road, Bristol", "state": "known"}
            rows[Place].append(place | {"lat": 51.4 + r.random() / 10, "lon": -2.6 + r.random() / 10})
            if k:
                way = {"from_place": v - 1, "to_place": v, "minutes": 9.0 + 8.0 * r.random()}
                rows[Travel].append(way | {"source": "router", "at": build.LONG_AGO})
            rows[Customer].append(
                {"id": v, "name": f"Customer{v} Whitfield", "email": f"c{v}@example.com", "created_at": build.LONG_AGO}
            )
            rows[Visit].append(
                {
                    "id": v,
                    "customer_id": v,
                    "technician_id": t,
                    "job_type_id": 1,
                    "place_id": v,
                    "date": build.DATE,
                    "zone": build.ZONE,
                    "planned_start": opens,
                    "planned_min": PLANNED,
                    "window_start": opens,
                    "window_end": opens + timedelta(minutes=30),
                    "wall_start": "",
                    "wall_end": "",
                    "state": "done" if free <= at else "arrived" if begin <= at else "planned",
                    "arrived_at": begin if begin <= at else None,
                    "finished_at": free if free <= at else None,
                    "uid": f"{v}@bellweather.example",
                    "created_at": build.LONG_AGO,
                    "changed_at": build.LONG_AGO,
                }
            )
            told = {"key": f"{v}:1:booked:1", "visit_id": v, "shift_id": t, "decision": "tell", "kind": "booked"}
            rows[Notice].append(told | {"reason": "booked", "at": build.LONG_AGO})
    for model, values in rows.items():
        s.connection().execute(insert(model.__table__), values)
    s.execute(text("INSERT INTO truth VALUES (:v, :a, :e)"), truth)


def taps(at: datetime) -> int:
    """What technicians have tapped until `at`, in the application's context; returns how many visits have changed."""
    tapped = (
        "UPDATE visit SET state = 'arrived', changed_at = :now, arrived_at = (SELECT arrives FROM truth WHERE visit_id = id)"
        " WHERE state = 'planned' AND id IN (SELECT visit_id FROM truth WHERE arrives <= :now)",
        "UPDATE visit SET state = 'done', changed_at = :now, finished_at = (SELECT ends FROM truth WHERE visit_id = id)"
        " WHERE state = 'arrived' AND id IN (SELECT visit_id FROM truth WHERE ends <= :now)",
    )
    with transaction() as s:
        return sum(cast(CursorResult[Any], s.execute(text(sql), {"now": _t(at)})).rowcount for sql in tapped)
