"""How long a tap takes while everyone is re-forecast, against the same taps without it.

    python -m tests.bench.bench_during [--technicians 2000] [--rounds 3] [--taps 150]

One gunicorn worker answers taps over one kept-open connection; beside it a process looks at everyone again and again, as
the worker does every minute. Printed: p50 and p99 with and without, and their ratios, round by round. Not judged: wall
time on a shared machine says little.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from punctual import links
from punctual.actions import transaction
from punctual.models import Signin, Visit, db
from tests.bench import bench_tap, crowd
from tests.bench.bench_board import CLOCK, environment
from tests.bench.bench_everyone import Side, spread

GOAL = 5.0


def phones(folder: Path, most: int = 60) -> list[tuple[int, str]]:
    """Visits under way, each with the session of its technician's phone."""
    app, found = crowd.application(folder), []
    with app.app_context():
        with transaction() as s:
            under_way = select(Visit).where(Visit.state == "arrived").order_by(Visit.id).limit(most)
            for visit in s.scalars(under_way):
                secret = links.secret()
                s.add(
                    Signin(
                        token_hash=links.hashed(secret),
                        technician_id=visit.technician_id,
                        created_at=crowd.NOON,
                        expires_at=crowd.NOON + timedelta(days=30),
                    )
                )
                found.append((visit.id, secret))
        db.session.remove()
        db.engine.dispose()
    return found


def latencies(side: bench_tap.Side, requests: list[tuple[str, bytes, dict[str, str]]]) -> tuple[float, float]:
    """p50 and p99 of one tap after the other, milliseconds."""
    took = []
    for request in requests:
        before = time.perf_counter()
        side.round([request])
        took.append((time.perf_counter() - before) * 1000.0)
    took.sort()
    return statistics.median(took), took[int(0.99 * (len(took) - 1))]


class Looking:
    """Everyone is looked at again and again while this is open."""

    def __init__(self, everyone: Side) -> None:
        self.everyone, self.over, self.looks = everyone, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.over.is_set():
            self.everyone.ask("look")
            self.looks += 1

    def __enter__(self) -> Looking:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description="Taps while everyone is re-forecast.")
    parser.add_argument("--technicians", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--taps", type=int, default=150)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everyone = Side(given.technicians, folder)
        everyone.ask("look")
        days = phones(folder)
        at = crowd.NOON.isoformat()
        calm, busy, looks = [], [], 0
        with bench_tap.served("punctual.app:create_app()", environment(folder), folder) as server:
            side = bench_tap.Side(*server)
            side.round(bench_tap.taps(days, 30, at))
            for _ in range(given.rounds):
                calm.append(latencies(side, bench_tap.taps(days, given.taps, at)))
                with Looking(everyone) as looking:
                    busy.append(latencies(side, bench_tap.taps(days, given.taps, at)))
                looks += looking.looks
        everyone.close()
    print(f"{given.technicians} technicians; {looks} looks at everyone during the taps; clock {CLOCK}")
    for k, what in enumerate(("p50", "p99")):
        ratio = [b[k] / c[k] for b, c in zip(busy, calm, strict=True)]
        print(f"tap {what}: {spread([c[k] for c in calm], 1)} ms alone, {spread([b[k] for b in busy], 1)} ms during")
        print(f"  ratio {spread(ratio)}" + (f", goal {GOAL:g}" if what == "p99" else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
