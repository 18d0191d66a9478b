"""The customer's pages say what was written down for them, in every language, sentence by sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import catalogs

TABLE = Path(__file__).parent / "data" / "page_words.md"
LANGUAGES = ("en", *catalogs.LANGUAGES)


def plain(words: str) -> str:
    """Without what differs in how a value is named, or how a sentence ends where another follows."""
    return re.sub(r"%\(\w+\)s|\{\w+\}", "…", words).strip().rstrip(".")


def cells() -> list[tuple[str, dict[str, str]]]:
    """Every cell: what it is for, and its words by language; choices one by one."""
    found, part = [], ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#### "):
            part = line[5:]
        row = [x.strip() for x in line.strip("|").split("|")]
        if line.startswith("| ") and row[1:] != ["English", "Español", "Deutsch"]:
            for choices in zip(*(x.split(" · ") for x in row[1:]), strict=True):
                found.append((f"{part}, {row[0]}", dict(zip(LANGUAGES, choices, strict=True))))
    return found


def said(language: str) -> dict[str, set[str]]:
    """Every English sentence a page has, and what that language says for it."""
    found: dict[str, set[str]] = {}
    for message in catalogs.catalog(language):
        for one in (message.id,) if isinstance(message.id, str) else message.id:
            words = message.string if isinstance(message.string, str) else message.string[0]
            found.setdefault(plain(one), set()).add(plain(words))
    return found


def differing(table: list[tuple[str, dict[str, str]]]) -> list[str]:
    """The cells that no page says like that: sentences may follow one another as they please, none may differ."""
    wrong = []
    for language in catalogs.LANGUAGES:
        have = said(language)
        for where, words in table:
            if not _made_of(plain(words["en"]), plain(words[language]), have):
                wrong.append(f"{language}, {where}: {words[language]}")
    return wrong


def _made_of(english: str, other: str, have: dict[str, set[str]]) -> bool:
    """Whether both are the same row of sentences."""
    if other in have.get(english, ()):
        return True
    ends = [m.end() for m in re.finditer(r"[.?:,]? ", english)]
    firsts = ((plain(english[:end]), plain(english[end:])) for end in ends)
    starts = ((first, rest, words) for first, rest in firsts for words in have.get(first, ()) if words)
    return any(
        other.startswith(words) and _made_of(rest, plain(other[len(words) :].lstrip(".?:, ")), have)
        for _, rest, words in starts
    )


def test_every_sentence_of_a_page_is_the_one_that_was_written_for_it() -> None:
    table = cells()
    assert len(table) > 90
    assert differing(table) == []


@pytest.mark.parametrize(("old", "new"), [("Diese Zeiten sind jetzt frei", "Das ist jetzt frei"), ("Book", "Order")])
def test_another_word_would_be_noticed(old: str, new: str) -> None:
    """Negative control."""
    changed = [(where, {x: words[x].replace(old, new) for x in words}) for where, words in cells()]
    assert differing(changed)
