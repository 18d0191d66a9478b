"""The processes of an instance: the web server's command, and several commands run side by side."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

from punctual import config


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
    commands: list[list[str]], env: dict[str, str] | None = None, until: Callable[[], bool] | None = None
) -> int:
    """Run commands side by side until one ends, a signal comes or `until` says so; then end all. Returns the first code."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: stopping.append(n))
    children = [subprocess.Popen(c, env=env, start_new_session=True) for c in commands]
    code = 0
    while not stopping and not (until and until()):
        ended = [c for c in children if c.poll() is not None]
        if ended:
            code = ended[0].returncode or 0
            break
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
    return 130 if stopping else code
