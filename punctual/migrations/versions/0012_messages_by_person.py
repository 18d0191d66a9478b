"""Each mail asks how many its customer had today: found by the customer, however many were ever sent to others."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_message_customer_id", "message", ["customer_id"])


def downgrade() -> None:
    op.drop_index("ix_message_customer_id", "message")
