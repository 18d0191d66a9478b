"""What was asked of the office about a visit ends with its reason, in the transaction of the act that ended it.

A dispatcher who rings somebody because of a visit that is over reads nonsense off the board. What ends with what:

* **We are there** (arrived, done, nobody home, cannot finish): calls that were to warn of this visit or to tell its time,
  and messages of that sort that did not arrive. Whoever opens the door knows.
* **Done**: also what was asked about when this visit shall be - a calendar that declined, handed it on or proposes another
  time, "nothing is free", a time that was wished for - and the call that was promised because nobody knew when we come.
* **Moved**: what was to warn of the time that is left, and what was asked about it; a promised call stays.
* **Cancelled**: all of that, and every call that was promised, as their page says; "may want to cancel", for it is.

What still has to be said stays open: a promised call after nobody was home or the work could not be finished, a call they
asked for (until they cancel), what they wrote and nobody has read, "not done", a concern, a make-good to be decided, and
messages that are true after the visit too (`core.kinds.Kind.after`). An undo opens again what the report had ended.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from punctual import promises
from punctual.core.day import Standing
from punctual.core.kinds import KINDS
from punctual.models import Difference, Notice, Plain, Promise, Visit

#: Why somebody is to be called who waits for us: nothing to say once we are there.
WARNS = frozenset(
    {"no_channel", "cap", "night", "no_news", "too_late", "too_soon", "earlier_than_told", "differs", "undone"}
)
#: A message that reached nobody; whether a call is still wanted depends on what it said.
UNREACHED = frozenset({"no_contact", "failed", "undelivered"})
#: Why somebody is to be asked when this visit shall be: nothing to ask once the work is done.
WHEN = frozenset({"declined", "delegated", "proposed"})
#: The same as a promised call.
FREE = frozenset({"nothing_fits", "wish"})
#: Who ended a task: shown in the log (web/board_story.py), and what an undo opens again.
THERE, DONE, MOVED, CANCELLED = "arrived", "done", "moved", "cancelled"

notice_ = Notice.__table__
_ASKED = Plain(
    select(notice_.c.id).where(notice_.c.visit_id == bindparam("visit", 0), notice_.c.decision == "task").limit(1),
    "visit",
)


def reported(s: Session, visit_id: int, now: Standing, at: datetime) -> None:
    """A report has changed how the visit stands: end what it leaves no reason for, open what an undo gives one again.

    Writes in the caller's transaction; of most visits nothing was ever asked, which one statement tells.
    """
    if _ASKED.scalar(s.connection(), visit=visit_id) is None:
        return
    there = now.over or now.state == "arrived"
    for task in _tasks(s, visit_id):
        if task.resolved_at is None and there and _warns(task):
            _end(task, THERE, at)
        elif task.resolved_at is None and now.state == "done" and task.reason in WHEN:
            _end(task, DONE, at)
        elif (task.resolved_by == THERE and not there) or (task.resolved_by == DONE and now.state != "done"):
            _again(s, task)
    if now.state == "done":
        _calls_about_when(s, visit_id, at)


def cancelled(s: Session, visit: Visit, *, at: datetime, by: str) -> None:
    """The visit will not happen: its promises end, and what was asked about it with them. In the caller's transaction.

    An answer to a concern is owed all the same, and a reply while something they wrote waits that is not "cancel it".
    """
    tasks = [t for t in _tasks(s, visit.id) if t.resolved_at is None]
    kept = {"job", "answer"} | ({"reply"} if any(t.reason == "wrote" for t in tasks) else set())
    open_ = select(Promise).where(Promise.visit_id == visit.id, Promise.state == "open")
    ended = set()
    for promise in s.scalars(open_.where(Promise.kind.not_in(kept))):
        promise.state, promise.ended_at, promise.ended_by = "cancelled", at, by[:120]
        ended |= {promise.id} if promise.kind == "call" else set()
    for task in tasks:
        if task.promise_id in ended or _warns(task) or task.reason in WHEN or task.reason == "may_cancel":
            _end(task, CANCELLED, at)


def moved(s: Session, visit: Visit, *, at: datetime) -> None:
    """The visit gets another time: nobody is warned of the old one any more. In the caller's transaction, before the
    customer is told: whoever cannot be told asks for a call of their own, and whether what they know differs is the
    comparison's to say (follow/truth.py)."""
    for task in _tasks(s, visit.id):
        if task.resolved_at is None and task.reason != "differs" and (_warns(task) or task.reason in WHEN):
            _end(task, MOVED, at)


def _tasks(s: Session, visit_id: int) -> list[Notice]:
    """Everything that was asked about the visit itself, open or not; silence is the technician's."""
    about = Notice.visit_id == visit_id, Notice.decision == "task", Notice.kind != "silent"
    return list(s.scalars(select(Notice).where(*about).order_by(Notice.id)))


def _warns(task: Notice) -> bool:
    if task.reason in UNREACHED:
        kind = KINDS.get((task.facts or {}).get("kind", ""))
        return kind is not None and not kind.after
    return task.reason in WARNS


def _end(task: Notice, by: str, at: datetime) -> None:
    task.resolved_at, task.resolved_by = at, by


def _again(s: Session, task: Notice) -> None:
    """Open as it was - unless what differed has been found to differ no longer: that is asked anew if it does again."""
    promise = s.get(Promise, task.promise_id) if task.promise_id is not None else None
    if promise is not None and promise.ended_by == DONE:
        promise.state, promise.ended_at, promise.ended_by = "open", None, ""
    if task.reason == "differs":
        row = s.get(Difference, int(task.cause.partition(":")[2] or 0))
        if row is not None and row.ended_at is not None:
            return
    task.resolved_at, task.resolved_by = None, ""


def _calls_about_when(s: Session, visit_id: int, at: datetime) -> None:
    """Calls that were promised to say, or to agree, when we come; not the one that was promised because nobody came. One that
    took the place of another was promised for what the first was."""
    why = {t.promise_id: t.reason for t in _tasks(s, visit_id) if t.promise_id is not None}
    calls = {p.id: p for p in s.scalars(select(Promise).where(Promise.visit_id == visit_id, Promise.kind == "call"))}
    for promise in [p for p in calls.values() if p.state == "open"]:
        first = promise
        while first.replaces_id in calls:
            first = calls[first.replaces_id]
        reason = why.get(first.id)
        if reason in FREE or (first.made_by == "watch" and reason == "promised"):
            promises.end(s, promise, "cancelled", at=at, by=DONE)
