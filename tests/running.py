"""A company of real processes: web, worker and mail server beside the test, spoken to over HTTP alone.

Plain HTTP: what would verify a certificate takes 28 ms to load for each request, and is left.

$STORY_CHECKOUT names another checkout (with a .venv of its own) whose product is started instead of this one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from tests import sink
from tests.postgres import free_port

HERE = Path(__file__).resolve().parent.parent
#: Where the product that is started lies; its processes run there, since Python looks for modules there first.
THERE = Path(os.environ.get("STORY_CHECKOUT") or HERE).resolve()
OTHER = THERE != HERE
BIN = THERE / ".venv" / "bin" if OTHER else Path(sys.executable).parent
PASSWORD = "correct horse battery"
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
    started: int = 0
    read: list[EmailMessage] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        self.started += 1
        with (self.logs / f"{self.started}.log").open("wb") as log:
            where = THERE if Path(command[0]).parent == BIN and command[0] != sys.executable else HERE
            child = subprocess.Popen(command, env=self.env, cwd=where, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(child)
        return child

    def punctual(self, *arguments: str) -> str:
        done = subprocess.run(
            [BIN / "punctual", *arguments], env=self.env, cwd=THERE, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def enter(self) -> None:
        """A token for the API."""
        self.token = self.punctual("token", "tests", "--scopes", "read,write").strip().splitlines()[-1].split()[-1]

    def ask(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """The API's answer, whatever it is."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=20, verify=False)

    def api(self, method: str, path: str, body: object = None) -> Any:
        answer = self.ask(method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def stop(self) -> None:
        end(self.processes)
        self.processes.clear()

    def log_text(self) -> str:
        return "\n".join(f.read_text(errors="replace")[-3000:] for f in sorted(self.logs.glob("*.log")))

    def healthy(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=2, verify=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def until(self, what: Callable[[], T | None], seconds: float, why: str) -> T:
        """The first thing that is true within some real seconds; else the logs."""
        over = time.monotonic() + seconds
        while time.monotonic() < over:
            found = what()
            if found:
                return found
            time.sleep(0.1)
        pytest.fail(f"{why} did not happen within {seconds:.0f} s.\n{self.log_text()}")

    def to(self, address: str) -> list[EmailMessage]:
        """What the mail server accepted for an address, in order; each mail is read once."""
        for file in sorted(self.mails.glob("*.eml"))[len(self.read) :]:
            self.read.append(sink.mail(file))
        return [m for m in self.read if m["X-Envelope-To"] == address]


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask them to stop; who does not is killed with its children."""
    for p in processes:
        p.send_signal(signal.SIGTERM)
    for p in processes:
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)


@contextmanager
def running(folder: Path, database: str = "", many: int = 1) -> Iterator[Running]:
    """An empty instance in that folder with its mail server; all that was started ends with it."""
    port, smtp = free_port(), free_port()
    env = os.environ | {
        "PUNCTUAL_INSTANCE": str(folder / "instance"),
        "PUNCTUAL_ORIGIN": f"http://127.0.0.1:{port}",
        "PUNCTUAL_PORT": str(port),
        "PUNCTUAL_PROCESSES": str(many),
        "PUNCTUAL_MAIL": "smtp",
        "PUNCTUAL_SMTP_HOST": "127.0.0.1",
        "PUNCTUAL_SMTP_PORT": str(smtp),
        "PUNCTUAL_SMTP_TLS": "none",
        "DATABASE_URL": database,
    }
    logs = folder / "logs"
    logs.mkdir()
    made = Running(f"http://127.0.0.1:{port}", env, folder / "mails", logs=logs)
    try:
        made.start(sys.executable, "-m", "tests.sink", str(smtp), str(made.mails))
        yield made
    finally:
        made.stop()


class Desk:
    """A dispatcher's browser without a screen, signed in by password."""

    def __init__(self, running: Running, email: str) -> None:
        # A connection for each question: the server closes an idle one after two seconds, maybe as it is used again.
        once = httpx2.Limits(max_keepalive_connections=0)
        self.http = httpx2.Client(
            base_url=running.url, timeout=20, headers={"Origin": running.url}, limits=once, verify=False
        )
        self.http.cookies.update(self.http.get("/board/sign-in").cookies)
        entered = self.http.post(
            "/board/sign-in", data={"email": email, "password": PASSWORD, "csrf_token": self.csrf("/board/sign-in")}
        )
        assert entered.status_code == 303, entered.text

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def csrf(self, path: str = "/board/people") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.http.get(path).text)
        return found[1] if found else ""

    def text(self, path: str) -> str:
        return words(self.http.get(path).text)

    def post(self, path: str, **fields: str) -> int:
        return int(self.http.post(path, data={"csrf_token": self.csrf()} | fields).status_code)


def words(html: str) -> str:
    """The words of a page."""
    body = re.sub(r"<(script|style|title)\b.*?</\1>", " ", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body))).replace(" .", ".").strip()
