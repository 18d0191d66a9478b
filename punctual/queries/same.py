"""Is a day still what it was? Columns read twice, compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from punctual.core.day import Bools, Ints
from punctual.queries.columns import ID, Seen, Stood

#: Columns that have one value a day.
BY_DAY = frozenset(
    [
        "day_id",
        "technician",
        "shift_start",
        "shift_end",
        "break_start",
        "break_end",
        "home_lat",
        "home_lon",
        "off",
        "nudged",
    ]
)


def unchanged(before: Seen, which: Ints, now: Seen) -> Bools:
    """Which of some days (indexes of `before`) are still as they were; `now` holds exactly these, in this order."""
    counts = np.diff(before.days.offset)[which]
    same = np.zeros(len(which), dtype=np.bool_)
    if not np.array_equal(before.days.day_id[which], now.days.day_id):
        return same
    same[:] = counts == np.diff(now.days.offset)
    for old, new in _pairs(before, now, by_day=True):
        same &= _equal(old[which], new)
    same &= np.array([before.marks[d] == now.marks[i] for i, d in enumerate(which.tolist())], dtype=np.bool_)
    day = np.repeat(np.arange(len(which)), counts)
    row = np.concatenate([np.arange(before.days.offset[d], before.days.offset[d + 1]) for d in which])
    there = now.days.offset[day] + row - before.days.offset[which][day]
    fits = same[day]
    day, row, there = day[fits], row[fits], there[fits]
    differs = np.zeros(len(row), dtype=np.bool_)
    for old, new in _pairs(before, now, by_day=False):
        differs |= ~_equal(old[row], new[there])
    same[day[differs]] = False
    return same


def untouched(before: Seen, which: Ints, now: Stood) -> Bools:
    """Which of some days (indexes of `before`) have the sign they had, and what was kept of them; `now` holds them, read
    again. What leaves no sign, as a customer's address, may have changed."""
    was, stands = before.stood, {r[ID]: r for r in now.days}
    same = was.beside == now.beside
    return np.array([same and stands.get(was.days[d][ID]) == was.days[d] for d in which.tolist()], dtype=np.bool_)


def _pairs(before: Seen, now: Seen, *, by_day: bool) -> Iterator[tuple[Any, Any]]:
    """Every column of both, by day or by row."""
    for part in ("days", "stands"):
        one, other = getattr(before, part), getattr(now, part)
        for f in fields(one):
            if f.name != "offset" and (f.name in BY_DAY) == by_day:
                yield getattr(one, f.name), getattr(other, f.name)
    if by_day:
        yield before.answered, now.answered
        yield before.kept.head, now.kept.head
    else:
        yield before.version, now.version
        yield before.kept.rows, now.kept.rows


def _equal(old: Any, new: Any) -> Bools:
    if old.dtype.names:
        size = old.dtype.itemsize
        same = np.frombuffer(old.tobytes(), dtype=f"V{size}") == np.frombuffer(new.tobytes(), dtype=f"V{size}")
        return np.asarray(same)
    return np.asarray((old == new) | ((old != old) & (new != new)))
