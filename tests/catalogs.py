"""The catalogs of customers' words: python -m tests.catalogs takes new sentences up and compiles; tests ask what is missing."""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from punctual.core.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "punctual" / "translations"
LANGUAGES = ("es", "de")
#: Pictures of the manager's page, which is English.
STAFF = ("charts.py", "board_summary.py")
#: Verbs whose refusals customers read: every sentence there is theirs.
VERBS = ("customer", "earlier", "offer", "concern", "signoff", "note")
KEYWORDS: dict[str, Any] = {
    "_": None,
    "t": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
}
#: A sentence, a sentence and its plural, or a sentence with its context: "heading\x04Choose a new time".
Id = str | tuple[str, ...]


def wanted() -> set[Id]:
    """Every sentence a customer may read: of their pages, their messages, their calendar, and of refusals."""
    found: set[Id] = set()
    for file in sorted(f for f in (ROOT / "punctual").rglob("*.py") if f.name not in STAFF):
        found |= {_id(m, context) for _, m, _, context in extract_from_file("python", file, KEYWORDS)}
    for file in _templates():
        found |= {_id(m, c) for _, m, _, c in extract_from_file("jinja2.ext:babel_extract", file, KEYWORDS)}
    for name in VERBS:
        found |= set(_refusals(ROOT / "punctual" / "actions" / f"{name}.py"))
    return found | set(_refusals(ROOT / "punctual" / "actions" / "schedule.py"))


def _id(sentence: Any, context: str | None) -> Id:
    return f"{context}\x04{sentence}" if context else sentence


def _templates() -> Iterator[Path]:
    staff = {k.name for k in KINDS.values() if k.class_ == "staff"}
    for file in sorted((ROOT / "templates").rglob("*.*")):
        top, *rest = file.relative_to(ROOT / "templates").parts
        if top == "customer" or (top == "messages" and rest[0] not in staff):
            yield file


def _refusals(file: Path) -> Iterator[str]:
    """Whole sentences written down in a module of verbs, in code: refusals and the constants they use."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docs = {id(n.body[0].value) for n in ast.walk(tree)
            if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef) and n.body and isinstance(n.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        whole = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        if whole and re.fullmatch(r"[A-Z%].* .*[.]", node.value):  # type: ignore[attr-defined]
            yield node.value  # type: ignore[attr-defined]


def po(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


def catalog(language: str) -> Catalog:
    """The catalog of a language as it is."""
    with po(language).open("rb") as file:
        return read_po(file, locale=language)


def missing(language: str) -> list[Id]:
    """Sentences a language does not have."""
    have = _words(catalog(language))
    return [i for i in sorted(wanted(), key=str) if not _full(have.get(i))]


def _words(made: Catalog) -> dict[Id, Any]:
    return {_id(m.id, m.context): m.string for m in made if m.id}


def _full(string: object) -> bool:
    return bool(string) and (isinstance(string, str) or all(string))  # type: ignore[arg-type]


def compiled(made: Catalog) -> bytes:
    """The same words always make the same bytes."""
    made.creation_date = made.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    out = io.BytesIO()
    write_mo(out, made)
    return out.getvalue()


def save(language: str, made: Catalog) -> None:
    """The .po as it is kept: without the header's dates and names, so that only words change in it."""
    made.header_comment = "# What customers read. Take new sentences up with: python -m tests.catalogs"
    out = io.BytesIO()
    write_po(out, made, width=120, sort_output=True)
    idle = re.compile(r'^"(Project-Id|Report-|POT-|PO-Rev|Last-|Language-Team|Generated).*\n', re.MULTILINE)
    po(language).write_text(idle.sub("", out.getvalue().decode()), encoding="utf-8")


def update(language: str) -> int:
    """Take new sentences up, drop what nobody says any more, write .po and .mo; returns how many wait for words."""
    old = _words(catalog(language)) if po(language).exists() else {}
    made = Catalog(locale=language, project="punctual", charset="utf-8", fuzzy=False)
    for i in sorted(wanted(), key=str):
        context, _, sentence = i.rpartition("\x04") if isinstance(i, str) else ("", "", i)
        made.add(sentence, old.get(i, "" if isinstance(i, str) else ("", "")), context=context or None)
    po(language).parent.mkdir(parents=True, exist_ok=True)
    save(language, made)
    po(language).with_suffix(".mo").write_bytes(compiled(catalog(language)))
    return len(missing(language))


if __name__ == "__main__":
    left = {language: update(language) for language in LANGUAGES}
    print(", ".join(f"{language}: {n} without words" for language, n in left.items()))
    sys.exit(any(left.values()))
