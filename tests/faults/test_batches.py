"""Mails that go together: intents and outcomes share commits where the kind goes again, and trouble stays with one."""

from __future__ import annotations

from collections import Counter

import pytest
from flask import Flask
from sqlalchemy import select, update

from punctual import clock, sender
from punctual.actions import transaction
from punctual.models import Attempt, Message, db
from punctual.transports import Envelope, Receipt
from tests.build import wall
from tests.faults.harness import fill
from tests.sender import BUSY, CLOSED, Keeper, Killed, send, states, worker

AT = wall("08:40")


class Watching(Keeper):
    """Notes what the database holds at the moment each message is handed over: intents, and outcomes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Counter[str]] = []

    def send(self, envelope: Envelope) -> Receipt:
        with db.engine.connect() as c:
            self.seen.append(Counter(c.execute(select(Attempt.state)).scalars()))
        return super().send(envelope)


@pytest.fixture(autouse=True)
def morning(app: Flask) -> None:
    clock.configure(f"{AT.isoformat()} x1")


def test_a_kind_that_goes_again_shares_its_commits_and_every_intent_is_there_before_the_network(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "WRITING_S", 60.0)  # however slow the machine
    fill(["booked"], 8)
    keeper = Watching()
    assert send(worker(app, keeper), AT) == 8
    assert all(seen["intent"] >= 1 for seen in keeper.seen)
    assert max(seen["intent"] for seen in keeper.seen) > 1
    assert {e.recipient for e in keeper.kept} == {f"booked.{n}@example.com" for n in range(8)}
    assert Counter(s for _, s, _ in states()) == {"sent": 8}


def test_a_kind_that_is_held_in_doubt_goes_by_itself(app: Flask) -> None:
    fill(["correction"], 4)
    keeper = Watching()
    assert send(worker(app, keeper), AT) == 4
    assert [seen["intent"] for seen in keeper.seen] == [1] * 4
    assert [seen["accepted"] for seen in keeper.seen] == [0, 1, 2, 3]


def test_one_that_cannot_be_written_leaves_the_others_on_time(app: Flask) -> None:
    fill(["booked"], 6)
    with transaction() as s:
        s.execute(update(Message).where(Message.key == "m2").values(facts={"old_start": "never"}))
    keeper = Keeper()
    assert send(worker(app, keeper), AT) == 5
    assert Counter(s for _, s, _ in states()) == {"sent": 5, "failed": 1}


def test_a_way_out_that_closes_gives_the_rest_back_unsent(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(["booked"], 6)
    keeper = Keeper([None, None, CLOSED])
    monkeypatch.setattr(sender, "WRITING_S", 60.0)
    assert worker(app, keeper).deliver(AT)[1] == 2
    assert Counter(s for _, s, _ in states()) == {"sent": 2, "queued": 4}
    db.session.rollback()
    assert "intent" not in set(db.session.scalars(select(Attempt.state)))


def test_one_refused_for_now_does_not_hold_up_those_behind_it(app: Flask) -> None:
    fill(["booked"], 5)
    assert send(worker(app, Keeper([None, BUSY])), AT) == 4
    assert Counter(s for _, s, _ in states()) == {"sent": 4, "queued": 1}


def test_a_crash_in_the_middle_loses_none_and_repeats_the_very_same_bytes(app: Flask) -> None:
    fill(["booked"], 6)
    keeper = Keeper([None, None, Killed()])
    with pytest.raises(Killed):
        worker(app, keeper).deliver(AT)
    db.session.rollback()
    with transaction() as s:
        s.execute(update(Message).values(lease_until=clock.now()))
    clock.configure(f"{wall('08:45').isoformat()} x1")
    send(worker(app, keeper), wall("08:45"))
    bodies: dict[str, set[bytes]] = {}
    for e in keeper.kept:
        bodies.setdefault(e.recipient, set()).add(e.body)
    assert len(bodies) == 6 and all(len(same) == 1 for same in bodies.values())
    assert Counter(s for _, s, _ in states()) == {"sent": 6}
