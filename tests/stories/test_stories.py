"""Four complaints that must not happen again, lived through with the worker, the way out and the customer's page."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock
from punctual.actions import concern, dispatcher, good, promise, signoff, technician, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.models import Concern, Difference, User, db
from tests import build, sender
from tests.build import LONG_AGO, Built, wall
from tests.web.desk import words

DANA = By(1, "Dana Price")


class Company:
    """The built day with its worker; what leaves is kept."""

    def __init__(self, app: Flask) -> None:
        clock.configure("2026-11-24T08:00:00+00:00 x1")
        with transaction() as s:
            self.built: Built = build.day(s)
            build.dispatcher(s)
            s.add(User(email="maria@bellweather.example", name="Maria Boss", role="manager", created_at=LONG_AGO))
        self.app, self.keeper = app, sender.Keeper()
        self.worker = sender.worker(app, self.keeper)

    def live(self, *minutes: str) -> None:
        """The looks at these minutes; in between nothing falls due."""
        for at in minutes:
            self.worker.tick(wall(at))

    def told(self, name: str) -> list[str]:
        address = f"{name.lower()}@example.com"
        return [e.kind for e in self.keeper.kept if e.recipient == address]

    def page(self, name: str, at: str) -> str:
        """The customer's page, by the link in the newest mail to them."""
        mails = [e for e in self.keeper.kept if e.recipient == f"{name.lower()}@example.com"]
        found = re.search(r"/c/([\w-]{22})", mails[-1].body.decode().replace("=\r\n", ""))
        assert found
        clock.configure(f"2026-11-24T{at}:00+00:00 x1")
        return words(self.app.test_client().get(found[0]).text)

    def tap(self, name: str, kind: str, at: str) -> None:
        technician.report(
            self.built.visits[name].id,
            kind,
            technician_id=self.built.technicians["Tom"].id,
            key=f"{name}-{kind}-{at}",
            tapped_at=wall(at),
            at=wall(at),
        )

    def visit(self, name: str) -> int:
        return self.built.visits[name].id


@pytest.fixture
def company(app: Flask) -> Company:
    return Company(app)


def test_the_outage_a_restore_time_never_passes_in_silence(company: Company) -> None:
    promise.make(company.visit("Helen"), "restore", wall("10:00"), at=wall("08:00"), by=DANA)
    sender.send(company.worker, wall("08:00"))
    company.live("08:01", "08:02")
    assert company.told("Helen") == ["promise_made", "promise_moved"], "it cannot hold, and is moved before it is due"
    page = company.page("Helen", "08:03")
    assert "Service restored by 10:00 today Moved: now by" in page and "Service restored by" in page


def test_two_truths_end_in_one_and_a_concern_ends_in_an_answer(company: Company) -> None:
    grace, tom = company.visit("Grace"), company.built.technicians["Tom"].id

    def move(start: str, at: str, tell: bool) -> None:
        window = Window(wall(start), wall(start) + timedelta(minutes=30))
        dispatcher.move(grace, tom, start=wall(start), window=window, tell=tell, at=wall(at), by=DANA)

    move("15:00", "08:00", True)
    company.live("08:00", "08:01")
    move("16:00", "08:05", False)
    company.live("08:05", "08:06")
    db.session.rollback()
    assert [
        (d.what, d.action) for d in db.session.scalars(select(Difference).where(Difference.ended_at.is_(None)))
    ] == [("window", "call")]
    concern.raise_(grace, "time", "My mail says 15:00.", at=wall("08:10"))
    company.live("08:10", "09:45", "10:15", "10:16")
    assert [k for k in company.told("Grace") if k in ("concern_received", "promise_broken")] == [
        "concern_received",
        "promise_broken",
    ], "the answer clock ran out, and the customer hears that too"
    waiting = db.session.scalars(select(Concern.id).where(Concern.answered_at.is_(None))).one()
    concern.answer(waiting, "It is 16:00; we wrote to you.", at=wall("10:20"), by=DANA)
    company.live("10:20", "10:21")
    assert company.told("Grace")[-1] == "concern_answered"
    assert "It is 16:00; we wrote to you." in company.page("Grace", "10:22")


def test_the_installation_is_apologised_for_and_done_when_the_customer_says_so(company: Company) -> None:
    good.add_rule("late", 15, None, credit=2000)
    priya = company.visit("Priya")
    company.tap("Priya", "arrived", "10:10")
    company.tap("Priya", "done", "11:00")
    company.live("11:00", "11:30", "11:31")
    assert [k for k in company.told("Priya") if k in ("makegood", "signoff")] == ["makegood", "signoff"]
    assert "A credit of £20.00" in company.page("Priya", "11:32")
    signoff.not_done(priya, at=wall("11:35"))
    company.live("11:35", "12:10", "12:30", "12:46", "12:50")
    assert [k for k in company.told("Priya") if k in ("reopened", "promise_broken")] == ["reopened", "promise_broken"]
    dispatcher.called(priya, at=wall("12:55"), by=DANA)
    company.live("12:55", "12:56")
    assert company.told("Priya")[-1] == "promise_kept"


def test_the_order_nobody_processed_reminds_climbs_and_is_admitted(company: Company) -> None:
    promise.make(company.visit("Lewis"), "part", wall("12:00"), at=wall("08:00"), by=DANA)
    company.live("08:00", "10:00", "11:00", "12:01")
    staff = [
        e.recipient.split("@")[0] for e in company.keeper.kept if e.kind == "esc_promise" and b"spare part" in e.body
    ]
    assert staff == ["dana", "dana", "maria", "maria"]
    assert [k for k in company.told("Lewis") if k.startswith("promise")] == ["promise_made", "promise_broken"]
    assert "Not kept. We are sorry. You hear from us by" in company.page("Lewis", "12:02")


@pytest.mark.parametrize("acts", [lambda c: None], ids=["nobody promised anything"])
def test_a_quiet_day_says_nothing_of_all_this(company: Company, acts: Callable[[Company], None]) -> None:
    """Negative control: without a promise, a lateness or a word of the customer none of these messages leaves."""
    acts(company)
    company.live("08:00", "08:15", "08:30")
    assert {e.kind for e in company.keeper.kept} & {
        "promise_made",
        "promise_broken",
        "makegood",
        "concern_received",
    } == set()
