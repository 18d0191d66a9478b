"""Commands that run: pages, worker, both, the demo."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import click

from punctual.cli.frame import application, main, told

if TYPE_CHECKING:
    from flask import Flask


@main.command()
@told
def serve() -> None:
    """Serve the pages (larger set-ups: beside one or more workers)."""
    from punctual.processes import STOPPED, gunicorn, together

    app = application()
    code = together([gunicorn()], beside=lambda: _alarm(app))
    raise SystemExit(0 if code == STOPPED else code)


@main.command()
@told
def worker() -> None:
    """Watch the days and send what is due."""
    import logging

    from punctual.actions import places, post
    from punctual.demo import Ticker
    from punctual.worker import Worker

    app = application()
    settings = app.config["SETTINGS"]
    logging.basicConfig(level=settings.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    chores = [places.geocoding(settings)] if settings.geocoder_url else []
    chores += [places.travelling(settings)] if settings.router_url else []
    chores += [post.reading(settings)] if settings.imap_host else []
    Worker(app, (Ticker(app).tick,) if settings.demo else (), aside=tuple(chores)).run()


@main.command()
@told
def run() -> None:
    """Web and worker together, for one machine; Ctrl-C ends both."""
    from punctual.processes import gunicorn, together

    app = application()
    click.echo(f"Pages at {app.config['SETTINGS'].origin}; sign in under /board. Ctrl-C ends web and worker.")
    together([gunicorn(), [sys.executable, "-m", "punctual.cli", "worker"]], beside=lambda: _alarm(app))


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
@click.option("--speed", default=20.0, show_default=True, help="How fast the demo's day passes.")
@click.option("--fresh", is_flag=True, help="Begin anew.")
@told
def demo(port: int, host: str, speed: float, fresh: bool) -> None:
    """A running example day with links to open."""
    from punctual import demo_run

    raise SystemExit(demo_run.supervise(port=port, host=host, speed=speed, fresh=fresh))
