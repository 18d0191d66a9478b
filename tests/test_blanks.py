"""A message whose template was rendered before, for somebody else, reads exactly as if it had been rendered for its person."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from punctual import blanks, messages
from punctual.core.kinds import KINDS
from punctual.messages import PARTS, catalog, compose, example_values, fill, spoken

LANGUAGES = ("en", "en-US", "es", "de")
#: What may be missing, and what a message looks into.
MAYBE = ("company_phone", "company_hours", "link_mail_stop", "times_link", "jsonld")


def facts(language: str, **own: Any) -> dict[str, Any]:
    given = messages.EXAMPLE | example_values(language) | {n: f"{n} of ours" for n in MAYBE}
    return given | {"apology": "On {day_long} we came late.", "words": "", "offer_list": []} | own


def nasty(language: str) -> dict[str, Any]:
    """Words of a person that a template must not take for its own."""
    given = facts(language)
    words = {n: f"<{n}> & '{{{n}}}' Ltd." for n, v in given.items() if isinstance(v, str) and n not in blanks.THEIRS}
    return given | words | {"words": "One <b>line</b>.\nAnother.", "offer_list": ["Mon <9:00>", "Tue."]}


def straight(app: Flask, kind: str, given: dict[str, Any], language: str) -> dict[str, str]:
    """Every part, rendered for these facts alone."""
    words = catalog(language)
    all_ = {"pgettext": words.upgettext, "language": spoken(language), "kind": kind, **given}
    all_["t"] = lambda sentence: fill(words.ugettext(sentence), given)
    return {part: app.jinja_env.get_template(f"messages/{kind}/{part}").render(all_) for part in PARTS}


def read(made: messages.Composed) -> list[str]:
    return [" ".join(x.split()) for x in (made.subject, made.text, made.html.casefold(), made.sms)]


def differs(app: Flask, kind: str, given: dict[str, Any], language: str) -> bool:
    one = straight(app, kind, given, language)
    one["body.html"] = one["body.html"].casefold()
    return read(compose(kind, given, language)) != [" ".join(one[part].split()) for part in PARTS]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_form_filled_for_a_second_person_reads_as_if_made_for_them(lite: Flask, kind: str, language: str) -> None:
    compose(kind, facts(language), language)
    theirs = facts(
        language, name="Zoë <Ltd.>", tech="Ann & Bob.", day="Di, 24.11.", link="https://x/c/'1'", to="9:05 Uhr."
    )
    assert not differs(lite, kind, theirs, language)
    assert not differs(lite, kind, nasty(language), language)
    for missing in MAYBE:
        assert not differs(lite, kind, facts(language, **{missing: ""}), language)


def test_words_a_template_looks_into_are_not_blanks_and_one_that_was_would_read_wrong(lite: Flask) -> None:
    """Negative control: a sentence of a person's own, taken for a blank, keeps its {placeholders}."""
    given = facts("en", apology="We came at {arrived}.", arrived="10:50")
    assert "We came at 10:50." in compose("makegood", given, "en").text
    shape = tuple((name, str if name == "apology" else value) for name, value in blanks.shape(given))
    form = messages._forms.__wrapped__("makegood", "en", ("body.txt",), shape)["body.txt"]
    assert "We came at {arrived}." in form.filled(given)


def test_what_a_person_wrote_is_not_kept_when_the_message_has_left(lite: Flask) -> None:
    before = messages._forms.cache_info().misses
    compose("reply", facts("en", words=f"Only once: {before}."), "en")
    assert messages._forms.cache_info().misses == before
