"""Texts and mails that came in; how far a text of ours got."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from punctual.models.base import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "received",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("sender", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("meaning", sa.String(length=16), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=True),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("technician_id", sa.Integer(), nullable=True),
        sa.Column("settled_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_received_visit_id_visit")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_received_customer_id_customer")),
        sa.ForeignKeyConstraint(
            ["technician_id"], ["technician.id"], name=op.f("fk_received_technician_id_technician")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_received")),
        sa.UniqueConstraint("key", name=op.f("uq_received_key")),
    )
    with op.batch_alter_table("received", schema=None) as batch_op:
        batch_op.create_index("ix_received_new", ["settled_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_received_sender"), ["sender"], unique=False)
        batch_op.create_index(batch_op.f("ix_received_visit_id"), ["visit_id"], unique=False)
    op.add_column("attempt", sa.Column("segments", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("attempt", sa.Column("progress", sa.String(length=12), nullable=False, server_default=""))
    op.create_index(op.f("ix_attempt_recipient"), "attempt", ["recipient"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_attempt_recipient"), table_name="attempt")
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_column("progress")
        batch_op.drop_column("segments")
    op.drop_table("received")
