"""The facts of messages about promises: what was promised, by when, who is responsible."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from punctual import messages
from punctual.config import Settings
from punctual.models import Company, Concern, Message, Notice, Promise, User, Visit
from punctual.queries import promises as queries


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


def _promise(s: Session, message: Message) -> Promise | None:
    promise_id = s.get_one(Notice, message.notice_id).promise_id
    return s.get(Promise, promise_id) if promise_id else None


def of_staff(
    s: Session, message: Message, user: User, company: Company, settings: Settings, at: datetime
) -> dict[str, Any]:
    """What a message to somebody at the board says: in English, with a link to where it can be mended."""
    own, promise = message.facts or {}, _promise(s, message)
    due = datetime.fromisoformat(own["due"]) if own.get("due") else at
    above = queries.above(s, promise.owner_id if promise else None)
    page = "concerns" if message.kind == "esc_concern" else "promises"
    return {
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
