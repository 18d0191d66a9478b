"""What starting costs and what an idle process holds, against the bare application, round by round.

    python -m tests.bench.bench_start [--rounds 7] [--strict]

A process imports the application, answers its first request and says how much CPU that took and how much memory it
holds then. Wall time is printed beside it: files that are read for the first time make it long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from punctual.app import create_app
from punctual.config import Settings
from punctual.migrations import upgrade
from tests.bench.bench_everyone import spread

#: Times the bare application's, of CPU until the first answer and of resident memory.
GOAL = 2.0
_TOLD = """
answer = app.test_client().get(path)
assert answer.status_code == 200, answer.status_code
pages = int(open("/proc/self/statm").read().split()[1])
print(json.dumps({"cpu": 1000 * time.process_time(), "mib": pages * resource.getpagesize() / 2**20}))
"""
_FIRST = "import json, resource, time\n"
BARE = _FIRST + "from tests.bench.bare import app\npath = '/hello'" + _TOLD
OURS = _FIRST + "from punctual.app import create_app\napp = create_app()\npath = '/board/sign-in'" + _TOLD


def started(code: str, env: dict[str, str]) -> dict[str, float]:
    """CPU milliseconds, resident MiB and wall milliseconds of one process."""
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"wall": 1000 * (time.perf_counter() - before)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Cold start and idle memory against the bare application.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strict", action="store_true", help="exit 1 above the goal")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(instance=Path(name), database_url=f"sqlite:///{name}/start.db")
        with create_app(settings).app_context():
            upgrade()
        env = {
            "PUNCTUAL_INSTANCE": name,
            "DATABASE_URL": settings.database_url,
            "BARE_URL": f"sqlite:///{name}/bare.db",
        }
        rounds = [(started(OURS, env), started(BARE, env)) for _ in range(given.rounds + 1)][1:]
    met = True
    for what, unit, judged in (("cpu", "ms CPU", True), ("mib", "MiB", True), ("wall", "ms wall", False)):
        ratio = [ours[what] / bare[what] for ours, bare in rounds]
        sides = " against ".join(
            f"{statistics.median(x[what] for x in side):.0f}" for side in zip(*rounds, strict=True)
        )
        print(f"start, {sides} {unit}: {spread(ratio)}" + (f", goal {GOAL:g}" if judged else ""))
        met &= not judged or statistics.median(ratio) <= GOAL
    return int(given.strict and not met)


if __name__ == "__main__":
    sys.exit(main())
