"""Signing in and out: dispatchers by password or one-use link, technicians by enrolling a phone; all can be revoked."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import clock, links, outbox
from punctual.actions import Refused, transaction
from punctual.models import Link, LoginAttempt, Signin, Technician, User

#: Failed tries, per account and per address, within WINDOW_S real seconds before one has to wait.
TRIES, TRIES_ADDRESS, WINDOW_S = 10, 40, 900.0
DISPATCHER_S, TECHNICIAN_S, LINK_S = 12 * 3600.0, 90 * 86400.0, 3600.0
PASSWORD_MIN = 12
_hasher = PasswordHasher()
WRONG = "E-mail or password is wrong. Try again, or ask a colleague for a sign-in link."
DEAD_LINK = "This link has been used or is too old. Ask for a new one."


def password_hash(password: str) -> str:
    """argon2id with the library's present parameters; refuses a short password in a sentence."""
    if len(password) < PASSWORD_MIN:
        raise Refused(f"A password has at least {PASSWORD_MIN} characters.", status=422, field="password")
    return _hasher.hash(password)


def _session(
    s: Session, *, at: datetime, seconds: float, label: str, user: int | None = None, technician: int | None = None
) -> str:
    secret = links.secret()
    s.add(
        Signin(
            token_hash=links.hashed(secret),
            user_id=user,
            technician_id=technician,
            label=label[:200],
            created_at=at,
            expires_at=at + timedelta(seconds=seconds * clock.speed()),
        )
    )
    return secret


def sign_in(email: str, password: str, *, address: str, label: str, at: datetime) -> str:
    """A new session's secret, or Refused: the same sentence for a wrong password and an unknown account.

    Failed tries are counted in the database, per account and per address, before the slow check.
    """
    account = hashlib.sha256(email.strip().lower().encode("utf-8", "replace")).hexdigest()[:32]
    with transaction() as s:
        _throttle(s, account, address, at)
        s.add(LoginAttempt(at=at, account=account, address=address, ok=False))
    with transaction() as s:
        user = s.scalar(select(User).where(func.lower(User.email) == email.strip().lower(), User.active.is_(True)))
        if not _matches(user.password_hash if user and user.password_hash else _nobody(), password) or user is None:
            raise Refused(WRONG, status=401)
        if _hasher.check_needs_rehash(user.password_hash):
            user.password_hash = _hasher.hash(password)
        for tried in s.scalars(select(LoginAttempt).where(LoginAttempt.account == account, LoginAttempt.ok.is_(False))):
            tried.ok = True
        return _session(s, at=at, seconds=DISPATCHER_S, label=label, user=user.id)


@cache
def _nobody() -> str:
    """Checked for accounts that do not exist, so that they take as long as those that do."""
    return _hasher.hash("nobody has this password")


def _matches(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password.encode("utf-8", "replace"))
    except (VerificationError, InvalidHashError):
        return False


def _throttle(s: Session, account: str, address: str, at: datetime) -> None:
    since = at - timedelta(seconds=WINDOW_S * clock.speed())
    for column, value, most in ((LoginAttempt.account, account, TRIES), (LoginAttempt.address, address, TRIES_ADDRESS)):
        failed = s.scalar(
            select(func.count())
            .select_from(LoginAttempt)
            .where(column == value, LoginAttempt.ok.is_(False), LoginAttempt.at > since)
        )
        if (failed or 0) >= most:
            raise Refused(
                "Too many tries. Wait a quarter of an hour, or ask a colleague for a sign-in link.", status=429
            )


def signin_link(user_id: int, *, key: bytes, at: datetime) -> str:
    """A fresh one-use token that signs a dispatcher in; older ones end."""
    with transaction() as s:
        return _one_use(s, key, "signin", s.get_one(User, user_id).id, at)


def enrol_link(technician_id: int, *, key: bytes, at: datetime) -> str:
    """A fresh one-use token that enrols a technician's phone; older ones end."""
    with transaction() as s:
        return _one_use(s, key, "enrol", s.get_one(Technician, technician_id).id, at, hours=48)


def mail_enrol_link(technician_id: int, *, key: bytes, origin: str, at: datetime, by: str) -> None:
    """Mail a technician the link for their phone."""
    with transaction() as s:
        technician = s.get(Technician, technician_id)
        if technician is None:
            raise Refused("There is no such technician.", status=404)
        if not technician.email:
            raise Refused(
                f"{technician.first_name} has no e-mail address. Show the link as a QR code instead.", status=422
            )
        token = _one_use(s, key, "enrol", technician.id, at, hours=48)
        outbox.put(
            s,
            key=f"enrol:{technician.id}:{links.hashed(token)[:12]}",
            kind="enrol",
            at=at,
            reason="asked",
            cause=by,
            facts={"link": f"{origin}/t/enrol/{token}"},
            to="technician",
            person=technician,
        )


def _one_use(s: Session, key: bytes, purpose: links.Purpose, owner: int, at: datetime, hours: float = 1.0) -> str:
    newest = s.scalar(select(func.max(Link.version)).where(Link.purpose == purpose, Link.owner_id == owner)) or 0
    links.revoke(s, purpose, owner, at=at)
    expires = at + timedelta(seconds=hours * 3600.0 * clock.speed())
    return links.make(s, key, purpose, owner, at=at, version=newest + 1, expires=expires)


def peek(purpose: links.Purpose, token: str, *, s: Session, at: datetime) -> int | None:
    """Whose link it is, without using it up: scanners may open it as often as they like."""
    link = links.find(s, purpose, token, at=at)
    return None if link is None or link.used_at is not None else link.owner_id


def _consume(s: Session, purpose: links.Purpose, token: str, at: datetime) -> int:
    link = links.find(s, purpose, token, at=at)
    if link is None or link.used_at is not None:
        raise Refused(DEAD_LINK, status=404)
    link.used_at = at
    return link.owner_id


def enter(token: str, *, label: str, at: datetime) -> str:
    """Use up a sign-in link; returns the new session's secret."""
    with transaction() as s:
        user = s.get_one(User, _consume(s, "signin", token, at))
        if not user.active:
            raise Refused(DEAD_LINK, status=404)
        return _session(s, at=at, seconds=DISPATCHER_S, label=label, user=user.id)


def enrol(token: str, *, label: str, at: datetime) -> str:
    """Use up an enrol link; returns the secret of the phone's session."""
    with transaction() as s:
        technician = s.get_one(Technician, _consume(s, "enrol", token, at))
        if not technician.active:
            raise Refused(DEAD_LINK, status=404)
        return _session(s, at=at, seconds=TECHNICIAN_S, label=label, technician=technician.id)


def revoke(signin_id: int, *, at: datetime) -> None:
    """End a session at once."""
    with transaction() as s:
        found = s.get(Signin, signin_id)
        if found is None:
            raise Refused("There is no such session.", status=404)
        found.revoked_at = found.revoked_at or at


def sign_out(signin_id: int, *, at: datetime) -> None:
    """End one's own session."""
    revoke(signin_id, at=at)


def feed_link(technician_id: int, *, key: bytes, at: datetime) -> str:
    """The token of a technician's calendar feed: the one in use, or a new one after a revoked one."""
    with transaction() as s:
        if s.get(Technician, technician_id) is None:
            raise Refused("There is no such technician.", status=404)
        last = links.current(s, "feed", technician_id)
        version = 1 if last is None else last.version + (last.revoked_at is not None)
        return links.make(s, key, "feed", technician_id, at=at, version=version)


def revoke_feed(technician_id: int, *, at: datetime) -> None:
    """End a technician's calendar feed: programs that still ask for it get an empty calendar."""
    with transaction() as s:
        links.revoke(s, "feed", technician_id, at=at)
