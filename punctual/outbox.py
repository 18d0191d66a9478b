"""The outbox: put a notice with its messages, drop what is no longer true, claim what is due, wake the worker."""

from __future__ import annotations

import hashlib
import socket
import tempfile
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import BindParameter, and_, bindparam, case, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from punctual import clock
from punctual.core.day import Window
from punctual.core.kinds import KINDS
from punctual.core.policy import Rules, useful_min
from punctual.models import Customer, Message, Notice, Plain, Technician, User, UtcDateTime, Visit, touch_board, written
from punctual.queries import day as days

#: Real seconds a claimed message belongs to its worker; longer than a transport's whole conversation takes.
LEASE_S = 120.0
#: States in which nothing was handed to a provider yet.
UNSENT = ("queued", "held", "claimed")
#: States in which a provider has it, or may have it.
HANDED_OVER = ("sending", "sent", "delivered", "undelivered", "uncertain")
#: Kinds that ask for no call where nobody can be written to: the page has answered already, or there is nothing to do.
NO_CALL = frozenset(k.name for k in KINDS.values() if k.class_ == "answer") | {"reminder", "on_my_way"}
SUPERSEDED = "superseded: "
CHANNEL = "punctual_outbox"
#: Goes before everything else that is due: a warning or an answer never waits behind a bulk of bookings.
URGENT = [k.name for k in KINDS.values() if k.class_ != "ordinary"] + ["on_my_way"]

Person = Customer | Technician | User


def put(
    s: Session,
    *,
    key: str,
    kind: str,
    at: datetime,
    reason: str,
    cause: str = "",
    decision: Literal["tell", "task"] = "tell",
    facts: dict[str, Any] | None = None,
    visit: Visit | None = None,
    shift_id: int | None = None,
    to: str = "customer",
    person: Person | None = None,
    told: Window | None = None,
    due_at: datetime | None = None,
    useful_until: datetime | None = None,
    promise_id: int | None = None,
    channel: str = "",
    rules: Rules | None = None,
) -> Notice | None:
    """Write a notice and one message for each channel it goes by, in the caller's transaction.

    `channel` is the one to answer on, if it can be used. The same key again writes nothing and returns None: nobody is
    told twice. A customer who cannot be reached becomes a "call" task (nothing for NO_CALL). A newer delay message
    replaces what of that class is still unsent.
    """
    who = person if person is not None else (visit.customer if visit is not None and to == "customer" else None)
    ways = channels(s, who, kind, channel) if who is not None and decision == "tell" else ()
    unreachable = decision == "tell" and not ways
    if unreachable and kind in NO_CALL:
        return None
    notice = _notice(
        s,
        key=f"{key}:call" if unreachable else key,
        kind="call" if unreachable else kind,
        decision="task" if unreachable else decision,
        reason="no_contact" if unreachable else reason,
        facts={**(facts or {}), **({"kind": kind} if unreachable else {})},
        visit_id=visit.id if visit is not None else None,
        shift_id=shift_id, promise_id=promise_id, cause=cause, at=at, due_at=due_at, resolved_by="",
        told_start=told.start if told else None,
        told_end=told.end if told else None,
    )  # fmt: skip
    if notice is None:
        return None
    if visit is not None:
        touch_board(s, visit.date)
    if notice.decision == "tell":
        _replace(s, visit, kind, at)
    for way in ways:
        assert who is not None
        message(
            s, notice, kind, who, way, at=at, due=due_at or at, useful_until=useful_until, facts=facts or {}, rules=rules
        )  # fmt: skip
    return notice


def _replace(s: Session, visit: Visit | None, kind: str, at: datetime) -> None:
    """A newer delay message takes the place of those that have not left."""
    if visit is not None and KINDS[kind].class_ == "delay":
        delays = [k.name for k in KINDS.values() if k.class_ == "delay"]
        supersede(s, visit.id, at=at, why=f"replaced by {kind}", kinds=delays)


def channels(s: Session, who: Person, kind: str, wanted: str = "") -> tuple[str, ...]:
    """By which channels a message of that kind goes to this person; none: they cannot be reached.

    A text where texts are sent and the person has a phone, else an e-mail; what moves a calendar entry also by e-mail.
    """
    can = reach(s, who)
    if wanted in can or (kind == "optout" and wanted == "sms"):
        return (wanted,)
    if KINDS[kind].calendar and (KINDS[kind].moves_window or KINDS[kind].calendar == "CANCEL"):
        return can  # a text carries no calendar entry
    return can[:1]


def reach(s: Session, who: Person) -> tuple[str, ...]:
    """The channels on which a person can be reached, the preferred one first."""
    texts = s.connection().get_execution_options().get("texts", False)
    phone = "" if isinstance(who, User) else who.phone or ""
    bad = isinstance(who, Customer) and bool(who.phone_bad)
    email = "" if isinstance(who, Customer) and who.email_bad else who.email or ""
    return (("sms",) if texts and phone and not bad else ()) + (("email",) if email else ())


def insert(s: Session, table: Any, values: dict[str, Any]) -> int | None:
    """Insert unless the key is there: the new row's id, or None; one statement on both databases."""
    c = s.connection()
    made: int | None = _insertion(table, c.dialect.name, tuple(values)).scalar(c, **values)
    return made


@lru_cache(maxsize=32)
def _insertion(table: Any, dialect: str, given: tuple[str, ...]) -> Plain:
    """The statement, built once; what is not given has its column's default."""
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    values = _defaults(table) | {name: bindparam(name, None) for name in given}
    statement = make(table).values(values).on_conflict_do_nothing(index_elements=["key"]).returning(table.c.id)
    return Plain(statement, *given)


@lru_cache(maxsize=8)
def _defaults(table: Any) -> dict[str, Any]:
    """What a new row has where nothing is given."""
    return {c.name: c.default.arg if c.default.is_scalar else c.default.arg(None) for c in table.c if c.default}


def _notice(s: Session, **values: Any) -> Notice | None:
    """The notice, in the session without being read back."""
    table = Notice.__table__
    made = insert(s, table, values)
    if made is None:
        return None
    notice: Notice = written(s, Notice, {"id": made} | dict.fromkeys(table.c.keys()[1:]) | _defaults(table) | values)
    return notice


def message(
    s: Session,
    notice: Notice,
    kind: str,
    who: Person,
    channel: str,
    *,
    at: datetime,
    due: datetime,
    useful_until: datetime | None,
    facts: dict[str, Any],
    rules: Rules | None = None,
) -> None:
    """The notice for one person on one channel, once; `rules` where the caller has read them already."""
    minutes = useful_min(kind, rules or days.rules(s))
    ends = useful_until or (due + timedelta(minutes=minutes) if minutes is not None else _promised(facts, due))
    role = type(who).__name__.lower()
    insert(
        s,
        Message.__table__,
        {
            "key": f"{notice.key}|{role}{who.id}|{channel}",
            "notice_id": notice.id,
            "visit_id": notice.visit_id,
            f"{role}_id": who.id,
            "channel": channel,
            "kind": kind,
            "state": "queued",
            "state_reason": "",
            "state_at": at,
            "due_at": due,
            "useful_until": ends,
            "lease_by": "",
            "tries": 0,
            "cause": notice.cause,
            "facts": facts,
            "created_at": at,
        },
    )
    ring(s)


def ring(s: Session) -> None:
    """With this transaction's commit the worker looks at the outbox at once."""
    s.info["put"] = True
    if s.connection().dialect.name == "postgresql":
        s.execute(text(f"NOTIFY {CHANNEL}"))


def _promised(facts: dict[str, Any], due: datetime) -> datetime:
    """A message about a promise is useful until the promise is due."""
    given = facts.get("due")
    return datetime.fromisoformat(given) if given else due + timedelta(days=1)


def supersede(s: Session, visit_id: int, *, at: datetime, why: str, kinds: Collection[str] | None = None) -> int:
    """Drop what of a visit is still unsent, with its reason; `kinds` None: everything to the customer. Returns how many.

    A claimed message is dropped too: its worker finds it so before it writes the intent. One that is being handed over
    is `overtaken` from now on: its worker takes it back if it still can, and nobody sends it again.
    """
    s.flush()
    drop = _drop(None if kinds is None else tuple(sorted(kinds)))
    count = drop.run(s.connection(), visit=visit_id, why=f"{SUPERSEDED}{why}"[:200], now=at)
    if count:
        for loaded in s.identity_map.values():
            if isinstance(loaded, Message) and loaded.visit_id == visit_id:
                s.expire(loaded)
        on = s.scalar(select(Visit.date).where(Visit.id == visit_id))
        if on is not None:
            touch_board(s, on)
    return count


def overtaken(message: Message) -> bool:
    """Whether something has taken the place of a message since its intent was kept."""
    return message.state == "sending" and message.state_reason.startswith(SUPERSEDED)


@lru_cache(maxsize=32)
def _drop(kinds: tuple[str, ...] | None) -> Plain:
    """The update of what is unsent or leaving, built once for each set of kinds."""
    found = update(Message).where(
        Message.visit_id == bindparam("visit", 0),
        Message.state.in_((*UNSENT, "sending")),
        Message.customer_id.is_not(None),
    )
    if kinds is not None:
        found = found.where(Message.kind.in_(kinds))
    leaves = Message.state == "sending"
    found = found.values(
        state=case((leaves, "sending"), else_="dropped"),
        state_reason=bindparam("why", ""),
        state_at=case((leaves, Message.state_at), else_=bindparam("now", None, UtcDateTime)),
    )
    return Plain(found, "visit", "why", "now")


def claim(s: Session, *, at: datetime, by: str, limit: int = 20, channels: Collection[str] | None = None) -> list[int]:
    """Take messages that are due (queued, held until now, or left behind by a worker whose lease ran out).

    A conditional update: two workers never hold one message. What was handed over already and is in doubt stays
    `sending`, everything else becomes `claimed`. `channels`: only those whose way out is open. Returns ids, the urgent
    kinds first, then the longest due.
    """
    c = s.connection()
    ways = None if channels is None else tuple(sorted(channels))
    taken = _claim(c.dialect.name, ways, limit).all(c, now=at, lease=clock.after(LEASE_S), by=by)
    return [row.id for row in sorted(taken, key=lambda r: (r.kind not in URGENT, r.due_at, r.id))]


@lru_cache(maxsize=16)
def _claim(dialect: str, channels: tuple[str, ...] | None, limit: int) -> Plain:
    """The conditional update, built once for each set of ways out that are open."""
    now: BindParameter[datetime] = bindparam("now", None, UtcDateTime)
    due = or_(
        and_(Message.state.in_(("queued", "held")), Message.due_at <= now),
        and_(Message.state.in_(("claimed", "sending")), Message.lease_until < now),
    )
    urgent = case((Message.kind.in_(URGENT), 0), else_=1)
    order = (urgent, Message.due_at, Message.id)
    chosen = select(Message.id).where(due).order_by(*order).limit(limit)
    if channels is not None:
        chosen = chosen.where(Message.channel.in_(list(channels)))
    if dialect == "postgresql":
        chosen = chosen.with_for_update(skip_locked=True)
    taking = (
        update(Message)
        .where(Message.id.in_(chosen.scalar_subquery()))
        .values(
            state=case((Message.state == "sending", "sending"), else_="claimed"),
            lease_until=bindparam("lease", None, UtcDateTime),
            lease_by=bindparam("by", ""),
            state_at=now,
        )
        .returning(Message.id, Message.due_at, Message.kind)
    )
    return Plain(taking, "now", "lease", "by")


def release(s: Session, ids: Collection[int], *, by: str, at: datetime, until: datetime) -> None:
    """Give claimed messages back unsent; they are due again at `until`. What is in doubt waits for its lease to end."""
    mine = select(Message.id).where(Message.id.in_(list(ids)), Message.state == "claimed", Message.lease_by == by)
    s.execute(
        update(Message)
        .where(Message.id.in_(mine.with_for_update(skip_locked=True)))  # what somebody is dropping is theirs
        .values(state="queued", lease_until=None, lease_by="", state_at=at, due_at=until)
        .execution_options(synchronize_session=False)
    )


def bell(url: str) -> str:
    """Address of the local socket that wakes the worker of a SQLite database."""
    name = hashlib.sha256(url.encode()).hexdigest()[:20]
    return str(Path(tempfile.gettempdir()) / f"punctual-{name}.sock")


def wake(s: Session) -> None:
    """Right before the commit of what was put: ring the worker, who gets up meanwhile and waits for our lock. PostgreSQL
    was told in the transaction itself (NOTIFY)."""
    if not s.info.pop("put", False) or not (bell := s.get_bind().get_execution_options().get("bell")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ringer:
        ringer.setblocking(False)
        try:
            ringer.sendto(b"1", bell)
        except OSError:
            return  # nobody listens, or the bell is ringing already; the slow poll finds the message
