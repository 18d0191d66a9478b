"""What a demo runs with, kept in its instance: a command beside it has the demo's clock and address, not the machine's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from punctual import clock, config
from punctual.app import create_app
from punctual.models import Company, db

FILE = "demo.json"


def running(settings: config.Settings, *, spec: str) -> None:
    """Keep what the demo begins to run with; `spec` is its clock, with its anchor."""
    environ = {f"PUNCTUAL_{name}": os.environ[f"PUNCTUAL_{name}"] for name in ("DEMO", "PORT", "HOST", "ORIGIN")}
    _write(settings, {"environ": environ | {"PUNCTUAL_CLOCK": spec}})


def stopped(settings: config.Settings) -> None:
    """Its day stands still from now on, until the demo is started again."""
    environ = {k: v for k, v in _read(settings.instance).get("environ", {}).items() if k != "PUNCTUAL_CLOCK"}
    _write(settings, {"environ": environ, "clock": clock.now().isoformat()})


def stopped_at(settings: config.Settings) -> str:
    """Where the day stopped; empty where none did."""
    return str(_read(settings.instance).get("clock", ""))


def settings(environ: Mapping[str, str] | None = None) -> config.Settings:
    """The settings of a command: where the database is a demo's, what that runs with stands in for what the environment
    does not say. A file that a demo left beside a real company's database changes nothing."""
    env = os.environ if environ is None else environ
    own = config.load(env)
    kept = _read(own.instance)
    if not kept or not _is_demo(own):
        return own
    beside = {str(name): str(value) for name, value in kept.get("environ", {}).items()}
    if "clock" in kept:
        beside["PUNCTUAL_CLOCK"] = clock.written(datetime.fromisoformat(kept["clock"]), 1.0)
    return config.load(beside | dict(env))


def _is_demo(settings: config.Settings) -> bool:
    """Whether the company in the database is an example; False where there is none, or no database."""
    app = create_app(settings)
    with app.app_context():
        try:
            return bool(db.session.scalar(select(Company.demo).where(Company.id == 1)))
        except SQLAlchemyError:
            return False
        finally:
            db.session.remove()
            db.engine.dispose()


def _read(instance: Path) -> dict[str, Any]:
    try:
        found = json.loads((instance / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(settings: config.Settings, value: dict[str, Any]) -> None:
    """Whole or not at all: a command may read it at any moment."""
    file = settings.instance / FILE
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(file)
