"""Senders are killed by the dozen, frozen, and fooled: nothing is lost, nothing is doubled where it can be asked."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from punctual.fault import POINTS
from punctual.models import Attempt, Message, db
from tests.faults.harness import doubled, fill, killing, lost, nursery, states, until, waiting
from tests.faults.nursery import LEASE_S
from tests.faults.truth import Truth, running

#: Kinds that are sent again in doubt, and those that are held and shown.
RESEND, HOLD = ["booked", "moved_by_us"], ["late_first", "no_time_yet"]
SENDING = [p for p in POINTS if not p.endswith("commit")]


def senders(app: Flask) -> int:
    return 3 if app.config["SETTINGS"].database_url.startswith("postgresql") else 1


def settled(log: Path, seconds: float = 90.0) -> None:
    until(lambda: not waiting(), lambda: f"{waiting()} wait; {log.read_text(errors='replace')[-3000:]}", seconds)


def killed(app: Flask, truth: Truth, log: Path, *, asked: bool, kills: int, seconds: float) -> int:
    """Random kills while the outbox is drained, and one sender that ends at every point on its way: how many kills."""
    with nursery(app, truth, log, asked=asked) as made:
        for point in SENDING:
            pid = made.birth(f"{point}:2")
            until(lambda p=pid: not made.lives(p) or not waiting(), f"{point} was never reached", 30)  # type: ignore[misc]
            made.kill(pid)
        some = killing(made, senders(app), kills, random.Random(int(os.environ.get("SOAK_SEED", "4"))))
        settled(log, seconds)
    assert some >= 0.8 * kills, "most kills were to fall among the sends"
    return len(SENDING) + some


def test_killed_at_every_point_and_at_random_nothing_is_lost_or_doubled_where_it_can_be_asked(
    app: Flask, tmp_path: Path
) -> None:
    fill(RESEND + HOLD, 30)
    with running("provider") as truth:
        killed(app, truth, tmp_path / "log", asked=True, kills=5 * senders(app), seconds=60)
    shown = states()
    assert set(shown.values()) == {"sent"}
    assert lost(truth, shown) == [] and doubled(truth) == {}
    assert len(truth.taken) == 120


def test_by_smtp_killed_senders_do_exactly_what_is_stated_by_kind(app: Flask, tmp_path: Path) -> None:
    """RFC 1047: once only cannot be had. The same mail again, or held and shown; never again once it is known."""
    fill(RESEND + HOLD, 30)
    with running("smtp") as truth:
        killed(app, truth, tmp_path / "log", asked=False, kills=5 * senders(app), seconds=60)
    as_stated(truth, 120)


def as_stated(truth: Truth, all_: int) -> None:
    shown = states()
    assert len(shown) == all_
    assert lost(truth, shown) == []
    for to, n in truth.counts().items():
        if to.split(".")[0] in HOLD:
            assert n == 1, f"{to} is of a kind that is held, and came {n} times"
        else:
            assert shown[to] == "sent" or n <= 4
    for to in doubled(truth):
        assert len({t.body for t in truth.to(to)}) == 1, "a resend is the very same mail"
    known = {
        str(a.recipient): a.ended_at for a in db.session.scalars(select(Attempt).where(Attempt.state == "accepted"))
    }
    assert all(shown[to] == "sent" for to in known)
    held = [to for to, state in shown.items() if state == "uncertain"]
    assert all(to.split(".")[0] in HOLD for to in held)


@pytest.mark.parametrize(("variant", "caught"), [("marks-first", lost), ("sends-first", doubled)])
def test_a_broken_sender_is_caught(lite: Flask, tmp_path: Path, variant: str, caught: object) -> None:
    """Negative controls: marking before sending loses, forgetting what is being sent doubles."""
    fill(["booked"], 6)
    with running("provider") as truth, nursery(lite, truth, tmp_path / "log", asked=True, variant=variant) as made:
        pid = made.birth("handed_over:1")
        until(lambda: not made.lives(pid), "it was to end there")
        made.kill(pid)
        made.birth()
        settled(tmp_path / "log")
    found = lost(truth, states()) if caught is lost else doubled(truth)
    assert len(found) == 1


@pytest.mark.parametrize(("kind", "point"), [("provider", "taken"), ("smtp", "named"), ("smtp", "taken")])
def test_a_sender_frozen_past_its_lease_doubles_nothing(app: Flask, tmp_path: Path, kind: str, point: str) -> None:
    """SIGSTOP in the middle of a message, before and after it left; woken when another has taken over."""
    fill(HOLD, 4)
    there, go_on = threading.Event(), threading.Event()

    def wait(at: str, to: str) -> None:
        if at == point and not there.is_set():
            there.set()
            go_on.wait(30)

    with running(kind) as truth, nursery(app, truth, tmp_path / "log", asked=kind == "provider") as made:
        truth.wait = wait
        frozen = made.birth()
        assert there.wait(60)
        made.kill(frozen, signal.SIGSTOP)
        go_on.set()
        time.sleep(LEASE_S + 0.2)
        made.birth()
        settled(tmp_path / "log")
        made.kill(frozen, signal.SIGCONT)
        time.sleep(0.5)
    shown = states()
    assert doubled(truth) == {} and lost(truth, shown) == []
    assert set(shown.values()) <= {"sent", "uncertain"}


def test_a_provider_that_drops_hangs_up_lies_and_is_busy_gets_each_message_once(lite: Flask, tmp_path: Path) -> None:
    fill(RESEND + HOLD, 8)
    rng, moods = random.Random(9), ["take and hang up", "take and lie", "busy", "hang up"]
    tried: set[str] = set()

    def mood(to: str) -> str:
        if to in tried:
            return "take"
        tried.add(to)
        return rng.choice(moods)

    with running("provider") as truth:
        truth.mood = mood
        with nursery(lite, truth, tmp_path / "log", asked=True) as made:
            made.birth()
            settled(tmp_path / "log")
    assert doubled(truth) == {} and lost(truth, states()) == []
    assert len(truth.taken) == 32


def test_one_poisoned_message_is_parked_and_the_other_ninety_nine_are_on_time(lite: Flask, tmp_path: Path) -> None:
    fill(["booked"], 100)
    with running("provider") as truth:
        truth.mood = lambda to: "refuse" if to == "booked.7@example.com" else "take"
        with nursery(lite, truth, tmp_path / "log", asked=True) as made:
            made.birth()
            settled(tmp_path / "log")
    shown = states()
    assert [to for to, state in shown.items() if state != "sent"] == ["booked.7@example.com"]
    assert shown["booked.7@example.com"] == "failed"
    assert len(truth.taken) == 99


@pytest.mark.soak
def test_five_hundred_kills_in_ten_thousand_sends_where_it_can_be_asked(app: Flask, tmp_path: Path) -> None:
    many, kills = int(os.environ.get("SOAK_SENDS", "10000")), int(os.environ.get("SOAK_KILLS", "500"))
    fill(RESEND + HOLD, many // 4)
    began = time.monotonic()
    with running("provider") as truth:
        kills = killed(app, truth, tmp_path / "log", asked=True, kills=kills, seconds=3600)
    shown = states()
    print(
        f"\n{app.config['SETTINGS'].database_url.partition(':')[0]}: {kills} kills, {len(truth.taken)} accepted of {len(shown)}, "
        f"{len(lost(truth, shown))} lost, {len(doubled(truth))} doubled, {time.monotonic() - began:.0f} s"
    )
    assert lost(truth, shown) == [] and doubled(truth) == {} and len(truth.taken) == len(shown)


@pytest.mark.soak
def test_five_hundred_kills_in_ten_thousand_sends_by_smtp(app: Flask, tmp_path: Path) -> None:
    many, kills = int(os.environ.get("SOAK_SENDS", "10000")), int(os.environ.get("SOAK_KILLS", "500"))
    fill(RESEND + HOLD, many // 4)
    with running("smtp") as truth:
        kills = killed(app, truth, tmp_path / "log", asked=False, kills=kills, seconds=3600)
    shown = states()
    held = sum(state == "uncertain" for state in shown.values())
    print(
        f"\n{app.config['SETTINGS'].database_url.partition(':')[0]}: {kills} kills, {len(shown)} messages, "
        f"{len(lost(truth, shown))} lost, {held} shown as uncertain, {len(doubled(truth))} resent as the same mail"
    )
    as_stated(truth, len(shown))
    assert db.session.scalar(select(Message.id).where(Message.state == "failed").limit(1)) is None
