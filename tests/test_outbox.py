"""The outbox: what is put once, replaced, claimed once - whoever else is at it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from punctual import clock, outbox
from punctual.actions import transaction
from punctual.core.day import Window
from punctual.models import BoardVersion, Customer, Message, Notice, Technician, Visit, db
from tests import build
from tests.build import wall
from tests.sender import states, tasks

AT = wall("08:40")


@pytest.fixture(autouse=True)
def morning(app: Flask) -> None:
    """Leases and retries count on this clock."""
    clock.configure("2026-11-24T08:40+00:00 x1")


@pytest.fixture
def day(app: Flask) -> dict[str, int]:
    """The ids of the built morning's visits."""
    with transaction() as s:
        return {name: v.id for name, v in build.day(s).visits.items()}


def put(s: Session, visit: int, kind: str = "late_first", key: str = "", at: datetime = AT) -> Notice | None:
    row = s.get_one(Visit, visit)
    told = Window(wall("10:40"), wall("11:15"))
    key = key or f"{visit}:1:{kind}:1"
    return outbox.put(s, key=key, kind=kind, at=at, reason="late", visit=row, shift_id=None, told=told)


def together(app: Flask, count: int, what: Callable[[int], None]) -> None:
    """Run `what` in that many threads, all let go at the same moment."""
    gate = threading.Barrier(count)
    errors: list[BaseException] = []

    def one(i: int) -> None:
        with app.app_context():
            gate.wait()
            try:
                what(i)
            except BaseException as error:
                errors.append(error)
            db.session.remove()

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert not errors, errors


def count(table: type[Notice] | type[Message]) -> int:
    db.session.rollback()
    return int(db.session.scalar(select(func.count()).select_from(table)) or 0)


def version() -> int:
    db.session.rollback()
    return db.session.scalar(select(BoardVersion.version).where(BoardVersion.date == build.DATE)) or 0


def test_what_is_put_is_a_notice_with_one_message_and_raises_the_boards_version(day: dict[str, int]) -> None:
    with transaction() as s:
        notice = put(s, day["Grace"])
        assert notice is not None and notice.told_start == wall("10:40")
        message = s.scalars(select(Message)).one()
        assert (message.kind, message.channel, message.state) == ("late_first", "email", "queued")
        assert message.customer_id == s.get_one(Visit, day["Grace"]).customer_id
        assert (message.due_at, message.useful_until) == (AT, AT + timedelta(minutes=20))
    assert version() == 1


def test_the_same_key_again_tells_nobody_twice(day: dict[str, int]) -> None:
    with transaction() as s:
        assert put(s, day["Grace"]) is not None
        assert put(s, day["Grace"]) is None
    with transaction() as s:
        assert put(s, day["Grace"]) is None
    assert (count(Notice), count(Message)) == (1, 1)


def test_eight_watchers_at_once_put_one_message(app: Flask, day: dict[str, int]) -> None:
    made: list[bool] = []

    def one(i: int) -> None:
        with transaction() as s:
            made.append(put(s, day["Grace"]) is not None)

    together(app, 8, one)
    assert sorted(made) == [False] * 7 + [True]
    assert (count(Notice), count(Message)) == (1, 1)


def test_a_rolled_back_cause_leaves_no_message(day: dict[str, int]) -> None:
    with pytest.raises(ZeroDivisionError), transaction() as s:
        put(s, day["Grace"])
        raise ZeroDivisionError
    assert (count(Notice), count(Message)) == (0, 0)


@pytest.mark.parametrize("how", ["no address", "an address that bounced"])
def test_a_customer_who_cannot_be_written_to_becomes_a_call(day: dict[str, int], how: str) -> None:
    with transaction() as s:
        customer = s.get_one(Customer, s.get_one(Visit, day["Grace"]).customer_id)
        if how == "no address":
            customer.email = None
        else:
            customer.email_bad = "550 no such user"
        notice = put(s, day["Grace"])
        assert notice is not None and (notice.decision, notice.kind, notice.reason) == ("task", "call", "no_contact")
        assert notice.facts["kind"] == "late_first"
        assert put(s, day["Grace"]) is None
    assert count(Message) == 0


@pytest.mark.parametrize("kind", ["reminder", "on_my_way", "kept", "promise_call"])
def test_what_the_page_says_anyway_asks_nobody_to_call(day: dict[str, int], kind: str) -> None:
    with transaction() as s:
        s.get_one(Customer, s.get_one(Visit, day["Grace"]).customer_id).email = None
        assert put(s, day["Grace"], kind) is None
    assert count(Notice) == 0


def test_a_newer_warning_replaces_an_unsent_one_of_that_visit_only(day: dict[str, int]) -> None:
    with transaction() as s:
        put(s, day["Grace"])
        put(s, day["Helen"])
        put(s, day["Grace"], "reminder")
        put(s, day["Grace"], "no_time_yet")
    assert states() == [
        ("late_first", "dropped", "superseded: replaced by no_time_yet"),
        ("late_first", "queued", ""),
        ("reminder", "queued", ""),
        ("no_time_yet", "queued", ""),
    ]


def test_superseding_drops_what_is_unsent_with_its_reason_and_leaves_what_left(day: dict[str, int]) -> None:
    with transaction() as s:
        for kind in ("booked", "reminder", "late_first"):
            put(s, day["Grace"], kind)
        tom = s.scalars(select(Technician).where(Technician.ref == "Tom")).one()
        outbox.put(
            s, key="nudge", kind="tech_nudge", at=AT, reason="silent", to="technician", person=tom,
            visit=s.get_one(Visit, day["Grace"]),
        )  # fmt: skip
        s.execute(update(Message).where(Message.kind == "booked").values(state="sent"))
        s.execute(update(Message).where(Message.kind == "reminder").values(state="held"))
    before = version()
    with transaction() as s:
        assert outbox.supersede(s, day["Grace"], at=AT, why="cancelled") == 2
    assert version() == before + 1
    with transaction() as s:
        assert outbox.supersede(s, day["Grace"], at=AT, why="cancelled") == 0
    assert version() == before + 1
    assert states() == [
        ("booked", "sent", ""),
        ("reminder", "dropped", "superseded: cancelled"),
        ("late_first", "dropped", "superseded: cancelled"),
        ("tech_nudge", "queued", ""),
    ]


def test_only_named_kinds_are_superseded(day: dict[str, int]) -> None:
    with transaction() as s:
        put(s, day["Grace"], "on_my_way")
        put(s, day["Grace"], "late_first")
        assert outbox.supersede(s, day["Grace"], at=AT, why="undone", kinds=("on_my_way",)) == 1
    assert [state for _, state, _ in states()] == ["dropped", "queued"]


def test_a_claim_takes_what_is_due_the_longest_waiting_first(day: dict[str, int]) -> None:
    with transaction() as s:
        put(s, day["Grace"], at=AT)
        put(s, day["Helen"], at=AT - timedelta(minutes=5))
        put(s, day["Priya"], at=AT + timedelta(minutes=1))
    with transaction() as s:
        first = outbox.claim(s, at=AT, by="one")
        names = [s.get_one(Message, i).visit_id for i in first]
        assert names == [day["Helen"], day["Grace"]]
        assert outbox.claim(s, at=AT, by="two") == []


def test_a_lease_that_ran_out_is_taken_over(day: dict[str, int]) -> None:
    with transaction() as s:
        put(s, day["Grace"])
        assert len(outbox.claim(s, at=AT, by="one")) == 1
    later = AT + timedelta(seconds=outbox.LEASE_S + 5)
    with transaction() as s:
        assert len(outbox.claim(s, at=later, by="two")) == 1
        assert s.scalars(select(Message.lease_by)).one() == "two"


def test_what_is_given_back_is_due_again_when_it_says(day: dict[str, int]) -> None:
    with transaction() as s:
        put(s, day["Grace"])
        ids = outbox.claim(s, at=AT, by="one")
        outbox.release(s, ids, by="other", at=AT, until=AT)
        assert outbox.claim(s, at=AT, by="two") == [], "nobody gives back what another holds"
        outbox.release(s, ids, by="one", at=AT, until=AT + timedelta(seconds=10))
        assert outbox.claim(s, at=AT, by="two") == []
        assert outbox.claim(s, at=AT + timedelta(seconds=10), by="two") == ids


def thirty(day: dict[str, int]) -> None:
    with transaction() as s:
        for i in range(30):
            put(s, day["Grace"], "booked", key=f"k{i}")


def test_six_senders_at_once_claim_each_message_once(app: Flask, day: dict[str, int]) -> None:
    thirty(day)
    taken: list[int] = []

    def one(i: int) -> None:
        for _ in range(20):
            with transaction() as s:
                taken.extend(outbox.claim(s, at=AT, by=f"w{i}", limit=3))

    together(app, 6, one)
    assert len(taken) == len(set(taken)) == 30


def test_claiming_without_a_condition_is_caught_by_that_test(app: Flask, day: dict[str, int]) -> None:
    """Negative control: look first, then mark; the same six senders take messages twice."""
    thirty(day)
    taken: list[int] = []
    looked = threading.Barrier(6)

    def one(i: int) -> None:
        ids = list(db.session.scalars(select(Message.id).where(Message.state == "queued").limit(3)))
        db.session.rollback()
        looked.wait()
        with transaction() as s:
            s.execute(update(Message).where(Message.id.in_(ids)).values(state="sending", lease_by=f"w{i}"))
        taken.extend(ids)

    together(app, 6, one)
    assert len(taken) > len(set(taken))


def test_a_dispatchers_task_is_only_a_notice(day: dict[str, int]) -> None:
    with transaction() as s:
        made = outbox.put(
            s, key="t", kind="call", at=AT, reason="asked", decision="task", visit=s.get_one(Visit, day["Grace"])
        )
        assert made is not None
    assert tasks() == [("call", "asked")]
    assert count(Message) == 0


def test_a_notice_is_in_the_session_as_it_would_be_read(day: dict[str, int]) -> None:
    with transaction() as s:
        notice = put(s, day["Grace"])
        assert notice is not None
        columns = [c.key for c in Notice.__table__.columns]
        made = {name: getattr(notice, name) for name in columns}
        s.expire(notice)
        assert made == {name: getattr(notice, name) for name in columns}
        assert (made["decision"], made["resolved_by"], made["resolved_at"]) == ("tell", "", None)


def test_a_message_in_the_session_knows_that_it_was_superseded(day: dict[str, int]) -> None:
    with transaction() as s:
        put(s, day["Grace"])
        message = s.scalars(select(Message)).one()
        assert outbox.supersede(s, day["Grace"], at=AT, why="moved") == 1
        assert message.state == "dropped"
