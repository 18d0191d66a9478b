"""Calendars of other people: what is read, what is refused with its line, what can never hang or crash it."""

from __future__ import annotations

import random
import time
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from punctual.itip import events, recur, reply, text
from punctual.itip.text import Broken
from tests import corpus

DATA = Path(__file__).resolve().parent / "data" / "ics"
HERE = ZoneInfo("Europe/London")


def event(*lines: str, zone: str = "") -> bytes:
    body = "\r\n".join(["BEGIN:VEVENT", "UID:a@example.com", "SUMMARY:Boiler", *lines, "END:VEVENT"])
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{zone}{body}\r\nEND:VCALENDAR\r\n".encode()


def read(*lines: str, zone: str = "", first: date = date(2026, 11, 1), last: date = date(2026, 12, 31)) -> events.Read:
    return events.read_all(event(*lines, zone=zone), here=HERE, first=first, last=last)


def starts(found: events.Read) -> list[str]:
    return [f"{e.start:%m-%d %H:%M}" for e in found.events]


def test_every_file_of_the_corpus_has_its_expected_outcome() -> None:
    assert corpus.check(DATA) == []


def test_an_unexpected_outcome_would_be_noticed(tmp_path: Path) -> None:
    """Negative control."""
    (tmp_path / "index.csv").write_text("file,expected\ngood.ics,clear error\n")
    (tmp_path / "good.ics").write_bytes(event("DTSTART:20261124T090000Z"))
    assert len(corpus.check(tmp_path)) == 1


@pytest.mark.parametrize(
    ("line", "utc"),
    [
        ("DTSTART:20261124T090000Z", "11-24 09:00"),
        ("DTSTART:20261124T090000", "11-24 09:00"),  # no zone: the company's
        ("DTSTART;TZID=Europe/Berlin:20261124T090000", "11-24 08:00"),
        ("DTSTART;TZID=W. Europe Standard Time:20261124T090000", "11-24 08:00"),
        ("DTSTART;TZID=/freeassociation.sourceforge.net/Tzfile/America/New_York:20261124T090000", "11-24 14:00"),
        ("dtstart;tzid=europe/berlin:20261124T090000", "11-24 08:00"),
        ("DTSTART;TZID=tzone://Microsoft/Utc:20261124T090000", "11-24 09:00"),
    ],
)
def test_a_time_means_one_instant_whatever_names_its_zone(line: str, utc: str) -> None:
    assert starts(read(line)) == [utc]


def test_a_zone_of_the_files_own_is_taken_from_its_rules() -> None:
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nTZOFFSETFROM:+0200\r\n"
        "TZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\n"
        "DTSTART:16010101T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\r\n"
        "END:DAYLIGHT\r\nEND:VTIMEZONE\r\n"
    )
    wide = {"first": date(2026, 1, 1), "last": date(2026, 12, 31)}
    for month, utc in ((1, "01-15 08:00"), (7, "07-15 07:00"), (11, "11-15 08:00")):
        assert starts(read(f"DTSTART;TZID=Ours:2026{month:02}15T090000", zone=zone, **wide)) == [utc]


def test_a_zone_nobody_knows_is_refused_with_its_line() -> None:
    found = read("DTSTART;TZID=Mars/Olympus:20261124T090000")
    assert found.events == []
    assert found.skipped[0].sentence == (
        "Event “Boiler” (line 3): time zone “Mars/Olympus” is not in the file and not known. Not taken."
    )


def test_a_weekly_visit_is_repeated_where_it_is_not_excepted_moved_or_over() -> None:
    raw = event("DTSTART;TZID=Europe/London:20261102T090000", "DTEND;TZID=Europe/London:20261102T100000",
                "RRULE:FREQ=WEEKLY;UNTIL=20261130T235959Z", "EXDATE;TZID=Europe/London:20261109T090000")  # fmt: skip
    moved = event(
        "RECURRENCE-ID;TZID=Europe/London:20261116T090000", "DTSTART:20261117T110000Z", "DTEND:20261117T120000Z"
    )
    both = raw.replace(b"END:VCALENDAR\r\n", moved.split(b"VERSION:2.0\r\n")[1])
    found = events.read_all(both, here=HERE, first=date(2026, 11, 1), last=date(2026, 12, 31))
    assert sorted(starts(found)) == ["11-02 09:00", "11-17 11:00", "11-23 09:00", "11-30 09:00"]
    assert len({(e.uid, e.key) for e in found.events}) == 4


WEEKS = ("DTSTART;TZID=Europe/Berlin:20261102T090000", "RRULE:FREQ=WEEKLY;COUNT=3")


def test_an_occurrence_is_known_by_its_instant_whatever_zone_names_it() -> None:
    moved = (
        "END:VEVENT",
        "BEGIN:VEVENT",
        "UID:a@example.com",
        "RECURRENCE-ID:20261109T080000Z",
        "DTSTART:20261110T120000Z",
    )
    assert starts(read(*WEEKS, *moved)) == ["11-02 08:00", "11-16 08:00", "11-10 12:00"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("EXDATE:whenever", "EXDATE “whenever”. It names no time"),
        ("EXRULE:FREQ=WEEKLY", "Exceptions by a rule are not read"),
        (
            "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:a@example.com\r\nDTSTART:20261110T120000Z\r\n"
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20261109T080000Z",
            "It changes later ones too; only its own was changed.",
        ),
    ],
)
def test_what_a_repetition_says_and_is_not_followed_is_doubted(line: str, said: str) -> None:
    found = read(*WEEKS, line)
    assert len(found.events) == 3 and said in found.notes[0]


@pytest.mark.parametrize("part", ["RSCALE=CHINESE", "BYEASTER=1"])
def test_a_rule_that_is_only_half_understood_is_left_out(part: str) -> None:
    found = read("DTSTART:20261102T090000Z", f"RRULE:FREQ=YEARLY;{part}")
    assert found.events == [] and len(found.skipped) == 1


def test_a_letter_that_a_line_end_cut_in_two_is_whole_again() -> None:
    raw = (
        event("DTSTART:20261124T090000Z")
        .replace(b"Boiler", "Stra\u00dfe".encode())
        .replace(b"\xc3\x9f", b"\xc3\r\n \x9f")
    )
    found = events.read_all(raw, here=HERE, first=date(2026, 11, 1), last=date(2026, 12, 31))
    assert found.events[0].summary == "Straße" and found.notes == []


def test_our_repetitions_are_those_of_another_library() -> None:
    chance = random.Random(7)
    for _ in range(150):
        freq = chance.choice(recur.FREQ)
        parts = [f"FREQ={freq}", f"INTERVAL={chance.choice([1, 1, 2, 3])}"]
        parts += [f"COUNT={chance.randint(1, 30)}"] if chance.random() < 0.3 else []
        parts += [f"BYMONTH={chance.randint(1, 12)}"] if chance.random() < 0.2 else []
        nth = chance.choice(["", "1", "-1", "2"]) if freq in ("MONTHLY", "YEARLY") else ""
        parts += [f"BYDAY={nth}{chance.choice(list(recur.WEEKDAYS))}"] if chance.random() < 0.5 else []
        parts += ["BYSETPOS=-1"] if chance.random() < 0.1 and freq == "MONTHLY" else []
        rule, start = ";".join(parts), date(2024, 1, 1) + timedelta(days=chance.randint(0, 700))
        first = start + timedelta(days=chance.randint(-10, 300))
        last = first + timedelta(days=200)
        midnight = datetime.min.time()
        theirs = rrulestr(rule, dtstart=datetime.combine(start, midnight)).between(
            datetime.combine(first, midnight), datetime.combine(last, midnight), inc=True
        )
        ours = list(recur.dates(recur.parse(rule), start, first, last, recur.Budget()))
        assert ours == [x.date() for x in theirs], rule


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("FREQ=SECONDLY", "it repeats by SECONDLY"),
        ("FREQ=MINUTELY;INTERVAL=5", "it repeats by MINUTELY"),
        ("FREQ=DAILY;INTERVAL=0", "its rule has a wrong number"),
        ("FREQ=DAILY;COUNT=1000000000", "it repeats more than"),
        ("FREQ=DAILY;BYHOUR=9,15", "it repeats within a day"),
        ("", "it repeats by nothing"),
    ],
)
def test_a_repetition_that_could_hang_a_library_is_named_and_left_out(rule: str, why: str) -> None:
    found = read("DTSTART:20261124T090000Z", f"RRULE:{rule}")
    assert found.events == [] and why in found.skipped[0].sentence and "(line 3)" in found.skipped[0].sentence


def test_thousands_of_rules_that_never_hit_end_soon() -> None:
    one = "BEGIN:VEVENT\r\nUID:x\r\nDTSTART:19710101T000000Z\r\nRRULE:FREQ=YEARLY;COUNT=9999;BYMONTH=2;BYMONTHDAY=30\r\nEND:VEVENT\r\n"
    raw = f"BEGIN:VCALENDAR\r\n{one * 3000}END:VCALENDAR\r\n".encode()
    begun = time.monotonic()
    found = events.read_all(raw, here=HERE, first=date(2026, 11, 1), last=date(2027, 11, 1))
    assert found.events == [] and len(found.skipped) > 2000 and time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "not a calendar"),
        (b"PK\x03\x04", "not a calendar"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "VEVENT begins in line 2 and never ends"),
        (b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\n", "Line 2: END:VEVENT stands inside VCALENDAR of line 1"),
        (b"BEGIN:VCALENDAR\r\nhello\r\nEND:VCALENDAR\r\n", "Line 2 is not a line of a calendar"),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "There is no event"),
        (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:X\r\n" * 50, "inside one another"),
        (event("DTSTART:tomorrow"), "No event of this calendar has a time that can be read"),
        (b"x" * (5 * 2**20 + 1), "larger than 5 MB"),
    ],
)
def test_what_is_no_calendar_is_refused_in_a_sentence(raw: bytes, sentence: str) -> None:
    with pytest.raises(Broken, match=sentence):
        events.read_all(raw, here=HERE, first=date(2026, 1, 1), last=date(2026, 12, 31))


def unaccounted(raw: bytes) -> list[str]:
    """Events of a calendar that does not repeat them, of which nothing is said: neither taken nor named as left out."""
    made = events.read_all(raw, here=HERE, first=date(1, 1, 1), last=date(9999, 12, 31))
    named = {e.line for e in made.events} | {x.line for x in made.skipped}
    once = [e for c in text.read(raw).calendars for e in c.inside("VEVENT") if not any(map(e.all, REPEATS))]
    return [f"line {e.line}" for e in once if e.line not in named]


#: What makes an event several, or part of several.
REPEATS = ("RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID")


def test_a_damaged_file_is_read_with_everything_left_out_named_or_refused_in_a_sentence(tmp_path: Path) -> None:
    chance, read_, refused = random.Random(3), 0, 0
    files = sorted(f for f in DATA.iterdir() if f.suffix in (".ics", ".eml"))
    for _ in range(250):
        file = chance.choice(files)
        raw = bytearray(file.read_bytes())
        for _ in range(chance.choice((1, 1, 2, 6))):
            at = chance.randrange(len(raw) + 1)
            raw[at : at + chance.randrange(30)] = chance.choice(
                [b"", b"\xff\xfe\x00", b"9" * 300, b"BEGIN:VEVENT\r\n", b"RRULE:FREQ=DAILY;COUNT=9999\r\n",
                 b"DTSTART:99991231T235959Z\r\n", b"RDATE:x\r\n", b"EXDATE:\r\n", b"DTEND;TZID=:20260101T000000\r\n"]
            )  # fmt: skip
        damaged = tmp_path / f"damaged{file.suffix}"
        damaged.write_bytes(raw)
        found = corpus.outcome(damaged)
        for sentence in filter(None, (found.error, *found.named)):
            assert sentence == "no calendar part" or (len(sentence) < 400 and sentence[0].isupper()), sentence
        assert found.read or found.error
        read_, refused = read_ + found.read, refused + (not found.read)
        if found.read and file.suffix == ".ics":
            assert unaccounted(bytes(raw)) == []
    assert read_ > 10 and refused > 100


def answer(*lines: str, method: str = "REPLY") -> reply.Incoming:
    raw = event("DTSTAMP:20261124T090000Z", *lines).replace(b"VERSION:2.0", b"VERSION:2.0\r\nMETHOD:" + method.encode())
    return reply.one(raw)


def test_an_answer_without_organizer_and_in_any_case_is_read() -> None:
    found = answer("attendee;partstat=declined;cn=Mara:MAILTO:Mara@Customer.Example", "SEQUENCE:2", "COMMENT:Not home")
    assert (found.attendee, found.partstat, found.sequence) == ("mara@customer.example", "DECLINED", 2)
    assert found.comment == "Not home" and found.stamp == datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lines", "method", "sentence"),
    [
        ((), "REPLY", "names no people"),
        (("ATTENDEE:mailto:a@x.org", "ATTENDEE:mailto:b@x.org"), "REPLY", "names 2 people"),
        (("ATTENDEE;PARTSTAT=PERHAPS:mailto:a@x.org",), "REPLY", "PERHAPS"),
        (("ATTENDEE:mailto:a@x.org", "SEQUENCE:-1"), "REPLY", "SEQUENCE"),
        (("ATTENDEE:mailto:a@x.org",), "COUNTER", "no end after its start"),
        (("ATTENDEE:mailto:a@x.org", "DTSTART:20261124T100000Z", "DTEND:20261124T090000Z"), "COUNTER", "no end after"),
        (("ATTENDEE:mailto:a@x.org",), "DANCE", "DANCE"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_in_a_sentence(
    lines: tuple[str, ...], method: str, sentence: str
) -> None:
    with pytest.raises(Broken, match=sentence):
        answer(*lines, method=method)


def test_a_mail_whose_two_methods_differ_is_refused() -> None:
    raw = (b"From: a@x.org\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n"
           + event("ATTENDEE:mailto:a@x.org").replace(b"VERSION:2.0", b"VERSION:2.0\r\nMETHOD:REPLY"))  # fmt: skip
    with pytest.raises(Broken, match="neither was taken"):
        reply.find(message_from_bytes(raw))


def test_a_bounce_that_brings_our_invitation_back_is_no_answer() -> None:
    inner = b"Content-Type: text/calendar; method=REQUEST\r\n\r\n" + event("ATTENDEE:mailto:a@x.org")
    raw = (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner
           + b"\r\n--b--\r\n")  # fmt: skip
    assert reply.find(message_from_bytes(raw)) is None
