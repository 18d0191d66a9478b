"""Everybody's minute asks of each day whether it has changed, and what was said of it: both are read off an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SAID = sa.text("decision != 'silent' AND kind != 'booked'")
DAY = ["technician_id", "date", "state", "changed_at", "promise_version", "late_min"]


def upgrade() -> None:
    op.create_index("ix_visit_day", "visit", DAY)
    op.drop_index("ix_visit_technician_date", "visit")
    op.create_index("ix_notice_said", "notice", ["visit_id"], sqlite_where=SAID, postgresql_where=SAID)


def downgrade() -> None:
    op.drop_index("ix_notice_said", "notice")
    op.create_index("ix_visit_technician_date", "visit", ["technician_id", "date"])
    op.drop_index("ix_visit_day", "visit")
