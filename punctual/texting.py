"""One message as a text: whether it may go as one, and its words, folded and within two segments."""

from __future__ import annotations

from datetime import datetime, timedelta

import phonenumbers
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import letters, messages, suppression
from punctual.config import Settings
from punctual.core.day import local
from punctual.core.forecast import VisitForecast
from punctual.core.segments import MOST, size
from punctual.core.spend import Used, too_much
from punctual.models import Attempt, Company, Customer, Message, Notice, Technician, Visit
from punctual.queries import day as days

DAY = timedelta(hours=24)
#: Digits in which numbers that are bought in a row differ.
TAIL = 4


def blocked(s: Session, message: Message, settings: Settings, at: datetime) -> str:
    """Why this message may not leave as a text, whatever else; "" when it may."""
    number = recipient(s, message)
    if not settings.sms:
        return "no texts are sent here"
    if not number:
        return "there is no phone"
    why = suppression.reason(s, number)
    if why and message.kind != "optout":  # the one confirmation of an opt-out
        suppression.mark(s, number, why)
        return why
    if stopped(s):
        return "texts are stopped until somebody has mended them"
    return _abroad(s, number, settings) or too_much(
        used(s, number, at), MOST, days.rules(s), staff=message.technician_id is not None
    )


def recipient(s: Session, message: Message) -> str:
    """The number of the message's person, "" without one."""
    if message.customer_id is not None:
        return s.get_one(Customer, message.customer_id).phone or ""
    return (s.get_one(Technician, message.technician_id).phone or "") if message.technician_id else ""


def stopped(s: Session) -> bool:
    """Whether the line is stopped: the provider refuses us, and nobody has said that it is mended."""
    alarm = select(Notice.id).where(
        Notice.kind == "texts_stopped", Notice.decision == "task", Notice.resolved_at.is_(None)
    )
    return s.scalar(alarm.limit(1)) is not None


def _abroad(s: Session, number: str, settings: Settings) -> str:
    """Texts go to the countries of the list only: a number abroad may be there to earn by being texted."""
    allowed = {c.strip().upper() for c in settings.sms_countries.split(",") if c.strip()}
    allowed = allowed or {s.get_one(Company, 1).country}
    try:
        found = phonenumbers.parse(number)
        country = phonenumbers.region_code_for_number(found) or phonenumbers.region_code_for_country_code(
            found.country_code or 0
        )
    except phonenumbers.NumberParseException:
        country = None
    return "" if country in allowed else f"no texts go to {country or 'this country'} (setting sms_countries)"


def used(s: Session, number: str, at: datetime) -> Used:
    """Texts of the last 24 hours that were accepted, or may have been."""
    lately = (Attempt.segments > 0, Attempt.at > at - DAY, Attempt.state != "refused")

    def count(like: str) -> int:
        return int(s.scalar(select(func.count()).where(*lately, Attempt.recipient.like(like))) or 0)

    total = s.scalar(select(func.coalesce(func.sum(Attempt.segments), 0)).where(*lately))
    return Used(count(number), count(number[:-TAIL] + "_" * TAIL), int(total or 0))


def write(
    s: Session, message: Message, settings: Settings, at: datetime, made: VisitForecast | None = None
) -> letters.Letter:
    """The text, fresh from what is true now; raises ValueError where it cannot be written.

    `made`: the newest forecast of its visit, where the caller has read it already.
    """
    number = recipient(s, message)
    company = s.get_one(Company, 1)
    told, language = None, "en"
    if message.customer_id is not None:
        visit = s.get_one(Visit, message.visit_id)
        told, language = letters.told_range(s, visit, message, at, made), visit.customer.language
        facts = letters.customer_facts(
            s, message, visit, company, told, letters.customer_link(s, settings, visit, at), at
        )
        facts["zone_hint"] = _zone_hint(number, visit.zone, told.start, language)
    else:
        person = s.get_one(Technician, message.technician_id)
        facts = letters.technician_facts(s, message, person, company, settings) | {"name": ""}
    words = messages.text(message.kind, facts, language, first=_first(s, message, number))
    return letters.Letter(
        recipient=number,
        sender=settings.sms_from,
        subject="",
        text=words,
        body=words.encode(),
        mail_id=letters.mail_id(message, settings.key("link"), "text"),
        sequence=None,
        told=told if letters.tells(message) else None,
        segments=size(words).segments,
    )


def _zone_hint(number: str, zone: str, when: datetime, language: str) -> str:
    """The zone of the visit in words, where one that the phone's prefix may mean has other clocks then."""
    others = {local(when, z).utcoffset() for z in days.phone_zones(number)}
    return messages.zone_words(zone, when, language) if others - {local(when, zone).utcoffset()} else ""


def _first(s: Session, message: Message, number: str) -> bool:
    """Whether this number has had no text from us yet; staff are told by the office."""
    if message.customer_id is None:
        return False
    had = select(Attempt.id).where(Attempt.recipient == number, Attempt.segments > 0, Attempt.state != "refused")
    return s.scalar(had.limit(1)) is None
