"""Customers' words in every language: complete, kind, short enough, with the dates, plurals and zones of that language."""

from __future__ import annotations

import ast
import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import available_timezones

import pytest
from babel.dates import get_timezone_name
from flask import Flask
from flask_babel import force_locale, gettext, ngettext, refresh

from punctual import messages
from punctual.actions import transaction
from punctual.core.day import local
from punctual.core.kinds import KINDS
from punctual.core.words import FORBIDDEN as VOICE
from punctual.models import Visit, touch_board
from tests import build, catalogs
from tests.browser import everything
from tests.test_messages import CAPS, GSM, LINK, STOP_LINE, TO_CUSTOMERS, WITHOUT_LINK, preview, visible
from tests.web.visitor import visitor

BAD = VOICE
SORRY = {"es": r"\blo sentimos\b|\bsentimos\b", "de": r"\btut uns leid\b"}
#: What differs from the English caps: times have 24 hours, days and ends of promises their own form.
TIMES = {"from": "10:50", "to": "11:20", "told_from": "10:00", "told_to": "10:30", "deadline": "12:00"}
LONGEST: dict[str, dict[str, object]] = {
    "es": TIMES | {"day": "mie 18 nov", "old_day": "mar 17 nov", "due": "el mie 18 nov a las 12:00",
                   "day_long": "miércoles, 18 de noviembre de 2026", "zone": "hora de Londres, GMT",
                   "makegood_kind": "un descuento", "makegood_where": "en su factura", "words": "Tom tiene la llave.", "truth": "Bartholomeus no va de camino. Prevista de 10:50 a 11:20."},
    "de": TIMES | {"day": "Mi, 18.11.", "old_day": "Di, 17.11.", "due": "Mi, 18.11., 12:00 Uhr",
                   "day_long": "Mittwoch, 18. November 2026", "zone": "Zeit in London, GMT",
                   "makegood_kind": "einen Nachlass", "makegood_where": "auf Ihrer Rechnung", "words": "Tom hat den Schlüssel.", "truth": "Bartholomeus ist nicht unterwegs. Erwartet 10:50-11:20 Uhr."},
}  # fmt: skip
STOP = {"es": "\nSTOP = no recibir SMS, HELP = ayuda.", "de": "\nSTOP = keine SMS mehr, HELP = Hilfe."}
GREETING = {"es": "Hola, Maximiliana:\n", "de": "Guten Tag Maximiliana,\n"}
EACH = [(kind, language) for kind in TO_CUSTOMERS for language in catalogs.LANGUAGES]


def made(kind: str, language: str, **facts: object) -> messages.Composed:
    return messages.compose(kind, CAPS | LONGEST.get(language, {}) | facts, language)


@pytest.mark.parametrize("language", catalogs.LANGUAGES)
def test_no_sentence_of_a_customer_is_missing_in_a_language(language: str) -> None:
    """Add the words to punctual/translations/<language>/LC_MESSAGES/messages.po, then: python -m tests.catalogs."""
    assert catalogs.missing(language) == []


def test_no_sentence_is_looked_up_inside_an_f_string() -> None:
    """Before Python 3.12 nobody finds it there, and it stays English: "Saved at 9:40." did."""
    inside = [
        f"{file.name}:{call.lineno}"
        for file in (catalogs.ROOT / "punctual").rglob("*.py")
        for text in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in catalogs.KEYWORDS
    ]
    assert inside == []


def test_a_missing_sentence_would_be_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Negative control: without one sentence the catalog is not complete."""
    old = catalogs.po("es").read_text(encoding="utf-8")
    folder = tmp_path / "es" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(old.replace('msgid "Ask for a call"', 'msgid "Call nobody"'), encoding="utf-8")
    monkeypatch.setattr(catalogs, "FOLDER", tmp_path)
    assert catalogs.missing("es") == ["Ask for a call"]


@pytest.mark.parametrize("language", catalogs.LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    assert catalogs.po(language).with_suffix(".mo").read_bytes() == catalogs.compiled(catalogs.catalog(language)), (
        "compile it: python -m tests.catalogs"
    )


@pytest.mark.parametrize("language", catalogs.LANGUAGES)
def test_a_translation_names_no_other_values_and_breaks_no_rule(language: str) -> None:
    for message in catalogs.catalog(language):
        pairs = (
            [(message.id, message.string)]
            if isinstance(message.id, str)
            else list(zip(message.id, message.string, strict=True))
        )
        for said, words in pairs:
            names = re.compile(r"\{\w+\}|%\(\w+\)s")
            if said:
                kept = {"{hold_until}"} if message.context == "kept" else set()  # its subject says it in every language
                assert set(names.findall(words)) <= set(names.findall(said)) | kept, said
                assert not BAD[language].search(words), words
                assert "!" not in words and not re.search(r"\d{6,}", words)


@pytest.mark.parametrize(("language", "words"), [("es", "Disculpe las molestias"), ("de", "Leider kommen wir später")])
def test_forbidden_words_would_be_found(language: str, words: str) -> None:
    """Negative control."""
    assert BAD[language].search(words)


@pytest.mark.parametrize(("kind", "language"), EACH)
def test_a_message_is_whole_in_its_language(lite: Flask, kind: str, language: str) -> None:
    words = made(kind, language)
    assert f'<html lang="{language}">' in words.html
    assert words.text.startswith(GREETING[language]) and f"\n{LINK}\n" in words.text
    for part in (words.subject, words.text, visible(words.html), words.sms):
        assert not re.search(r"\{\w+\}|%\(|None", part)
        assert not re.search(r"\b(the|your|you|we are|please)\b", part, re.IGNORECASE), "a sentence is still English"
        assert not BAD[language].search(part)
    for part in (words.text, words.sms):
        assert len(re.findall(SORRY[language], part)) <= 1


#: What only an English message says of days, ends, zones and promises.
ENGLISH = re.compile(
    r"\b(?:today|(?:Mon|Tue) \d+|(?:Tues|Wednes)day \d+|London time|the spare part|a credit|not on the way)\b"
)


@pytest.mark.parametrize(("kind", "language"), EACH)
def test_a_preview_writes_days_and_promises_as_its_language_does(lite: Flask, kind: str, language: str) -> None:
    for part in (words := messages.example(kind, language)).subject, words.text, visible(words.html), words.sms:
        assert not ENGLISH.search(part), part


def test_a_preview_with_english_days_would_be_noticed_and_one_to_staff_is_english(lite: Flask) -> None:
    assert ENGLISH.search(messages.compose("moved_by_us", messages.EXAMPLE | messages.example_values("en"), "de").sms)
    for kind in (k for k, about in KINDS.items() if about.class_ == "staff"):
        assert messages.example(kind, "de") == messages.example(kind, "en")


@pytest.mark.parametrize(("kind", "language"), EACH)
def test_a_text_fits_two_segments_at_its_longest_and_needs_no_special_letters(
    lite: Flask, kind: str, language: str
) -> None:
    sms = made(kind, language).sms
    assert len(sms + STOP[language]) <= 306
    assert set(sms) <= GSM, set(sms) - GSM
    if kind not in WITHOUT_LINK:
        assert re.search(rf"{re.escape(LINK)}(\s|$)", sms), "a link is followed by a space or the end"
    assert sms.startswith("Northside Heating Co")


def test_a_text_that_is_too_long_would_be_noticed(lite: Flask) -> None:
    """Negative control."""
    assert len(made("late_first", "de", tech="x" * 300, company="y" * 80).sms + STOP["de"]) > 306
    assert len(made("late_first", "en").sms + STOP_LINE) <= 306


@pytest.mark.parametrize(("kind", "language"), EACH)
def test_subject_and_preview_are_short_and_say_different_things(lite: Flask, kind: str, language: str) -> None:
    due = {"es": "hoy a las 17:00", "de": "heute, 17:00 Uhr"}[language]
    promise = {"es": "pieza de repuesto", "de": "Ersatzteil"}[language]
    words = made(kind, language, tech="Ana", deadline="10:00", due=due, promise=promise)
    assert 10 <= len(words.subject) <= 60 and 10 <= len(preview(words.html)) <= 90
    assert words.subject != preview(words.html)


AT = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "short", "long", "zone", "due"),
    [
        ("en", "Wed 18 Nov", "Wednesday 18 November 2026", "Berlin time, CET", "18:00 today"),
        ("es", "mié 18 nov", "miércoles, 18 de noviembre de 2026", "hora de Berlín, CET", "hoy a las 18:00"),
        ("de", "Mi, 18.11.", "Mittwoch, 18. November 2026", "Zeit in Berlin, MEZ", "heute, 18:00 Uhr"),
        ("en-US", "Wed, Nov 18", "Wednesday, November 18, 2026", "Berlin time, CET", "6:00 PM today"),
    ],
)
def test_days_zones_and_ends_of_promises_are_written_as_there(
    lite: Flask, language: str, short: str, long: str, zone: str, due: str
) -> None:
    on = date(2026, 11, 18)
    assert messages.day_long(on, language) == long
    if language != "en-US":
        assert messages.day_short(on, language) == short
    later = AT.replace(hour=17)
    with lite.test_request_context():
        assert messages.zone_words("Europe/Berlin", AT, language) == zone
        assert messages.due_words(later, AT, "Europe/Berlin", language) == due


#: Minutes from UTC of the names that mean one time only.
MEANT = {"GMT": 0, "BST": 60, "WET": 0, "WEST": 60, "WEZ": 0, "WESZ": 60, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120,
         "EET": 120, "EEST": 180, "OEZ": 120, "OESZ": 180, "EST": -300, "EDT": -240, "MST": -420, "MDT": -360, "JST": 540,
         "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780, "HST": -600, "SAST": 120, "MSK": 180}  # fmt: skip


def wrongly_named(named: str, here: datetime) -> bool:
    """Whether the name of a zone's time is not what its clocks show, or none although its people have one."""
    offset = here.utcoffset()
    assert offset is not None
    off, own = offset.total_seconds() / 60, here.tzname() or ""
    said = re.fullmatch(r"UTC(?:([+-])(\d+)(?::(\d\d))?)?", named)
    if said is None:
        return not named.isalpha() or MEANT.get(named, off) != off
    size = int(said[2] or 0) * 60 + int(said[3] or 0)
    return (own.isalpha() and own != "UTC") or off != (-size if said[1] == "-" else size)


@pytest.mark.parametrize("language", ["en", "en-US", "es", "de"])
def test_the_time_of_every_zone_is_named_as_its_clocks_show_it(lite: Flask, language: str) -> None:
    wrong, old = [], []
    for zone in sorted(available_timezones()):
        for at in (datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 7, 15, 12, tzinfo=UTC)):
            here = local(at, zone)
            named = messages.zone_words(zone, at, language).rpartition(", ")[2]
            wrong += [(zone, at.month, named)] * wrongly_named(named, here)
            babels = get_timezone_name(here, width="short", locale=messages.locale_of(language))
            old += [zone] * wrongly_named(babels, here)
    assert wrong == []
    assert {"Europe/Dublin"} <= set(old), "what Babel says alone is wrong in places"
    assert messages.zone_words("Europe/London", AT, "de") == "Zeit in London, GMT"
    assert messages.zone_words("Europe/London", AT.replace(month=7), "de") == "Zeit in London, BST"


@pytest.mark.parametrize(
    ("language", "one", "many"),
    [("en", "One stop before you", "3 stops before you"), ("es", "Una parada antes de la suya", "3 paradas antes de la suya"),
     ("de", "Ein Halt vor Ihnen", "3 Halte vor Ihnen")],
)  # fmt: skip
def test_plurals_are_right(lite: Flask, language: str, one: str, many: str) -> None:
    with lite.test_request_context(), force_locale(messages.locale_of(language)):
        for n, words in ((1, one), (3, many)):
            assert ngettext("One stop before you", "%(num)s stops before you", n) == words


def test_two_people_at_once_each_read_their_own_language(lite: Flask) -> None:
    """A worker writes one letter after the other: no language of the last one is left over."""
    said = [made("kept", language).subject for language in ("de", "en", "es", "de")]
    assert said[0] == said[3] and len(set(said)) == 3
    with lite.test_request_context():
        assert gettext("Ask for a call") == "Ask for a call"


@pytest.mark.parametrize(
    ("language", "head", "refused"),
    [("es", "Prevemos llegar de 10:00 a 10:30", "Las 8:00 ya han pasado. Escriba una hora posterior."),
     ("de", "Geplante Ankunft zwischen 10:00 und 10:30 Uhr", "8:00 Uhr ist schon vorbei. Geben Sie eine spätere Zeit ein.")],
)  # fmt: skip
def test_the_page_and_its_refusals_speak_the_customers_language(
    lite: Flask, language: str, head: str, refused: str
) -> None:
    grace = visitor(lite, "08:30", language=language)
    page = grace.get()
    assert f'<html lang="{language}">' in page and head in page
    body = re.sub(r"<[^>]+>", " ", page.split("<body", 1)[1])
    assert not re.search(r"\b(the|your|you|please)\b", body, re.IGNORECASE)
    assert refused in grace.post("deadline", 422, leave_by="8:00", kind="done").text


@pytest.mark.parametrize(
    ("language", "words"), [("es", "Llegamos de 10:00 a 10:30"), ("de", "Wir kommen zwischen 10:00")]
)
def test_the_entry_to_add_by_hand_speaks_it_too(lite: Flask, language: str, words: str) -> None:
    grace = visitor(lite, "08:30", language=language)
    assert words in grace.get("/visit.ics").replace("\r\n ", "")


def test_a_day_and_a_zone_that_begin_a_sentence_begin_it_large(lite: Flask) -> None:
    page = visitor(lite, "08:30", language="es").get()
    assert ">Martes, 24 de noviembre de 2026." in page and "Hora de Londres, GMT." in page


def weight(page: str) -> int:
    """Bytes of a page with all it needs, before anything is packed."""
    parts = set(re.findall(r'(?:href|src)="(/static/[^"?]+)', page))
    assert len(parts) > 2
    return len(page.encode()) + sum((catalogs.ROOT / f"punctual{p}").stat().st_size for p in parts)


def test_every_page_of_a_customer_weighs_less_than_30_kb_in_each_state_and_language(lite: Flask) -> None:
    """A slow phone has it in a second or two."""
    grace, weights = visitor(lite, "09:40"), {}
    here = everything.Served(lite, "", grace.built, grace.token)
    for state, bring in everything.STATES:
        bring(here)
        for language in ("en", *catalogs.LANGUAGES):
            with transaction() as s:
                s.get_one(Visit, grace.visit.id).customer.language = language
                touch_board(s, build.DATE)
            for path in ("", "/times?more=1", "/cancel") if language == "de" else ("",):
                refresh()  # the words of the last request, which the test's own context remembers
                answer = grace.client.get(f"/c/{grace.token}{path}")
                if answer.status_code == 200:
                    weights[state, language, path] = weight(answer.text)
    assert len(weights) > 50 and {state for state, _, _ in weights} == {state for state, _ in everything.STATES}
    assert max(weights.values()) < 30_000, max(weights.items(), key=lambda x: x[1])
    assert max(weights.values()) > 15_000, "what a page needs is counted with it"
