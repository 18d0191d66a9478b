"""Statements that give plain numbers, and their results as tables: no object for a row, none for an instant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Float, case
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement


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


def table(names: dict[str, Any], rows: Sequence[tuple[Any, ...]]) -> NDArray[np.void]:
    """Number columns of a result, by name, the first of each row; instants become minutes."""
    wide = len(names)
    moments, kind = _laid_out(tuple(names))
    numbers = chain.from_iterable(rows if not rows or len(rows[0]) == wide else map(itemgetter(slice(wide)), rows))
    made = np.fromiter(numbers, dtype=np.float64, count=len(rows) * wide).reshape(len(rows), wide)
    made[:, moments] = np.rint(made[:, moments]) / 60000.0
    return made.view(kind)[:, 0]


@lru_cache(maxsize=32)
def _laid_out(names: tuple[str, ...]) -> tuple[list[int], np.dtype[np.void]]:
    """Which of these columns are instants, and the kind of a row: worked out once, it costs more than a few rows."""
    moments = [i for i, name in enumerate(names) if name.endswith("_at")]
    return moments, np.dtype([(name, "f8") for name in names])


def by_name(rows: NDArray[np.void]) -> dict[str, NDArray[np.float64]]:
    """A table's columns, each of them in one piece."""
    names = rows.dtype.names or ()
    made = np.ascontiguousarray(rows.view("f8").reshape(len(rows), len(names)).T)
    return dict(zip(names, made, strict=True))
