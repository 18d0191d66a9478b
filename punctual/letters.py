"""One message as a letter: the facts of its visit, the words, and the mail around them with its calendar part."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from punctual import facts as more
from punctual import invites, links, messages, mime, suppression
from punctual.config import Settings
from punctual.core.day import OVER, Window, local, outward
from punctual.core.forecast import VisitForecast
from punctual.core.kinds import KINDS
from punctual.core.slot import in_order
from punctual.models import Attempt, Company, Customer, Message, Notice, Plain, Technician, User, Visit
from punctual.queries import day as days
from punctual.queries import slots

#: Kinds that tell the range as it is forecast when they are written; the others tell the promised window.
FORECAST = frozenset({"on_my_way", "late_first", "late_update", "correction"})
#: An address of plain words between dots, before and after its "@" (RFC 5322 3.2.3).
DOT_ATOMS = re.compile(r"{0}(\.{0})*@{0}(\.{0})*".format(r"[\w!#$%&'*+/=?^`{|}~-]+"), re.ASCII)
#: Offers named in a mail.
OFFERS = 3


@dataclass(frozen=True, slots=True)
class Letter:
    """What an attempt keeps: the bytes as sent, and what they say."""

    recipient: str
    sender: str
    subject: str
    text: str
    body: bytes
    mail_id: str
    sequence: int | None
    told: Window | None
    segments: int = 0


def customer_link(s: Session, settings: Settings, visit: Visit, at: datetime) -> str:
    """The address of a customer's page; the link's row is written on first use."""
    version = visit.customer.link_version
    key = settings.key("link")
    return f"{settings.origin}/c/{links.make(s, key, 'customer', visit.id, at=at, version=version)}"


def stop_link(s: Session, settings: Settings, customer: Customer, at: datetime) -> str:
    """The address behind which a customer says that they want no more e-mails."""
    key = settings.key("link")
    return f"{settings.origin}/s/{links.make(s, key, 'stop', customer.id, at=at, version=customer.link_version)}"


def blocked(s: Session, message: Message) -> str:
    """Why this message may not leave as an e-mail, whatever else; "" when it may."""
    who = s.get_one(Customer, message.customer_id) if message.customer_id is not None else None
    why = suppression.reason(s, who.email, "email") if who is not None else ""
    if why and who is not None and who.email:
        suppression.mark(s, who.email, why, "email")
    return why


def told_range(s: Session, visit: Visit, message: Message, at: datetime, made: VisitForecast | None = None) -> Window:
    """The range a message tells at this moment, rounded outwards for people; without a forecast, as it was decided.

    `made`: the newest forecast of the visit, where the caller has read it already.
    """
    window = Window(visit.window_start, visit.window_end)
    own = message.facts or {}
    if "earlier_from" in own:
        return Window(datetime.fromisoformat(own["earlier_from"]), datetime.fromisoformat(own["earlier_to"]))
    if message.kind not in FORECAST:
        return window
    made = made or days.forecast_of(s, visit)
    if made is None:
        notice = s.get_one(Notice, message.notice_id)
        return Window(notice.told_start, notice.told_end) if notice.told_start and notice.told_end else window
    return outward(Window(made.arrive[0], max(made.arrive[2], made.arrive[0])), at, visit.zone)


def tells(message: Message) -> bool:
    """Whether this message tells a range that is then compared with what happens."""
    return tells_forecast(message) or KINDS[message.kind].moves_window


def write(s: Session, message: Message, settings: Settings, at: datetime, made: VisitForecast | None = None) -> Letter:
    """The letter of a message to a customer, a technician or a user, fresh from what is true now.

    `made`: the newest forecast of its visit, where the caller has read it already. Raises ValueError where it cannot be written (no address, a placeholder without a value).
    """
    company = s.get_one(Company, 1)
    if message.customer_id is not None:
        return _to_customer(s, message, s.get_one(Visit, message.visit_id), company, settings, at, made)
    if message.user_id is not None:
        user = s.get_one(User, message.user_id)
        words = _to_user(s, message, user, company, settings, at)
        return _letter(s, message, words, company, user.email, user.name, settings, at, None, None)
    return _to_technician(s, message, s.get_one(Technician, message.technician_id), company, settings, at)


def _to_user(
    s: Session, message: Message, user: User, company: Company, settings: Settings, at: datetime
) -> messages.Composed:
    """Their own message, or one of any kind as an example: exactly as it reads, and its subject says what it is."""
    if language := (message.facts or {}).get("example"):
        words = messages.example(message.kind, language, more.own(s, settings))
        return replace(words, subject=f"Example: {words.subject}")
    return messages.compose(message.kind, more.of_staff(s, message, user, company, settings, at), "en")


def _to_customer(
    s: Session, message: Message, visit: Visit, company: Company, settings: Settings, at: datetime,
    made: VisitForecast | None,
) -> Letter:  # fmt: skip
    kind, customer = KINDS[message.kind], visit.customer
    told = told_range(s, visit, message, at, made)
    link = customer_link(s, settings, visit, at)
    facts = customer_facts(s, message, visit, company, told, link, at)
    if message.kind in ("deadline_done", "deadline_arrive", "please_choose", "not_free", "missed"):
        found = in_order(slots.offers(s, visit.id, at=at, most=OFFERS))
        facts["offer_list"] = [messages.range_words(x.window, visit.zone, customer.language) for x in found]
    calendar = None
    if invites.wanted(kind, visit):
        with force_locale(messages.locale_of(customer.language)):
            calendar = invites.part(s, message, kind, visit, company, facts, link, at)
    if kind.stop:
        facts["link_mail_stop"] = stop_link(s, settings, customer, at)
    if kind.moves_window or kind.calendar == "CANCEL":
        facts["jsonld"] = invites.reservation(visit, company, kind, link)
    words = messages.compose(message.kind, facts, customer.language, messages.MAIL)
    return _letter(
        s, message, words, company, customer.email or "", customer.name, settings, at, calendar,
        told if tells(message) else None, facts.get("link_mail_stop", ""),
    )  # fmt: skip


def customer_facts(
    s: Session, message: Message, visit: Visit, company: Company, told: Window, link: str, at: datetime
) -> dict[str, Any]:
    """Every placeholder a customer's message may use, in the visit's zone and the customer's language."""
    zone, language, own = visit.zone, visit.customer.language, message.facts or {}

    def clock(when: datetime) -> str:
        return messages.clock_time(when, zone, language)

    before = Window(visit.window_start, visit.window_end)
    if message.kind == "late_update" and visit.told_start and visit.told_end:
        before = Window(visit.told_start, visit.told_end)
    if "old_start" in own:
        before = Window(datetime.fromisoformat(own["old_start"]), datetime.fromisoformat(own["old_end"]))
    due = datetime.fromisoformat(own["due"]) if own.get("due") else at + timedelta(hours=1)
    on = local(told.start, zone).date()
    first = visit.technician.first_name if visit.technician else company.name
    facts: dict[str, Any] = {
        "company": messages.company_in_text(company.text_name),
        "company_full": company.name,
        "company_phone": company.phone,
        "company_hours": company.hours,
        "name": visit.customer.first_name,
        "tech": first,
        "owner": own.get("owner") or company.name,
        "day": messages.day_short(on, language),
        "day_long": messages.day_long(on, language),
        "old_day": messages.day_short(local(before.start, zone).date(), language),
        "from": clock(told.start),
        "to": clock(told.end),
        "told_from": clock(before.start),
        "told_to": clock(before.end),
        "deadline": clock(visit.deadline) if visit.deadline else "",
        "arrive": visit.deadline_kind == "arrive",
        "invited": visit.invited_at is not None,
        "due": messages.due_words(due, at, zone, language),
        "zone": messages.zone_words(zone, told.start, language),
        "job": visit.job_type.public_name,
        "link": link,
    }
    facts |= _own_facts(own, visit)
    kind = KINDS[message.kind]
    if message.kind == "correction":
        facts["truth"] = _truth(own.get("of", ""), visit, facts)
    facts["range_from"] = tells_forecast(message) or message.kind in (
        "booked",
        "reminder",
        "invitation",
        "rescheduled",
        "moved_by_us",
        "kept",
    )
    if kind.class_ == "delay" or message.kind == "keep_impossible":
        facts["times_link"] = f"{link}/times"
    return facts | more.of(s, message, visit, at)


def _truth(of: str, visit: Visit, facts: dict[str, Any]) -> str:
    """The present state in a sentence, for who was told something that does not hold."""
    with force_locale(messages.locale_of(visit.customer.language)):
        if of == "missed" and visit.arrived_at is not None:
            time = messages.clock_time(visit.arrived_at, visit.zone, visit.customer.language)
            return str(_("%(tech)s arrived at %(time)s", tech=facts["tech"], time=time)) + "."
        if visit.state == "arrived":
            said = _("The work is not done yet.") if of == "done" else _("{tech} has arrived.")
        elif visit.state == "on_my_way":
            said = _("{tech} is on the way. Expected {from}-{to}.")
        elif of == "asked":
            said = _("{tech} comes instead. Expected {from}-{to}.")
        else:
            said = _("{tech} is not on the way. Expected {from}-{to}.")
    return messages.fill(str(said), facts)


def tells_forecast(message: Message) -> bool:
    """Whether this message tells the range as it is forecast: a correction does so unless the technician is there."""
    return message.kind in FORECAST and (message.facts or {}).get("of", "on_my_way") in ("on_my_way", "asked")


def _own_facts(own: dict[str, Any], visit: Visit) -> dict[str, Any]:
    """What the message brought along: words of a person, times that are held, a time the customer proposed."""
    zone, language = visit.zone, visit.customer.language
    wish = datetime.fromisoformat(own["start"]) if own.get("start") else visit.window_start
    until = datetime.fromisoformat(own["hold_until"]) if own.get("hold_until") else None
    return {
        "words": own.get("words", ""),
        "offer_list": own.get("offers", []),
        "stays": own.get("stays", True),
        "hold_until": messages.until_words(until, zone, language) if until else "",
        "wish": f"{messages.day_long(local(wish, zone).date(), language)}, {messages.clock_time(wish, zone, language)}",
    }


def _to_technician(
    s: Session, message: Message, technician: Technician, company: Company, settings: Settings, at: datetime
) -> Letter:
    facts = technician_facts(s, message, technician, company, settings)
    words = messages.compose(message.kind, facts, "en", messages.MAIL)
    return _letter(s, message, words, company, technician.email or "", technician.name, settings, at, None, None)


def technician_facts(
    s: Session, message: Message, technician: Technician, company: Company, settings: Settings
) -> dict[str, Any]:
    """Every placeholder a technician's message may use."""
    own = message.facts or {}
    visit = s.get(Visit, message.visit_id) if message.visit_id else None
    facts: dict[str, Any] = {
        "company": messages.company_in_text(company.text_name),
        "company_full": company.name,
        "tech": technician.first_name,
        "link": own.get("link") or f"{settings.origin}/t/",
        "words": own.get("words", ""),
        "staff": True,
    }
    if visit is not None:
        after = s.scalars(
            select(Visit)
            .where(
                Visit.technician_id == technician.id,
                Visit.date == visit.date,
                Visit.planned_start > visit.planned_start,
                Visit.state.not_in(OVER),
            )
            .order_by(Visit.planned_start)
            .limit(1)
        ).first()
        steps = [t for t in (visit.late_at, visit.finished_at, visit.arrived_at, visit.on_my_way_at) if t is not None]
        facts |= {
            "visit_ref": "your {} visit{}".format(*_begins(visit, company.zone)),
            "last_report": messages.clock_time(max(steps), company.zone) if steps else "the start of your day",
            "next_from": "".join(_begins(after or visit, company.zone)),
        }
    return facts


def _begins(visit: Visit, here: str) -> tuple[str, str]:
    """When a visit begins by its own clock, as on the technician's page, and which clock that is where it is not theirs."""
    which = "" if visit.zone == here else f" ({messages.zone_words(visit.zone, visit.window_start)})"
    return messages.clock_time(visit.window_start, visit.zone), which


def mail_id(message: Message, key: bytes, domain: str) -> str:
    """The Message-ID of a logical message of this instance: the same for every attempt."""
    return f"<{hmac.new(key, message.key.encode(), hashlib.sha256).hexdigest()[:32]}@{domain}>"


@lru_cache(maxsize=4)
def _sender(name: str, spec: str) -> str:
    return str(address(name, spec))


def address(name: str, spec: str) -> Address:
    """One address as a header takes it; raises ValueError for what is not exactly one."""
    if DOT_ATOMS.fullmatch(spec):  # nearly every one: the library reads the others letter by letter
        return Address(" ".join(name.split()), *spec.split("@"))
    try:
        one = Address(" ".join(name.split()), addr_spec=spec)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise ValueError(f"{spec} is not an e-mail address.") from error
    if not (spec.isascii() and spec.isprintable()) or one.addr_spec != spec or not (one.username and one.domain):
        raise ValueError(f"{spec} is not an e-mail address.")
    return one


def _letter(
    s: Session, message: Message, words: messages.Composed, company: Company, recipient: str, name: str,
    settings: Settings, at: datetime, calendar: invites.Part | None, told: Window | None, stop: str = "",
) -> Letter:  # fmt: skip
    if not recipient:
        raise ValueError("There is no e-mail address for this message.")
    domain = company.mail_from.rsplit("@", 1)[-1]
    own = mail_id(message, settings.key("link"), domain)
    headers = [
        ("From", _sender(company.name, company.mail_from)),
        ("To", str(address(name, recipient))),
        ("Subject", words.subject),
        ("Date", format_datetime(at)),
        ("Message-ID", own),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
    ]
    if stop:
        headers += [("List-Unsubscribe", f"<{stop}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")]
    first = _first_mail(s, message)
    if first and first != own:
        headers += [("In-Reply-To", first), ("References", first)]
    return Letter(
        recipient=recipient,
        sender=company.mail_from,
        subject=words.subject,
        text=words.text,
        body=mime.mail(headers, words.text, words.html, calendar[:2] if calendar else None),
        mail_id=own,
        sequence=calendar[2] if calendar else None,
        told=told,
    )


def _first_mail(s: Session, message: Message) -> str:
    """The Message-ID of the visit's first accepted mail to the same person: later ones thread under it."""
    if message.visit_id is None or message.customer_id is None:
        return ""
    return _FIRST.scalar(s.connection(), visit=message.visit_id, customer=message.customer_id) or ""


_FIRST = Plain(
    select(Attempt.mail_id)
    .join(Message, Message.id == Attempt.message_id)
    .where(
        Message.visit_id == bindparam("visit", 0),
        Message.customer_id == bindparam("customer", 0),
        Attempt.state == "accepted",
    )
    .order_by(Attempt.id)
    .limit(1),
    "visit",
    "customer",
)
