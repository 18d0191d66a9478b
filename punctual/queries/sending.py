"""Rows -> what core.policy must know to say whether a claimed message may go now."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, case, func, select
from sqlalchemy.orm import Session

from punctual.core.forecast import VisitForecast
from punctual.core.kinds import KINDS
from punctual.core.policy import AUTOMATIC, Now, Said, Verdict, may
from punctual.models import Attempt, Customer, Message, Notice, Plain, Promise, Report, Visit
from punctual.queries import day as days

#: Kinds whose truth hangs on the newest forecast.
FORECAST = frozenset({"late_first", "late_update", "deadline_done", "deadline_arrive"})


def lock(s: Session, message_ids: Collection[int], *, wait: bool = True) -> bool:
    """Make everybody who writes about the visits of these messages queue up, before anything of them is written: what
    happens to a visit touches its messages, and a message that leaves touches its visit. False as `days.lock_visits`."""
    if days.one_writer(s):
        return True
    about = select(Message.visit_id).where(Message.id.in_(message_ids))
    return days.lock_visits(s, {i for i in s.scalars(about) if i is not None}, wait=wait)


def verdict(s: Session, message: Message, at: datetime, made: VisitForecast | None = None) -> Verdict:
    """May this message go now, by everything that is known at this moment?

    `made`: the newest forecast of its visit, where the caller has read it already.
    """
    rules, now = days.rules(s), truth(s, message, made)
    if message.customer_id is None:
        return may(message.kind, at=at, rules=rules, zones=(), useful_until=message.useful_until, now=now)
    customer = s.get_one(Customer, message.customer_id)
    visit = s.get(Visit, message.visit_id) if message.visit_id else None
    return may(
        message.kind,
        at=at,
        rules=rules,
        zones=_zones(s, visit, customer),
        said=_said(s, message),
        window_start=visit.window_start if visit else None,
        early=customer.early_messages,
        asked_at=message.created_at if KINDS[message.kind].class_ == "answer" else None,
        useful_until=message.useful_until,
        person_today=_today(s, message, at) if message.kind in AUTOMATIC else 0,
        now=now,
    )


def _zones(s: Session, visit: Visit | None, customer: Customer) -> tuple[str, ...]:
    """Every zone whose night counts: of the visit, and what the phone's prefix may mean; unknown is the company's."""
    here = (visit.zone,) if visit else ()
    if not customer.phone:
        return here
    return here + (days.phone_zones(customer.phone) or (days.company(s)[1],))


def truth(s: Session, message: Message, made: VisitForecast | None = None) -> Now | None:
    """What is true of the message's visit; None without a visit."""
    if message.visit_id is None:
        return None
    visit = s.get_one(Visit, message.visit_id)
    made = (made or days.forecast_of(s, visit)) if message.kind in FORECAST else None
    return Now(
        state=visit.state,
        arrived=visit.arrived_at is not None,
        heard=message.kind in ("tech_nudge", "no_time_yet") and _heard(s, visit, message.created_at),
        deadline_kind=visit.deadline_kind if visit.deadline is not None else "",
        p_late=made.p_late if made else None,
        p_window=made.p_window if made else 0.0,
        p_deadline=made.p_deadline if made else None,
        promise=_promise(s, message),
        corrects=(message.facts or {}).get("of", "on_my_way"),
    )


def _promise(s: Session, message: Message) -> str:
    """The state of the promise the message is about."""
    about = s.get_one(Notice, message.notice_id).promise_id
    return (about and s.scalar(select(Promise.state).where(Promise.id == about))) or "open"


def _heard(s: Session, visit: Visit, since: datetime) -> bool:
    """Whether the technician of that visit has reported anything since."""
    newest = s.scalar(select(func.max(Report.received_at)).where(Report.technician_id == visit.technician_id))
    return newest is not None and newest > since


def _said(s: Session, message: Message) -> list[Said]:
    """The other notices of this visit that reached somebody or still may; a notice counts once, whatever its channels.

    What was delivered counts from when it left: the provider may say so much later.
    """
    rows = _SAID.all(s.connection(), visit=message.visit_id, notice=message.notice_id)
    return [Said(kind=kind, at=max(noticed, sent), version=0) for kind, noticed, sent in rows]


_LEFT = case((Message.state == "delivered", func.coalesce(Attempt.ended_at, Message.state_at)), else_=Message.state_at)
_SAID = Plain(
    select(Notice.kind, Notice.at, func.max(_LEFT))
    .join(Message, Message.notice_id == Notice.id)
    .outerjoin(Attempt, and_(Attempt.message_id == Message.id, Attempt.number == Message.tries))
    .where(
        Notice.visit_id == bindparam("visit", 0),
        Notice.id != bindparam("notice", 0),
        Message.customer_id.is_not(None),
        Message.state.in_(("claimed", "sending", "sent", "delivered", "uncertain")),
    )
    .group_by(Notice.id, Notice.kind, Notice.at),
    "visit",
    "notice",
)


def _today(s: Session, message: Message, at: datetime) -> int:
    """Automatic messages this person was sent in the last day, over all visits."""
    found = _TODAY.scalar(s.connection(), customer=message.customer_id, since=at - timedelta(days=1))
    return int(found or 0)


_TODAY = Plain(
    select(func.count())
    .select_from(Message)
    .where(
        Message.customer_id == bindparam("customer", 0),
        Message.kind.in_(AUTOMATIC),
        Message.state.in_(("sent", "delivered", "uncertain")),
        Message.state_at > bindparam("since", None),
    ),
    "customer",
    "since",
)
