"""Real databases, a real application, no outside network, no clock but the one a test gives."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from copy import copy
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import pytest
from flask import Flask
from hypothesis import settings
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.orm import Session
from werkzeug.routing import Map, Rule, RuleFactory

import punctual
from punctual import clock
from punctual.app import create_app
from punctual.config import Settings
from punctual.models import db
from tests import postgres

# How long one example takes says nothing on a shared machine; the number of examples bounds the time.
settings.register_profile("punctual", deadline=None)
settings.load_profile("punctual")

#: Tests whose product runs in processes or threads of its own, and tables of one thing in many cases: counting what they
#: cover takes time and shows no other lines.
UNCOUNTED = {"bench", "browser", "faults", "stories"} | {
    f"test_{name}.py" for name in ("bootstrap", "demo", "flow", "languages", "preview", "race", "race_served", "roles")
}

#: Of a test with many values the first few cases are counted: the others go through the same lines.
COUNTED_CASES = 2
_cases: Counter[tuple[str, str]] = Counter()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Coverage is counted on SQLite, in this process: the same lines on PostgreSQL would only double the time."""
    counting = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    uncounted = item.get_closest_marker("pg") is not None or bool(UNCOUNTED & {item.path.name, item.path.parent.name})
    if not uncounted:
        _cases[case := (str(item.path), getattr(item, "originalname", item.name))] += 1
        uncounted = _cases[case] > COUNTED_CASES
    if counting is None or not uncounted:
        return (yield)
    counting.pause()
    try:
        return (yield)
    finally:
        counting.resume()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """The product is imported under count; that thousands of tests are collected is none of its lines."""
    counting = getattr(session.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if counting is None:
        return (yield)
    for module in pkgutil.walk_packages(punctual.__path__, "punctual."):
        if not module.name.startswith("punctual.migrations.") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    counting.pause()
    try:
        return (yield)
    finally:
        counting.resume()


class LateRule(Rule):
    """A route whose address is put together by a function made when first asked for.

    Making them all takes 50 ms an application, and most tests have an application of their own and two addresses.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        make = super()._compile_builder

        def build(rule: Rule, **values: object) -> tuple[str, str]:
            made = make(append_unknown)
            setattr(rule, "_build_unknown" if append_unknown else "_build", made.__get__(rule, None))
            return made(rule, **values)

        return build


class SharedMap(Map):
    """Routes are put in order when an address is first asked for, and once for all applications with the same routes."""

    made: ClassVar[dict[tuple[object, ...], Map]] = {}
    making: ClassVar[Lock] = Lock()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._given: list[Rule] = []
        super().__init__(*arguments, **options)

    def add(self, rulefactory: RuleFactory) -> None:
        self._given += rulefactory.get_rules(self)
        self._remap = True

    def update(self) -> None:
        if not self._remap:
            return
        with self.making:
            routes = tuple((r.rule, r.endpoint, *sorted(r.methods or ()), str(r.defaults)) for r in self._given)
            key = (routes, *self.converters.items(), self.host_matching)
            if key not in self.made:
                whole = Map(
                    (copy(rule) for rule in self._given), converters=self.converters, host_matching=self.host_matching
                )
                whole.update()
                self.made[key] = whole
            self._matcher, self._rules_by_endpoint = self.made[key]._matcher, self.made[key]._rules_by_endpoint
            self._remap = False


Flask.url_rule_class, Flask.url_map_class = LateRule, SharedMap
#: Every application has the same templates: they are compiled once a run, not once a test.
_TEMPLATES = tempfile.TemporaryDirectory(prefix="punctual-templates-")
Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": FileSystemBytecodeCache(_TEMPLATES.name)}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long and mostly waits comes first, so that nothing is left alone at the end."""
    items.sort(key=lambda item: item.path.parent.name not in ("stories", "faults"))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is imported and collected stays for the whole run: the collector need not walk through it again and again.

    Every test leaves an application in cycles; looking for them after every few took a quarter of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def no_outside_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: object) -> None:
        inside = isinstance(address, str | bytes) or (
            isinstance(address, tuple) and str(address[0]) in ("127.0.0.1", "::1", "localhost")
        )
        if not inside:
            raise RuntimeError(f"A test tried to reach {address}; tests stay on 127.0.0.1.")
        real(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def plain_clock() -> Iterator[None]:
    """Each test starts and ends with the machine's own clock."""
    clock.configure("")
    yield
    clock.configure("")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL of this run: $PUNCTUAL_TEST_POSTGRES, else a cluster of our own in a temporary folder."""
    given = os.environ.get("PUNCTUAL_TEST_POSTGRES")
    if given:
        yield given
        return
    with postgres.cluster() as url:
        yield url


def migrated(url: str, folder: Path) -> None:
    """Run every migration on an empty database."""
    from punctual.migrations import upgrade

    app = create_app(Settings(instance=folder, database_url=url))
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.db"
        migrated(f"sqlite:///{file}", Path(folder))
        yield file


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    name = f"template_{uuid.uuid4().hex[:8]}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as c:
        c.execute(text(f"CREATE DATABASE {name}"))
    with tempfile.TemporaryDirectory() as folder:
        migrated(_database(postgres_url, name), Path(folder))
    yield name
    with admin.connect() as c:
        c.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    admin.dispose()


def _database(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + "/" + name


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.pg)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database; every test that uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        file = tmp_path / "punctual.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    yield fresh_postgres(request)


def fresh_postgres(request: pytest.FixtureRequest) -> str:
    """A migrated, empty PostgreSQL database that is dropped when the requesting test ends."""
    url, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex[:10]}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")

    def drop() -> None:
        with admin.connect() as c:
            c.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        admin.dispose()

    request.addfinalizer(drop)
    _copy_postgres(admin, template, name)
    return _database(url, name)


def _copy_postgres(admin: Engine, template: str, name: str) -> None:
    with admin.connect() as c:
        # PostgreSQL 15 copies a template through its log, ten times slower; before that there was only the copy.
        strategy = " STRATEGY FILE_COPY" if (admin.dialect.server_version_info or (0,)) >= (15,) else ""  # type: ignore[attr-defined]
        c.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        c.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}{strategy}"))


@pytest.fixture(scope="session")
def full() -> Iterator[dict[tuple[object, str], URL]]:
    """Filled databases of this run, by what filled them and their kind."""
    kept: dict[tuple[object, str], URL] = {}
    yield kept
    for url in kept.values():
        if url.drivername.startswith("sqlite"):
            Path(url.database or "").unlink()
        elif os.environ.get("PUNCTUAL_TEST_POSTGRES"):  # a cluster of our own has gone with all that was in it
            with create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT").connect() as c:
                c.execute(text(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)"))


#: What `filled` gives to a test.
Filled = Callable[[Callable[[], None]], None]


@pytest.fixture
def filled(full: dict[tuple[object, str], URL]) -> Filled:
    """Fill the application's empty database by a function: weeks of history are made once a run, and copied from then on."""

    def copied(source: URL, target: URL) -> None:
        db.session.remove()
        db.engine.dispose()  # the last connection closed: nothing is left beside an SQLite's file
        if db.engine.dialect.name == "sqlite":
            shutil.copy(source.database or "", target.database or "")
            return
        admin = create_engine(source.set(database="postgres"), isolation_level="AUTOCOMMIT")
        _copy_postgres(admin, source.database or "", target.database or "")
        admin.dispose()

    def fill(make: Callable[[], None]) -> None:
        here, key = db.engine.url, (make, db.engine.dialect.name)
        if key in full:
            copied(full[key], here)
            return
        make()
        name = f"full_{uuid.uuid4().hex[:10]}"
        lite = db.engine.dialect.name == "sqlite"
        kept = here.set(database=str(Path(tempfile.gettempdir()) / f"punctual-{name}.db") if lite else name)
        copied(here, kept)
        full[key] = kept

    return fill


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A migrated, empty SQLite database, for what does not differ between databases."""
    file = tmp_path / "punctual.db"
    shutil.copy(sqlite_template, file)
    return f"sqlite:///{file}"


def _application(url: str, tmp_path: Path) -> Iterator[Flask]:
    app = create_app(Settings(instance=tmp_path / "instance", database_url=url, origin="http://localhost"))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The application on both databases, with its context pushed."""
    yield from _application(database_url, tmp_path)


@pytest.fixture
def lite(sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The application on SQLite only, for the doors."""
    yield from _application(sqlite_url, tmp_path)


@pytest.fixture
def s(app: Flask) -> Session:
    """A session on both databases."""
    return db.session()


@pytest.fixture(scope="session", autouse=True)
def needed_programs() -> None:
    """A missing component fails the run at once, with how to install it; nothing is skipped."""
    missing = [p for p in ("chromium", "git") if shutil.which(p) is None]
    if missing:
        pytest.exit(
            f"Missing: {', '.join(missing)}. Run: python3 bootstrap.py test (or apt-get install {' '.join(missing)}).",
            3,
        )


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A program, its output as text."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]
