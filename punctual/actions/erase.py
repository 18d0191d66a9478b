"""Erase a person: who they are and what they wrote goes; what was promised, told and kept stays, as counts.

A keyed hash of a number that asked for no texts outlives this (suppression.py); backups made before have their own time.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from punctual import links, outbox, promises
from punctual.actions import Refused, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import OVER
from punctual.models import (
    Answer,
    Attempt,
    Concern,
    Customer,
    GeocodeAnswer,
    Job,
    Message,
    Notice,
    Photo,
    Place,
    Promise,
    Received,
    Report,
    Technician,
    Travel,
    Visit,
    db,
    touch_board,
)

#: What stands where a name was.
NOBODY = "Erased"
#: A message in this state is in a provider's hands right now.
LEAVING = ("sending",)
#: What a customer or a person typed, in the facts of a notice or a message and in an answer's data.
TYPED = frozenset({"number", "comment", "delegate", "words", "by", "attendee"})


def customer(customer_id: int, *, folder: Path, at: datetime, by: By) -> None:
    """Erase a customer with no visit to come, and the files in `folder` their mails went to (the outbox folder).

    Erased again nothing changes. Refused while a visit is to come or a message is leaving.
    """
    with transaction() as s:
        theirs = select(Visit).where(Visit.customer_id == customer_id).order_by(Visit.id)
        visits = list(s.scalars(theirs.with_for_update(key_share=True)))
        row: Customer | None = s.get(Customer, customer_id, with_for_update=True)
        if row is None:
            raise Refused("There is no such customer.", status=404)
        if any(v.state not in OVER for v in visits):
            raise Refused("This customer has a visit to come. Cancel it first, then erase them.")
        ids = [v.id for v in visits]
        files = _messages(s, row, ids, at, by)
        _words(s, ids)
        _received(s, row, ids, at)
        _owed(s, ids, at, by)
        _visits(s, visits, at)
        for job in s.scalars(select(Job).where(Job.customer_id == row.id)):
            job.name = NOBODY
        row.name, row.ref, row.email, row.phone, row.email_bad, row.phone_bad = NOBODY, None, None, None, "", ""
        row.link_version += 1
        touch_board(s, *{v.date for v in visits})
    for name in files:
        (folder / name).unlink(missing_ok=True)
    _settle()


def _messages(s: Session, row: Customer, visit_ids: Collection[int], at: datetime, by: By) -> list[str]:
    """Every message to them or about their visits keeps its kind, times and outcome; its words and addresses go."""
    theirs = (Message.customer_id == row.id) | Message.visit_id.in_(visit_ids)
    messages = list(s.scalars(select(Message).where(theirs)))
    if any(m.state in LEAVING for m in messages):
        raise Refused("A message to this customer is leaving right now. Try again in a minute.")
    for visit_id in visit_ids:
        outbox.supersede(s, visit_id, at=at, why="erased")
    files = []
    for m in messages:
        m.facts = _without(m.facts)
        for a in s.scalars(select(Attempt).where(Attempt.message_id == m.id)):
            if a.transport == "file" and a.provider_id:
                files.append(a.provider_id)
                a.provider_id = ""
            a.subject, a.body, a.text, a.error = "", b"", "", ""
            if m.customer_id is not None:
                a.recipient = ""
    for n in s.scalars(select(Notice).where(Notice.visit_id.in_(visit_ids))):
        n.facts = _without(n.facts)
        if n.decision == "task" and n.resolved_at is None:
            n.resolved_at, n.resolved_by = at, by.name
    return files


def _words(s: Session, visit_ids: Collection[int]) -> None:
    """What they wrote, showed, and were answered; that they did, and when, stays."""
    s.execute(delete(Photo).where(Photo.visit_id.in_(visit_ids)))
    for answer in s.scalars(select(Answer).where(Answer.visit_id.in_(visit_ids))):
        answer.text, answer.data = "", _without(answer.data)
    s.execute(update(Concern).where(Concern.visit_id.in_(visit_ids)).values(answer=""))
    s.execute(update(Report).where(Report.visit_id.in_(visit_ids)).values(note=""))
    s.execute(update(Promise).where(Promise.visit_id.in_(visit_ids)).values(note=""))


def _received(s: Session, row: Customer, visit_ids: Collection[int], at: datetime) -> None:
    """Texts and mails that came from them."""
    addresses = [x for x in (row.email, row.phone) if x]
    theirs = (Received.customer_id == row.id) | Received.visit_id.in_(visit_ids) | Received.sender.in_(addresses)
    strangers = select(Notice).where(Notice.kind == "wrote", Notice.visit_id.is_(None))
    for n in s.scalars(strangers):  # written before we knew whose number that is
        if (n.facts or {}).get("by") in addresses:
            n.facts, n.resolved_at = _without(n.facts), n.resolved_at or at
    s.execute(update(Received).where(theirs).values(sender="", subject="", text="", outcome=""))


def _owed(s: Session, visit_ids: Collection[int], at: datetime, by: By) -> None:
    """What they were still promised cannot be kept any more: nobody is left to call."""
    for promise in s.scalars(
        select(Promise).where(Promise.visit_id.in_(visit_ids), Promise.state == "open", Promise.kind != "window")
    ):
        promises.end(s, promise, "cancelled", at=at, by=by.name)


def _visits(s: Session, visits: Collection[Visit], at: datetime) -> None:
    """Their visits keep their times; links to them end, and places that nobody else has are gone with their roads."""
    places = {v.place_id for v in visits if v.place_id is not None}
    for v in visits:
        links.revoke(s, "customer", v.id, at=at)
        v.notes, v.imported, v.ref, v.place_id, v.changed_at = "", None, None, None, at
    s.flush()
    kept = set(s.scalars(select(Visit.place_id).where(Visit.place_id.in_(places))))
    kept |= set(s.scalars(select(Technician.home_place_id).where(Technician.home_place_id.in_(places))))
    gone = places - kept
    addresses = set(s.scalars(select(Place.address).where(Place.id.in_(gone))))
    s.execute(delete(Travel).where(Travel.from_place.in_(gone) | Travel.to_place.in_(gone)))
    s.execute(delete(Place).where(Place.id.in_(gone)))
    addresses -= set(s.scalars(select(Place.address).where(Place.address.in_(addresses))))
    s.execute(delete(GeocodeAnswer).where(GeocodeAnswer.query.in_(addresses)))


def _without(given: dict[str, Any]) -> dict[str, Any]:
    """Facts without what somebody typed."""
    return {k: v for k, v in (given or {}).items() if k not in TYPED}


def _settle() -> None:
    """SQLite: the log beside the database is folded in and emptied, as far as nobody reads just then."""
    if db.engine.dialect.name != "sqlite":
        return
    raw = db.engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.close()
