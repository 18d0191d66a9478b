"""What each day taught, kept by date, and what is shown of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import punctual.models.base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = punctual.models.base.UtcDateTime(timezone=True)
    op.create_table(
        "learned_day",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("columns", sa.LargeBinary(), nullable=False),
        sa.Column("looks", sa.LargeBinary(), nullable=False),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.Column("marked_at", instant, nullable=True),
        sa.Column("marked_by", sa.String(length=120), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("date", name=op.f("pk_learned_day")),
    )
    with op.batch_alter_table("learned") as batch_op:
        batch_op.add_column(sa.Column("facts", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("learned") as batch_op:
        batch_op.alter_column("facts", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("learned") as batch_op:
        batch_op.drop_column("facts")
    op.drop_table("learned_day")
