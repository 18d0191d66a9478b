"""One cell of a file: text to a date, a time, a number, an address - or a sentence that says how to write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email

#: Dates outside these years are slips of the keyboard.
YEARS = range(2000, 2100)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
YES, NO = frozenset({"yes", "y", "true", "1", "x"}), frozenset({"", "no", "n", "false", "0"})

_ISO = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ]00:00(?::00)?)?")
_DOTS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_SLASHES = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})")
_NAMED = re.compile(r"(\d{1,2})[ -]([A-Za-z]{3})[a-z]*[ -](\d{4})")
_NAMED_US = re.compile(r"([A-Za-z]{3})[a-z]* (\d{1,2}),? (\d{4})")
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})(?::00)? ?([ap]\.?m\.?)?(\+1)?", re.IGNORECASE)
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(?::\d{2})?")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a cell: row as in the file (the header is row 1), column, and a whole sentence."""

    row: int
    column: str
    sentence: str


class Wrong(ValueError):
    """A cell that cannot be used; the message says why and how to write it."""


@dataclass(frozen=True, slots=True)
class Time:
    """A wall time; `after` is 1 for the next morning."""

    hour: int
    minute: int
    after: int = 0

    def __str__(self) -> str:
        return f"{self.hour:02}:{self.minute:02}" + ("+1" if self.after else "")


def short(text: str) -> str:
    """A cell as it may be quoted: one line, not longer than 40 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 40 else line[:39] + "…"


def day(text: str) -> date:
    """A date: 2026-02-28, or a form of Excel that can be only one date."""
    named = _NAMED.fullmatch(text) or _NAMED_US.fullmatch(text)
    if m := _ISO.fullmatch(text):
        year, month, number = int(m[1]), int(m[2]), int(m[3])
    elif m := _DOTS.fullmatch(text):
        number, month, year = int(m[1]), int(m[2]), int(m[3])
    elif m := _SLASHES.fullmatch(text):
        number, month, year = int(m[1]), int(m[2]), int(m[3])
        if number <= 12 and month <= 12 and number != month:
            raise Wrong(f'"{text}" can be two dates. Write {year:04}-{month:02}-{number:02}.')
        if month > 12:
            number, month = month, number
    elif named:
        word, number = (named[2], int(named[1])) if named[1].isdigit() else (named[1], int(named[2]))
        year, month = int(named[3]), MONTHS.index(word.lower()) + 1 if word.lower() in MONTHS else 0
    else:
        raise Wrong(f'"{short(text)}" is not a date. Write 2026-02-28.')
    try:
        found = date(year, month, number)
    except ValueError:
        raise Wrong(f'"{short(text)}" is not a date. Write 2026-02-28.') from None
    if found.year not in YEARS:
        raise Wrong(f'"{short(text)}" is not in the years {YEARS[0]} to {YEARS[-1]}.')
    return found


def time(text: str) -> Time:
    """A wall time: 9:00, 09:00:00, 9:00 pm; 06:00+1 is the next morning."""
    m = _TIME.fullmatch(text)
    if m is None:
        raise Wrong(f'"{short(text)}" is not a time. Write 09:30.')
    hour, minute, half = int(m[1]), int(m[2]), (m[3] or "").replace(".", "").lower()
    if half and not 1 <= hour <= 12:
        raise Wrong(f'"{short(text)}" is not a time. Write 09:30.')
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    if hour > 23 or minute > 59:
        raise Wrong(f'"{short(text)}" is not a time. Write 09:30.')
    return Time(hour, minute, 1 if m[4] else 0)


def stamp(text: str) -> tuple[date, Time]:
    """A date and a wall time in one cell: 2026-02-28T09:30."""
    m = _STAMP.fullmatch(text)
    if m is None:
        raise Wrong(f'"{short(text)}" is not a date with a time. Write 2026-02-28T09:30.')
    return day(m[1]), time(m[2])


def number(text: str, least: float, most: float) -> float:
    """A number within limits; a comma may stand for the decimal point."""
    plain = text.replace(",", ".", 1)
    if not re.fullmatch(r"[-+]?\d{1,9}(\.\d{1,12})?", plain) or not least <= float(plain) <= most:
        raise Wrong(f'"{short(text)}" is not a number from {least:g} to {most:g}.')
    return float(plain)


def flag(text: str) -> bool:
    """yes or no."""
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    raise Wrong(f'"{short(text)}" is neither yes nor no.')


@lru_cache(maxsize=4096)
def email(text: str) -> str:
    """An e-mail address, normalised; its domain is not asked."""
    try:
        return validate_email(text, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise Wrong(f'"{short(text)}" is not an e-mail address. Write name@example.com.') from None


@lru_cache(maxsize=4096)
def phone(text: str, country: str) -> str:
    """A phone number in E.164; one without its country belongs to the company's."""
    try:
        found = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        found = None
    if found is None or not phonenumbers.is_possible_number(found):
        raise Wrong("write it with the country, for example +44 20 7946 0000.")
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone(text: str) -> str:
    """The name of a time zone."""
    if text not in _zones():
        raise Wrong(f'"{short(text)}" is not known. Write for example Europe/Berlin.')
    return text


def language(text: str) -> str:
    """A language tag: en, de, pt-BR."""
    if not re.fullmatch(r"[A-Za-z]{2}([-_][A-Za-z]{2})?", text):
        raise Wrong(f'"{short(text)}" is not a language. Write for example en or de.')
    return text.replace("_", "-")


def meant(text: str, known: dict[str, str]) -> str:
    """ " Did you mean Ana Ribeiro?" when a known word (-> what to write) is spelled much alike, else nothing."""
    lower = {word.casefold(): write for word, write in known.items()}
    close = get_close_matches(text.casefold(), list(lower), n=1, cutoff=0.6)
    return f" Did you mean {lower[close[0]]}?" if close else ""
