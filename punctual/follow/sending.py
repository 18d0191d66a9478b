"""Sending itself, each minute: who looks after it hears by e-mail that texts do not go out, and what waits."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import clock, outbox
from punctual.models import User
from punctual.queries import heard, ways


def look(s: Session, at: datetime) -> int:
    """Tell everybody at the board once of each outage that lasts, and of a line that is stopped; returns how many.

    Only of texts: while e-mails cannot leave, an e-mail tells nobody - the board and the health check do.
    """
    texts, stopped = ways.way(s, "sms", at), heard.stopped(s)
    if stopped is not None:
        return _tell(s, f"line:{stopped.id}", stopped.at, str((stopped.facts or {}).get("why", "")), at)
    lasts = texts.outage is not None and clock.real_seconds(at - texts.outage.since) >= ways.LASTS_S
    if texts.outage is None or not lasts or not texts.closed(at):
        return 0
    return _tell(s, f"sms:{texts.outage.since:%Y-%m-%dT%H:%M:%S}", texts.outage.since, texts.outage.why, at)


def _tell(s: Session, what: str, since: datetime, why: str, at: datetime) -> int:
    put = [
        outbox.put(
            s, key=f"sender:{what}:{user.id}", kind="esc_sender", at=at, reason="outage", cause="sender",
            facts={"since": since.isoformat(), "why": why}, person=user, to="dispatcher",
        )
        for user in s.scalars(select(User).where(User.active))
    ]  # fmt: skip
    return sum(x is not None for x in put)
