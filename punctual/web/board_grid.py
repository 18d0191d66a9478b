"""Instants to the columns of the timeline: classes f<n> (first 5-minute column) and n<n> (how many), rounded outwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil, floor

from punctual.core.day import Window, at_wall, local
from punctual.queries.board import Board

STEP = timedelta(minutes=5)
#: What an empty day shows, and the longest day the sheet has columns for.
USUAL, LONGEST = (8, 17), 24
#: From how long before an hour until how long after it the present covers its label, for each hour that is shown.
COVERED = timedelta(minutes=-2), timedelta(minutes=4)


@dataclass(frozen=True, slots=True)
class Axis:
    """The hours a board shows: from `start`, `hours` long, labelled in `zone`."""

    start: datetime
    hours: int
    zone: str

    @property
    def columns(self) -> int:
        return 12 * self.hours

    def place(self, span: Window) -> str:
        """The classes of a span; "" for one that lies outside."""
        first = max(0, floor((span.start - self.start) / STEP))
        last = min(self.columns, max(ceil((span.end - self.start) / STEP), first + 1))
        return f"f{first} n{last - first}" if first < last else ""

    def now(self, at: datetime, columns: int = 1) -> str:
        """The classes of the present; "" when it is not on this axis."""
        first = floor((at - self.start) / STEP)
        return f"f{first} n{min(columns, self.columns - first)}" if 0 <= first < self.columns else ""

    def labels(self, at: datetime | None = None) -> list[tuple[str, str]]:
        """(classes, "09:00") of the hours; every second one on a day too long for all, none under the present's own."""
        every = 1 if self.hours <= 14 else 2
        return [
            (
                f"f{12 * h} n{12 * min(every, self.hours - h)}",
                f"{local(self.start + timedelta(hours=h), self.zone):%H:%M}",
            )
            for h in range(0, self.hours, every)
            if at is None
            or not self.hours * COVERED[0] < at - self.start - timedelta(hours=h) < self.hours * COVERED[1]
        ]


def axis(board: Board) -> Axis:
    """The axis that holds a board's shifts, promises and bars; at most a day and never shorter than six hours."""
    spans = [line.shift for line in board.lines if line.shift]
    for line in board.lines:
        for stop in line.stops:
            spans += [stop.window, stop.plan, stop.bar, *([stop.told] if stop.told else [])]
    if not spans:
        return _usual(board.date, board.zone)
    first, last = local(min(s.start for s in spans), board.zone), max(s.end for s in spans)
    start = first - timedelta(minutes=first.minute, seconds=first.second, microseconds=first.microsecond)
    hours = ceil((last - start) / timedelta(hours=1))
    return Axis(start, max(6, min(hours, LONGEST)), board.zone)


def _usual(on: date, zone: str) -> Axis:
    return Axis(at_wall(on, USUAL[0], 0, zone), USUAL[1] - USUAL[0], zone)
