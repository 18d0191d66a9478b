"""The processes of an instance: the web server's command, and several commands run side by side."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

from punctual import config

#: Real seconds between two looks at what is done beside the processes.
BESIDE_S = 20.0
#: What `together` returns after a signal.
STOPPED = 130


def gunicorn() -> list[str]:
    """The command of the web server."""
    s = config.load()
    many = s.processes if s.sqlalchemy_url.startswith("postgresql") else 1
    return [
        sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", str(s.threads), "--workers", str(many),
        "--bind", f"{s.host}:{s.port}", "--graceful-timeout", "5", "--no-control-socket", "--log-level", "warning",
        "punctual.app:create_app()",
    ]  # fmt: skip


def together(
    commands: list[list[str]],
    env: dict[str, str] | None = None,
    until: Callable[[], bool] | None = None,
    beside: Callable[[], object] | None = None,
) -> int:
    """Run commands side by side until one ends, a signal comes or `until` says so; then end all. Returns the first code.

    `beside` is called every BESIDE_S seconds meanwhile; it must not raise.
    """
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: stopping.append(n))
    children = [subprocess.Popen(c, env=env, start_new_session=True) for c in commands]
    code, next_ = 0, time.monotonic() + BESIDE_S
    while not stopping and not (until and until()):
        ended = [c for c in children if c.poll() is not None]
        if ended:
            code = ended[0].returncode or 0
            break
        if beside is not None and time.monotonic() >= next_:
            beside()
            next_ = time.monotonic() + BESIDE_S
        try:
            children[0].wait(0.25)
        except subprocess.TimeoutExpired:
            continue
    for c in children:
        if c.poll() is None:
            c.terminate()
    for c in children:
        try:
            c.wait(10)
        except subprocess.TimeoutExpired:
            c.kill()
    return STOPPED if stopping else code
