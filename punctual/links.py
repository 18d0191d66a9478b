"""Links that let people in: made from the instance's key, looked up by hash, revoked by raising the version."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Literal

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from punctual.models import Link, Plain

Purpose = Literal["customer", "enrol", "signin", "feed", "stop"]


def token(key: bytes, purpose: Purpose, owner: int, version: int) -> str:
    """base64url(HMAC-SHA256(key, purpose | row id | version))[:22]: 132 bits, made again whenever needed."""
    mac = hmac.new(key, f"{purpose}|{owner}|{version}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).decode()[:22]


def hashed(value: str) -> str:
    """The form in which a token is kept."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def make(
    s: Session,
    key: bytes,
    purpose: Purpose,
    owner: int,
    *,
    at: datetime,
    version: int = 1,
    expires: datetime | None = None,
) -> str:
    """The token of that purpose, owner and version; its row is written on first use. Writes in the caller's transaction."""
    made = token(key, purpose, owner, version)
    c = s.connection()
    if _KNOWN.scalar(c, purpose=purpose, owner=owner, version=version) is None:
        _MAKE[c.dialect.name].run(
            c,
            purpose=purpose,
            owner_id=owner,
            version=version,
            token_hash=hashed(made),
            created_at=at,
            expires_at=expires,
        )
    return made


_KNOWN = Plain(
    select(Link.id).where(
        Link.purpose == bindparam("purpose", ""),
        Link.owner_id == bindparam("owner", 0),
        Link.version == bindparam("version", 0),
    ),
    "purpose",
    "owner",
    "version",
)
_COLUMNS = ("purpose", "owner_id", "version", "token_hash", "created_at", "expires_at")
#: INSERT a link unless somebody has made the same one a moment ago.
_MAKE = {
    dialect: Plain(
        insert(Link).values({name: bindparam(name, None) for name in _COLUMNS}).on_conflict_do_nothing(), *_COLUMNS
    )
    for dialect, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


def find(s: Session, purpose: Purpose, given: str, *, at: datetime) -> Link | None:
    """The live link a token belongs to; None for unknown, expired, used up or revoked - no difference shows."""
    if len(given) != 22:
        return None
    link: Link | None = s.scalar(select(Link).where(Link.token_hash == hashed(given), Link.purpose == purpose))
    if link is None or link.revoked_at is not None or (link.expires_at is not None and link.expires_at <= at):
        return None
    return link


def revoke(s: Session, purpose: Purpose, owner: int, *, at: datetime) -> None:
    """End every link of that purpose and owner; the caller raises the owner's version for the next one."""
    for link in s.scalars(
        select(Link).where(Link.purpose == purpose, Link.owner_id == owner, Link.revoked_at.is_(None))
    ):
        link.revoked_at = at


def current(s: Session, purpose: Purpose, owner: int) -> Link | None:
    """The newest link of that purpose and owner, revoked or not."""
    rows = select(Link).where(Link.purpose == purpose, Link.owner_id == owner)
    found: Link | None = s.scalar(rows.order_by(Link.version.desc()).limit(1))
    return found


def secret() -> str:
    """A fresh random token (sessions, API): 256 bits."""
    return secrets.token_urlsafe(32)
