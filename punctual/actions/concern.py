"""Something looks wrong: a customer says so, a person with authority owes them an answer, only that closes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import outbox, promises
from punctual.actions import Refused, transaction
from punctual.actions.customer import Saved
from punctual.actions.dispatcher import By
from punctual.core.promise import office_due
from punctual.models import Answer, Company, Concern, Promise, User, Visit, touch_board
from punctual.queries import day as days
from punctual.queries import promises as queries

#: What can be wrong, in the order in which it is offered.
ABOUT = ("time", "work", "said", "not_mine", "other")
TEXT_MAX, OPEN_MAX = 1000, 5
LONG = "This is longer than %(most)s characters. It is %(extra)s too long."


def raise_(visit_id: int, about: str, text: str, *, at: datetime, by: str = "page") -> Saved:
    """ "This looks wrong": possible in every state. It goes to somebody who can decide, with a time for the answer."""
    words = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if about not in ABOUT:
        raise Refused("Choose what looks wrong.", status=422, field="about")
    if len(words) > TEXT_MAX:
        raise Refused(LONG, status=422, field="text", values={"most": TEXT_MAX, "extra": len(words) - TEXT_MAX})
    if about == "other" and not words:
        raise Refused("Write what looks wrong, then send it.", status=422, field="text")
    with transaction() as s:
        visit = s.get_one(Visit, visit_id, with_for_update={"key_share": True}, populate_existing=True)
        return open_(s, visit, about, words, at=at, by=by)


def open_(s: Session, visit: Visit, about: str, words: str, *, at: datetime, by: str, tell: bool = True) -> Saved:
    """A concern with its answer clock, in the caller's transaction; the same one again is the one we have."""
    mine = list(s.scalars(select(Concern).where(Concern.visit_id == visit.id, Concern.answered_at.is_(None))))
    same = next((c for c in mine if c.about == about and c.said.text == words), None)
    if same is not None:
        return Saved(same.said_id, True)
    if len(mine) >= OPEN_MAX:
        raise Refused("We have what you wrote and owe you answers to it. Ask for a call if it cannot wait.")
    return _opened(s, visit, about, words, at, by, owner=queries.authority(s), tell=tell)


def _opened(
    s: Session,
    visit: Visit,
    about: str,
    words: str,
    at: datetime,
    by: str,
    *,
    owner: User | None,
    tell: bool,
    replaces: Concern | None = None,
) -> Saved:
    said = Answer(visit_id=visit.id, kind="concern", at=at, by=by, text=words, data={"about": about})
    due = office_due(at, s.get_one(Company, 1).zone, days.rules(s).answer_min, promises.works(s))
    promise = promises.make(s, visit, "answer", due, at=at, by="customer", owner=owner)
    s.add(said)
    s.flush()
    concern = Concern(
        visit_id=visit.id,
        said_id=said.id,
        promise_id=promise.id,
        replaces_id=replaces.id if replaces else None,
        about=about,
        at=at,
    )
    s.add(concern)
    s.flush()
    if tell:
        _tell(s, concern, visit, "concern_received", at, due=due.isoformat(), owner=queries.first_name(promise))
    return Saved(said.id)


def still(visit_id: int, *, at: datetime, by: str = "page") -> Saved:
    """ "Still not right": the newest answer did not settle it, so it goes to the next one up. Again it changes nothing."""
    with transaction() as s:
        visit = s.get_one(Visit, visit_id, with_for_update={"key_share": True}, populate_existing=True)
        newest = s.scalar(select(Concern).where(Concern.visit_id == visit_id).order_by(Concern.id.desc()).limit(1))
        if newest is None:
            raise Refused("Tell us what looks wrong first.")
        if newest.answered_at is None:
            return Saved(newest.said_id, True)
        owner = queries.above(s, newest.promise.owner_id)
        words = newest.said.text
        return _opened(s, visit, newest.about, words, at, by, owner=owner, tell=True, replaces=newest)


def answer(concern_id: int, text: str, *, at: datetime, by: By) -> int:
    """Answer the customer: the only way to close it. Returns the visit."""
    words = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not words:
        raise Refused("It cannot be closed without an answer to the customer. Write one.", status=422, field="answer")
    if len(words) > TEXT_MAX:
        raise Refused(LONG, status=422, field="answer", values={"most": TEXT_MAX, "extra": len(words) - TEXT_MAX})
    with transaction() as s:
        concern: Concern | None = s.scalar(
            select(Concern)
            .where(Concern.id == concern_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if concern is None:
            raise Refused("There is no such concern.", status=404)
        if concern.answered_at is not None:
            raise Refused(f"{concern.answered_by} has answered this already.")
        concern.answer, concern.answered_at, concern.answered_by = words, at, by.name
        promise = s.get_one(Promise, concern.promise_id)
        if promise.state == "open":
            promises.end(s, promise, "kept" if at <= promise.due_at else "broken", at=at, by=by.name)
        visit = s.get_one(Visit, concern.visit_id)
        _tell(s, concern, visit, "concern_answered", at)
        touch_board(s, visit.date)
        return concern.visit_id


def _tell(s: Session, concern: Concern, visit: Visit, kind: str, at: datetime, **facts: Any) -> None:
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:{kind}:{concern.id}",
        kind=kind,
        at=at,
        reason="asked" if kind == "concern_received" else "answered",
        cause=f"concern:{concern.id}",
        facts={"concern": concern.id, **facts},
        visit=visit,
        promise_id=concern.promise_id if kind == "concern_received" else None,
    )
