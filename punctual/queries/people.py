"""People as the board lists them: technicians and their phones, customers and their visits, messages, what a search finds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from punctual.models import Customer, Message, Notice, Place, Shift, Signin, Technician, User, Visit

#: Message states in the order a dispatcher asks for them.
STATES = ("failed", "uncertain", "held", "undelivered", "queued", "claimed", "sending", "sent", "delivered", "dropped")
MOST = 200
#: So many messages stand on a page; older ones are a link away, as far as anybody turns pages.
ON_A_PAGE, PAGES = 30, 1000


@dataclass(frozen=True, slots=True)
class Phone:
    """A technician or dispatcher and the sessions that let them in."""

    person: Technician | User
    sessions: tuple[Signin, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search finds."""

    visits: tuple[Visit, ...]
    customers: tuple[Customer, ...]


def technicians(s: Session, at: datetime) -> list[Phone]:
    """Every technician, active ones first, with live sessions."""
    rows = s.scalars(select(Technician).order_by(Technician.active.desc(), Technician.name))
    live = _sessions(s, at)
    return [Phone(t, tuple(live["technician", t.id])) for t in rows]


def dispatchers(s: Session, at: datetime) -> list[Phone]:
    """Everybody who may sign in to the board."""
    live = _sessions(s, at)
    return [Phone(u, tuple(live["user", u.id])) for u in s.scalars(select(User).order_by(User.name))]


def technician(s: Session, technician_id: int, at: datetime) -> Phone | None:
    """One technician with live sessions."""
    row = s.get(Technician, technician_id)
    return Phone(row, tuple(_sessions(s, at)["technician", row.id])) if row else None


def _sessions(s: Session, at: datetime) -> dict[tuple[str, int], list[Signin]]:
    found: dict[tuple[str, int], list[Signin]] = defaultdict(list)
    live = select(Signin).where(Signin.revoked_at.is_(None), Signin.expires_at > at).order_by(Signin.created_at)
    for row in s.scalars(live):
        owner = ("technician", row.technician_id) if row.technician_id else ("user", row.user_id or 0)
        found[owner].append(row)
    return found


def shift(s: Session, technician_id: int, on: date) -> Shift | None:
    """A technician's shift on a date."""
    return s.scalar(select(Shift).where(Shift.technician_id == technician_id, Shift.date == on))


def customer(s: Session, customer_id: int) -> Customer | None:
    """One customer."""
    return s.get(Customer, customer_id)


def visits(s: Session, customer_id: int) -> Sequence[Visit]:
    """A customer's visits, newest first."""
    wanted = select(Visit).where(Visit.customer_id == customer_id).order_by(Visit.window_start.desc()).limit(MOST)
    return s.scalars(wanted.options(joinedload(Visit.technician), joinedload(Visit.job_type))).all()


def messages(
    s: Session, *, state: str, day: date | None, page: int = 1
) -> tuple[Sequence[tuple[Message, Notice, Visit | None, str]], bool]:
    """A page of messages, the newest first, with their notice, visit and whom they are for; whether there are older ones."""
    wanted = (
        select(Message, Notice, Visit, Customer.name, Technician.name, User.name)
        .join(Notice, Notice.id == Message.notice_id)
        .outerjoin(Visit, Visit.id == Message.visit_id)
        .outerjoin(Customer, Customer.id == Message.customer_id)
        .outerjoin(Technician, Technician.id == Message.technician_id)
        .outerjoin(User, User.id == Message.user_id)
        .order_by(Message.state_at.desc(), Message.id.desc())
        .limit(ON_A_PAGE + 1)
        .offset(ON_A_PAGE * (page - 1))
    )
    if state:
        wanted = wanted.where(Message.state == state)
    if day:
        wanted = wanted.where(Visit.date == day)
    found = [(m, n, v, c or t or u or "?") for m, n, v, c, t, u in s.execute(wanted)]
    return found[:ON_A_PAGE], len(found) > ON_A_PAGE


def readable(text: str) -> str:
    """A search as it can be asked of a database: no control characters, no half characters, not too long."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", text)[:80].strip()


def search(s: Session, q: str, today: date) -> Found:
    """Visits and customers by name, street, technician, e-mail, phone - or by a date like 18 Nov; nearest days first."""
    like = "%" + re.sub(r"([%_\\])", r"\\\1", q.lower()) + "%"
    on = _as_date(q, today)
    wanted = (
        select(Visit)
        .join(Customer, Customer.id == Visit.customer_id)
        .outerjoin(Place, Place.id == Visit.place_id)
        .outerjoin(Technician, Technician.id == Visit.technician_id)
        .options(joinedload(Visit.customer), joinedload(Visit.technician), joinedload(Visit.place))
    )
    texts = (Customer.name, Customer.email, Customer.phone, Place.address, Technician.name, Visit.ref)
    match = or_(*(t.ilike(like, escape="\\") for t in texts))
    rows = s.scalars(
        wanted.where(Visit.date == on if on else match).order_by(Visit.date.desc(), Visit.id).limit(MOST)
    ).all()
    people = s.scalars(
        select(Customer)
        .where(or_(*(t.ilike(like, escape="\\") for t in (Customer.name, Customer.email, Customer.phone))))
        .order_by(Customer.name)
        .limit(20)
    ).all()
    return Found(tuple(sorted(rows, key=lambda v: (abs((v.date - today).days), v.window_start))[:50]), tuple(people))


def _as_date(q: str, today: date) -> date | None:
    for form in ("%Y-%m-%d", "%d %b %Y", "%d %B %Y"):
        for text in (q, f"{q} {today.year}"):
            try:
                return datetime.strptime(text, form).date()  # noqa: DTZ007 - a date, no instant
            except ValueError:
                continue
    return None
