"""How long a provider waits for our answer: signed texts and status calls to one web process, while a worker acts on them.

    python -m tests.bench.bench_inbound [--calls 400] [--strict]

Twilio gives up after 15 s and calls again; the policy wants an answer within 200 ms at the 95th percentile. Texts are a
mix of 1, 2, 3, STOP and free words from 200 customers; status calls are about texts that were sent.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import select
from twilio.request_validator import RequestValidator

from punctual import outbox
from punctual.actions import transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.migrations import upgrade
from punctual.models import Attempt, Message, db
from tests import build
from tests.bench.bench_tap import served

GOAL_MS = 200.0
TOKEN, ORIGIN = "t0ken", "https://visits.example.com"
WORDS = ("1", "2", "3", "STOP", "START", "The gate code is 4711, ring twice")
TECHNICIANS, HOURS = 25, (9, 10, 11, 12, 13, 14, 15, 16)
CUSTOMERS = TECHNICIANS * len(HOURS)
DAY = "\n".join(
    f"T{t} 08:00-17:30 home 51.45,-2.58\n"
    + "\n".join(f"  {h:02}:00-{h:02}:30 C{t}x{h} boiler 30 at 51.46{h},-2.59{t}" for h in HOURS)
    for t in range(10, 10 + TECHNICIANS)
)
Call = tuple[str, dict[str, str]]


def prepare(settings: Settings) -> list[int]:
    """A day whose customers have phones and were texted; returns the attempts' ids."""
    app = create_app(settings)
    with app.app_context():
        upgrade()
        at = build.wall("08:40")
        with transaction() as s:
            built = build.day(s, DAY)
            for n, customer in enumerate(built.customers.values()):
                customer.phone = phone(n)
            for visit in built.visits.values():
                outbox.put(s, key=f"k{visit.id}", kind="reminder", at=at, reason="x", visit=visit)
            for m in s.scalars(select(Message)):
                m.state = "sent"
                values = {"transport": "twilio", "recipient": "+44", "provider_id": f"SM{m.id}", "segments": 1}
                s.add(Attempt(message_id=m.id, body=b"x", state="accepted", at=at, **values))
        ids = list(db.session.scalars(select(Attempt.id)))
        db.session.remove()
        db.engine.dispose()
    return ids


def phone(n: int) -> str:
    return f"+447700{900000 + n}"


def texts(calls: int) -> list[Call]:
    return [
        ("/in/twilio/text", {"MessageSid": f"SMin{i}", "From": phone(i % CUSTOMERS), "Body": WORDS[i % len(WORDS)]})
        for i in range(calls)
    ]


def statuses(ids: list[int], calls: int) -> list[Call]:
    states = ("sending", "sent", "delivered")
    return [
        (f"/in/twilio/status/{ids[i % len(ids)]}", {"MessageSid": f"SM{ids[i % len(ids)]}", "MessageStatus": states[i % 3]})
        for i in range(calls)
    ]  # fmt: skip


def ask(port: int, calls: list[Call]) -> list[float]:
    """Milliseconds each answer took."""
    line, took = http.client.HTTPConnection("127.0.0.1", port, timeout=30), []
    for path, fields in calls:
        signed = RequestValidator(TOKEN).compute_signature(ORIGIN + path, fields)
        head = {"X-Twilio-Signature": signed, "Content-Type": "application/x-www-form-urlencoded"}
        began = time.perf_counter()
        line.request("POST", path, urlencode(fields), head)
        answer = line.getresponse()
        answer.read()
        took.append(1000.0 * (time.perf_counter() - began))
        assert answer.status in (200, 204), answer.status
    return took


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--strict", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = f"{(build.wall('08:40') + timedelta(minutes=1)).isoformat()} x1"
        settings = {
            "sms": "twilio", "sms_from": "+441174960118", "twilio_account": "AC" + "a" * 32, "twilio_token": TOKEN,
            "origin": ORIGIN, "clock": start, "twilio_url": "http://127.0.0.1:9",
        }  # fmt: skip
        env = {f"PUNCTUAL_{k.upper()}": v for k, v in settings.items()} | {"PUNCTUAL_INSTANCE": str(folder)}
        ids = prepare(Settings(instance=folder, **settings))  # type: ignore[arg-type]
        with served("punctual.app:create_app()", env, folder) as (port, _pid):
            warm = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            warm.request("GET", "/healthz")
            warm.getresponse().read()
            worker = subprocess.Popen([sys.executable, "-m", "punctual.cli", "worker"], env=os.environ | env)
            try:
                ask(port, statuses(ids, 10))
                found = {"texts": ask(port, texts(given.calls)), "statuses": ask(port, statuses(ids, given.calls))}
            finally:
                worker.terminate()
                worker.wait(30)
    good = True
    for what, took in found.items():
        cuts = statistics.quantiles(took, n=100)
        good &= cuts[94] < GOAL_MS
        print(
            f"{what}: {len(took)} calls, p50 {cuts[49]:.0f} ms, p95 {cuts[94]:.0f} ms, p99 {cuts[98]:.0f} ms, goal p95 < {GOAL_MS:.0f} ms"
        )
    return 0 if good or not given.strict else 1


if __name__ == "__main__":
    raise SystemExit(main())
