"""Facts to text: what a message of a kind says to one person, and how times are written for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, get_timezone_location, get_timezone_name
from babel.numbers import format_currency
from babel.support import Translations
from flask import current_app
from flask_babel import force_locale, get_domain, gettext

from punctual import blanks
from punctual.core.day import Window, local
from punctual.core.kinds import KINDS
from punctual.core.segments import MOST, cut, fold, size

#: Longest values in a text (words.md): longer is cut at a word for a company, dropped for a name.
COMPANY_CAP, NAME_CAP = 20, 12
#: Languages there are words in.
SPOKEN = ("en", "es", "de")
#: Texts that never carry the line on STOP and HELP (words.md 0.4): they are about it, or for staff.
NO_STOP_LINE = frozenset({"optout", "help", "tech_nudge", "enrol", "esc_sender"})
#: A heading begins with a capital also where the greeting's comma lets the sentence begin without (German).
_HEADING = re.compile(r"(<h1>)(\w)")
MAIL = ("subject.txt", "body.txt", "body.html")
PARTS = (*MAIL, "sms.txt")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
#: A zone's abbreviation that is a name: "CET", not "+0100" and not "GMT+1".
_NAMED = re.compile(r"[^\W\d_]{2,}\.?")
#: The end of a range in a text: after it stands whose clocks it is by, where that may be misread.
_RANGE_END = re.compile(r"\{to\}( Uhr)?")
_SHORT = {"en": "EEE d MMM", "en_US": "EEE MMM d", "es": "EEE d MMM", "de": "ccc, dd.MM."}
_LONG = {
    "en": "EEEE d MMMM y",
    "en_US": "EEEE, MMMM d, y",
    "es": "EEEE, d 'de' MMMM 'de' y",
    "de": "EEEE, d. MMMM y",
}


@dataclass(frozen=True, slots=True)
class Composed:
    """The words of one message in its person's language."""

    subject: str
    text: str
    html: str
    sms: str


def _pattern(patterns: Mapping[str, str], language: str) -> str:
    name = locale_of(language)
    return patterns.get(name) or patterns.get(name.split("_")[0], patterns["en"])


def spoken(language: str) -> str:
    """The language a customer of that language is written to in: theirs where there are words in it, else English.

    Days and zones follow: an English sentence with a Japanese date would be half read, and cost four segments.
    """
    return language if language.replace("_", "-").split("-")[0].lower() in SPOKEN else "en"


@lru_cache(maxsize=64)
def locale_of(language: str) -> str:
    """The Babel locale of a customer's language: British English for plain "en" and for what we have no words in."""
    if spoken(language) == "en":
        return "en_GB"
    try:
        return str(Locale.parse(language.replace("-", "_")))
    except (ValueError, UnknownLocaleError):
        return "en_GB"


def catalog(language: str) -> Translations:
    """The sentences of a customer's language. Making it the one that is spoken would cost more than a sentence."""
    return _catalog(locale_of(language))


@lru_cache(maxsize=32)
def _catalog(name: str) -> Translations:
    with current_app.app_context(), force_locale(name):
        found: Translations = get_domain().get_translations()
        return found


def clock_time(at: datetime, zone: str, language: str = "en") -> str:
    """ "9:05" in the zone of the visit; "9:05 AM" in American English, 24 hours everywhere else."""
    here = local(at, zone)
    if locale_of(language) == "en_US":
        return f"{here.hour % 12 or 12}:{here.minute:02d} {'AM' if here.hour < 12 else 'PM'}"
    return f"{here.hour}:{here.minute:02d}"


@lru_cache(maxsize=256)
def day_short(on: date, language: str = "en") -> str:
    """ "Tue 24 Nov": always with the date, never "tomorrow"."""
    return format_date(on, _pattern(_SHORT, language), locale=locale_of(language))


@lru_cache(maxsize=256)
def day_long(on: date, language: str = "en") -> str:
    """ "Tuesday 24 November 2026"."""
    return format_date(on, _pattern(_LONG, language), locale=locale_of(language))


def zone_words(zone: str, at: datetime, language: str = "en") -> str:
    """ "London time, GMT": the zone of the visit in words, with the abbreviation in force at that instant."""
    quarter = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)  # no zone changes within one
    return _zone_words(zone, quarter, locale_of(language))


@lru_cache(maxsize=256)
def _zone_words(zone: str, at: datetime, name: str) -> str:
    short = _abbreviation(local(at, zone), name)
    if "/" not in zone or zone.startswith("Etc/"):
        return short
    city = get_timezone_location(zone, locale=name, return_city=True)
    with force_locale(name):
        return str(gettext("%(city)s time, %(short)s", city=city, short=short))


def _abbreviation(here: datetime, locale: str) -> str:
    """ "MEZ" in German, "CET" in English: a language's own, else the one used there ("BST"), else "UTC+5:30"."""
    for short in (get_timezone_name(here, width="short", locale=locale), here.tzname() or ""):
        # By the languages' data it is GMT in Ireland in summer too, when the zone's own name is IST.
        if _NAMED.fullmatch(short) and not (short == "GMT" and here.utcoffset()):
            return short
    sign, hours, rest = f"{here:%z}"[0], int(f"{here:%z}"[1:3]), f"{here:%z}"[3:5]
    return "UTC" + (f"{sign}{hours}" if hours or rest != "00" else "") + (f":{rest}" if rest != "00" else "")


def due_words(due: datetime, at: datetime, zone: str, language: str = "en") -> str:
    """ "17:00 today" or "12:00 on Wed 18 Nov": the end of a promise, as an adverb."""
    here, time, gettext = local(due, zone), clock_time(due, zone, language), catalog(language).ugettext
    if here.date() == local(at, zone).date():
        return str(gettext("%(time)s today") % {"time": time})
    return str(gettext("%(time)s on %(day)s") % {"time": time, "day": day_short(here.date(), language)})


def until_words(at: datetime, zone: str, language: str = "en") -> str:
    """ "10:15": the end of a hold, with its article or "Uhr" where the language wants one."""
    time = clock_time(at, zone, language)
    article = "la" if time.startswith("1:") else "las"
    return {"es": f"{article} {time}", "de": f"{time} Uhr"}.get(locale_of(language).split("_")[0], time)


def range_words(window: Window, zone: str, language: str = "en") -> str:
    """ "Wednesday 25 November 2026, between 9:00 and 10:00": a time that is offered."""
    on = day_long(local(window.start, zone).date(), language)
    ends = {"start": clock_time(window.start, zone, language), "end": clock_time(window.end, zone, language)}
    with force_locale(locale_of(language)):
        return str(gettext("%(day)s, between %(start)s and %(end)s", day=on, **ends))


def company_in_text(name: str) -> str:
    """A company's name as texts carry it: cut at a word."""
    if len(name) <= COMPANY_CAP:
        return name
    cut = name[: COMPANY_CAP + 1].rsplit(" ", 1)[0]
    return cut[:COMPANY_CAP]


def fill(sentence: str, facts: Mapping[str, Any]) -> str:
    """The sentence with its {placeholders} replaced, once and plainly; one without a value raises ValueError.

    A value that ends with a full stop ("Di, 24.11.", "Smith Ltd.") ends the sentence too.
    """

    if "{" not in sentence:
        return sentence

    def value(found: re.Match[str]) -> str:
        given = facts.get(found[1])
        if not isinstance(given, str):
            raise ValueError(f"A message has no value for {{{found[1]}}}.")
        return given.removesuffix(".") if sentence[found.end() :][:1] == "." else given

    return PLACEHOLDER.sub(value, sentence)


def compose(kind: str, facts: Mapping[str, Any], language: str, parts: tuple[str, ...] = PARTS) -> Composed:
    """The message of a kind from its facts: templates/messages/<kind>/, every sentence through gettext; `parts` where
    not all are wanted.

    Facts are strings, put in for {placeholders} by plain replacement; a placeholder without a fact raises ValueError. A
    template that was rendered for such facts before is not rendered again: its blanks are filled.
    """
    given = blanks.shape(facts)
    forms = _forms.__wrapped__ if any(facts.get(name) for name in blanks.THEIRS) else _forms
    made = {part: form.filled(facts) for part, form in forms(kind, language, parts, given).items()}
    return Composed(
        subject=" ".join(made.get("subject.txt", "").split()),
        text=made.get("body.txt", "").strip() + "\n",
        html=_HEADING.sub(lambda m: m[1] + m[2].upper(), made.get("body.html", "")),
        sms=made.get("sms.txt", "").strip(),
    )


@lru_cache(maxsize=256)
def _forms(kind: str, language: str, parts: tuple[str, ...], given: blanks.Shape) -> dict[str, blanks.Form]:
    """The parts of a message whose facts have that shape. What a person wrote themselves is not kept here."""
    words, facts = catalog(language), blanks.blank(given)

    def t(sentence: str) -> str:
        return fill(words.ugettext(sentence), facts)

    all_ = {"t": t, "pgettext": words.upgettext, "language": spoken(language), "kind": kind, **facts}
    made = {part: _rendered(f"messages/{kind}/{part}", all_) for part in parts}
    return {part: blanks.Form(said, html=part.endswith(".html")) for part, said in made.items()}


def _rendered(name: str, given: dict[str, Any]) -> str:
    """A template filled with what is given and nothing else: what pages are given beside costs more than the rest."""
    template = current_app.jinja_env.get_template(name)
    return "".join(template.root_render_func(template.new_context(given, shared=True)))


def text(kind: str, facts: Mapping[str, Any], language: str, *, first: bool = False) -> str:
    """The text message of a kind, folded for GSM-7; `first`: the line on STOP and HELP is appended.

    A name that is too long for a text is left out, and so is one that would cost a third segment. `facts["zone_hint"]`:
    "London time, GMT" for a customer whose phone may be in another zone; where it costs a segment, only "GMT". What is
    too long even so is cut, its link stays whole.
    """
    line = "\n" + _stop_line(language) if first and kind not in NO_STOP_LINE else ""
    made = ""
    for tried in _tries(facts, language):
        made = fold(_sms(kind, tried, language))
        if size(made + line).segments <= MOST:
            return made + line
    return cut(made, line)


def _tries(facts: Mapping[str, Any], language: str) -> Iterator[dict[str, Any]]:
    """The facts of a text as they are, then ever shorter: without the name, the zone in words, names of other scripts."""
    name, hint = str(facts.get("name", "")), str(facts.get("zone_hint", ""))
    words, _comma, short = hint.rpartition(", ")
    tries = [(name if len(name) <= NAME_CAP else "", words or short), ("", words or short), ("", short)]
    for given, zone in dict.fromkeys(tries):
        yield {**facts, "name": given, "zone_hint": zone}
    yield {**_without_scripts(facts, language), "name": "", "zone_hint": short}


def _without_scripts(facts: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The facts without names of ours in another script, which make a text of four segments of one of two: the company
    is known by the address of its link, and nobody's name is spelt wrongly."""
    made = dict(facts)
    host = urlsplit(str(facts.get("link", ""))).hostname or ""
    company = host if host and _in_another_script(facts["company"]) else facts["company"]
    for fact, instead in (("company", company), ("tech", _somebody(language)), ("owner", company)):
        name = str(facts.get(fact, ""))
        if _in_another_script(name):
            made |= {k: v.replace(name, instead) for k, v in made.items() if isinstance(v, str)}
    return made


def _in_another_script(name: str) -> bool:
    return size(fold(name)).coding == "UCS-2"


def _somebody(language: str) -> str:
    with force_locale(locale_of(language)):
        return str(gettext("Our technician"))


def example(kind: str, language: str, own: Mapping[str, str] | None = None) -> Composed:
    """A message with example values, as the preview and the board show it; the text is folded as it would leave.

    `own`: what the company itself puts into it (`facts.own`), so that its segments are those of its own texts. Staff is
    written to in English, whatever the language.
    """
    language = "en" if KINDS[kind].class_ == "staff" else language
    facts = EXAMPLE | example_values(language) | dict(own or {})
    if KINDS[kind].stop:
        facts["link_mail_stop"] = facts["link"].replace("/c/", "/s/", 1)
    made = compose(kind, facts, language)
    return replace(made, sms=text(kind, facts, language))


@lru_cache(maxsize=8)
def example_values(language: str) -> dict[str, Any]:
    """What of the example values each language writes its own way: days, ends, zones, money, what was promised."""
    zone, at = "Europe/London", datetime(2026, 11, 24, 9, 40, tzinfo=UTC)
    offered = at.replace(day=25, hour=9, minute=0)
    wish = clock_time(offered.replace(hour=16), zone, language)
    with force_locale(locale_of(language)):
        said = {name: str(gettext(sentence)) for name, sentence in _SAID.items()}
        amount = format_currency(20, "GBP", locale=locale_of(language))
        said["makegood"] = str(gettext("a credit of %(amount)s", amount=amount))
    return {
        **said,
        "truth": fill(said["truth"], EXAMPLE),
        "day": day_short(at.date(), language),
        "day_long": day_long(at.date(), language),
        "old_day": day_short(at.date() - timedelta(days=1), language),
        "due": due_words(at.replace(hour=17, minute=0), at, zone, language),
        "old_due": due_words(at.replace(hour=12, minute=0), at, zone, language),
        "done_at": due_words(at.replace(hour=11), at, zone, language),
        "hold_until": until_words(at.replace(hour=10, minute=15), zone, language),
        "zone": zone_words(zone, at, language),
        "wish": f"{day_long(offered.date(), language)}, {wish}",
        "offer_list": [range_words(Window(offered, offered + timedelta(minutes=30)), zone, language)],
    }


def _sms(kind: str, facts: Mapping[str, Any], language: str) -> str:
    def t(sentence: str) -> str:
        said = str(gettext(sentence))
        if not facts["name"]:
            said = said.replace("{name}, ", "").replace(", {name}", "").replace(" {name}", "")
        if facts["zone_hint"]:
            said = _RANGE_END.sub(lambda end: f"{end[0]} ({facts['zone_hint']})", said, count=1)
        return fill(said, facts)

    with force_locale(locale_of(language)):
        made = _rendered(f"messages/{kind}/sms.txt", {"t": t, "language": language, "kind": kind, **facts})
    return made.strip()


def _stop_line(language: str) -> str:
    with force_locale(locale_of(language)):
        return str(gettext("Reply STOP to opt out, HELP for help."))


#: Example values that are the same in every language; `example_values` has the others.
EXAMPLE: dict[str, Any] = {
    "company": "Bellweather Heating",
    "company_full": "Bellweather Heating",
    "company_phone": "0117 496 0118",
    "company_hours": "Mon-Fri 8:00-18:00",
    "name": "Grace",
    "tech": "Tom",
    "owner": "Dana",
    "from": "10:40",
    "to": "11:15",
    "told_from": "10:00",
    "told_to": "10:30",
    "deadline": "12:00",
    "arrive": False,
    "concern_text": "The time. My letter says Monday.",
    "answer_text": "It is Tuesday; we have corrected the letter.",
    "owner_above": "Maria",
    "stays": True,
    "invited": True,
    "words": "Tom has the key. He rings when he is at the door.",
    "time": "10:50",
    "arrived": "10:50",
    "job": "Boiler service",
    "link": "https://visits.example.com/c/k3J9k3J9k3J9k3J9k3J9k3",
    "times_link": "https://visits.example.com/c/k3J9k3J9k3J9k3J9k3J9k3/times",
    "visit_ref": "your 9:00 visit",
    "last_report": "8:10",
    "next_from": "10:00",
    "range_from": True,
    "count": "12",
    "untold": "3",
    "reason": "The provider cannot be reached.",
}
#: Of these the sentences of the catalogs.
_SAID = {
    "promise": "the spare part",
    "truth": "{tech} is not on the way. Expected {from}-{to}.",
    "apology": "On {day_long} we promised to arrive by {told_to} and arrived at {arrived}. We are sorry.",
    "makegood_kind": "a credit",
    "makegood_where": "on your invoice",
}
