"""A template rendered once with blanks where a person's own words go; for each person only the blanks are filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import escape

#: Facts a template looks into (a loop, a sentence of its own): words of persons, of which no blank can be made.
THEIRS = ("words", "apology", "offer_list")
#: One it looks into as well, the same for all customers of a company.
OURS = ("company_hours",)
#: What stands for a blank in a rendered template: its name, after a full stop where the sentence has one already.
_BLANK = re.compile("\ue000(\\.?)(\\w+)\ue001")

#: The facts of a message by name, in place of each that becomes a blank the type of its values.
Shape = tuple[tuple[str, Any], ...]


class Blank(str):
    """Stands for some words that are not empty."""

    __slots__ = ()

    def removesuffix(self, suffix: str) -> str:
        return f"{self[:1]}.{self[1:]}"


class Form:
    """A rendered template, cut at its blanks; in HTML what fills them is escaped."""

    def __init__(self, rendered: str, *, html: bool) -> None:
        self.pieces = _BLANK.split(rendered)
        self.blanks = [(i, self.pieces[i], self.pieces[i - 1] == ".") for i in range(2, len(self.pieces), 3)]
        for i, _, _ in self.blanks:
            self.pieces[i - 1] = ""
        self.html = html

    def filled(self, facts: Mapping[str, Any]) -> str:
        """Everything, with these facts in its blanks."""
        made = self.pieces.copy()
        for i, name, stopped in self.blanks:
            value = facts[name].removesuffix(".") if stopped else facts[name]
            made[i] = escape(value) if self.html else value
        return "".join(made)


def shape(facts: Mapping[str, Any]) -> Shape:
    """What of the facts decides how a template reads but for its blanks: whether there are words, and all that are none."""
    looked_into = THEIRS + OURS
    return tuple(
        (name, str if isinstance(value, str) and value and name not in looked_into else _fixed(value))
        for name, value in facts.items()
    )


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def blank(given: Shape) -> dict[str, Any]:
    """Facts of that shape with blanks in the place of words."""
    return {name: Blank(f"\ue000{name}\ue001") if value is str else value for name, value in given}
