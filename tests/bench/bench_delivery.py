"""How fast messages leave: tap to mail, draining the outbox, and the first mail when a thousand technicians are late at once.

    python -m tests.bench.bench_delivery [--rounds 5] [--messages 200] [--technicians 1000] [--strict]

Web, worker and mail server are processes of their own. Anchors in the same run, ratios taken round by round: a bare tap
(Flask + SQLAlchemy Core, one durable commit, served the same way), and hand-built bytes on one SMTP connection with two
durable commits a message.

Tap to mail is what one tap takes after quiet: one request of each side, each after the same pause, in turn, the order
alternating. A bare tap that followed another would find its code and data in the processor's caches and ours, which
comes alone and through two processes, would not: that compares caches, not work. What both take back to back is printed
beside it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import smtplib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from flask import Flask
from sqlalchemy import select, update

from punctual import links, outbox
from punctual.actions import technician, transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.migrations import upgrade
from punctual.models import Company, Message, Signin, db
from tests import build
from tests.bench.bench_tap import served
from tests.bench.mailsink import Sink, sink
from tests.build import wall
from tests.faults.harness import fill

TAP, DRAIN, MASS = 4.0, 0.25, 10.0
#: Seconds of quiet before a tap that comes alone; rounds that are not counted.
PAUSE_S, FIRST = 0.1, 2
#: Connections over which a mass of taps comes in.
PHONES = 8
Days = list[tuple[int, str]]


def environment(folder: Path, port: int, at: str = "08:35") -> dict[str, str]:
    return {
        "PUNCTUAL_INSTANCE": str(folder),
        "DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "PUNCTUAL_CLOCK": f"{build.DATE}T{at}+00:00 x1",
        "PUNCTUAL_MAIL": "smtp",
        "PUNCTUAL_SMTP_HOST": "127.0.0.1",
        "PUNCTUAL_SMTP_PORT": str(port),
        "PUNCTUAL_SMTP_TLS": "none",
        "PUNCTUAL_ORIGIN": "http://localhost",
        "PUNCTUAL_LOG": "warning",
    }


def application(folder: Path, port: int) -> Flask:
    """A fresh instance that mails to the sink."""
    settings = Settings(
        instance=folder, database_url=f"sqlite:///{folder}/bench.db", mail="smtp", smtp_host="127.0.0.1",
        smtp_port=port, smtp_tls="none", origin="http://localhost",
    )  # fmt: skip
    app = create_app(settings)
    with app.app_context():
        upgrade()
        done_with_it()
    return app


def done_with_it() -> None:
    db.session.remove()
    db.engine.dispose()


@contextmanager
def worker(env: dict[str, str]) -> Iterator[None]:
    """`punctual worker` as a process; when the block begins it has looked at every day once."""
    code = "from punctual.cli import main; main(['worker'])"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | env)
    bell = Path(outbox.bell(env["DATABASE_URL"]))
    try:
        while not bell.exists():
            time.sleep(0.05)
        time.sleep(3.0)
        yield
    finally:
        process.terminate()
        process.wait(60)


def late_days(count: int) -> str:
    """Technicians who are at their first job, each with a next customer who would be late."""
    return "\n".join(
        f"T{t} 08:00-17:00 home 51.45,-2.58\n"
        f"  08:00-08:30 P{t} boiler 45 at 51.46,-2.59\n"
        f"  09:30-10:00 G{t} boiler 45 at 51.462,-2.592"
        for t in range(count)
    )


def begin(app: Flask, text: str) -> Days:
    """The rows; for each technician their first visit, where they are at the door, and the secret of their session."""
    with app.app_context():
        with transaction() as s:
            built = build.day(s, text)
            s.get_one(Company, 1).rules = {"storm_cause": 0, "storm_all": 0}
            people = [(built.visits[f"P{n[1:]}"].id, t.id, links.secret()) for n, t in built.technicians.items()]
            until = wall("08:00") + timedelta(days=30)
            s.add_all(
                Signin(token_hash=links.hashed(k), technician_id=t, created_at=wall("08:00"), expires_at=until)
                for _, t, k in people
            )
        for visit, person, _ in people:
            key = uuid.uuid4().hex
            technician.report(visit, "arrived", technician_id=person, key=key, tapped_at=wall("08:00"), at=wall("08:00"))  # fmt: skip
        with transaction() as s:
            s.execute(update(Message).values(state="dropped"))
        done_with_it()
    return [(visit, secret) for visit, _, secret in people]


def post(connection: http.client.HTTPConnection, path: str, body: dict[str, object], secret: str = "") -> float:
    """Seconds until the answer."""
    headers = {"Content-Type": "application/json", "Cookie": f"punctual_technician={secret}"}
    start = time.monotonic()
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{path} answered {answer.status}: {text[:300]!r}")
    return time.monotonic() - start


def late(connection: http.client.HTTPConnection, visit: int, secret: str) -> None:
    """One tap, "+150": its next customer is told."""
    tapped = {"key": uuid.uuid4().hex, "tapped_at": f"{build.DATE}T08:35:00+00:00", "minutes": 150}
    post(connection, f"/t/visits/{visit}/late", tapped, secret)


@contextmanager
def product(folder: Path, mails: Sink) -> Iterator[int]:
    """Web and worker; the port of the web."""
    env = environment(folder, mails.port)
    with served("punctual.app:create_app()", env, folder) as (port, _), worker(env):
        yield port


class Pace(NamedTuple):
    """Medians: seconds from a tap to its mail, of a bare tap, and of their ratio round by round."""

    ours: float
    bare: float
    ratio: float


def tap_to_mail(folder: Path, mails: Sink, rounds: int) -> tuple[Pace, Pace]:
    """Of taps that come alone, and of taps that come back to back."""
    days = iter(begin(application(folder, mails.port), late_days(2 * (rounds + FIRST))))
    bare = {"BARE_URL": f"sqlite:///{folder}/bare.db"}
    with served("tests.bench.bare:app", bare, folder) as (other, _), product(folder, mails) as port:
        phone, anchor = (http.client.HTTPConnection("127.0.0.1", p, timeout=30) for p in (port, other))

        def ours() -> float:
            before, start = len(mails.at), time.monotonic()
            late(phone, *next(days))
            return mails.wait(before + 1) - start

        def plain() -> float:
            return post(anchor, "/tap", {})

        return alone(ours, plain, rounds), back_to_back(ours, plain, rounds)


def alone(ours: Callable[[], float], plain: Callable[[], float], rounds: int) -> Pace:
    """One of each side after the same quiet; who comes first changes with every round."""
    found: list[dict[Callable[[], float], float]] = []
    for n in range(FIRST + rounds):
        found.append({})
        for side in (ours, plain) if n % 2 else (plain, ours):
            time.sleep(PAUSE_S)
            found[n][side] = side()
    pairs = [(one[ours], one[plain]) for one in found[FIRST:]]
    return Pace(*(statistics.median(x) for x in zip(*((t, b, t / b) for t, b in pairs), strict=True)))


def back_to_back(ours: Callable[[], float], plain: Callable[[], float], rounds: int) -> Pace:
    """Each side without a pause, one side after the other."""
    tap, bare = (statistics.median([side() for _ in range(FIRST + rounds)][FIRST:]) for side in (ours, plain))
    return Pace(tap, bare, tap / bare)


class Bare:
    """A bare commit: one row, durable."""

    def __init__(self, folder: Path) -> None:
        self.c = sqlite3.connect(folder / "bare.db", isolation_level=None)
        self.c.execute("PRAGMA journal_mode=WAL")
        self.c.execute("PRAGMA synchronous=FULL")
        self.c.execute("CREATE TABLE tap (id INTEGER PRIMARY KEY, at REAL)")

    def commit(self) -> None:
        self.c.execute("BEGIN IMMEDIATE")
        self.c.execute("INSERT INTO tap (at) VALUES (?)", (time.time(),))
        self.c.execute("COMMIT")


def drain(folder: Path, mails: Sink, rounds: int, each: int) -> tuple[float, float, float]:
    """Messages a second of the product, of the anchor, and the median ratio; the sides take turns."""
    app, bare = application(folder, mails.port), Bare(folder)
    ours, theirs, ratios = [], [], []
    with app.app_context():
        fill(["booked"], each * (rounds + 1))
        with transaction() as s:
            s.execute(update(Message).values(state="parked"))
        done_with_it()
        with worker(environment(folder, mails.port, "08:41")):
            for n in range(rounds + 1):
                before = len(mails.at)
                start = time.monotonic()
                with transaction() as s:
                    some = select(Message.id).where(Message.state == "parked").limit(each)
                    s.execute(update(Message).where(Message.id.in_(some.scalar_subquery())).values(state="queued"))
                    outbox.ring(s)
                done_with_it()
                product = each / (mails.wait(before + each, 300) - start)
                time.sleep(0.3)
                body = db.session.connection().exec_driver_sql("SELECT body FROM attempt LIMIT 1").scalar_one()
                done_with_it()
                anchor = each / by_hand(lambda k, b=body: b, bare, mails.port, each)  # type: ignore[misc]
                if n:
                    ours.append(product)
                    theirs.append(anchor)
                    ratios.append(product / anchor)
    return statistics.median(ours), statistics.median(theirs), statistics.median(ratios)


def by_hand(body: Callable[[int], bytes], bare: Bare, port: int, each: int) -> float:
    """Seconds for ready bytes on one connection with two durable commits a message."""
    start = time.monotonic()
    with smtplib.SMTP("127.0.0.1", port) as client:
        for k in range(each):
            bare.commit()
            client.sendmail("visits@bellweather.example", f"x{k}@example.com", body(k))
            bare.commit()
    return time.monotonic() - start


def mass(folder: Path, mails: Sink, technicians: int) -> float:
    """Seconds from the first of many taps at once (a cause each) to the first mail."""
    days = begin(application(folder, mails.port), late_days(technicians))
    with product(folder, mails) as port:
        before, start = len(mails.at), time.monotonic()

        def phones(some: Days) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for visit, secret in some:
                late(connection, visit, secret)

        threads = [threading.Thread(target=phones, args=(days[i::PHONES],)) for i in range(PHONES)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        tapped = time.monotonic() - start
        all_ = mails.wait(before + technicians, 900) - start
        print(f"mass event: {technicians} taps in {tapped:.1f} s, all mails after {all_:.1f} s")
    return mails.at[before] - start


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast messages leave, against anchors in the same run.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--technicians", type=int, default=1000)
    parser.add_argument("--strict", action="store_true", help="exit 1 where a goal is missed")
    given = parser.parse_args()
    with sink() as mails, tempfile.TemporaryDirectory() as name:
        single, many = tap_to_mail(_inside(name, "tap"), mails, 12 * given.rounds)
        print(f"tap to mail {said(single)} (goal {TAP:g}); back to back {said(many)}")
        ours, theirs, drained = drain(_inside(name, "drain"), mails, given.rounds, given.messages)
        print(f"drain {ours:.0f}/s, hand-built {theirs:.0f}/s, ratio {drained:.2f} (goal {DRAIN:g})")
        first = mass(_inside(name, "mass"), mails, given.technicians)
        print(f"first mail after {first * 1e3:.0f} ms, {first / single.ours:.1f} single tap-to-mails (goal {MASS:g})")
    return int(given.strict and not (single.ratio <= TAP and drained >= DRAIN and first <= MASS * single.ours))


def said(pace: Pace) -> str:
    return f"p50 {pace.ours * 1e3:.1f} ms, bare tap {pace.bare * 1e3:.2f} ms, ratio {pace.ratio:.1f}"


def _inside(name: str, figure: str) -> Path:
    folder = Path(name) / figure
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
