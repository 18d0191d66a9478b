"""Processes that begin with the product loaded: a server loads it once a run, each is forked off it and given its settings."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from punctual.app import create_app
from punctual.worker import Worker

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.faults.nursery", "tests.faults.web"])


def process(what: Callable[..., object], *given: object, env: dict[str, str], log: Path) -> BaseProcess:
    """A started process that does this with that environment; what it says goes to the log. End it yourself."""
    log.touch()
    made = _SERVER.Process(target=_begin, args=(what, given, env, log), daemon=True)
    made.start()
    return made


def _begin(what: Callable[..., object], given: tuple[object, ...], env: dict[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    with log.open("ab") as out:
        os.dup2(out.fileno(), 2)
    what(*given)


@contextmanager
def asked(what: Callable[..., object], *given: object, env: dict[str, str], log: Path) -> Iterator[Connection]:
    """A line to a process that answers until the line is closed."""
    here, there = _SERVER.Pipe()
    with here:
        with there:
            made = process(what, *given, there, env=env, log=log)
        yield here
    made.join(20)
    made.kill()


def answer(line: Connection, live: Callable[[str], object]) -> None:
    """Fork a process for each line that is asked for, which does this with it, and say its pid; until the line is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with suppress(EOFError):
        while True:
            spec = line.recv()
            pid = os.fork()
            if pid == 0:
                line.close()
                try:
                    live(spec)
                finally:
                    os._exit(1)
            line.send(pid)


def worker() -> None:
    """A worker of the instance that the environment names."""
    Worker(create_app()).run()
