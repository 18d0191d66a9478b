"""Facts to text: what a message of a kind says to one person, and how times are written for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from babel.dates import format_date, get_timezone_location, get_timezone_name
from flask import render_template
from flask_babel import force_locale, gettext

from punctual.core.day import local

#: Longest values in a text (words.md): longer is cut at a word for a company, dropped for a name.
COMPANY_CAP, NAME_CAP = 20, 12
PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SHORT = {"en": "EEE d MMM", "es": "EEE d MMM", "de": "EEE, d.M."}
_LONG = {"en": "EEEE d MMMM y", "es": "EEEE, d 'de' MMMM 'de' y", "de": "EEEE, d. MMMM y"}


@dataclass(frozen=True, slots=True)
class Composed:
    """The words of one message in its person's language."""

    subject: str
    text: str
    html: str
    sms: str


def _pattern(patterns: Mapping[str, str], language: str) -> str:
    return patterns.get(language.split("-")[0].split("_")[0], patterns["en"])


def locale_of(language: str) -> str:
    """The Babel locale of a customer's language; British English for plain "en"."""
    return {"en": "en_GB"}.get(language, language.replace("-", "_"))


def clock_time(at: datetime, zone: str, language: str = "en") -> str:
    """ "9:05" in the zone of the visit; 24 hours in every language we write."""
    here = local(at, zone)
    return f"{here.hour}:{here.minute:02d}"


def day_short(on: date, language: str = "en") -> str:
    """ "Tue 24 Nov": always with the date, never "tomorrow"."""
    return format_date(on, _pattern(_SHORT, language), locale=locale_of(language))


def day_long(on: date, language: str = "en") -> str:
    """ "Tuesday 24 November 2026"."""
    return format_date(on, _pattern(_LONG, language), locale=locale_of(language))


def zone_words(zone: str, at: datetime, language: str = "en") -> str:
    """ "London time, GMT": the zone of the visit in words, with the abbreviation in force at that instant."""
    here = local(at, zone)
    city = get_timezone_location(zone, locale=locale_of(language), return_city=True)
    short = get_timezone_name(here, width="short", locale=locale_of(language))
    return str(gettext("%(city)s time, %(short)s", city=city, short=short))


def due_words(due: datetime, at: datetime, zone: str, language: str = "en") -> str:
    """ "17:00 today" or "12:00 on Wed 18 Nov": the end of a promise, as an adverb."""
    here = local(due, zone)
    if here.date() == local(at, zone).date():
        return str(gettext("%(time)s today", time=clock_time(due, zone, language)))
    return str(
        gettext("%(time)s on %(day)s", time=clock_time(due, zone, language), day=day_short(here.date(), language))
    )


def until_minute(at: datetime) -> datetime:
    """The next full minute: a "by" is never earlier than it was meant."""
    return at if not (at.second or at.microsecond) else (at + timedelta(minutes=1)).replace(second=0, microsecond=0)


def company_in_text(name: str) -> str:
    """A company's name as texts carry it: cut at a word."""
    if len(name) <= COMPANY_CAP:
        return name
    cut = name[: COMPANY_CAP + 1].rsplit(" ", 1)[0]
    return cut[:COMPANY_CAP]


def compose(kind: str, facts: Mapping[str, Any], language: str) -> Composed:
    """The message of a kind from its facts: templates/messages/<kind>/, every sentence through gettext.

    Facts are strings, put in for {placeholders} by plain replacement; a placeholder without a fact raises ValueError.
    """
    words = {name: value for name, value in facts.items() if isinstance(value, str)}

    def t(sentence: str) -> str:
        try:
            return PLACEHOLDER.sub(lambda m: words[m[1]], str(gettext(sentence)))
        except KeyError as missing:
            raise ValueError(f"The {kind} message has no value for {missing}.") from missing

    with force_locale(locale_of(language)):
        made = {
            part: render_template(f"messages/{kind}/{part}", t=t, language=language, kind=kind, **facts)
            for part in ("subject.txt", "body.txt", "body.html", "sms.txt")
        }
    return Composed(
        subject=" ".join(made["subject.txt"].split()),
        text=made["body.txt"].strip() + "\n",
        html=made["body.html"],
        sms=made["sms.txt"].strip(),
    )
