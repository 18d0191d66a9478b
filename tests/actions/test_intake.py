"""A schedule file becomes rows: all or nothing, twice the same as once, without a message."""

from __future__ import annotations

import csv
import io
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import outbox
from punctual.actions import Refused, intake, places, schedule, transaction
from punctual.core.day import Window
from punctual.models import (
    BoardVersion,
    Company,
    Customer,
    Import,
    JobType,
    Message,
    Place,
    Promise,
    Report,
    Shift,
    SlotClaim,
    Technician,
    Visit,
    db,
)
from punctual.queries import columns
from punctual.queries import day as queries
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
    counts = take(sheet(row()), dry=True)
    assert counts.added == 1 and counts.sentence == "Nothing was kept. 1 visits would be imported, 0 unchanged."
    assert count(s, Visit) == count(s, Import) == count(s, BoardVersion) == 0


def test_a_changed_window_is_a_new_promise_and_nobody_hears_of_it(s: Session) -> None:
    ready()
    take(sheet(row()))
    counts = take(sheet(row(**{"from": "11:00", "to": "11:30"})))
    assert counts.sentence == "0 visits imported, 1 changed, 0 unchanged, 0 messages sent."
    found = visit(s)
    assert (found.window_start, found.promise_version) == (build.wall("11:00"), 2)
    assert found.planned_start == build.wall("11:00")
    states = s.scalars(select(Promise.state).order_by(Promise.version)).all()
    assert list(states) == ["moved", "open"]
    assert count(s, Message) == 0 and len(counts.moved) == 1


def test_customers_are_told_of_a_changed_window_when_that_was_confirmed(s: Session) -> None:
    ready()
    take(sheet(row(), row(id="A-2", email="grace@example.com")))
    counts = take(sheet(row(**{"from": "11:00", "to": "11:30"}), row(id="A-2", cancelled="yes")), tell=True)
    assert counts.told == 2
    messages = s.scalars(select(Message).order_by(Message.visit_id)).all()
    assert [m.kind for m in messages] == ["moved_by_us", "cancelled_us"]
    assert intake.untold(s, counts.import_id, AT) == 0


def test_a_visit_that_was_moved_here_is_not_moved_back_by_the_same_or_a_newer_export(s: Session) -> None:
    ready()
    take(sheet(row()))
    with transaction() as w:
        tom = w.scalars(select(Technician)).one()
        schedule.move(
            w,
            w.scalars(select(Visit)).one(),
            technician_id=tom.id,
            planned_start=build.wall("15:00"),
            window=Window(build.wall("15:00"), build.wall("15:30")),
            at=AT,
            by="customer",
            forced=True,
            tell=False,
        )
    take(sheet(row()))
    take(sheet(row(), row(id="A-2")))
    assert visit(s).window_start == build.wall("15:00")


def test_a_mended_address_survives_the_next_export_until_the_file_changes_it(s: Session) -> None:
    ready()
    take(sheet(row(email="prya@example.com")))
    with transaction() as w:
        w.scalars(select(Customer)).one().email = "priya@example.com"
    take(sheet(row(email="prya@example.com"), row(id="A-2", email="prya@example.com", customer="Al")))
    assert visit(s).customer.email == "priya@example.com"
    before = visit(s).customer.link_version
    take(sheet(row(email="priya.shah@example.com")))
    assert visit(s).customer.email == "priya.shah@example.com"
    assert visit(s).customer.link_version == before + 1, "links sent to the old address end"


def test_recorded_times_make_a_visit_history(s: Session) -> None:
    ready()
    take(sheet(row(date="2026-11-10", arrived="09:40", finished="11:00")))
    found = visit(s)
    assert (found.state, found.arrived_at) == ("done", build.wall("09:40", date(2026, 11, 10)))
    assert s.scalars(select(Promise.state)).one() == "broken", "09:40 is after the window's end"
    assert s.scalars(select(Report.kind).order_by(Report.id)).all() == ["arrived", "done"]


def test_a_planned_visit_is_over_once_a_later_file_says_so(s: Session) -> None:
    ready()
    take(sheet(row(date="2026-11-10")))
    take(sheet(row(date="2026-11-10", arrived="09:10", finished="10:00")))
    assert visit(s).state == "done" and s.scalars(select(Promise.state)).one() == "kept"


def test_a_visit_that_is_over_keeps_its_plan(s: Session) -> None:
    ready()
    take(sheet(row(date="2026-11-10", arrived="09:10", finished="10:00")))
    counts = take(sheet(row(date="2026-11-12", arrived="09:10", finished="10:00")))
    assert visit(s).date == date(2026, 11, 10)
    assert counts.notes == [
        "1 shift was not in the file; 08:00 to 17:00 was taken.",
        "Row 2: A-1 is over; its plan was not changed.",
    ]


def test_a_day_without_a_shift_gets_one_that_holds_its_visits(s: Session) -> None:
    ready()
    take(sheet(row(**{"from": "07:00", "to": "07:30"}), row(id="A-2", **{"from": "18:00", "to": "18:30"})))
    shift = s.scalars(select(Shift)).one()
    assert (shift.starts_at, shift.ends_at) == (build.wall("07:00"), build.wall("19:00"))


def test_a_visit_of_nobody_is_taken(s: Session) -> None:
    ready()
    take(sheet(row(technician="")))
    assert visit(s).technician_id is None and count(s, Shift) == 0


def test_one_customer_of_many_visits_is_one_row(s: Session) -> None:
    ready()
    take(sheet(row(), row(id="A-2", date="2026-11-25")))
    take(sheet(row(id="A-3", date="2026-11-26")))
    assert count(s, Customer) == 1 and count(s, Visit) == 3


def test_the_board_of_every_date_in_the_file_changes(s: Session) -> None:
    ready()
    take(sheet(row(), row(id="A-2", date="2026-11-25")))
    assert set(s.scalars(select(BoardVersion.date))) == {date(2026, 11, 24), date(2026, 11, 25)}


def test_recorded_days_make_their_own_company(s: Session) -> None:
    with pytest.raises(Refused) as refused:
        take(RECORDED)
    assert refused.value.field == "zone"
    counts = take(RECORDED, zone="America/New_York")
    company = s.get_one(Company, 1)
    assert counts.added == 8 and company.zone == "America/New_York"
    assert queries.rules(s).threshold_min == 0 and queries.rules(s).quiet_from == 1440
    assert queries.rules(s).storm_cause == queries.rules(s).storm_all == 0
    assert queries.rules(s).max_delay == 2, "all other rules stay"
    assert visit(s, "2008-02-13-N757LV-7").customer.email == "N757LV-7@example.com"


def test_recorded_places_are_told_apart_by_name_and_never_looked_up(s: Session) -> None:
    counts = take(RECORDED, zone="America/New_York")
    states = set(s.scalars(select(Place.state)))
    assert counts.pending_places == 0 and states == {"named"} and places.pending(s) is None
    named = select(Place.address).join(Visit, Visit.place_id == Place.id).order_by(Visit.planned_start)
    assert s.scalars(named).all() == [x["place"] for x in csv.DictReader(io.StringIO(RECORDED.decode()))]
    days = columns.see(s, list(s.scalars(select(Shift.id)))).days
    assert (days.place_id > 0).all() and np.isnan(days.lat).all()


def test_recorded_days_leave_a_company_its_rules(s: Session) -> None:
    ready()
    take(RECORDED, zone="America/New_York", actuals=True)
    assert s.get_one(Company, 1).rules == {} and visit(s, "2008-02-13-N757LV-6").state == "done"


def test_a_schedule_without_a_company_is_refused(s: Session) -> None:
    with pytest.raises(Refused, match="punctual init"):
        take(EXAMPLE)


def test_an_import_that_is_not_there_or_has_another_count_tells_nobody(s: Session) -> None:
    ready()
    counts = take(sheet(row()))
    with pytest.raises(Refused) as wrong:
        intake.tell(counts.import_id, count=3, at=AT)
    with pytest.raises(Refused) as absent:
        intake.tell(2**40, count=1, at=AT)
    assert (wrong.value.status, absent.value.status) == (409, 404)


def test_thousands_of_rows_are_taken_in_seconds(s: Session) -> None:
    ready()
    # The same lines run on both; a server of its own makes ten thousand rows half a minute of a small machine.
    many = 10_000 if s.get_bind().dialect.name == "sqlite" else 2_500
    rows = [
        row(id=f"A-{i}", customer=f"Customer {i}", email=f"c{i}@example.com", date=f"2026-12-{1 + i % 28:02}")
        for i in range(many)
    ]
    heard: list[float] = []
    # By this thread's CPU, which a busy machine cannot stretch: 0.3 to 0.5 ms a row new, 0.1 to 0.2 unchanged; rows
    # that are looked up one by one take 0.9 on PostgreSQL.
    begun = time.thread_time()
    counts = take(sheet(*rows), progress=lambda done, of: heard.append(done / of))
    new = time.thread_time() - begun
    assert counts.added == many and heard == sorted(heard) and heard[-1] == 1
    begun = time.thread_time()
    assert take(sheet(*rows)).unchanged == many
    unchanged = time.thread_time() - begun
    assert new < 0.002 * many and unchanged < 0.0006 * many


def test_imports_at_once_take_a_file_only_once(app: Flask) -> None:
    ready()
    raw, results = sheet(*(row(id=f"A-{i}") for i in range(50))), []
    barrier = threading.Barrier(3)

    def one() -> None:
        with app.app_context():
            barrier.wait()
            results.append(take(raw).added)
            db.session.remove()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == [0, 0, 50]


def test_what_is_unsent_or_claimed_for_the_old_time_goes_with_it(s: Session) -> None:
    ready()
    take(sheet(row()))
    with transaction() as w:
        found = w.scalars(select(Visit)).one()
        outbox.put(w, key="r", kind="reminder", at=AT, reason="reminder", visit=found)
        w.add(
            SlotClaim(
                technician_id=found.technician_id,
                visit_id=found.id,
                kind="choice",
                starts_at=build.wall("09:00"),
                ends_at=build.wall("10:00"),
                window_start=found.window_start,
                window_end=found.window_end,
                planned_start=found.planned_start,
                created_at=AT,
            )
        )
    take(sheet(row(**{"from": "11:00", "to": "11:30"})))
    s.expire_all()
    assert s.scalars(select(Message.state)).one() == "dropped" and count(s, SlotClaim) == 0
