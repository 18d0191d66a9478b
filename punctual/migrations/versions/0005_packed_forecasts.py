"""Pack forecasts; find what was said of a visit without reading its silences.

A forecast is worth a minute: those kept are dropped, the next look makes them anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM forecast")
    with op.batch_alter_table("forecast") as table:
        table.drop_column("data")
        table.add_column(sa.Column("packed", sa.LargeBinary(), nullable=False))
        table.add_column(sa.Column("marks", sa.JSON(none_as_null=True), nullable=True))
    op.create_index("ix_notice_visit_decision", "notice", ["visit_id", "decision"])
    op.drop_index("ix_notice_visit_id", table_name="notice")


def downgrade() -> None:
    op.create_index("ix_notice_visit_id", "notice", ["visit_id"])
    op.drop_index("ix_notice_visit_decision", table_name="notice")
    op.execute("DELETE FROM forecast")
    with op.batch_alter_table("forecast") as table:
        table.drop_column("marks")
        table.drop_column("packed")
        table.add_column(sa.Column("data", sa.JSON(), nullable=False))
