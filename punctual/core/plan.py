"""Is the plan right? What each kind of work really took, and which planned time should be changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from punctual.core.day import Days

#: Fewer visits than this say nothing about a plan.
ENOUGH = 20
#: A plan is wrong when half the visits are off by so many minutes, and by this share of it.
OFF_MIN, OFF_SHARE = 5.0, 0.12
#: Plans are proposed in steps of so many minutes.
STEP = 5


@dataclass(frozen=True, slots=True)
class Work:
    """One job type as it went: visits counted, and the 10, 50 and 90 % points of the minutes taken."""

    job_type: int
    visits: int
    planned: float
    taken: tuple[float, float, float]


def worked(days: Days) -> list[Work]:
    """Every job type of finished visits, by id; `planned` is the median of what was planned."""
    took = days.finished - days.arrived
    known = took > 1.0
    found = []
    for kind in np.unique(days.job_type[known]):
        mine = known & (days.job_type == kind)
        low, mid, high = (round(float(x), 1) for x in np.quantile(took[mine], (0.1, 0.5, 0.9)))
        found.append(
            Work(int(kind), int(mine.sum()), round(float(np.median(days.planned_min[mine])), 1), (low, mid, high))
        )
    return found


def better(work: Work, planned: float) -> int | None:
    """The minutes to plan instead of `planned`, or None while the plan is right or too little is known."""
    off = abs(work.taken[1] - planned)
    if work.visits < ENOUGH or off < max(OFF_MIN, OFF_SHARE * planned):
        return None
    proposed = max(STEP, STEP * round(work.taken[1] / STEP))
    return proposed if proposed != round(planned) else None
