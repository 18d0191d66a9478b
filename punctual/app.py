"""create_app(): settings, database, doors - the only place that knows every part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from flask_babel import Babel

from punctual import clock, config, fault, outbox
from punctual.models import db, tune
from punctual.web import (
    access,
    api,
    board,
    customer,
    errors,
    feed,
    filters,
    inbound,
    intake,
    signin,
    start,
    stop,
    technician,
)

HERE = Path(__file__).resolve().parent
DOORS = (start, signin, technician, customer, feed, board, intake, api, inbound, stop)
TEMPLATES = next(p for p in (HERE / "templates", HERE.parent / "templates") if (p / "base.html").is_file())


class _App(Flask):
    """Flask, which asks of each function at each request whether it is a coroutine: none of ours is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(settings: config.Settings | None = None) -> Flask:
    """The web application of one instance; also the context in which worker and commands use the database."""
    settings = settings or config.load()
    settings.instance.mkdir(parents=True, exist_ok=True)
    try:
        clock.configure(settings.clock, settings.instance / "clock.anchor")
    except ValueError as error:
        raise config.SettingError(str(error)) from error
    fault.configure(settings.fault)
    app = _App("punctual", template_folder=str(TEMPLATES), static_folder=str(HERE / "static"))
    app.config.update(
        SECRET_KEY=settings.key("session"),
        SQLALCHEMY_DATABASE_URI=settings.sqlalchemy_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings),
        MAX_CONTENT_LENGTH=settings.upload_mb * 2**20,
        MAX_FORM_MEMORY_SIZE=2**20,
        SETTINGS=settings,
        BABEL_DEFAULT_LOCALE="en",
    )
    db.init_app(app)
    with app.app_context():
        tune(db.engine)
        bell = outbox.bell(str(db.engine.url)) if db.engine.dialect.name == "sqlite" else ""
        db.engine.update_execution_options(texts=bool(settings.sms), numbers=settings.key("link"), bell=bell)
    Babel(app, locale_selector=filters.language)
    access.init_app(app)
    errors.init_app(app)
    filters.init_app(app)
    for module in DOORS:
        app.register_blueprint(module.door)
    return app


def engine_options(settings: config.Settings) -> dict[str, object]:
    """SQLite through pysqlite3 where it is installed (Debian's own library has the WAL-reset fault), else plain.

    Its connections are used again last in, first out: the one that wrote last need not read its pages anew.
    """
    if not settings.sqlalchemy_url.startswith("sqlite"):
        return {"pool_pre_ping": True}
    try:
        import pysqlite3.dbapi2 as driver
    except ImportError:
        return {"pool_use_lifo": True}
    return {"pool_use_lifo": True, "module": driver}
