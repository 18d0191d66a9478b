"""What was really accepted: a mail server and a provider that keep every message they took, and misbehave on demand.

Truth in these tests is what stands here, never the product's own tables.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes

#: What a receiver may do with a message: take it; refuse it for good or for now; take it and then hang up, say nothing,
#: or claim that it did not; hang up before taking it.
MOODS = ("take", "refuse", "busy", "take and hang up", "take and say nothing", "take and lie", "hang up")


@dataclass(frozen=True, slots=True)
class Taken:
    """One message as it was accepted, and when (seconds of the machine's clock)."""

    at: float
    to: str
    body: bytes

    @property
    def message_id(self) -> str:
        return str(message_from_bytes(self.body)["Message-ID"])


@dataclass
class Truth:
    """Everything accepted, in order; `mood` says what happens to a message for an address.

    `wait` is called when a conversation has come to a point ("named": the recipient is known, "taken": before the answer).
    """

    taken: list[Taken] = field(default_factory=list)
    mood: Callable[[str], str] = lambda to: "take"
    wait: Callable[[str, str], None] = lambda point, to: None
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def take(self, to: str, body: bytes) -> int:
        with self.lock:
            self.taken.append(Taken(time.time(), to, body))
            return len(self.taken)

    def to(self, address: str) -> list[Taken]:
        with self.lock:
            return [t for t in self.taken if t.to == address]

    def counts(self) -> Counter[str]:
        with self.lock:
            return Counter(t.to for t in self.taken)


class _Mail(socketserver.StreamRequestHandler):
    """SMTP, as little of it as a client needs."""

    disable_nagle_algorithm = True

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        truth: Truth = self.server.truth  # type: ignore[attr-defined]
        to = ""
        self.say("220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.say("250-sink\r\n250 PIPELINING")
            elif verb == b"DATA" and truth.mood(to) == "refuse":
                self.say("554 5.5.1 no valid recipients")
            elif verb == b"DATA":
                self.say("354 go")
                if not self.message(truth, to):
                    return
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            elif verb == b"RCPT":
                to = line.decode().partition("<")[2].partition(">")[0]
                truth.wait("named", to)
                self.say("250 ok" if truth.mood(to) != "refuse" else "550 5.1.1 no such user")
            else:
                self.say("250 ok")

    def message(self, truth: Truth, to: str) -> bool:
        """Read one message and answer for it by mood; False to hang up."""
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False  # hung up in the middle: nothing was accepted
            lines.append(line[1:] if line.startswith(b".") else line)
        mood = truth.mood(to)
        if mood.startswith("take"):
            truth.take(to, b"".join(lines))
            truth.wait("taken", to)
        if mood == "take and say nothing":
            truth.over.wait(60)
        if mood in ("take and hang up", "hang up", "take and say nothing"):
            return False
        self.say("250 kept" if mood == "take" else "451 4.3.0 later")
        return True


class _Provider(socketserver.StreamRequestHandler):
    """A provider that can be asked: one JSON object a line."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        truth: Truth = self.server.truth  # type: ignore[attr-defined]
        while line := self.rfile.readline():
            asked = json.loads(line)
            to, body = asked["to"], asked["body"].encode("latin-1")
            if asked["op"] == "find":
                found = [i for i, t in enumerate(truth.taken, 1) if t.to == to and t.body == body]
                self.answer(id=found[0] if found else None)
                continue
            mood = truth.mood(to)
            number = truth.take(to, body) if mood.startswith("take") else 0
            truth.wait("taken", to)
            if mood == "take and say nothing":
                truth.over.wait(60)
            if mood in ("take and hang up", "hang up", "take and say nothing"):
                return
            if mood == "take":
                self.answer(id=number)
            else:
                self.answer(error={"refuse": 400, "busy": 429}.get(mood, 503))

    def answer(self, **values: object) -> None:
        self.wfile.write(json.dumps(values).encode() + b"\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed hangs up in the middle: that is the point."""


@contextmanager
def running(kind: str) -> Iterator[Truth]:
    """A receiver on a free port of this machine: kind "smtp" or "provider"."""
    truth = Truth()
    with _Server(("127.0.0.1", 0), _Mail if kind == "smtp" else _Provider) as server:
        server.truth = truth  # type: ignore[attr-defined]
        truth.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield truth
        finally:
            truth.over.set()
            server.shutdown()
            thread.join()


def words(body: bytes) -> str:
    """The readable part of a mail, its soft line ends undone."""
    return re.sub(r"=\r?\n", "", body.decode("utf-8", "replace"))
