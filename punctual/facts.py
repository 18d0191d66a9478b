"""The facts of messages about promises: what was promised, by when, who is responsible."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from babel.numbers import format_currency, get_currency_precision
from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from punctual import messages
from punctual.config import Settings
from punctual.core.day import local
from punctual.core.promise import LATE, MISSED, OTHER
from punctual.models import Company, Concern, Good, Message, Notice, Promise, User, Visit
from punctual.queries import promises as queries
from punctual.queries import ways


def noun(kind: str, language: str) -> str:
    """What was promised, from the fixed list, at most 20 characters in every language."""
    with force_locale(messages.locale_of(language)):
        return str(
            {
                "window": _("our arrival"),
                "call": _("a call"),
                "part": _("the spare part"),
                "confirm": _("a confirmed time"),
                "restore": _("service restored"),
                "quote": _("the quote"),
                "job": _("all work finished"),
                "answer": _("an answer to you"),
                "reply": _("an answer to you"),
            }[kind]
        )


def of(s: Session, message: Message, visit: Visit, at: datetime) -> dict[str, Any]:
    """What such a message says beside the facts of every message, in the customer's language."""
    own, language = message.facts or {}, visit.customer.language
    promise = _promise(s, message)
    found: dict[str, Any] = {}
    if promise is not None:
        found["promise"] = noun(promise.kind, language)
    if own.get("concern"):
        concern = s.get_one(Concern, own["concern"])
        found |= of_concern(s, concern, language)
    if message.kind == "makegood":
        found |= of_good(s.get_one(Good, own["good"]), s.get_one(Company, 1), visit, promise)
    for name in ("time", "arrived"):
        if own.get(name):
            found[name] = messages.clock_time(datetime.fromisoformat(own[name]), visit.zone, language)
    for name in ("old_due", "done_at"):
        if own.get(name):
            found[name] = messages.due_words(datetime.fromisoformat(own[name]), at, visit.zone, language)
    return found


def about(what: str, language: str) -> str:
    """What a concern is about, as its customer chose it."""
    with force_locale(messages.locale_of(language)):
        return str(
            {
                "time": _("The time"),
                "work": _("What will be done"),
                "said": _("What somebody told me"),
                "not_mine": _("The visit is not mine"),
                "other": _("Something else"),
                "was_there": _("I was there"),
                "nobody_here": _("Nobody is here"),
                "rating": _("How it went"),
            }[what]
        )


def of_concern(s: Session, concern: Concern, language: str) -> dict[str, Any]:
    """What the customer wrote, what is answered, and to whom it goes if that is not right."""
    what, words = about(concern.about, language), concern.said.text
    above = queries.above(s, concern.promise.owner_id)
    return {
        "concern_text": f"{what}. {words}" if words else f"{what}.",
        "answer_text": concern.answer,
        "owner_above": above.first_name if above else s.get_one(Company, 1).name,
    } | ({"owner": concern.answered_by.split()[0]} if concern.answered_by else {})


def of_good(good: Good, company: Company, visit: Visit, promise: Promise | None) -> dict[str, Any]:
    """What is given, where it will be seen, and the apology: the company's own in its language, the usual otherwise."""
    language = visit.customer.language
    due = promise.due_at if promise else visit.window_end
    with force_locale(messages.locale_of(language)):
        usual = {
            LATE: _("On {day_long} we promised to arrive by {told_to} and arrived at {arrived}. We are sorry."),
            MISSED: _("On {day_long} we promised to come and did not. We are sorry."),
            OTHER: _("We promised you {promise} by {told_to} on {day_long} and did not keep it. We are sorry."),
        }[good.kind]
        kind = _("a credit") if good.credit else _("a discount") if good.discount_pct else _("our apology")
        where = _("on your invoice")
    own = good.apology if language.split("-")[0] == company.language.split("-")[0] else ""
    on = local(due, visit.zone).date()
    return {
        "apology": own or str(usual),
        "makegood": given(good, language),
        "makegood_kind": str(kind),
        "makegood_where": str(where),
        "day": messages.day_short(on, language),
        "day_long": messages.day_long(on, language),
    }


def given(good: Good, language: str) -> str:
    """What is given, in words: a credit in the company's currency, a discount, both - or an apology alone."""
    name = messages.locale_of(language)
    with force_locale(name):
        parts = []
        if good.credit:
            amount = format_currency(
                good.credit / 10 ** get_currency_precision(good.currency), good.currency, locale=name
            )
            parts.append(str(_("a credit of %(amount)s", amount=amount)))
        if good.discount_pct:
            parts.append(str(_("a discount of %(percent)s percent on this visit", percent=good.discount_pct)))
        return " + ".join(parts) if parts else str(_("our apology"))


def _promise(s: Session, message: Message) -> Promise | None:
    notice = s.get(Notice, message.notice_id) if message.notice_id else None
    return s.get(Promise, notice.promise_id) if notice is not None and notice.promise_id else None


def of_sending(s: Session, own: Mapping[str, Any], company: Company, at: datetime) -> dict[str, str]:
    """Since when nothing goes out, why, and what waits at this moment."""
    count, urgent = ways.waiting(s, at)
    since = datetime.fromisoformat(own["since"]) if own.get("since") else at
    words = messages.clock_time(since, company.zone)
    return {"time": words, "reason": own.get("why", "") or "not known", "count": str(count), "untold": str(urgent)}


def of_staff(
    s: Session, message: Message, user: User, company: Company, settings: Settings, at: datetime
) -> dict[str, Any]:
    """What a message to somebody at the board says: in English, with a link to where it can be mended."""
    own, promise = message.facts or {}, _promise(s, message)
    due = datetime.fromisoformat(own["due"]) if own.get("due") else at
    above = queries.above(s, promise.owner_id if promise else None)
    page = {"esc_concern": "concerns", "esc_sender": "sending"}.get(message.kind, "promises")
    return (of_sending(s, own, company, at) if message.kind == "esc_sender" else {}) | {
        "company": messages.company_in_text(company.text_name),
        "company_full": company.name,
        "name": user.first_name,
        "promise": noun(promise.kind, "en") if promise else "",
        "owner": promise.owner if promise else company.name,
        "owner_above": (above.name if above else company.name),
        "due": messages.due_words(due, at, company.zone),
        "link": f"{settings.origin}/board/{page}",
        "staff": True,
    }


def own(s: Session, settings: Settings) -> dict[str, str]:
    """What the company itself puts into an example: its names, how to reach it, and links as long as its own; nothing
    where there is no company yet."""
    company = s.get(Company, 1)
    if company is None:
        return {}
    link = settings.origin + urlsplit(messages.EXAMPLE["link"]).path
    return {
        "company": messages.company_in_text(company.text_name),
        "company_full": company.name,
        "company_phone": company.phone,
        "company_hours": company.hours,
        "link": link,
        "times_link": f"{link}/times",
    }
