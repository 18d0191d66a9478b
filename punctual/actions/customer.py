"""What a customer decides on their page: keep, another time, a limit of their own, a call, cancel, a note."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox
from punctual.actions import Refused, schedule, transaction
from punctual.core.day import OVER, Window, at_wall, local
from punctual.core.kinds import KINDS
from punctual.models import Answer, Company, Notice, Promise, Visit, touch_board
from punctual.queries import day as queries
from punctual.queries import slots
from punctual.queries import visit as visits

NOTE_MAX = 1000
#: A call back is promised inside these local hours.
OFFICE = (8, 18)


def _open(s: Session, visit_id: int) -> Visit:
    """The visit, its day locked, if a customer may still change it."""
    visit = s.get_one(Visit, visit_id)
    shift = queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    if shift is not None:
        queries.lock(s, [shift.id])
        s.refresh(visit)
    if visit.state in OVER:
        raise Refused("This visit is over or cancelled already, so nothing was changed. Ask for a call if you need us.")
    return visit


def _not_started(s: Session, visit: Visit) -> None:
    if visit.state in ("on_my_way", "arrived"):
        phone = s.get_one(Company, 1).phone
        who = visit.technician.first_name if visit.technician else "The technician"
        call = f", or call {phone}" if phone else ""
        raise Refused(f"{who} is already on the way, so this cannot be changed here. Ask for a call{call}.")


def _answer(s: Session, visit: Visit, what: str, at: datetime, text: str = "", by: str = "page", **data: str) -> None:
    s.add(Answer(visit_id=visit.id, kind=what, at=at, by=by, text=text, data=data))
    touch_board(s, visit.date)


def _reply(s: Session, visit: Visit, kind: str, at: datetime, **facts: str) -> None:
    """The answer to the customer's own act, by message; once for each act."""
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:{kind}:{at.isoformat()}",
        kind=kind,
        at=at,
        reason="asked",
        cause=f"customer:{kind}:{visit.id}",
        facts=dict(facts),
        visit=visit,
    )


def keep(visit_id: int, *, at: datetime, by: str = "page") -> str:
    """ "This works": the told range becomes the promise; before anything was told it confirms the window.

    Refused where waiting cannot work. Pressed again it changes nothing; returns a sentence.
    """
    with transaction() as s:
        visit = _open(s, visit_id)
        story = visits.story(s, visit_id, at=at)
        if not story.can_keep:
            raise Refused("We cannot keep that time any more, and we are sorry. Choose a new time or ask for a call.")
        told = _told(visit)
        already = s.scalar(
            select(Answer).where(Answer.visit_id == visit.id, Answer.kind == "keep").order_by(Answer.id.desc()).limit(1)
        )
        if already is not None and already.data.get("version") == str(visit.promise_version):
            return "We already have this from you. You do not have to send it again."
        if told is not None:
            schedule.agree(s, visit, window=told, at=at, by="customer")
        _answer(s, visit, "keep", at, by=by, version=str(visit.promise_version))
        _close_calls(s, visit, at)
        _reply(s, visit, "kept", at)
    return "Thank you. We keep your visit."


def _told(visit: Visit) -> Window | None:
    """The range last told in a delay notice of this promise."""
    kind = KINDS.get(visit.told_kind)
    if visit.told_start is None or visit.told_end is None or kind is None or kind.class_ != "delay":
        return None
    return Window(visit.told_start, visit.told_end)


def choose(visit_id: int, technician_id: int, start: datetime, *, at: datetime, by: str = "page") -> str:
    """Take another time. Re-checked inside the transaction; the loser of a race is refused with fresh times."""
    with transaction() as s:
        visit = _open(s, visit_id)
        if visit.planned_start == start and visit.technician_id == technician_id:
            return "This is your time already. You do not have to send it again."
        _not_started(s, visit)
        rules = queries.rules(s)
        window = Window(start, start + timedelta(minutes=rules.window_min))
        if not 0 < technician_id < 2**31 or not at < start < at + timedelta(days=rules.offer_days + 1):
            raise Refused(schedule.TAKEN, offers=slots.offers(s, visit.id, at=at))
        if slots.still_free(s, visit.id, technician_id, start, at=at) is None:
            raise Refused(schedule.TAKEN, offers=slots.offers(s, visit.id, at=at))
        schedule.move(s, visit, technician_id=technician_id, planned_start=start, window=window, at=at, by="customer")
        _answer(s, visit, "time", at, by=by, start=start.isoformat())
        _close_calls(s, visit, at)
    return "Your new time is confirmed."


def leave_by(visit_id: int, clock: str, kind: str, *, at: datetime, by: str = "page") -> tuple[str, bool]:
    """ "I must leave by 10:00" (kind done) or "arrive by" (kind arrive); "" takes the limit back.

    Returns a sentence and whether it works as things stand.
    """
    with transaction() as s:
        visit = _open(s, visit_id)
        deadline = _clock(visit, clock, at) if clock else None
        if deadline == visit.deadline and (deadline is None or kind == visit.deadline_kind):
            return "We already have this from you. You do not have to send it again.", True
        told = schedule.set_deadline(s, visit, deadline=deadline, kind=kind, at=at, by="customer")
        _answer(s, visit, "deadline", at, clock, by=by, kind=kind)
        if deadline is None:
            return "Noted: no fixed time.", True
        story = visits.story(s, visit_id, at=at)
        works = story.state != "very_late" and not any(n.kind.startswith("deadline_") for n in told)
        if works:
            _reply(s, visit, "deadline_noted", at)
            return "Noted. It works as things stand now.", True
    return "Noted. We cannot do it by then, and we are sorry. These times work:", False


def _clock(visit: Visit, clock: str, at: datetime) -> datetime:
    hour, colon, minute = clock.partition(":")
    if not colon or not (hour.isdecimal() and minute.isdecimal()) or len(clock) > 5:
        raise Refused("Enter a time like 10:00.", status=422, field="leave_by")
    if int(hour) > 23 or int(minute) > 59:
        raise Refused("Enter a time like 10:00.", status=422, field="leave_by")
    deadline = at_wall(local(visit.window_start, visit.zone).date(), int(hour), int(minute), visit.zone)
    if deadline <= at:
        raise Refused(f"{clock} has already passed. Enter a later time.", status=422, field="leave_by")
    return deadline


def call_me(visit_id: int, *, at: datetime, by: str = "page") -> str:
    """Ask for a call: a promise with an owner and a due time inside office hours; a task for the dispatcher."""
    with transaction() as s:
        visit = s.get_one(Visit, visit_id)
        company = s.get_one(Company, 1)
        known = s.scalar(
            select(Promise).where(Promise.visit_id == visit.id, Promise.kind == "call", Promise.state == "open")
        )
        if known is not None:
            return f"We already have this from you. We call you by {local(known.due_at, visit.zone):%H:%M}."
        due = callback_due(at, company.zone, queries.rules(s).callback_min)
        versions = s.scalars(select(Promise.version).where(Promise.visit_id == visit.id, Promise.kind == "call")).all()
        s.add(
            Promise(
                visit_id=visit.id,
                kind="call",
                version=max(versions, default=0) + 1,
                due_at=due,
                owner=company.name,
                made_by="customer",
                made_at=at,
            )
        )
        _answer(s, visit, "call", at, by=by)
        outbox.put(
            s,
            key=f"{visit.id}:{visit.promise_version}:call:asked:{at.isoformat()}",
            kind="call",
            at=at,
            reason="asked",
            cause=f"customer:call:{visit.id}",
            decision="task",
            facts={"due": due.isoformat()},
            visit=visit,
            to="dispatcher",
            due_at=due,
        )
        _reply(s, visit, "promise_call", at, due=due.isoformat(), owner=company.name)
    return f"We will call you by {local(due, visit.zone):%H:%M on %A %-d %B}."


def callback_due(at: datetime, zone: str, minutes: float) -> datetime:
    """The end of a call back asked for now: that many minutes of office time ahead, on a quarter of an hour."""
    due = at + timedelta(minutes=minutes)
    here = local(due, zone)
    if here.hour < OFFICE[0]:
        due = at_wall(here.date(), OFFICE[0] + 1, 0, zone)
    elif here.hour >= OFFICE[1]:
        due = at_wall(here.date() + timedelta(days=1), OFFICE[0] + 1, 0, zone)
    rest = timedelta(minutes=due.minute % 15, seconds=due.second, microseconds=due.microsecond)
    return due if not rest else due - rest + timedelta(minutes=15)


def _close_calls(s: Session, visit: Visit, at: datetime) -> None:
    """A customer who decided for themselves need not be rung about the same thing."""
    tasks = select(Notice).where(
        Notice.visit_id == visit.id, Notice.decision == "task", Notice.kind == "call", Notice.resolved_at.is_(None)
    )
    for task in s.scalars(tasks.where(Notice.reason != "asked")):
        task.resolved_at, task.resolved_by = at, "customer"


def cancel(visit_id: int, *, at: datetime, by: str = "page") -> str:
    """Cancel the visit; pressed again it changes nothing."""
    with transaction() as s:
        visit = s.get_one(Visit, visit_id)
        if visit.state == "cancelled":
            return "This visit is cancelled already. You do not have to send it again."
        visit = _open(s, visit_id)
        _not_started(s, visit)
        schedule.cancel(s, visit, at=at, by="customer")
        _answer(s, visit, "cancel", at, by=by)
        _close_calls(s, visit, at)
    return "Your visit is cancelled."


def note(visit_id: int, text: str, *, at: datetime, by: str = "page") -> str:
    """What the technician should know; kept as the customer's own words."""
    words = text.replace("\x00", "").strip()
    if not words:
        raise Refused("Write what we should know, then send it.", status=422, field="note")
    if len(words) > NOTE_MAX:
        extra = len(words) - NOTE_MAX
        raise Refused(f"This is longer than {NOTE_MAX} characters. It is {extra} too long.", status=422, field="note")
    with transaction() as s:
        visit = s.get_one(Visit, visit_id)
        last = s.scalar(
            select(Answer.text)
            .where(Answer.visit_id == visit.id, Answer.kind == "note")
            .order_by(Answer.id.desc())
            .limit(1)
        )
        if last == words:
            return "We already have this from you. You do not have to send it again."
        _answer(s, visit, "note", at, words, by=by)
    return "Received. Your technician sees it before setting off."
