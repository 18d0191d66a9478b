"""The declarative base, UtcDateTime, and how the engine begins a transaction on SQLite."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import DateTime, Dialect, MetaData, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import DeclarativeBase, SessionTransaction, scoped_session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.types import TypeDecorator

from punctual.models.plain import Plain, explained

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


#: Real seconds a writer on SQLite waits for the others; milliseconds anybody else waits.
PATIENCE_S, BUSY_MS = 10.0, 10_000
#: Real seconds between its first two tries, and at most between any two: the same for all who may be many.
TRY_AGAIN_S = (0.002, 0.002)
#: By how much one pause is longer than the one before.
LONGER = 1.3
#: What SQLite keeps of its file for who reads a thousand days and writes what is new; twice what everybody else has.
MANY_KIB = 4000
#: In a session's info: it writes.
WRITER = "writer"
#: For each SQLite the connection that was given back last, still out of its pool: what the pool does at every turn costs
#: as much as several statements. One only, so that the pool has enough for everybody.
spare: dict[Engine, Connection] = {}


class Base(DeclarativeBase):
    """Every table's base; constraint names follow one convention so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMES)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, stored in UTC on every database; refuses a datetime without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """SQLite keeps text, of SQLAlchemy's own form; made and read in one step it costs a quarter of two."""
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        return _from_text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no zone; every stored instant needs one.")
    return value.astimezone(UTC)


def _as_text(value: datetime | None) -> str | None:
    return None if value is None else _text(_utc(value))


@lru_cache(maxsize=64)
def _text(utc: datetime) -> str:
    """Of an instant in UTC: in a zone whose clocks go back two instants are equal, and only one would be remembered."""
    return utc.isoformat(" ", "microseconds")[:26]


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


class _Session(Session):
    """A session with a connection of its own, where it need not keep account of objects.

    For one question, and for a writer: SQLAlchemy's session joins such a connection at its first object. What it keeps
    for their sake costs as much as a small transaction does.
    """

    own: Connection | None = None
    #: The connection of the transaction under way: it is asked for at every statement.
    kept: Connection | None = None

    def ask(self, question: Plain, **values: Any) -> Any:
        """The first row for one question, without the transaction that several would need.

        On SQLite the connection stays for what comes next; elsewhere the driver has begun, and the pool ends that.
        """
        if self.kept is not None:
            return question.first(self.kept, **values)
        self.own = self.own or _taken()
        try:
            return question.first(self.own, **values)
        finally:
            if self.own.dialect.name != "sqlite":
                self._give_back()

    def stay(self) -> None:
        """Read on the connection that writes next: on SQLite it has at hand then what it has read - as much as MANY_KIB,
        for many days - and need not fetch it again as another connection must, after every commit but its own. Nothing
        where something is being read already."""
        if self.own is None and not self.in_transaction() and db.engine.dialect.name == "sqlite":
            self.own = _taken()
            driver: Any = self.own.connection.dbapi_connection
            driver.execute(f"PRAGMA cache_size=-{MANY_KIB}")

    def write(self) -> Connection:
        """Begin as a writer, until the connection commits or rollback(); what was read before is dropped."""
        super().rollback()
        self.own = self.kept = self.own or _taken()
        self.info[WRITER] = True
        if self.own.dialect.name == "sqlite":
            _begin_writing(self.own)
        else:
            self.own.execution_options(writer=True)
        self.own.begin()
        return self.own

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._give_back()

    def close(self) -> None:
        try:
            if self.in_transaction() or self.identity_map:  # else it never had an object
                super().close()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        """The connection; what was not committed on it is rolled back, and what was noted for its commit forgotten."""
        if self.own is None:
            return
        own, self.own, self.kept = self.own, None, None
        self.info.clear()
        try:
            own.rollback()  # close() alone would leave a transaction open whose commit has failed
        except BaseException:
            own.close()
            raise
        _given_back(own)

    def get_bind(self, *about: Any, **more: Any) -> Engine | Connection:
        return self.own or super().get_bind(*about, **more)

    def connection(
        self, bind_arguments: dict[str, Any] | None = None, execution_options: Mapping[str, Any] | None = None
    ) -> Connection:
        if self.kept is not None and self.is_active and not (bind_arguments or execution_options):
            return self.kept
        return super().connection(bind_arguments, execution_options)

    def get(self, entity: Any, ident: Any, **how: Any) -> Any:
        """What the session holds already is given without asking how it would be read; get_one() comes by here too."""
        if type(ident) is int and not any(how.values()):
            known = self.identity_map.get((entity, (ident,), None))
            if known is not None and not instance_state(known).expired:
                return known
        return super().get(entity, ident, **how)


def _taken() -> Connection:
    """A connection from the pool; on SQLite the one that was given back last, as it is."""
    engine = db.engine
    last = spare.pop(engine, None)
    if last is None:
        return engine.connect()
    if last.get_execution_options() is engine.get_execution_options():
        return last
    last.close()  # the engine has been told something since
    return engine.connect()


def _given_back(own: Connection) -> None:
    """Keep it for whoever comes next, unless there is one already."""
    sound = own.dialect.name == "sqlite" and not own.invalidated
    driver: Any = own.connection.dbapi_connection if sound else None
    if driver is None or driver.in_transaction or spare.setdefault(own.engine, own) is not own:
        own.close()


@event.listens_for(Engine, "engine_disposed")
def _no_more(engine: Engine) -> None:
    last = spare.pop(engine, None)
    if last is not None:
        last.detach()  # its pool is gone: close() closes the file
        last.close()


@event.listens_for(_Session, "after_begin")
def _keep(session: _Session, begun: SessionTransaction, connection: Connection) -> None:
    session.kept = connection


@event.listens_for(_Session, "after_transaction_end")
def _drop(session: _Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.kept = None


class _Database(SQLAlchemy):
    session: scoped_session[_Session]  # type: ignore[assignment]


db = _Database(model_class=Base, session_options={"class_": _Session})

if TYPE_CHECKING:  # mypy cannot see through db.Model; it is Base with Flask-SQLAlchemy's binds

    class Model(Base):
        __abstract__ = True

else:
    Model = db.Model


def tune(engine: Engine) -> None:
    """SQLite: WAL, full sync, foreign keys, erased content overwritten, and BEGIN IMMEDIATE for writers.

    A writer is a connection with the execution option `writer` (see _Session.write); everybody else reads with a
    deferred BEGIN. A deferred read-then-write fails at once with SQLITE_BUSY_SNAPSHOT whatever the timeout, hence
    the rule that only `actions/` and the worker write. PostgreSQL: who only reads sees one moment, as there; who writes
    sees with each statement what others have committed.
    """
    if engine.dialect.name != "sqlite":
        event.listen(engine, "begin", _one_moment)
        return

    @event.listens_for(engine, "connect")
    def _connect(dbapi: Any, record: Any) -> None:
        dbapi.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON",
        ):  # fmt: skip
            dbapi.execute(f"PRAGMA {pragma}")

    engine.dialect.do_begin = _begin  # type: ignore[assignment,method-assign] # with a listener every connection costs a third more


def _begin(driver: Any) -> None:
    if not driver.in_transaction:
        driver.execute("BEGIN")


def _one_moment(connection: Connection) -> None:
    driver: Any = connection.connection.dbapi_connection
    levels: Any = (
        connection.dialect.loaded_dbapi.IsolationLevel
    )  # a company on SQLite never loads psycopg for its pages
    level = None if connection.get_execution_options().get("writer", False) else levels.REPEATABLE_READ
    if driver.isolation_level != level:
        driver.isolation_level = level


def _begin_writing(connection: Connection) -> None:
    """BEGIN IMMEDIATE, tried again until PATIENCE_S have passed.

    SQLite's own waiting sleeps longer the longer it has waited already: while many write, the newest comes first and
    the oldest last, and between them nobody writes.
    """
    driver: Any = connection.connection.dbapi_connection
    pause, most = connection.get_execution_options().get("try_again_s", TRY_AGAIN_S)
    end = time.monotonic() + PATIENCE_S
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except connection.dialect.loaded_dbapi.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= end:
                    raise explained(error, connection.dialect, "BEGIN IMMEDIATE") from error
            time.sleep(random.uniform(0.5, 1.5) * pause)
            pause = min(pause * LONGER, most)
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_MS}")
