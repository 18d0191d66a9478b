"""Columns as bytes, one piece a date: what a day taught is kept once and read back exactly."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Bools, Days, pack

#: Columns of a day; all others of Days have one value a visit.
BY_DAY = frozenset(
    {"day_id", "technician", "shift_start", "shift_end", "break_start", "break_end", "home_lat", "home_lon"}
)
#: Degrees kept of a place, about a hundred metres: enough to learn from, too coarse for a front door.
PLACES = 3

Columns = Mapping[str, NDArray[Any]]


def to_bytes(columns: Columns) -> bytes:
    """Named arrays as one compressed archive; the same arrays always give the same bytes."""
    out = io.BytesIO()
    kept: dict[str, Any] = dict(columns)
    np.savez_compressed(out, **kept)
    return out.getvalue()


def from_bytes(data: bytes) -> dict[str, NDArray[Any]]:
    """The inverse of to_bytes."""
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def of_days(days: Days) -> bytes:
    """Days as bytes, their places rounded; fill `travel` first, or it is estimated from rounded places."""
    columns = {f.name: getattr(days, f.name) for f in fields(Days)}
    for name in ("lat", "lon", "home_lat", "home_lon"):
        columns[name] = np.round(columns[name], PLACES)
    return to_bytes(columns)


def joined(parts: Sequence[Days]) -> Days:
    """Many days one after the other."""
    if not parts:
        return pack([])
    values: dict[str, Any] = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Days) if f.name != "offset"
    }
    counts = np.concatenate([np.diff(p.offset) for p in parts])
    values["offset"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Days(**values)


def rows(days: Days, which: Bools) -> Days:
    """Some rows, in their days; days left without any go too."""
    day_of = days.day_of
    counts = np.bincount(day_of[which], minlength=len(days))
    left = counts > 0
    values: dict[str, Any] = {
        f.name: getattr(days, f.name)[left if f.name in BY_DAY else which] for f in fields(Days) if f.name != "offset"
    }
    values["offset"] = np.concatenate([[0], np.cumsum(counts[left])]).astype(np.int64)
    return Days(**values)
