"""The web process is killed while technicians tap: a committed report always has its message, and each tap counts once."""

from __future__ import annotations

import http.client
import json
import os
import queue
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from punctual import links
from punctual.actions import transaction
from punctual.models import Customer, JobType, Message, Report, Shift, Signin, Technician, Visit, db
from tests import build, forked
from tests.build import wall
from tests.faults import web as births

#: The moment of every tap; the clock of the web processes starts here too.
AT = wall("08:40")
#: Phones that tap at once.
PHONES = 4


def crowd(technicians: int) -> None:
    """So many technicians, signed in on their phones, with a visit at nine."""
    with transaction() as s:
        build.company(s).rules = {"storm_all": 0}
        s.add(JobType(id=1, name="boiler", public_name="Boiler service", planned_min=45.0))
        s.flush()
        rows: dict[type, list[dict[str, object]]] = {t: [] for t in (Technician, Customer, Shift, Signin, Visit)}
        for n in range(1, technicians + 1):
            rows[Technician].append({"id": n, "ref": f"T{n}", "name": f"Tom{n} Hale", "skills": []})
            rows[Customer].append(
                {"id": n, "name": f"C{n} Reed", "email": f"c{n}@example.com", "created_at": build.LONG_AGO}
            )
            rows[Shift].append(
                {"technician_id": n, "date": build.DATE, "starts_at": wall("08:00"), "ends_at": wall("17:00")}
            )
            ends = AT + timedelta(days=3650)
            signed = {"token_hash": links.hashed(f"phone-{n}"), "created_at": build.LONG_AGO, "expires_at": ends}
            rows[Signin].append({"technician_id": n, **signed})
            times = {"planned_start": wall("09:00"), "window_start": wall("09:00"), "window_end": wall("09:30")}
            rows[Visit].append(
                {
                    "id": n, "customer_id": n, "technician_id": n, "job_type_id": 1, "date": build.DATE,
                    "zone": build.ZONE, "planned_min": 45.0, "wall_start": "", "wall_end": "", "uid": f"{n}@x",
                    "created_at": build.LONG_AGO, "changed_at": build.LONG_AGO, **times,
                }
            )  # fmt: skip
        for model, values in rows.items():
            s.execute(insert(model), values)


@dataclass
class Web:
    """The web processes of an instance."""

    line: Connection
    port: int
    pids: list[int] = field(default_factory=list)
    kills: int = 0

    def birth(self, fault: str = "") -> int:
        self.line.send(fault)
        self.pids.append(int(self.line.recv()))
        return self.pids[-1]

    def kill(self, pid: int) -> None:
        self.pids.remove(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills += 1


@contextmanager
def serving(app: Flask, log: Path, variant: str = "") -> Iterator[Web]:
    settings = app.config["SETTINGS"]
    env = os.environ | {
        "PUNCTUAL_INSTANCE": str(settings.instance),
        "DATABASE_URL": settings.database_url,
        "PUNCTUAL_ORIGIN": "http://localhost",
        "PUNCTUAL_CLOCK": f"{AT.isoformat()} x1",
    }
    with forked.asked(births.main, variant, env=env, log=log) as line:
        web = Web(line, int(line.recv()))
        try:
            yield web
        finally:
            for pid in list(web.pids):
                web.kill(pid)


@dataclass
class Phones:
    """Phones that keep each tap until somebody says that it was taken, as the real ones do."""

    port: int
    todo: queue.SimpleQueue[tuple[int, str]] = field(default_factory=queue.SimpleQueue)
    taken: int = 0
    refused: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ends: float = 0.0

    def run(self) -> None:
        with suppress(queue.Empty):
            while time.monotonic() < self.ends:
                self.tap(*self.todo.get_nowait())

    def tap(self, visit: int, step: str) -> None:
        """Again and again with the same key, until the answer comes."""
        body = json.dumps({"key": f"{step}-{visit:06d}", "tapped_at": AT.isoformat()})
        head = {"Content-Type": "application/json", "Cookie": f"punctual_technician=phone-{visit}"}
        while time.monotonic() < self.ends:
            line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                line.request("POST", f"/t/visits/{visit}/{step}", body, head)
                answer = line.getresponse()
                said, status = answer.read().decode(), answer.status
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            finally:
                line.close()
            if status >= 500:
                time.sleep(0.05)
                continue
            with self.lock:
                self.taken += 1
                if status != 200:
                    self.refused.append(f"{status} {said}")
            return


def tapped(web: Web, technicians: int, kills: int, *, seconds: float) -> Phones:
    """Every technician taps On my way and Arrived; evenly among that, at random moments, the web process is killed."""
    rng, phones = random.Random(5), Phones(web.port, ends=time.monotonic() + seconds)
    for n in range(1, technicians + 1):
        phones.todo.put((n, "on-my-way"))
    for n in range(1, technicians + 1):
        phones.todo.put((n, "arrived"))
    web.birth()
    threads = [threading.Thread(target=phones.run) for _ in range(PHONES)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        if kills and phones.taken >= 2 * technicians * (web.kills + 0.5) / kills and web.kills < kills:
            time.sleep(rng.uniform(0.0, 0.03))
            web.kill(web.pids[0])
            web.birth()
        time.sleep(0.002)
    return phones


def kept() -> tuple[int, int, int]:
    """(reports, reports that need a message, those that have exactly one)."""
    db.session.rollback()
    reports = db.session.scalar(select(func.count()).select_from(Report)) or 0
    need = {f"report:{i}" for i in db.session.scalars(select(Report.id).where(Report.kind == "on_my_way"))}
    rows = db.session.execute(
        select(Message.cause, func.count()).where(Message.kind == "on_my_way").group_by(Message.cause)
    )
    return reports, len(need), sum(n == 1 and cause in need for cause, n in rows)


def test_web_processes_killed_while_technicians_tap_lose_no_message_and_count_no_tap_twice(
    app: Flask, tmp_path: Path
) -> None:
    crowd(80)
    with serving(app, tmp_path / "log") as web:
        phones = tapped(web, 80, 10, seconds=120)
        assert web.kills == 10
    assert phones.refused == [] and phones.taken == 160, (tmp_path / "log").read_text(errors="replace")[-2000:]
    assert kept() == (160, 80, 80)


def test_a_report_that_is_committed_before_its_message_is_caught(lite: Flask, tmp_path: Path) -> None:
    """Negative control: the process ends between the two commits, and the phone's second try finds its tap taken."""
    crowd(3)
    with serving(lite, tmp_path / "log", "apart") as web:
        dies, phones = web.birth("after_commit:1"), Phones(web.port, ends=time.monotonic() + 60)
        first = threading.Thread(target=phones.tap, args=(1, "on-my-way"))
        first.start()
        while Path(f"/proc/{dies}").exists() and time.monotonic() < phones.ends:
            time.sleep(0.02)
        web.birth()
        first.join()
        phones.tap(2, "on-my-way")
    assert phones.refused == [] and kept() == (2, 2, 1)


@pytest.mark.soak
def test_ten_thousand_taps_with_five_hundred_kills(app: Flask, tmp_path: Path) -> None:
    taps, kills = int(os.environ.get("SOAK_TAPS", "10000")), int(os.environ.get("SOAK_KILLS", "500"))
    crowd(taps // 2)
    began = time.monotonic()
    with serving(app, tmp_path / "log") as web:
        phones = tapped(web, taps // 2, kills, seconds=3600)
    reports, need, have = kept()
    kind = app.config["SETTINGS"].database_url.partition(":")[0]
    print(
        f"\n{kind}: {web.kills} kills, {taps} taps, {reports} reports, {need} need a message, {have} have one, "
        f"{time.monotonic() - began:.0f} s"
    )
    assert phones.refused == [] and (reports, need, have) == (taps, taps // 2, taps // 2)
