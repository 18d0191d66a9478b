"""What a tap costs: server CPU of `POST /t/visits/<id>/late` against a bare Flask + SQLAlchemy commit, round by round.

    python -m tests.bench.bench_tap [--rounds 9] [--taps 150] [--strict]

Both are served by one gunicorn worker each on SQLite with synchronous=FULL; the sides take turns, ratios are taken
within a round, CPU is what the kernel counted for the server process. Each tap comes over a connection of its own, as from
a phone that taps every quarter of an hour, and then all of them over one that is kept open, as from a proxy that keeps
one. The goal is twice the anchor. Last, without a goal, taps of which each has to tell a customer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path

from punctual import links
from punctual.actions import technician, transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.migrations import upgrade
from punctual.models import Signin, db
from tests import build
from tests.postgres import free_port

GOAL = 2.0
#: So many for each reading that nobody taps more than a few times, as on a day: the reports about a visit are read with each
#: of them, and many minutes late would tell customers. Fewer than the days whose plan a process remembers.
TECHNICIANS, HOURS = 250, (9, 10, 11, 13, 14, 15)
#: Late by so little that it tells nobody, and by so much that it tells whoever is next.
LITTLE, MUCH = 1, 60
#: So few at once are no storm (Rules.storm_all), about which more would be asked.
TELLING = 50
DAY = "\n".join(
    f"T{t} 08:00-17:00 home 51.45,-2.58\n"
    + "\n".join(f"  {h:02}:00-{h:02}:30 C{t}x{h} boiler 45 at 51.46{h},-2.59{t}" for h in HOURS)
    for t in range(1000, 1000 + 2 * TECHNICIANS + TELLING)
)


@contextmanager
def served(target: str, env: dict[str, str], folder: Path) -> Iterator[tuple[int, int]]:
    """A gunicorn with one worker: its port, and the process id whose CPU counts."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", target, "-b", f"127.0.0.1:{port}", "-w", "1"]
    command += ["--threads", "4", "--keep-alive", "60"]
    with (folder / f"{port}.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | env, stdout=log, stderr=log)
    try:
        yield port, worker_of(server.pid, port)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def worker_of(master: int, port: int) -> int:
    """The worker's process id, once it answers."""
    for _ in range(200):
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/healthz")
            children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
            if children:
                return int(children[0])
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("The server did not start; its log is in the temporary folder.")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads: its clock, as clock_getcpuclockid(3) names it. The kernel's ticks
    of 10 ms are a fourteenth of a round of the anchor."""
    return time.clock_gettime((~pid << 3) | 2)


def prepare(folder: Path) -> list[tuple[int, str]]:
    """A day of many technicians, each at the first visit: (visit id, session secret)."""
    app = create_app(Settings(instance=folder, database_url=f"sqlite:///{folder}/tap.db"))
    with app.app_context():
        upgrade()
        with transaction() as s:
            built = build.day(s, DAY)
            at = build.wall("09:05")
            found = []
            for name, person in built.technicians.items():
                secret = links.secret()
                s.add(
                    Signin(
                        token_hash=links.hashed(secret),
                        technician_id=person.id,
                        created_at=at,
                        expires_at=at + timedelta(days=30),
                    )
                )
                found.append((built.visits[f"C{name[1:]}x9"].id, person.id, secret))
        for visit, person_id, _ in found:
            key = uuid.uuid4().hex
            technician.report(visit, "arrived", technician_id=person_id, key=key, tapped_at=at, at=at)
        db.session.remove()
        db.engine.dispose()
    return [(visit, secret) for visit, _, secret in found]


class Side:
    """One server under load; from one kept-open connection unless each request is to have its own."""

    def __init__(self, port: int, pid: int) -> None:
        self.pid, self.connection = pid, http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.apart, self.last = False, b""

    def round(self, requests: list[tuple[str, bytes, dict[str, str]]], method: str = "POST") -> float:
        """Server CPU of one request, in milliseconds; without a body it is asked for (GET)."""
        before = cpu_seconds(self.pid)
        for path, body, headers in requests:
            if self.apart:
                self.connection.close()
            self.connection.request(method, path, body or None, {"Content-Type": "application/json", **headers})
            answer = self.connection.getresponse()
            text = self.last = answer.read()
            if answer.status >= 300 and answer.status != 304:
                raise RuntimeError(f"{path} answered {answer.status}: {text[:300]!r}")
        return (cpu_seconds(self.pid) - before) / len(requests) * 1000.0


def taps(
    days: list[tuple[int, str]], n: int, at: str, minutes: int = LITTLE
) -> list[tuple[str, bytes, dict[str, str]]]:
    """n taps "late", each with a key of its own, by one technician after the other."""
    found = []
    for visit, secret in islice(cycle(days), n):
        body = json.dumps({"key": uuid.uuid4().hex, "tapped_at": at, "minutes": minutes}).encode()
        headers = {"Cookie": f"punctual_technician={secret}", "Accept": "application/json"}
        found.append((f"/t/visits/{visit}/late", body, headers))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Server CPU of a tap against a bare commit.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--taps", type=int, default=150)
    parser.add_argument("--strict", action="store_true", help="exit 1 above the goal")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        days = prepare(folder)
        env = {
            "PUNCTUAL_INSTANCE": name,
            "DATABASE_URL": f"sqlite:///{folder}/tap.db",
            "PUNCTUAL_CLOCK": "2026-11-24T09:10+00:00 x1",
        }
        bare = {"BARE_URL": f"sqlite:///{folder}/bare.db"}
        with served("tests.bench.bare:app", bare, folder) as a, served("punctual.app:create_app()", env, folder) as b:
            anchor, product = Side(*a), Side(*b)
            each, once = (given.rounds, given.taps), (given.rounds, TELLING // (given.rounds + 1))
            anchor.apart = product.apart = True
            print("each over a connection of its own")
            found = [measure(anchor, product, days[:TECHNICIANS], *each)]
            anchor.apart = product.apart = False
            print("all over a connection kept open")
            found.append(measure(anchor, product, days[TECHNICIANS : 2 * TECHNICIANS], *each))
            print("the same, and each tells a customer (without a goal)")
            measure(anchor, product, days[2 * TECHNICIANS :], *once, minutes=MUCH)
    return int(given.strict and max(found) > GOAL)


def measure(
    anchor: Side, product: Side, days: list[tuple[int, str]], rounds: int, n: int, *, minutes: int = LITTLE
) -> float:
    """Print what a tap costs in rounds of n, after one that warms up; returns the median ratio."""
    ratios, costs = [], []
    tapped = taps(days, (rounds + 1) * n, build.wall("09:10").isoformat(), minutes)
    for i in range(rounds + 1):
        sides = {anchor: [("/tap", b"{}", {})] * n, product: tapped[i * n : (i + 1) * n]}
        order = list(sides) if i % 2 else list(sides)[::-1]
        cost = {side: side.round(sides[side]) for side in order}
        if i:
            ratios.append(cost[product] / cost[anchor])
            costs.append((cost[anchor], cost[product]))
        told = json.loads(product.last)["told"]
        if bool(told) != (minutes == MUCH):
            raise RuntimeError(f"A tap of {minutes} min late told {told}: this is not what was to be measured.")
    ratio = statistics.median(ratios)
    bare_ms, tap_ms = (statistics.median(c[k] for c in costs) for k in (0, 1))
    print(f"  tap {tap_ms:.2f} ms CPU, bare commit {bare_ms:.2f} ms CPU")
    print(
        f"  ratio {ratio:.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})"
        + (f", goal {GOAL:g}" if minutes == LITTLE else "")
    )
    return ratio


if __name__ == "__main__":
    sys.exit(main())
