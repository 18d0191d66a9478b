"""A process that gives birth to web processes in milliseconds, all listening at one address: they are killed by the hundred.

On its line it says its port; then it is told the setting `fault` of one process, or nothing, forks a web process for it
and answers with its process id. The variant is "" for the product, or "apart": broken on
purpose, the report and what it causes are committed one after the other.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

from sqlalchemy.orm import configure_mappers
from werkzeug.serving import make_server

from punctual import config, fault, watch
from punctual.actions import technician, transaction
from punctual.app import create_app
from tests.forked import answer

configure_mappers()  # once, not in every child


def tear_apart() -> None:
    """A report is committed, and only then, in a transaction of its own, what it causes."""
    report, later = technician.report, []

    def look_at(s: object, shift_id: int, **given: Any) -> tuple[list[Any], list[Any], list[Any]]:
        later.append((shift_id, given))
        return [], [], []

    def both(*values: Any, **named: Any) -> technician.Taken:
        taken = report(*values, **named)
        while later:
            shift_id, given = later.pop()
            with transaction() as s:
                watch.look_at(s, shift_id, **given)
        return taken

    technician.watch = SimpleNamespace(look_at=look_at, waiting=watch.waiting)  # type: ignore[assignment]
    technician.report = both


def live(listening: socket.socket, spec: str) -> None:
    """One web process, until it is killed."""
    os.setsid()
    app = create_app()
    fault.configure(spec)
    make_server("127.0.0.1", listening.getsockname()[1], app, threaded=True, fd=listening.fileno()).serve_forever()


def main(variant: str, line: Connection) -> None:
    config.load()
    if variant == "apart":
        tear_apart()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        line.send(listening.getsockname()[1])
        answer(line, partial(live, listening))
