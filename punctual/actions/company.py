"""Making a company, and the people who may sign in to its board."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from email_validator import EmailNotValidError, validate_email
from phonenumbers import SUPPORTED_REGIONS
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.actions import Refused, access, transaction
from punctual.core import policy
from punctual.messages import company_in_text
from punctual.models import Company, User


def address(value: str, field: str = "email") -> str:
    """A checked e-mail address, or Refused in a sentence."""
    try:
        return str(validate_email(value.strip(), check_deliverability=False).normalized)
    except EmailNotValidError as error:
        raise Refused(f'"{value}" is not an e-mail address: {error}', status=422, field=field) from error


def known_zone(zone: str) -> str:
    """An IANA zone there is, or Refused in a sentence."""
    try:
        return ZoneInfo(zone).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused(f'"{zone}" is not a known zone. Write for example Europe/London.', status=422) from error


def known_country(country: str) -> str:
    """Two letters that phone numbers without a country are read by, or Refused in a sentence."""
    code = country.strip().upper()
    if code not in SUPPORTED_REGIONS:
        sentence = f'"{country}" is not the code of a country. Write its two letters, for example GB.'
        raise Refused(sentence, status=422, field="country")
    return code


def found(
    *,
    name: str,
    zone: str,
    mail_from: str,
    at: datetime,
    phone: str = "",
    hours: str = "",
    country: str = "GB",
    demo: bool = False,
    rules: dict[str, Any] | None = None,
    dispatcher: str = "",
    dispatcher_name: str = "",
    password: str = "",
) -> None:
    """The one company of this instance, with its first dispatcher where one is named: both, or neither.

    Refused where there is a company already or a value makes no sense.
    """
    kept = access.password_hash(password) if password else ""
    if not name.strip():
        raise Refused("A company needs a name.", status=422, field="name")
    zone, country = known_zone(zone), known_country(country)
    policy.rules(rules or {})
    with transaction() as s:
        if s.get(Company, 1) is not None:
            raise Refused("There is a company in this database already. Use another instance folder for a second one.")
        s.add(
            Company(
                id=1,
                name=name.strip(),
                text_name=company_in_text(name.strip()),
                zone=zone,
                language="en",
                country=country,
                phone=phone,
                hours=hours,
                mail_from=address(mail_from, "mail"),
                rules=rules or {},
                demo=demo,
                created_at=at,
            )
        )
        if dispatcher:
            _user(s, address(dispatcher, "dispatcher"), dispatcher_name, kept, at)


def add_user(email: str, name: str, *, password: str = "", role: str = "", at: datetime) -> int:
    """A dispatcher, or a manager who decides what a dispatcher cannot; without a password they sign in by link.

    Returns the id; the same e-mail again changes the password and the role that is given.
    """
    kept = access.password_hash(password) if password else ""
    with transaction() as s:
        made = _user(s, address(email), name, kept, at)
        if role:
            s.get_one(User, made).role = role
        return made


def _user(s: Session, mail: str, name: str, kept: str, at: datetime) -> int:
    user = s.scalar(select(User).where(func.lower(User.email) == mail.lower()))
    if user is None:
        user = User(email=mail, name=name.strip() or mail, created_at=at)
        s.add(user)
    if kept:
        user.password_hash = kept
    s.flush()
    return user.id


def change_rules(changed: dict[str, Any]) -> None:
    """Change some of the company's rules; ValueError in a sentence for one that makes no sense."""
    with transaction() as s:
        company = s.get_one(Company, 1)
        merged = {**company.rules, **changed}
        policy.rules(merged)
        company.rules = merged
