"""Recorded days - planned and actual times of jobs by resource - as visits of stand-in customers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

from punctual.core.day import Window, at_wall
from punctual.intake import cells
from punctual.intake.cells import Problem, Wrong
from punctual.intake.sheet import Sheet, columns
from punctual.intake.values import Checked, Customer, Job, Shift, Spot, Technician, Unreadable, Visit

COLUMNS = (
    "resource_id", "date", "seq", "job_type", "planned_start", "planned_end", "actual_start", "actual_end",
    "planned_depart", "place",
)  # fmt: skip
NEEDED = ("resource_id", "date", "seq", "job_type", "planned_start", "planned_end")
#: A recorded job's window opens at its planned start and is this long.
WINDOW = timedelta(minutes=15)
#: Rules of a company made for such a file: late means 15 minutes past plan, messages at any hour, no storm guard.
RULES = {"threshold_min": 0.0, "quiet_until": 0, "quiet_from": 1440, "storm_cause": 0, "storm_all": 0}
MOST_PROBLEMS = 500


def read(sheet: Sheet, zone: str, *, actuals: bool, progress: Callable[[int, int], None]) -> Checked:
    """Every job as a visit, every resource as a technician with a shift from its first plan to its last.

    With `actuals` the jobs are over, as history; without, only the plan is taken. Raises Unreadable.
    """
    notes = columns(sheet, COLUMNS, (*NEEDED, *(("actual_start", "actual_end") if actuals else ())))
    problems: list[Problem] = []
    checked = Checked(rows=len(sheet.rows), notes=notes, recorded=True)
    refs: dict[str, int] = {}
    jobs: dict[str, Job] = {}
    for n, (row, cell) in enumerate(sheet):
        if n % 500 == 0:
            progress(n, len(sheet.rows))
        try:
            visit = _visit(row, cell, zone, actuals)
        except Wrong as error:
            problems.append(Problem(row, "", f"Row {row}: {error}"))
            if len(problems) >= MOST_PROBLEMS:
                break
            continue
        if visit.ref in refs:
            problems.append(Problem(row, "seq", f"Rows {refs[visit.ref]} and {row} are the same job {visit.ref}."))
        refs.setdefault(visit.ref, row)
        jobs.setdefault(visit.job, Job(visit.job, visit.job, visit.planned_min, ""))
        checked.visits.append(visit)
    if problems:
        raise Unreadable(problems, len(sheet.rows))
    checked.jobs = list(jobs.values())
    checked.technicians, checked.shifts = _shifts(checked.visits)
    return checked


def _visit(row: int, cell: dict[str, str], zone: str, actuals: bool) -> Visit:
    resource, seq = cell["resource_id"], cell["seq"]
    if not resource or not seq or not cell["job_type"] or len(resource) > 40 or len(seq) > 9:
        raise Wrong("resource_id, seq and job_type must be there and short.")
    if len(cell["job_type"]) > 80:
        raise Wrong("`job_type` is longer than 80 characters.")
    if len(cell.get("place", "")) > 300:
        raise Wrong("`place` is longer than 300 characters.")
    on = cells.day(cell["date"])
    start, end = _instant(cell["planned_start"], zone), _instant(cell["planned_end"], zone)
    if end <= start or end - start > timedelta(days=1):
        raise Wrong("`planned_end` must be after `planned_start`, by a day at most.")
    arrived = _instant(cell["actual_start"], zone) if actuals and cell["actual_start"] else None
    finished = _instant(cell["actual_end"], zone) if actuals and cell["actual_end"] else None
    if (arrived is None) != (finished is None) or (arrived and finished and finished < arrived):
        raise Wrong("`actual_end` must be there with `actual_start`, and not before it.")
    name = f"{resource}-{seq}"
    kept = {k: cell.get(k, "") for k in (*NEEDED, "place", *(("actual_start", "actual_end") if actuals else ()))}
    return Visit(
        row=row,
        ref=f"{on.isoformat()}-{name}",
        cells=kept,
        date=on,
        zone=zone,
        window=Window(start, start + WINDOW),
        wall=(cell["planned_start"][:16].replace(" ", "T"), _later(cell["planned_start"])),
        planned_start=start,
        planned_min=(end - start).total_seconds() / 60,
        technician=resource,
        job=cell["job_type"],
        customer=Customer(name, name, f"{_mailbox(name)}@example.com", None, "en", None, False),
        spot=Spot(cell["place"], named=True) if cell.get("place") else None,
        arrived=arrived,
        finished=finished,
    )


def _instant(text: str, zone: str) -> datetime:
    on, at = cells.stamp(text)
    return at_wall(on, at.hour, at.minute, zone)


def _later(text: str) -> str:
    """The wall time at which the window closes."""
    on, at = cells.stamp(text)
    wall = datetime(on.year, on.month, on.day, at.hour, at.minute) + WINDOW  # noqa: DTZ001 - a wall time
    return wall.strftime("%Y-%m-%dT%H:%M")


def _mailbox(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_+-]", ".", name).strip(".")


def _shifts(visits: list[Visit]) -> tuple[list[Technician], list[Shift]]:
    hours: dict[tuple[str, date], Window] = {}
    people: dict[str, Technician] = {}
    for v in visits:
        who = v.technician or ""
        people.setdefault(who, Technician(who, who, f"technician.{_mailbox(who)}@example.com", None, (), None))
        end = v.planned_start + timedelta(minutes=v.planned_min)
        old = hours.get((who, v.date), Window(v.planned_start, end))
        hours[(who, v.date)] = Window(min(old.start, v.planned_start), max(old.end, end))
    return list(people.values()), [Shift(who, on, window, None) for (who, on), window in hours.items()]
