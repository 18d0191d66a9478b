"""One slot, one owner: the constraint on claims, said once for each database."""

from __future__ import annotations

from sqlalchemy import Connection, text

NAME = "ex_slot_claim_overlap"

_OVERLAP = f"""
CREATE TRIGGER IF NOT EXISTS {NAME}_{{verb}} BEFORE {{event}} ON slot_claim
WHEN NEW.exempt = 0
BEGIN
  SELECT RAISE(ABORT, '{NAME}') WHERE EXISTS (
    SELECT 1 FROM slot_claim c
    WHERE c.technician_id = NEW.technician_id AND c.id IS NOT NEW.id AND c.exempt = 0
      AND c.starts_at < NEW.ends_at AND NEW.starts_at < c.ends_at);
END
"""

_EXCLUDE = f"""
ALTER TABLE slot_claim ADD CONSTRAINT {NAME}
EXCLUDE USING gist (technician_id WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE (NOT exempt)
"""


def install(connection: Connection) -> None:
    """Make the constraint where it is missing; batch migrations on SQLite drop triggers silently, so every time."""
    if connection.dialect.name == "sqlite":
        if connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'slot_claim'")).first():
            connection.execute(text(_OVERLAP.format(verb="insert", event="INSERT")))
            connection.execute(text(_OVERLAP.format(verb="update", event="UPDATE")))
        return
    known = text("SELECT to_regclass('slot_claim'), (SELECT 1 FROM pg_constraint WHERE conname = :name)")
    table, present = connection.execute(known, {"name": NAME}).one()
    if table and not present:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS btree_gist"))
        connection.execute(text(_EXCLUDE))
