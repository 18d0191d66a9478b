"""From a claimed message to an accepted one: decide again, write, commit the intent, send, commit what came of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import clock, letters, outbox
from punctual.config import Settings
from punctual.core.day import OVER
from punctual.core.kinds import KINDS
from punctual.core.policy import AUTOMATIC, Said, Verdict, may
from punctual.models import Attempt, Customer, Message, Notice, Visit, touch_board
from punctual.queries import day as days
from punctual.transports import Envelope, Receipt, TransportError

#: Real seconds before another try, each with full jitter (policy 1).
BACKOFF_S = (5.0, 30.0, 120.0, 300.0)


@dataclass(frozen=True, slots=True)
class Ready:
    """A committed intent: what is about to leave."""

    message_id: int
    attempt_id: int
    envelope: Envelope


def prepare(s: Session, message_id: int, settings: Settings, *, by: str, at: datetime) -> Ready | None:
    """Decide again whether a claimed message may go, write it fresh and keep the intent; None when it does not go now.

    An intent left without an outcome is in doubt: by kind the very same bytes go again, or it is held and shown.
    """
    message = s.get_one(Message, message_id)
    if message.state != "sending" or message.lease_by != by:
        return None
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
        _state(s, message, "failed", str(error), at)
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
    return Ready(message.id, attempt.id, _envelope(message, attempt, letter.sender, at))


def _envelope(message: Message, attempt: Attempt, sender: str, at: datetime) -> Envelope:
    return Envelope(attempt.recipient, sender, attempt.body, attempt.mail_id.strip("<>"), message.kind, at)


def _in_doubt(s: Session, message: Message, attempt: Attempt, at: datetime) -> Ready | None:
    if KINDS[message.kind].doubt == "hold" or at > message.useful_until:
        attempt.state, attempt.ended_at = "uncertain", at
        _state(s, message, "uncertain", "sent, but no answer came; not sent again", at)
        return None
    sender = str(attempt.mail_id).strip("<>").rsplit("@", 1)[-1]
    return Ready(message.id, attempt.id, _envelope(message, attempt, f"visits@{sender}", at))


def _untrue(s: Session, message: Message, at: datetime) -> Verdict | None:
    """A message about something that is no longer so is dropped, with its reason."""
    if message.visit_id is None:
        return None
    visit = s.get_one(Visit, message.visit_id)
    if message.kind.startswith("cancelled"):
        return None
    if visit.state == "cancelled":
        return Verdict(False, "the visit is cancelled")
    automatic = message.kind in AUTOMATIC
    if visit.state in OVER and (automatic or message.kind == "tech_nudge"):
        return Verdict(False, f"the visit is {visit.state.replace('_', ' ')}")
    if automatic and visit.arrived_at is not None:
        return Verdict(False, "we have arrived")
    if message.kind == "on_my_way" and visit.state != "on_my_way":
        return Verdict(False, "on my way was taken back")
    if message.kind in ("late_first", "late_update") and not _still_late(s, visit):
        return Verdict(False, "it is no longer late")
    return None


def _still_late(s: Session, visit: Visit) -> bool:
    """The forecast still sees it: half the limit is enough, so that a wobble does not silence a warning."""
    shift = days.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    made = days.forecasts(s, [shift.id]).get(visit.id) if shift else None
    return made is None or made.p_late >= days.rules(s).tell_chance / 2 or made.p_window >= 0.5


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
    """Hold it until it may go, or drop it; over a cap somebody has to call."""
    if no.until is not None and no.until <= message.useful_until:
        _state(s, message, "held", no.reason, at)
        message.due_at = no.until
        return
    _state(s, message, "dropped", no.reason, at)
    if no.reason in ("cap", "night", "too_soon") and message.visit_id is not None:
        _call(s, message, no.reason, at)


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
    if attempt.told_start is not None and KINDS[message.kind].class_ != "staff":
        visit.told_start, visit.told_end = attempt.told_start, attempt.told_end
        visit.told_at, visit.told_kind = at, message.kind
    if attempt.sequence is not None and KINDS[message.kind].calendar == "REQUEST":
        visit.invited_at = visit.invited_at or at


def refused(s: Session, ready: Ready, error: TransportError, *, at: datetime) -> None:
    """Keep what went wrong: try again later, give up with a task for the dispatcher, or show that nobody knows."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    attempt.error = error.sentence
    if error.uncertain:
        if KINDS[message.kind].doubt == "hold":
            attempt.state, attempt.ended_at = "uncertain", at
            _state(s, message, "uncertain", error.sentence, at)
            return
        _again(s, message, error.sentence, at)  # the intent stays open: the same bytes go again
        return
    attempt.state, attempt.ended_at = "refused", at
    if not error.permanent:
        _again(s, message, error.sentence, at)
        return
    _state(s, message, "failed", error.sentence, at)
    if error.address and message.customer_id is not None:
        s.get_one(Customer, message.customer_id).email_bad = error.sentence[:200]
    if message.customer_id is not None:
        _call(s, message, "failed", at)


def _again(s: Session, message: Message, why: str, at: datetime) -> None:
    wait = random.uniform(0.2, 1.0) * BACKOFF_S[min(message.tries, len(BACKOFF_S)) - 1]
    _state(s, message, "queued", why, at)
    message.due_at = clock.after(wait)


def states(s: Session) -> dict[str, Any]:
    """How many messages are in each state: for the board's foot and the health check."""
    rows = s.execute(select(Message.state, func.count()).group_by(Message.state))
    return {state: int(count) for state, count in rows}
