"""What a customer's calendar program answers: accepted, declined, another time proposed, the invitation asked for again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import outbox, promises
from punctual.actions import Refused, customer, lock, schedule, transaction
from punctual.core.day import OVER, Window, local
from punctual.core.promise import office_due
from punctual.itip.reply import Incoming
from punctual.models import Answer, Attempt, Company, Message, Notice, Shift, Technician, Visit, touch_board
from punctual.queries import day as queries
from punctual.queries import slots
from punctual.queries import visit as visits

#: Mails that a calendar's answers may cause for one visit in a day: two programs can never keep each other busy.
MOST_MAILS = 4
#: What happened, for the board and the log.
WORDS = {
    "accepted": "Accepted the invitation",
    "tentative": "Is not sure yet",
    "declined": "Declined the invitation",
    "delegated": "Passed the invitation on",
    "noted": "Opened the invitation",
    "moved": "Proposed another time, which fits",
    "not_free": "Proposed another time, which does not fit",
    "wish": "Proposed another time",
    "resent": "Asked for the invitation again",
    "stale": "Answered an invitation for an older time",
    "over": "Answered after the work began or ended",
    "other_person": "Somebody else answered this invitation",
    "never_sent": "Answered a version that was never sent",
    "refused": "Their calendar tried to change the visit itself",
    "unknown": "It answers an invitation we do not know",
    "duplicate": "The same answer again",
    "older": "An older answer than the one we have",
}
#: Outcomes after which a person reads the mail: nothing was done with it.
FOR_A_PERSON = frozenset({"unknown", "other_person", "never_sent", "refused", "over", "broken"})


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one calendar object: a word of WORDS, or "broken" with its sentence in `words`; and its visit."""

    word: str
    visit_id: int | None = None
    words: str = ""

    @property
    def person_reads(self) -> bool:
        return self.word in FOR_A_PERSON

    @property
    def sentence(self) -> str:
        """What happened, for the record and for who reads the mail."""
        return self.words or f"{WORDS[self.word]}."


def take(found: Incoming, *, sender: str, proven: bool, at: datetime) -> Taken:
    """Act on one calendar object from a mail of `sender`; `proven` says that the sender's own domain vouches for it.

    The same object again changes nothing. Nothing unproven moves a visit or frees its time (calendar.md 4).
    """
    with transaction() as s:
        visit = s.scalar(select(Visit).where(Visit.uid == found.uid))
        if visit is None:
            return Taken("unknown")
        wish = _wished(visit, found)
        visit = _locked(s, visit, wish.start if wish else None)
        word = _before(s, visit, found, sender, at) or _act(s, visit, found, wish, proven, at)
        if word not in ("duplicate", "older"):
            _keep(s, visit, found, word, at)
    if word == "wish":
        customer.call_me(visit.id, at=at, by="calendar")
    return Taken(word, visit.id)


def _locked(s: Session, visit: Visit, start: datetime | None) -> Visit:
    """The visit with its day locked, and every technician's day it may go to."""
    shift = queries.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    ids = {shift.id} if shift else set()
    if start is not None:
        ids |= set(s.scalars(select(Shift.id).where(Shift.date == local(start, visit.zone).date())))
    queries.lock(s, ids)
    lock.visits(s, [visit])
    return visit


def _wished(visit: Visit, found: Incoming) -> Window | None:
    """The time a COUNTER proposes, if it is another one than we have."""
    if found.method != "COUNTER" or found.start is None or found.end is None:
        return None
    same = (found.start, found.end) == (visit.window_start, visit.window_end)
    return None if same else Window(found.start, found.end)


def _mark(found: Incoming) -> dict[str, str]:
    """What makes an object the same as one that came before."""
    stamp = found.stamp.isoformat() if found.stamp else ""
    start = found.start.isoformat() if found.start and found.method == "COUNTER" else ""
    return {
        "method": found.method,
        "attendee": found.attendee,
        "sequence": str(found.sequence),
        "stamp": stamp,
        "start": start,
        "partstat": found.partstat,
    }


def _before(s: Session, visit: Visit, found: Incoming, sender: str, at: datetime) -> str:
    """Why nothing is done with it, "" when something may be: duplicates, who, which revision, when."""
    mark = _mark(found)
    earlier = [a.data for a in s.scalars(select(Answer).where(Answer.visit_id == visit.id, Answer.kind == "calendar"))]
    if any(all(data.get(k) == v for k, v in mark.items()) for data in earlier):
        return "duplicate"
    newest = max((x["stamp"] for x in earlier if x.get("word") in ("accepted", "tentative", "declined")), default="")
    if found.method == "REPLY" and newest and mark["stamp"] and mark["stamp"] < newest:
        return "older"
    if not ({found.attendee, found.sent_by, sender, *found.others} & _invited(s, visit)):
        return "other_person"
    if found.method not in ("REPLY", "COUNTER", "REFRESH"):
        return "refused"
    if found.sequence >= max(visit.sequence, 1):
        return "never_sent"
    if visit.state in (*OVER, "arrived") or at > visit.window_end + visits.EXPIRED:
        return "over"
    original = found.original
    other = original is not None and Window(*original) != Window(visit.window_start, visit.window_end)
    if found.method != "REFRESH" and (found.sequence < visit.window_sequence or other):
        _mail(s, visit, "invitation", f"stale:{visit.window_sequence}", at)
        return "stale"
    return ""


def _invited(s: Session, visit: Visit) -> set[str]:
    """The addresses this visit's invitations went to, in small letters."""
    sent = select(Attempt.recipient).join(Message, Message.id == Attempt.message_id)
    rows = s.scalars(sent.where(Message.visit_id == visit.id, Attempt.sequence.is_not(None)))
    return {x.lower() for x in (*rows, visit.customer.email or "") if x}


def _act(s: Session, visit: Visit, found: Incoming, wish: Window | None, proven: bool, at: datetime) -> str:
    if found.method == "REFRESH":
        _mail(s, visit, "invitation", f"refresh:{at:%Y-%m-%dT%H}", at)
        return "resent"
    if wish is not None:
        return _proposed(s, visit, wish, proven, at)
    word = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentative", "DELEGATED": "delegated"}.get(
        found.partstat, "noted"
    )
    if word == "noted":
        return word
    visit.partstat = "TENTATIVE" if word == "delegated" else found.partstat
    _close(s, visit, at)
    if word in ("declined", "delegated"):
        facts = {"delegate": found.delegate} if word == "delegated" else {"comment": found.comment}
        _task(s, visit, word, found, at, **facts)
    if word == "declined":
        _mail(s, visit, "declined", f"declined:{found.sequence}:{_mark(found)['stamp']}", at)
    return word


def _proposed(s: Session, visit: Visit, wish: Window, proven: bool, at: datetime) -> str:
    """Take the proposed time where it fits, the company lets it and the sender is proven; else decline it with real
    alternatives, or leave it to a person with a call promised. The newest proposal counts."""
    _close(s, visit, at)
    technician = None if wish.start <= at else _free(s, visit, wish.start, at)
    if technician is None:
        _mail(s, visit, "not_free", f"not_free:{wish.start.isoformat()}", at, start=wish.start.isoformat())
        return "not_free"
    rules = queries.rules(s)
    if proven and rules.calendar_moves and visit.state == "planned":
        longest = max(visit.window_end - visit.window_start, timedelta(minutes=rules.window_min))
        window = Window(wish.start, min(wish.end, wish.start + longest))
        try:
            schedule.move(
                s, visit, technician_id=technician, planned_start=wish.start, window=window, at=at, by="customer"
            )
        except Refused:
            _mail(s, visit, "not_free", f"not_free:{wish.start.isoformat()}", at, start=wish.start.isoformat())
            return "not_free"
        return "moved"
    key = f"{visit.id}:{visit.promise_version}:proposed:{wish.start.isoformat()}"
    facts = {"start": wish.start.isoformat(), "end": wish.end.isoformat()}
    due = office_due(at, s.get_one(Company, 1).zone, rules.callback_min, promises.works(s))
    outbox.put(
        s, key=key, kind="call", at=at, reason="proposed", cause=f"customer:calendar:{visit.id}", decision="task",
        facts=facts, visit=visit, to="dispatcher", due_at=due,
    )  # fmt: skip
    return "wish"


def _free(s: Session, visit: Visit, start: datetime, at: datetime) -> int | None:
    """Who can come then without breaking another promise: the visit's own technician first."""
    on = local(start, visit.zone).date()
    working = select(Shift.technician_id).join(Technician).where(Shift.date == on, Technician.active.is_(True))
    ids = sorted(s.scalars(working), key=lambda i: (i != visit.technician_id, i))
    for some in (ids[:1], ids[1:]):
        free = {x.technician for x in slots.still_free(s, visit.id, [(i, start) for i in some], at=at)}
        if free:
            return next(i for i in some if i in free)
    return None


def _task(s: Session, visit: Visit, word: str, found: Incoming, at: datetime, **facts: str) -> None:
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:task:{word}:{found.sequence}:{_mark(found)['stamp']}",
        kind="call",
        at=at,
        reason=word,
        cause=f"customer:calendar:{visit.id}",
        decision="task",
        facts={k: v[:300] for k, v in facts.items() if v},
        visit=visit,
        to="dispatcher",
    )


def _close(s: Session, visit: Visit, at: datetime) -> None:
    """A newer answer stands in for the tasks an older one opened."""
    tasks = select(Notice).where(
        Notice.visit_id == visit.id,
        Notice.decision == "task",
        Notice.reason.in_(("declined", "delegated", "proposed")),
        Notice.resolved_at.is_(None),
    )
    for task in s.scalars(tasks):
        task.resolved_at, task.resolved_by = at, "customer"


def _mail(s: Session, visit: Visit, kind: str, mark: str, at: datetime, **facts: str) -> None:
    """One mail for one answer, and never more than a few a day."""
    sent = select(func.count()).select_from(Notice).where(
        Notice.visit_id == visit.id,
        Notice.kind.in_(("invitation", "declined", "not_free")),
        Notice.at > at - timedelta(days=1),
    )  # fmt: skip
    if (s.scalar(sent) or 0) >= MOST_MAILS:
        return
    outbox.put(
        s,
        key=f"{visit.id}:{visit.promise_version}:{mark}",
        kind=kind,
        at=at,
        reason="asked",
        cause=f"customer:calendar:{visit.id}",
        facts=dict(facts),
        visit=visit,
    )


def _keep(s: Session, visit: Visit, found: Incoming, word: str, at: datetime) -> None:
    """The answer as it came, on the visit's record."""
    text = ". ".join(x for x in (WORDS[word], found.comment.strip()) if x)
    s.add(
        Answer(visit_id=visit.id, kind="calendar", at=at, by="calendar", text=text, data=_mark(found) | {"word": word})
    )
    touch_board(s, visit.date)
