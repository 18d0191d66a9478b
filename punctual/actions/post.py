"""Mails of customers, read from the mailbox they answer to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from punctual import clock, mailbox
from punctual.actions import inbound
from punctual.config import Settings

log = logging.getLogger(__name__)

#: Real seconds between two looks into the mailbox.
POLL_S = 30.0


def reading(settings: Settings) -> Callable[[datetime], None]:
    """A chore that takes in what is unread; a mail counts as read only once it is kept, so none is lost on the way."""
    due = clock.now()

    def post(at: datetime) -> None:
        nonlocal due
        if clock.now() < due:
            return
        due = clock.after(POLL_S)
        try:
            with mailbox.opened(settings) as box:
                for mail in mailbox.unread(box):
                    inbound.mail(mail.raw, server=settings.mail_server, at=at)
                    mailbox.done(box, mail)
        except mailbox.Unreachable as error:
            log.warning("%s", error)

    return post
