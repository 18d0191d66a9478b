"""The facts of messages about promises: what was promised, by when, who is responsible."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from punctual import messages
from punctual.config import Settings
from punctual.models import Company, Message, Notice, Promise, User, Visit


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
    for name in ("old_due", "done_at"):
        if own.get(name):
            found[name] = messages.due_words(datetime.fromisoformat(own[name]), at, visit.zone, language)
    return found


def _promise(s: Session, message: Message) -> Promise | None:
    promise_id = s.get_one(Notice, message.notice_id).promise_id
    return s.get(Promise, promise_id) if promise_id else None


def of_staff(
    s: Session, message: Message, user: User, company: Company, settings: Settings, at: datetime
) -> dict[str, Any]:
    """What a message to somebody at the board says: in English, with a link to where it can be mended."""
    own, promise = message.facts or {}, _promise(s, message)
    due = datetime.fromisoformat(own["due"]) if own.get("due") else at
    return {
        "company": messages.company_in_text(company.text_name),
        "company_full": company.name,
        "name": user.first_name,
        "promise": noun(promise.kind, "en") if promise else "",
        "owner": promise.owner if promise else company.name,
        "due": messages.due_words(due, at, company.zone),
        "link": f"{settings.origin}/board/promises",
        "staff": True,
    }
