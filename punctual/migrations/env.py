"""How migrations run: whole or not at all, foreign keys off on SQLite, the claim constraint put back every time."""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from punctual.migrations.claims import install

config = context.config
db = current_app.extensions["migrate"].db


def run(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:  # inside a transaction this pragma does nothing, and batch mode would empty child tables
        connection.connection.dbapi_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
    options = dict(current_app.extensions["migrate"].configure_args)
    if sqlite:
        options["transactional_ddl"] = True
    context.configure(connection=connection, target_metadata=db.metadata, **options)
    try:
        with context.begin_transaction():
            context.run_migrations()
            if sqlite:
                broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
                if broken:
                    raise RuntimeError(f"The migration left {len(broken)} rows without the row they point to.")
            install(connection)
    finally:
        connection.rollback()
        if sqlite:
            connection.connection.dbapi_connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[union-attr]


with db.engine.connect().execution_options(writer=True) as conn:
    run(conn)
