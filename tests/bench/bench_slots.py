"""What a search for other times costs: 14 days, against reading the same rows with sqlite3 and finding the gaps with NumPy.

    python -m tests.bench.bench_slots [--rounds 7] [--technicians 10 100 1000] [--strict]

The sides take turns and ratios are taken within a round. `fit` is the first step on days that are packed already, as every
search after the first finds them; `both steps` adds the full forecast of what is offered; `one day anew` is the fit
after something has changed on one date; `nothing fits` is a job longer than every gap; `cold` packs all days (printed,
not judged). The goal is 1.5 times the floor, 1.2 usual searches for nothing.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from punctual.actions import transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.migrations import upgrade
from punctual.models import Technician, db, touch_board
from punctual.queries import slots
from tests import build

GOAL, NOTHING = 1.5, 1.2
DAYS, VISITS = 14, 8
NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
ROWS = """SELECT v.technician_id, v.date, v.planned_start, v.planned_min, v.window_end, p.lat, p.lon
FROM visit v JOIN place p ON p.id = v.place_id WHERE v.date BETWEEN ? AND ? ORDER BY v.technician_id, v.planned_start"""


def filled(technicians: int) -> tuple[int, int]:
    """A company whose technicians are about nine tenths busy; ids of a visit to move and of one that fits nowhere.

    Rows are copies of one that the product wrote, put in as they lie in the file: a hundred thousand in seconds.
    """
    random = np.random.default_rng(1)
    with transaction() as s:
        built = build.day(
            s, "Seed 08:00-17:00 skills boiler home 51.45,-2.60\n  09:00-09:30 Grace boiler 45 at 51.46,-2.6\n"
        )
        ids = built.visits["Grace"].id, built.technicians["Seed"].id, built.shifts["Seed"].id
        where = random.uniform(-0.05, 0.05, (technicians, 2)) + np.array([51.45, -2.6])
        home = s.get_one(Technician, ids[1]).home_place_id
        who = [1000 + n for n in range(technicians)]
        _copy(s, "place", home, ({"id": i, "lat": a, "lon": b} for i, (a, b) in zip(who, where.tolist(), strict=True)))
        _copy(s, "technician", ids[1], ({"id": i, "ref": f"T{i}", "home_place_id": i} for i in who))
        days = [(i, build.DATE + timedelta(days=d)) for i in who for d in range(DAYS + 1)]
        _copy(s, "shift", ids[2], ({"id": 10**6 + n, "technician_id": i, "date": str(on), "starts_at": _at(on, 0),
                                    "ends_at": _at(on, 540)} for n, (i, on) in enumerate(days)))  # fmt: skip
        visits = []
        for i, on in days:
            free = int(random.integers(VISITS)) if random.random() < 0.5 else -1
            for k in range(VISITS):
                if k != free:
                    begin = {"planned_start": _at(on, 65 * k), "window_start": _at(on, 65 * k)}
                    own = {"technician_id": i, "date": str(on), "place_id": 1000 + int(random.integers(technicians))}
                    visits.append({"id": 10**6 + len(visits), "ref": f"{i}-{on}-{k}", "uid": f"{i}-{on}-{k}", "planned_min": 40.0,
                                   "window_end": _at(on, 65 * k + 60), **begin, **own})  # fmt: skip
        _copy(s, "visit", ids[0], visits)
        _copy(s, "visit", ids[0], [{"id": 999, "ref": "long", "uid": "long", "planned_min": 600.0}])
    return ids[0], 999


def _at(on: date, minute: int) -> str:
    """An instant as it lies in the file, so many minutes after eight."""
    return f"{datetime(on.year, on.month, on.day, 8) + timedelta(minutes=minute)}.000000"  # noqa: DTZ001 - as stored


def _copy(s: Session, table: str, like: int | None, rows: Iterable[dict[str, Any]]) -> None:
    """Copies of one row that differ in some columns."""
    connection = s.connection()
    s.flush()
    seed = dict(connection.exec_driver_sql(f"SELECT * FROM {table} WHERE id = ?", (like,)).mappings().one())
    places = ", ".join("?" for _ in seed)
    values = [tuple((seed | row).values()) for row in rows]
    connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(seed)}) VALUES ({places})", values)


def floor(file: Path) -> int:
    """The rows and the gaps between them, with no product in it."""
    with sqlite3.connect(file) as connection:
        rows = connection.execute(ROWS, ("2026-11-24", "2026-12-08")).fetchall()
    who, day, start, long, _, lat, lon = zip(*rows, strict=True)
    begin = np.array(start, dtype="datetime64[s]").astype(np.int64) / 60.0
    same = (np.array(who)[1:] == np.array(who)[:-1]) & (np.array(day)[1:] == np.array(day)[:-1])
    gap = np.where(same, begin[1:] - begin[:-1] - np.array(long)[:-1], 0.0)
    apart = np.hypot(np.diff(np.array(lat)), np.diff(np.array(lon)))
    return int(((gap >= 45.0) & (apart >= 0.0)).sum())


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of this process's CPU: what else the machine does is no part of it."""
    begin = time.process_time()
    work()
    return 1000.0 * (time.process_time() - begin)


def fit(visit_id: int) -> int:
    """The first step alone: every start that fits."""
    s = db.session()
    return len(slots._fit(s, slots._search(s, visit_id, NOW)).found)


def changed() -> None:
    with transaction() as s:
        touch_board(s, build.DATE + timedelta(days=3))


def measure(technicians: int, rounds: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "punctual.db"
        app = create_app(Settings(instance=Path(folder), database_url=f"sqlite:///{file}"))
        with app.app_context():
            upgrade()
            grace, long = filled(technicians)
            s = db.session()
            cold = timed(lambda: fit(grace))
            took: dict[str, list[float]] = {}
            for _ in range(rounds):
                changed()
                round_ = {
                    "floor": timed(lambda: floor(file)),
                    "one day anew": timed(lambda: fit(grace)),
                    "fit": timed(lambda: fit(grace)),
                    "both steps": timed(lambda: slots.offers(s, grace, at=NOW)),
                    "nothing fits": timed(lambda: slots.offers(s, long, at=NOW)),
                }
                for name, value in round_.items():
                    took.setdefault(name, []).append(value)
            print(f"{technicians} technicians, {DAYS} days, {fit(grace)} free times; cold {cold:.0f} ms")
            db.session.remove()
            db.engine.dispose()
    return report(technicians, took)


def report(technicians: int, took: dict[str, list[float]]) -> bool:
    good = True
    for name, values in took.items():
        anchor = took["both steps"] if name == "nothing fits" else took["floor"]
        ratio = statistics.median(a / b for a, b in zip(values, anchor, strict=True))
        goal = NOTHING if name == "nothing fits" else GOAL
        judged = name != "floor" and not (technicians >= 1000 and name == "both steps")
        good &= not judged or ratio <= goal
        print(f"  {name:14} {statistics.median(values):8.1f} ms   {ratio:6.2f} {f'of {goal}' if judged else ''}")
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--technicians", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--strict", action="store_true")
    given = parser.parse_args()
    fine = [measure(n, given.rounds) for n in given.technicians]
    sys.exit(0 if all(fine) or not given.strict else 1)
