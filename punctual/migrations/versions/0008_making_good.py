"""Rules of making good, and the ledger of what was given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from punctual.models.base import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "good_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("late_min", sa.Integer(), nullable=False),
        sa.Column("warned", sa.Boolean(), nullable=True),
        sa.Column("discount_pct", sa.Integer(), nullable=False),
        sa.Column("credit", sa.Integer(), nullable=False),
        sa.Column("ask", sa.Boolean(), nullable=False),
        sa.Column("apology", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_good_rule"),
    )
    op.create_table(
        "good",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("promise_id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("late_min", sa.Integer(), nullable=False),
        sa.Column("warned", sa.Boolean(), nullable=False),
        sa.Column("discount_pct", sa.Integer(), nullable=False),
        sa.Column("credit", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("apology", sa.String(200), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(120), nullable=False),
        sa.ForeignKeyConstraint(["promise_id"], ["promise.id"], name="fk_good_promise_id_promise"),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name="fk_good_visit_id_visit"),
        sa.PrimaryKeyConstraint("id", name="pk_good"),
        sa.UniqueConstraint("promise_id", name="uq_good_promise_id"),
    )
    op.create_index("ix_good_visit_id", "good", ["visit_id"])


def downgrade() -> None:
    op.drop_table("good")
    op.drop_table("good_rule")
