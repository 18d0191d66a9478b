"""Tokens that let programs use the API: made once, kept hashed, ended by time or by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from punctual import links
from punctual.actions import Refused, transaction
from punctual.models import ApiToken

#: What a token may do: read what is there, write (import, change, report).
SCOPES = ("read", "write")
MOST_DAYS = 3660


def make(name: str, scopes: Sequence[str], days: int, *, at: datetime) -> str:
    """A new token that ends after so many days; returns its secret, which is shown this once and kept nowhere."""
    wrong = [x for x in scopes if x not in SCOPES]
    if wrong or not scopes:
        raise Refused(f"The scopes of a token are {' and '.join(SCOPES)}.", status=422, field="scopes")
    if not name.strip() or len(name) > 80 or not name.isprintable():
        raise Refused("Give the token a name of 1 to 80 characters.", status=422, field="name")
    if not 1 <= days <= MOST_DAYS:
        raise Refused(f"A token lasts 1 to {MOST_DAYS} days.", status=422, field="days")
    secret = f"punctual_{links.secret()}"
    with transaction() as s:
        if s.scalar(_live(at).where(ApiToken.name == name)) is not None:
            raise Refused(f'There is a token "{name}" already. Revoke it first or choose another name.', field="name")
        s.add(
            ApiToken(
                name=name,
                token_hash=links.hashed(secret),
                scopes=sorted(set(scopes)),
                created_at=at,
                expires_at=at + timedelta(days=days),
            )
        )
    return secret


def revoke(name: str, *, at: datetime) -> int:
    """End every live token of that name at once; returns how many. Raises Refused when there is none."""
    with transaction() as s:
        rows = s.scalars(_live(at).where(ApiToken.name == name)).all()
        if not rows:
            raise Refused(f'There is no live token "{name}".', status=404, field="name")
        for row in rows:
            row.revoked_at = at
        return len(rows)


def live(s: Session, at: datetime) -> list[ApiToken]:
    """Tokens that work at that instant, oldest first."""
    return list(s.scalars(_live(at).order_by(ApiToken.id)))


def _live(at: datetime) -> Select[ApiToken]:
    return select(ApiToken).where(ApiToken.revoked_at.is_(None), ApiToken.expires_at > at)
