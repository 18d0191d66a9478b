"""After the visit the customer has the last word: done or not done, how it was, and that they were there after all."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox, promises
from punctual.actions import Refused, concern, transaction
from punctual.actions.customer import Saved, answered, last_answer
from punctual.models import Answer, Visit
from punctual.queries import day as days
from punctual.queries import promises as queries

NOTE_MAX = 1000


def done(visit_id: int, *, at: datetime, by: str = "page") -> Saved:
    """The work is done, says the customer; pressed again it changes nothing."""
    with transaction() as s:
        visit = _ended(s, visit_id)
        last = _word(s, visit.id)
        if last is not None and last.kind == "done":
            return Saved(last.id, True)
        return answered(s, visit, "done", at, by=by)


def not_done(visit_id: int, text: str = "", *, at: datetime, by: str = "page") -> Saved:
    """The work is not done: it is reopened with a promised call, at once and without another question."""
    words = text.replace("\x00", "").strip()[:NOTE_MAX]
    with transaction() as s:
        visit = _ended(s, visit_id)
        last = _word(s, visit.id)
        if last is not None and last.kind == "not_done" and last.text == words:
            return Saved(last.id, True)
        saved = answered(s, visit, "not_done", at, words, by=by)
        cause = f"customer:not_done:{visit.id}"
        owed = promises.owe_call(s, visit, at=at, by="customer", reason="not_done", cause=cause)
        outbox.put(
            s,
            key=f"{visit.id}:{visit.promise_version}:reopened:{saved.answer_id}",
            kind="reopened",
            at=at,
            reason="not_done",
            cause=cause,
            facts={"due": owed.due_at.isoformat(), "owner": queries.first_name(owed)},
            visit=visit,
        )
        return saved


def rate(visit_id: int, stars: int, *, at: datetime, by: str = "page") -> Saved:
    """How it was, from 1 (bad) to 5 (good), in one tap; a low rating is answered by somebody with authority."""
    if not 1 <= stars <= 5:
        raise Refused("Choose a number from 1 to 5.", status=422, field="stars")
    with transaction() as s:
        visit = _ended(s, visit_id)
        last = last_answer(s, visit, "rating")
        if last is not None and last.data.get("stars") == stars:
            return Saved(last.id, True)
        saved = answered(s, visit, "rating", at, by=by, stars=stars)
        if stars <= days.rules(s).low_rating:
            return concern.open_(s, visit, "rating", "", at=at, by=by, tell=False)
        return saved


def was_there(visit_id: int, *, at: datetime, by: str = "page") -> Saved:
    """ "I was there": the report of nobody home is disputed, at once; somebody with authority answers."""
    with transaction() as s:
        visit = s.get_one(Visit, visit_id, with_for_update={"key_share": True}, populate_existing=True)
        if visit.state != "nobody_home":
            raise Refused("Nobody has said that you were not reached.")
        return concern.open_(s, visit, "was_there", "", at=at, by=by)


def nobody_here(visit_id: int, *, at: datetime, by: str = "page") -> Saved:
    """The technician is said to have arrived, and nobody is here: somebody finds out and answers."""
    with transaction() as s:
        visit = s.get_one(Visit, visit_id, with_for_update={"key_share": True}, populate_existing=True)
        if visit.state != "arrived":
            raise Refused("The technician has not arrived yet.")
        return concern.open_(s, visit, "nobody_here", "", at=at, by=by)


def _ended(s: Session, visit_id: int) -> Visit:
    visit: Visit = s.get_one(Visit, visit_id, with_for_update={"key_share": True}, populate_existing=True)
    if visit.state not in ("done", "cannot_finish"):
        raise Refused("The work is not reported as done yet.")
    return visit


def _word(s: Session, visit_id: int) -> Answer | None:
    """The customer's last word on whether it is done."""
    found: Answer | None = s.scalar(
        select(Answer)
        .where(Answer.visit_id == visit_id, Answer.kind.in_(("done", "not_done")))
        .order_by(Answer.id.desc())
        .limit(1)
    )
    return found
