"""Reading schedule files: what is understood, and what is refused with row, column and a sentence."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from punctual import intake
from punctual.intake import sheet as sheets
from punctual.intake.values import Checked, Known, Spot, Visit

ROOT = Path(__file__).parents[1]
EXAMPLE = (ROOT / "examples" / "schedule.csv").read_bytes()
RECORDED = (ROOT / "tests" / "data" / "overrun_day.csv").read_bytes()
KNOWN = Known(zone="Europe/London", country="GB", technicians={"T1": "Ana Ribeiro"}, jobs={"boiler": 60.0})
HEADER = ("id", "date", "from", "to", "job", "customer")
GOOD = {"id": "A-1", "date": "2026-11-24", "from": "09:00", "to": "09:30", "job": "boiler", "customer": "Priya Shah"}


def table(*rows: dict[str, str]) -> bytes:
    """A file of visits with the columns its rows use."""
    names = list(dict.fromkeys([*HEADER, *(name for row in rows for name in row)]))
    lines = [names, *([(GOOD | row).get(name, "") for name in names] for row in rows)]
    return "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines).encode()


def read(raw: bytes, **more: object) -> Checked:
    return intake.read(raw, known=KNOWN, **more)  # type: ignore[arg-type]


def one(**cells: str) -> Visit:
    """The visit of a good row in which some cells are different."""
    return read(table(cells)).visits[0]


def sentences(raw: bytes, **more: object) -> list[str]:
    with pytest.raises(intake.Unreadable) as unreadable:
        read(raw, **more)
    return [p.sentence for p in unreadable.value.problems]


def test_the_example_holds_everything_the_documentation_names() -> None:
    checked = read(EXAMPLE)
    assert [t.ref for t in checked.technicians] == ["T1", "T2"] and len(checked.shifts) == 2
    assert [v.ref for v in checked.visits] == ["A-101", "A-102", "A-103", "A-104", "A-090"]
    assert not checked.notes
    documented = (ROOT / "docs" / "import.md").read_text()
    assert all(f"`{name}`" in documented for name in EXAMPLE.decode().splitlines()[0].split(","))


def test_a_plain_sheet_of_visits_needs_no_kind() -> None:
    visit = one(technician="ana ribeiro")
    assert visit.technician == "T1" and visit.planned_min == 60
    assert visit.window.start == visit.planned_start == datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_usual_separator_is_understood(separator: str) -> None:
    raw = separator.join(HEADER) + "\n" + separator.join(GOOD.values()) + "\n"
    assert len(read(raw.encode()).visits) == 1


def test_a_byte_order_mark_and_blank_lines_do_no_harm() -> None:
    raw = b"\xef\xbb\xbf" + table({}) + b"\n\n,,,,,\n"
    assert len(read(raw).visits) == 1


def test_a_packed_file_is_unpacked() -> None:
    assert read(gzip.compress(EXAMPLE)) == read(EXAMPLE)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24",
        "2026/11/24",
        "24.11.2026",
        "24/11/2026",
        "11/24/2026",
        "24 Nov 2026",
        "24-Nov-2026",
        "Nov 24, 2026",
    ],
)
def test_a_date_that_can_be_only_one_date_is_understood(text: str) -> None:
    assert one(date=text).date == date(2026, 11, 24)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"date": "03/04/2026"}, 'Row 2, column `date`: "03/04/2026" can be two dates. Write 2026-04-03.'),
        ({"date": "31.02.2026"}, 'Row 2, column `date`: "31.02.2026" is not a date. Write 2026-02-28.'),
        ({"date": "9999-12-31"}, 'Row 2, column `date`: "9999-12-31" is not in the years 2000 to 2099.'),
        ({"date": "tomorrow"}, 'Row 2, column `date`: "tomorrow" is not a date. Write 2026-02-28.'),
        ({"from": "10:00", "to": "09:00"}, "Row 2, column `to`: 09:00 is not after `from` 10:00."),
        ({"from": "25:00"}, 'Row 2, column `from`: "25:00" is not a time. Write 09:30.'),
        ({"from": "13:00 pm"}, 'Row 2, column `from`: "13:00 pm" is not a time. Write 09:30.'),
        ({"zone": "CET+1"}, 'Row 2, column `zone`: "CET+1" is not known. Write for example Europe/Berlin.'),
        ({"technician": "Anna"}, 'Row 2, column `technician`: "Anna" is not known. Did you mean Ana Ribeiro?'),
        ({"phone": "12"}, "Row 2, column `phone`: write it with the country, for example +44 20 7946 0000."),
        ({"phone": "call me"}, "Row 2, column `phone`: write it with the country, for example +44 20 7946 0000."),
        ({"email": "a@b"}, 'Row 2, column `email`: "a@b" is not an e-mail address. Write name@example.com.'),
        ({"customer": ""}, "Row 2, column `customer`: empty. Every visit needs one."),
        ({"minutes": "0"}, 'Row 2, column `minutes`: "0" is not a number from 1 to 1440.'),
        ({"minutes": "9" * 5000}, "Row 2, column `minutes`: longer than 4000 characters."),
        ({"lat": "91", "lon": "0"}, 'Row 2, column `lat`: "91" is not a number from -90 to 90.'),
        ({"lat": "51", "lon": ""}, "Row 2, column `lon`: empty. Coordinates need both `lat` and `lon`."),
        ({"job": "boilr"}, 'Row 2, column `job`: "boilr" is not known. Did you mean boiler?'),
        ({"planned": "08:00"}, "Row 2, column `planned`: 08:00 is not within `from` and `to`."),
        ({"leave_by": "09:00"}, "Row 2, column `leave_by`: 09:00 is not after `from` 09:00."),
        (
            {"leave_by": "12:00", "arrive_by": "12:00"},
            "Row 2, column `arrive_by`: fill `leave_by` or `arrive_by`, not both.",
        ),
        ({"arrived": "09:05"}, "Row 2, column `finished`: empty. A visit that is over needs both times."),
        (
            {"arrived": "09:05", "finished": "09:01", "technician": "T1"},
            "Row 2, column `finished`: 09:01 is not after `arrived` 09:05.",
        ),
        (
            {"arrived": "09:05", "finished": "10:01"},
            "Row 2, column `arrived`: a visit that took place needs a technician and is not cancelled.",
        ),
        ({"cancelled": "perhaps"}, 'Row 2, column `cancelled`: "perhaps" is neither yes nor no.'),
        ({"language": "English"}, 'Row 2, column `language`: "English" is not a language. Write for example en or de.'),
        ({"customer": "x" * 121}, "Row 2, column `customer`: longer than 120 characters."),
        ({"kind": "vist"}, 'Row 2, column `kind`: "vist" is not known. Did you mean visit?'),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(cells: dict[str, str], sentence: str) -> None:
    assert sentences(table(cells)) == [sentence]


def test_a_time_that_clocks_skip_is_refused() -> None:
    assert sentences(table({"date": "2026-03-29", "from": "02:30", "to": "04:00", "zone": "Europe/Berlin"})) == [
        "Row 2, column `from`: 02:30 does not exist on 29 Mar 2026 in Europe/Berlin (clocks go forward)."
    ]


def test_a_time_that_happens_twice_is_the_first() -> None:
    visit = one(**{"date": "2026-10-25", "from": "01:30", "to": "04:00"})
    assert visit.window.start == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_window_may_end_the_next_morning() -> None:
    visit = one(**{"from": "23:00", "to": "01:00+1"})
    assert visit.window.end == datetime(2026, 11, 25, 1, tzinfo=UTC) and visit.wall[1] == "2026-11-25T01:00"


def test_every_problem_of_a_file_is_found_at_once() -> None:
    found = sentences(table({"date": "x", "phone": "12"}, {"id": "A-2", "customer": "", "technician": "Bob"}))
    assert [s.split(":")[0] for s in found] == [
        "Row 2, column `date`",
        "Row 2, column `phone`",
        "Row 3, column `customer`",
        "Row 3, column `technician`",
    ]


def test_the_same_id_twice_is_named_with_both_rows() -> None:
    assert sentences(table({}, {}, {"id": "A-3"})) == ["Rows 2 and 3 have the same `id` A-1."]


def test_a_missing_column_is_named_with_what_was_found() -> None:
    raw = b"id,date,start,to,job,customer\nA-1,2026-11-24,09:00,09:30,boiler,Priya\n"
    assert sentences(raw) == ["Column `from` is missing. Found: id, date, start, to, job, customer."]


def test_a_column_that_is_nearly_ours_is_refused_and_a_strange_one_is_noted() -> None:
    assert sentences(table({"emial": "a@example.com"})) == ["Column `emial` is not known. Did you mean `email`?"]
    assert read(table({"price": "12"})).notes == ["Column `price` was not read."]


def test_a_name_that_two_technicians_have_needs_the_id() -> None:
    known = Known(zone="Europe/London", technicians={"T1": "Ana", "T2": "ana"}, jobs={"boiler": 60.0})
    with pytest.raises(intake.Unreadable) as unreadable:
        intake.read(table({"technician": "Ana"}), known=known)
    assert "is the name of several. Write the id: T1 or T2." in unreadable.value.problems[0].sentence


def test_a_file_in_another_encoding_is_named_with_its_row() -> None:
    raw = table({}, {"id": "A-2"}) + "\nA-3,2026-11-24,09:00,09:30,boiler,Jürgen".encode("latin-1")
    assert sentences(raw) == ['Row 4: this file is not UTF-8. Save it as "CSV UTF-8".']


def test_a_formula_is_only_text() -> None:
    visit = one(customer="=HYPERLINK(1)", notes="@SUM(A1)")
    assert visit.customer.name == "=HYPERLINK(1)" and visit.notes == "@SUM(A1)"


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_ROWS", 2)
    assert sentences(table({}, {}, {})) == ["The file has 3 rows; the limit is 2. Split it."]


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused() -> None:
    bomb = gzip.compress(b"id\n" + b"\n" * (sheets.MOST_BYTES + 10))
    assert sentences(bomb) == ["The file is larger than 32 MB. Split it."]


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"id", b"\x1f\x8b", b"\0", b'id,date\n"a', b",,,\n1,2,3,4"])
def test_what_is_no_file_gets_a_sentence(raw: bytes) -> None:
    assert all(s for s in sentences(raw))


def test_an_address_without_degrees_is_kept_for_looking_up() -> None:
    assert one(address="3  Chandos Road, Bristol").spot == Spot("3 Chandos Road, Bristol")
    assert one(lat="51.4", lon="-2.6").spot == Spot("51.40000, -2.60000", 51.4, -2.6)


def test_reading_tells_how_far_it_is() -> None:
    heard: list[tuple[int, int]] = []
    read(table(*({"id": f"A-{i}"} for i in range(1200))), progress=lambda done, of: heard.append((done, of)))
    assert heard[0] == (0, 1200) and heard[-1] == (1200, 1200) and len(heard) >= 3


def test_a_recorded_day_becomes_visits_of_stand_in_customers() -> None:
    checked = read(RECORDED, zone="America/New_York")
    first = checked.visits[0]
    assert checked.recorded and len(checked.visits) == 8
    assert first.customer.email == "N757LV-1@example.com" and first.ref == "2008-02-13-N757LV-1"
    assert first.window.start == datetime(2008, 2, 13, 12, 55, tzinfo=UTC)
    assert (first.window.end - first.window.start).total_seconds() == 15 * 60
    assert first.arrived is None, "the plan alone, unless the recorded times are asked for"
    assert checked.shifts[0].hours.start == first.window.start


def test_recorded_times_are_history_where_they_are_asked_for() -> None:
    first = read(RECORDED, zone="America/New_York", actuals=True).visits[0]
    assert first.arrived == datetime(2008, 2, 13, 12, 54, tzinfo=UTC)
    assert first.finished == datetime(2008, 2, 13, 15, 45, tzinfo=UTC)


def test_a_recorded_row_that_makes_no_sense_is_named() -> None:
    broken = RECORDED.replace(b"2008-02-13T10:55,2008-02-13T07:54", b"2008-02-13T07:55,2008-02-13T07:54")
    assert sentences(broken, zone="America/New_York") == [
        "Row 2: `planned_end` must be after `planned_start`, by a day at most."
    ]


def test_a_zone_of_the_whole_file_that_is_not_known_is_refused() -> None:
    assert sentences(RECORDED, zone="Mars/Base") == [
        'The zone "Mars/Base" is not known. Write for example Europe/Berlin.'
    ]


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """The file with some of its bytes or cells spoiled."""
    spoiled = bytearray(raw)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(spoiled))
        spoiled[at : at + dice.choice((0, 1, 5))] = dice.choice(SPOILERS)
    return bytes(spoiled)


SPOILERS = (
    b"", b",", b'"', b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b";", b"9" * 5000, b"9999-12-31", b"9223372036854775808",
    b"-1", b"+1", b"NaN", b"1e400", b"=1+1", "\u202e\u0663".encode(), "٣".encode(), b"24:00", b"T", b"+" , b"\t", b"x" * 200,
)  # fmt: skip


@pytest.mark.parametrize("raw", [EXAMPLE, RECORDED], ids=["schedule", "recorded"])
def test_no_spoiled_file_does_more_than_get_sentences(raw: bytes) -> None:
    dice, refused = random.Random(7), 0
    for _ in range(1500):
        try:
            read(mutated(raw, dice), zone="America/New_York", actuals=True)
        except intake.Unreadable as error:
            refused += 1
            assert all(p.row >= 1 and p.sentence.endswith((".", "?", '".')) for p in error.problems), error.problems
    assert refused > 500
