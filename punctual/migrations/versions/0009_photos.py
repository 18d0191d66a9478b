"""Photos of what customers write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from punctual.models.base import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "photo",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("note_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name="fk_photo_visit_id_visit"),
        sa.ForeignKeyConstraint(["note_id"], ["answer.id"], name="fk_photo_note_id_answer"),
        sa.PrimaryKeyConstraint("id", name="pk_photo"),
    )
    op.create_index("ix_photo_visit_id", "photo", ["visit_id"])
    op.create_index("ix_photo_note_id", "photo", ["note_id"])


def downgrade() -> None:
    op.drop_table("photo")
