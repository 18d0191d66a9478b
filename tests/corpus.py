"""A folder of real-world calendars and mails through the importer and the reader of answers: python -m tests.corpus FOLDER."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from datetime import date
from email import message_from_bytes
from pathlib import Path
from zoneinfo import ZoneInfo

from punctual.itip import events, reply
from punctual.itip.text import Broken

#: The stretch of days an import looks at; wide, because the files are old.
FIRST, LAST = date(1995, 1, 1), date(1996, 1, 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the importer and the reader of answers said: `read` whether the calendar was read, `named` what was skipped
    or doubted, `error` the sentence otherwise, `answer` the method an answer has or the sentence why it has none."""

    read: bool
    named: tuple[str, ...]
    error: str
    answer: str


def outcome(file: Path) -> Outcome:
    """Both readers over one file; whatever it holds, they never raise anything but Broken."""
    raw, answer = file.read_bytes(), ""
    try:
        if file.suffix == ".eml":
            mail = message_from_bytes(raw)
            part = next(reply.parts(mail), None)
            if part is None:
                return Outcome(False, (), "no calendar part", "")
            raw = bytes(part.get_payload(decode=True))
            found = reply.find(mail)
        else:
            found = reply.one(raw)
        answer = found.method if found else ""
    except Broken as error:
        answer = str(error)
    try:
        made = events.read_all(raw, here=ZoneInfo("Europe/London"), first=FIRST, last=LAST)
    except Broken as error:
        return Outcome(False, (), str(error), answer)
    return Outcome(True, (*(x.sentence for x in made.skipped), *made.notes), "", answer)


def wanted(expected: str, found: Outcome) -> bool:
    """Is that what an index.csv expects?"""
    if expected == "clear error: not a VCALENDAR":
        return "not a calendar" in found.error
    if expected == "clear message: no event inside":
        return "no event" in found.error
    if expected == "clear error: no calendar part":
        return found.error == "no calendar part"
    if expected.startswith("clear error"):
        return found.error != ""
    if expected.startswith("parse, name"):
        return found.read and found.named != ()
    if expected == "parse ok":
        return found.read
    return found.read or found.error != ""  # never crash: events with warnings, or a clear error


def check(folder: Path) -> list[str]:
    """A line for every file whose outcome is not the expected one."""
    wrong = []
    with (folder / "index.csv").open(encoding="utf-8") as index:
        for row in csv.DictReader(index):
            found = outcome(folder / row["file"])
            if not wanted(row["expected"], found):
                wrong.append(f"{row['file']}: expected {row['expected']}, found {found}")
    return wrong


if __name__ == "__main__":
    problems = check(Path(sys.argv[1]))
    print("\n".join(problems) or "every file as expected")
    sys.exit(bool(problems))
