"""From a claimed message to an accepted one: decide again, write, commit the intent, send, commit what came of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from punctual import clock, fallback, letters, outbox, suppression, texting
from punctual.config import Settings
from punctual.core.kinds import KINDS, time_critical
from punctual.core.policy import Verdict, call_key
from punctual.models import (
    Attempt,
    Company,
    Customer,
    JobType,
    Message,
    Notice,
    Place,
    Plain,
    Rows,
    Technician,
    UtcDateTime,
    Visit,
    touch_board,
)
from punctual.queries import day as days
from punctual.queries import sending
from punctual.transports import Envelope, TransportError

#: Real seconds before another try, each with full jitter (policy 1).
BACKOFF_S = (5.0, 30.0, 120.0, 300.0)
#: Resends of one message whose fate is unknown; then it is shown instead.
RESENDS = 3
#: Longest and shortest a provider may keep a text.
LONGEST_S, SHORTEST_S = 14400, 20
NO_ANSWER = "sent, but no answer came; not sent again"


@dataclass(frozen=True, slots=True)
class Ready:
    """A committed intent: what is about to leave, by which channel and transport.

    `doubt`: it may have left already; the provider is asked before anything is sent. `taken`: what of the provider's
    belongs to other attempts at this recipient. `decided`: when it was written, by the monotonic clock.
    """

    message_id: int
    attempt_id: int
    channel: str
    transport: str
    envelope: Envelope
    doubt: bool = False
    taken: frozenset[str] = frozenset()
    decided: float = field(default_factory=time.monotonic)


def patient(s: Session, ids: Collection[int]) -> set[int]:
    """Those of some claimed messages that may wait for others on both sides of the network: mails of a kind that goes
    again, the very same bytes, where a crash leaves nobody who knows what became of them."""
    if len(ids) < 2:
        return set()
    kinds = [k.name for k in KINDS.values() if k.doubt == "resend"]
    found = select(Message.id).where(Message.id.in_(ids), Message.kind.in_(kinds), Message.channel == "email")
    return set(s.scalars(found))


def prepare(
    s: Session, message_id: int, settings: Settings, *, ways: Mapping[str, str], by: str, at: datetime
) -> Ready | None:
    """Decide again whether a claimed message may go, write it fresh and keep the intent; None when it does not go now.

    `ways` names the transport of each channel. An intent left without an outcome is in doubt: its Ready says so, and
    `resend` is for when nobody can be asked.
    """
    message, _notice, visit, *_around = _around_it(s, message_id)
    if message.state not in ("claimed", "sending") or message.lease_by != by:
        return None
    lease = clock.after(outbox.LEASE_S)
    open_ = _open(s, message_id) if message.tries else None
    if open_ is not None:
        message.state, message.lease_until = "sending", lease
        return _ready(s, message, open_, settings, lease, doubt=True)
    both = message.kind in sending.FORECAST and message.kind in letters.FORECAST
    made = days.forecast_of(s, visit) if both and visit is not None else None  # an example is of no visit
    no = sending.verdict(s, message, at, made)
    if not no.ok:
        _stay(s, message, no, at)
        return None
    if why := texting.blocked(s, message, settings, at) if message.channel == "sms" else letters.blocked(s, message):
        give_up(s, message, why, at)
        return None
    try:
        letter = (texting if message.channel == "sms" else letters).write(s, message, settings, at, made)
    except ValueError as error:
        give_up(s, message, str(error), at)
        return None
    ready = _ready(s, message, _intent(s, message, letter, ways[message.channel], at), settings, lease)
    _LEAVES.run(s.connection(), message=message_id, number=message.tries + 1, now=at, lease=lease)
    s.expire(message)
    return ready


def _open(s: Session, message_id: int) -> Attempt | None:
    """The intent without an outcome, which is in doubt."""
    found: Attempt | None = s.scalar(select(Attempt).where(Attempt.message_id == message_id, Attempt.state == "intent"))
    return found


def _intent(s: Session, message: Message, letter: letters.Letter, transport: str, at: datetime) -> SimpleNamespace:
    """What is about to be sent, kept; an Attempt's values, which no session holds."""
    values: dict[str, Any] = {name: getattr(letter, name) for name in _WRITTEN} | {
        "message_id": message.id,
        "number": message.tries + 1,
        "transport": transport,
        "told_start": letter.told.start if letter.told else None,
        "told_end": letter.told.end if letter.told else None,
        "at": at,
    }
    return SimpleNamespace(id=_INTENT.scalar(s.connection(), **values), **values)


_WRITTEN = ("recipient", "subject", "mail_id", "sequence", "body", "text", "segments")
_GIVEN = ("message_id", "number", "transport", *_WRITTEN, "told_start", "told_end", "at")
_INTENT = Plain(
    insert(Attempt)
    .values(
        {name: bindparam(name, None) for name in _GIVEN}
        | {"state": "intent", "provider_id": "", "progress": "", "error": ""}
    )
    .returning(Attempt.id),
    *_GIVEN,
)
_LEAVES = Plain(
    update(Message)
    .where(Message.id == bindparam("message", 0))
    .values(
        state="sending",
        state_at=bindparam("now", None, UtcDateTime),
        lease_until=bindparam("lease", None, UtcDateTime),
        tries=bindparam("number", 0),
    ),
    "message", "now", "lease", "number",
)  # fmt: skip


_AROUND = Rows(
    lambda all_: (
        all_.select_from(Message)
        .outerjoin(Notice, Notice.id == Message.notice_id)
        .outerjoin(Visit, Visit.id == Message.visit_id)
        .outerjoin(Customer, Customer.id == Message.customer_id)
        .outerjoin(Company, Company.id == 1)
        .outerjoin(JobType, JobType.id == Visit.job_type_id)
        .outerjoin(Place, Place.id == Visit.place_id)
        .outerjoin(Technician, Technician.id == Visit.technician_id)
        .where(Message.id == bindparam("message", 0))
        .with_for_update(of=Message)
    ),
    (Message, Notice, Visit, Customer, Company, JobType, Place, Technician),
    "message",
)


def _around_it(s: Session, message_id: int) -> list[Any]:
    """The message with all its words are about, read at once; the session forgets what nobody holds."""
    s.flush()  # what was decided about the message before it is felt by this one
    found = _AROUND.one(s, message=message_id)
    _message, _notice, visit, customer, _company, job, place, technician = found
    if visit is not None:
        about = {"job_type": job, "place": place, "technician": technician}
        if customer is not None and customer.id == visit.customer_id:
            about["customer"] = customer
        for name, value in about.items():
            set_committed_value(visit, name, value)
    return found


def _ready(
    s: Session,
    message: Message,
    attempt: Attempt | SimpleNamespace,
    settings: Settings,
    lease: datetime,
    *,
    doubt: bool = False,
) -> Ready:
    """The same envelope for every try of one attempt: a resend is the very same thing."""
    envelope = Envelope(
        recipient=attempt.recipient,
        sender=settings.sms_from if message.channel == "sms" else s.get_one(Company, 1).mail_from,
        body=attempt.body,
        key=attempt.mail_id.strip("<>"),
        kind=message.kind,
        at=attempt.at,
        attempt=attempt.id,
        valid_s=_valid_s(s, message, attempt) if message.channel == "sms" else 0,
        mine=_mine(lease),
    )
    taken = _taken(s, attempt) if doubt else frozenset()
    return Ready(message.id, attempt.id, message.channel, attempt.transport, envelope, doubt, taken)


def _valid_s(s: Session, message: Message, attempt: Attempt | SimpleNamespace) -> int:
    """How long the provider may keep a text: while it is useful, a time-critical one a few minutes (rule text_valid_s)."""
    most = int(days.rules(s).text_valid_s) if time_critical(message.kind) else LONGEST_S
    return max(SHORTEST_S, min(most, int(clock.real_seconds(message.useful_until - attempt.at))))


def _mine(until: datetime) -> Callable[[], bool]:
    """Whether the lease still runs, by this clock and by one that nobody can set."""
    end = time.monotonic() + outbox.LEASE_S
    return lambda: clock.now() < until and time.monotonic() < end


def _taken(s: Session, attempt: Attempt | SimpleNamespace) -> frozenset[str]:
    others = select(Attempt.provider_id).where(
        Attempt.recipient == attempt.recipient, Attempt.provider_id != "", Attempt.id != attempt.id
    )
    return frozenset(s.scalars(others))


def resend(s: Session, ready: Ready, *, at: datetime) -> bool:
    """Nobody can be asked what became of it: True when the very same bytes go again, else it is held and shown."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    again = KINDS[message.kind].doubt == "resend" and message.tries < attempt.number + RESENDS
    again = again and not outbox.overtaken(message)
    now = sending.verdict(s, message, at) if again else Verdict(False)
    if now.ok:
        message.tries += 1
        return True
    if now.until is not None and now.until <= message.useful_until:
        _doubt(s, message, now.reason, at)
    else:
        _uncertain(s, message, attempt, attempt.error or NO_ANSWER, at)
    return False


def holds(s: Session, ready: Ready, at: datetime) -> bool:
    """Whether a message that is about to leave is still true, to the same number or address, and still wanted there:
    asked again when that takes long."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    if outbox.overtaken(message) or not sending.verdict(s, message, at).ok:
        return False
    if message.customer_id is None:
        return True
    who, texted = s.get_one(Customer, message.customer_id), message.channel == "sms"
    unwanted = message.kind != "optout" and suppression.reason(s, attempt.recipient, "sms" if texted else "email")
    return not unwanted and attempt.recipient == (who.phone if texted else who.email)


def withdrawn(s: Session, ready: Ready, *, by: str, at: datetime) -> None:
    """Nothing was handed over: what is still this worker's is decided again at once, the rest is left to others."""
    message = s.scalars(select(Message).where(Message.id == ready.message_id).with_for_update()).one()
    if message.state != "sending" or message.lease_by != by or not ready.envelope.mine():
        return
    attempt = s.get_one(Attempt, ready.attempt_id)
    if not ready.doubt:
        attempt.state, attempt.ended_at, attempt.error = "refused", at, "Taken back before it was handed over."
        _anew(s, message, "", at)
    message.due_at = at


def never_left(s: Session, ready: Ready, *, at: datetime) -> None:
    """The provider says that it never got it: decided and written afresh, at once."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    attempt.state, attempt.ended_at = "refused", at
    attempt.error = attempt.error or "The provider does not have it."
    _anew(s, message, "the provider did not have it", at)
    message.due_at = at


def _anew(s: Session, message: Message, why: str, at: datetime) -> None:
    """Nobody has it: decided and written again - or dropped, where something has taken its place meanwhile."""
    over = outbox.overtaken(message)
    mark(s, message, "dropped" if over else "queued", message.state_reason if over else why, at)


def _uncertain(s: Session, message: Message, attempt: Attempt, why: str, at: datetime) -> None:
    attempt.state, attempt.ended_at = "uncertain", at
    mark(s, message, "uncertain", why, at)


def _stay(s: Session, message: Message, no: Verdict, at: datetime) -> None:
    """Hold it until it may go, or drop it; a warning that cannot go any more needs a person who calls."""
    if no.until is not None and no.until <= message.useful_until:
        mark(s, message, "held", no.reason, at)
        message.due_at = no.until
        return
    mark(s, message, "dropped", no.reason, at)
    warns = KINDS[message.kind].class_ == "delay"
    if message.visit_id is not None and warns and no.reason in ("cap", "night", "too_soon", "too_late"):
        _call(s, message, no.reason, at)


def give_up(s: Session, message: Message, why: str, at: datetime) -> None:
    """It cannot be sent, now or later: shown, and goes by e-mail instead or a person calls the customer."""
    if outbox.overtaken(message):
        _anew(s, message, why, at)
        return
    if fallback.instead(s, message, at=at):
        mark(s, message, "dropped", f"{fallback.INSTEAD}: {why}", at)
        return
    mark(s, message, "failed", why, at)
    if message.customer_id is not None and message.kind not in outbox.NO_CALL:
        _call(s, message, "failed", at)


def lost(s: Session, message: Message, why: str, at: datetime) -> None:
    """It was accepted and will not arrive: shown, and goes by e-mail instead or a person calls the customer."""
    if fallback.instead(s, message, at=at):
        mark(s, message, "undelivered", f"{fallback.INSTEAD}: {why}", at)
        return
    mark(s, message, "undelivered", why, at)
    if message.customer_id is not None and message.visit_id is not None and message.kind not in outbox.NO_CALL:
        _call(s, message, "undelivered", at)


def _call(s: Session, message: Message, reason: str, at: datetime) -> None:
    visit = s.get(Visit, message.visit_id)
    key = call_key(visit.id, visit.promise_version, reason) if visit and reason in ("cap", "night") else ""
    outbox.put(
        s,
        key=key or f"{message.key}:call:{message.tries}",  # what comes back once more asks once more
        kind="call",
        at=at,
        reason=reason,
        cause=message.cause,
        decision="task",
        facts={"kind": message.kind, **(message.facts or {})},
        visit=visit,
        to="dispatcher",
    )


def mark(s: Session, message: Message, state: str, reason: str, at: datetime) -> None:
    message.state, message.state_reason, message.state_at = state, reason[:200], at
    message.lease_until = None
    if message.visit_id is not None:
        touch_board(s, s.get_one(Visit, message.visit_id).date)


def refused(s: Session, ready: Ready, error: TransportError, *, at: datetime) -> None:
    """Keep what went wrong: try again later, give up with a task for the dispatcher, or ask what became of it."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    attempt.error = error.sentence
    if error.alarm and message.channel == "sms":
        fallback.stop_the_line(s, error.sentence, error.code, at=at)
    if error.uncertain:
        _doubt(s, message, error.sentence, at)
        return
    attempt.state, attempt.ended_at = "refused", at
    if message.state != "sending":
        return
    if not error.permanent:
        _anew(s, message, error.sentence, at)
        message.due_at = min(clock.after(wait_s(message.tries)), message.useful_until + timedelta(seconds=1))
        return
    if error.address and message.channel == "sms":
        fallback.freeze(s, attempt.recipient, error.sentence, at=at)
    elif error.address and message.customer_id is not None:
        s.get_one(Customer, message.customer_id).email_bad = error.sentence[:200]
    give_up(s, message, error.sentence, at)


def unanswered(s: Session, ready: Ready, error: TransportError, *, at: datetime) -> None:
    """The provider cannot say now what became of it: asked again, until the message is of no use any more."""
    attempt, message = s.get_one(Attempt, ready.attempt_id), s.get_one(Message, ready.message_id)
    if at > message.useful_until:
        _uncertain(s, message, attempt, error.sentence, at)
        return
    message.tries += 1
    _doubt(s, message, error.sentence, at)


def _doubt(s: Session, message: Message, why: str, at: datetime) -> None:
    """The intent stays open; the message is claimed again when this wait, kept as its lease, is over."""
    mark(s, message, "sending", message.state_reason if outbox.overtaken(message) else why, at)
    message.lease_until, message.lease_by = clock.after(wait_s(message.tries)), ""


def wait_s(tries: int) -> float:
    """Real seconds before the next try after that many, with full jitter (never quite zero)."""
    return random.uniform(0.5, BACKOFF_S[min(max(tries, 1), len(BACKOFF_S)) - 1])


def park(s: Session, message_id: int, by: str, at: datetime) -> None:
    """A message that breaks the worker: failed and shown, unless it may have left (then its lease decides)."""
    message = s.get_one(Message, message_id)
    if message.state == "claimed" and message.lease_by == by:
        give_up(s, message, "it cannot be written; the log says why", at)
