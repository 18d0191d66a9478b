"""A small IMAP server on loopback: it keeps mails with their flags and says what was asked of it (RFC 3501, as much as we use)."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Folder:
    """Mails by UID, which of them are read, and the commands that came; `password` lets somebody in."""

    port: int = 0
    mails: dict[int, bytes] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    password: str = "secret"

    def add(self, raw: bytes) -> int:
        uid = len(self.mails) + 1
        self.mails[uid] = raw
        return uid


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        folder: Folder = self.server.folder  # type: ignore[attr-defined]
        self.say("* OK ready")
        while line := self.rfile.readline().decode("utf-8", "replace").strip():
            tag, _, command = line.partition(" ")
            folder.asked.append(command)
            word = command.upper().replace("UID ", "", 1).split(" ")[0]
            if word == "CAPABILITY":
                self.say("* CAPABILITY IMAP4rev1")
            elif word == "LOGIN" and f'"{folder.password}"' not in command:
                self.say(f"{tag} NO wrong password")
                continue
            elif word == "SELECT":
                self.say(f"* {len(folder.mails)} EXISTS")
            elif word == "SEARCH":
                self.search(folder, command)
            elif word == "FETCH":
                self.fetch(folder, int(command.split(" ")[2]))
            elif word == "STORE":
                folder.seen.add(int(command.split(" ")[2]))
            self.say(f"{tag} OK done")
            if word == "LOGOUT":
                return

    def search(self, folder: Folder, command: str) -> None:
        most = int((re.search(r"SMALLER (\d+)", command) or [0, "999999999"])[1])
        found = [str(n) for n, raw in folder.mails.items() if n not in folder.seen and len(raw) < most]
        self.say("* SEARCH " + " ".join(found))

    def fetch(self, folder: Folder, uid: int) -> None:
        raw = folder.mails[uid]
        self.wfile.write(f"* {uid} FETCH (UID {uid} BODY[] {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@contextmanager
def serving() -> Iterator[Folder]:
    """A folder that can be read on a free port."""
    folder = Folder()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Talk)
    server.daemon_threads, server.folder = True, folder  # type: ignore[attr-defined]
    folder.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield folder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
