"""Alembic migrations, shipped with the package; alembic is loaded only where a database is not up to date."""

from __future__ import annotations

from pathlib import Path

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from punctual.models import db

HERE = Path(__file__).resolve().parent


def newest() -> str:
    """The revision this version of the product works with: its files are numbered in the order they run."""
    return max(file.name[:4] for file in (HERE / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def prepare() -> None:
    """Let alembic know the application whose context is pushed."""
    from flask_migrate import Migrate

    Migrate(current_app, db, directory=str(HERE), render_as_batch=True)


def upgrade(revision: str = "head") -> None:
    """Bring the database of the pushed application to a revision; done at once where it is there already."""
    if _present() == (newest() if revision == "head" else revision):
        return
    from flask_migrate import upgrade as run

    prepare()
    run(revision=revision)


def _present() -> str | None:
    with db.engine.connect() as c:
        try:
            return c.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except (OperationalError, ProgrammingError):
            return None
