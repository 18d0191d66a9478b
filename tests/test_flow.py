"""One story end to end, in real processes: a recorded day overruns, the next customer is warned and chooses another time.

Web, worker and mail server are processes of their own; the taps arrive over HTTP; the truth is what the mail server kept.
"""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import icalendar
import pytest

from tests import sink
from tests.conftest import fresh_postgres
from tests.postgres import free_port

DATA = Path(__file__).parent / "data"
BIN = Path(sys.executable).parent
START = datetime.fromisoformat("2008-02-13T18:20-05:00")
SPEED = 60
ZONE = "America/New_York"
SPARE = """\
kind,id,name,email,date,from,to,technician
technician,SPARE,Ana Ribeiro,ana@example.com,,,,
shift,,,,{day},08:00,17:00,SPARE
"""
T = TypeVar("T")


@dataclass
class Running:
    """A company of real processes."""

    url: str
    env: dict[str, str]
    mails: Path
    token: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: Path = Path()

    def start(self, *command: str) -> None:
        with (self.logs / f"{len(self.processes)}.log").open("wb") as log:
            child = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(child)

    def punctual(self, *arguments: str) -> str:
        done = subprocess.run([BIN / "punctual", *arguments], env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def api(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx2.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=20)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def stop(self) -> None:
        for p in self.processes:
            p.send_signal(signal.SIGTERM)
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)

    def log_text(self) -> str:
        return "\n".join(f.read_text(errors="replace")[-3000:] for f in sorted(self.logs.glob("*.log")))


def until(what: Callable[[], T | None], seconds: float, running: Running, why: str) -> T:
    """The first thing that is true within some real seconds; else the logs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"{why} did not happen within {seconds:.0f} s.\n{running.log_text()}")


def mail_to(running: Running, address: str, word: str) -> EmailMessage | None:
    """The first accepted mail to an address whose subject has that word."""
    found = [m for m in sink.kept(running.mails) if m["X-Envelope-To"] == address and word in m["Subject"].lower()]
    return found[0] if found else None


def calendar(mail: EmailMessage) -> icalendar.Event:
    part = next(p for p in mail.walk() if p.get_content_type() == "text/calendar")
    parsed = icalendar.Calendar.from_ical(part.get_payload(decode=True))
    assert part.get_param("method") == str(parsed["METHOD"])
    return next(iter(parsed.walk("VEVENT")))


def rows() -> list[dict[str, str]]:
    with (DATA / "overrun_day.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tap(running: Running, visit: int, kind: str, wall: str, minutes: int = 0) -> None:
    at = datetime.fromisoformat(f"{wall}:00-05:00").isoformat()
    body = {"kind": kind, "key": f"flow-{visit}-{kind}", "tapped_at": at, "minutes": minutes}
    running.api("POST", f"/visits/{visit}/reports", body)


@pytest.fixture(params=[("sqlite", 1), pytest.param(("postgres", 2), marks=pytest.mark.pg)], ids=["sqlite", "postgres"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """The company on SQLite with one web process and one worker, on PostgreSQL with two of each."""
    kind, many = request.param
    url = fresh_postgres(request) if kind == "postgres" else ""
    port, smtp = free_port(), free_port()
    env = os.environ | {
        "PUNCTUAL_INSTANCE": str(tmp_path / "instance"),
        "PUNCTUAL_ORIGIN": f"http://127.0.0.1:{port}",
        "PUNCTUAL_PORT": str(port),
        "PUNCTUAL_PROCESSES": str(many),
        "PUNCTUAL_MAIL": "smtp",
        "PUNCTUAL_SMTP_HOST": "127.0.0.1",
        "PUNCTUAL_SMTP_PORT": str(smtp),
        "PUNCTUAL_SMTP_TLS": "none",
        "DATABASE_URL": url,
    }
    logs = tmp_path / "logs"
    logs.mkdir()
    running = Running(f"http://127.0.0.1:{port}", env, tmp_path / "mails", logs=logs)
    try:
        running.start(sys.executable, "-m", "tests.sink", str(smtp), str(running.mails))
        running.punctual("import", str(DATA / "overrun_day.csv"), "--zone", ZONE)
        running.token = running.punctual("token", "flow", "--scopes", "read,write").strip().splitlines()[-1].split()[-1]
        env["PUNCTUAL_CLOCK"] = f"{START.isoformat(timespec='minutes')} x{SPEED}"
        running.start(str(BIN / "punctual"), "serve")
        for _ in range(many):
            running.start(str(BIN / "punctual"), "worker")
        until(lambda: healthy(running), 40, running, "A healthy start")
        yield running
    finally:
        running.stop()


def healthy(running: Running) -> bool:
    try:
        return httpx2.get(f"{running.url}/healthz", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def test_an_overrun_warns_the_next_customer_who_then_chooses_another_time(running: Running) -> None:
    recorded = rows()
    page = running.api("GET", f"/visits?date={recorded[0]['date']}")
    visits = {v["ref"].rsplit("-", 1)[-1] if v.get("ref") else "": v for v in page["visits"]}
    for row in recorded[:5]:
        tap(running, visits[row["seq"]]["id"], "arrived", row["actual_start"])
        tap(running, visits[row["seq"]]["id"], "done", row["actual_end"])
    tap(running, visits["6"]["id"], "arrived", recorded[5]["actual_start"])
    tap(running, visits["6"]["id"], "late", recorded[0]["date"] + "T18:20", minutes=60)

    warned = visits["7"]
    address = "N757LV-7@example.com"
    window_opens = datetime.fromisoformat(f"{recorded[6]['planned_start']}:00-05:00")
    mail = until(lambda: mail_to(running, address, "late"), 60, running, "The warning")
    sent = mail["Date"].datetime
    assert START < sent < window_opens, "the customer is warned before the window opens"
    assert mail["Auto-Submitted"] == "auto-generated"
    link = re.search(rf"{re.escape(running.url)}/c/[\w-]{{22}}", mail.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert link, "the mail carries the customer's link"
    shown = httpx2.get(link[0])
    assert shown.status_code == 200 and "sorry" in shown.text

    before = running.api("GET", f"/visits/{warned['id']}")
    tomorrow = (window_opens + timedelta(days=1)).date().isoformat()
    running.api("POST", "/import", {"name": "spare.csv", "csv": SPARE.format(day=tomorrow)})
    times = running.api("GET", f"/visits/{warned['id']}/times")["times"]
    chosen = next(t for t in times if t["date"] == tomorrow)
    versions = {d: running.api("GET", f"/days/{d}")["version"] for d in (recorded[0]["date"], tomorrow)}
    choice = {"slot": f"{chosen['technician_id']}|{chosen['start']}"}
    answer = httpx2.post(f"{link[0]}/choice", data=choice, follow_redirects=True, timeout=20)
    assert answer.status_code == 200, answer.text
    moved = until(lambda: mail_to(running, address, "new"), 30, running, "The confirmation")
    event = calendar(moved)
    after = running.api("GET", f"/visits/{warned['id']}")
    assert (
        event.start == datetime.fromisoformat(after["window_start"]) == datetime.fromisoformat(chosen["window_start"])
    )
    assert datetime.fromisoformat(after["window_start"]) > datetime.fromisoformat(before["window_start"])
    for day, version in versions.items():
        assert running.api("GET", f"/days/{day}")["version"] > version, f"the board of {day} has changed"

    again = next(
        t for t in running.api("GET", f"/visits/{warned['id']}/times")["times"] if t["start"] != chosen["start"]
    )
    httpx2.post(f"{link[0]}/choice", data={"slot": f"{again['technician_id']}|{again['start']}"}, timeout=20)
    second = until(lambda: newest(running, address, moved), 30, running, "The second confirmation")
    assert calendar(second)["UID"] == event["UID"], "the entry moves, no second one is made"
    assert int(calendar(second)["SEQUENCE"]) > int(event["SEQUENCE"])
    ids = [m["Message-ID"] for m in sink.kept(running.mails)]
    assert len(ids) == len(set(ids)), "no message twice"


def newest(running: Running, address: str, before: EmailMessage) -> EmailMessage | None:
    """A confirmation to the same address after that one."""
    found = [m for m in sink.kept(running.mails) if m["X-Envelope-To"] == address and "new" in m["Subject"].lower()]
    return found[-1] if found and found[-1]["Message-ID"] != before["Message-ID"] else None
