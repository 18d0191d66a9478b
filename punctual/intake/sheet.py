"""Bytes to rows of cells: encoding, separator, packing and size of a file are settled here."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from punctual.intake.cells import Problem
from punctual.intake.values import Unreadable

#: Sizes above which a file is refused: bytes once unpacked, rows, characters in one cell.
MOST_BYTES, MOST_ROWS, MOST_CELL = 32 * 2**20, 50_000, 4_000


@dataclass(frozen=True, slots=True)
class Sheet:
    """The header, in our spelling, and the rows that are not empty with their number in the file."""

    header: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        return iter(self.rows)


def open_sheet(raw: bytes) -> Sheet:
    """The sheet of a CSV file (UTF-8; comma, semicolon or tab; .gz too); raises Unreadable."""
    text = _text(_unpacked(raw))
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[tuple[int, list[str]]] = []
    number = 1
    try:
        header = tuple(h.strip().lower().replace(" ", "_") for h in next(reader, []))
        for number, row in enumerate(reader, 2):
            if any(cell.strip() for cell in row):
                rows.append((number, row))
    except csv.Error as error:
        raise _one(number + 1, "", f"this row cannot be read as CSV ({error}).") from None
    if not any(header):
        raise _one(1, "", "this file is empty.")
    if len(rows) > MOST_ROWS:
        raise _one(1, "", f"The file has {len(rows)} rows; the limit is {MOST_ROWS}. Split it.", whole=True)
    double = next((h for h in header if h and header.count(h) > 1), None)
    if double:
        raise _one(1, double, f"Column `{double}` is there twice. Remove one.", whole=True)
    return Sheet(header, [(n, _cells(header, n, row, len(rows))) for n, row in rows])


def _cells(header: tuple[str, ...], number: int, row: list[str], total: int) -> dict[str, str]:
    if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
        raise _one(number, "", "this row has more cells than the header has columns.", total)
    found = {name: cell.strip() for name, cell in zip(header, row, strict=False) if name}
    for name, cell in found.items():
        if len(cell) > MOST_CELL:
            raise _one(number, name, f"longer than {MOST_CELL} characters.", total)
    return {name: found.get(name, "") for name in header if name}


def columns(sheet: Sheet, known: tuple[str, ...], needed: tuple[str, ...]) -> list[str]:
    """Check the header; returns a note for every column that is not read. Raises Unreadable."""
    present = set(sheet.header)
    found = ", ".join(h for h in sheet.header if h)
    missing = [
        Problem(1, name, f"Column `{name}` is missing. Found: {found[:200]}.") for name in needed if name not in present
    ]
    absent = [name for name in known if name not in present]
    strange = [h for h in sheet.header if h and h not in known]
    for name in strange:
        close = get_close_matches(name, absent, n=1, cutoff=0.75)
        if close and abs(len(name) - len(close[0])) <= 2:  # a slip of the keyboard, not another word
            missing.append(Problem(1, name, f"Column `{name[:40]}` is not known. Did you mean `{close[0]}`?"))
    if missing:
        raise Unreadable(missing, len(sheet.rows))
    return [f"Column `{name[:40]}` was not read." for name in strange]


def _unpacked(raw: bytes) -> bytes:
    if raw[:2] != b"\x1f\x8b":
        if len(raw) > MOST_BYTES:
            raise _one(1, "", f"The file is larger than {MOST_BYTES // 2**20} MB. Split it.", whole=True)
        return raw
    reader = zlib.decompressobj(wbits=31)
    try:
        found = reader.decompress(raw, MOST_BYTES + 1)
    except zlib.error:
        raise _one(1, "", "this .gz file is damaged. Pack it again.") from None
    if len(found) > MOST_BYTES:
        raise _one(1, "", f"The file is larger than {MOST_BYTES // 2**20} MB. Split it.", whole=True)
    if not reader.eof:
        raise _one(1, "", "this .gz file is damaged. Pack it again.")
    return found


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        raise _one(row, "", 'this file is not UTF-8. Save it as "CSV UTF-8".') from None
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise _one(row, "", 'this file is not plain text. Save it as "CSV UTF-8".')
    return text


def _one(row: int, column: str, sentence: str, total: int = 0, *, whole: bool = False) -> Unreadable:
    """A file that fails by one thing."""
    where = f"Row {row}, column `{column}`: " if column else f"Row {row}: "
    return Unreadable([Problem(row, column, sentence if whole else where + sentence)], total)
