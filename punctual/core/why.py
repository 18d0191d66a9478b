"""Why this time? What lies between now and a visit's likely arrival, in minutes that add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from punctual.core.day import Days, Ints
from punctual.core.forecast import P10, P50, P90, Forecast
from punctual.core.travel import into

Where = Literal["at", "driving", "free", "before", "here"]


@dataclass(frozen=True, slots=True)
class Why:
    """The numbers behind one forecast; minutes, and minutes since 1970 for `at`, `since` and `arrive`.

    where: the technician is "at" another visit, "driving" to one, "free", "before" the shift, or "here" already.
    visit: that visit (0: none), reached or set out to at `since`; elapsed, planned and over are of the work there, said
    what the technician announced on top of the plan, left the 10, 50 and 90 % points of what remains.
    From there on, likely: stops visits of `work` minutes, `drive`, `rest` (the break) and `wait` for plans, windows and
    doors. left[1] + work + drive + rest + wait = arrive[1] - at. slack: minutes of the plan's spare time this uses up.
    opens: the wait is because nobody comes before the window opens.
    """

    at: float
    arrive: tuple[float, float, float]
    where: Where
    visit: int
    since: float
    elapsed: float
    planned: float
    over: float
    said: float
    left: tuple[float, float, float]
    stops: int
    work: float
    drive: float
    rest: float
    wait: float
    slack: float
    opens: bool


def why(days: Days, made: Forecast, row: int) -> Why:
    """Explain the forecast of one row; ValueError for a visit that is over."""
    if not np.isnan(days.finished[row]):
        raise ValueError("This visit is over; there is nothing left to explain.")
    d = int(np.searchsorted(days.offset, row, side="right")) - 1
    before = np.arange(days.offset[d], row)
    open_ = before[np.isnan(days.finished[before])]
    where, source = _where(days, made, d, open_, row)
    left = (0.0, 0.0, 0.0)
    if where in ("at", "here"):
        left = tuple(max(float(made.finish[source, p]) - made.at, 0.0) for p in (P10, P50, P90))  # type: ignore[assignment]
    legs = _Legs(made.at + left[1] if where == "at" else made.at)
    travel = into(days)
    for r in [*(int(r) for r in open_ if r != source or where != "at"), row] if where != "here" else []:
        legs.drive_to(days, made, d, r, float(travel[r]), under_way=where == "driving" and r == source)
        if r != row:
            legs.work_at(made, r)
    arrive = tuple(float(made.arrive[row, p]) for p in (P10, P50, P90))
    elapsed = made.at - float(days.arrived[source]) if where in ("at", "here") else 0.0
    planned = float(days.planned_min[source]) if source >= 0 else 0.0
    since = {"at": days.arrived, "here": days.arrived, "driving": days.on_my_way}.get(where)
    opens = not days.early_ok[row] and arrive[0] <= float(days.window_start[row]) + 1.0
    return Why(
        at=made.at,
        arrive=arrive,  # type: ignore[arg-type]
        where=where,
        visit=int(days.visit_id[source]) if source >= 0 else 0,
        since=float(since[source]) if since is not None else np.nan,
        elapsed=elapsed,
        planned=planned,
        over=elapsed - planned if where in ("at", "here") else 0.0,
        said=float(days.late_min[source]) if source >= 0 and not np.isnan(days.late_at[source]) else 0.0,
        left=left,
        stops=len(open_) - (where == "at"),
        work=legs.work,
        drive=legs.drive,
        rest=legs.rest,
        wait=legs.wait,
        slack=_slack(days, made, open_, row, travel, source) if where == "at" else 0.0,
        opens=bool(opens and legs.wait > 1.0),
    )


def _where(days: Days, made: Forecast, d: int, open_: Ints, row: int) -> tuple[Where, int]:
    """What the technician is doing, and the row it is done at (-1: none)."""
    if not np.isnan(days.arrived[row]):
        return "here", row
    begun = [int(r) for r in open_ if not np.isnan(days.arrived[r])]
    if begun:
        return "at", begun[0]
    set_out = [int(r) for r in (*open_, row) if not np.isnan(days.on_my_way[r])]
    if set_out:
        return "driving", set_out[0]
    started = not np.isnan(days.finished[days.offset[d] : row]).all() if row > days.offset[d] else False
    return ("free" if started or made.at >= days.shift_start[d] else "before"), -1


@dataclass(slots=True)
class _Legs:
    """Minutes from a moment on, sorted by what they go into."""

    now: float
    work: float = 0.0
    drive: float = 0.0
    rest: float = 0.0
    wait: float = 0.0

    def drive_to(self, days: Days, made: Forecast, d: int, r: int, minutes: float, *, under_way: bool) -> None:
        """To the likely arrival at a row: the drive, the break where it lies between, and waiting."""
        there = float(made.arrive[r, P50])
        gap = there - self.now
        early = not days.early_ok[r] and made.arrive[r, P10] <= days.window_start[r] + 1.0
        drive = gap if under_way and not early else min(max(gap, 0.0), minutes)
        rest = 0.0
        if not np.isnan(days.break_start[d]) and days.planned_start[r] >= days.break_start[d]:
            inside = min(there, float(days.break_end[d])) - max(self.now, float(days.break_start[d]))
            rest = min(max(inside, 0.0), max(gap - drive, 0.0))
        self.drive += drive
        self.rest += rest
        self.wait += gap - drive - rest
        self.now = there

    def work_at(self, made: Forecast, r: int) -> None:
        """To the likely end of a row's work."""
        end = float(made.finish[r, P50])
        self.work += end - self.now
        self.now = end


def _slack(
    days: Days, made: Forecast, open_: Ints, row: int, travel: np.ndarray[tuple[int], np.dtype[np.float64]], source: int
) -> float:
    """Minutes the present visit is expected to end too late that the plan's spare time up to this row swallows."""
    late = float(made.finish[source, P50] - days.planned_start[source] - days.planned_min[source])
    between = [int(r) for r in open_ if r != source]
    need = float(sum(days.planned_min[r] + travel[r] for r in between) + travel[row])
    spare = float(days.planned_start[row] - days.planned_start[source] - days.planned_min[source]) - need
    return max(0.0, min(late, spare))
