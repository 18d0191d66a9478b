"""Other people's calendar programs as judges of ours: libical with its iTIP tables, ical.js, and a Radicale server."""

from __future__ import annotations

import ctypes
import ctypes.util
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NODE = Path(__file__).resolve().parent.parent / ".test" / "node"
#: Component kinds of libical 3 (icalcomponent_kind).
VEVENT, VCALENDAR, XERROR = 4, 23, 100
JS = """
const ICAL = require("ical.js").default || require("ical.js");
const root = new ICAL.Component(ICAL.parse(require("fs").readFileSync(0, "utf8")));
const utc = ICAL.Timezone.utcTimezone;
console.log(JSON.stringify(root.getAllSubcomponents("vevent").map(v => {
  const e = new ICAL.Event(v), at = x => v.getFirstProperty(x) ? v.getFirstPropertyValue(x).convertToZone(utc).toICALString() : "";
  return [e.uid, at("dtstart"), at("dtend"), e.summary || "", v.getFirstPropertyValue("sequence")];
})));
"""


def needed() -> None:
    """A missing judge fails the run with how to install it."""
    missing = [] if ctypes.util.find_library("ical") else ["libical3 (apt-get install libical3)"]
    if shutil.which("node") is None or not (NODE / "node_modules" / "ical.js").is_dir():
        missing.append("ical.js (python3 bootstrap.py test installs it with npm)")
    if missing:
        pytest.exit(f"Missing: {', '.join(missing)}. Run: python3 bootstrap.py test.", 3)


def libical(raw: bytes) -> list[str]:
    """What libical finds wrong: lines it cannot parse and breaches of RFC 5546's tables; empty when all is well."""
    name = ctypes.util.find_library("ical")
    assert name is not None
    lib = ctypes.CDLL(name)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for function, result, arguments in (
        ("icalparser_parse_string", pointer, [text]),
        ("icalrestriction_check", number, [pointer]),
        ("icalcomponent_count_errors", number, [pointer]),
        ("icalcomponent_as_ical_string_r", pointer, [pointer]),
        ("icalmemory_free_buffer", None, [pointer]),
        ("icalcomponent_free", None, [pointer]),
    ):
        getattr(lib, function).restype, getattr(lib, function).argtypes = result, arguments
    root = lib.icalparser_parse_string(raw)
    if not root:
        return ["libical reads no component"]
    lib.icalrestriction_check(root)
    found = [f"{lib.icalcomponent_count_errors(root)} errors"] if lib.icalcomponent_count_errors(root) else []
    shown = lib.icalcomponent_as_ical_string_r(root)
    again = ctypes.string_at(shown).decode("utf-8", "replace").replace("\r\n ", "")
    found += [line for line in again.splitlines() if line.startswith("X-LIC-ERROR")]
    lib.icalmemory_free_buffer(shown)
    lib.icalcomponent_free(root)
    return found


def ical_js(raw: bytes) -> list[tuple[str, str, str, str, int | None]]:
    """(UID, start, end, title, SEQUENCE) of every event as ical.js - and so Thunderbird - reads it."""
    done = subprocess.run(["node", "-e", JS], input=raw, capture_output=True, cwd=NODE, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-400:]
    return [tuple(row) for row in json.loads(done.stdout)]


class Radicale:
    """A calendar on a Radicale server; put() answers with the status."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sign_in = {
            "Authorization": "Basic " + b64encode(b"jo:x").decode(),
            "Content-Type": "text/calendar; charset=utf-8",
        }
        connection.request(method, path, body, sign_in | headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def put(self, name: str, raw: bytes) -> int:
        return self.ask("PUT", f"/jo/visits/{name}", raw)[0]


@contextmanager
def radicale(folder: Path) -> Iterator[Radicale]:
    """A Radicale server of this test, on loopback, with one calendar."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "radicale", "--config", "", "--server-hosts", f"127.0.0.1:{port}", "--auth-type", "none",
         "--storage-filesystem-folder", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        server = Radicale(port)
        until = time.monotonic() + 30
        while True:
            try:
                server.ask("OPTIONS", "/")
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None, "Radicale does not start"
        assert server.ask("MKCALENDAR", "/jo/visits/")[0] == 201
        yield server
    finally:
        process.terminate()
        process.wait(20)
