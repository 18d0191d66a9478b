"""What was asked of the office about a visit ends with its reason, in the act that ends it - and nothing else does."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import outbox, promises
from punctual.actions import customer, dispatcher, technician, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.core.kinds import KINDS
from punctual.models import Notice, Promise, Visit, db
from punctual.queries import board, tasks
from tests import build
from tests.build import DATE, Built, wall

DANA = By(1, "Dana Price")
NOW = wall("08:40")

#: What ends it: that we are there, that it is done, only that it is cancelled, or nothing about the visit.
THERE, DONE, CANCELLED, NEVER = "there", "done", "cancelled", "never"
#: Every reason of a task, with the kind of message that did not arrive where there is one, and what ends it.
RULE = [
    *[(reason, "", THERE) for reason in ("no_channel", "cap", "night", "no_news", "too_late", "too_soon")],
    *[(reason, "", THERE) for reason in ("earlier_than_told", "differs", "undone")],
    *[("undelivered", kind, NEVER if KINDS[kind].after else THERE) for kind in ("late_first", "booked", "missed")],
    ("failed", "concern_answered", NEVER),
    ("no_contact", "moved_by_us", THERE),
    *[(reason, "", DONE) for reason in ("declined", "delegated", "proposed")],
    ("may_cancel", "", CANCELLED),
    *[(reason, "", NEVER) for reason in ("not_done", "good", "wrote")],
]


@pytest.fixture
def built(app: Flask) -> Built:
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
    return made


def ask(built: Built, reason: str, kind: str = "", name: str = "Priya") -> None:
    with transaction() as s:
        outbox.put(
            s, key=f"{name}:{reason}:{kind}", kind="call", at=NOW, reason=reason, decision="task",
            facts={"kind": kind} if kind else {}, visit=s.get_one(Visit, built.visits[name].id), to="dispatcher",
        )  # fmt: skip


def tap(built: Built, kind: str, at: str, name: str = "Priya") -> None:
    technician.report(
        built.visits[name].id, kind, technician_id=built.technicians["Tom"].id, key=f"{name}-{kind}-{at}",
        tapped_at=wall(at), at=wall(at),
    )  # type: ignore[arg-type]  # fmt: skip


def undo(built: Built, at: str) -> None:
    technician.undo(
        built.visits["Priya"].id, technician_id=built.technicians["Tom"].id, key=f"undo-{at}-000", at=wall(at),
        tapped_at=wall(at),
    )  # fmt: skip


def open_tasks(built: Built, name: str = "Priya") -> list[str]:
    db.session.rollback()
    mine = Notice.visit_id == built.visits[name].id, Notice.decision == "task", Notice.resolved_at.is_(None)
    return list(db.session.scalars(select(Notice.reason).where(*mine).order_by(Notice.id)))


def on_the_board(built: Built, name: str, at: str) -> bool:
    """Whether anything about the visit is on the board's list."""
    db.session.rollback()
    shown = board.load(db.session(), DATE, wall(at))
    found = tasks.queue(db.session(), shown, wall(at), today=True)
    return built.visits[name].id in [t.visit_id for t in found.tasks]


def calls(built: Built, name: str) -> list[str]:
    db.session.rollback()
    mine = Promise.visit_id == built.visits[name].id, Promise.kind == "call"
    return list(db.session.scalars(select(Promise.state).where(*mine).order_by(Promise.id)))


@pytest.mark.parametrize(("reason", "kind", "ends"), RULE)
def test_each_task_ends_with_its_reason_and_not_before(built: Built, reason: str, kind: str, ends: str) -> None:
    ask(built, reason, kind)
    ask(built, reason, kind, "Grace")
    tap(built, "on_my_way", "08:50")
    assert open_tasks(built) == [reason], "on the way is not there"
    tap(built, "arrived", "09:05")
    assert open_tasks(built) == ([] if ends == THERE else [reason])
    tap(built, "done", "09:50")
    assert open_tasks(built) == ([] if ends in (THERE, DONE) else [reason])
    assert reason in open_tasks(built, "Grace"), "another visit's stays"


@pytest.mark.parametrize(("reason", "kind", "ends"), RULE)
def test_a_cancelled_visit_leaves_only_what_still_has_to_be_said(
    built: Built, reason: str, kind: str, ends: str
) -> None:
    ask(built, reason, kind)
    customer.cancel(built.visits["Priya"].id, at=NOW)
    assert open_tasks(built) == ([reason] if ends == NEVER else [])


@pytest.mark.parametrize(("reason", "kind", "ends"), RULE)
def test_a_visit_that_is_moved_needs_no_warning_of_its_old_time(
    built: Built, reason: str, kind: str, ends: str
) -> None:
    """What differs is compared anew, what has nothing to do with the time stays; given away at its time, all stays."""
    priya, at = built.visits["Priya"].id, wall("08:41")
    ask(built, reason, kind)
    dispatcher.give(priya, built.technicians["Ana"].id, at=at, by=DANA)
    assert open_tasks(built) == [reason]
    window = Window(wall("15:00"), wall("15:30"))
    dispatcher.move(priya, built.technicians["Tom"].id, start=wall("15:00"), window=window, tell=True, at=at, by=DANA)
    gone = ends in (THERE, DONE) and reason != "differs"
    assert open_tasks(built) == ([] if gone else [reason])


@pytest.mark.parametrize("by", ["customer", "office"])
def test_a_call_that_was_asked_for_ends_with_a_cancelled_visit_and_leaves_the_board(built: Built, by: str) -> None:
    grace = built.visits["Grace"].id
    customer.call_me(grace, at=NOW)
    assert (open_tasks(built, "Grace"), calls(built, "Grace")) == (["asked"], ["open"])
    assert on_the_board(built, "Grace", "08:41")
    if by == "customer":
        customer.cancel(grace, at=wall("08:41"))
    else:
        dispatcher.cancel(grace, tell=True, at=wall("08:41"), by=DANA)
    assert (open_tasks(built, "Grace"), calls(built, "Grace")) == ([], ["cancelled"])
    assert not on_the_board(built, "Grace", "08:42")
    customer.call_me(grace, at=wall("08:43"))
    assert (open_tasks(built, "Grace"), calls(built, "Grace")) == (["asked"], ["cancelled", "open"]), (
        "they may ask anew"
    )


@pytest.mark.parametrize("end", ["done", "nobody_home", "cannot_finish"])
def test_a_call_they_asked_for_is_made_however_the_visit_ends(built: Built, end: str) -> None:
    customer.call_me(built.visits["Priya"].id, at=NOW)
    tap(built, "arrived", "09:05")
    tap(built, end, "09:30")
    assert (open_tasks(built), calls(built, "Priya")) == (["asked"], ["open"])


@pytest.mark.parametrize(("by", "why"), [("watch", "promised"), ("customer", "nothing_fits"), ("customer", "wish")])
@pytest.mark.parametrize(("end", "left"), [("done", "cancelled"), ("nobody_home", "open"), ("cannot_finish", "open")])
def test_a_call_promised_to_say_when_we_come_is_not_needed_once_it_is_done(
    built: Built, by: str, why: str, end: str, left: str
) -> None:
    """Where nobody was home or it could not be finished, the customer still waits for it."""
    with transaction() as s:
        visit = s.get_one(Visit, built.visits["Priya"].id)
        made = promises.make(s, visit, "call", wall("10:15"), at=NOW, by=by, tell=False)
        promises.call_task(s, made, at=NOW, reason=why, cause="")
    tap(built, "arrived", "09:05")
    tap(built, end, "09:30")
    assert calls(built, "Priya") == [left]
    assert len(open_tasks(built)) == (left == "open")
    if left == "cancelled":
        undo(built, "09:31")
        assert calls(built, "Priya") == ["open"] and len(open_tasks(built)) == 1, "it is not done after all"


@pytest.mark.parametrize("how", ["broken", "moved"])
def test_a_call_that_took_the_place_of_another_ends_with_what_the_first_was_promised_for(
    built: Built, how: str
) -> None:
    with transaction() as s:
        visit = s.get_one(Visit, built.visits["Priya"].id)
        made = promises.make(s, visit, "call", wall("09:00"), at=NOW, by="watch", tell=False)
        promises.call_task(s, made, at=NOW, reason="promised", cause="")
    with transaction() as s:
        first = s.scalars(select(Promise).where(Promise.kind == "call")).one()
        if how == "broken":
            promises.break_(s, first, at=wall("09:02"), by="clock")
        else:
            promises.move(s, first, wall("11:00"), at=wall("08:50"), by="Dana Price")
    assert len(open_tasks(built)) == 1
    tap(built, "arrived", "09:05")
    tap(built, "done", "09:30")
    assert (open_tasks(built), calls(built, "Priya")) == ([], [how, "cancelled"])


def test_a_call_promised_because_nobody_came_is_made_though_they_came_in_the_end(built: Built) -> None:
    with transaction() as s:
        visit = s.get_one(Visit, built.visits["Priya"].id)
        promises.owe_call(s, visit, at=NOW, by="watch", reason="missed", cause="clock")
    tap(built, "arrived", "09:05")
    tap(built, "done", "09:30")
    assert (open_tasks(built), calls(built, "Priya")) == (["missed"], ["open"])


def test_an_undo_opens_what_the_report_had_ended_and_nothing_a_person_had(built: Built) -> None:
    ask(built, "cap")
    ask(built, "declined")
    ask(built, "night")
    with transaction() as s:
        seen = s.scalars(select(Notice).where(Notice.reason == "night")).one()
        seen.resolved_at, seen.resolved_by = NOW, "Dana Price"
    tap(built, "arrived", "09:05")
    tap(built, "done", "09:30")
    assert open_tasks(built) == []
    undo(built, "09:31")
    assert open_tasks(built) == ["declined"], "there they are all the same"
    undo(built, "09:32")
    assert open_tasks(built) == ["cap", "declined"]


def test_words_that_wait_are_owed_a_reply_though_the_visit_is_cancelled(built: Built) -> None:
    priya = built.visits["Priya"].id
    with transaction() as s:
        promises.make(s, s.get_one(Visit, priya), "reply", wall("11:00"), at=NOW, by="customer", tell=False)
    ask(built, "wrote")
    customer.cancel(priya, at=wall("08:41"))
    db.session.rollback()
    reply = db.session.scalars(select(Promise).where(Promise.kind == "reply")).one()
    assert reply.state == "open"
    with transaction() as s:
        after = promises.break_(s, s.get_one(Promise, reply.id), at=wall("11:05"), by="clock")
    assert after is not None and (after.kind, after.state) == ("reply", "open"), "broken, it is owed anew"


@pytest.mark.parametrize("mute", [True, False])
def test_who_cannot_be_written_to_is_called_about_our_cancelling(app: Flask, mute: bool) -> None:
    """Nobody told them: the task that the cancellation itself asks for stays."""
    with transaction() as s:
        made = build.day(
            s,
            build.MORNING.replace(
                "13:00-13:30 Helen heating 60 at 51.4480,-2.6050", "13:00-13:30 Helen heating 60" + " mute" * mute
            ),
        )
    dispatcher.cancel(made.visits["Helen"].id, tell=True, at=NOW, by=DANA)
    assert open_tasks(made, "Helen") == ["no_contact"] * mute
