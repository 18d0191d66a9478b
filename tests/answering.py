"""A small HTTP server on loopback that stands in for a geocoder or a router: it answers what a test gives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answering:
    """Its address, and every request it got as (path, body)."""

    url: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)


@contextmanager
def answering(answer: Callable[[str, Any], tuple[int, Any]]) -> Iterator[Answering]:
    """Serve `answer(path, body) -> (status, JSON value or bytes)` on a free port."""
    kept = Answering()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            kept.asked.append((self.path, body))
            kept.agents.append(self.headers.get("User-Agent", ""))
            status, made = answer(self.path, body)
            raw = made if isinstance(made, bytes) else json.dumps(made).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
