"""Addresses and numbers as a dispatcher types them: checked and written one way, or a sentence."""

from __future__ import annotations

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.actions import Refused
from punctual.models import Company


def email(given: str) -> str | None:
    """An e-mail address as it is kept; None for an empty one."""
    if not given.strip():
        return None
    try:
        return validate_email(given.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise Refused(f"“{given[:60]}” is no e-mail address: {error}", status=422, field="email") from None


def phone(s: Session, given: str) -> str | None:
    """A phone number as +447700900117; None for an empty one. A number without a country is the company's."""
    if not given.strip():
        return None
    try:
        found = phonenumbers.parse(given, s.scalar(select(Company.country)) or None)
    except phonenumbers.NumberParseException:
        found = None
    if found is None or not phonenumbers.is_possible_number(found):
        sentence = "Write the phone with its country, for example +44 20 7946 0000."
        raise Refused(sentence, status=422, field="phone")
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def language(s: Session) -> str:
    """The company's language."""
    return s.scalar(select(Company.language)) or "en"


def zone(s: Session) -> str:
    """The company's zone."""
    return s.scalar(select(Company.zone)) or "UTC"
