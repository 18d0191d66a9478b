"""Broken promises are made good by the company's rule: by themselves, once, and not before they are final."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from punctual.actions import Refused, good, promise, technician, transaction
from punctual.actions.dispatcher import By
from punctual.follow import good as follow
from punctual.follow import promises as owed
from punctual.models import Good, Message, Notice, db
from tests import build, sender
from tests.build import Built, wall

DANA = By(1, "Dana Price")


@pytest.fixture
def built(app: Flask) -> Built:
    """Tom comes to Priya 40 minutes after her window has closed."""
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
    return made


def tap(built: Built, kind: str, at: str) -> None:
    technician.report(
        built.visits["Priya"].id,
        kind,
        technician_id=built.technicians["Tom"].id,
        key=f"priya-{kind}-{at}",
        tapped_at=wall(at),
        at=wall(at),
    )


def look(at: str) -> int:
    with transaction() as s:
        return follow.look(s, wall(at))


def ledger() -> list[tuple[str, int, bool, int, int, str]]:
    db.session.rollback()
    rows = db.session.scalars(select(Good).order_by(Good.id))
    return [(g.kind, g.late_min, g.warned, g.discount_pct, g.credit, g.state) for g in rows]


def kinds() -> list[str]:
    db.session.rollback()
    return [k for k in db.session.scalars(select(Message.kind).order_by(Message.id)) if k == "makegood"]


def test_a_late_arrival_is_made_good_once_when_it_is_final(built: Built) -> None:
    good.add_rule("late", 15, None, discount_pct=10)
    tap(built, "arrived", "10:10")
    assert look("10:11") == 0, "an undo could still take the arrival back"
    assert look("10:40") == 1
    assert look("10:41") == 0
    assert ledger() == [("late", 40, False, 10, 0, "granted")]
    assert kinds() == ["makegood"]


def test_an_arrival_that_was_taken_back_is_not_made_good(built: Built) -> None:
    good.add_rule("late", 15, None, discount_pct=10)
    tap(built, "arrived", "10:10")
    technician.undo(
        built.visits["Priya"].id,
        technician_id=built.technicians["Tom"].id,
        key="undo-arrived",
        tapped_at=wall("10:12"),
        at=wall("10:12"),
    )
    assert look("10:45") == 0
    assert ledger() == []


def test_a_kept_promise_and_one_below_the_rule_get_nothing(built: Built) -> None:
    good.add_rule("late", 45, None, discount_pct=10)
    tap(built, "arrived", "10:10")
    assert look("10:45") == 0
    assert ledger() == []


def test_where_the_rule_leaves_it_to_the_dispatcher_nothing_is_said_before_they_decide(built: Built) -> None:
    good.add_rule("late", 15, None, ask=True)
    tap(built, "arrived", "10:10")
    look("10:40")
    assert ledger()[0][-1] == "asked" and kinds() == []
    task = db.session.scalars(select(Notice).where(Notice.kind == "good")).one()
    assert (task.decision, task.resolved_at) == ("task", None)
    entry = db.session.scalars(select(Good.id)).one()
    good.decide(entry, discount_pct=0, credit=1500, at=wall("10:50"), by=DANA)
    assert ledger() == [("late", 40, False, 0, 1500, "granted")] and kinds() == ["makegood"]
    with pytest.raises(Refused, match="decided already"):
        good.decide(entry, discount_pct=50, credit=0, at=wall("10:51"), by=DANA)


def test_a_chain_of_broken_promises_is_made_good_once(built: Built) -> None:
    good.add_rule("other", 0, None, credit=500)
    promise.make(built.visits["Grace"].id, "part", wall("11:00"), at=wall("09:00"), by=DANA)
    for at in ("11:01", "12:16"):
        with transaction() as s:
            owed.look(s, wall(at))
    for at in ("11:40", "13:30"):
        look(at)
    assert [row[0] for row in ledger()] == ["other"]


def test_the_mail_names_the_amount_and_the_text_does_not(app: Flask, built: Built) -> None:
    good.add_rule("late", 15, None, credit=2000)
    tap(built, "arrived", "10:10")
    look("10:40")
    keeper = sender.Keeper()
    sender.send(sender.worker(app, keeper), wall("10:40"))
    body = next(e.body.decode() for e in keeper.kept if e.kind == "makegood").replace("=\r\n", "")
    assert "What we give you: a credit of =C2=A320.00" in body
    assert "we promised to arrive by 9:30 and arrived at 10:10. We are sorry." in body


def test_an_apology_that_makes_an_excuse_is_refused(built: Built) -> None:
    with pytest.raises(Refused, match="Unfortunately"):
        good.add_rule("late", 15, None, apology="Unfortunately our trainee was slow.")
    with pytest.raises(Refused, match="about"):
        good.add_rule("", 15, None)
