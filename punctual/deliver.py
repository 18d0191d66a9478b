"""From a claimed message to an accepted one: decide again, write, commit the intent, send, commit what came of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import clock, letters, outbox
from punctual.config import Settings
from punctual.core.day import OVER
from punctual.core.kinds import KINDS
from punctual.core.policy import AUTOMATIC, Said, Verdict, may
from punctual.models import Attempt, Company, Customer, Message, Notice, Report, Visit, touch_board
from punctual.queries import day as days
from punctual.transports import Envelope, Receipt, TransportError

#: Real seconds before another try, each with full jitter (policy 1).
BACKOFF_S = (5.0, 30.0, 120.0, 300.0)


#: Resends of one message whose fate is unknown; then it is shown instead.
RESENDS = 3


@dataclass(frozen=True, slots=True)
class Ready:
    """A committed intent: what is about to leave, and until when it is this worker's to send."""

    message_id: int
    attempt_id: int
    envelope: Envelope
    until: datetime


def prepare(s: Session, message_id: int, settings: Settings, *, by: str, at: datetime) -> Ready | None:
    """Decide again whether a claimed message may go, write it fresh and keep the intent; None when it does not go now.

    An intent left without an outcome is in doubt: by kind the very same bytes go again, or it is held and shown.
    """
    message = s.get_one(Message, message_id)
    if message.state != "sending" or message.lease_by != by:
        return None
    message.lease_until = clock.after(outbox.LEASE_S)
    open_ = s.scalar(select(Attempt).where(Attempt.message_id == message.id, Attempt.state == "intent"))
    if open_ is not None:
        return _in_doubt(s, message, open_, at)
    no = _untrue(s, message, at) or _not_now(s, message, at)
    if no is not None:
        _stay(s, message, no, at)
        return None
    try:
        letter = letters.write(s, message, settings, at)
    except ValueError as error:
        give_up(s, message, str(error), at)
        return None
    message.tries += 1
    attempt = Attempt(
        message_id=message.id,
        number=message.tries,
        transport=settings.mail,
        recipient=letter.recipient,
        subject=letter.subject,
        mail_id=letter.mail_id,
        sequence=letter.sequence,
        told_start=letter.told.start if letter.told else None,
        told_end=letter.told.end if letter.told else None,
        body=letter.body,
        text=letter.text,
        at=at,
    )
    s.add(attempt)
    s.flush()
    return _ready(s, message, attempt)


def _ready(s: Session, message: Message, attempt: Attempt) -> Ready:
    """The same envelope for every try of one attempt: a resend is the very same thing."""
    assert message.lease_until is not None
    sender = s.get_one(Company, 1).mail_from
    envelope = Envelope(attempt.recipient, sender, attempt.body, attempt.mail_id.strip("<>"), message.kind, attempt.at)
    return Ready(message.id, attempt.id, envelope, message.lease_until)


def _in_doubt(s: Session, message: Message, attempt: Attempt, at: datetime) -> Ready | None:
    """Sent, perhaps: nobody committed an answer."""
    again = KINDS[message.kind].doubt == "resend" and at <= message.useful_until
    if not again or message.tries >= attempt.number + RESENDS or _untrue(s, message, at) is not None:
        _uncertain(s, message, attempt, "sent, but no answer came; not sent again", at)
        return None
    message.tries += 1
    return _ready(s, message, attempt)


def _uncertain(s: Session, message: Message, attempt: Attempt, why: str, at: datetime) -> None:
    attempt.state, attempt.ended_at = "uncertain", at
    _state(s, message, "uncertain", why, at)


def _untrue(s: Session, message: Message, at: datetime) -> Verdict | None:
    """A message about something that is no longer so is dropped, with its reason."""
    if message.visit_id is None or message.kind.startswith("cancelled"):
        return None
    visit, kind = s.get_one(Visit, message.visit_id), message.kind
    if visit.state == "cancelled":
        return Verdict(False, "the visit is cancelled")
    if visit.state in OVER and kind != "promise_call":
        return Verdict(False, f"the visit is {visit.state.replace('_', ' ')}")
    if kind in AUTOMATIC and visit.arrived_at is not None:
        return Verdict(False, "we have arrived")
    if kind == "on_my_way" and visit.state != "on_my_way":
        return Verdict(False, "on my way was taken back")
    if kind in ("tech_nudge", "no_time_yet") and _heard(s, visit, message.created_at):
        return Verdict(False, "the technician has reported since")
    return _better(s, visit, kind)


def _heard(s: Session, visit: Visit, since: datetime) -> bool:
    """Whether the technician of that visit has reported anything since."""
    newest = s.scalar(select(func.max(Report.received_at)).where(Report.technician_id == visit.technician_id))
    return newest is not None and newest > since


def _better(s: Session, visit: Visit, kind: str) -> Verdict | None:
    """What the forecast says now; well past the limit, so that a wobble does not silence a warning."""
    if kind not in ("late_first", "late_update", "deadline_done", "deadline_arrive"):
        return None
    if kind.startswith("deadline") and (visit.deadline is None or kind != f"deadline_{visit.deadline_kind}"):
        return Verdict(False, "the customer has changed when they must leave")
    shift = days.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    made = days.forecasts(s, [shift.id]).get(visit.id) if shift else None
    if made is None:
        return None
    rules = days.rules(s)
    if kind.startswith("late"):
        late = made.p_late >= rules.tell_chance / 2 or made.p_window >= 0.5
        return None if late else Verdict(False, "it is no longer late")
    made_it = made.p_deadline is not None and 1.0 - made.p_deadline >= (1.0 + rules.deadline_chance) / 2
    return Verdict(False, "we can make it after all") if made_it else None


def _not_now(s: Session, message: Message, at: datetime) -> Verdict | None:
    """What the company's rules say at this moment."""
    if message.customer_id is None:
        return Verdict(False, "too_late") if at > message.useful_until else None
    visit, customer = s.get_one(Visit, message.visit_id), s.get_one(Customer, message.customer_id)
    verdict = may(
        message.kind,
        at=at,
        rules=days.rules(s),
        zones=(visit.zone, *days.phone_zones(customer.phone or "")),
        said=_said(s, message),
        window_start=visit.window_start,
        early=customer.early_messages,
        asked_at=message.created_at if KINDS[message.kind].class_ == "answer" else None,
        useful_until=message.useful_until,
        person_today=_today(s, message, at),
    )
    return None if verdict.ok else verdict


def _said(s: Session, message: Message) -> list[Said]:
    """The other notices of this visit that reached somebody or still may."""
    rows = s.execute(
        select(Notice.kind, Notice.at, func.max(Message.state_at))
        .join(Message, Message.notice_id == Notice.id)
        .where(
            Notice.visit_id == message.visit_id,
            Notice.id != message.notice_id,
            Message.customer_id.is_not(None),
            Message.state.in_(("sending", "sent", "delivered", "uncertain")),
        )
        .group_by(Notice.id, Notice.kind, Notice.at)
    )
    return [Said(kind=kind, at=max(noticed, sent), version=0) for kind, noticed, sent in rows]


def _today(s: Session, message: Message, at: datetime) -> int:
    """Automatic messages this person was sent in the last day, over all visits."""
    found = s.scalar(
        select(func.count())
        .select_from(Message)
        .where(
            Message.customer_id == message.customer_id,
            Message.kind.in_(AUTOMATIC),
            Message.state.in_(("sent", "delivered", "uncertain")),
            Message.state_at > at - timedelta(days=1),
        )
    )
    return int(found or 0)


def _stay(s: Session, message: Message, no: Verdict, at: datetime) -> None:
    """Hold it until it may go, or drop it; a warning that cannot go any more needs a person who calls."""
    if no.until is not None and no.until <= message.useful_until:
        _state(s, message, "held", no.reason, at)
        message.due_at = no.until
        return
    _state(s, message, "dropped", no.reason, at)
    warns = KINDS[message.kind].class_ == "delay"
    if message.visit_id is not None and warns and no.reason in ("cap", "night", "too_soon", "too_late"):
        _call(s, message, no.reason, at)


def give_up(s: Session, message: Message, why: str, at: datetime) -> None:
    """It cannot be sent, now or later: shown, and a person calls the customer."""
    _state(s, message, "failed", why, at)
    if message.customer_id is not None:
        _call(s, message, "failed", at)


def _call(s: Session, message: Message, reason: str, at: datetime) -> None:
    outbox.put(
        s,
        key=f"{message.key}:call",
        kind="call",
        at=at,
        reason=reason,
        cause=message.cause,
        decision="task",
        facts={"kind": message.kind, **(message.facts or {})},
        visit=s.get(Visit, message.visit_id),
        to="dispatcher",
    )


def _state(s: Session, message: Message, state: str, reason: str, at: datetime) -> None:
    message.state, message.state_reason, message.state_at = state, reason[:200], at
    message.lease_until = None
    if message.visit_id is not None:
        on = s.scalar(select(Visit.date).where(Visit.id == message.visit_id))
        if on is not None:
            touch_board(s, on)


def accepted(s: Session, ready: Ready, receipt: Receipt, *, at: datetime) -> None:
    """Keep that the provider has it, and what the customer has now been told."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    attempt.state, attempt.provider_id, attempt.ended_at = "accepted", receipt.provider_id, at
    _state(s, message, "sent", "", at)
    if message.customer_id is None or message.visit_id is None:
        return
    visit = s.get_one(Visit, message.visit_id)
    if attempt.told_start is not None or message.kind == "no_time_yet":  # "we do not know" takes back the last range
        visit.told_start, visit.told_end = attempt.told_start, attempt.told_end
    if attempt.told_start is not None or KINDS[message.kind].class_ == "delay":
        visit.told_at, visit.told_kind = at, message.kind
    if attempt.sequence is not None and KINDS[message.kind].calendar == "REQUEST":
        visit.invited_at = visit.invited_at or at


def refused(s: Session, ready: Ready, error: TransportError, *, at: datetime) -> None:
    """Keep what went wrong: try again later, give up with a task for the dispatcher, or show that nobody knows."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    attempt.error = error.sentence
    if error.uncertain and KINDS[message.kind].doubt == "hold":
        _uncertain(s, message, attempt, error.sentence, at)
        return
    if error.uncertain:
        _again(s, message, error.sentence, at)  # the intent stays open: the same bytes go again
        return
    attempt.state, attempt.ended_at = "refused", at
    if not error.permanent:
        _again(s, message, error.sentence, at)
        return
    if error.address and message.customer_id is not None:
        s.get_one(Customer, message.customer_id).email_bad = error.sentence[:200]
    give_up(s, message, error.sentence, at)


def _again(s: Session, message: Message, why: str, at: datetime) -> None:
    _state(s, message, "queued", why, at)
    message.due_at = clock.after(wait_s(message.tries))


def wait_s(tries: int) -> float:
    """Real seconds before the next try after that many, with full jitter (never quite zero)."""
    return random.uniform(0.5, BACKOFF_S[min(max(tries, 1), len(BACKOFF_S)) - 1])


def park(s: Session, message_id: int, by: str, at: datetime) -> None:
    """A message that breaks the worker: failed and shown, unless it may have left (then its lease decides)."""
    message = s.get_one(Message, message_id)
    left = s.scalar(select(Attempt.id).where(Attempt.message_id == message_id, Attempt.state == "intent"))
    if message.state == "sending" and message.lease_by == by and left is None:
        give_up(s, message, "it cannot be written; the log says why", at)
