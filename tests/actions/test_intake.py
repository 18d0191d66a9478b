"""A schedule file becomes rows: all or nothing, twice the same as once, without a message."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.actions import Refused, intake, transaction
from punctual.models import (
    BoardVersion,
    Customer,
    Import,
    JobType,
    Message,
    Place,
    Promise,
    Report,
    Shift,
    Technician,
    Visit,
)
from tests import build

EXAMPLE = (Path(__file__).parents[2] / "examples" / "schedule.csv").read_bytes()
RECORDED = (Path(__file__).parents[1] / "data" / "overrun_day.csv").read_bytes()
AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
HEADER = "id,date,from,to,minutes,technician,job,customer,email,phone,cancelled,arrived,finished\n"


def row(**values: str) -> str:
    """One visit of a file, with what a test says differently."""
    given = {
        "id": "A-1",
        "date": "2026-11-24",
        "from": "09:00",
        "to": "09:30",
        "minutes": "60",
        "technician": "T1",
        "job": "boiler",
        "customer": "Priya Shah",
        "email": "priya@example.com",
    } | values
    return ",".join(given.get(name, "") for name in HEADER.strip().split(",")) + "\n"


def sheet(*rows: str) -> bytes:
    return (HEADER + "".join(rows)).encode()


def ready() -> None:
    """A company with one technician, T1."""
    with transaction() as s:
        build.company(s)
        s.add(Technician(ref="T1", name="Tom Hale", email="tom@bellweather.example"))


def take(raw: bytes, **more: Any) -> Any:
    return intake.take(raw, name="file.csv", at=AT, by="Dana Price", **more)


def count(s: Session, table: Any) -> int:
    return s.scalar(select(func.count()).select_from(table)) or 0


def visit(s: Session, ref: str = "A-1") -> Visit:
    s.expire_all()
    return s.scalars(select(Visit).where(Visit.ref == ref)).one()


def test_the_example_file_is_taken_whole(s: Session) -> None:
    with transaction() as w:
        build.company(w)
    counts = take(EXAMPLE)
    assert counts.sentence == "5 visits imported, 0 unchanged, 0 messages sent."
    assert (counts.technicians, counts.jobs, counts.customers, counts.pending_places) == (2, 2, 4, 1)
    grace = visit(s, "A-102")
    assert grace.customer.phone == "+447700900111" and grace.customer.email == "grace@example.com"
    assert (grace.wall_start, grace.wall_end, grace.zone) == ("2026-11-24T10:00", "2026-11-24T10:30", "Europe/London")
    assert grace.deadline == build.wall("12:00") and grace.deadline_kind == "done"
    assert grace.technician is not None and grace.technician.skills == ["boiler", "heating"]
    assert grace.job_type.public_name == "Boiler service" and grace.planned_min == 60
    helen = visit(s, "A-103")
    assert helen.place is not None and helen.place.state == "pending" and helen.deadline_kind == "arrive"


def test_the_same_file_twice_changes_nothing(s: Session) -> None:
    with transaction() as w:
        build.company(w)
    take(EXAMPLE)
    tables = (Visit, Customer, Place, Promise, Shift, Technician, JobType, Report)
    before = [count(s, t) for t in tables]
    again = take(EXAMPLE)
    assert again.sentence == "0 visits imported, 5 unchanged, 0 messages sent."
    assert (again.technicians, again.shifts, again.customers, again.jobs) == (0, 0, 0, 0)
    assert [count(s, t) for t in tables] == before


def test_an_imported_window_is_a_promise_that_was_told_elsewhere(s: Session) -> None:
    ready()
    take(sheet(row()))
    promise = s.scalars(select(Promise)).one()
    assert (promise.kind, promise.state, promise.made_by) == ("window", "open", "import")
    assert promise.due_at == build.wall("09:30")
    assert visit(s).origin == "import" and visit(s).invited_at is None
    assert count(s, Message) == 0


def test_one_bad_row_keeps_the_whole_file_out(s: Session) -> None:
    ready()
    with pytest.raises(Refused) as refused:
        take(sheet(row(), row(id="A-2", technician="Tim Hale")))
    assert refused.value.status == 422
    assert refused.value.sentence == "Nothing was imported. 1 of 2 rows needs a change."
    assert refused.value.facts["errors"] == [
        {
            "row": 3,
            "column": "technician",
            "sentence": 'Row 3, column `technician`: "Tim Hale" is not known. Did you mean Tom Hale?',
        }
    ]
    assert count(s, Visit) == count(s, Import) == 0


def test_a_dry_run_counts_and_writes_nothing(s: Session) -> None:
    ready()
    assert take(sheet(row()), dry=True).added == 1
    assert count(s, Visit) == count(s, Import) == count(s, BoardVersion) == 0
