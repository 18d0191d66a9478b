"""Statements that give plain numbers, and their results as tables: no object for a row, none for an instant."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from punctual.core.day import Bools, Floats, Ints
from punctual.core.frozen import frozen


class Moment(FunctionElement[float]):
    """Minutes since 1970 of a column of instants, to the millisecond, without a datetime object in between."""

    type = Float()
    inherit_cache = True


@compiles(Moment, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(round((julianday({compiler.process(element.clauses, **kw)}) - 2440587.5) * 86400000.0) / 60000.0)"


@compiles(Moment, "postgresql")
def _on_postgres(element: Any, compiler: Any, **kw: Any) -> str:
    milliseconds = f"EXTRACT(EPOCH FROM {compiler.process(element.clauses, **kw)}) * 1000"
    return f"(round(CAST({milliseconds} AS DOUBLE PRECISION)) / 60000.0)"


class Values(FunctionElement[str]):
    """The values of a JSON list as rows: one parameter however many there are, and the table that drives a query."""

    inherit_cache = True


@compiles(Values, "sqlite")
def _values_on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(Values, "postgresql")
def _values_on_postgres(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **kw)} AS json))"


def listed(values: Iterable[int]) -> str:
    """Whole numbers as such a list; JSON writes it as Python does."""
    return str(list(values))


class Numbers:
    """What a statement gives that is a number, by name: it comes first in each row, with a fraction, whole, yes or no.

    None is NaN; what is whole, yes or no is always there.
    """

    def __init__(self, floats: Mapping[str, Any], whole: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
        self.floats, self.whole, self.flags = floats, whole, flags
        self.names = [*floats, *whole, *flags]
        self.expressions = [*floats.values(), *whole.values(), *flags.values()]
        self._ends = len(floats), len(floats) + len(whole)
        kind: Any = namedtuple("Columns", self.names)  # type: ignore[misc]
        self._named = kind._make

    def __len__(self) -> int:
        return len(self.names)

    def without(self, *flags: str) -> Numbers:
        """The same but for these."""
        return Numbers(self.floats, self.whole, {k: v for k, v in self.flags.items() if k not in flags})

    def only(self, *names: str) -> Numbers:
        """Some of them."""
        return Numbers(
            *({k: v for k, v in part.items() if k in names} for part in (self.floats, self.whole, self.flags))
        )

    def table(self, rows: Sequence[tuple[Any, ...]]) -> Table:
        """Those of a result."""
        wide = len(self)
        numbers = chain.from_iterable(rows if not rows or len(rows[0]) == wide else map(itemgetter(slice(wide)), rows))
        made = np.fromiter(numbers, dtype=np.float64, count=len(rows) * wide)
        return Table(self, made.reshape(len(rows), wide))

    def columns(self, values: Floats) -> Any:
        """By name, each from one row of `values`."""
        whole, flags = self._ends
        return self._named([*values[:whole], *values[whole:flags].astype(np.int64), *values[flags:].astype(np.bool_)])


@frozen()
class Table:
    """Numbers of a result, `values` [rows, names]."""

    numbers: Numbers
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Floats:
        """One column, as a view."""
        found: Floats = self.values[:, self.numbers.names.index(name)]
        return found

    def rows(self, which: Ints | Bools) -> Table:
        """Some of its rows, in that order."""
        return Table(self.numbers, self.values[which])

    def columns(self) -> Any:
        """All columns by name, each of them in one piece."""
        return self.numbers.columns(np.ascontiguousarray(self.values.T))
