"""The processes of an instance: pages and worker, forked off one that has loaded all they need, run side by side."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path

from flask import Flask
from gunicorn.app.wsgiapp import WSGIApplication

from punctual import config
from punctual.actions import places, post
from punctual.demo import Ticker
from punctual.models import db
from punctual.worker import Worker

#: Real seconds between two looks at what is done beside the processes.
BESIDE_S = 20.0
#: Real seconds a process may take to end when it is asked to.
END_S = 10.0
#: What `together` returns after a signal.
STOPPED = 130
SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: What one process does with the application until it is told to end.
Part = Callable[[Flask], object]


def pages(app: Flask) -> None:
    """Serve the pages in this process and its children, as gunicorn's own command does."""
    s: config.Settings = app.config["SETTINGS"]
    many = s.processes if s.sqlalchemy_url.startswith("postgresql") else 1
    sys.argv = [
        "gunicorn", "-k", "gthread", "--threads", str(s.threads), "--workers", str(many),
        "--bind", f"{s.host}:{s.port}", "--graceful-timeout", "5", "--no-control-socket", "--log-level", "warning",
        "punctual.app:create_app()",
    ]  # fmt: skip
    gunicorn = WSGIApplication(prog="gunicorn")
    gunicorn.callable = app  # what that name would be loaded as
    gunicorn.run()


def work(app: Flask) -> None:
    """Watch the days and send what is due in this process, with the chores the settings ask for."""
    settings: config.Settings = app.config["SETTINGS"]
    logging.basicConfig(level=settings.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    chores = [places.geocoding(settings)] if settings.geocoder_url else []
    chores += [places.travelling(settings)] if settings.router_url else []
    chores += [post.reading(settings)] if settings.imap_host else []
    Worker(app, (Ticker(app).tick,) if settings.demo else (), aside=tuple(chores)).run()


def let_go(app: Flask) -> None:
    """Close every connection to the database: one that two processes share is a broken database."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def together(
    app: Flask,
    parts: Mapping[str, Part],
    until: Callable[[], bool] | None = None,
    beside: Callable[[], object] | None = None,
) -> int:
    """Run named parts side by side, each in a process of its own, until one ends, a signal comes or `until` says so; then end
    all. Returns the first code: negative where a signal ended it, STOPPED where one came to this process.

    `beside` is called every BESIDE_S seconds meanwhile; it must not raise. Each part is given the application with
    nothing open.
    """
    stopping: list[int] = []
    let_go(app)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until there is somebody to hear them
    children = _forked(app, parts)
    before = {number: signal.signal(number, lambda n, _: stopping.append(n)) for number in SIGNALS}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    code, next_ = 0, time.monotonic() + BESIDE_S
    while not stopping and not (until and until()):
        ended = [c for c in children if c.exitcode is not None]
        if ended:
            code = ended[0].exitcode or 0
            break
        if beside is not None and time.monotonic() >= next_:
            beside()
            next_ = time.monotonic() + BESIDE_S
        wait([c.sentinel for c in children], 0.25)
    for c in children:
        c.terminate()
    for c in children:
        c.join(END_S)
        c.kill()
    for number, handler in before.items():
        signal.signal(number, handler)  # what is done between two days can be ended too
    return STOPPED if stopping else code


def _forked(app: Flask, parts: Mapping[str, Part]) -> list[ForkProcess]:
    """A process for each part. What is loaded stays shared memory: the collector is told not to touch it."""
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_alone, name=name, args=(name, app, part)) for name, part in parts.items()]
    gc.collect()
    gc.freeze()
    for child in children:
        child.start()
    gc.unfreeze()
    return children


def _alone(name: str, app: Flask, part: Part) -> None:
    """A process that is not meant by Ctrl-C: the one that forked it hears it, and ends this one."""
    os.setsid()
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"punctual-{name}")  # what `top` and `ps -e` call it, 15 letters
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        part(app)
    finally:
        let_go(app)  # the last one to close an SQLite file tidies it up
