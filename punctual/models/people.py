"""People and what lets them in: technicians, customers, dispatchers, links, sign-ins, tokens, opt-outs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from punctual.models.base import Model, UtcDateTime


class Technician(Model):
    """Who drives to customers; nudged by e-mail or phone. `skills` is a list of words."""

    __tablename__ = "technician"
    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(20))
    skills: Mapped[list[str]] = mapped_column(JSON, default=list)
    home_place_id: Mapped[int | None] = mapped_column(ForeignKey("place.id"))
    active: Mapped[bool] = mapped_column(default=True)
    link_version: Mapped[int] = mapped_column(default=1)

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


class Customer(Model):
    """Whom a visit is for. `zone` and `language` fall back to the company's when empty."""

    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str | None] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254), index=True)
    phone: Mapped[str | None] = mapped_column(String(20), index=True)
    language: Mapped[str] = mapped_column(String(8), default="en")
    zone: Mapped[str | None] = mapped_column(String(64))
    email_bad: Mapped[str] = mapped_column(String(200), default="")
    phone_bad: Mapped[str] = mapped_column(String(200), default="")
    early_messages: Mapped[bool] = mapped_column(default=False)
    link_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


class User(Model):
    """Who signs in to the board. role: dispatcher, or manager - who decides what a dispatcher cannot."""

    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(20), default="dispatcher")
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


class Signin(Model):
    """A session on the server, of a dispatcher (user) or a technician's phone; revoking it takes effect at once."""

    __tablename__ = "signin"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    technician_id: Mapped[int | None] = mapped_column(ForeignKey("technician.id"))
    label: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginAttempt(Model):
    """One try at signing in, counted per account and per address (hashed)."""

    __tablename__ = "login_attempt"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    account: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    ok: Mapped[bool] = mapped_column(default=False)


class Link(Model):
    """A capability that was handed out: only its SHA-256 is kept; links.make() derives the token again."""

    __tablename__ = "link"
    __table_args__ = (UniqueConstraint("purpose", "owner_id", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20))
    owner_id: Mapped[int]
    version: Mapped[int] = mapped_column(default=1)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApiToken(Model):
    """A bearer token for the API: stored hashed, with scopes and an end."""

    __tablename__ = "api_token"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Suppression(Model):
    """An address that must not be written to: a keyed hash, so that it outlives the person's record."""

    __tablename__ = "suppression"
    __table_args__ = (Index("ix_suppression_address", "channel", "address_hash"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(10))
    address_hash: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    lifted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
