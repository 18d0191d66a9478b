"""Who keeps promises and which are open: owners, the next one up, chains, the customer's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, or_, select
from sqlalchemy.orm import Session

from punctual.core.promise import REMIND, Step, remind_at, step
from punctual.models import Attempt, Concern, Customer, Job, Message, Notice, Promise, User, Visit

#: Messages that tell an arrival window, or that it will not hold.
WINDOW = (
    "booked",
    "reminder",
    "rescheduled",
    "moved_by_us",
    "kept",
    "late_first",
    "late_update",
    "please_choose",
    "no_time_yet",
)
#: Messages that say that a promise moved; a reminder of the new time, say, is about it and tells no move.
MOVES = ("rescheduled", "moved_by_us", "kept", "promise_moved")
#: Longest chain of broken promises that is followed back.
CHAIN = 20


def on_duty(s: Session) -> User | None:
    """Who owns what nobody was named for: the first active dispatcher, else anybody who signs in to the board."""
    return _first(s, "dispatcher") or _first(s, "manager")


def authority(s: Session) -> User | None:
    """The next one up: the first active manager, else the dispatcher on duty."""
    return _first(s, "manager") or _first(s, "dispatcher")


def above(s: Session, user_id: int | None) -> User | None:
    """The next one up from somebody: a manager other than them, else the authority."""
    found: User | None = s.scalar(
        select(User)
        .where(User.active.is_(True), User.role == "manager", User.id != (user_id or 0))
        .order_by(User.id)
        .limit(1)
    )
    return found or authority(s)


def _first(s: Session, role: str) -> User | None:
    found: User | None = s.scalar(
        select(User).where(User.active.is_(True), User.role == role).order_by(User.id).limit(1)
    )
    return found


def first_name(promise: Promise) -> str:
    """Who is responsible, as texts name them: a person by the first name, the company in full."""
    return promise.owner.split()[0] if promise.owner_id else promise.owner


def open_of(s: Session, visit_id: int, kind: str) -> Promise | None:
    """The call, or the reply, that is owed about a visit: there is one at most."""
    found: Promise | None = s.scalar(
        select(Promise).where(Promise.visit_id == visit_id, Promise.kind == kind, Promise.state == "open")
    )
    return found


def users(s: Session) -> list[User]:
    """Everybody who can own a promise."""
    return list(s.scalars(select(User).where(User.active.is_(True)).order_by(User.name)))


def broken_before(s: Session, promise: Promise) -> int:
    """How many promises of this chain were broken before this one."""
    count, before = 0, promise.replaces_id
    while before is not None and count < CHAIN:
        row = s.get_one(Promise, before)
        if row.state != "broken":
            break
        count, before = count + 1, row.replaces_id
    return count


def last_visit(s: Session, job_id: int) -> Visit | None:
    """The last visit of a job that was not cancelled."""
    found: Visit | None = s.scalar(
        select(Visit)
        .where(Visit.job_id == job_id, Visit.state != "cancelled")
        .order_by(Visit.planned_start.desc(), Visit.id.desc())
        .limit(1)
    )
    return found


def needing(s: Session, at: datetime) -> list[tuple[int, Step]]:
    """Open promises of people that need something now, by due time; windows are the technicians' and watched apart."""
    rows = s.scalars(
        select(Promise)
        .where(Promise.state == "open", Promise.kind != "window", Promise.due_at < at + REMIND)
        .order_by(Promise.due_at)
    )
    found: list[tuple[int, Step]] = []
    for p in rows:
        done = step(p.made_at, p.due_at, at, reminded=p.reminded_at is not None, escalated=p.escalated_at is not None)
        if done:
            found.append((p.id, done))
    return found


@dataclass(frozen=True, slots=True)
class Held:
    """A promise as the board lists it: whom it was given to, by which visit, and what it is part of."""

    promise: Promise
    visit: Visit
    customer: Customer
    job: Job | None
    soon: bool


def listed(s: Session, *, state: str, at: datetime, most: int = 200) -> list[Held]:
    """Promises other than arrival windows: the open ones by due time, the ended ones newest first."""
    found = (
        select(Promise, Visit, Customer, Job)
        .join(Visit, Visit.id == Promise.visit_id)
        .join(Customer, Customer.id == Visit.customer_id)
        .outerjoin(Job, Job.id == Promise.job_id)
        .where(Promise.kind != "window")
        .limit(most)
    )
    if state == "open":
        found = found.where(Promise.state == "open").order_by(Promise.due_at)
    else:
        found = found.where(Promise.state == state).order_by(Promise.ended_at.desc())
    return [
        Held(p, v, c, j, p.state == "open" and at >= remind_at(p.made_at, p.due_at)) for p, v, c, j in s.execute(found)
    ]


@dataclass(frozen=True, slots=True)
class Told:
    """A message that told of a promise: when it left, on which channel, in which state it is."""

    kind: str
    channel: str
    state: str
    at: datetime

    @property
    def moves(self) -> bool:
        """Whether it said that the promise before this one moved."""
        return self.kind in MOVES


def told_of(s: Session, found: Sequence[Promise]) -> dict[int, list[Told]]:
    """What was told of each promise by which message, oldest first; a window by its visit and version."""
    windows = {(p.visit_id, p.version): p.id for p in found if p.kind == "window"}
    ids = [p.id for p in found if p.kind != "window"]
    about = Notice.promise_id.in_(ids) | (
        Notice.visit_id.in_({v for v, _ in windows}) & Notice.promise_id.is_(None) & Notice.kind.in_(WINDOW)
    )
    rows = s.execute(
        select(Notice.promise_id, Notice.key, Message.kind, Message.channel, Message.state, Attempt.at)
        .join(Message, Message.notice_id == Notice.id)
        .join(Attempt, Attempt.message_id == Message.id)
        .where(about, Message.customer_id.is_not(None), Attempt.state.in_(("accepted", "uncertain")))
        .order_by(Attempt.id)
    )
    told: dict[int, list[Told]] = {p.id: [] for p in found}
    for promise_id, key, kind, channel, state, at in rows:
        mine = promise_id or windows.get(_version(key))
        if mine is not None:
            told[mine].append(Told(kind, channel, state, at))
    return told


def _version(key: str) -> tuple[int, int]:
    """The visit and version of a window that a notice's key names."""
    visit, version = key.split(":")[:2]
    return int(visit), int(version)


def of_customer(s: Session, visit: Visit, since: datetime) -> list[Promise]:
    """Every promise of a visit and of its job, and what else its customer was promised since: the open ones, then newest first."""
    mine = select(Visit.id).where(Visit.customer_id == visit.customer_id, Visit.window_end >= since)
    return list(
        s.scalars(
            select(Promise)
            .where(or_(Promise.visit_id == visit.id, Promise.visit_id.in_(mine)))
            .order_by(Promise.state != "open", Promise.made_at.desc(), Promise.id.desc())
            .limit(50)
        )
    )


def jobs_of(s: Session, customer_id: int) -> list[Job]:
    """A customer's jobs of several visits."""
    return list(s.scalars(select(Job).where(Job.customer_id == customer_id).order_by(Job.id.desc())))


def rate(s: Session, at: datetime, days: int = 30) -> tuple[int, int]:
    """(kept, ended) of the promises other than windows that ended in the last days, moved ones apart."""
    states = list(
        s.scalars(
            select(Promise.state).where(
                Promise.kind != "window",
                Promise.state.in_(("kept", "broken")),
                Promise.ended_at > at - timedelta(days=days),
            )
        )
    )
    return states.count("kept"), len(states)


@dataclass(frozen=True, slots=True)
class Wronged:
    """A concern as the board lists it."""

    concern: Concern
    visit: Visit
    customer: Customer


def concerns(s: Session, most: int = 100) -> list[Wronged]:
    """Concerns that wait for an answer by its due time, then those that were answered, newest first."""
    rows = s.execute(
        select(Concern, Visit, Customer)
        .join(Visit, Visit.id == Concern.visit_id)
        .join(Customer, Customer.id == Visit.customer_id)
        .join(Promise, Promise.id == Concern.promise_id)
        .order_by(
            Concern.answered_at.is_not(None), case((Concern.answered_at.is_(None), Promise.due_at)), Concern.id.desc()
        )
        .limit(most)
    )
    return [Wronged(c, v, x) for c, v, x in rows]


def concerns_of(s: Session, visit_id: int) -> list[Concern]:
    """A visit's concerns, newest first."""
    return list(s.scalars(select(Concern).where(Concern.visit_id == visit_id).order_by(Concern.id.desc())))
