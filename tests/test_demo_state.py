"""Commands beside a demo have its clock and address; a company of one's own is never touched by what a demo left."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from punctual import clock, config, demo_state
from punctual.actions import transaction
from punctual.app import create_app
from punctual.models import Company
from punctual.processes import let_go
from tests.postgres import free_port
from tests.test_cli import BIN, INIT, instance, punctual

__all__ = ["instance"]

NINE = "2026-11-24T09:00:00+00:00"
ADDRESS = {"PUNCTUAL_ORIGIN": "http://127.0.0.1:8123", "PUNCTUAL_PORT": "8123", "PUNCTUAL_DEMO": "yes"}


@pytest.fixture
def left(instance: Path) -> Path:
    """A company, and beside it what a running demo leaves: it is 9:00 there and hardly any time passes."""
    assert punctual(*INIT).exit_code == 0
    spec = f"{NINE} x0.01 @{time.time():.3f}"
    (instance / demo_state.FILE).write_text(json.dumps({"environ": ADDRESS | {"PUNCTUAL_CLOCK": spec}}))
    return instance


def example(instance: Path) -> None:
    """From now on the company is an invented one."""
    app = create_app(config.load(instance=instance))
    with app.app_context(), transaction() as s:
        s.get_one(Company, 1).demo = True
    let_go(app)


def test_a_command_beside_a_demo_has_its_clock_and_its_address(left: Path) -> None:
    example(left)
    assert punctual("user", "ben@northside.example").stdout.startswith("http://127.0.0.1:8123/board/enter/")
    assert abs((clock.now() - datetime.fromisoformat(NINE)).total_seconds()) < 5
    assert "run `punctual demo`" in (seen := punctual("doctor")).stdout, seen.stderr


def test_what_a_demo_left_beside_a_real_company_changes_nothing(left: Path) -> None:
    assert punctual("user", "ben@northside.example").stdout.startswith("https://visits.example.com/board/enter/")
    assert abs(clock.now().timestamp() - time.time()) < 5
    assert demo_state.settings().demo is False


def test_the_environment_comes_first(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example(left)
    monkeypatch.setenv("PUNCTUAL_CLOCK", "2026-11-24T14:00+00:00 x0.01")
    monkeypatch.setenv("PUNCTUAL_ORIGIN", "https://demo.example.com")
    assert punctual("user", "ben@northside.example").stdout.startswith("https://demo.example.com/board/enter/")
    assert clock.now().hour == 14


def test_a_stopped_day_stands_still(left: Path) -> None:
    example(left)
    settings = demo_state.settings()
    clock.configure("2026-11-24T10:30+00:00 x20")
    demo_state.stopped(settings)
    stopped = demo_state.stopped_at(settings)
    assert stopped.startswith("2026-11-24T10:3")
    for _ in range(2):
        time.sleep(0.1)  # two seconds of a clock that would run on
        punctual("upgrade")
        assert 0 <= (clock.now() - datetime.fromisoformat(stopped)).total_seconds() < 1
    assert demo_state.settings().port == 8123, "its address stays known"


@contextmanager
def running(instance: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo itself, from its first links on."""
    env = os.environ | {"PUNCTUAL_INSTANCE": str(instance)}
    with subprocess.Popen([BIN, "demo", *options], env=env, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert any("Ctrl-C ends it" in line for line in child.stdout), "it never said what to open"
            yield child
        finally:
            child.terminate()
            child.wait(30)


def answering(port: int) -> None:
    """Wait for the demo's pages: from then on it can be stopped."""
    until = time.monotonic() + 30
    while True:
        try:
            return urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_beside_the_running_demo_and_after_it(instance: Path) -> None:
    port = free_port()
    with running(instance, "--port", str(port)) as child:
        spec = json.loads((instance / demo_state.FILE).read_text())["environ"]["PUNCTUAL_CLOCK"]
        clock.configure(spec)
        theirs = clock.now()
        answering(port)
        seen = punctual("doctor").stdout
        assert "ok     the worker is alive" in seen and f"http://127.0.0.1:{port}" in seen
        assert 0 <= (clock.now() - theirs).total_seconds() < 20 * 60
        child.terminate()
        child.wait(30)
    stopped = demo_state.stopped_at(demo_state.settings())
    assert "WRONG  the worker is alive  -> run `punctual demo`" in punctual("doctor").stdout
    with running(instance, "--port", str(port), "--speed", "2") as child:
        begun = json.loads((instance / demo_state.FILE).read_text())["environ"]["PUNCTUAL_CLOCK"]
        assert begun.startswith(f"{stopped} x2 @"), "it goes on where it stopped, as fast as it is told"
        punctual("upgrade")
        assert clock.now().isoformat() >= stopped
