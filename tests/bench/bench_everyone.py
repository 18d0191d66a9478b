"""What re-forecasting everyone costs: read, forecast, decide and write against the NumPy work alone, round by round.

    python -m tests.bench.bench_everyone [--technicians 1000 10000] [--rounds 5] [--strict]
    python -m tests.bench.bench_everyone --technicians 30000 --rounds 3      inside 5 s on one core

Each size has a process of its own on SQLite with synchronous=FULL, in the middle of its day: a round lets a minute pass
and its taps come in, then the worker looks at everyone (`whole`). The NumPy work alone (`numpy`) is that worker's own
work on the same days once they lie in memory as columns, and nothing else: every visit's forecast, when each next report
is due, who is told nothing and why, what is to be kept and whether it has moved. In it is no statement, no row read or
written, no decision about a single visit, no packing or unpacking of what is kept. Growth is the whole of the largest size over the whole of the smallest, taken in the same round. Memory is
the highest resident size of all rounds over the idle process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from punctual import watch
from punctual.actions import transaction
from punctual.core import forecast as core
from punctual.core.day import minutes
from punctual.models import db
from punctual.queries import columns
from punctual.queries import day as queries
from punctual.queries.others import others
from punctual.queries.taught import current
from punctual.worker import PIECE, Worker
from tests.bench import crowd

WHOLE, GROWTH, MEMORY_MIB = 2.0, 12.0, 96.0
#: So many technicians inside so many seconds on one core: judged by CPU, which no other process takes away.
MANY, MANY_S = 30_000, 5.0


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def resident_mib() -> float:
    """Present resident size."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mib() -> float:
    """The highest resident size since this process began or forget_peak() was called."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Company:
    """One size, in this process; `minute` minutes after noon."""

    def __init__(self, folder: Path) -> None:
        self.app = crowd.application(folder)
        self.worker = Worker(self.app)
        self.minute = 0
        with self.app.app_context():
            first = queries.in_progress(db.session(), crowd.NOON)[:1]
            watch.think(db.session(), first, at=crowd.NOON)
            db.session.rollback()
        self.idle = resident_mib()
        forget_peak()

    def look(self) -> dict[str, float]:
        """A minute later, with its taps: the worker looks at everyone."""
        self.minute += 1
        at = crowd.NOON + timedelta(minutes=self.minute)
        with self.app.app_context():
            crowd.taps(at)
            found = timed(lambda: self.worker._watch(at))
        return found | {"over_idle_mib": peak_mib() - self.idle}

    def numpy(self) -> dict[str, float]:
        """The same days in memory: the worker's own work on columns, from what was read to what is to be written."""
        at = crowd.NOON + timedelta(minutes=self.minute)
        with self.app.app_context():
            s = db.session()
            ids, (rules, zone), learned = queries.in_progress(s, at), queries.company(s), current(s)
            seen = [columns.see(s, ids[i : i + PIECE]) for i in range(0, len(ids), PIECE)]
            fleet = others(s, at, learned)
            s.rollback()

            def work() -> None:
                for x in seen:
                    watch.worked_out(x, rules, zone, learned, fleet, at)

            found = timed(work)
            seen.clear()  # held for this alone
        forget_peak()
        return found

    def one(self) -> dict[str, float]:
        """One technician's day: the core's forecast, and the whole look in a transaction. Median milliseconds."""
        at = crowd.NOON + timedelta(minutes=self.minute)
        with self.app.app_context():
            s = db.session()
            ids, rules, learned = queries.in_progress(s, at), queries.rules(s), current(s)
            days = columns.see(s, ids[:1]).days
            forecast, whole = [], []
            for i in ids[:40]:
                forecast.append(
                    timed(lambda: core.forecast(days, learned, minutes(at), threshold=rules.threshold_min))["cpu"]
                )
                with transaction() as w:
                    whole.append(timed(lambda w=w, i=i: watch.look(w, [i], at=at, cause="report:1"))["cpu"])  # type: ignore[misc]
        return {"forecast": 1000 * statistics.median(forecast), "look": 1000 * statistics.median(whole)}

    def count(self) -> dict[str, float]:
        """How much there is to do at this minute, as shares of the visits and of the days."""
        at = crowd.NOON + timedelta(minutes=self.minute + 1)
        with self.app.app_context():
            s = db.session()
            t = watch.think(s, queries.in_progress(s, at)[:PIECE], at=at)
            s.rollback()
        share = {"alone": t.alone, "plain": t.plain, "moved": t.moved, "busy": t.busy}
        return {name: float(np.mean(x)) for name, x in share.items()}


def serve(folder: Path) -> None:
    """Answer look, numpy, one and count, a line each, until the input ends."""
    company = Company(folder)
    for line in sys.stdin:
        print(json.dumps(getattr(company, line.strip())()), flush=True)


class Side:
    """A size in a process of its own."""

    def __init__(self, technicians: int, folder: Path) -> None:
        self.technicians = technicians
        subprocess.run([*COMMAND, "--make", str(technicians), "--folder", str(folder)], check=True)
        self.process = subprocess.Popen(
            [*COMMAND, "--serve", "--folder", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what: str) -> dict[str, float]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


COMMAND = [sys.executable, "-m", "tests.bench.bench_everyone"]


def spread(values: list[float], digits: int = 2) -> str:
    """Median (lowest to highest)."""
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{mid:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def measure(sides: list[Side], rounds: int) -> list[bool]:
    """Run the rounds, print, and say which goals were met."""
    first = {s.technicians: s.ask("look") for s in sides}
    whole: dict[int, list[dict[str, float]]] = {s.technicians: [] for s in sides}
    alone: dict[int, list[dict[str, float]]] = {s.technicians: [] for s in sides}
    for i in range(rounds):
        for side in sides if i % 2 == 0 else sides[::-1]:
            whole[side.technicians].append(side.ask("look"))
            alone[side.technicians].append(side.ask("numpy"))
    met = []
    for side in sides:
        n = side.technicians
        w, a = whole[n], alone[n]
        ratio = [x["wall"] / y["wall"] for x, y in zip(w, a, strict=True)]
        memory = max(x["over_idle_mib"] for x in [first[n], *w])
        met += [statistics.median(ratio) <= WHOLE, memory <= MEMORY_MIB]
        work = ", ".join(f"{name} {share:.1%}" for name, share in side.ask("count").items())
        print(f"{n} technicians x {crowd.VISITS} visits; to do in the next minute: {work}")
        print(f"  first look of all: {first[n]['wall']:.2f} s wall, {first[n]['cpu']:.2f} s CPU")
        print(f"  whole {spread([x['wall'] for x in w])} s wall, {spread([x['cpu'] for x in w])} s CPU")
        if n >= MANY:
            met.append(statistics.median([x["cpu"] for x in w]) <= MANY_S * n / MANY)
            print(f"  on one core: goal {MANY_S * n / MANY:g} s CPU")
        print(f"  numpy alone {spread([x['wall'] for x in a])} s wall, {spread([x['cpu'] for x in a])} s CPU")
        print(
            f"  whole / numpy alone: {spread(ratio)}, goal {WHOLE:g}; peak over idle {memory:.0f} MiB, goal {MEMORY_MIB:g}"
        )
    if len(sides) > 1:
        small, large = sides[0].technicians, sides[-1].technicians
        growth = [x["wall"] / y["wall"] for x, y in zip(whole[large], whole[small], strict=True)]
        limit = GROWTH * large / small / 10
        met.append(statistics.median(growth) <= limit)
        print(f"growth {small} -> {large}: {spread(growth, 1)}, goal {limit:g}")
    one = sides[0].ask("one")
    print(f"one day: forecast {one['forecast']:.2f} ms CPU (goal 2), whole look {one['look']:.2f} ms CPU")
    return [*met, one["forecast"] <= 2.0]


def main() -> int:
    parser = argparse.ArgumentParser(description="Everyone re-forecast, against the NumPy work alone.")
    parser.add_argument("--technicians", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.make:
        crowd.make(given.folder, given.make)
    elif given.serve:
        serve(given.folder)
    else:
        with tempfile.TemporaryDirectory() as name:
            folders = [Path(name) / str(n) for n in sorted(given.technicians)]
            for folder in folders:
                folder.mkdir()
            sides = [Side(int(folder.name), folder) for folder in folders]
            try:
                met = all(measure(sides, given.rounds))
                return int(given.strict and not met)
            finally:
                for side in sides:
                    side.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
