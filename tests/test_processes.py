"""Pages and worker are forked off one program: loaded once, nothing open is shared, and they end as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.postgres import free_port

BIN = Path(sys.executable).parent / "punctual"
#: What a process has open of the database: first forked while a connection is open, as must not be, then as it is.
OPEN = """
import os
from sqlalchemy import text
from punctual import processes
from punctual.app import create_app
from punctual.models import db

def look(app):
    files = [os.readlink(f"/proc/self/fd/{f}") for f in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{f}")]
    print(sum("punctual.db" in f for f in files), flush=True)

app = create_app()
with app.app_context():
    db.session.execute(text("SELECT 1"))
for child in processes._forked(app, {"look": look}):
    child.join()
print(processes.together(app, {"look": look}), flush=True)
"""


@pytest.fixture
def env(sqlite_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of an instance with an empty database and a port of its own."""
    port = free_port()
    return os.environ | {
        "PUNCTUAL_INSTANCE": str(tmp_path),
        "DATABASE_URL": sqlite_url,
        "PUNCTUAL_PORT": str(port),
        "PUNCTUAL_ORIGIN": f"http://127.0.0.1:{port}",
    }


def until(true: Callable[[], object], why: str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, why
        time.sleep(0.05)


def answers(env: dict[str, str]) -> bool:
    try:
        return httpx2.get(f"{env['PUNCTUAL_ORIGIN']}/board/sign-in", timeout=5, verify=False).status_code == 200
    except httpx2.HTTPError:
        return False


def children(pid: int) -> dict[str, int]:
    """The processes that one has forked, by name."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in found}


@contextmanager
def started(command: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that serves the pages, from its first answer on."""
    process = subprocess.Popen([BIN, command], env=env, stdout=subprocess.PIPE)
    try:
        until(lambda: answers(env) or process.poll() is not None, "the pages answer")
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_when_the_worker_dies_the_pages_end_too_and_whoever_started_them_is_told(env: dict[str, str]) -> None:
    with started("run", env) as process:
        until(lambda: set(children(process.pid)) == {"punctual-pages", "punctual-worker"}, "two named processes")
        born = children(process.pid)
        assert all(os.getsid(child) == child for child in born.values()), "Ctrl-C reaches the parent alone"
        alive = [*born.values(), *children(born["punctual-pages"]).values()]
        os.kill(born["punctual-worker"], signal.SIGKILL)
        assert process.wait(30) == 256 - signal.SIGKILL
        assert not [pid for pid in alive if Path(f"/proc/{pid}").exists()]


def test_ctrl_c_ends_the_pages_without_a_fault(env: dict[str, str], tmp_path: Path) -> None:
    with started("serve", env) as process:
        born = children(process.pid)
        alive = [*born.values(), *children(born["punctual-pages"]).values()]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not [pid for pid in alive if Path(f"/proc/{pid}").exists()]
        assert not list(tmp_path.glob("punctual.db-*")), "the database is one tidy file"


def test_whoever_serves_a_company_that_is_not_made_yet_is_told_how_to_make_it(env: dict[str, str]) -> None:
    sentence = b"Make one with `punctual init`."
    with started("serve", env) as process:
        assert process.stdout is not None
        assert sentence in process.stdout.readline()
        assert process.stdout.readline().startswith(f"Pages at {env['PUNCTUAL_ORIGIN']}".encode())
    working = subprocess.Popen([BIN, "worker"], env=env, stdout=subprocess.PIPE)
    with working, working.stdout as said:  # type: ignore[union-attr]
        assert sentence in said.readline()
        assert said.readline().startswith(b"Watching the days")
        working.terminate()


def test_no_connection_is_shared_by_two_processes(env: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", OPEN], env=env, capture_output=True, text=True, check=False)
    control, forked, code = (int(line) for line in done.stdout.split())
    assert control > 0, "the look must find a database that was left open"
    assert (forked, code) == (0, 0), done.stderr
