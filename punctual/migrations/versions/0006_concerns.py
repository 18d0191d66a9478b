"""Concerns of customers, when they looked at their page, and where what was told and what is planned differ."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from punctual.models.base import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "concern",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("said_id", sa.Integer(), nullable=False),
        sa.Column("promise_id", sa.Integer(), nullable=False),
        sa.Column("replaces_id", sa.Integer(), nullable=True),
        sa.Column("about", sa.String(12), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.Column("answered_by", sa.String(120), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name="fk_concern_visit_id_visit"),
        sa.ForeignKeyConstraint(["said_id"], ["answer.id"], name="fk_concern_said_id_answer"),
        sa.ForeignKeyConstraint(["promise_id"], ["promise.id"], name="fk_concern_promise_id_promise"),
        sa.ForeignKeyConstraint(["replaces_id"], ["concern.id"], name="fk_concern_replaces_id_concern"),
        sa.PrimaryKeyConstraint("id", name="pk_concern"),
    )
    op.create_index("ix_concern_visit_id", "concern", ["visit_id"])
    op.create_index("ix_concern_answered_at", "concern", ["answered_at"])
    op.create_table(
        "look",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name="fk_look_visit_id_visit"),
        sa.PrimaryKeyConstraint("id", name="pk_look"),
    )
    op.create_index("ix_look_visit_id", "look", ["visit_id"])
    op.create_table(
        "difference",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(12), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("action", sa.String(12), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name="fk_difference_visit_id_visit"),
        sa.PrimaryKeyConstraint("id", name="pk_difference"),
    )
    op.create_index("ix_difference_visit_id", "difference", ["visit_id"])
    op.create_index("ix_difference_ended_at", "difference", ["ended_at"])


def downgrade() -> None:
    for table in ("difference", "look", "concern"):
        op.drop_table(table)
