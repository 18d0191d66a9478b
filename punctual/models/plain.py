"""Statements made into SQL once and run by the database's own driver, where making them costs more than running them."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Dialect, Executable, LargeBinary, Select, inspect, select
from sqlalchemy.exc import CompileError, DBAPIError, NoResultFound
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state

Convert = Callable[[Any], Any]

#: Every statement there is.
_MADE: WeakSet[Plain] = WeakSet()


def compile_all(c: Connection) -> None:
    """Make every statement ready for this database: who needs one first does not wait for that. One that was made for
    another kind of database is passed over."""
    for plain in list(_MADE):
        with suppress(AttributeError, CompileError):
            plain.on(c)


class Plain:
    """A statement of SQLAlchemy Core that is compiled once for each database and then run as text.

    What each call gives are its bindparam()s, by name; everything else in it is fixed. It runs inside the transaction
    its connection has begun, if it has. Errors are SQLAlchemy's own, as if it had run the statement itself.
    """

    def __init__(self, statement: Executable, *given: str) -> None:
        self.statement, self.given = statement, given
        self._ready: dict[str, _Ready] = {}
        _MADE.add(self)

    def all(self, c: Connection, **values: Any) -> list[Any]:
        """Every row, as named tuples of converted values."""
        ready = self.on(c)
        cursor = ready.run(c, values)
        return ready.named(cursor, cursor.fetchall())

    def first(self, c: Connection, **values: Any) -> Any:
        """The first row as a named tuple, or None."""
        ready = self.on(c)
        cursor = ready.run(c, values)
        row = cursor.fetchone()
        return None if row is None else ready.named(cursor, [row])[0]

    def scalar(self, c: Connection, **values: Any) -> Any:
        """The first column of the first row as the driver gives it, or None."""
        row = self.on(c).run(c, values).fetchone()
        return None if row is None else row[0]

    def rows(self, c: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """The driver's own tuples."""
        found: list[tuple[Any, ...]] = self.on(c).run(c, values).fetchall()
        return found

    def run(self, c: Connection, **values: Any) -> int:
        """How many rows it wrote."""
        count: int = self.on(c).run(c, values).rowcount
        return count

    def many(self, c: Connection, values: list[dict[str, Any]]) -> None:
        """Once for each of these values."""
        self.on(c).many(c, values)

    def on(self, c: Connection) -> _Ready:
        """Itself for one database, made on first use."""
        found = self._ready.get(c.dialect.name)
        if found is None:
            found = self._ready[c.dialect.name] = _Ready(self.statement, self.given, c.dialect)
        return found


class Rows:
    """A Plain whose rows are whole rows of several tables, side by side: they become objects of the session.

    What the session holds already stays as it is, as if it had asked itself; an outer join without a row gives None.
    """

    def __init__(
        self, statement: Callable[[Select[Any]], Executable], models: Sequence[type[Any]], *given: str
    ) -> None:
        """`statement` makes the select of these tables' columns a question."""
        self.plain = Plain(statement(select(*(m.__table__ for m in models))), *given)
        self.parts: list[tuple[Any, slice, list[str]]] = []
        end = 0
        for model in models:
            mapper: Mapper[Any] = inspect(model)
            names = [mapper.get_property_by_column(c).key for c in mapper.local_table.c]
            self.parts.append((mapper, slice(end, end + len(names)), names))
            end += len(names)

    def one(self, s: Session, **values: Any) -> list[Any]:
        """The objects of the one row there is, in the order of the models; each has a single key named id."""
        row = self.plain.first(s.connection(), **values)
        if row is None:
            raise NoResultFound(f"There is no row for {values}.")
        return self._objects(s, row)

    def all(self, s: Session, **values: Any) -> list[list[Any]]:
        """The objects of every row, in the order of the models."""
        return [self._objects(s, row) for row in self.plain.all(s.connection(), **values)]

    def _objects(self, s: Session, row: tuple[Any, ...]) -> list[Any]:
        return [_held(s, mapper, row[part], names) for mapper, part, names in self.parts]


def written(s: Session, model: type[Any], values: dict[str, Any]) -> Any:
    """A row that was just written, all its columns given, as the session's object: without reading it back."""
    return _held(s, inspect(model), tuple(values.values()), list(values))


def _held(s: Session, mapper: Any, row: tuple[Any, ...], names: list[str]) -> Any:
    """One row, its id first, as the session's object."""
    if row[0] is None:
        return None
    key = mapper.identity_key_from_primary_key((row[0],))
    known = s.identity_map.get(key)
    if known is not None:
        return known
    made = mapper.class_manager.new_instance()
    state = instance_state(made)
    state.dict.update(zip(names, row, strict=True))
    state.key = key
    s._update_impl(state)  # s.add() without its look through all that hangs on the object: nothing does yet
    return made


class _Ready:
    """The text for one database, where its values go, and how they are converted on the way in and out."""

    def __init__(self, statement: Executable, given: tuple[str, ...], dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
        self.positional: bool = compiled.positional
        names = list(compiled.positiontup if self.positional else compiled.params)
        into = {b.key: _into(b.type, dialect) for b in compiled.binds.values()}
        fixed = {n: _converted(into.get(n), compiled.params[n]) for n in names if n not in given}
        self.sql: str = compiled.string
        self.names: list[str] = names
        if self.positional:
            self.sql, self.names = _with_constants(self.sql, names, fixed)
        self.fixed = [fixed.get(n) for n in self.names]
        self.slots = [(i, n, into.get(n)) for i, n in enumerate(self.names) if n in given]
        self.columns: list[Any] = list(getattr(statement, "exported_columns", ()))
        self.row = _row([c.key for c in self.columns])
        self.dialect = dialect
        self.out: list[tuple[int, Convert]] | None = None

    def run(self, c: Connection, values: dict[str, Any]) -> Any:
        """A cursor after the statement."""
        parameters = self._parameters(values)
        driver: Any = c.connection.dbapi_connection
        try:
            return driver.execute(self.sql, parameters)
        except _errors(c.dialect) as error:
            raise explained(error, c.dialect, self.sql, parameters) from error

    def many(self, c: Connection, values: list[dict[str, Any]]) -> None:
        """The statement once for each of these values."""
        cursor, parameters = c.connection.cursor(), self._all_parameters(values)
        try:
            cursor.executemany(self.sql, parameters)
        except _errors(c.dialect) as error:
            raise explained(error, c.dialect, self.sql, parameters) from error

    def _all_parameters(self, values: list[dict[str, Any]]) -> list[Any]:
        """Column by column: what many rows share, as the instant of a look, is converted once."""
        columns: list[Iterable[Any]] = [repeat(x, len(values)) for x in self.fixed]
        for i, name, convert in self.slots:
            given = [row[name] for row in values]
            columns[i] = given if convert is None else _each(convert, given)
        found = zip(*columns, strict=True)
        return list(found) if self.positional else [dict(zip(self.names, row, strict=True)) for row in found]

    def _parameters(self, values: dict[str, Any]) -> Any:
        found = self.fixed.copy()
        for i, name, convert in self.slots:
            value = values[name]
            found[i] = convert(value) if convert is not None else value
        return found if self.positional else dict(zip(self.names, found, strict=True))

    def named(self, cursor: Any, rows: list[Any]) -> list[Any]:
        """Rows by name, converted as their types want it for what this driver gives."""
        if self.out is None:
            types = [
                (c.type.dialect_impl(self.dialect), d[1]) for c, d in zip(self.columns, cursor.description, strict=True)
            ]
            made = [t.result_processor(self.dialect, code) for t, code in types]
            self.out = [(i, f) for i, f in enumerate(made) if f is not None]
        if not self.out:
            return [self.row(r) for r in rows]
        found = []
        for r in rows:
            values = list(r)
            for i, convert in self.out:
                values[i] = convert(values[i])
            found.append(self.row(values))
        return found


def _with_constants(sql: str, names: list[str], fixed: dict[str, Any]) -> tuple[str, list[str]]:
    """SQLite's text with fixed words and numbers written into it, and the names that are left: it plans a statement anew
    at every run when LIMIT is a parameter, which can cost more than running it."""
    first, *pieces = sql.split("?")
    if len(pieces) != len(names):
        return sql, names  # one of the question marks is a word's
    made, left = [first], list[str]()
    for name, piece in zip(names, pieces, strict=True):
        value = fixed.get(name)
        if isinstance(value, (int, str)):
            made += [repr(int(value)) if isinstance(value, int) else "'" + value.replace("'", "''") + "'", piece]
        else:
            made += ["?", piece]
            left.append(name)
    return "".join(made), left


def _row(names: list[str]) -> Callable[[Iterable[Any]], Any]:
    """How a row by those names is made."""
    kind: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    made: Callable[[Iterable[Any]], Any] = kind._make
    return made


def _errors(dialect: Dialect) -> type[Exception]:
    """What a database's driver raises."""
    found: type[Exception] = dialect.loaded_dbapi.Error
    return found


def explained(error: Exception, dialect: Dialect, sql: str = "", parameters: Any = ()) -> BaseException:
    """A driver's error as SQLAlchemy's: the doors answer those."""
    made: BaseException = DBAPIError.instance(sql, parameters, error, _errors(dialect), dialect=dialect)
    return made


def _each(convert: Convert, given: list[Any]) -> Iterator[Any]:
    """Values converted; the same one again is not."""
    last: Any = given  # nothing that is given
    for value in given:
        if value is not last:
            last = value
            made = convert(value)
        yield made


def _into(type_: Any, dialect: Dialect) -> Convert | None:
    """How a value is made into the driver's; bytes are taken as they are, and wrapping each costs as much as giving it."""
    if isinstance(type_, LargeBinary):
        return None
    made: Convert | None = type_.dialect_impl(dialect).bind_processor(dialect)
    return made


def _converted(convert: Convert | None, value: Any) -> Any:
    return value if convert is None else convert(value)
