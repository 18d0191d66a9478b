"""What a customer decides on their page: keep, another time, a limit of their own, a call, cancel, a note."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import links, messages, outbox, promises
from punctual.actions import Refused, lock, schedule, transaction
from punctual.core.day import Window, at_wall, local
from punctual.core.promise import office_due
from punctual.models import Answer, Company, Look, Notice, Promise, Shift, Visit, touch_board
from punctual.queries import day as queries
from punctual.queries import visit as visits

NUMBER_MAX = 40
INVALID = "Enter a time like 10:00."
MOVED = (
    "Your visit has been moved since you opened this page: %(when)s. Nothing was changed now. You can still move it."
)
#: Without and with the company's phone number.
ON_THE_WAY = (
    "%(tech)s is already on the way, so this cannot be changed here. Ask for a call.",
    "%(tech)s is already on the way, so this cannot be changed here. Ask for a call, or call %(phone)s.",
)
WITH_YOU = (
    "%(tech)s is with you already, so this cannot be changed here. Ask for a call.",
    "%(tech)s is with you already, so this cannot be changed here. Ask for a call, or call %(phone)s.",
)


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved: the answer's row (0: none, it was so anyway), whether we had it already, whether it works."""

    answer_id: int
    already: bool = False
    works: bool = True


def _locked(s: Session, visit_id: int, also: Shift | None = None) -> Visit:
    """The visit with its day locked, and the day it may go to."""
    visit = s.get_one(Visit, visit_id)
    lock.visits(s, [visit], also)
    return visit


def unfinished(s: Session, visit_id: int, at: datetime, also: Shift | None = None) -> Visit:
    """The visit, locked, if its customer may still change it; one that nobody came to stays theirs to move."""
    visit = _locked(s, visit_id, also)
    if visits.ended(s, visit, at):
        raise Refused("This visit is over or cancelled already, so nothing was changed. Ask for a call if you need us.")
    return visit


def _not_started(s: Session, visit: Visit) -> None:
    if visit.state in ("on_my_way", "arrived"):
        company = s.get_one(Company, 1)
        who = visit.technician.first_name if visit.technician else company.name
        sentence = ON_THE_WAY if visit.state == "on_my_way" else WITH_YOU
        raise Refused(sentence[bool(company.phone)], values={"tech": who, "phone": company.phone})


def still_open(s: Session, visit_id: int, at: datetime) -> Visit:
    """The visit, locked, if its customer may still choose another time; Refused when somebody is on the way."""
    visit = unfinished(s, visit_id, at)
    _not_started(s, visit)
    return visit


def answered(s: Session, visit: Visit, what: str, at: datetime, text: str = "", by: str = "page", **data: Any) -> Saved:
    """Keep what the customer did."""
    row = Answer(visit_id=visit.id, kind=what, at=at, by=by, text=text, data=data)
    s.add(row)
    touch_board(s, visit.date)
    s.flush()
    return Saved(row.id)


def last_answer(s: Session, visit: Visit, what: str) -> Answer | None:
    """Their newest of that kind."""
    found = select(Answer).where(Answer.visit_id == visit.id, Answer.kind == what).order_by(Answer.id.desc()).limit(1)
    row: Answer | None = s.scalar(found)
    return row


def _had(row: Answer | None, works: bool = True) -> Saved:
    return Saved(row.id if row is not None else 0, True, works)


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


def confirm(s: Session, visit: Visit, at: datetime) -> None:
    """Say that their visit stands as they agreed to it."""
    _close_calls(s, visit, at)
    _reply(s, visit, "kept", at)


def keep(visit_id: int, seen: str = "", *, at: datetime, by: str = "page") -> Saved:
    """ "This works": the told range becomes the promise; before anything was told it confirms the window.

    Who has `seen` a page (queries.visit.seen) agrees to what it shows, which may be later than what was told last. Refused
    where waiting cannot work, or where that page is no longer true. Pressed again it changes nothing; a range told
    since makes it a new answer.
    """
    with transaction() as s:
        visit = unfinished(s, visit_id, at)
        told = visits.told_range(visit)
        mark = told.start.isoformat() if told else ""
        last = last_answer(s, visit, "keep")
        same = last is not None and last.data.get("version") == str(visit.promise_version)
        if last is not None and same and (told is None or last.data.get("told") == mark):
            return _had(last)
        story = visits.story(s, visit_id, at=at)
        if seen and seen != visits.seen(story):
            raise Refused(
                "The time has changed since you opened this page. Nothing was saved. Here is what is true now."
            )
        _not_started(s, visit)
        if not story.can_keep:
            raise Refused("We cannot keep that time any more, and we are sorry. Choose a new time or ask for a call.")
        window = story.agreed if seen else told
        if told is not None and told.end <= at:
            window = story.arrival  # what was told has passed: they wait for what is expected now
        if window is not None:
            schedule.agree(s, visit, window=window, at=at, by="customer")
        saved = answered(s, visit, "keep", at, by=by, version=str(visit.promise_version), told=mark)
        confirm(s, visit, at)
    return saved


def choose(
    visit_id: int,
    technician_id: int,
    start: datetime,
    *,
    at: datetime,
    by: str = "page",
    version: str = "",
    key: bytes | None = None,
) -> Saved:
    """Take another time. Re-checked inside the transaction; the loser of a race is refused (409) and sees fresh times.

    `version`: the promise that the page showed from which it was chosen; after another one took its place the present
    time is said instead, so that a page left open moves nothing unasked. `key`: of links, for the page of a visit that is
    booked anew.
    """
    with transaction() as s:
        rules = queries.rules(s)
        if not 0 < technician_id < 2**31 or not at < start < at + timedelta(days=rules.offer_days + 1):
            raise _taken(s, visit_id, at)
        on = local(start, s.get_one(Visit, visit_id).zone).date()
        shift = queries.shift_of(s, technician_id, on)
        if shift is None:
            raise _taken(s, visit_id, at)
        window = Window(start, start + timedelta(minutes=rules.window_min))
        if visits.repeatable(s, visit_id):
            return _again(s, visit_id, technician_id, window, at, by, shift, key)
        visit = unfinished(s, visit_id, at, shift)
        if visit.planned_start == start and visit.technician_id == technician_id:
            return _had(last_answer(s, visit, "time"))
        _not_started(s, visit)
        if version not in ("", str(visit.promise_version)):
            now = Window(visit.window_start, visit.window_end)
            raise Refused(MOVED, values={"when": messages.range_words(now, visit.zone, visit.customer.language)})
        schedule.move(s, visit, technician_id=technician_id, planned_start=start, window=window, at=at, by="customer")
        saved = answered(s, visit, "time", at, by=by, start=start.isoformat())
        _close_calls(s, visit, at)
    return saved


def _taken(s: Session, visit_id: int, at: datetime) -> Refused:
    """That a time is gone and others are free - unless none can be taken for this visit, which is said then."""
    if not visits.repeatable(s, visit_id):
        still_open(s, visit_id, at)
    return Refused(schedule.TAKEN)


def _again(
    s: Session, visit_id: int, technician_id: int, window: Window, at: datetime, by: str, shift: Shift,
    key: bytes | None,
) -> Saved:  # fmt: skip
    """Another visit, once, for work that is not done or that nobody could begin."""
    visit = _locked(s, visit_id, shift)
    last = last_answer(s, visit, "again")
    if last is not None:
        return _had(last)
    made = schedule.repeat(
        s, visit, technician_id=technician_id, start=window.start, window=window, at=at, by="customer"
    )
    if key is not None:
        links.make(s, key, "customer", made.id, at=at, version=visit.customer.link_version)
    saved = answered(s, visit, "again", at, by=by, start=window.start.isoformat(), next=made.id)
    _close_calls(s, visit, at)
    return saved


def leave_by(visit_id: int, clock: str, kind: str, *, at: datetime, by: str = "page") -> Saved:
    """ "I must leave by 10:00" (kind done) or "arrive by" (kind arrive), wall time at the visit; "" takes it back.

    `works` says whether it can be met as things stand; where it cannot, the customer is asked at once.
    """
    with transaction() as s:
        visit = unfinished(s, visit_id, at)
        _not_started(s, visit)
        deadline = _clock(visit, clock, at) if clock else None
        if deadline == visit.deadline and (deadline is None or kind == visit.deadline_kind):
            return _had(last_answer(s, visit, "deadline"), visits.story(s, visit_id, at=at).state != "very_late")
        told = schedule.set_deadline(s, visit, deadline=deadline, kind=kind, at=at, by="customer")
        saved = answered(s, visit, "deadline", at, clock, by=by, kind=kind)
        if deadline is None:
            return saved
        asked = any(n.visit_id == visit.id and n.kind.startswith("deadline_") for n in told)
        if asked or visits.story(s, visit_id, at=at).state == "very_late":
            return Saved(saved.answer_id, works=False)
        _reply(s, visit, "deadline_noted", at)
    return saved


def _clock(visit: Visit, clock: str, at: datetime) -> datetime:
    hour, colon, minute = clock.partition(":")
    if not colon or len(clock) > 5 or not (clock.isascii() and hour.isdecimal() and minute.isdecimal()):
        raise Refused(INVALID, status=422, field="leave_by")
    if int(hour) > 23 or int(minute) > 59:
        raise Refused(INVALID, status=422, field="leave_by")
    deadline = at_wall(local(visit.window_start, visit.zone).date(), int(hour), int(minute), visit.zone)
    if deadline <= at:
        sentence = "%(clock)s has already passed. Enter a later time."
        raise Refused(sentence, status=422, field="leave_by", values={"clock": clock})
    return deadline


def call_me(visit_id: int, number: str = "", *, at: datetime, by: str = "page") -> Saved:
    """Ask for a call: a promise with an owner and a due time inside office hours; a task for the dispatcher.

    `number` is where to call, when it is not the one we know. Possible in every state; open until it was made.
    """
    number = " ".join(number.replace("\x00", "").split())
    if len(number) > NUMBER_MAX:
        raise Refused("Write a telephone number.", status=422, field="number")
    with transaction() as s:
        visit = _locked(s, visit_id)
        open_ = select(Promise.id).where(Promise.visit_id == visit.id, Promise.kind == "call", Promise.state == "open")
        if s.scalar(open_) is not None:
            return _had(last_answer(s, visit, "call"))
        zone, minutes = s.get_one(Company, 1).zone, queries.rules(s).callback_min
        due = office_due(at, zone, minutes, promises.works(s))
        made = promises.make(s, visit, "call", due, at=at, by="customer", tell=False)
        proposed = by == "calendar"  # they named a time; that we call is ours
        saved = answered(s, visit, "wish" if proposed else "call", at, number, by=by)
        more = {"number": number} if number else {}
        promises.call_task(
            s, made, at=at, reason="promised" if proposed else "asked", cause=f"customer:call:{visit.id}", **more
        )
        promises.tell_of(s, made, "promise_call", at, due=due)
    return saved


def _close_calls(s: Session, visit: Visit, at: datetime) -> None:
    """A customer who decided for themselves need not be rung about the same thing; a call they asked for is made."""
    mine = (Notice.visit_id == visit.id, Notice.decision == "task", Notice.kind == "call", Notice.resolved_at.is_(None))
    owed = select(Promise).where(Promise.visit_id == visit.id, Promise.kind == "call", Promise.state == "open")
    offered = {n.promise_id for n in s.scalars(select(Notice).where(*mine, Notice.reason == "nothing_fits"))}
    for promise in s.scalars(owed):
        if promise.made_by == "watch" or promise.id in offered:
            promises.end(s, promise, "cancelled", at=at, by="customer")
    for task in s.scalars(select(Notice).where(*mine, Notice.promise_id.is_(None), Notice.reason != "asked")):
        task.resolved_at, task.resolved_by = at, "customer"


def cancel(visit_id: int, *, at: datetime, by: str = "page") -> Saved:
    """Cancel the visit; pressed again it changes nothing."""
    with transaction() as s:
        visit = _locked(s, visit_id)
        if visit.state == "cancelled":
            return _had(last_answer(s, visit, "cancel"))
        visit = unfinished(s, visit_id, at)
        _not_started(s, visit)
        schedule.cancel(s, visit, at=at, by="customer")
        return answered(s, visit, "cancel", at, by=by)


def seen(visit_id: int, *, at: datetime) -> None:
    """The page was visible to somebody, as its own script says; once a minute is enough. No rule uses it."""
    with transaction() as s:
        newest = s.scalar(select(func.max(Look.at)).where(Look.visit_id == visit_id))
        if newest is None or at - newest >= timedelta(minutes=1):
            s.add(Look(visit_id=visit_id, at=at))
