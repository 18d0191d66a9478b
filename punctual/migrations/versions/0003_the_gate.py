"""The gate: which instance a database belongs to, and whether somebody paused its messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import punctual.models.base

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.String(length=16), nullable=False),
        sa.Column("paused_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("paused_by", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate")),
    )


def downgrade() -> None:
    op.drop_table("gate")
