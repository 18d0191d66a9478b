"""A day's forecast as it is kept: a few bytes a visit for what is shown, and what the watch remembers of its last look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Days, Floats, Ints
from punctual.core.forecast import P10, P50, P90, Forecast, VisitForecast
from punctual.core.frozen import frozen

#: Raised when HEAD or ROW changes: a forecast kept in another format is made anew at the next look.
FORMAT = 1
#: One a day. `open`: the first visit not over, `newest`: the newest report - together the wait for `expected`, the
#: minute by which the next report should have come (NaN: none).
HEAD = np.dtype([("format", "u1"), ("open", "<i8"), ("newest", "<f8"), ("expected", "<f8")])
#: One a visit, in visiting order. Instants are seconds since 1970, chances ten-thousandths (NONE: no such chance).
#: `reason`, `chance` and `version`: the last reason for silence written (see core.sift), its chance in tenths of a per
#: cent, and the promise it was about.
ROW = np.dtype(
    [
        ("visit", "<i8"),
        ("arrive", "<u4", 3),
        ("finish", "<u4", 3),
        ("mean", "<u4", 2),
        ("late", "<u2"),
        ("window", "<u2"),
        ("deadline", "<u2"),
        ("before", "<u2"),
        ("version", "<i4"),
        ("reason", "u1"),
        ("chance", "<i2"),
    ]
)
#: Where its columns begin, and the same bytes as three: instants, chances with the count, and what is remembered.
_AT: Any = ROW.fields
_THREE: Any = {
    "names": ["instants", "numbers", "remembered"],
    "formats": [("<u4", 8), ("<u2", 4), "V7"],
    "offsets": [_AT[name][1] for name in ("arrive", "late", "version")],
    "itemsize": ROW.itemsize,
}
TOGETHER: np.dtype[np.void] = np.dtype(_THREE)
NONE = 65535
SHOWN = slice(P10, P90 + 1, P50 - P10)
#: A kept instant that moved by this many seconds, or a kept chance by this many ten-thousandths, is written again.
STEP_S, STEP_CHANCE, STEP_WAIT = 60, 200, 1 / 60
#: By how much what is shown of a visit has moved visibly: six instants - the mean schedule is not shown -, three chances,
#: the stops before it.
_STEPS = np.array([[STEP_S]] * 6 + [[2**31 - 1]] * 2 + [[STEP_CHANCE]] * 3 + [[1]], dtype=np.int32)
#: What is shown of a visit in the units it is kept in: eight instants, three chances, the stops before it.
_UNITS: Floats = np.array([[60.0]] * 8 + [[10000.0]] * 3 + [[1.0]])
#: The head of a day of which nothing was kept.
_NOTHING = bytes(HEAD.itemsize)

Rows = NDArray[np.void]


@frozen()
class Kept:
    """What was kept of some days, laid beside their present rows: `head` [days] and `rows` [rows], nothing but zeros where
    nothing was kept - as of a day that is not `known` [days]."""

    head: Rows
    rows: Rows
    known: NDArray[np.bool_]


def rows_of(made: Forecast, days: Days, kept: Kept) -> Rows:
    """What is shown of every visit, as ROW; what was remembered of it stays."""
    shown = np.empty((12, days.rows))
    shown[:3], shown[3:6] = made.arrive[:, SHOWN].T, made.finish[:, SHOWN].T
    shown[6], shown[7] = made.mean_arrive, made.mean_finish
    shown[8], shown[9], shown[10] = made.p_late, made.p_window, made.p_deadline
    shown[11] = _before(days)
    shown *= _UNITS
    np.copyto(shown, NONE, where=np.isnan(shown))
    np.rint(shown, out=shown)
    rows = np.frombuffer(bytearray(kept.rows.tobytes()), dtype=ROW)  # copy() would go field by field
    rows["visit"] = days.visit_id
    together = rows.view(TOGETHER)
    together["instants"], together["numbers"] = shown[:8].T, shown[8:].T
    return rows


def _before(days: Days) -> Ints:
    """How many visits of its day that are not over stand before each."""
    ahead = np.isnan(days.finished)
    found = np.add.accumulate(ahead, dtype=np.int64)
    found -= ahead
    return found if len(days) == 1 else np.asarray(found - found[days.offset[days.day_of]])


def heads_of(made: Forecast, open_: Ints, newest: Floats) -> Rows:
    """What is remembered of every day, as HEAD."""
    head = np.zeros(len(open_), dtype=HEAD)
    head["format"], head["open"], head["newest"] = FORMAT, open_, newest
    head["expected"] = made.expected_report
    return head


def pack(head: Rows, rows: Rows, offset: Ints, which: Ints) -> list[bytes]:
    """Some days as bytes, in the order of `which`."""
    heads, all_, ends = head.tobytes(), rows.tobytes(), (offset * ROW.itemsize).tolist()
    size = HEAD.itemsize
    return [heads[d * size : (d + 1) * size] + all_[ends[d] : ends[d + 1]] for d in which.tolist()]


def beside(days: Days, packed: list[bytes | None]) -> Kept:
    """What was kept of each day, beside its present rows; a visit is found by its id, wherever it stands now."""
    size = HEAD.itemsize
    good = [p if p is not None and len(p) >= size and p[0] == FORMAT else _NOTHING for p in packed]
    head = np.frombuffer(b"".join([p[:size] for p in good]), dtype=HEAD)
    rows = np.frombuffer(b"".join([p[size:] for p in good]), dtype=ROW)
    known, counts = head["format"] == FORMAT, [(len(p) - size) // ROW.itemsize for p in good]
    if counts == days.counts.tolist() and not np.count_nonzero(rows["visit"] != days.visit_id):
        return Kept(head, rows, known)
    return Kept(head, _found(days, rows, np.arange(len(days)).repeat(counts)), known)


def _found(days: Days, old: Rows, day: Ints) -> Rows:
    """The rows kept of each `day` where its visits stand now."""
    rows = np.zeros(days.rows, dtype=ROW)
    if len(old):
        old_key, new_key = _key(day, old["visit"]), _key(days.day_of, days.visit_id)
        order = np.argsort(old_key, kind="stable")
        at = order[np.minimum(np.searchsorted(old_key[order], new_key), len(old) - 1)]
        here = old_key[at] == new_key
        rows[here] = old[at[here]]
    return rows


def moved(kept: Kept, rows: Rows) -> NDArray[np.bool_]:
    """Which rows show something visibly different from what was kept - a minute, or two per cent -; where nothing was kept,
    that showed 1970."""
    by = (_numbers(rows) - _numbers(kept.rows)).view(np.int32)  # unsigned ones wrap around to what lies between them
    return np.asarray(np.logical_or.reduce(np.abs(by, out=by) >= _STEPS))


def _numbers(rows: Rows) -> NDArray[np.uint32]:
    """All that is shown of rows, a line for each number: so they are compared line by line, not a dozen at a time."""
    together, found = rows.view(TOGETHER), np.empty((len(_STEPS), len(rows)), dtype=np.uint32)
    found[:8], found[8:] = together["instants"].T, together["numbers"].T
    return found


def waited(kept: Kept, open_: Ints, newest: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Which days wait for the same report as at the last look, and when it was expected then; NaN for all others - as for
    a day of which nothing was kept, which has heard its newest in 1970."""
    old = kept.head
    same = np.abs(old["newest"] - newest) < STEP_WAIT
    same &= old["open"] == open_
    return same, np.where(same, old["expected"], np.nan)


def waits(same: NDArray[np.bool_], before: Floats, now: Floats) -> NDArray[np.bool_]:
    """Which days wait for another report than was kept (`waited`), or for the same one until another time than `before`.

    Waiting makes nothing due later: a day that expects nothing now (NaN) expected nothing before.
    """
    return np.asarray(~((np.abs(before - now) < STEP_WAIT) | (same & np.isnan(now))))


def expected_report(data: bytes | None) -> datetime | None:
    """When the next report of a kept day should have come."""
    if data is None or data[:1] != bytes([FORMAT]):
        return None
    value = float(np.frombuffer(data[: HEAD.itemsize], dtype=HEAD)["expected"][0])
    return None if np.isnan(value) else _instant(round(value * 60.0))


def expected_reports(heads: Sequence[bytes]) -> Floats:
    """The same of many days by the heads of what was kept, as whole seconds since 1970; NaN where none is expected."""
    none = bytes(HEAD.itemsize)
    whole = b"".join(x if len(x) == HEAD.itemsize and x[0] == FORMAT else none for x in heads)
    found = np.frombuffer(whole, dtype=HEAD)
    return np.rint(np.where(found["format"] == FORMAT, found["expected"], np.nan) * 60.0)


def visits(data: bytes | None, at: datetime) -> dict[int, VisitForecast]:
    """The kept forecasts of a day by visit id, `at` is when they were made."""
    if data is None or data[:1] != bytes([FORMAT]):
        return {}
    return {r[0]: _visit(r, at) for r in np.frombuffer(data[HEAD.itemsize :], dtype=ROW).tolist()}


def _key(day: Ints, visit: Ints) -> Ints:
    return (day.astype(np.int64) << 44) | visit


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _visit(r: tuple[Any, ...], at: datetime) -> VisitForecast:
    visit, arrive, finish, mean, late, window, deadline, before = r[:8]
    a, f = [_instant(int(x)) for x in arrive], [_instant(int(x)) for x in finish]
    return VisitForecast(
        visit_id=visit,
        at=at,
        arrive=(a[0], a[1], a[2]),
        finish=(f[0], f[1], f[2]),
        mean_arrive=_instant(int(mean[0])),
        mean_finish=_instant(int(mean[1])),
        p_late=late / 10000.0,
        p_window=window / 10000.0,
        p_deadline=None if deadline == NONE else deadline / 10000.0,
        stops_before=before,
    )
