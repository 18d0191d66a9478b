"""What a customer says is wrong, when they looked, where told and planned differ, and what was made good."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from punctual.models.base import Model, UtcDateTime
from punctual.models.told import Answer, Promise


class Concern(Model):
    """Something a customer says is wrong. Its clock is the promise of an answer; only an answer to them closes it.

    about: time, work, said, not_mine, other, was_there, nobody_here, rating. `replaces_id`: the one whose answer was
    "still not right".
    """

    __tablename__ = "concern"
    __table_args__ = (Index("ix_concern_answered_at", "answered_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    said_id: Mapped[int] = mapped_column(ForeignKey("answer.id"))
    promise_id: Mapped[int] = mapped_column(ForeignKey("promise.id"))
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("concern.id"))
    about: Mapped[str] = mapped_column(String(12))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    answer: Mapped[str] = mapped_column(Text, default="")
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_by: Mapped[str] = mapped_column(String(120), default="")
    said: Mapped[Answer] = relationship()
    promise: Mapped[Promise] = relationship()


class Look(Model):
    """The customer's page was visible at that moment, as its own script said. No rule uses it."""

    __tablename__ = "look"
    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Difference(Model):
    """A visit whose plan, forecast or calendar entry contradicts what was last told, and what will be done about it.

    what: core.truth.WHAT; action: core.truth.ACTIONS. Found by the look of every minute, ended by one that finds none.
    """

    __tablename__ = "difference"
    __table_args__ = (Index("ix_difference_ended_at", "ended_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    what: Mapped[str] = mapped_column(String(12))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    action: Mapped[str] = mapped_column(String(12))
    found_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class GoodRule(Model):
    """A rule of the company: what it gives for which broken promise. `credit` is in the currency's smallest unit.

    kind: late, missed, other; `warned` None: warned or not. `ask`: the dispatcher decides. `apology`: a sentence in the
    company's own language instead of the usual one.
    """

    __tablename__ = "good_rule"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    late_min: Mapped[int] = mapped_column(default=0)
    warned: Mapped[bool | None]
    discount_pct: Mapped[int] = mapped_column(default=0)
    credit: Mapped[int] = mapped_column(default=0)
    ask: Mapped[bool] = mapped_column(default=False)
    apology: Mapped[str] = mapped_column(String(200), default="")


class Good(Model):
    """What was given for a broken promise, once: the ledger for billing. state: granted, asked, refused."""

    __tablename__ = "good"
    id: Mapped[int] = mapped_column(primary_key=True)
    promise_id: Mapped[int] = mapped_column(ForeignKey("promise.id"), unique=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    late_min: Mapped[int]
    warned: Mapped[bool]
    discount_pct: Mapped[int] = mapped_column(default=0)
    credit: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(String(3))
    apology: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[str] = mapped_column(String(8))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[str] = mapped_column(String(120), default="")


class Photo(Model):
    """A photo of a customer's note, drawn anew: nothing of the file they sent is kept."""

    __tablename__ = "photo"
    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("answer.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    width: Mapped[int]
    height: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)
