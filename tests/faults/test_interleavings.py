"""Whatever happens to a visit in the middle of a sending: nothing that contradicts it is handed over afterwards."""

from __future__ import annotations

import base64
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask, current_app
from sqlalchemy import delete, select

from punctual import acceptance, clock, deliver, outbox
from punctual.actions import dispatcher, inbound, schedule, technician, transaction
from punctual.actions import stop as stops
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.core.kinds import KINDS
from punctual.core.policy import AUTOMATIC
from punctual.models import Attempt, Customer, Message, Notice, Promise, Received, Report, Suppression, Visit, db
from punctual.sender import SURE_S, Sender, Way
from punctual.transports import Envelope, Receipt
from punctual.transports.webhook import signature
from tests import build
from tests.build import wall
from tests.sender import Keeper, worker

AT = wall("08:40")
DAY = """
Tom 08:00-17:00 home 51.4545,-2.5879
  09:00-09:30 Grace boiler 45 at 51.4600,-2.6000
"""
KINDS_PUT = ("booked", "reminder", "late_first", "on_my_way", "no_time_yet")
BY = By(1, "Dana")
#: Where a customer is reached, by channel, and where after an edit.
OLD = {"email": "old@example.com", "sms": "+447700900111"}
NEW = {"email": "new@example.com", "sms": "+447700900222"}
SECRET = "whsec_" + base64.b64encode(b"a secret of this test").decode()


class Slow(Keeper):
    """A mail server that takes its time: `meanwhile` happens between the greeting and the last write."""

    def __init__(self, meanwhile: Callable[[], None], seconds: float) -> None:
        super().__init__()
        self.meanwhile, self.seconds = meanwhile, seconds

    def send(self, envelope: Envelope) -> Receipt:
        self.meanwhile()
        envelope.hold_on()
        return super().send(envelope)


def cancel(visit: int, tom: int) -> None:
    dispatcher.cancel(visit, tell=False, at=AT, by=BY)


def arrive(visit: int, tom: int) -> None:
    technician.report(visit, "arrived", technician_id=tom, key=f"arrived-{visit}", tapped_at=AT, at=AT)


def done(visit: int, tom: int) -> None:
    arrive(visit, tom)
    technician.report(visit, "done", technician_id=tom, key=f"done-{visit}-0", tapped_at=AT, at=AT)


def move(visit: int, tom: int) -> None:
    with transaction() as s:
        schedule.move(
            s, s.get_one(Visit, visit), technician_id=tom, planned_start=wall("15:00"),
            window=Window(wall("15:00"), wall("15:30")), at=AT, by="user:1", forced=True, tell=False,
        )  # fmt: skip


def edit(visit: int, tom: int) -> None:
    with transaction() as s:
        who = s.get_one(Customer, s.get_one(Visit, visit).customer_id)
        who.email, who.phone = NEW.values()


def stop(visit: int, tom: int) -> None:
    """STOP as a text, signed by the provider, and the link in a mail: each stops its own channel."""
    told = json.dumps({"id": f"stop{time.monotonic_ns()}", "from": OLD["sms"], "text": "Stop!"}).encode()
    stamp = str(int(time.time()))
    signed = {"webhook-id": "m", "webhook-timestamp": stamp, "webhook-signature": signature(SECRET, "m", stamp, told)}
    settings = current_app.config["SETTINGS"]
    inbound.text("webhook", "https://visits.example.com/in/webhook/text", signed, told, settings=settings, at=AT)
    with transaction() as s:
        customer = s.get_one(Visit, visit).customer_id
    stops.mails(customer, at=AT)


def hold(visit: int, tom: int) -> None:
    dispatcher.hold(visit, "the parts are missing", at=AT, by=BY)


#: What happens, and which kinds may not be handed over any more after its commit.
ACTS: dict[str, tuple[Callable[[int, int], None], frozenset[str]]] = {
    "cancel": (cancel, frozenset(KINDS_PUT)),
    "arrive": (arrive, AUTOMATIC),
    "done": (done, frozenset(KINDS_PUT)),
    "move": (move, frozenset({"late_first", "on_my_way", "no_time_yet"})),
    "edit": (edit, frozenset()),
    "hold": (hold, frozenset(KINDS_PUT)),
    "stop": (stop, frozenset(KINDS_PUT)),
}


def begin(kinds: list[str], channel: str = "email") -> tuple[int, int]:
    """A fresh visit and its messages; returns the visit and Tom."""
    with transaction() as s:
        for table in (Attempt, Message, Notice, Promise, Report, Received, Suppression):
            s.execute(delete(table))
        visit = s.scalars(select(Visit)).first() or build.day(s, DAY).visits["Grace"]
        visit.state = "on_my_way" if "on_my_way" in kinds else "planned"
        visit.window_start, visit.window_end, visit.date = wall("09:00"), wall("09:30"), build.DATE
        visit.planned_start, visit.on_my_way_at = wall("09:00"), AT if "on_my_way" in kinds else None
        visit.arrived_at = visit.finished_at = visit.cancelled_at = visit.told_start = visit.told_end = None
        visit.told_at, visit.promise_version = None, 1
        who = s.get_one(Customer, visit.customer_id)
        who.email, who.phone, who.email_bad, who.phone_bad = *OLD.values(), "", ""
        if "on_my_way" in kinds:
            tap = {"visit_id": visit.id, "technician_id": visit.technician_id, "kind": "on_my_way", "at": AT}
            s.add(Report(key="omw", received_at=AT, **tap))
        for n, kind in enumerate(kinds):
            outbox.put(s, key=f"{visit.id}:1:{kind}:{n}", kind=kind, at=AT, reason="x", visit=visit, channel=channel)
        return visit.id, visit.technician_id or 0


def interleaved(app: Flask, rng: random.Random) -> list[str]:
    """One random run; returns what was handed over although its contradiction was committed before its intent."""
    name, (act, forbidden) = rng.choice(list(ACTS.items()))
    channel = rng.choice(list(OLD))
    visit, tom = begin(rng.sample(KINDS_PUT, rng.randint(1, 3)), channel)
    keeper = Keeper()
    sender: Sender = worker(app, keeper).sender
    when, step = rng.randrange(8), 0
    contradicted: set[int] = set()

    def happens() -> None:
        act(visit, tom)
        db.session.rollback()
        open_ = set(db.session.scalars(select(Attempt.message_id).where(Attempt.state == "intent")))
        contradicted.update(set(db.session.scalars(select(Message.id))) - open_)

    found: list[str] = []
    with transaction() as s:
        ids = outbox.claim(s, at=AT, by=sender.name)
    for message_id in ids:
        if step == when:
            happens()
        step += 1
        with transaction() as s:
            ready = deliver.prepare(
                s, message_id, sender.settings, ways=dict.fromkeys(OLD, "keeper"), by=sender.name, at=AT
            )  # fmt: skip
        if step == when:
            happens()
        step += 1
        if ready is None:
            continue
        receipt = keeper.send(ready.envelope)
        wrong = ready.envelope.kind in forbidden or (name == "edit" and ready.envelope.recipient in OLD.values())
        if message_id in contradicted and wrong:
            found.append(f"{ready.envelope.kind} after {name}")
        with transaction() as s:
            acceptance.accepted(s, ready.attempt_id, receipt, at=AT)
    return found


@pytest.fixture
def shown(app: Flask) -> Flask:
    return texting(app)


def texting(app: Flask) -> Flask:
    """The application in the morning, with texts by a provider that signs its calls."""
    clock.configure("2026-11-24T08:40+00:00 x1")
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = replace(settings, sms="webhook", webhook_url="http://127.0.0.1:9/", webhook_secret=SECRET)
    db.session.remove()
    db.engine.update_execution_options(texts=True)
    return app


def test_three_hundred_interleavings_hand_over_nothing_that_is_contradicted(shown: Flask) -> None:
    rng = random.Random(20261124)
    assert [x for _ in range(150) for x in interleaved(shown, rng)] == []  # on each of the two databases


@pytest.mark.soak
def test_five_thousand_interleavings(shown: Flask) -> None:
    """2,500 on each database; SOAK_SEED other than 7 for a piece of its own."""
    rng, many = random.Random(int(os.environ.get("SOAK_SEED", "7"))), int(os.environ.get("SOAK_INTERLEAVINGS", "2500"))
    assert [x for _ in range(many) for x in interleaved(shown, rng)] == []


def test_a_sender_that_does_not_decide_again_is_caught(lite: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the second decision, and without dropping what is claimed, contradictions go out."""
    texting(lite)
    monkeypatch.setattr("punctual.core.policy.untrue", lambda kind, now, rules: "")
    monkeypatch.setattr("punctual.outbox.UNSENT", ("queued",))
    rng = random.Random(20261124)
    assert any(interleaved(lite, rng) for _ in range(60))


@pytest.mark.parametrize(
    ("name", "channel"), [(name, "email") for name in sorted(ACTS)] + [("edit", "sms"), ("stop", "sms")]
)
def test_in_a_conversation_that_lasts_it_is_asked_again_before_the_last_write(
    shown: Flask, name: str, channel: str
) -> None:
    """The intent was committed, the server is slow, and now it is not true any more: nothing is handed over."""
    act, _ = ACTS[name]
    kind = "booked" if name == "edit" else "late_first" if name == "move" else "reminder"
    visit, tom = begin([kind], channel)

    def meanwhile() -> None:
        if not keeper.seconds:
            return
        act(visit, tom)
        db.session.rollback()
        end = deliver.time.monotonic() + SURE_S + 0.05
        while deliver.time.monotonic() < end:
            deliver.time.sleep(0.05)
        keeper.seconds = 0.0

    keeper = Slow(meanwhile, 1.0)
    sender = worker(shown, keeper).sender
    sender.ways = {channel: Way(keeper)}
    while sender.deliver(AT)[0]:
        pass
    if name == "edit":
        assert [e.recipient for e in keeper.kept] == [NEW[channel]]
    else:
        assert [e for e in keeper.kept if e.kind != "optout"] == []
        db.session.rollback()
        ended = {"failed"} if name == "stop" else {"dropped"}
        assert set(db.session.scalars(select(Message.state).where(Message.kind == kind))) == ended


def test_a_range_that_wobbles_for_four_hours_is_told_twice_at_most_and_never_after_arrival(lite: Flask) -> None:
    """The technician says +150 and takes it back, every other minute; customers are not told every time."""
    with transaction() as s:
        built = build.day(
            s,
            "Tom 08:00-17:00 home 51.4545,-2.5879\n"
            "  08:00-08:30 Priya boiler 300 at 51.4683,-2.5967\n"
            "  13:30-14:00 Grace boiler 45 at 51.4600,-2.6000\n",
        )
        priya, grace, tom = built.visits["Priya"].id, built.visits["Grace"].id, built.technicians["Tom"].id
    keeper = Keeper()
    sender = worker(lite, keeper)
    at = wall("09:00")
    technician.report(priya, "arrived", technician_id=tom, key="arrived-1", tapped_at=wall("08:00"), at=wall("08:00"))
    for minute in range(240):
        at = wall("09:00") + timedelta(minutes=minute)
        clock.configure(f"{at.isoformat()} x1")
        tap = {"technician_id": tom, "key": f"tap-{minute:05d}", "tapped_at": at, "at": at}
        if minute % 2 == 0:
            technician.report(priya, "late", minutes=150, **tap)  # type: ignore[arg-type]
        else:
            technician.undo(priya, **tap)  # type: ignore[arg-type]
        while sender.deliver(at)[0]:
            pass
    arrived = at
    technician.report(priya, "done", technician_id=tom, key="done-0001", tapped_at=at, at=at)
    technician.report(grace, "arrived", technician_id=tom, key="arrived-2", tapped_at=at, at=at)
    before = len(keeper.kept)
    for minute in range(1, 30):
        while sender.deliver(arrived + timedelta(minutes=minute))[0]:
            pass
    delays = [e for e in keeper.kept if KINDS[e.kind].class_ == "delay"]
    assert 1 <= len(delays) <= 2
    assert len(keeper.kept) == before
