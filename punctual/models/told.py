"""What was reported, promised, forecast, decided, said and answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, literal_column
from sqlalchemy.orm import Mapped, mapped_column

from punctual.models.base import Model, UtcDateTime


class Report(Model):
    """What a technician told us, append-only. `key` is made on the phone: the same key counts once."""

    __tablename__ = "report"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    technician_id: Mapped[int] = mapped_column(ForeignKey("technician.id"))
    kind: Mapped[str] = mapped_column(String(14))
    minutes: Mapped[int] = mapped_column(default=0)
    undoes_id: Mapped[int | None] = mapped_column(ForeignKey("report.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    source: Mapped[str] = mapped_column(String(12), default="tap")
    note: Mapped[str] = mapped_column(Text, default="")


class Promise(Model):
    """Something the customer was given or agreed to, by a time. Versioned: a moved promise stays as history.

    kind: one of core.promise.KINDS. state: open, kept, moved (with notice), broken, cancelled. `replaces_id` is the one
    before it; the notices that told it carry its id.
    """

    __tablename__ = "promise"
    __table_args__ = (
        UniqueConstraint("visit_id", "kind", "version"),
        Index("ix_promise_state_due", "state", "due_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    kind: Mapped[str] = mapped_column(String(12))
    version: Mapped[int] = mapped_column(default=1)
    opens_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    owner: Mapped[str] = mapped_column(String(120), default="")
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), index=True)
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("promise.id"))
    state: Mapped[str] = mapped_column(String(10), default="open")
    made_by: Mapped[str] = mapped_column(String(20))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str] = mapped_column(String(120), default="")
    reminded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    escalated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(Text, default="")


class Forecast(Model):
    """A technician-day's forecast as core.kept packs it, made at `at`; rewritten when something shown has moved.

    `marks`: the visits over the limit lately, by "id:promise version": since when, at which chance, and when they
    crossed it (see core.notice.Mark); NULL where there is none.
    """

    __tablename__ = "forecast"
    shift_id: Mapped[int] = mapped_column(ForeignKey("shift.id", ondelete="CASCADE"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    packed: Mapped[bytes] = mapped_column(LargeBinary)
    marks: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Notice(Model):
    """A decision to tell somebody something, with its reason - or the reason for silence.

    decision: tell, silent, task. `key` makes telling the same thing twice impossible; a silent notice is one row per
    visit and promise version, rewritten when its reason changes. A task (call, silent technician, ask once) stays
    open until `resolved_at`. `facts` are the numbers behind the decision, as shown on the board.
    """

    __tablename__ = "notice"
    __table_args__ = (
        Index("ix_notice_open_task", "decision", "resolved_at"),
        Index("ix_notice_visit_decision", "visit_id", "decision"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(120), unique=True)
    visit_id: Mapped[int | None] = mapped_column(ForeignKey("visit.id"))
    shift_id: Mapped[int | None] = mapped_column(ForeignKey("shift.id"))
    promise_id: Mapped[int | None] = mapped_column(ForeignKey("promise.id"), index=True)
    decision: Mapped[str] = mapped_column(String(8))
    kind: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(String(40))
    cause: Mapped[str] = mapped_column(String(60), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    told_start: Mapped[datetime | None] = mapped_column(UtcDateTime)
    told_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolved_by: Mapped[str] = mapped_column(String(120), default="")


#: What is neither silence nor a booking: few rows, so that everybody's news is found without reading the others. Plain
#: text, because a database uses such an index only where a question says the very same.
SAID = (Notice.decision != literal_column("'silent'")) & (Notice.kind != literal_column("'booked'"))
Index("ix_notice_said", Notice.visit_id, sqlite_where=SAID, postgresql_where=SAID)


class Message(Model):
    """A notice for one person on one channel: a row of the outbox; its text is made when it is claimed.

    state: queued, claimed, sending (handed over, no answer kept yet), sent, delivered, undelivered, failed, held,
    dropped, uncertain; `state_reason` says why.
    Exactly one of customer_id, technician_id, user_id is set.
    """

    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_due", "state", "due_at"),
        Index("ix_message_created_at", "created_at"),
        Index("ix_message_customer_id", "customer_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id"), index=True)
    visit_id: Mapped[int | None] = mapped_column(ForeignKey("visit.id"), index=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    technician_id: Mapped[int | None] = mapped_column(ForeignKey("technician.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    channel: Mapped[str] = mapped_column(String(10))
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(12), default="queued")
    state_reason: Mapped[str] = mapped_column(String(200), default="")
    state_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    useful_until: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_by: Mapped[str] = mapped_column(String(40), default="")
    tries: Mapped[int] = mapped_column(default=0)
    cause: Mapped[str] = mapped_column(String(60), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Attempt(Model):
    """What was really sent: the intent is committed before the network, the outcome after it.

    state: intent, accepted, refused, uncertain. `body` is the very bytes handed to the transport. For a text: how many
    `segments` it has, and how far it got (`progress`: queued, sending, sent, delivered, undelivered, failed).
    """

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("message_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
    number: Mapped[int] = mapped_column(default=1)
    transport: Mapped[str] = mapped_column(String(20))
    recipient: Mapped[str] = mapped_column(String(254), index=True)
    subject: Mapped[str] = mapped_column(String(300), default="")
    mail_id: Mapped[str] = mapped_column(String(200), default="")
    sequence: Mapped[int | None]
    told_start: Mapped[datetime | None] = mapped_column(UtcDateTime)
    told_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    text: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[str] = mapped_column(String(10), default="intent")
    provider_id: Mapped[str] = mapped_column(String(120), default="", index=True)
    segments: Mapped[int] = mapped_column(default=0)
    progress: Mapped[str] = mapped_column(String(12), default="")
    error: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Answer(Model):
    """What a customer answered: keep, time, deadline, call, cancel, note. Append-only."""

    __tablename__ = "answer"
    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    kind: Mapped[str] = mapped_column(String(12))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(20), default="page")
    text: Mapped[str] = mapped_column(Text, default="")
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class Received(Model):
    """A text or a mail that came in. `key` makes the same one count once; `meaning` is "" until it has been acted on.

    Whom it is from and which visit it is about are found when it is acted on; `outcome` says what came of it.
    """

    __tablename__ = "received"
    __table_args__ = (Index("ix_received_new", "settled_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(120), unique=True)
    channel: Mapped[str] = mapped_column(String(10))
    sender: Mapped[str] = mapped_column(String(254), index=True)
    subject: Mapped[str] = mapped_column(String(300), default="")
    text: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    meaning: Mapped[str] = mapped_column(String(16), default="")
    visit_id: Mapped[int | None] = mapped_column(ForeignKey("visit.id"), index=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    technician_id: Mapped[int | None] = mapped_column(ForeignKey("technician.id"))
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(300), default="")
