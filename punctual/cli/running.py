"""Commands that run: pages, worker, both, the demo."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import click

from punctual.cli.frame import application, main, told

if TYPE_CHECKING:
    from flask import Flask


@main.command()
@told
def serve() -> None:
    """Serve the pages (larger set-ups: beside one or more workers)."""
    from punctual.processes import pages

    app = _ready()
    click.echo(f"Pages at {app.config['SETTINGS'].origin}; sign in under /board. Ctrl-C ends them.")
    _together(app, pages=pages)


@main.command()
@told
def worker() -> None:
    """Watch the days and send what is due."""
    from punctual.processes import work

    app = _ready()
    click.echo("Watching the days and sending what is due. Ctrl-C ends it.")
    work(app)


@main.command()
@told
def run() -> None:
    """Web and worker together, for one machine; Ctrl-C ends both."""
    from punctual.processes import pages, work

    app = _ready()
    click.echo(f"Pages at {app.config['SETTINGS'].origin}; sign in under /board. Ctrl-C ends web and worker.")
    _together(app, pages=pages, worker=work)


def _ready() -> Flask:
    """The application, and a sentence while it has nothing to do."""
    from punctual.models import Company, db

    app: Flask = application()
    with app.app_context():
        if db.session.get(Company, 1) is None:
            click.echo("No company is made yet, so nothing is watched or sent. Make one with `punctual init`.")
    return app


def _together(app: Flask, **parts: Callable[[Flask], object]) -> NoReturn:
    """Until a signal, which is no fault, or until one part ends, whose code is ours."""
    from punctual.processes import STOPPED, together

    code = together(app, parts, beside=lambda: _alarm(app))
    raise SystemExit(0 if code == STOPPED else code)


def _alarm(app: Flask) -> None:
    """Whoever looks after sending hears when no worker lives; a database that is away is no reason to end."""
    from punctual import clock
    from punctual.actions import alarm

    with app.app_context():
        try:
            alarm.dead_worker(app.config["SETTINGS"], at=clock.now())
        except Exception:
            logging.getLogger(__name__).exception("the look after the worker failed")


@main.command()
@click.option("--port", default=8000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to open it on a real phone.")
@click.option(
    "--speed",
    default=20.0,
    show_default=True,
    type=click.FloatRange(0.01, 3600),
    help="How fast the demo's day passes.",
)
@click.option("--fresh", is_flag=True, help="Begin anew.")
@told
def demo(port: int, host: str, speed: float, fresh: bool) -> None:
    """A running example day with links to open."""
    from punctual import demo_run

    raise SystemExit(demo_run.supervise(port=port, host=host, speed=speed, fresh=fresh))
