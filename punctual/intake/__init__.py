"""A schedule file to checked values, or errors by row and column: the company's own CSV, and recorded days."""

from __future__ import annotations

from collections.abc import Callable

from punctual.intake import cells, days, rows
from punctual.intake.cells import Problem, Wrong
from punctual.intake.sheet import open_sheet
from punctual.intake.values import Checked, Known, Unreadable

__all__ = ["Checked", "Known", "Problem", "Unreadable", "is_recorded", "read"]


def is_recorded(raw: bytes) -> bool:
    """Are these recorded days (a `resource_id` column) rather than a company's own schedule? Raises Unreadable."""
    return "resource_id" in open_sheet(raw).header


def read(
    raw: bytes,
    *,
    known: Known,
    zone: str | None = None,
    actuals: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Everything a file holds, without a fault; raises Unreadable with every problem by row and column.

    `known` is what the company has already (names may refer to it), `zone` the zone of the file's times where a row
    names none (the company's by default), `actuals` takes recorded times as history; `progress` hears (row, rows).
    """
    sheet = open_sheet(raw)
    if not sheet.rows:
        raise Unreadable([Problem(1, "", "There is nothing below the header. Add a row for each visit.")], 0)
    try:
        here = cells.zone(zone or known.zone)
    except Wrong as error:
        raise Unreadable([Problem(1, "zone", f"The zone {error}")], len(sheet.rows)) from None
    tell = progress or (lambda done, total: None)
    if "resource_id" in sheet.header:
        checked = days.read(sheet, here, actuals=actuals, progress=tell)
    else:
        checked = rows.read(sheet, known, here, progress=tell)
    tell(len(sheet.rows), len(sheet.rows))
    return checked
