"""A page's form as somebody filled it in, with a sentence at the field that is at fault: what was typed is not lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markupsafe import escape

Attributes = dict[str, str | None]
#: A stretch of the page and what stands there instead.
Edit = tuple[int, int, str]
#: What nobody types into.
UNTYPED = frozenset({"hidden", "submit", "button", "image", "reset", "file", "password"})


@dataclass
class _Tag:
    """A start tag and where it stands; `ends`: where its end tag begins and ends, once that was met."""

    name: str
    attributes: Attributes
    start: int
    end: int
    ends: tuple[int, int] = (0, 0)
    label: _Tag | None = None
    options: list[_Tag] = field(default_factory=list)

    @property
    def field(self) -> str:
        typed = self.name in ("textarea", "select") or self.attributes.get("type") not in UNTYPED
        return (self.attributes.get("name") or "") if typed else ""

    def written(self, **changed: str | None) -> Edit:
        """The tag with other attributes: "" without a value, None not at all."""
        all_ = {**self.attributes, **{name.replace("_", "-"): value for name, value in changed.items()}}
        gone = {name.replace("_", "-") for name, value in changed.items() if value is None}
        parts = [f'{name}="{escape(value)}"' if value else name for name, value in all_.items() if name not in gone]
        return self.start, self.end, f"<{' '.join([self.name, *parts])}>"


@dataclass
class _Form:
    """A form with its fields, and the folded parts of the page it stands in."""

    tag: _Tag
    folds: Sequence[_Tag]
    fields: list[_Tag] = field(default_factory=list)


class _Reader(HTMLParser):
    """Finds the forms of a page of ours."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.forms: list[_Form] = []
        self.open: list[_Tag] = []
        self._lines = [0]
        for line in page.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self.feed(page)
        self.close()

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        start = self._here()
        found = _Tag(tag, dict(attrs), start, start + len(self.get_starttag_text() or ""))
        if tag in ("details", "form", "label", "select", "textarea"):
            self.open.append(found)
        if tag == "form":
            self.forms.append(_Form(found, [x for x in self.open if x.name == "details"]))
        elif tag == "option" and (select := self._last("select")):
            select.options.append(found)
        elif tag in ("input", "select", "textarea") and self._last("form"):
            found.label = self._last("label")
            self.forms[-1].fields.append(found)

    def handle_endtag(self, tag: str) -> None:
        if found := self._last(tag):
            self.open.remove(found)
            found.ends = self._here(), self._here() + len(tag) + 3

    def _last(self, name: str) -> _Tag | None:
        return next((x for x in reversed(self.open) if x.name == name), None)


def refill(page: str, action: str, given: Mapping[str, Sequence[str]], at_fault: str, sentence: str) -> str | None:
    """The page with its form for that action filled in as `given`, the field that is at fault marked, described by the
    sentence and in focus, and what folds it away unfolded. None where the page shows no such field."""
    for form in _Reader(page).forms:
        wrong = next((x for x in form.fields if x.field == at_fault), None)
        if form.tag.attributes.get("action") == action and wrong is not None:
            edits = [edit for x in form.fields if x.field and x is not wrong for edit in _filled(x, given)]
            edits += [fold.written(open="") for fold in form.folds]
            return _edited(page, [*edits, *_filled(wrong, given, wrong=True), *_beside(wrong, sentence)])
    return None


def _filled(x: _Tag, given: Mapping[str, Sequence[str]], *, wrong: bool = False) -> Iterable[Edit]:
    """A field as it was filled in; of what was not sent along only a box is known to be empty."""
    values = [_plain(value) for value in given.get(x.field, ())]
    marked: dict[str, str | None] = {}
    if wrong:
        marked = {"aria_invalid": "true", "aria_describedby": "at-fault", "autofocus": ""}
    if x.attributes.get("type") in ("checkbox", "radio"):
        marked["checked"] = "" if (x.attributes.get("value") or "on") in values else None
    elif x.name == "input" and values:
        marked["value"] = values[0]
    elif x.name == "textarea" and values:
        yield x.end, x.ends[0], f"\n{escape(values[0])}"
    elif x.name == "select" and values:
        for option in x.options:
            yield option.written(selected="" if option.attributes.get("value") in values else None)
    yield x.written(**marked)


def _plain(value: str) -> str:
    """What can be written: without the characters for which it may have been refused."""
    return "".join(
        c for c in value if c in "\r\n\t" or not (ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF)
    )


def _beside(x: _Tag, sentence: str) -> Iterable[Edit]:
    """The sentence over the field and its name."""
    around = x.label or x
    wide = " wide" if "wide" in (around.attributes.get("class") or "").split() else ""
    yield (
        around.start,
        around.start,
        f'<div class="at-fault{wide}"><p class="late" id="at-fault">{escape(sentence)}</p>',
    )
    end = max(around.ends[1], around.end)
    yield end, end, "</div>"


def _edited(page: str, edits: Iterable[Edit]) -> str:
    parts, at = [], 0
    for start, end, text in sorted(edits, key=lambda edit: edit[:2]):
        parts += [page[at:start], text]
        at = end
    return "".join([*parts, page[at:]])
