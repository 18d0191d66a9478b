"""Content lines of RFC 5545 to a tree of components: tolerant of what real files do, exact about what is wrong where."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: Sizes above which a calendar is refused: bytes, lines, components inside one another.
MOST_BYTES, MOST_LINES, MOST_DEEP = 5 * 2**20, 200_000, 12
#: Notes kept of one file; who made it has seen the pattern by then.
MOST_NOTES = 200

_NAME = re.compile(r"[A-Za-z0-9-]+")
_PARAM = re.compile(r"\s*;\s*([A-Za-z0-9-]+)\s*=\s*")
_ADDRESS = re.compile(r"://[^:]*:")
#: A letter of several bytes that a line end cut in two, as programs do that count bytes.
_SPLIT = re.compile(rb"([\xc2-\xf4][\x80-\xbf]{0,2})\r?\n[ \t](?=[\x80-\xbf])")
_PLAIN = re.compile(r'[^";:,]*')
_ESCAPE = re.compile(r"\\([nN,;\\])")
_CARET = {"^n": "\n", "^^": "^", "^'": '"'}


class Broken(ValueError):
    """A calendar that cannot be read at all; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Prop:
    """One property: name in capitals, parameters by name in capitals, the value as written, and its line."""

    name: str
    params: dict[str, list[str]]
    value: str
    line: int

    def param(self, name: str) -> str:
        return (self.params.get(name) or [""])[0]

    @property
    def text(self) -> str:
        """The value as a text: escapes undone, blanks at its ends gone."""
        return _ESCAPE.sub(lambda m: "\n" if m[1] in "nN" else m[1], self.value).strip()

    @property
    def address(self) -> str:
        """The address of a mailto: value, in small letters."""
        value = self.value.strip()
        return (value[7:] if value[:7].lower() == "mailto:" else value).strip().lower()


@dataclass(slots=True)
class Node:
    """One component with what is in it."""

    name: str
    line: int
    props: list[Prop] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def all(self, name: str) -> list[Prop]:
        return [p for p in self.props if p.name == name]

    def one(self, name: str) -> Prop | None:
        return next((p for p in self.props if p.name == name), None)

    def text(self, name: str) -> str:
        found = self.one(name)
        return found.text if found else ""

    def inside(self, name: str) -> list[Node]:
        return [n for n in self.nodes if n.name == name]


@dataclass(slots=True)
class Tree:
    """The calendars of a file, and what was doubted or passed over while reading them."""

    calendars: list[Node]
    notes: list[str]


def short(text: str) -> str:
    """A piece of a file as it may be quoted: one line, not longer than 60 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 60 else line[:59] + "…"


def read(raw: bytes, charset: str = "utf-8") -> Tree:
    """The calendars in these bytes; raises Broken with the line where reading stopped."""
    if len(raw) > MOST_BYTES:
        raise Broken(f"This calendar is larger than {MOST_BYTES // 2**20} MB. Export a shorter time.")
    notes: list[str] = []
    lines = _unfolded(_decoded(raw, charset, notes))
    if not any(line.strip().upper() == "BEGIN:VCALENDAR" for _, line in lines):
        raise Broken("This is not a calendar: it has no line BEGIN:VCALENDAR.")
    return Tree(_calendars(lines, notes), notes[:MOST_NOTES])


def _decoded(raw: bytes, charset: str, notes: list[str]) -> str:
    """Text with plain line ends and without control characters."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        charset = "utf-16"
    raw = _SPLIT.sub(rb"\1", raw)
    try:
        text = raw.decode(charset).removeprefix("\ufeff")
    except (LookupError, ValueError):
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", "replace")
            notes.append("The file is not UTF-8; letters outside English may be wrong.")
    if "\r" in text and "\n" not in text:
        notes.append("Lines end with CR alone; read all the same.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = "".join(c for c in text if c >= " " or c in "\n\t")
    if plain != text:
        notes.append("Control characters were left out.")
    return plain


def _unfolded(text: str) -> list[tuple[int, str]]:
    """Lines with their number, continuation lines joined, blank ones left out."""
    parts: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line[:1] in (" ", "\t") and parts:
            parts[-1][1].append(line[1:])
        elif line:
            parts.append((number, [line]))
        if number > MOST_LINES:
            raise Broken(f"This calendar has more than {MOST_LINES} lines. Export a shorter time.")
    return [(number, "".join(pieces)) for number, pieces in parts if "".join(pieces).strip()]


def _calendars(lines: list[tuple[int, str]], notes: list[str]) -> list[Node]:
    roots: list[Node] = []
    open_: list[Node] = []
    for number, line in lines:
        verb, _, name = line.partition(":")
        word, name = verb.strip().upper(), name.strip()
        if word == "BEGIN":
            _begin(open_, roots, Node(name.upper(), number), name, notes)
        elif word == "END":
            if not open_ or open_[-1].name != name.upper():
                what = f"inside {open_[-1].name} of line {open_[-1].line}" if open_ else "where nothing is open"
                raise Broken(f"Line {number}: END:{short(name)} stands {what}.")
            open_.pop()
        elif open_:
            _property(open_[-1], number, line, notes)
        else:
            notes.append(f"Line {number}: “{short(line)}” lies outside the calendar and was passed over.")
    if open_:
        raise Broken(f"{open_[-1].name} begins in line {open_[-1].line} and never ends: a part of the file is missing.")
    return [n for n in roots if n.name == "VCALENDAR"]


def _begin(open_: list[Node], roots: list[Node], node: Node, written: str, notes: list[str]) -> None:
    if len(open_) >= MOST_DEEP:
        raise Broken(f"Line {node.line}: more than {MOST_DEEP} parts lie inside one another.")
    if written != node.name:
        notes.append(f"Line {node.line}: “{short(written)}” is not in capitals; read all the same.")
    (open_[-1].nodes if open_ else roots).append(node)
    open_.append(node)


def _property(node: Node, number: int, line: str, notes: list[str]) -> None:
    if ":" not in line:
        raise Broken(f"Line {number} is not a line of a calendar: “{short(line)}”.")
    made = _parsed(number, line)
    if made is None:
        notes.append(f"Line {number}: “{short(line)}” was not understood and passed over.")
    else:
        node.props.append(made)


def _parsed(number: int, line: str) -> Prop | None:
    """NAME *(;PARAM=VALUE *(,VALUE)) : value; None where it is not."""
    head = _NAME.match(line)
    if head is None:
        return None
    at, params = head.end(), {}  # type: int, dict[str, list[str]]
    while found := _PARAM.match(line, at):
        values, at = [], found.end()
        while True:
            value, at = _value(line, at)
            if value is None:
                return None
            values.append(re.sub(r"\^[n^']", lambda m: _CARET[m[0]], value))
            if line[at : at + 1] != ",":
                break
            at += 1
        params.setdefault(found[1].upper(), []).extend(values)
    if line[at : at + 1] != ":":
        return None
    if (address := _ADDRESS.match(line, at)) and params.get("TZID"):  # tzone://Microsoft/Custom, without its quotes
        params["TZID"][-1] += address[0][:-1]
        at = address.end() - 1
    return Prop(head[0].upper(), params, line[at + 1 :], number)


def _value(line: str, at: int) -> tuple[str | None, int]:
    if line[at : at + 1] == '"':
        end = line.find('"', at + 1)
        return (None, at) if end < 0 else (line[at + 1 : end], end + 1)
    found = _PLAIN.match(line, at)
    assert found is not None  # it matches nothing at least
    return found[0], found.end()
