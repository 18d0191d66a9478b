"""What a dispatcher's acts do to visits, customers, technicians and to who is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from punctual.actions import Refused, dispatcher, effect, people, task, transaction
from punctual.actions.dispatcher import By, Caller
from punctual.core.day import Window
from punctual.models import (
    BoardVersion,
    Customer,
    Link,
    Message,
    Notice,
    Place,
    Promise,
    Report,
    Shift,
    SlotClaim,
    Visit,
    db,
)
from tests.build import DATE, LONG_AGO, wall
from tests.web.desk import Desk, desk, notices

BY = By(1, "Dana Price")
NOW = wall("09:40")


@pytest.fixture
def day(app: Flask) -> Desk:
    """Tom's first job runs far over; Grace is next."""
    made = desk(app)
    made.tap("Priya", "arrived", "09:05")
    return made


def overrun(day: Desk) -> None:
    day.tap("Priya", "late", "09:20", minutes=120)


def version() -> int:
    db.session.rollback()
    return db.session.scalar(select(BoardVersion.version).where(BoardVersion.date == DATE)) or 0


def visit(day: Desk, name: str) -> Visit:
    db.session.rollback()
    return db.session.get_one(Visit, day.visit(name))


def technician(day: Desk, name: str) -> int:
    return day.built.technicians[name].id


def test_giving_a_visit_keeps_its_promise_and_moves_it_to_the_other_day(day: Desk) -> None:
    before = version()
    dispatcher.give(day.visit("Grace"), technician(day, "Ana"), at=NOW, by=BY)
    grace = visit(day, "Grace")
    assert grace.technician_id == technician(day, "Ana")
    assert (grace.window_start, grace.window_end) == (wall("10:00"), wall("10:30"))
    assert grace.promise_version == 1
    assert version() > before


def test_a_customer_told_of_a_delay_is_told_the_better_range_once_when_somebody_else_comes(day: Desk) -> None:
    overrun(day)
    grace = day.built.visits["Grace"]
    assert [n.kind for n in notices(grace.id)] == ["deadline_done"]
    with transaction() as s:
        row = s.get_one(Visit, grace.id)
        row.told_start, row.told_end, row.told_at, row.told_kind = (
            wall("11:30"),
            wall("12:10"),
            wall("09:21"),
            "late_first",
        )
    dispatcher.give(grace.id, technician(day, "Ana"), at=NOW, by=BY)
    newest = notices(grace.id)[-1]
    assert newest.kind == "late_update" and newest.reason == "by_hand"
    assert newest.told_start is not None and newest.told_start < wall("10:31")
    assert newest.cause.startswith("user:1:give:")


def test_giving_drops_what_is_still_unsent(day: Desk) -> None:
    overrun(day)
    dispatcher.give(day.visit("Grace"), technician(day, "Ana"), at=NOW, by=BY)
    db.session.rollback()
    old = db.session.scalars(select(Message).where(Message.visit_id == day.visit("Grace")).order_by(Message.id)).first()
    assert old is not None and old.state == "dropped" and "given to Ana" in old.state_reason


def test_a_visit_cannot_be_given_to_who_has_it_nor_to_somebody_off_nor_when_it_is_under_way(day: Desk) -> None:
    with pytest.raises(Refused, match="has this visit already"):
        dispatcher.give(day.visit("Grace"), technician(day, "Tom"), at=NOW, by=BY)
    with pytest.raises(Refused, match="is there already"):
        dispatcher.give(day.visit("Priya"), technician(day, "Ana"), at=NOW, by=BY)
    people.off(technician(day, "Ana"), DATE, "sick", at=NOW, by=BY)
    with pytest.raises(Refused, match="Ana is off that day"):
        dispatcher.give(day.visit("Grace"), technician(day, "Ana"), at=NOW, by=BY)


def test_reports_of_the_one_before_do_not_count_for_the_one_who_comes_now(day: Desk) -> None:
    day.tap("Lewis", "on_my_way", "09:30")
    people.off(technician(day, "Ana"), DATE, "sick", at=NOW, by=BY)
    dispatcher.give(day.visit("Lewis"), technician(day, "Tom"), at=NOW, by=BY)
    lewis = visit(day, "Lewis")
    assert lewis.state == "planned" and lewis.on_my_way_at is None
    kinds = [r.kind for r in db.session.scalars(select(Report).where(Report.visit_id == lewis.id).order_by(Report.id))]
    assert kinds == ["on_my_way", "undo"]


def test_moving_makes_a_new_promise_and_tells_the_customer_unless_asked_not_to(day: Desk) -> None:
    for name, opens, tell in (("Lewis", "13:30", True), ("Helen", "15:30", False)):
        window = Window(wall(opens), wall(opens) + timedelta(minutes=30))
        ana = technician(day, "Ana")
        dispatcher.move(day.visit(name), ana, start=window.start, window=window, tell=tell, at=NOW, by=BY)
    assert [n.kind for n in notices(day.visit("Lewis"))] == ["moved_by_us"]
    assert notices(day.visit("Helen")) == []
    promises = select(Promise).where(Promise.visit_id == day.visit("Lewis")).order_by(Promise.version)
    assert [p.state for p in db.session.scalars(promises)] == ["moved", "open"]


def test_a_dispatcher_may_overbook_and_the_claims_say_so(day: Desk) -> None:
    window = Window(wall("15:00"), wall("15:30"))
    for name in ("Grace", "Helen"):
        dispatcher.move(
            day.visit(name), technician(day, "Ana"), start=window.start, window=window, tell=False, at=NOW, by=BY
        )
    db.session.rollback()
    assert [c.exempt for c in db.session.scalars(select(SlotClaim))] == [True, True]


def test_a_move_into_the_past_is_refused_with_a_sentence(day: Desk) -> None:
    window = Window(wall("08:00"), wall("08:30"))
    with pytest.raises(Refused, match="That time has passed"):
        dispatcher.move(
            day.visit("Grace"), technician(day, "Ana"), start=window.start, window=window, tell=True, at=NOW, by=BY
        )
    assert visit(day, "Grace").promise_version == 1


def test_cancelling_tells_the_customer_and_ends_the_promise(day: Desk) -> None:
    dispatcher.cancel(day.visit("Grace"), tell=True, at=NOW, by=BY)
    assert visit(day, "Grace").state == "cancelled"
    assert [n.kind for n in notices(day.visit("Grace"))] == ["cancelled_us"]
    with pytest.raises(Refused, match="over already"):
        dispatcher.cancel(day.visit("Grace"), tell=True, at=NOW, by=BY)


def test_a_held_visit_is_not_told_until_it_is_released(day: Desk) -> None:
    dispatcher.hold(day.visit("Grace"), "she is on the phone with us", at=wall("09:10"), by=BY)
    overrun(day)
    assert notices(day.visit("Grace")) == []
    assert notices(day.visit("Grace"), "silent")[-1].reason == "held"
    dispatcher.release(day.visit("Grace"), at=wall("09:30"), by=BY)
    assert notices(day.visit("Grace")) != []


def test_holding_twice_is_refused(day: Desk) -> None:
    dispatcher.hold(day.visit("Grace"), "why", at=NOW, by=BY)
    with pytest.raises(Refused, match="held back already"):
        dispatcher.hold(day.visit("Grace"), "why", at=NOW, by=BY)


def test_telling_by_hand_tells_the_present_range_although_the_limit_is_not_reached(day: Desk) -> None:
    day.tap("Lewis", "late", "09:10", minutes=35)
    assert notices(day.visit("Lewis")) == [], "past the window, and inside the threshold"
    dispatcher.tell_now(day.visit("Lewis"), at=wall("09:10"), by=BY)
    told = notices(day.visit("Lewis"))
    assert [(n.kind, n.reason) for n in told] == [("late_first", "by_hand")]
    assert told[0].told_start is not None and told[0].told_end is not None


def test_no_lateness_is_told_by_hand_of_who_is_expected_in_time(day: Desk) -> None:
    day.look("09:10")
    with pytest.raises(Refused, match="expected in time"):
        dispatcher.tell_now(day.visit("Lewis"), at=wall("09:10"), by=BY)
    assert notices(day.visit("Lewis")) == []


def test_telling_without_a_forecast_is_refused(app: Flask) -> None:
    day = desk(app)
    with pytest.raises(Refused, match="no forecast"):
        dispatcher.tell_now(day.visit("Lewis"), at=wall("09:10"), by=BY)


def test_no_time_is_told_of_a_technician_who_is_off(day: Desk) -> None:
    people.off(technician(day, "Ana"), DATE, "sick", at=NOW, by=BY)
    with pytest.raises(Refused, match="no honest time"):
        dispatcher.tell_now(day.visit("Lewis"), at=NOW, by=BY)


def test_a_call_that_was_made_ends_the_task_and_keeps_the_promise(day: Desk) -> None:
    with transaction() as s:
        s.add(
            Notice(
                key="1:call",
                visit_id=day.visit("Grace"),
                decision="task",
                kind="call",
                reason="asked",
                facts={},
                at=NOW,
            )
        )
        s.add(
            Promise(
                visit_id=day.visit("Grace"),
                kind="call",
                due_at=wall("10:00"),
                made_by="customer",
                made_at=wall("09:31"),
            )
        )
    dispatcher.called(day.visit("Grace"), at=wall("09:50"), by=BY)
    db.session.rollback()
    task = db.session.scalars(select(Notice).where(Notice.key == "1:call")).one()
    promise = db.session.scalars(select(Promise).where(Promise.kind == "call")).one()
    assert (task.resolved_by, promise.state, promise.ended_by) == ("Dana Price", "kept", "Dana Price")


def test_adding_a_walk_in_makes_customer_place_promise_and_confirmation(day: Desk) -> None:
    made = dispatcher.add_visit(
        Caller(name="Omar Said", email="Omar@Example.com", phone="0117 496 0200"),
        job_type_id=day.built.visits["Grace"].job_type_id,
        technician_id=technician(day, "Ana"),
        address="7 Park Row, Bristol",
        window=Window(wall("14:00"), wall("14:30")),
        planned_min=0,
        notes="",
        tell=True,
        at=NOW,
        by=BY,
    )
    db.session.rollback()
    row = db.session.get_one(Visit, made)
    assert (row.customer.email, row.customer.phone) == ("Omar@example.com", "+441174960200")
    assert row.place is not None and row.place.state == "pending"
    assert row.planned_min == row.job_type.planned_min
    assert [n.kind for n in notices(made)] == ["booked"]


@pytest.mark.parametrize(
    ("email", "phone", "says"), [("nobody", "", "is no e-mail address"), ("", "12", "with its country")]
)
def test_an_address_that_cannot_be_right_is_refused(day: Desk, email: str, phone: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        people.edit_customer(
            day.built.customers["Grace"].id,
            name="Grace",
            email=email,
            phone=phone,
            language="en",
            early=False,
            at=NOW,
            by=BY,
        )


def test_a_mended_address_ends_the_old_link_and_offers_what_failed_again(day: Desk) -> None:
    overrun(day)
    customer = day.built.customers["Grace"]
    with transaction() as s:
        message = s.scalars(select(Message).where(Message.customer_id == customer.id)).one()
        message.state, message.state_reason = "failed", "no such mailbox"
        s.get_one(Customer, customer.id).email_bad = "no such mailbox"
        s.add(Link(purpose="customer", owner_id=day.visit("Grace"), version=1, token_hash="x", created_at=LONG_AGO))
    people.edit_customer(
        customer.id,
        name="Grace Whitfield",
        email="grace.w@example.com",
        phone="",
        language="en",
        early=True,
        at=NOW,
        by=BY,
    )
    db.session.rollback()
    row = db.session.get_one(Customer, customer.id)
    assert (row.email, row.email_bad, row.link_version, row.early_messages) == ("grace.w@example.com", "", 2, True)
    again = db.session.get_one(Message, message.id)
    assert again.state == "queued" and again.due_at == NOW and again.useful_until > NOW
    assert db.session.scalars(select(Link).where(Link.purpose == "customer")).one().revoked_at == NOW


def test_a_name_alone_changes_no_link_and_sends_nothing_again(day: Desk) -> None:
    customer = day.built.customers["Grace"]
    people.edit_customer(
        customer.id, name="Grace W.", email="grace@example.com", phone="", language="en", early=False, at=NOW, by=BY
    )
    db.session.rollback()
    assert db.session.get_one(Customer, customer.id).link_version == 1


def test_cancelling_a_customer_cancels_every_coming_visit(day: Desk) -> None:
    people.cancel_customer(day.built.customers["Grace"].id, tell=True, at=NOW, by=BY)
    assert visit(day, "Grace").state == "cancelled"
    assert visit(day, "Lewis").state == "planned"


def test_customers_of_a_technician_off_sick_are_asked_to_choose_before_their_window(day: Desk) -> None:
    people.off(technician(day, "Ana"), DATE, "sick", at=wall("09:40"), by=BY)
    for at in ("09:45", "10:10", "10:20", "10:30"):
        day.look(at)
    kinds = [n.kind for n in notices(day.visit("Lewis"))]
    assert kinds == ["please_choose"]


def test_a_technician_who_comes_after_all_is_forecast_again(day: Desk) -> None:
    people.off(technician(day, "Ana"), DATE, "sick", at=NOW, by=BY)
    people.on_again(technician(day, "Ana"), DATE, at=NOW, by=BY)
    db.session.rollback()
    shift = db.session.scalars(select(Shift).where(Shift.technician_id == technician(day, "Ana"))).one()
    assert (shift.off, shift.nudged_at) == ("", None)
    assert notices(day.visit("Lewis"), "silent")[-1].reason == "fine"


def test_hours_can_be_changed_and_a_break_outside_them_is_refused(day: Desk) -> None:
    people.edit_shift(
        technician(day, "Ana"),
        DATE,
        starts_at=wall("10:00"),
        ends_at=wall("18:00"),
        break_=(wall("13:00"), wall("13:30")),
        at=NOW,
        by=BY,
    )
    db.session.rollback()
    shift = db.session.scalars(select(Shift).where(Shift.technician_id == technician(day, "Ana"))).one()
    assert (shift.starts_at, shift.ends_at, shift.break_starts_at) == (wall("10:00"), wall("18:00"), wall("13:00"))
    with pytest.raises(Refused, match="break must lie inside"):
        people.edit_shift(
            technician(day, "Ana"),
            DATE,
            starts_at=wall("10:00"),
            ends_at=wall("18:00"),
            break_=(wall("09:00"), wall("09:30")),
            at=NOW,
            by=BY,
        )


def test_a_resolved_task_says_who_saw_to_it(day: Desk) -> None:
    with transaction() as s:
        asked = Notice(
            key="s",
            shift_id=day.built.shifts["Ana"].id,
            decision="task",
            kind="silent",
            reason="silent",
            facts={},
            at=NOW,
        )
        s.add(asked)
    task.resolve(asked.id, at=NOW, by=BY)
    db.session.rollback()
    assert db.session.get_one(Notice, asked.id).resolved_by == "Dana Price"
    with pytest.raises(Refused, match="no such task"):
        task.resolve(9999, at=NOW, by=BY)


def test_the_effect_of_giving_is_shown_and_nothing_is_saved(day: Desk) -> None:
    overrun(day)
    before = version()
    best = effect.candidates(db.session(), day.visit("Grace"), NOW)
    assert [e.first_name for e in best] == ["Ana"]
    change = best[0].changes[0]
    assert change.visit_id == day.visit("Grace") and change.before_look == "late" and change.after_look == "ontime"
    assert best[0].holds
    assert change.before is not None and change.before - change.after > timedelta(minutes=30)
    assert version() == before and visit(day, "Grace").technician_id == technician(day, "Tom")


def test_an_effect_names_the_promises_it_would_break(day: Desk) -> None:
    with transaction() as s:
        s.get_one(Visit, day.visit("Lewis")).planned_min = 60.0
        s.get_one(Visit, day.visit("Grace")).planned_min = 240.0
    found = effect.effect(
        db.session(), day.visit("Grace"), technician_id=technician(day, "Ana"), start=wall("10:00"), at=NOW
    )
    assert found is not None and not found.holds
    lewis = next(c for c in found.changes if c.visit_id == day.visit("Lewis"))
    assert lewis.after_look == "late" and lewis.before_look == "ontime"


def test_how_a_visit_stands_now_is_judged_by_the_promise_it_has_now(day: Desk) -> None:
    """Not by the earlier one it would get, which the present arrival could never keep."""
    given = {"technician_id": technician(day, "Ana"), "start": wall("08:00"), "at": NOW}
    found = effect.effect(db.session(), day.visit("Grace"), window=Window(wall("08:00"), wall("08:15")), **given)
    assert found is not None and found.changes[0].before_look == "ontime"


def test_who_lacks_the_skill_is_not_proposed(day: Desk) -> None:
    assert effect.candidates(db.session(), day.visit("Helen"), NOW) == []


def test_an_address_known_already_is_not_looked_up_twice(day: Desk) -> None:
    address = "3 Upton Road, Bristol"
    before = db.session.scalar(select(func.count()).select_from(Place))
    dispatcher.add_visit(
        Caller(id=day.built.customers["Grace"].id),
        job_type_id=day.built.visits["Grace"].job_type_id,
        technician_id=None,
        address=address,
        window=Window(wall("14:00"), wall("14:30")),
        planned_min=30,
        notes="",
        tell=False,
        at=NOW,
        by=BY,
    )
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(Place)) == before
