"""An outbox full of messages, senders that are killed and born again, and how to wait until all is settled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from flask import Flask
from sqlalchemy import func, insert, select

from punctual.actions import transaction
from punctual.models import Customer, JobType, Message, Notice, Visit, db
from tests import build, forked
from tests.build import wall
from tests.faults import nursery as births
from tests.faults.truth import Truth

#: Where the senders' clock starts; every message is due then and useful for hours.
START = "08:40"
OPEN = ("queued", "held", "claimed", "sending")


def fill(kinds: list[str], each: int) -> None:
    """`each` messages of every kind, one for a customer of its own with a visit nobody has been found for."""
    at = wall(START)
    with transaction() as s:
        build.company(s)
        job = JobType(name="boiler", public_name="Boiler service", planned_min=45.0, skill="boiler")
        s.add(job)
        s.flush()
        for n, kind in enumerate(k for k in kinds for _ in range(each)):
            person = {"name": f"C{n} Reed", "email": f"{kind}.{n}@example.com", "created_at": build.LONG_AGO}
            customer = s.execute(insert(Customer).values(**person).returning(Customer.id)).scalar_one()
            visit = s.execute(insert(Visit).values(**_visit(n, customer, job.id)).returning(Visit.id)).scalar_one()
            notice = {"visit_id": visit, "decision": "tell", "kind": kind, "reason": "late", "at": at, "key": f"n{n}"}
            notice_id = s.execute(insert(Notice).values(**notice).returning(Notice.id)).scalar_one()
            s.execute(insert(Message).values(**_message(n, kind, visit, customer, notice_id)))


def _visit(n: int, customer: int, job: int) -> dict[str, object]:
    return {
        "customer_id": customer,
        "job_type_id": job,
        "date": build.DATE,
        "zone": build.ZONE,
        "planned_start": wall("15:00"),
        "planned_min": 45.0,
        "window_start": wall("15:00"),
        "window_end": wall("15:30"),
        "wall_start": "2026-11-24T15:00",
        "wall_end": "2026-11-24T15:30",
        "origin": "board",
        "uid": f"{n}@bellweather.example",
        "created_at": wall(START),
        "changed_at": wall(START),
    }


def _message(n: int, kind: str, visit: int, customer: int, notice: int) -> dict[str, object]:
    at = wall(START)
    return {
        "key": f"m{n}",
        "notice_id": notice,
        "visit_id": visit,
        "customer_id": customer,
        "channel": "email",
        "kind": kind,
        "state": "queued",
        "state_at": at,
        "due_at": at,
        "useful_until": at + timedelta(hours=6),
        "created_at": at,
        "facts": {"old_start": wall("14:00").isoformat(), "old_end": wall("14:30").isoformat()},
    }


class Nursery:
    """Senders of one instance; `born` counts them."""

    def __init__(self, line: Connection) -> None:
        self.line, self.pids, self.born = line, [], 0

    def birth(self, fault: str = "") -> int:
        self.line.send(fault)
        pid = int(self.line.recv())
        self.pids.append(pid)
        self.born += 1
        return pid

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if number == signal.SIGKILL:
            self.pids.remove(pid)

    def lives(self, pid: int) -> bool:
        return Path(f"/proc/{pid}").exists()


@contextmanager
def nursery(
    app: Flask, truth: Truth, log: Path, *, asked: bool, variant: str = "", start: str = START
) -> Iterator[Nursery]:
    """Senders of this application's instance whose messages go to `truth`: a provider that can be asked, or SMTP."""
    settings = app.config["SETTINGS"]
    env = os.environ | {
        "PUNCTUAL_INSTANCE": str(settings.instance),
        "DATABASE_URL": settings.database_url,
        "PUNCTUAL_ORIGIN": "http://localhost",
        "PUNCTUAL_CLOCK": f"{build.DATE}T{start}+00:00 x1",
        "PUNCTUAL_MAIL": "smtp",
        "PUNCTUAL_SMTP_HOST": "127.0.0.1",
        "PUNCTUAL_SMTP_PORT": str(truth.port),
        "PUNCTUAL_SMTP_TLS": "none",
    } | ({"PROVIDER_PORT": str(truth.port)} if asked else {})  # fmt: skip
    with forked.asked(births.main, variant, env=env, log=log) as line:
        made = Nursery(line)
        try:
            yield made
        finally:
            for pid in list(made.pids):
                made.kill(pid)


def until(true: Callable[[], object], why: Callable[[], str] | str, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why() if callable(why) else why
        time.sleep(0.05)


def waiting() -> int:
    """Messages that are not settled yet."""
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Message).where(Message.state.in_(OPEN))) or 0


def states() -> dict[str, str]:
    """address -> state of its message."""
    db.session.rollback()
    rows = db.session.execute(select(Customer.email, Message.state).join(Customer, Customer.id == Message.customer_id))
    return {str(email): state for email, state in rows}


def killing(made: Nursery, senders: int, kills: int, rng: random.Random) -> int:
    """Evenly among what is still to be sent, at random moments, kill a sender and let another be born; in the end all
    are alive. Returns how many were killed while some still waited: a kill after the last message proves nothing."""
    for _ in range(senders):
        made.birth()
    todo = waiting()
    for k in range(kills):
        left = todo * (1 - 0.9 * (k + 0.5) / kills)
        until(lambda left=left: waiting() <= left, lambda: f"{waiting()} wait, {made.born} were born")  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.03))
        if not waiting():
            return k
        made.kill(rng.choice(made.pids))
        made.birth()
    return kills


def lost(truth: Truth, shown: dict[str, str]) -> list[str]:
    """Addresses whose message was never accepted and is not shown as failed, uncertain or dropped either."""
    counts = truth.counts()
    return [to for to, state in shown.items() if not counts[to] and state not in ("failed", "uncertain", "dropped")]


def doubled(truth: Truth) -> Counter[str]:
    """Addresses that got it more than once."""
    return Counter({to: n for to, n in truth.counts().items() if n > 1})
