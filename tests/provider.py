"""A provider of texts on loopback: Twilio's API and a webhook's receiver. It appends what it accepted, synced, before
it answers, and can delay, hang, drop the answer, refuse, fail and lie.

python -m tests.provider PORT FOLDER
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: What it may do with one message instead of taking it and saying so; `FOLDER/plan` holds a list of these.
#:   delay:S     takes it, answers after S seconds          hang:S   takes it, never answers (hangs up after S seconds)
#:   drop        takes it, hangs up without an answer       refuse   hangs up, takes nothing
#:   400:CODE    Twilio's refusal with that code            401, 429, 500, 503   answers that, takes nothing
#:   lie:STATUS  takes it, and answers STATUS all the same  ghost    answers 201, takes nothing
PLAN = "plan"
ACCEPTED = "accepted.jsonl"


class Provider(ThreadingHTTPServer):
    """Its folder is the truth: accepted.jsonl, a line a message."""

    daemon_threads = True

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.lock, self.asked = folder, threading.Lock(), 0
        self.count = itertools.count(len(accepted(folder)) + 1)
        self.authorization = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def plan(self, *steps: str) -> None:
        """What happens to the next messages, one step each."""
        (self.folder / PLAN).write_text(json.dumps(steps))

    def step(self) -> str:
        file = self.folder / PLAN
        with self.lock:
            steps = json.loads(file.read_text()) if file.exists() else []
            if steps and not steps[0].startswith("always "):
                file.write_text(json.dumps(steps[1:]))
        return steps[0].removeprefix("always ") if steps else ""

    def take(self, fields: dict[str, str]) -> dict[str, Any]:
        """Keep a message; it is on the disk when this returns."""
        with self.lock:
            row = fields | {
                "sid": f"SM{next(self.count):032x}",
                "at": format_datetime(datetime.now(UTC)),
            }
            with (self.folder / ACCEPTED).open("a") as out:
                out.write(json.dumps(row) + "\n")
                out.flush()
                os.fsync(out.fileno())
        return row

    def accepted(self) -> list[dict[str, str]]:
        return accepted(self.folder)


def accepted(folder: Path) -> list[dict[str, str]]:
    """Every message the provider took, in order."""
    file = folder / ACCEPTED
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _resource(row: dict[str, str]) -> dict[str, Any]:
    """A message as Twilio shows it right after it was queued: no DateSent yet."""
    return {
        "sid": row["sid"],
        "to": row.get("To"),
        "from": row.get("From"),
        "body": row.get("Body"),
        "status": "queued",
        "direction": "outbound-api",
        "date_created": row["at"],
        "date_sent": row["at"] if row.get("sent") else None,
        "error_code": None,
        "error_message": None,
        "num_segments": "1",
    }


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Provider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        step = self.server.step()
        self.server.authorization = self.headers.get("Authorization", "")
        if step == "refuse":
            self.close_connection = True
            self.connection.close()
            return
        name, _, more = step.partition(":")
        if name.isdigit():
            self._refuse(int(name), more)
            return
        row = {"sid": "SM" + "f" * 32, "at": ""} if name == "ghost" else self.server.take(self._fields(raw))
        if name in ("delay", "hang"):
            time.sleep(float(more))
        if name in ("drop", "hang"):
            self.close_connection = True
            self.connection.close()
            return
        if name == "lie":
            self._refuse(int(more), "")
            return
        self._answer(201 if "Messages.json" in self.path else 200, _resource(row))

    def _fields(self, raw: bytes) -> dict[str, str]:
        if "Messages.json" in self.path:
            return dict(parse_qsl(raw.decode()))
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        return {"raw": raw.decode()} | {n: self.headers.get(n, "") for n in names} | json.loads(raw)

    def do_GET(self) -> None:
        self.server.asked += 1
        query = dict(parse_qsl(urlsplit(self.path).query))
        step = self.server.step()
        if step.partition(":")[0].isdigit():
            self._refuse(int(step.partition(":")[0]), step.partition(":")[2])
            return
        found = [r for r in reversed(self.server.accepted()) if r.get("To") == query.get("To")]
        if since := query.get("DateSent>"):
            first = datetime.fromisoformat(since)
            found = [r for r in found if r.get("sent") and parsedate_to_datetime(r["at"]) >= first]
        self._answer(200, {"messages": [_resource(r) for r in found[: int(query.get("PageSize", "50"))]]})

    def _refuse(self, status: int, code: str) -> None:
        code = code or {401: "20003", 429: "20429"}.get(status, "")
        body: dict[str, Any] = {"status": status, "message": f"refused with {status}"}
        self._answer(status, body | ({"code": int(code)} if code else {}))

    def _answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test's output is its own."""


@contextmanager
def running(folder: Path, port: int = 0) -> Iterator[Provider]:
    """A provider in a thread until the block ends."""
    server = Provider(port, folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    Provider(int(sys.argv[1]), Path(sys.argv[2])).serve_forever()
