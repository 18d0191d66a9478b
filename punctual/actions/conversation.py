"""Words between a customer and a person at the company: what was written goes to a dispatcher, who answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox, promises
from punctual.actions import Refused, lock, offer, transaction
from punctual.actions.dispatcher import By
from punctual.core import reply
from punctual.core.segments import MOST, fold, size
from punctual.messages import company_in_text
from punctual.models import Company, Customer, Message, Notice, Received, Visit, touch_board
from punctual.queries import promises as queries

#: So many words of what was written are shown with the task.
SHOWN = 200
#: "A person reads it" is said once in this time.
ONCE = timedelta(hours=24)


def person_wrote(s: Session, row: Received, *, at: datetime, answers: bool = True) -> None:
    """Somebody must read this: a task with a due time, and one message that says so (`answers`; never to a program).

    What that message says is a promise like any other: watched, passed on, and said either way at its time.
    """
    visit = s.get(Visit, row.visit_id) if row.visit_id else _visit_of_address(s, row, at)
    if visit is not None:
        lock.visits(s, [visit])
    owed = queries.open_of(s, visit.id, "reply") if visit is not None else None
    due = owed.due_at if owed is not None else offer.call_due(s, at)
    cancels = reply.may_cancel(row.text)
    row.settled_at = at
    row.outcome = "may want to cancel: a person reads it" if cancels else "a person reads it"
    if visit is not None:
        row.visit_id, row.customer_id = visit.id, visit.customer_id
    outbox.put(
        s,
        key=f"wrote:{row.id}" if visit else f"wrote:{sha256(row.sender.encode()).hexdigest()[:24]}:{at:%Y-%m-%d}",
        kind="wrote",
        at=at,
        reason="may_cancel" if cancels else "wrote",
        cause=f"customer:wrote:{row.visit_id or 0}",
        decision="task",
        facts={"words": row.text[:SHOWN], "by": row.sender, "channel": row.channel, "received": row.id},
        visit=visit,
        to="dispatcher",
        due_at=due,
    )
    if visit is not None and answers and owed is None and not _said_lately(s, visit, at):
        told = outbox.put(
            s,
            key=f"{visit.id}:{visit.promise_version}:not_understood:{row.id}",
            kind="not_understood",
            at=at,
            reason="wrote",
            cause=f"customer:wrote:{visit.id}",
            facts={"due": due.isoformat()},
            visit=visit,
            channel=row.channel,
        )
        if told is not None:
            told.promise_id = promises.make(s, visit, "reply", due, at=at, by="customer", tell=False).id


def _visit_of_address(s: Session, row: Received, at: datetime) -> Visit | None:
    """The nearest visit of the customer with this e-mail address: the next one, else the last."""
    if row.channel != "email" or not row.sender:
        return None
    theirs = select(Visit).join(Customer, Customer.id == Visit.customer_id).where(Customer.email == row.sender)
    coming = s.scalars(theirs.where(Visit.window_end >= at).order_by(Visit.window_start).limit(1)).first()
    return coming or s.scalars(theirs.order_by(Visit.window_start.desc()).limit(1)).first()


def _said_lately(s: Session, visit: Visit, at: datetime) -> bool:
    lately = select(Message.id).where(
        Message.customer_id == visit.customer_id, Message.kind == "not_understood", Message.created_at > at - ONCE
    )
    return s.scalar(lately.limit(1)) is not None


def answer(visit_id: int, words: str, *, at: datetime, by: By) -> None:
    """A dispatcher answers in their own words, the way the customer wrote; what waited for an answer is done."""
    words = " ".join(words.replace("\x00", "").split()) if "\n" not in words else words.replace("\x00", "").strip()
    if not words:
        raise Refused("Write the answer first.", status=422, field="words")
    with transaction() as s:
        visit = lock.visit(s, visit_id)
        if visit is None:
            raise Refused("There is no such visit.", status=404)
        last = select(Received.channel).where(Received.visit_id == visit_id).order_by(Received.id.desc()).limit(1)
        channel = s.scalar(last) or ""
        if channel == "sms":
            _fits(s, words)
        put = outbox.put(
            s, key=f"{visit.id}:{visit.promise_version}:reply:{at.isoformat()}", kind="reply", at=at, reason="by_hand",
            cause=by.cause("answer"), facts={"words": words}, visit=visit, channel=channel,
        )  # fmt: skip
        if put is None or put.decision == "task":
            raise Refused("There is no phone or e-mail this could go to. Call the customer.")
        promises.replied(s, visit_id, at=at, by=by.name)
        waiting = select(Notice).where(
            Notice.visit_id == visit_id, Notice.kind == "wrote", Notice.resolved_at.is_(None)
        )
        for task in s.scalars(waiting):
            task.resolved_at, task.resolved_by = at, by.name
        touch_board(s, visit.date)


def _fits(s: Session, words: str) -> None:
    """Refuse more than two segments, with how much is too much."""
    company = s.get_one(Company, 1)
    found = size(fold(f"{company_in_text(company.text_name)}: {words}"))
    if found.segments > MOST:
        sentence = f"This is {found.segments} segments as a text; at most {MOST} are sent. Shorten it, or call."
        raise Refused(sentence, status=422, field="words")
