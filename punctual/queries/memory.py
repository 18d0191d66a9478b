"""Visits as they were read a minute ago, for the days on which nothing has changed since: most of them, in any minute."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import numpy as np

from punctual.queries.numbers import Numbers, Table

#: Fewer days than this are read anew at every look: it costs nothing.
FEW = 200
#: Each day is asked once in so many minutes for what leaves no sign on a visit: a place found, an address mended.
EVERY_MIN = 20


class Memory:
    """The rows of many days by shift, each with a sign that every change of a visit alters (columns.SIGN).

    One worker's own. What was remembered wrongly for some minutes does no harm: whoever is told or asked something is
    decided about on a second reading of the day.
    """

    def __init__(self, few: int = FEW) -> None:
        self.few = few
        self._days: dict[int, tuple[str | None, bytes]] = {}
        self.numbers = Numbers({}, {}, {})

    def keep(self, ids: Collection[int]) -> None:
        """Forget all days but these."""
        for gone in self._days.keys() - ids:
            del self._days[gone]

    def rows(
        self,
        ids: Sequence[int],
        signs: Sequence[str | None],
        at: datetime,
        read: Callable[[list[int]], Table],
        other: Callable[[list[int], Table], Collection[int]],
    ) -> Table:
        """The rows of days in order of ids: `read` from the database where the sign has changed, or where the turn has
        come and what leaves no sign makes `other` days of them than is remembered."""
        if len(ids) < self.few:
            return read(list(ids))
        turn, none = int(at.timestamp() // 60), ("", b"")
        known = [self._days.get(i, none) for i in ids]
        stale = [i for i, sign, (was, _) in zip(ids, signs, known, strict=True) if was != sign]
        asked = sorted({i for i in ids if (i + turn) % EVERY_MIN == 0}.difference(stale))
        if asked:
            stale = sorted([*stale, *other(asked, self._table(asked))])
        fresh = read(stale)
        self.numbers, found = fresh.numbers, _cut(fresh, stale)
        for i, sign in zip(ids, signs, strict=True):
            if i in found:
                self._days[i] = sign, found[i]
        return self._table(ids)

    def _table(self, ids: Sequence[int]) -> Table:
        """What is remembered of some days."""
        values = np.frombuffer(b"".join([self._days[i][1] for i in ids]))
        return Table(self.numbers, values.reshape(-1, len(self.numbers)))


def _cut(table: Table, ids: Sequence[int]) -> dict[int, bytes]:
    """The rows of each day as bytes; rows are in order of ids."""
    ends = np.searchsorted(table["shift"], np.asarray([*ids, np.inf]))
    packed, size = table.values.tobytes(), len(table.numbers) * table.values.itemsize
    return {i: packed[a * size : b * size] for i, a, b in zip(ids, ends.tolist(), ends[1:].tolist(), strict=False)}
