"""The same race at the door: fifty browsers press for one time of a running company at the same moment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier

import httpx2
from flask import Flask
from sqlalchemy import select

from punctual import links
from punctual.actions import transaction
from punctual.models import Message, SlotClaim, Visit, db
from tests.postgres import free_port
from tests.test_race import CROWD, NOW, START, crowd, owners

PATIENCE = 60.0
FREE = re.compile(r'value="(\d+)\|([^"]+)"')


@contextmanager
def served(app: Flask, processes: int) -> Iterator[str]:
    """The address of the company's web server, in processes of its own."""
    settings, port = app.config["SETTINGS"], free_port()
    env = os.environ | {
        "PUNCTUAL_INSTANCE": str(settings.instance),
        "DATABASE_URL": settings.database_url,
        "PUNCTUAL_PORT": str(port),
        "PUNCTUAL_PROCESSES": str(processes),
        "PUNCTUAL_CLOCK": f"{NOW.isoformat(timespec='minutes')} x1",
    }
    command = [str(Path(sys.executable).parent / "punctual"), "serve"]
    child = subprocess.Popen(command, env=env, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)


def answers_at(url: str) -> bool:
    """The web server is up (without a worker it is not healthy)."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            httpx2.get(f"{url}/healthz", timeout=5, verify=False)
            return True
        except httpx2.HTTPError:
            time.sleep(0.1)
    return False


def tokens(app: Flask, visits: list[int]) -> list[str]:
    key = app.config["SETTINGS"].key("link")
    with transaction() as s:
        return [links.make(s, key, "customer", visit_id, at=NOW) for visit_id in visits]


def pressed(url: str, slot: str, pages: list[str]) -> list[httpx2.Response]:
    """Everybody's browser is open; then all press at once, each by a connection of its own.

    One that was made before is closed by the server after two idle seconds, which on a busy machine pass before the
    last browser is ready.
    """
    barrier = Barrier(len(pages))

    def press(token: str) -> httpx2.Response:
        with httpx2.Client(timeout=PATIENCE, verify=False) as browser:
            barrier.wait()
            return browser.post(f"{url}/c/{token}/choice", data={"slot": slot})

    with ThreadPoolExecutor(len(pages)) as pool:
        return list(pool.map(press, pages))


def test_of_fifty_browsers_one_gets_the_time_and_the_others_are_shown_fresh_ones(app: Flask) -> None:
    ana, visits = crowd(CROWD)
    pages = tokens(app, visits)
    processes = 2 if db.engine.dialect.name == "postgresql" else 1
    with served(app, processes) as url:
        assert answers_at(url)
        answers = pressed(url, f"{ana}|{START.isoformat()}", pages)
    assert Counter(a.status_code for a in answers) == {303: 1, 409: CROWD - 1}
    for answer in answers:
        if answer.status_code == 409:
            assert "Somebody took this time a moment ago. We are sorry." in answer.text
            fresh = [datetime.fromisoformat(start) for _, start in FREE.findall(answer.text)]
            assert fresh and all(abs(start - START) >= timedelta(minutes=45) for start in fresh)
    winner = visits[[a.status_code for a in answers].index(303)]
    assert owners(ana) == [winner]
    assert db.session.scalars(select(SlotClaim.kind)).all() == ["choice"]
    assert db.session.scalars(select(Message.visit_id).where(Message.kind == "rescheduled")).all() == [winner]
    assert db.session.scalars(select(Visit.id).where(Visit.technician_id == ana, Visit.planned_start == START)).all() == [winner]  # fmt: skip
