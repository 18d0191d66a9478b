"""What a text that came in does: the verbs a customer's page or a technician's tap calls, or a person reads it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import messages, outbox
from punctual.actions import Refused, conversation, customer, earlier, offer, technician, transaction
from punctual.config import Settings
from punctual.core import reply
from punctual.core.day import OVER, local
from punctual.core.slot import in_order
from punctual.models import Attempt, Company, Customer, Message, Received, Report, Technician, Visit, db
from punctual.queries import visit as visits

log = logging.getLogger(__name__)

#: A text is about the visit we last wrote about, if that was not longer ago than this.
LATELY = timedelta(days=7)
#: Kinds that ask a question which YES may answer, and for how long.
QUESTIONS = ("reminder", "late_first", "late_update", "moved_by_us")
ASKED = timedelta(hours=24)
#: UNDO takes back a report that is not older; the same word within a minute is a text that was sent twice.
UNDOABLE, TWICE = timedelta(hours=12), timedelta(minutes=1)
#: What a technician reported, as they read it.
SAID = {
    "on_my_way": "On my way", "arrived": "Arrived", "late": "Running late", "done": "Done", "nobody_home": "Nobody home",
    "cannot_finish": "Cannot finish",
}  # fmt: skip


def act(received_id: int, *, settings: Settings, at: datetime) -> None:
    """Act on one text. Done again after a crash it changes nothing more: every verb and key below counts once."""
    s = db.session()
    row = s.get_one(Received, received_id)
    found = _technician(s, row.sender)
    tapped = reply.technician(row.text) if found is not None else reply.Tapped("unknown")
    visit = visit_of(s, row.sender, row.at)
    meaning: str
    if found is not None and (tapped.kind != "unknown" or visit is None):
        meaning, outcome = tapped.kind, _tap(s, row, found, tapped, at)
    elif row.meaning:  # STOP or START: in force since it came
        meaning, outcome = row.meaning, _also(row, visit, at)
    else:
        meaning, outcome = _customer(s, row, visit, at)
    with transaction() as w:
        again = w.get_one(Received, received_id)
        again.meaning = meaning
        if again.settled_at is None:
            again.settled_at, again.outcome = at, outcome[:300]
            again.visit_id = again.visit_id or (visit.id if visit is not None else None)
            again.customer_id = again.customer_id or (visit.customer_id if visit is not None else None)
            again.technician_id = found.id if found is not None else None


def visit_of(s: Session, number: str, at: datetime) -> Visit | None:
    """The visit a text from this number is about: what we last texted about, the next one, or the last one."""
    ours = select(Customer.id).where(Customer.phone == number)
    last = s.scalar(
        select(Message.visit_id)
        .join(Attempt, Attempt.message_id == Message.id)
        .join(Visit, Visit.id == Message.visit_id)
        .where(
            Attempt.recipient == number,
            Attempt.at > at - LATELY,
            Message.customer_id.in_(ours),
            Visit.state.not_in(OVER),
        )
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    if last is not None:
        return s.get(Visit, last)
    theirs = select(Visit).where(Visit.customer_id.in_(ours))
    coming = theirs.where(Visit.state.not_in(OVER), Visit.window_end >= at - timedelta(hours=12))
    return (
        s.scalars(coming.order_by(Visit.window_start).limit(1)).first()
        or s.scalars(theirs.order_by(Visit.window_start.desc()).limit(1)).first()
    )


def _technician(s: Session, number: str) -> Technician | None:
    return s.scalars(select(Technician).where(Technician.phone == number, Technician.active).limit(1)).first()


def _customer(s: Session, row: Received, visit: Visit | None, at: datetime) -> tuple[str, str]:
    """What a customer's text means, done; (meaning, what came of it)."""
    sooner = visit is not None and visits.earlier(s, visit, row.at) is not None
    read = reply.read(row.text, asked=visit is not None and _asked(s, visit, row.at), earlier=sooner)
    limit = reply.limit(row.text) if read.meaning == "unknown" else None
    if visit is not None and limit is not None:
        try:
            return "deadline", _limit(limit, visit, at)
        except Refused as no:
            log.info("text %s goes to a person: %s", row.id, no.sentence)
    if visit is not None and read.meaning in ("keep", "earlier", "new_time", "call", "help"):
        try:
            return read.meaning, _verb(read.meaning, row, visit, at)
        except Refused as no:
            log.info("text %s goes to a person: %s", row.id, no.sentence)
    with transaction() as w:
        mine = w.get_one(Received, row.id)
        mine.visit_id = visit.id if visit is not None else None
        conversation.person_wrote(w, mine, at=at)
        return "unknown", mine.outcome


def _asked(s: Session, visit: Visit, at: datetime) -> bool:
    """Whether a question of ours from the last 24 hours is open."""
    asked = select(Message.id).where(
        Message.visit_id == visit.id, Message.kind.in_(QUESTIONS), Message.state.in_(("sent", "delivered", "uncertain")),
        Message.state_at > at - ASKED,
    )  # fmt: skip
    return s.scalar(asked.limit(1)) is not None


def _verb(meaning: str, row: Received, visit: Visit, at: datetime) -> str:
    """The same verbs the page calls."""
    if meaning == "keep":
        return _keep(row, visit, at)
    if meaning == "earlier":
        return "taken already" if earlier.take(visit.id, at=at, by="sms").already else "the earlier time was taken"
    if meaning == "call":
        return "asked already" if customer.call_me(visit.id, at=at, by="sms").already else "a call was promised"
    if meaning == "new_time":
        return _offer(row, visit, at)
    with transaction() as s:
        _put(s, "help", row, s.get_one(Visit, visit.id), at)
    return "how to reach us was sent"


def _limit(limit: reply.Limit, visit: Visit, at: datetime) -> str:
    """ "I must leave at 10:00" counts like the page's field; where it cannot be met they are asked to choose at once."""
    clock = f"{limit.hour:02}:{limit.minute:02}"
    saved = customer.leave_by(visit.id, clock, limit.kind, at=at, by="sms")
    return f"limit {clock} noted" if saved.works else f"limit {clock} cannot be met; they were asked to choose"


def _offer(row: Received, visit: Visit, at: datetime) -> str:
    """Times are held from now on, and the link to them is sent; where nothing fits, a call is promised at once."""
    if visit.state != "planned":
        raise Refused("The technician is on the way or there, or the visit is over.")
    stays = visits.story(db.session(), visit.id, at=at).can_keep
    kept = offer.times(visit.id, at=at, by="sms")
    if kept.until is None:
        return "nothing fits; a call was promised"
    with transaction() as s:
        mine = s.get_one(Visit, visit.id)
        words = [messages.range_words(x.window, mine.zone, mine.customer.language) for x in in_order(kept.slots)]
        facts = {"hold_until": kept.until.isoformat(), "offers": words, "stays": stays}
        _put(s, "offers_link", row, mine, at, facts)
    return f"{len(kept.slots)} times are kept free"


def _keep(row: Received, visit: Visit, at: datetime) -> str:
    if visit.state in ("on_my_way", "arrived"):
        return "noted; the technician is on the way or there"
    try:
        return "kept already" if customer.keep(visit.id, at=at, by="sms").already else "kept"
    except Refused:
        if visit.state in OVER:
            raise
        with transaction() as s:
            _put(s, "keep_impossible", row, s.get_one(Visit, visit.id), at)
        return "waiting cannot work any more; they were told"


def _put(s: Session, kind: str, row: Received, visit: Visit, at: datetime, facts: dict[str, Any] | None = None) -> None:
    outbox.put(
        s, key=f"{visit.id}:{visit.promise_version}:{kind}:{row.id}", kind=kind, at=at, reason="asked",
        cause=f"customer:{kind}:{visit.id}", visit=visit, facts=facts,
    )  # fmt: skip


def _also(row: Received, visit: Visit | None, at: datetime) -> str:
    """STOP and START are done; a CANCEL may mean the visit."""
    if row.meaning == "start":
        return "texts go again"
    if reply.may_cancel(row.text):
        with transaction() as w:
            mine = w.get_one(Received, row.id)
            mine.visit_id = visit.id if visit is not None else None
            conversation.person_wrote(w, mine, at=at, answers=False)
        return "no more texts; may want to cancel: a person reads it"
    return "no more texts"


# --- a technician without data ------------------------------------------------------------------------------------------


def _tap(s: Session, row: Received, who: Technician, tapped: reply.Tapped, at: datetime) -> str:
    """Report what a technician texted, and answer with a sentence: what was saved, or why not.

    The answer names the customer and belongs to their visit, so that it goes with them when they are erased.
    """
    last = _last(s, who, row.at) if tapped.kind == "undo" else None
    visit = s.get_one(Visit, last.visit_id) if last else _their_visit(s, who, tapped.kind, row.at)
    if tapped.kind == "unknown":
        visit, said = None, "This was not understood. Text OMW, HERE, LATE 15, LATE 30, LATE 60, DONE or UNDO."
    elif tapped.kind == "undo":
        visit, said = _undo(row, who, visit, last, at) if visit and last else (None, "There is nothing to take back.")
    elif visit is None:
        said = "You have no visit today this could be about. Call the office."
    else:
        said = _report(row, who, tapped, visit, at)
    words = f"{visit.customer.name.split()[-1]}: {said}" if visit else said
    with transaction() as w:
        outbox.put(
            w, key=f"{visit.id if visit else 0}:0:reply:text{row.id}", kind="reply", at=at, reason="asked",
            cause=f"report:text:{row.id}", facts={"words": words}, to="technician", channel="sms",
            person=w.get_one(Technician, who.id), visit=w.get_one(Visit, visit.id) if visit else None,
        )  # fmt: skip
    return said


def _last(s: Session, who: Technician, at: datetime) -> Report | None:
    """The newest report of a technician that UNDO takes back; None where there is none, or the same word came twice."""
    rows = s.scalars(
        select(Report).where(Report.technician_id == who.id, Report.at > at - UNDOABLE).order_by(Report.id.desc())
    ).all()
    if rows and rows[0].kind == "undo" and at < rows[0].at + TWICE:
        return None
    undone = {r.undoes_id for r in rows}
    return next((r for r in rows if r.kind != "undo" and r.id not in undone), None)


def _undo(row: Received, who: Technician, visit: Visit, last: Report, at: datetime) -> tuple[Visit, str]:
    try:
        technician.undo(
            visit.id, technician_id=who.id, key=f"text-{row.id:08d}", tapped_at=row.at, at=at, of_key=last.key
        )
    except Refused as no:
        return visit, no.sentence
    return visit, f"{SAID[last.kind]} is taken back. A customer who was told of it gets a correction."


def _report(row: Received, who: Technician, tapped: reply.Tapped, visit: Visit, at: datetime) -> str:
    try:
        taken = technician.report(
            visit.id, tapped.kind, technician_id=who.id, key=f"text-{row.id:08d}", tapped_at=row.at, at=at,
            minutes=tapped.minutes, source="sms",
        )  # fmt: skip
    except Refused as no:
        return no.sentence
    what = SAID[tapped.kind] + (f" +{tapped.minutes}" if tapped.kind == "late" else "")
    told = sum(t["decision"] == "tell" for t in taken.told)
    more = f" {told} customer{'s' if told != 1 else ''} will be told." if told else " Nobody else has to be told."
    return f"{what} is saved.{more}"


def _their_visit(s: Session, who: Technician, kind: str, at: datetime) -> Visit | None:
    """The visit of today a technician means: the one under way, or the next one to go to.

    The same words again while that visit may last are a text that was sent twice, and never the next visit.
    """
    here = local(at, s.get_one(Company, 1).zone).date()
    todays = s.scalars(
        select(Visit)
        .where(Visit.technician_id == who.id, Visit.date == here, Visit.state.not_in(OVER))
        .order_by(Visit.planned_start, Visit.id)
    ).all()
    there = next((v for v in todays if v.state == "arrived"), None)
    under_way = next((v for v in todays if v.state == "on_my_way"), None)
    coming = next((v for v in todays if v.state == "planned"), None)
    if kind == "on_my_way":
        return under_way if _lasts(under_way, at) else coming or under_way or there
    if kind == "arrived":
        return under_way or (there if _lasts(there, at) else coming or there)
    return there or under_way or coming


def _lasts(visit: Visit | None, at: datetime) -> bool:
    """Whether a visit that was set out to, or begun, may still be the one that is under way."""
    if visit is None:
        return False
    begun = visit.arrived_at or visit.on_my_way_at
    return begun is not None and at < begun + timedelta(minutes=visit.planned_min)
