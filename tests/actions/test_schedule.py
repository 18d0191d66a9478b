"""What happens to an appointment: promises, claims, messages and both days change together or not at all."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text

from punctual.actions import Refused, schedule, technician, transaction
from punctual.core.day import Window, at_wall
from punctual.models import Message, Notice, Promise, Shift, SlotClaim, Visit, db
from punctual.queries import day as days
from punctual.queries import slots
from tests import build
from tests.build import DATE, Built, wall

NOW = wall("08:30")
TOMORROW = DATE + timedelta(days=1)
NEXT = "Ana 08:00-17:00 skills boiler home 51.4600,-2.5800\n"


@pytest.fixture
def built(app: Flask) -> Built:
    """The morning in Bristol, and Ana's free day after it."""
    with transaction() as s:
        made = build.day(s)
        build.day(s, NEXT, on=TOMORROW)
    return made


def move(built: Built, name: str, clock: str, *, on: date = TOMORROW, **more: object) -> Visit:
    start = at_wall(on, *map(int, clock.split(":")), build.ZONE)
    given: dict[str, object] = {
        "technician_id": built.technicians["Ana"].id,
        "planned_start": start,
        "window": Window(start, start + timedelta(minutes=30)),
        "at": NOW,
        "by": "customer",
    }
    with transaction() as s:
        visit = s.get_one(Visit, built.visits[name].id)
        schedule.move(s, visit, **(given | more))  # type: ignore[arg-type]
    return visit


def kinds(visit_id: int, state: str = "queued") -> list[str]:
    found = select(Message.kind).where(Message.visit_id == visit_id, Message.state == state).order_by(Message.id)
    return list(db.session.scalars(found))


def promises(visit_id: int) -> list[tuple[int, str]]:
    found = select(Promise.version, Promise.state).where(Promise.visit_id == visit_id).order_by(Promise.version)
    return [(v, state) for v, state in db.session.execute(found)]


def board(on: date) -> int:
    found = text("SELECT version FROM board_version WHERE date = :day")
    return db.session.execute(found, {"day": on.isoformat()}).scalar() or 0


def test_a_move_makes_a_new_promise_and_keeps_the_entrys_identity(built: Built) -> None:
    uid = built.visits["Grace"].uid
    visit = move(built, "Grace", "10:00")
    assert promises(visit.id) == [(1, "moved"), (2, "open")]
    assert (visit.uid, visit.date, visit.promise_version) == (uid, TOMORROW, 2)
    assert (visit.wall_start, visit.wall_end) == ("2026-11-25T10:00", "2026-11-25T10:30")
    assert kinds(visit.id) == ["rescheduled"]


def test_a_move_looks_at_both_days_and_turns_both_boards(built: Built) -> None:
    before = board(DATE), board(TOMORROW)
    visit = move(built, "Grace", "10:00")
    assert visit.id not in days.forecasts(db.session(), [built.shifts["Tom"].id])
    ana = db.session.scalars(select(Shift.id).where(Shift.date == TOMORROW)).one()
    assert visit.id in days.forecasts(db.session(), [ana])
    assert board(DATE) > before[0]
    assert board(TOMORROW) > before[1]


def test_a_limit_of_the_day_that_is_left_is_left_too(built: Built) -> None:
    assert built.visits["Grace"].deadline is not None
    assert move(built, "Grace", "10:00").deadline is None


def test_a_move_by_us_says_so_and_replaces_what_was_not_sent_yet(built: Built) -> None:
    move(built, "Grace", "10:00")
    visit = move(built, "Grace", "11:00", by="user:1", forced=True)
    assert kinds(visit.id) == ["moved_by_us"]
    assert kinds(visit.id, "dropped") == ["rescheduled"]
    notice = db.session.scalars(select(Notice).where(Notice.kind == "moved_by_us")).one()
    assert notice.facts["old_start"] == at_wall(TOMORROW, 10, 0, build.ZONE).isoformat()


def test_a_silent_move_tells_nobody(built: Built) -> None:
    visit = move(built, "Grace", "10:00", by="user:1", forced=True, tell=False)
    assert kinds(visit.id) == []
    assert promises(visit.id) == [(1, "moved"), (2, "open")]


def test_a_chosen_time_that_does_not_fit_is_refused_whole(built: Built) -> None:
    move(built, "Grace", "10:00")
    with pytest.raises(Refused) as no:
        move(built, "Helen", "10:15", technician_id=built.technicians["Ana"].id)
    assert no.value.status == 409
    helen = db.session.get_one(Visit, built.visits["Helen"].id)
    assert (helen.date, helen.promise_version, kinds(helen.id)) == (DATE, 1, [])


def test_a_forced_move_may_overlap_and_claims_nothing(built: Built) -> None:
    move(built, "Grace", "10:00")
    move(built, "Priya", "10:15", by="user:1", forced=True)
    claims = db.session.execute(select(SlotClaim.visit_id, SlotClaim.exempt).order_by(SlotClaim.id)).all()
    assert [tuple(c) for c in claims] == [(built.visits["Grace"].id, False), (built.visits["Priya"].id, True)]


def test_a_claim_covers_the_work_and_the_drive_to_it(built: Built) -> None:
    visit = move(built, "Grace", "10:00")
    claim = db.session.scalars(select(SlotClaim)).one()
    assert claim.ends_at == visit.planned_start + timedelta(minutes=45)
    assert timedelta(minutes=4) < visit.planned_start - claim.starts_at < timedelta(minutes=30)


def test_a_hold_that_ran_out_and_a_claim_of_a_finished_visit_do_not_stand_in_the_way(built: Built) -> None:
    start = at_wall(TOMORROW, 10, 0, build.ZONE)
    ana = built.technicians["Ana"].id
    with transaction() as s:
        s.get_one(Visit, built.visits["Lewis"].id).state = "done"
        for name, kind, expires, hour in (("Helen", "hold", NOW, 10), ("Lewis", "choice", None, 11)):
            begin = at_wall(TOMORROW, hour, 0, build.ZONE)
            s.add(
                SlotClaim(
                    technician_id=ana, visit_id=built.visits[name].id, kind=kind, starts_at=begin,
                    ends_at=begin + timedelta(minutes=60), window_start=begin, window_end=begin, planned_start=begin,
                    expires_at=expires, created_at=NOW,
                )
            )  # fmt: skip
    visit = move(built, "Grace", "10:15")
    assert visit.planned_start == start + timedelta(minutes=15)
    assert db.session.scalars(select(SlotClaim.visit_id)).all() == [visit.id]


def test_a_hold_that_stands_is_not_offered(built: Built) -> None:
    begin = at_wall(TOMORROW, 10, 0, build.ZONE)
    with transaction() as s:
        s.add(
            SlotClaim(
                technician_id=built.technicians["Ana"].id, visit_id=built.visits["Helen"].id, kind="hold",
                starts_at=begin, ends_at=begin + timedelta(minutes=60), window_start=begin, window_end=begin,
                planned_start=begin, expires_at=NOW + timedelta(minutes=10), created_at=NOW,
            )
        )  # fmt: skip
    found = slots.free(db.session(), built.visits["Grace"].id, at=NOW)
    held = [x for x in found if begin - timedelta(minutes=45) < x.start < begin + timedelta(minutes=60)]
    assert found
    assert held == []


def test_what_is_offered_can_be_taken(built: Built) -> None:
    grace = built.visits["Grace"].id
    for slot in slots.offers(db.session(), grace, at=NOW, most=12):
        with transaction() as s:
            schedule.move(
                s, s.get_one(Visit, grace), technician_id=slot.technician, planned_start=slot.start,
                window=slot.window, at=NOW, by="customer",
            )  # fmt: skip
        assert db.session.get_one(Visit, grace).planned_start == slot.start


def test_only_technicians_with_the_skill_are_offered(built: Built) -> None:
    found = slots.free(db.session(), built.visits["Helen"].id, at=NOW)
    assert found
    assert {x.technician for x in found} == {built.technicians["Tom"].id}


def test_nobody_who_is_off_is_offered(built: Built) -> None:
    with transaction() as s:
        s.get_one(Shift, built.shifts["Tom"].id).off = "sick"
    assert slots.free(db.session(), built.visits["Helen"].id, at=NOW) == []


def test_a_time_on_the_day_of_the_customers_limit_keeps_it(built: Built) -> None:
    found = slots.free(db.session(), built.visits["Grace"].id, at=NOW)
    today = [x for x in found if x.start < wall("17:00")]
    assert today
    assert all(x.window.end + timedelta(minutes=45) <= wall("12:00") for x in today)
    assert any(x.start > wall("17:00") for x in found)


def test_agreeing_makes_the_told_range_the_promise(built: Built) -> None:
    with transaction() as s:
        visit = s.get_one(Visit, built.visits["Grace"].id)
        schedule.agree(s, visit, window=Window(wall("10:40"), wall("11:15")), at=NOW, by="customer")
    assert promises(visit.id) == [(1, "moved"), (2, "open")]
    assert (visit.window_start, visit.planned_start) == (wall("10:40"), wall("10:40"))
    assert (visit.told_at, visit.told_kind) == (None, "")


def test_cancelling_ends_promises_claims_and_what_is_unsent(built: Built) -> None:
    visit = move(built, "Grace", "10:00")
    with transaction() as s:
        schedule.cancel(s, s.get_one(Visit, visit.id), at=NOW, by="customer")
    assert [state for _, state in promises(visit.id)] == ["moved", "cancelled"]
    assert kinds(visit.id) == ["cancelled_you"]
    assert db.session.scalars(select(SlotClaim)).all() == []
    with pytest.raises(Refused), transaction() as s:
        schedule.cancel(s, s.get_one(Visit, visit.id), at=NOW, by="user:1")


def test_a_walk_in_gets_a_promise_a_booking_and_a_shift_where_there_was_none(built: Built) -> None:
    later = DATE + timedelta(days=3)
    start = at_wall(later, 9, 0, build.ZONE)
    with transaction() as s:
        grace = s.get_one(Visit, built.visits["Grace"].id)
        made = schedule.add(
            s, customer=grace.customer, job_type=grace.job_type, technician_id=built.technicians["Tom"].id,
            place=grace.place, planned_start=start, planned_min=45, window=Window(start, start + timedelta(hours=1)),
            at=NOW, by="user:1",
        )  # fmt: skip
        again = schedule.ensure_shift(s, built.technicians["Tom"].id, later)
    assert promises(made.id) == [(1, "open")]
    assert kinds(made.id) == ["booked"]
    assert made.uid.endswith("@bellweather.example")
    assert (again.starts_at, again.ends_at) == (at_wall(later, 8, 0, build.ZONE), at_wall(later, 17, 0, build.ZONE))
    assert len(db.session.scalars(select(Shift).where(Shift.date == later)).all()) == 1


def test_a_limit_must_lie_ahead_and_be_of_a_known_kind(built: Built) -> None:
    for deadline, kind in ((wall("08:00"), "done"), (wall("12:00"), "perhaps")):
        with pytest.raises(Refused) as no, transaction() as s:
            grace = s.get_one(Visit, built.visits["Grace"].id)
            schedule.set_deadline(s, grace, deadline=deadline, kind=kind, at=NOW, by="customer")
        assert no.value.status == 422


def test_what_was_announced_for_the_old_time_says_nothing_about_the_new_one(built: Built) -> None:
    tom, grace = built.technicians["Tom"].id, built.visits["Grace"].id

    def late(key: str, minutes: int, technician_id: int, at: datetime) -> None:
        technician.report(grace, "late", technician_id=technician_id, key=key, tapped_at=at, at=at, minutes=minutes)

    late("late-before", 30, tom, NOW)
    visit = move(built, "Grace", "10:00")
    assert (visit.state, visit.late_min, visit.late_at) == ("planned", 0.0, None)
    then = at_wall(TOMORROW, 9, 30, build.ZONE)
    late("late-after-1", 15, built.technicians["Ana"].id, then)
    db.session.expire_all()
    assert (visit.late_min, visit.late_at) == (15.0, then), "the fold of all reports counts only what came after"


def test_whoever_was_on_the_way_to_the_old_time_is_not_on_the_way_to_the_new_one(built: Built) -> None:
    tom, grace = built.technicians["Tom"].id, built.visits["Grace"].id
    technician.report(grace, "on_my_way", technician_id=tom, key="way-to-grace", tapped_at=NOW, at=NOW)
    visit = move(built, "Grace", "10:00", by="board", forced=True)
    assert (visit.state, visit.on_my_way_at) == ("planned", None)
