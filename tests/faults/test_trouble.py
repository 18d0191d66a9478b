"""Trouble around the sender: nights and clock changes, outages, a full disk, a locked database, clocks that jump."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from punctual import clock, outbox
from punctual.actions import technician, transaction
from punctual.models import Customer, JobType, Message, Technician, Visit, db
from punctual.queries.day import phone_zones
from punctual.sender import Way
from tests import build
from tests.build import wall
from tests.faults.harness import fill
from tests.sender import BUSY, CLOSED, UNSURE, Asked, Keeper, Killed, send, states, worker

AT = wall("08:40")
ZONES = (
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
)
#: A number whose prefix means another zone than the visit's, or several.
PHONES = ("", "+12125550123", "+442079460018", "+81312345678", "+18005550199")


def year(app: Flask, days: list[date], each_h: int) -> tuple[int, list[str]]:
    """Put ordinary messages at all hours of these days in six zones, deliver whenever one is due, look at the wall clocks
    of whoever got one: (how many came, those that came outside the hours). Each day has visits of its own."""
    keeper = Keeper()
    if db.engine.dialect.name == "sqlite":
        event.listen(db.engine, "checkout", lambda c, r, p: c.execute("PRAGMA synchronous=OFF"))
    db.session.remove()
    with transaction() as s:
        build.company(s)
        s.add(JobType(id=1, name="boiler", public_name="Boiler service", planned_min=45.0))
        s.add_all(
            Customer(id=n, name=f"Z{n} Reed", email=f"{n}@example.com", phone=PHONES[n % 5] or None, created_at=AT)
            for n in range(len(ZONES))
        )
    sender, wrong, seen, due = worker(app, keeper), [], 0, None
    for day in days:
        visits = _visits(day)
        for half in range(48):
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=30 * half)
            if half % (2 * each_h) == day.toordinal() * 7 % (2 * each_h):
                due = at
                with transaction() as s:
                    for visit in visits:
                        outbox.put(
                            s, key=f"{visit}:{half}", kind="moved_by_us", at=at, reason="moved",
                            visit=s.get_one(Visit, visit), facts={"old_start": at.isoformat(), "old_end": at.isoformat()},
                        )  # fmt: skip
            if due is None or at < due:
                continue
            send(sender, at)
            for e in keeper.kept[seen:]:
                k = int(e.recipient.split("@")[0])
                zones = (ZONES[k], *_phone_zones(PHONES[k % 5]))
                hours = [at.astimezone(ZoneInfo(z)).hour for z in zones]
                if not all(8 <= h < 20 for h in hours):
                    wrong.append(f"{at} {zones} {hours}")
            seen, due = len(keeper.kept), _next()
    return seen, wrong


def _visits(day: date) -> list[int]:
    """Of each customer one, in a zone of its own, far away from that day."""
    far = datetime(2027, 12, 30, 12, tzinfo=UTC)
    times = {"window_start": far, "window_end": far, "planned_start": far, "created_at": AT, "changed_at": AT}
    made = [
        Visit(
            customer_id=n, job_type_id=1, date=far.date(), zone=zone, planned_min=45.0, uid=f"{day}-{n}@x",
            wall_start="2027-12-30T12:00", wall_end="2027-12-30T12:00", **times,
        )
        for n, zone in enumerate(ZONES)
    ]  # fmt: skip
    with transaction() as s:
        s.add_all(made)
        s.flush()
        return [visit.id for visit in made]


def _next() -> datetime | None:
    """When the next message is due that waits; none is put in between."""
    found = db.session.scalar(select(func.min(Message.due_at)).where(Message.state.in_(("queued", "held"))))
    db.session.rollback()
    return found


def _phone_zones(phone: str) -> tuple[str, ...]:
    """By hand, not by the product's own look-up."""
    return {
        "+12125550123": ("America/New_York",),
        "+442079460018": ("Europe/London",),
        "+81312345678": ("Asia/Tokyo",),
    }.get(phone, ())


def around(*changes: date) -> list[date]:
    return [d + timedelta(days=k) for d in changes for k in range(-7, 7)]


def test_fourteen_days_around_each_clock_change_nothing_comes_outside_the_hours(lite: Flask) -> None:
    came, wrong = year(lite, around(date(2026, 3, 29), date(2026, 11, 1)), 24)
    assert wrong == []
    assert came > 100


def test_a_number_that_tells_nothing_about_its_place_keeps_the_companys_hours_and_still_gets_its_messages() -> None:
    assert phone_zones("+18005550199") == ()
    assert phone_zones("+12125550123") == ("America/New_York",)
    assert phone_zones("+81312345678") == ("Asia/Tokyo",)


def test_hours_that_do_not_count_the_customers_zone_are_caught(lite: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: everybody lives in London."""
    monkeypatch.setattr("punctual.queries.sending._zones", lambda s, visit, customer: ("Europe/London",))
    assert year(lite, [date(2026, 3, 29)], 6)[1]


@pytest.mark.soak
def test_a_whole_year_over_the_clock_changes_nothing_comes_outside_the_hours(app: Flask) -> None:
    came, wrong = year(app, [date(2026, 1, 1) + timedelta(days=k) for k in range(365)], 4)
    print(f"\n{came} messages in a year, {len(wrong)} outside the hours")
    assert wrong == [] and came > 10_000


def test_a_provider_that_is_down_for_half_an_hour_costs_no_stale_message_and_does_not_hold_up_the_other_way(
    app: Flask,
) -> None:
    fill(["booked", "late_first"], 10)
    with transaction() as s:  # as if texts: a way of their own
        for m in s.scalars(select(Message).where(Message.kind == "late_first")):
            m.useful_until, m.channel = AT + timedelta(minutes=20), "other"
    down, up = Keeper([CLOSED] * 10_000), Keeper()
    made = worker(app, up)
    made.sender.ways["other"] = Way(down)
    for second in range(0, 40 * 60, 60):
        at = AT + timedelta(seconds=second)
        clock.configure(f"{at.isoformat()} x1")
        if second == 30 * 60:
            down.then = []
        send(made, at)
        if second == 0:
            assert len(up.kept) == 10, "mail goes at once, whatever the other way does"
    assert down.kept == [], "after useful_until there is nothing to send any more"
    assert {(k, state) for k, state, _ in states()} == {("booked", "sent"), ("late_first", "dropped")}


def test_an_outage_in_which_a_message_stays_useful_ends_with_it_sent_once(app: Flask) -> None:
    fill(["booked"], 10)
    keeper = Keeper([CLOSED] * 20)
    made, at, tries = worker(app, keeper), AT, 0
    for second in range(0, 60 * 60, 60):
        at = AT + timedelta(seconds=second)
        clock.configure(f"{at.isoformat()} x1")
        before = len(keeper.then)
        send(made, at)
        tries += before - len(keeper.then)
    assert sorted(e.recipient for e in keeper.kept) == sorted(f"booked.{n}@example.com" for n in range(10))
    assert tries == 20, "a closed way is tried with one message at a time, not with all of them"


def test_a_full_disk_stops_nothing_for_good_and_doubles_nothing(lite: Flask) -> None:
    clock.configure(f"{AT.isoformat()} x1")
    fill(["booked"], 20)
    keeper = Keeper()
    made = worker(lite, keeper)
    db.session.rollback()
    pages = db.session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
    db.session.rollback()

    def full(connection: object, limit: int = pages + 2) -> None:
        connection.execute(f"PRAGMA max_page_count={limit}")  # type: ignore[attr-defined]

    def capped(dbapi: object, record: object, proxy: object) -> None:
        full(dbapi)

    event.listen(db.engine, "checkout", capped)
    db.session.remove()
    db.engine.dispose()  # the connection that is kept for whoever comes next is capped, too
    for _ in range(5):
        send(made, AT)
    some = len(keeper.kept)
    event.remove(db.engine, "checkout", capped)
    db.session.remove()
    db.engine.dispose()
    assert some < 20, "the disk was to be full"
    later = AT + timedelta(seconds=outbox.LEASE_S + 30)
    clock.configure(f"{later.isoformat()} x1")
    send(made, later)
    counts = {e.recipient: 0 for e in keeper.kept}
    for e in keeper.kept:
        counts[e.recipient] += 1
    assert {state for _, state, _ in states()} == {"sent"}
    assert len(counts) == 20
    assert all(n <= 2 for n in counts.values()) and sum(counts.values()) <= 21, (
        "at most the one in doubt, the same mail"
    )


def test_a_locked_database_is_waited_for(lite: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(["booked"], 3)
    keeper = Keeper()
    made = worker(lite, keeper)
    monkeypatch.setattr("punctual.models.base.PATIENCE_S", 0.05)
    db.session.remove()
    with db.engine.connect() as other:
        other.exec_driver_sql("UPDATE company SET id = id")
        assert made.sender.deliver(AT) == (0, 0), "it goes on without raising"
    assert send(made, AT) == 3


@pytest.mark.parametrize("jump", [timedelta(hours=2), timedelta(hours=-2)])
def test_a_clock_that_jumps_between_claim_and_sending_neither_loses_nor_doubles(app: Flask, jump: timedelta) -> None:
    fill(["booked"], 3)
    clock.configure(f"{AT.isoformat()} x1")
    dead = Keeper([Killed()])
    with pytest.raises(Killed):
        send(worker(app, dead), AT)
    keeper = Keeper()
    made = worker(app, keeper)
    for minute in range(15):
        at = AT + jump + timedelta(minutes=minute)
        clock.configure(f"{at.isoformat()} x1")
        send(made, at)
    came = [e.recipient for e in keeper.kept]
    if jump > timedelta(0):
        assert sorted(came) == [f"booked.{n}@example.com" for n in range(3)]
    assert len(came) == len(set(came))


def stepped(app: Flask, keeper: Asked, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Send forty a few at a time while the clock is 90 minutes ahead or behind at every look, the provider is busy or
    hangs up after taking one, and senders are killed; then with the right clock until every lease is over: who got how
    many."""
    monkeypatch.setattr("punctual.sender.BATCH", 3)
    fill(["booked", "late_first"], 20)
    rng = random.Random(8)
    for minute in range(60):
        at = AT + timedelta(minutes=minute) + timedelta(minutes=90 if minute % 2 == 0 else -90)
        clock.configure(f"{at.isoformat()} x1")
        keeper.then = rng.choices([None, BUSY, UNSURE, Killed()], k=rng.randrange(4))
        keeper.lost = all(e is None or e is UNSURE for e in keeper.then)
        with suppress(Killed):
            worker(app, keeper).deliver(at)
    for minute in range(120, 240, 5):
        at, keeper.then = AT + timedelta(minutes=minute), []
        clock.configure(f"{at.isoformat()} x1")
        send(worker(app, keeper), at)
    return Counter(e.recipient for e in keeper.kept)


def test_a_clock_that_steps_to_and_fro_while_senders_die_neither_loses_nor_doubles(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = stepped(app, Asked(), monkeypatch)
    assert set(came) == {f"{k}@example.com" for k in _all(20)} and set(came.values()) == {1}
    assert {state for _, state, _ in states()} == {"sent"}


def test_a_provider_that_forgets_what_it_took_is_caught_when_the_clock_steps(
    lite: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: it says that it never got a message, and the message goes again."""
    monkeypatch.setattr(Asked, "find", lambda self, sent, taken: None)
    assert max(stepped(lite, Asked(), monkeypatch).values()) > 1


def _all(each: int) -> set[str]:
    return {f"{kind}.{n}" for kind, first in (("booked", 0), ("late_first", each)) for n in range(first, first + each)}


def test_six_hours_down_and_up_again_sends_nothing_stale_and_one_a_visit_at_most(lite: Flask) -> None:
    with transaction() as s:
        built = build.day(s, build.MORNING)
        priya, tom = built.visits["Priya"], built.technicians["Tom"].id
        priya_id = priya.id
        for n, (kind, name) in enumerate((("reminder", "Helen"), ("late_first", "Grace"), ("booked", "Lewis"))):
            outbox.put(s, key=f"k{n}", kind=kind, at=AT, reason="x", visit=built.visits[name])
        lewis = built.visits["Lewis"].id
    technician.report(priya_id, "arrived", technician_id=tom, key="arrived-1", tapped_at=AT, at=AT)
    later = AT + timedelta(hours=6)
    with transaction() as s:
        ana = s.scalars(select(Technician).where(Technician.ref == "Ana")).one().id
    technician.report(lewis, "arrived", technician_id=ana, key="arrived-9", tapped_at=wall("11:00"), at=later)
    technician.report(lewis, "done", technician_id=ana, key="done-0009", tapped_at=wall("12:00"), at=later)
    keeper = Keeper()
    made = worker(lite, keeper)
    for minute in range(10):
        at = later + timedelta(minutes=minute)
        clock.configure(f"{at.isoformat()} x1")
        made.tick(at)
    customers = [e for e in keeper.kept if not e.recipient.endswith("bellweather.example")]
    to = [e.recipient for e in customers]
    assert {e.kind for e in customers if e.recipient == "lewis@example.com"} <= {"signoff"}, "that visit is over"
    assert len(to) == len(set(to)), "one a visit at most"
    old = {(k, state) for k, state, _ in states() if k in ("reminder", "booked")}
    assert ("reminder", "dropped") in old and ("booked", "dropped") in old
