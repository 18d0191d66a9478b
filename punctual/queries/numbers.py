"""Statements that give plain numbers, and their results as tables: no object for a row, none for an instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy import Float, case
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from punctual.core.day import Bools, Floats, Ints


class Moment(FunctionElement[float]):
    """Milliseconds since 1970 of a column of instants, without a datetime object in between."""

    type = Float()
    inherit_cache = True


@compiles(Moment, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"((julianday({compiler.process(element.clauses, **kw)}) - 2440587.5) * 86400000.0)"


@compiles(Moment, "postgresql")
def _on_postgres(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST(EXTRACT(EPOCH FROM {compiler.process(element.clauses, **kw)}) * 1000 AS DOUBLE PRECISION)"


def flag(condition: Any) -> Any:
    """1.0 where it holds."""
    return case((condition, 1.0), else_=0.0)


class Values(FunctionElement[str]):
    """The values of a JSON list as rows: one parameter however many there are, and the table that drives a query."""

    inherit_cache = True


@compiles(Values, "sqlite")
def _values_on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(Values, "postgresql")
def _values_on_postgres(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **kw)} AS json))"


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers of a result, `values` [rows, names]."""

    names: tuple[str, ...]
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Floats:
        """One column, as a view."""
        return np.asarray(self.values[:, self.names.index(name)])

    def rows(self, which: Ints | Bools) -> Table:
        """Some of its rows, in that order."""
        return Table(self.names, self.values[which])

    def columns(self) -> dict[str, Floats]:
        """All columns by name, each of them in one piece."""
        return dict(zip(self.names, np.ascontiguousarray(self.values.T), strict=True))


def table(names: dict[str, Any], rows: Sequence[tuple[Any, ...]]) -> Table:
    """Number columns of a result by name, the first of each row; instants become minutes."""
    called, instants = _laid_out(tuple(names))
    wide = len(called)
    numbers = chain.from_iterable(rows if not rows or len(rows[0]) == wide else map(itemgetter(slice(wide)), rows))
    made = np.fromiter(numbers, dtype=np.float64, count=len(rows) * wide).reshape(len(rows), wide)
    moments = made[:, :instants]
    np.rint(moments, out=moments)
    moments /= 60000.0
    return Table(called, made)


@lru_cache(maxsize=32)
def _laid_out(names: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The names, and how many of them are instants, which come first: they are made minutes in one go."""
    count = sum(name.endswith("_at") for name in names)
    if not all(name.endswith("_at") for name in names[:count]):
        raise ValueError(f"Instants come first, and these are not all first: {', '.join(names)}.")
    return names, count
