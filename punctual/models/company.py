"""The company, its rules, what was imported, what was learned, who is alive."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Date, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from punctual.models.base import Model, UtcDateTime


class Company(Model):
    """One row: the company of this instance. `rules` holds only what differs from core.policy.Rules' defaults."""

    __tablename__ = "company"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    text_name: Mapped[str] = mapped_column(String(20))
    zone: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8), default="en")
    country: Mapped[str] = mapped_column(String(2), default="GB")
    phone: Mapped[str] = mapped_column(String(40), default="")
    hours: Mapped[str] = mapped_column(String(80), default="")
    mail_from: Mapped[str] = mapped_column(String(254))
    rules: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Import(Model):
    """One accepted file: when, by whom, and what it changed."""

    __tablename__ = "import"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64))
    by: Mapped[str] = mapped_column(String(120), default="")
    counts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class LearnedDay(Model):
    """What one date taught: its finished visits as columns (core.packed), and what would have been forecast of them by
    what was learned before that week. `visits` counts them; `format` 0 is a date that is only marked. A forgotten
    date (a storm, a strike) teaches nothing until it is taken back.
    """

    __tablename__ = "learned_day"
    date: Mapped[date] = mapped_column(Date, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    visits: Mapped[int] = mapped_column(default=0)
    format: Mapped[int] = mapped_column(default=0)
    columns: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    looks: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    forgotten: Mapped[bool] = mapped_column(default=False)
    marked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    marked_by: Mapped[str] = mapped_column(String(120), default="")
    note: Mapped[str] = mapped_column(String(200), default="")


class Learned(Model):
    """A version of what was learned from history; the newest is in use. `data` is core.duration.Learned, `facts` what
    people are shown of it (see learn.facts)."""

    __tablename__ = "learned"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    visits: Mapped[int] = mapped_column(default=0)
    format: Mapped[int] = mapped_column(default=1)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class Heartbeat(Model):
    """A process that must be alive, and when it last said so."""

    __tablename__ = "heartbeat"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(Text, default="")


class Outage(Model):
    """A way out that is closed (a channel with its transport): since when, when it was last tried, and why."""

    __tablename__ = "outage"
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    transport: Mapped[str] = mapped_column(String(20))
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    tried_at: Mapped[datetime] = mapped_column(UtcDateTime)
    why: Mapped[str] = mapped_column(Text, default="")


class Gate(Model):
    """One row: the instance this database belongs to (see gate.py), and whether somebody paused all messages."""

    __tablename__ = "gate"
    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(String(16))
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_by: Mapped[str] = mapped_column(String(120), default="")
