"""Give a visit to another technician - asked to, or alone where the company allows it and every promise holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox, watch
from punctual.actions import correct, effect, schedule
from punctual.core.day import OVER, Window, outward
from punctual.core.kinds import KINDS
from punctual.models import Message, Notice, Shift, Technician, Visit, touch_board
from punctual.queries import day as queries


def alone(s: Session, told: Sequence[Notice], *, at: datetime) -> list[Notice]:
    """Before these delay notices leave: give each visit away where somebody else keeps every promise, if the company's
    rule `rescue_alone` says so; what was put for the customer is dropped unsent. Returns the notices that stand.

    Where it does not, a customer who would be asked to choose is asked a while later if somebody could save the visit:
    the dispatcher, who is shown it, may do so first.

    In the transaction of the look that told them, so that no customer hears of a delay that is mended.
    """
    late = {n.visit_id for n in told if n.decision == "tell" and n.kind in KINDS and KINDS[n.kind].class_ == "delay"}
    if not late:
        return list(told)
    rules = queries.rules(s)
    if not rules.rescue_alone:
        wait = timedelta(minutes=rules.silence_answer_min)
        for n in told:
            if n.kind == "please_choose" and n.visit_id and effect.rescue(s, n.visit_id, at) is not None:
                _wait(s, n, at + wait)
        return list(told)
    saved = {visit_id for visit_id in sorted(v for v in late if v is not None) if _saved(s, visit_id, at)}
    return [n for n in told if n.visit_id not in saved]


def _wait(s: Session, notice: Notice, until: datetime) -> None:
    for message in s.scalars(select(Message).where(Message.notice_id == notice.id, Message.state == "queued")):
        message.useful_until += until - message.due_at
        message.due_at = until


def _saved(s: Session, visit_id: int, at: datetime) -> bool:
    visit = s.get_one(Visit, visit_id, populate_existing=True)
    if visit.state in OVER or visit.state != "planned" or visit.told_at is not None:
        return False
    best = effect.rescue(s, visit_id, at)
    if best is None:
        return False
    technician = s.get_one(Technician, best.technician_id)
    old = queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    new = schedule.ensure_shift(s, technician.id, visit.date)
    hand(s, visit, technician, old, new, start=best.start, at=at, cause=f"rescue:{visit_id}:{at:%Y%m%dT%H%M%S}")
    return True


def hand(
    s: Session, visit: Visit, technician: Technician, old: Shift | None, new: Shift,
    *, start: datetime, at: datetime, cause: str,
) -> None:  # fmt: skip
    """The visit goes to that technician, its promise stays; unsent messages are dropped and both days are looked at."""
    before = Window(visit.told_start, visit.told_end) if visit.told_start and visit.told_end else None
    setting_out = visit.on_my_way_at if visit.state == "on_my_way" else None
    schedule.anew(s, visit, at=at, cause=cause)
    schedule.reassign(s, visit, technician_id=technician.id, planned_start=start, at=at)
    outbox.supersede(s, visit.id, at=at, why=f"given to {technician.first_name}")
    if setting_out is not None:
        correct.undone(s, visit.id, "on_my_way", since=setting_out, at=at, cause=cause, shift_id=new.id)
    touch_board(s, visit.date)
    watch.look(s, sorted({x.id for x in (old, new) if x}), at=at, cause=cause)
    if before is not None:
        _better(s, visit, new.id, before, at, cause)
    elif visit.told_kind in correct.SAYS["asked"] and _holds(s, visit, new.id):
        correct.undone(s, visit.id, "asked", since=visit.created_at, at=at, cause=cause, shift_id=new.id)


def _holds(s: Session, visit: Visit, shift_id: int) -> bool:
    """Whether who was told that we cannot make it is served as promised now: else nobody awaits who comes."""
    forecast, rules = queries.forecasts(s, [shift_id]).get(visit.id), queries.rules(s)
    if forecast is None or forecast.arrive[1] > visit.window_end:
        return False
    return forecast.p_deadline is None or 1.0 - forecast.p_deadline >= rules.deadline_chance


def _better(s: Session, visit: Visit, shift_id: int, told: Window, at: datetime, cause: str) -> None:
    """Nobody starts before a told range opens without saying so: a range that moved forward is told once."""
    forecast = queries.forecasts(s, [shift_id]).get(visit.id)
    if forecast is None:
        return
    now = outward(Window(forecast.arrive[0], max(forecast.arrive[0], forecast.arrive[2])), at, visit.zone)
    if told.start - now.start >= timedelta(minutes=queries.rules(s).update_min):
        tell(s, visit, shift_id, "late_update", now, at, cause)


def tell(s: Session, visit: Visit, shift_id: int, kind: str, told: Window, at: datetime, cause: str) -> None:
    """Tell a customer this range now, by hand or because it has become a better one."""
    numbers = s.scalars(
        select(Notice.id).where(
            Notice.visit_id == visit.id,
            Notice.kind == kind,
            Notice.decision == "tell",
            Notice.key.like(f"{visit.id}:{visit.promise_version}:{kind}:%"),
        )
    )
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:{kind}:{1 + len(list(numbers))}",
        kind=kind,
        at=at,
        reason="by_hand",
        cause=cause,
        facts={"told_from": told.start.isoformat(), "told_to": told.end.isoformat()},
        visit=visit,
        shift_id=shift_id,
        told=told,
    )
    touch_board(s, visit.date)
