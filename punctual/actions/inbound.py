"""What comes in from outside: texts and how far ours got (providers call), mails (a mailbox, or standard input)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from punctual import incoming, mailbox, outbox, outcome, suppression
from punctual.actions import Refused, conversation, invitation, texts, transaction
from punctual.config import Settings
from punctual.core import reply
from punctual.itip import reply as calendars
from punctual.itip.text import Broken
from punctual.models import Attempt, Company, Customer, Message, Received, db
from punctual.queries import sending
from punctual.transports import TRANSPORTS, Call, Ear, NotGenuine, Progress, Text, Unreadable

log = logging.getLogger(__name__)

Heard = TypeVar("Heard")
#: Longest text that is kept; a phone sends at most ten parts.
LONGEST = 1600
#: Texts and mails acted on at one look.
BATCH = 50


def text(provider: str, url: str, headers: Mapping[str, str], body: bytes, *, settings: Settings, at: datetime) -> None:
    """Take a text in, once. STOP and START are in force with this commit; the rest is acted on by the worker (settle).

    Refused (403) when the provider did not sign it, (422) when it makes no sense.
    """
    got: Text = _heard(provider, settings, lambda ear: ear.text(Call(url, headers, body)))
    number = _number(got.sender)
    with transaction() as s:
        row = _keep(s, key=f"{provider}:{got.id}"[:120], channel="sms", sender=number, text=_clean(got.words), at=at)
        if row is None:
            return
        read = reply.read(row.text, _stop_words(s, number))
        if read.meaning in ("stop", "start"):
            row.meaning = read.meaning
        if read.meaning == "stop":
            _stop(s, row, answered=got.answered, at=at)
        elif read.meaning == "start":
            suppression.lift(s, number, at=at)
        s.info["put"] = True  # the worker looks at once


def progress(
    provider: str,
    attempt_id: int,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    settings: Settings,
    at: datetime,
) -> None:
    """How far a text of ours got, in any order, any number of times; about one that is not ours nothing happens."""
    got: Progress = _heard(provider, settings, lambda ear: ear.progress(Call(url, headers, body)))
    with transaction() as s:
        ours = Attempt.id == attempt_id, Attempt.transport == provider
        sending.lock(s, list(s.scalars(select(Attempt.message_id).where(*ours))))
        attempt = s.scalar(select(Attempt).where(*ours))
        if attempt is not None:
            outcome.progressed(s, attempt, got, at=at)


def mail(raw: bytes, *, server: str = "", at: datetime) -> str:
    """Take a mail in, once; returns what it was: again, bounce, calendar, automatic or person.

    `server` is the name our own mail server writes into Authentication-Results: by it a sender is proven.
    """
    got = incoming.read(raw)
    answer = None if got.bounces else _calendar(got, server, at)
    with transaction() as s:
        row = _keep(s, key=f"mail:{got.id}", channel="email", sender=got.sender, text=got.words, at=at)
        if row is None:
            return "again"
        row.subject, row.settled_at = got.subject, at
        message = _about(s, got.refers)
        row.visit_id = (answer.visit_id if answer else None) or (message.visit_id if message else None)
        if answer is not None:
            row.meaning, row.outcome = "calendar", answer.sentence[:300]
            if answer.person_reads:
                row.text = f"{answer.sentence} {row.text}".strip()[:LONGEST]
                conversation.person_wrote(s, row, at=at, answers=not got.automatic)
        elif got.bounces:
            row.meaning, row.outcome = "bounce", _bounced(s, message, got, at)
        elif got.automatic:
            row.meaning, row.outcome = "automatic", f"not answered: {got.automatic}"
        else:
            row.meaning, row.text = "person", got.shown
            conversation.person_wrote(s, row, at=at)
        return row.meaning


def _calendar(got: incoming.Mail, server: str, at: datetime) -> invitation.Taken | None:
    """What the calendar part of a mail did; None without one. It is acted on first: the same part again does nothing."""
    try:
        found = calendars.find(got.message)
    except Broken as error:
        return invitation.Taken("broken", words=str(error))
    if found is None:
        return None
    return invitation.take(found, sender=got.sender, proven=mailbox.proven(got.message, server), at=at)


def settle(settings: Settings, at: datetime) -> int:
    """Act on texts that came in; returns how many. One that cannot be acted on goes to a person."""
    done = 0
    new = select(Received.id).where(Received.settled_at.is_(None)).order_by(Received.id).limit(BATCH)
    db.session.rollback()
    ids = list(db.session.scalars(new))
    db.session.rollback()  # nothing came in, mostly: no writer waits for this look
    for received_id in ids:
        try:
            texts.act(received_id, settings=settings, at=at)
        except OperationalError:  # acted on again at the next look; what was done counts once
            log.exception("text %s waits: the database failed, or others came first", received_id)
            db.session.rollback()
        except Exception:  # one text never keeps the others from being read
            log.exception("text %s goes to a person", received_id)
            with transaction() as s:
                conversation.person_wrote(s, s.get_one(Received, received_id), at=at, answers=False)
        done += 1
    return done


def _heard(provider: str, settings: Settings, read: Callable[[Ear], Heard]) -> Heard:
    """The provider's call, verified and read."""
    transport = TRANSPORTS[provider](settings) if provider and provider == settings.sms else None
    if transport is None or not isinstance(transport, Ear):
        raise Refused("No such provider is set up here.", status=404)
    try:
        return read(transport)
    except NotGenuine as error:
        raise Refused("This call was not signed by the provider.", status=403) from error
    except Unreadable as error:
        raise Refused(str(error), status=422) from error


def _number(given: str) -> str:
    """A number as it is kept; a sender that is a name stays one."""
    bare = given.removeprefix("whatsapp:").strip()
    return "+" + re.sub(r"\D", "", bare) if bare.startswith("+") else bare[:254]


def _clean(words: str) -> str:
    return words.replace("\x00", "").encode("utf-8", "replace").decode()[:LONGEST]


def _keep(s: Session, *, key: str, channel: str, sender: str, text: str, at: datetime) -> Received | None:
    made = outbox.insert(
        s,
        Received.__table__,
        {"key": _clean(key), "channel": channel, "sender": _clean(sender), "subject": "", "text": text, "at": at, "meaning": "",
         "outcome": ""},
    )  # fmt: skip
    return None if made is None else s.get_one(Received, made)


def _stop_words(s: Session, number: str) -> frozenset[str]:
    theirs = s.scalars(select(Customer.language).where(Customer.phone == number))
    return reply.stop_words(s.get_one(Company, 1).language, *theirs)


def _stop(s: Session, row: Received, *, answered: bool, at: datetime) -> None:
    """No more texts; one confirmation, unless the provider has sent it already."""
    new = suppression.stop(s, row.sender, suppression.ASKED["sms"], at=at)
    visit = texts.visit_of(s, row.sender, at)
    if new and visit is not None and not answered:
        outbox.put(
            s, key=f"{visit.id}:{visit.promise_version}:optout:{row.id}", kind="optout", at=at, reason="asked",
            cause=f"customer:optout:{visit.id}", visit=visit, channel="sms",
        )  # fmt: skip


def _about(s: Session, refers: tuple[str, ...]) -> Message | None:
    """The message of ours a mail is about, by Message-ID; the newest it names."""
    if not refers:
        return None
    found = select(Message).join(Attempt, Attempt.message_id == Message.id).where(Attempt.mail_id.in_(refers))
    return s.scalars(found.order_by(Attempt.id.desc()).limit(1)).first()


def _bounced(s: Session, message: Message | None, got: incoming.Mail, at: datetime) -> str:
    """A final bounce of our own mail from where it went last counts; anything else is only kept."""
    if message is None:
        return "about no mail of ours"
    attempts = select(Attempt.recipient).where(Attempt.message_id == message.id)
    last = (s.scalars(attempts.order_by(Attempt.number.desc()).limit(1)).first() or "").lower()
    for bounce in got.bounces:
        if bounce.final and bounce.recipient == last:
            sentence = (
                f"came back ({bounce.status}): {bounce.words}" if bounce.words else f"came back ({bounce.status})"
            )
            outcome.bounced(s, message, sentence, address=last if bounce.address_is_bad else "", at=at)
            return sentence[:300]
    return "not final, nothing to do"
