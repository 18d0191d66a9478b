"""Taps: each counts once, at the moment it was tapped; what they make true is written and told in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.actions import Refused, technician, transaction
from punctual.models import BoardVersion, Company, Message, Notice, Promise, Report, Shift, Visit, db
from tests import build
from tests.build import wall

KEYS = count(1)


class Days:
    """A built morning, by ids, and short ways to tap in it."""

    def __init__(self, built: build.Built) -> None:
        self.visits = {name: v.id for name, v in built.visits.items()}
        self.technicians = {name: t.id for name, t in built.technicians.items()}
        self.shifts = {name: x.id for name, x in built.shifts.items()}

    def tap(
        self, name: str, kind: str, tapped: str, *, by: str = "Tom", at: str = "", key: str = "", **more: object
    ) -> technician.Taken:
        return technician.report(
            self.visits[name],
            kind,
            technician_id=self.technicians[by],
            key=key or f"key-{next(KEYS):06}",
            tapped_at=wall(tapped),
            at=wall(at or tapped),
            **more,  # type: ignore[arg-type]
        )

    def undo(
        self, name: str, tapped: str, *, by: str = "Tom", key: str = "", of_key: str | None = None
    ) -> technician.Taken:
        return technician.undo(
            self.visits[name],
            technician_id=self.technicians[by],
            key=key or f"key-{next(KEYS):06}",
            tapped_at=wall(tapped),
            at=wall(tapped),
            of_key=of_key,
        )

    def visit(self, name: str) -> Visit:
        db.session.rollback()
        return db.session.get_one(Visit, self.visits[name])

    def messages(self, name: str) -> list[tuple[str, str]]:
        found = db.session.execute(
            select(Message.kind, Message.state).where(Message.visit_id == self.visits[name]).order_by(Message.id)
        )
        return [(kind, state) for kind, state in found]


def built(text: str = build.MORNING, **values: object) -> Days:
    with transaction() as s:
        made = build.day(s, text, **values)
        return Days(made)


@pytest.fixture
def day(app: Flask) -> Days:
    return built()


def refused(status: int, act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as no:
        act()
    assert no.value.status == status
    assert no.value.sentence.endswith(".")
    return no.value.sentence


def test_a_days_taps_lead_a_visit_from_plan_to_done(day: Days) -> None:
    day.tap("Priya", "on_my_way", "08:40")
    assert day.visit("Priya").state == "on_my_way"
    day.tap("Priya", "arrived", "09:02")
    assert day.visit("Priya").arrived_at == wall("09:02")
    taken = day.tap("Priya", "done", "10:00")
    priya = day.visit("Priya")
    assert (priya.state, priya.finished_at) == ("done", wall("10:00"))
    assert (taken.already, taken.shift_id) == (False, day.shifts["Tom"])


def test_an_overrun_tells_the_next_customer_in_the_same_transaction(day: Days) -> None:
    day.tap("Priya", "arrived", "09:02")
    taken = day.tap("Priya", "late", "09:05", minutes=60)
    assert [(t["name"], t["kind"], t["decision"]) for t in taken.told] == [("Grace", "late_first", "tell")]
    assert day.messages("Grace") == [("late_first", "queued")]
    notice = db.session.scalars(select(Notice).where(Notice.decision == "tell")).one()
    assert notice.cause == f"report:{taken.report_id}"
    assert taken.told[0]["from"] == notice.told_start


def test_an_overrun_past_the_customers_own_limit_asks_them(day: Days) -> None:
    day.tap("Priya", "arrived", "09:02")
    taken = day.tap("Priya", "late", "09:05", minutes=100)
    assert [(t["name"], t["kind"]) for t in taken.told if t["name"] == "Grace"] == [("Grace", "deadline_done")]


def test_a_tap_says_when_the_visits_that_are_ahead_will_be_reached(day: Days) -> None:
    before = day.tap("Priya", "arrived", "09:02").etas
    after = day.tap("Priya", "late", "09:05", minutes=60).etas
    names = [day.visit(name).id for name in ("Grace", "Helen")]
    assert [e.visit_id for e in before] == [e.visit_id for e in after] == names
    assert all(e.start <= e.expected <= e.end for e in after)
    later, sooner = (datetime.fromisoformat(etas[0].expected) for etas in (after, before))
    assert later - sooner > timedelta(minutes=40), "she is next"


def test_a_delay_that_slack_absorbs_tells_nobody(day: Days) -> None:
    day.tap("Lewis", "arrived", "11:00", by="Ana")
    assert day.tap("Lewis", "late", "11:10", minutes=15, by="Ana").told == []


def test_the_same_key_counts_once_and_gives_the_same_answer(day: Days) -> None:
    day.tap("Priya", "arrived", "09:02")
    first = day.tap("Priya", "late", "09:05", minutes=60, key="one-and-only")
    again = day.tap("Priya", "late", "09:05", minutes=60, key="one-and-only", at="09:20")
    assert again.already
    assert (again.report_id, again.told, again.etas) == (first.report_id, first.told, first.etas)
    assert day.visit("Priya").late_min == 60


def test_a_replayed_tap_of_a_visit_that_is_over_is_no_error(day: Days) -> None:
    day.tap("Priya", "arrived", "09:02", key="arrived-1")
    day.tap("Priya", "done", "10:00")
    assert day.tap("Priya", "arrived", "09:02", key="arrived-1", at="10:30").already


def test_a_key_of_another_tap_is_refused(day: Days) -> None:
    day.tap("Priya", "arrived", "09:02", key="arrived-1")
    refused(409, lambda: day.tap("Grace", "arrived", "10:02", key="arrived-1"))
    refused(409, lambda: day.tap("Lewis", "arrived", "10:02", key="arrived-1", by="Ana"))


@pytest.mark.parametrize(
    ("status", "kind", "tapped", "more"),
    [
        (409, "done", "09:30", {}),
        (409, "cannot_finish", "09:30", {}),
        (409, "nobody_home", "09:30", {}),
        (403, "arrived", "09:30", {"by": "Ana"}),
        (422, "arrived", "09:33", {"at": "09:30"}),
        (422, "late", "09:30", {"minutes": 0}),
        (422, "late", "09:30", {"minutes": 601}),
        (422, "late", "09:30", {"minutes": -15}),
        (422, "late", "09:30", {"minutes": 10**19}),
        (422, "asleep", "09:30", {}),
        (422, "undo", "09:30", {}),
        (422, "arrived", "09:30", {"key": "short"}),
        (422, "arrived", "09:30", {"key": "k" * 81}),
        (422, "arrived", "09:30", {"key": "nul\x00nulnul"}),
        (422, "arrived", "09:30", {"key": "surrogate\ud800"}),
    ],
)
def test_an_impossible_report_gets_a_sentence_and_leaves_nothing(
    day: Days, status: int, kind: str, tapped: str, more: dict[str, object]
) -> None:
    refused(status, lambda: day.tap("Priya", kind, tapped, **more))  # type: ignore[arg-type]
    assert db.session.scalar(select(func.count()).select_from(Report)) == 0
    assert day.visit("Priya").state == "planned"


@pytest.mark.parametrize("visit_id", [0, -1, 999_999, 2**31, 2**63, 10**30])
def test_an_unknown_visit_is_not_found(day: Days, visit_id: int) -> None:
    day.visits["Nobody"] = visit_id
    refused(404, lambda: day.tap("Nobody", "arrived", "09:00"))
    refused(404, lambda: day.undo("Nobody", "09:00"))


def test_two_minutes_of_a_fast_phone_clock_are_forgiven_and_counted_as_now(day: Days) -> None:
    day.tap("Priya", "arrived", "09:02", at="09:00")
    assert day.visit("Priya").arrived_at == wall("09:00")


def test_a_visit_that_is_over_takes_no_more_reports(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    day.tap("Priya", "done", "10:00")
    assert "already done" in refused(409, lambda: day.tap("Priya", "late", "10:01", minutes=15))
    assert "already done" in refused(409, lambda: day.tap("Priya", "arrived", "10:01"))


def test_arriving_twice_is_refused_with_the_first_time(day: Days) -> None:
    day.tap("Priya", "arrived", "09:02")
    assert "at 9:02" in refused(409, lambda: day.tap("Priya", "arrived", "09:10"))


def test_done_tapped_before_arrived_was_is_refused(day: Days) -> None:
    day.tap("Priya", "arrived", "09:30")
    refused(409, lambda: day.tap("Priya", "done", "09:10", at="09:40"))


def test_a_cancelled_visit_says_who_cancelled_it_and_when(day: Days) -> None:
    with transaction() as s:
        priya = s.get_one(Visit, day.visits["Priya"])
        priya.state, priya.cancelled_at, priya.cancelled_by = "cancelled", wall("08:20"), "customer"
    assert refused(409, lambda: day.tap("Priya", "arrived", "09:00")) == "The customer cancelled this visit at 8:20."


def test_a_visit_of_another_day_is_refused_with_its_date(day: Days) -> None:
    yesterday = wall("09:00") - timedelta(days=1)
    sentence = refused(
        409,
        lambda: technician.report(
            day.visits["Priya"],
            "arrived",
            technician_id=day.technicians["Tom"],
            key="yesterday-1",
            tapped_at=yesterday,
            at=yesterday,
        ),
    )
    assert "2026-11-24" in sentence


# On my way


def test_on_my_way_waits_for_undo_and_is_put_once(day: Days) -> None:
    taken = day.tap("Priya", "on_my_way", "08:40")
    assert [(t["name"], t["kind"]) for t in taken.told] == [("Priya", "on_my_way")]
    message = db.session.scalars(select(Message)).one()
    assert message.due_at == wall("08:40") + timedelta(seconds=15)
    day.tap("Priya", "late", "08:50", minutes=5)
    assert [k for k, _ in day.messages("Priya")] == ["on_my_way"]


def test_how_long_on_my_way_waits_for_undo_is_the_companys(day: Days) -> None:
    with transaction() as s:
        s.get_one(Company, 1).rules = {"undo_s": 40}
    day.tap("Priya", "on_my_way", "08:40")
    assert db.session.scalars(select(Message.due_at)).one() == wall("08:40") + timedelta(seconds=40)


def test_undo_takes_a_queued_on_my_way_out_of_the_outbox(day: Days) -> None:
    day.tap("Priya", "on_my_way", "08:40")
    day.undo("Priya", "08:40")
    assert day.messages("Priya") == [("on_my_way", "dropped")]
    assert day.visit("Priya").state == "planned"
    day.tap("Priya", "on_my_way", "08:45")
    assert day.messages("Priya") == [("on_my_way", "dropped"), ("on_my_way", "queued")]


def test_undo_after_the_customer_was_told_sends_one_correction(day: Days) -> None:
    day.tap("Priya", "on_my_way", "08:40")
    with transaction() as s:
        s.scalars(select(Message)).one().state = "sent"
    day.undo("Priya", "08:41")
    assert day.messages("Priya") == [("on_my_way", "sent"), ("correction", "queued")]
    assert db.session.scalars(select(Notice).where(Notice.decision == "task", Notice.kind == "call")).all() == []


def test_undo_after_the_customer_was_told_and_lost_their_address_asks_somebody_to_call(day: Days) -> None:
    day.tap("Priya", "on_my_way", "08:40")
    with transaction() as s:
        s.scalars(select(Message)).one().state = "sent"
        s.get_one(Visit, day.visits["Priya"]).customer.email_bad = "bounced"
    day.undo("Priya", "08:41")
    task = db.session.scalars(select(Notice).where(Notice.decision == "task", Notice.kind == "call")).one()
    assert (task.visit_id, task.reason) == (day.visits["Priya"], "no_contact")


def test_arriving_supersedes_what_was_queued(day: Days) -> None:
    day.tap("Priya", "on_my_way", "08:40")
    day.tap("Priya", "arrived", "08:58")
    assert day.messages("Priya") == [("on_my_way", "dropped")]


def test_a_tap_delivered_an_hour_later_counts_at_its_moment_and_tells_nobody(day: Days) -> None:
    taken = day.tap("Priya", "on_my_way", "08:30", at="09:20")
    assert taken.told == []
    assert day.visit("Priya").on_my_way_at == wall("08:30")
    report = db.session.scalars(select(Report)).one()
    assert (report.at, report.received_at) == (wall("08:30"), wall("09:20"))


def test_late_taps_out_of_order_leave_the_visit_as_if_they_came_in_order(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00", at="09:40")
    day.tap("Priya", "late", "08:50", at="09:41", minutes=15)
    priya = day.visit("Priya")
    assert (priya.state, priya.late_min) == ("arrived", 0.0)


# Undo


def test_undo_takes_back_the_last_report_and_then_the_one_before(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    day.tap("Priya", "late", "09:10", minutes=30)
    day.undo("Priya", "09:11")
    assert day.visit("Priya").late_min == 0
    day.undo("Priya", "09:12")
    assert day.visit("Priya").state == "planned"
    assert "nothing to undo" in refused(409, lambda: day.undo("Priya", "09:13"))
    assert db.session.scalar(select(func.count()).select_from(Report)) == 4


def test_undo_of_a_named_tap_takes_back_that_one(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    day.tap("Priya", "late", "09:10", minutes=30, key="late-thirty")
    day.tap("Priya", "late", "09:12", minutes=15)
    day.undo("Priya", "09:13", of_key="late-thirty")
    assert day.visit("Priya").late_min == 15
    refused(409, lambda: day.undo("Priya", "09:14", of_key="late-thirty"))
    refused(409, lambda: day.undo("Priya", "09:14", of_key="no-such-key"))


def test_the_same_undo_twice_takes_back_one_report(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    day.tap("Priya", "late", "09:10", minutes=30)
    day.undo("Priya", "09:11", key="undo-once-1")
    assert day.undo("Priya", "09:12", key="undo-once-1").already
    assert day.visit("Priya").state == "arrived"


def test_undoing_done_opens_the_visit_again(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    day.tap("Priya", "done", "09:50")
    day.undo("Priya", "09:51")
    assert day.visit("Priya").state == "arrived"


# Promises


def promise_state(day: Days, name: str) -> str:
    found = db.session.scalars(select(Promise).where(Promise.visit_id == day.visits[name], Promise.kind == "window"))
    return found.one().state


def test_arriving_in_the_window_keeps_the_promise_and_undo_opens_it_again(day: Days) -> None:
    day.tap("Priya", "arrived", "09:30")
    assert promise_state(day, "Priya") == "kept"
    day.undo("Priya", "09:31")
    assert promise_state(day, "Priya") == "open"
    day.tap("Priya", "arrived", "09:32")
    assert promise_state(day, "Priya") == "broken"


def test_the_answer_names_the_customer_who_was_not_met_and_is_told_so(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    taken = day.tap("Priya", "nobody_home", "09:10")
    assert [(x["name"], x["kind"], x["decision"]) for x in taken.told] == [("Priya", "nobody_home", "tell")]
    assert day.messages("Priya")[-1] == ("nobody_home", "queued")


# A named time


def test_a_named_time_of_arrival_counts_from_the_plan(day: Days) -> None:
    day.tap("Priya", "late", "08:40", arriving=wall("09:25"))
    assert day.visit("Priya").late_min == 25


def test_a_named_end_counts_from_the_planned_end_of_the_job_under_way(day: Days) -> None:
    day.tap("Priya", "arrived", "09:05")
    day.tap("Priya", "late", "09:10", minutes=15)
    day.tap("Priya", "late", "09:20", arriving=wall("10:45"))
    assert day.visit("Priya").late_min == 40


def test_a_quarter_more_said_when_the_time_has_passed_counts_from_then(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    ends = wall("09:00") + timedelta(minutes=day.visit("Priya").planned_min)
    assert ends == wall("10:00")
    day.tap("Priya", "late", "10:20", minutes=15)
    assert ends + timedelta(minutes=day.visit("Priya").late_min) == wall("10:35")


def test_a_quarter_more_said_before_the_time_has_passed_adds_to_what_was_said(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    day.tap("Priya", "late", "09:10", minutes=15)
    day.tap("Priya", "late", "09:20", minutes=15)
    assert day.visit("Priya").late_min == 30


def test_a_named_time_means_itself_also_when_the_planned_one_has_passed(day: Days) -> None:
    day.tap("Priya", "late", "09:20", arriving=wall("09:35"))
    assert day.visit("Priya").planned_start == wall("09:00") and day.visit("Priya").late_min == 35


def test_taking_back_a_word_said_late_leaves_the_one_before_it(day: Days) -> None:
    day.tap("Priya", "late", "08:50", minutes=15)
    day.tap("Priya", "late", "09:30", minutes=15)
    assert day.visit("Priya").late_min == 45
    day.undo("Priya", "09:31")
    assert day.visit("Priya").late_min == 15


def test_a_named_time_before_the_plan_is_refused(day: Days) -> None:
    refused(422, lambda: day.tap("Priya", "late", "08:40", arriving=wall("08:50")))


# Notes and the board


def test_every_tap_shows_on_the_board(day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    assert db.session.get_one(BoardVersion, build.DATE).version == 1


# Many at once


def together(app: Flask, acts: list[Callable[[], object]]) -> list[object]:
    """All acts at the same moment, a thread each; their results or errors, in order."""
    barrier, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(i: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                results[i] = acts[i]()  # type: ignore[call-overload]
            except Exception as error:
                results[i] = error  # type: ignore[call-overload]
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(acts))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return list(results)


def test_eight_simultaneous_taps_with_different_keys_are_summed(app: Flask, day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    results = together(app, [lambda: day.tap("Priya", "late", "09:10", minutes=15)] * 8)
    assert all(isinstance(r, technician.Taken) for r in results), results
    assert day.visit("Priya").late_min == 120
    assert len(day.messages("Grace")) == 1


def test_eight_simultaneous_deliveries_of_one_tap_count_once(app: Flask, day: Days) -> None:
    day.tap("Priya", "arrived", "09:00")
    results = together(app, [lambda: day.tap("Priya", "late", "09:10", minutes=60, key="same-tap-1")] * 8)
    taken = [r for r in results if isinstance(r, technician.Taken)]
    assert len(taken) == 8, results
    assert sum(not r.already for r in taken) == 1
    assert day.visit("Priya").late_min == 60
    assert len(day.messages("Grace")) == 1


def test_a_counter_raised_without_queueing_up_would_lose_taps(app: Flask, day: Days) -> None:
    """The negative control: the same eight taps as read-then-write lose some, so the tests above can fail."""
    barrier = threading.Barrier(8)

    def add() -> None:
        seen = db.session.get_one(Visit, day.visits["Priya"]).late_min
        db.session.rollback()
        barrier.wait()
        with transaction() as s:
            s.get_one(Visit, day.visits["Priya"]).late_min = seen + 15

    together(app, [add] * 8)
    assert day.visit("Priya").late_min < 120


def test_taps_on_two_days_at_once_both_count(app: Flask, day: Days) -> None:
    results = together(
        app,
        [
            lambda: day.tap("Priya", "arrived", "09:00"),
            lambda: day.tap("Lewis", "arrived", "11:00", by="Ana"),
        ]
        * 1,
    )
    assert all(isinstance(r, technician.Taken) for r in results), results
    assert (day.visit("Priya").state, day.visit("Lewis").state) == ("arrived", "arrived")


def test_an_error_after_the_report_leaves_neither_report_nor_notice(day: Days, s: Session) -> None:
    day.tap("Priya", "arrived", "09:00")
    with transaction() as inner:
        inner.get_one(Visit, day.visits["Grace"]).zone = "Nowhere/Land"
    with pytest.raises(Exception, match="Nowhere"):
        day.tap("Priya", "late", "09:10", minutes=60)
    assert db.session.scalar(select(func.count()).select_from(Report)) == 1
    assert day.visit("Priya").late_min == 0


def test_a_report_answers_the_question_about_a_silent_technician(day: Days) -> None:
    with transaction() as s:
        s.get_one(Shift, day.shifts["Tom"]).nudged_at = wall("10:40")
        s.add(
            Notice(
                key="silent-1",
                visit_id=day.visits["Priya"],
                shift_id=day.shifts["Tom"],
                decision="task",
                kind="silent",
                reason="silent",
                at=wall("10:40"),
            )
        )
    day.tap("Priya", "arrived", "09:05", at="10:50")
    task = db.session.scalars(select(Notice).where(Notice.kind == "silent", Notice.decision == "task")).one()
    assert (task.resolved_at, task.resolved_by) == (wall("10:50"), "report")
