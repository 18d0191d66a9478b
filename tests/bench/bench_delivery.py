"""How fast messages leave: tap to mail, draining the outbox, and the first mail when a thousand technicians are late at once.

    python -m tests.bench.bench_delivery [--rounds 5] [--messages 200] [--technicians 1000] [--strict]

Anchors in the same run, side by side, ratios taken round by round: a bare commit (one row, synchronous=FULL), and
hand-built bytes on one SMTP connection with two durable commits a message. All mails go to one sink.
"""

from __future__ import annotations

import argparse
import smtplib
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import update

from punctual import clock
from punctual.actions import technician, transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.models import Company, Message, db
from punctual.worker import Worker
from tests import build
from tests.build import wall
from tests.faults.harness import fill
from tests.faults.truth import Truth, running

TAP, DRAIN, MASS = 4.0, 0.25, 10.0


def application(folder: Path, truth: Truth) -> Flask:
    """A fresh instance that mails to the sink."""
    app = create_app(
        Settings(
            instance=folder, database_url=f"sqlite:///{folder}/bench.db", mail="smtp", smtp_host="127.0.0.1",
            smtp_port=truth.port, smtp_tls="none", origin="http://localhost",
        )
    )  # fmt: skip
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()
    return app


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


class Working:
    """The worker's loop in a thread, as `punctual worker` runs it."""

    def __init__(self, app: Flask) -> None:
        self.worker = Worker(app)
        self.thread = threading.Thread(target=self.worker.loop)

    def __enter__(self) -> Working:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.worker.stopping = self.worker.sender.stopping = True
        self.thread.join(60)


def late_days(count: int) -> str:
    """Technicians who are at their first job, each with a next customer who would be late."""
    return "\n".join(
        f"T{t} 08:00-17:00 home 51.45,-2.58\n"
        f"  08:00-08:30 P{t} boiler 45 at 51.46,-2.59\n"
        f"  09:30-10:00 G{t} boiler 45 at 51.462,-2.592"
        for t in range(count)
    )


def begin(text: str) -> dict[str, tuple[int, int]]:
    """The rows; returns for each technician their first visit and themselves, already at the door."""
    with transaction() as s:
        built = build.day(s, text)
        s.get_one(Company, 1).rules = {"storm_cause": 0, "storm_all": 0}
        found = {n: (built.visits[f"P{n[1:]}"].id, t.id) for n, t in built.technicians.items()}
    for visit, tech in found.values():
        technician.report(
            visit, "arrived", technician_id=tech, key=uuid.uuid4().hex, tapped_at=wall("08:00"), at=wall("08:00")
        )
    with transaction() as s:
        s.execute(update(Message).values(state="dropped"))
    return found


def late(visit: int, tech: int) -> None:
    """One tap, "+150": its next customer is told."""
    now = clock.now()
    technician.report(
        visit, "late", technician_id=tech, key=uuid.uuid4().hex, tapped_at=now, at=now, minutes=150, arriving=None
    )


def waited(true: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("The mails did not come.")
        time.sleep(0.0005)


def tap_to_mail(app: Flask, truth: Truth, folder: Path, rounds: int) -> tuple[float, float, float]:
    """p50 of tap -> accepted by the sink, of a bare commit, and of their ratio, seconds."""
    bare, taps, commits, ratios = Bare(folder), [], [], []
    with app.app_context():
        days = begin(late_days(rounds + 2))
        clock.configure(f"{build.DATE}T08:35+00:00 x1")
        with Working(app):
            time.sleep(1.5)
            for n, (visit, tech) in enumerate(days.values()):
                start = time.perf_counter()
                for _ in range(10):
                    bare.commit()
                commit = (time.perf_counter() - start) / 10
                before = len(truth.taken)
                start = time.perf_counter()
                late(visit, tech)
                waited(lambda b=before: len(truth.taken) > b)  # type: ignore[misc]
                if n >= 2:
                    taps.append(time.perf_counter() - start)
                    commits.append(commit)
                    ratios.append(taps[-1] / commit)
                time.sleep(0.05)
    return statistics.median(taps), statistics.median(commits), statistics.median(ratios)


def drain(app: Flask, truth: Truth, folder: Path, rounds: int, each: int) -> tuple[float, float, float]:
    """Messages a second of the product, of the anchor, and the median ratio; the sides take turns."""
    bare, ours, theirs, ratios = Bare(folder), [], [], []
    with app.app_context():
        fill(["booked"], each * (rounds + 1))
        with transaction() as s:
            s.execute(update(Message).values(state="parked"))
        worker = Worker(app)
        at = wall("08:40")
        clock.configure(f"{at.isoformat()} x1")
        body = b""
        for n in range(rounds + 1):
            with transaction() as s:
                ids = list(s.query(Message.id).filter_by(state="parked").limit(each))
                s.execute(update(Message).where(Message.id.in_([i[0] for i in ids])).values(state="queued"))
            start = time.perf_counter()
            while worker.deliver(at)[0]:
                pass
            product = each / (time.perf_counter() - start)
            body = body or truth.taken[-1].body
            start = time.perf_counter()
            with smtplib.SMTP("127.0.0.1", truth.port) as client:
                for k in range(each):
                    bare.commit()
                    client.sendmail("visits@bellweather.example", f"x{k}@example.com", body)
                    bare.commit()
            anchor = each / (time.perf_counter() - start)
            if n:
                ours.append(product)
                theirs.append(anchor)
                ratios.append(product / anchor)
        worker.sender.close()
    return statistics.median(ours), statistics.median(theirs), statistics.median(ratios)


def mass(app: Flask, truth: Truth, technicians: int) -> float:
    """Seconds from the first of many taps at once (a cause each) to the first mail."""
    with app.app_context():
        days = begin(late_days(technicians))
        clock.configure(f"{build.DATE}T08:35+00:00 x1")
        with Working(app):
            time.sleep(2.0)
            before = len(truth.taken)
            start = time.perf_counter()
            found: list[float] = []

            def first() -> None:
                waited(lambda: len(truth.taken) > before)
                found.append(time.perf_counter() - start)

            watching = threading.Thread(target=first)
            watching.start()
            for visit, tech in days.values():
                late(visit, tech)
            tapped = time.perf_counter() - start
            waited(lambda: len(truth.taken) >= before + technicians, 900)
            print(
                f"mass event: {technicians} taps in {tapped:.1f} s, all mails after {time.perf_counter() - start:.1f} s"
            )
            watching.join()
    return found[0]


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast messages leave, against anchors in the same run.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--technicians", type=int, default=1000)
    parser.add_argument("--strict", action="store_true", help="exit 1 where a goal is missed")
    given = parser.parse_args()
    good = True
    for figure in ("tap", "drain", "mass"):
        with tempfile.TemporaryDirectory() as name, running("smtp") as truth:
            folder = Path(name)
            app = application(folder, truth)
            if figure == "tap":
                single, commit, ratio = tap_to_mail(app, truth, folder, 6 * given.rounds)
                print(
                    f"tap to mail p50 {single * 1e3:.1f} ms, bare commit {commit * 1e3:.2f} ms, ratio {ratio:.1f} (goal {TAP:g})"
                )
                good &= ratio <= TAP
            elif figure == "drain":
                ours, theirs, ratio = drain(app, truth, folder, given.rounds, given.messages)
                print(f"drain {ours:.0f}/s, hand-built {theirs:.0f}/s, ratio {ratio:.2f} (goal {DRAIN:g})")
                good &= ratio >= DRAIN
            else:
                first = mass(app, truth, given.technicians)
                print(
                    f"first mail after {first * 1e3:.0f} ms, {first / single:.1f} single tap-to-mails (goal {MASS:g})"
                )
                good &= first <= MASS * single
    return int(given.strict and not good)


if __name__ == "__main__":
    sys.exit(main())
