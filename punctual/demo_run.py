"""Starts and stops the demo: its clock, its processes, one day after the other, the links to open."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from pathlib import Path

from flask import Flask

from punctual import clock, config, demo_day, demo_state, gate
from punctual.actions import Refused
from punctual.app import create_app
from punctual.core.day import local
from punctual.demo import BEGIN, OVER_AT, Links, make_links, next_day, prepare, stand_still
from punctual.migrations import upgrade
from punctual.models import Company, Heartbeat, db
from punctual.processes import STOPPED, let_go, pages, together, work


def _address(host: str) -> str:
    """What a phone in the same network can reach, when the server listens on all of them.

    The address packets would leave from; none is sent. The machine's own name is 127.0.1.1 on Debian.
    """
    if host not in ("0.0.0.0", "::"):
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def supervise(*, port: int, host: str, speed: float, fresh: bool) -> int:
    """Run the demo until Ctrl-C, day after day; a later start goes on where this one stopped. Returns the exit code."""
    os.environ |= {
        "PUNCTUAL_DEMO": "yes", "PUNCTUAL_PORT": str(port), "PUNCTUAL_HOST": host,
        "PUNCTUAL_ORIGIN": f"http://{_address(host)}:{port}", "PUNCTUAL_LOG": os.environ.get("PUNCTUAL_LOG", "warning"),
    }  # fmt: skip
    settings = config.load()
    _port_free(host, port)
    if fresh:
        _forget(settings)
    started = demo_state.stopped_at(settings)
    while True:
        app, begin = _ready(settings, started, speed)
        shown = make_links(app, begin)
        _announce(settings, shown, begin, speed)
        code = _serve(app, settings)
        now = clock.now()
        if code == 0 and local(now, demo_day.ZONE).strftime("%H:%M") >= OVER_AT:
            print("The day is over; the next one begins.", flush=True)
            started = next_day(app, local(now, demo_day.ZONE).date()).isoformat()
            let_go(app)
            continue
        demo_state.stopped(settings)
        stand_still(app)
        let_go(app)
        print("\nStopped. Start again to go on where this day stopped, or with --fresh to begin anew.", flush=True)
        return 0 if code == STOPPED else code


def _port_free(host: str, port: int) -> None:
    """Say at once, in a sentence, that somebody else is using the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Refused(
                f"Port {port} on {host} cannot be used ({error.strerror}). Choose another with --port."
            ) from error


def _forget(settings: config.Settings) -> None:
    """Remove a demo's database, its seal and its mails - never a real company's."""
    _refuse_real(settings)
    left = (settings.instance / name for name in (gate.SEAL, demo_state.FILE))
    for old in (*settings.instance.glob("punctual.db*"), *settings.outbox_folder.glob("*.eml"), *left):
        old.unlink(missing_ok=True)


def _refuse_real(settings: config.Settings) -> None:
    if not (settings.instance / "punctual.db").exists() and not settings.database_url:
        return
    app = create_app(settings)
    with app.app_context():
        upgrade()
        company = db.session.get(Company, 1)
        real = company is not None and not company.demo
    let_go(app)
    if real:
        raise Refused("This instance holds a real company. Set PUNCTUAL_INSTANCE to another folder for the demo.")


def _ready(settings: config.Settings, started: str, speed: float) -> tuple[Flask, datetime]:
    """The application with the demo's clock, its database and its day."""
    _refuse_real(settings)
    clock.configure("")
    on = demo_day.workday(local(clock.now(), demo_day.ZONE).date())
    app = create_app(settings)
    with app.app_context():
        upgrade()
        empty = db.session.get(Company, 1) is None
        beat = db.session.get(Heartbeat, "worker")
        if not started and beat is not None:
            started = beat.at.isoformat()  # it was killed: nobody could write down where its day stopped
    if empty:
        print("Making the example company ...", flush=True)
        prepare(app, on)
        started = demo_day.wall(on, BEGIN).isoformat()
    begin = datetime.fromisoformat(started) if started else demo_day.wall(on, BEGIN)
    spec = clock.written(begin, speed)
    clock.configure(spec)
    demo_state.running(settings, spec=spec)
    return app, begin


def _announce(settings: config.Settings, shown: Links, begin: datetime, speed: float) -> None:
    print(
        f"\nPunctual demo. It is {local(begin, demo_day.ZONE):%A %-d %B, %H:%M} there; {speed:g} minutes pass in one.\n"
        f"\n  Start here         {settings.origin}/"
        f"\n  Technician's phone {shown.technician}"
        f"\n  Customer's page    {shown.customer}"
        f"\n  Dispatcher's board {shown.board}"
        f"\n\n  Mails are written to {settings.outbox_folder.resolve()}\n\nCtrl-C ends it.",
        flush=True,
    )


def _serve(app: Flask, settings: config.Settings) -> int:
    """Web and worker until Ctrl-C or the end of the day; names the first warning when it is written."""
    seen = set(settings.outbox_folder.glob("*.eml"))
    found: list[Path] = []

    def over() -> bool:
        if not found:
            new = [
                f
                for f in settings.outbox_folder.glob("*.eml")
                if f not in seen and ("-late_" in f.name or "-deadline_" in f.name)
            ]
            if new:
                found.append(min(new))
                print(f"\nA customer was warned: {found[0].resolve()}", flush=True)
        return local(clock.now(), demo_day.ZONE).strftime("%H:%M") >= OVER_AT

    return together(app, {"pages": pages, "worker": work}, over)
