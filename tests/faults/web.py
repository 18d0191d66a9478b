"""A process that gives birth to web processes in milliseconds, all listening at one address: they are killed by the hundred.

    python -m tests.faults.web VARIANT      (settings from the environment)

It prints its port, then reads lines on its standard input - the setting `fault` for one process, or an empty line -
forks a web process for each, and answers with its process id. VARIANT is "" for the product, or "apart": broken on
purpose, the report and what it causes are committed one after the other.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from types import SimpleNamespace
from typing import Any

from sqlalchemy.orm import configure_mappers
from werkzeug.serving import make_server

from punctual import config, fault, watch
from punctual.actions import technician, transaction
from punctual.app import create_app


def tear_apart() -> None:
    """A report is committed, and only then, in a transaction of its own, what it causes."""
    report, later = technician.report, []

    def look(s: object, ids: list[int], **given: Any) -> list[Any]:
        later.append((ids, given))
        return []

    def both(*values: Any, **named: Any) -> technician.Taken:
        taken = report(*values, **named)
        while later:
            ids, given = later.pop()
            with transaction() as s:
                watch.look(s, ids, **given)
        return taken

    technician.watch = SimpleNamespace(look=look)  # type: ignore[assignment]
    technician.report = both


def live(listening: socket.socket, spec: str) -> None:
    """One web process, until it is killed."""
    os.setsid()
    app = create_app()
    fault.configure(spec)
    make_server("127.0.0.1", listening.getsockname()[1], app, threaded=True, fd=listening.fileno()).serve_forever()


def main(variant: str) -> None:
    config.load()
    configure_mappers()  # once, not in every child
    if variant == "apart":
        tear_apart()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        print(listening.getsockname()[1], flush=True)
        for line in sys.stdin:
            pid = os.fork()
            if pid == 0:
                sys.stdin.close()
                try:
                    live(listening, line.strip())
                finally:
                    os._exit(1)
            print(pid, flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
