"""A day's forecast as it is kept: a few bytes a visit for what is shown, and what the watch remembers of its last look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Days, Floats, Ints
from punctual.core.forecast import P10, P50, P90, Forecast, VisitForecast

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
_STEPS: Ints = np.array([STEP_S] * 6 + [2**62] * 2 + [STEP_CHANCE] * 3 + [1])
#: As arrays: a NumPy call with a plain number takes half as long again.
_PER_MINUTE, _PER_CHANCE = np.array(60.0), np.array(10000.0)

Rows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of some days, laid beside their present rows: `head` [days] and `rows` [rows].

    `known` [days] and `here` [rows] are False where nothing was kept.
    """

    head: Rows
    rows: Rows
    known: NDArray[np.bool_]
    here: NDArray[np.bool_]


def rows_of(made: Forecast, days: Days) -> Rows:
    """What is shown of every visit, as ROW; nothing is remembered yet."""
    n = len(days.visit_id)
    total = np.zeros(n + 1, dtype=np.int64)
    np.add.accumulate(np.isnan(days.finished), dtype=np.int64, out=total[1:])
    before = total[:-1] - total[days.offset[days.day_of]]
    shown = np.empty((12, n))
    shown[:3], shown[3:6] = made.arrive[:, SHOWN].T, made.finish[:, SHOWN].T
    shown[6:] = made.mean_arrive, made.mean_finish, made.p_late, made.p_window, made.p_deadline, before
    shown[:8] *= _PER_MINUTE
    shown[8:11] *= _PER_CHANCE
    np.copyto(shown, NONE, where=np.isnan(shown))
    np.rint(shown, out=shown)
    rows = np.zeros(n, dtype=ROW)
    rows["visit"] = days.visit_id
    together = rows.view(TOGETHER)
    together["instants"], together["numbers"] = shown[:8].T, shown[8:].T
    return rows


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
    n = len(days)
    head, rows = np.zeros(n, dtype=HEAD), np.zeros(days.rows, dtype=ROW)
    here = np.zeros(days.rows, dtype=np.bool_)
    good = [d for d, p in enumerate(packed) if p is not None and len(p) >= HEAD.itemsize and p[0] == FORMAT]
    known = np.zeros(n, dtype=np.bool_)
    known[good] = True
    if good:
        blobs = [packed[d] or b"" for d in good]
        head[good] = np.frombuffer(b"".join(b[: HEAD.itemsize] for b in blobs), dtype=HEAD)
        old = np.frombuffer(b"".join(b[HEAD.itemsize :] for b in blobs), dtype=ROW)
        counts = [(len(b) - HEAD.itemsize) // ROW.itemsize for b in blobs]
        if len(good) == n and counts == days.counts.tolist() and np.array_equal(old["visit"], days.visit_id):
            return Kept(head, old, known, np.ones(days.rows, dtype=np.bool_))
        old_key = _key(np.repeat(np.asarray(good, dtype=np.int64), counts), old["visit"])
        new_key = _key(np.repeat(np.arange(n), days.counts), days.visit_id)
        order = np.argsort(old_key, kind="stable")
        at = np.minimum(np.searchsorted(old_key[order], new_key), max(len(old) - 1, 0))
        if len(old):
            here = old_key[order][at] == new_key
            rows[here] = old[order[at[here]]]
    return Kept(head, rows, known, here)


def moved(kept: Kept, rows: Rows) -> NDArray[np.bool_]:
    """Which rows show something visibly different from what was kept: a minute, or two per cent."""
    by = _numbers(rows)
    by -= _numbers(kept.rows)
    far = np.logical_or.reduce(np.abs(by, out=by) >= _STEPS, axis=1)
    return np.asarray(far | ~kept.here)


def _numbers(rows: Rows) -> Ints:
    """All that is shown of rows, one number beside the other."""
    together, out = rows.view(TOGETHER), np.empty((len(rows), len(_STEPS)), dtype=np.int64)
    out[:, :8], out[:, 8:] = together["instants"], together["numbers"]
    return out


def remember(kept: Kept, rows: Rows) -> None:
    """Let rows remember what was kept: the last reason written, its chance, and the promise it was about."""
    rows.view(TOGETHER)["remembered"] = kept.rows.view(TOGETHER)["remembered"]


def waited(kept: Kept, open_: Ints, newest: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Which days wait for the same report as at the last look, and when it was expected then; NaN for all others."""
    old = kept.head
    same = np.abs(old["newest"] - newest) < STEP_WAIT
    same &= old["open"] == open_
    same &= kept.known
    return same, np.where(same, old["expected"], np.nan)


def waits(same: NDArray[np.bool_], before: Floats, now: Floats) -> NDArray[np.bool_]:
    """Which days wait for another report than was kept (`waited`), or for the same one until another time than `before`."""
    return np.asarray(~(same & ((np.abs(before - now) < STEP_WAIT) | (np.isnan(before) & np.isnan(now)))))


def expected_report(data: bytes | None) -> datetime | None:
    """When the next report of a kept day should have come."""
    if data is None or data[:1] != bytes([FORMAT]):
        return None
    value = float(np.frombuffer(data[: HEAD.itemsize], dtype=HEAD)["expected"][0])
    return None if np.isnan(value) else _instant(round(value * 60.0))


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
