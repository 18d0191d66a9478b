"""Before a customer is asked to move: who else could take the visit so that every promise holds."""

from __future__ import annotations

import numpy as np

from punctual.core.day import Floats, Window, minutes
from punctual.core.room import Found
from punctual.core.slot import Starts

#: Starts inside the promised window are tried this many minutes apart; so many technicians are looked at closely.
STEP, MOST = 5.0, 6


def inside(window: Window, at: Floats | float) -> Starts:
    """The starts to try: every five minutes of the promised window that are not over. No grid: the promise stays."""
    first = max(minutes(window.start), float(np.ceil(float(at) / STEP) * STEP))
    tried = np.arange(first, minutes(window.end) + 1e-6, STEP)
    none = np.zeros(len(tried), dtype=np.int64)
    return Starts(tried, none, none)


def ways(found: Found, grid: Starts, present: int | None) -> list[int]:
    """One start for each other technician - their earliest - the least drive first: indices into `found`."""
    order = np.lexsort((found.drive, found.start))
    first: dict[int, int] = {}
    for i in order.tolist():
        technician = int(found.technician[i])
        if technician != present:
            first.setdefault(technician, i)
    return sorted(first.values(), key=lambda i: (found.drive[i], grid.at[found.start[i]]))[:MOST]
