"""What watching costs: the board unchanged and after one change, and a customer's live page, round by round.

    python -m tests.bench.bench_board [--technicians 50 500 2000] [--rounds 7] [--strict]

Unchanged: a conditional GET answered 304, against Flask's hello, both served by one gunicorn worker; CPU is what the
kernel counted for the server process. After one change: the rows of the largest board when one technician's line has
changed, against rendering all of them, in this process. The live page: one customer's, against one row and a small
template, served like the first.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import update
from werkzeug.test import EnvironBuilder

from punctual import clock, links
from punctual.actions import transaction
from punctual.models import Visit, db, touch_board
from punctual.queries import board as queries
from punctual.web import board
from punctual.worker import Worker
from tests import build
from tests.bench import crowd
from tests.bench.bench_everyone import spread
from tests.bench.bench_tap import Side, served
from tests.web import desk

UNCHANGED, CHANGED, PAGE = 2.0, 0.3, 0.8
ROWS = f"/board/rows?day={build.DATE.isoformat()}"
SIGNED_IN = {"Cookie": "punctual_dispatcher=secret"}
#: Noon, and all but standing still: the board is another one every minute.
CLOCK = f"{crowd.NOON.isoformat()} x0.001"


@dataclass
class Caller:
    """A browser without a network: one prepared request, answered by the application in this thread."""

    app: Flask
    path: str
    headers: dict[str, str]
    status: int = 200

    def once(self) -> tuple[str, list[tuple[str, str]]]:
        environ = EnvironBuilder(path=self.path.split("?")[0], query_string=self.path.partition("?")[2]).get_environ()
        environ |= {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in self.headers.items()}
        environ["wsgi.errors"] = io.StringIO()
        got: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
            got.append((status, headers))
            return lambda data: None

        body: Iterable[bytes] = self.app(environ, start)
        for _ in body:
            pass
        getattr(body, "close", lambda: None)()
        if int(got[0][0][:3]) != self.status:
            raise RuntimeError(f"{self.path} answered {got[0][0]} instead of {self.status}.")
        return got[0]

    def cost(self, times: int) -> float:
        """CPU milliseconds of one request."""
        before = time.process_time()
        for _ in range(times):
            self.once()
        return (time.process_time() - before) / times * 1000.0


def company(folder: Path, technicians: int) -> Flask:
    """A company at noon, everybody looked at, one dispatcher signed in."""
    folder.mkdir()
    app = crowd.make(folder, technicians)
    with app.app_context():
        Worker(app)._watch(crowd.NOON)
        desk.sit(app)
        db.session.remove()
    return app


def change(app: Flask, visit: int) -> None:
    """One technician's line shows something new."""
    with app.app_context(), transaction() as s:
        s.execute(update(Visit).where(Visit.id == visit).values(window_end=Visit.window_end, told_kind="late_first"))
        s.execute(
            update(Visit).where(Visit.id == visit).values(planned_start=crowd.NOON + timedelta(minutes=visit % 60))
        )
        touch_board(s, build.DATE)


def rows(app: Flask, forget: bool) -> float:
    """CPU milliseconds of the rows, with (or without) all that was kept of the lines."""
    if forget:
        board._line.cache_clear()
        queries._line.cache_clear()
        for kept in ("punctual_board", "punctual_lines"):
            app.extensions.get(kept, {}).clear()
    return Caller(app, ROWS, SIGNED_IN).cost(1)


def fill(folder: Path) -> dict[str, str]:
    """Where the anchors find their one row."""
    os.environ["BARE_URL"] = f"sqlite:///{folder}/bare.db"
    module = importlib.import_module("tests.bench.bare")
    with module.engine.begin() as c:
        c.execute(module.job.insert(), {"token": "tok", "customer": "Grace", "technician": "Tom", "eta": "14:20-15:05"})
    return {"BARE_URL": os.environ["BARE_URL"]}


def customer(app: Flask, visit: int) -> str:
    """The path of a customer's live page."""
    with app.app_context():
        with transaction() as s:
            token = links.make(s, app.config["SETTINGS"].key("link"), "customer", visit, at=crowd.NOON)
        db.session.remove()
    return f"/c/{token}"


def environment(folder: Path) -> dict[str, str]:
    """What a server of that company is started with."""
    url = f"sqlite:///{folder}/crowd.db"
    return {"PUNCTUAL_INSTANCE": str(folder), "DATABASE_URL": url, "PUNCTUAL_CLOCK": CLOCK}


def measure(folder: Path, sizes: list[int], rounds: int) -> list[bool]:
    """Run the rounds, print, and say which goals were met."""
    apps = {n: company(folder / str(n), n) for n in sizes}
    clock.configure(CLOCK)
    path, large = customer(apps[sizes[0]], 5), apps[sizes[-1]]
    etags = {n: dict(Caller(app, ROWS, SIGNED_IN).once()[1])["ETag"] for n, app in apps.items()}
    got: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    with ExitStack() as stack:
        anchor = Side(*stack.enter_context(served("tests.bench.bare:app", fill(folder), folder)))
        sides = {
            n: Side(*stack.enter_context(served("punctual.app:create_app()", environment(folder / str(n)), folder)))
            for n in sizes
        }
        for i in range(rounds + 1):
            now = {"hello": anchor.round([("/hello", b"", {})] * 400, "GET")}
            for n, side in sides.items():
                poll = (ROWS, b"", SIGNED_IN | {"If-None-Match": etags[n]})
                now[f"304 with {n}"] = side.round([poll] * 200, "GET")
            now["row"] = anchor.round([("/status/tok", b"", {})] * 200, "GET")
            now["page"] = sides[sizes[0]].round([(path, b"", {})] * 50, "GET")
            if i:  # the first round warms up
                _note(got, costs, now, sizes)
    for i in range(rounds + 1):
        full = rows(large, forget=True)
        change(large, crowd.VISITS * (i + 1))
        changed = rows(large, forget=False)
        if i:
            got.setdefault("after one change / full render", []).append(changed / full)
            costs.setdefault("full render", []).append(full)
            costs.setdefault("after one change", []).append(changed)
    print("CPU ms: " + ", ".join(f"{name} {statistics.median(v):.2f}" for name, v in costs.items()))
    return [_met(name, ratios) for name, ratios in got.items()]


def _note(got: dict[str, list[float]], costs: dict[str, list[float]], now: dict[str, float], sizes: list[int]) -> None:
    for name, value in now.items():
        costs.setdefault(name, []).append(value)
    for n in sizes:
        got.setdefault(f"unchanged, {n} technicians / hello", []).append(now[f"304 with {n}"] / now["hello"])
    got.setdefault("one row and a small template / live page", []).append(now["row"] / now["page"])


def _met(name: str, ratios: list[float]) -> bool:
    goal = CHANGED if "change /" in name else PAGE if "live page" in name else UNCHANGED
    print(f"{name}: {spread(ratios)}, goal {'>=' if goal == PAGE else '<='} {goal:g}")
    mid = statistics.median(ratios)
    return mid >= goal if goal == PAGE else mid <= goal


def main() -> int:
    parser = argparse.ArgumentParser(description="The board and a customer's page against bare anchors.")
    parser.add_argument("--technicians", type=int, nargs="+", default=[50, 500, 2000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        met = all(measure(Path(name), sorted(given.technicians), given.rounds))
    return int(given.strict and not met)


if __name__ == "__main__":
    sys.exit(main())
