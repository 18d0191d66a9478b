"""A schedule file becomes rows: all of it or nothing, and without a message."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import intake, outbox
from punctual.actions import Refused, transaction
from punctual.actions.intake_write import Counts, write
from punctual.core.day import OVER
from punctual.intake import cells, days, ics
from punctual.itip.text import Broken
from punctual.models import Company, Import, JobType, Technician, Visit, db, touch_board
from punctual.queries import day as queries

#: As many problems as a page or a program is shown.
SHOWN = 200
#: Characters of a calendar's rows that a page can show and send back.
MOST_SHOWN = 900_000
Progress = Callable[[int, int], None]


def take(
    raw: bytes,
    *,
    name: str,
    at: datetime,
    by: str,
    zone: str | None = None,
    dry: bool = False,
    tell: bool = False,
    actuals: bool = False,
    progress: Progress | None = None,
) -> Counts:
    """Import a file: every row or, with Refused (422, `errors` with row, column, sentence), none.

    The same file again changes nothing: of a visit that is known only what differs from the file it last came from is
    taken, so what customers and dispatchers changed since stays. No message is sent unless `tell` confirms it for
    customers whose window changed; `dry` counts and writes nothing. A file of recorded days makes its own company
    where there is none yet; `actuals` takes its recorded times as history. `progress` hears (done, of).
    """
    checked = _checked(raw, zone, actuals, progress)
    with transaction() as s:
        company = _company(s, checked.recorded, zone, at)
        counts = write(s, company, checked, at=at, by=by, progress=progress)
        record = Import(
            at=at,
            name="".join(c for c in name if c.isprintable())[:200] or "schedule.csv",
            sha256=hashlib.sha256(raw).hexdigest(),
            by=by[:120],
            counts=counts.as_json(),
        )
        s.add(record)
        s.flush()
        counts.import_id = record.id
        if tell:
            counts.told = _tell(s, record, at)
        touch_board(s, *counts.dates)
        if dry:
            s.rollback()
            counts.import_id, counts.dry = 0, True
    return counts


def from_calendar(raw: bytes, *, technician: str = "", zone: str | None = None, at: datetime) -> ics.Converted:
    """What of a calendar file would become visits, to be shown and confirmed: `as_csv()` is then taken like any file.

    `technician` (an id) has the visits that name none. Raises Refused in a sentence where nothing can be taken.
    """
    s = db.session()
    company = s.get(Company, 1)
    if company is None:
        raise Refused("There is no company yet. Run `punctual init` first.")
    rows = s.execute(select(Technician.ref, Technician.name, Technician.email)).all()
    if technician and technician not in {r.ref for r in rows}:
        raise Refused(f'There is no technician "{technician}".', status=422, field="technician")
    people = ics.People(
        by_email={r.email.lower(): r.ref for r in rows if r.email},
        by_name={name.casefold(): r.ref for r in rows for name in (r.name, r.ref)},
        chosen=technician,
    )
    try:
        here = cells.zone(zone or company.zone)
        found = ics.convert(raw, people, zone=here, at=at, window_min=queries.rules(s).window_min)
    except (Broken, cells.Wrong) as error:
        raise Refused(str(error), status=422) from error
    if len(found.as_csv()) > MOST_SHOWN:
        raise Refused("This calendar has too many visits to be shown at once. Export a shorter time.", status=422)
    return found


def tell(import_id: int, *, count: int, at: datetime) -> int:
    """Tell the customers whose window an import changed; `count` is the number that was shown and confirmed.

    Returns how many were told. Raises Refused when the number has changed since it was shown.
    """
    with transaction() as s:
        record = s.get(Import, import_id) if 0 < import_id < 2**31 else None
        if record is None:
            raise Refused("There is no such import.", status=404)
        waiting = len(_waiting(s, record, at))
        if waiting != count:
            raise Refused(f"{waiting} customers would be told now, not {count}. Look again.", waiting=waiting)
        return _tell(s, record, at)


def untold(s: Session, import_id: int, at: datetime) -> int:
    """How many customers an import moved who have not been told by us."""
    record = s.get(Import, import_id) if 0 < import_id < 2**31 else None
    return len(_waiting(s, record, at)) if record else 0


def _waiting(s: Session, record: Import, at: datetime) -> list[tuple[Visit, dict[str, Any]]]:
    """The changes of an import that are still so and worth telling."""
    if record.counts.get("told"):
        return []
    moved = record.counts.get("moved", [])
    found = []
    for i in range(0, len(moved), 500):
        some = {m["visit"]: m for m in moved[i : i + 500]}
        for visit in s.scalars(select(Visit).where(Visit.id.in_(some)).order_by(Visit.id)):
            change = some[visit.id]
            so = visit.state == "cancelled" if change["kind"] == "cancelled_us" else visit.state not in OVER
            if so and visit.promise_version == change["version"] and visit.window_end > at:
                found.append((visit, change))
    return found


def _tell(s: Session, record: Import, at: datetime) -> int:
    waiting = _waiting(s, record, at)
    for visit, change in waiting:
        outbox.put(
            s,
            key=f"{visit.id}:{visit.promise_version}:{change['kind']}:1",
            kind=change["kind"],
            at=at,
            reason="moved" if change["kind"] == "moved_by_us" else "cancelled",
            cause=f"import:{record.id}",
            facts={k: change[k] for k in ("old_start", "old_end") if k in change},
            visit=visit,
        )
        touch_board(s, visit.date)
    record.counts = {**record.counts, "told": len(waiting)}
    return len(waiting)


def _checked(raw: bytes, zone: str | None, actuals: bool, progress: Progress | None) -> intake.Checked:
    """The file as values, read before any transaction begins."""
    s = db.session()
    company = s.get(Company, 1)
    try:
        if company is None and not intake.is_recorded(raw):
            raise Refused("There is no company yet. Run `punctual init` first.")
        if company is None and not zone:
            raise Refused("Say the zone of these times, for example --zone America/New_York.", status=422, field="zone")
        known = intake.Known(
            zone=company.zone if company else str(zone),
            country=company.country if company else "",
            technicians={r.ref: r.name for r in s.execute(select(Technician.ref, Technician.name))},
            jobs={r.name: r.planned_min for r in s.execute(select(JobType.name, JobType.planned_min))},
        )
        half = (lambda done, of: progress(done, 2 * of)) if progress else None
        return intake.read(raw, known=known, zone=zone, actuals=actuals, progress=half)
    except intake.Unreadable as error:
        raise Refused(
            str(error),
            status=422,
            errors=[{"row": p.row, "column": p.column, "sentence": p.sentence} for p in error.problems[:SHOWN]],
            problems=len(error.problems),
        ) from None


def _company(s: Session, recorded: bool, zone: str | None, at: datetime) -> Company:
    """The company, its row locked so that imports queue up; recorded days make their own where there is none."""
    found = s.scalar(select(Company).where(Company.id == 1).with_for_update())
    if found is None and recorded:
        found = Company(
            id=1,
            name="Recorded days",
            text_name="Recorded days",
            zone=str(zone),
            country="US",
            mail_from="visits@example.com",
            rules=dict(days.RULES),
            created_at=at,
        )
        s.add(found)
        s.flush()
    if found is None:
        raise Refused("There is no company yet. Run `punctual init` first.")
    return found
