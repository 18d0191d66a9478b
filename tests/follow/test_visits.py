"""After the visit: the customer is asked once whether it is done; nobody waits for somebody who does not come."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from punctual.actions import Refused, customer, people, signoff, technician, transaction
from punctual.actions import good as goods
from punctual.actions.dispatcher import By
from punctual.follow import visits as follow
from punctual.models import Company, Concern, Job, Message, Notice, Promise, Visit, db
from punctual.queries import slots
from tests import build
from tests.build import DATE, Built, wall
from tests.faults.truth import words
from tests.sender import Keeper, send, worker

DANA = By(1, "Dana Price")


@pytest.fixture
def built(app: Flask) -> Built:
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
    return made


def tap(built: Built, kind: str, at: str, name: str = "Priya") -> None:
    technician.report(
        built.visits[name].id,
        kind,
        technician_id=built.technicians["Tom"].id,
        key=f"{name}-{kind}-{at}",
        tapped_at=wall(at),
        at=wall(at),
    )


def look(at: str) -> int:
    with transaction() as s:
        return follow.look(s, wall(at))


def told(name: str, built: Built) -> list[str]:
    db.session.rollback()
    mine = select(Message.kind).where(Message.visit_id == built.visits[name].id, Message.state != "dropped")
    return list(db.session.scalars(mine.order_by(Message.id)))


def finished(built: Built) -> int:
    tap(built, "arrived", "09:00")
    tap(built, "done", "10:00")
    return built.visits["Priya"].id


def test_the_customer_is_asked_once_half_an_hour_after_done(built: Built) -> None:
    finished(built)
    assert [look(at) for at in ("10:29", "10:30", "10:31", "12:00")] == [0, 1, 0, 0]
    assert told("Priya", built) == ["signoff"]


def test_when_the_customer_is_asked_is_the_companys(built: Built) -> None:
    with transaction() as s:
        s.get_one(Company, 1).rules = {"signoff_min": 60}
    finished(built)
    assert [look(at) for at in ("10:30", "10:59", "11:00")] == [0, 0, 1]


def test_not_done_reopens_with_a_promised_call_and_a_task(built: Built) -> None:
    priya = finished(built)
    assert not signoff.not_done(priya, at=wall("10:40")).already
    assert signoff.not_done(priya, at=wall("10:41")).already
    assert told("Priya", built) == ["reopened"]
    owed = db.session.scalars(select(Promise).where(Promise.kind == "call")).one()
    assert (owed.state, owed.owner, owed.due_at) == ("open", "Dana Price", wall("11:45"))
    assert db.session.scalars(select(Notice.reason).where(Notice.decision == "task")).one() == "not_done"


def test_the_last_word_is_the_customers(built: Built) -> None:
    priya = finished(built)
    signoff.done(priya, at=wall("10:40"))
    assert not signoff.not_done(priya, at=wall("10:45")).already
    assert not signoff.done(priya, at=wall("11:00")).already


def test_nothing_is_signed_off_before_it_is_reported(built: Built) -> None:
    with pytest.raises(Refused, match="not reported"):
        signoff.done(built.visits["Priya"].id, at=wall("09:00"))


def test_a_low_rating_is_answered_by_somebody_with_authority_and_a_good_one_is_kept(built: Built) -> None:
    priya = finished(built)
    signoff.rate(priya, 5, at=wall("10:40"))
    assert db.session.scalars(select(Concern)).all() == []
    signoff.rate(priya, 2, at=wall("10:41"))
    concern = db.session.scalars(select(Concern)).one()
    assert (concern.about, concern.promise.owner, concern.promise.due_at) == ("rating", "Dana Price", wall("12:45"))
    with pytest.raises(Refused, match="1 to 5"):
        signoff.rate(priya, 6, at=wall("10:42"))


def test_nobody_home_is_told_at_once_and_can_be_disputed_in_one_tap(built: Built) -> None:
    tap(built, "arrived", "09:20")
    tap(built, "nobody_home", "09:30")
    assert told("Priya", built) == ["nobody_home"]
    priya = built.visits["Priya"].id
    assert not signoff.was_there(priya, at=wall("09:35")).already
    assert signoff.was_there(priya, at=wall("09:36")).already
    assert db.session.scalars(select(Concern.about)).one() == "was_there"
    with pytest.raises(Refused):
        signoff.was_there(built.visits["Grace"].id, at=wall("09:36"))


def test_taking_nobody_home_back_takes_its_message_back(built: Built) -> None:
    tap(built, "arrived", "09:20")
    tap(built, "nobody_home", "09:30")
    technician.undo(
        built.visits["Priya"].id,
        technician_id=built.technicians["Tom"].id,
        key="undo-nobody",
        tapped_at=wall("09:30"),
        at=wall("09:30"),
    )
    assert told("Priya", built) == []


def test_where_nobody_can_come_any_more_the_customer_hears_it_with_a_promised_call(built: Built) -> None:
    people.off(built.technicians["Tom"].id, DATE, "sick", at=wall("09:00"), by=DANA)
    assert look("09:29") == 0
    assert look("09:31") == 1
    assert look("09:32") == 0
    assert told("Priya", built)[-1] == "missed"
    window = db.session.scalars(
        select(Promise).where(Promise.visit_id == built.visits["Priya"].id, Promise.kind == "window")
    ).one()
    assert (window.state, window.ended_by) == ("broken", "clock")
    call = db.session.scalars(
        select(Promise).where(Promise.visit_id == built.visits["Priya"].id, Promise.kind == "call")
    ).one()
    assert call.state == "open"


def test_who_is_late_but_can_still_come_has_not_missed(built: Built) -> None:
    assert look("11:00") == 0


def test_a_person_may_confirm_that_nobody_came(built: Built) -> None:
    with pytest.raises(Refused, match="passed"):
        goods.did_not_come(built.visits["Priya"].id, at=wall("09:10"), by=DANA)
    goods.did_not_come(built.visits["Priya"].id, at=wall("09:40"), by=DANA)
    assert told("Priya", built) == ["missed"]


def said_that_nobody_came(built: Built, state: str) -> None:
    goods.did_not_come(built.visits["Priya"].id, at=wall("09:40"), by=DANA)
    with transaction() as s:
        s.scalars(select(Message).where(Message.kind == "missed")).one().state = state


def came(built: Built, tapped: str, at: str) -> None:
    technician.report(
        built.visits["Priya"].id, "arrived", technician_id=built.technicians["Tom"].id, key=f"arrived-{tapped}",
        tapped_at=wall(tapped), at=wall(at),
    )  # fmt: skip


def test_who_had_come_when_nobody_was_said_to_have_is_told_so_once(built: Built, app: Flask) -> None:
    """The report was on its way: the phone had no signal."""
    said_that_nobody_came(built, "sent")
    came(built, "09:20", "11:00")
    tap(built, "done", "11:05")
    assert told("Priya", built) == ["missed", "correction"]
    keeper = Keeper()
    send(worker(app, keeper), wall("11:06"))
    (said,) = [e for e in keeper.kept if e.kind == "correction"]
    assert "What is true now: Tom arrived at 9:20." in words(said.body)
    window = select(Promise.state).where(Promise.visit_id == built.visits["Priya"].id, Promise.kind == "window")
    assert db.session.scalar(window) == "kept"


def test_what_was_true_when_it_was_said_is_not_taken_back(built: Built) -> None:
    said_that_nobody_came(built, "sent")
    came(built, "10:30", "10:30")
    assert told("Priya", built) == ["missed"]


def test_that_nobody_came_is_dropped_when_somebody_did(built: Built) -> None:
    said_that_nobody_came(built, "held")
    came(built, "10:30", "10:30")
    assert told("Priya", built) == []


def test_work_that_is_not_done_gets_another_visit_in_one_job(built: Built) -> None:
    priya = finished(built)
    signoff.not_done(priya, at=wall("10:40"))
    free = slots.offers(db.session(), priya, at=wall("10:41"))[0]
    assert not customer.choose(priya, free.technician, free.start, at=wall("10:41")).already
    assert customer.choose(priya, free.technician, free.start, at=wall("10:42")).already
    db.session.rollback()
    first, second = db.session.scalars(
        select(Visit).where(Visit.customer_id == built.customers["Priya"].id).order_by(Visit.id)
    )
    assert (second.state, second.technician_id, second.planned_start) == ("planned", free.technician, free.start)
    assert first.state == "done" and first.job_id == second.job_id == db.session.scalars(select(Job.id)).one()
    assert db.session.scalars(select(Message.kind).where(Message.visit_id == second.id)).all() == ["booked"]


def test_work_that_is_done_is_not_booked_again(built: Built) -> None:
    priya = finished(built)
    free = slots.offers(db.session(), priya, at=wall("10:41"))[0]
    with pytest.raises(Refused, match="over or cancelled"):
        customer.choose(priya, free.technician, free.start, at=wall("10:41"))


def test_whoever_nobody_came_to_may_choose_another_day_that_night(built: Built) -> None:
    grace = built.visits["Grace"].id
    with transaction() as s:
        build.day(s, "Ana 08:00-17:00 skills boiler home 51.4600,-2.5800\n", on=DATE + timedelta(days=1))
    look("17:30")
    assert "missed" in told("Grace", built)
    at = wall("23:15")
    times = slots.offers(db.session(), grace, at=at, most=3)
    customer.choose(grace, times[0].technician, times[0].start, at=at)
    db.session.rollback()
    assert db.session.get_one(Visit, grace).date == DATE + timedelta(days=1)


def test_a_visit_of_yesterday_that_was_not_missed_is_history(built: Built) -> None:
    with pytest.raises(Refused, match="over or cancelled already"):
        customer.leave_by(built.visits["Grace"].id, "23:59", "done", at=wall("23:15"))
