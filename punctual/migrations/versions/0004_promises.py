"""Promises of every kind: who owns them, what they replace, and jobs of several visits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from punctual.models.base import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name="fk_job_customer_id_customer"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
    )
    op.create_index("ix_job_customer_id", "job", ["customer_id"])
    with op.batch_alter_table("visit") as batch:
        batch.add_column(sa.Column("job_id", sa.Integer(), nullable=True))
        batch.create_foreign_key("fk_visit_job_id_job", "job", ["job_id"], ["id"])
        batch.create_index("ix_visit_job_id", ["job_id"])
    with op.batch_alter_table("promise") as batch:
        batch.add_column(sa.Column("owner_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("job_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("replaces_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("reminded_at", UtcDateTime(), nullable=True))
        batch.add_column(sa.Column("escalated_at", UtcDateTime(), nullable=True))
        batch.create_foreign_key("fk_promise_owner_id_user", "user", ["owner_id"], ["id"])
        batch.create_foreign_key("fk_promise_job_id_job", "job", ["job_id"], ["id"])
        batch.create_foreign_key("fk_promise_replaces_id_promise", "promise", ["replaces_id"], ["id"])
        batch.create_index("ix_promise_job_id", ["job_id"])
    with op.batch_alter_table("notice") as batch:
        batch.add_column(sa.Column("promise_id", sa.Integer(), nullable=True))
        batch.create_foreign_key("fk_notice_promise_id_promise", "promise", ["promise_id"], ["id"])
        batch.create_index("ix_notice_promise_id", ["promise_id"])


def downgrade() -> None:
    with op.batch_alter_table("notice") as batch:
        batch.drop_index("ix_notice_promise_id")
        batch.drop_constraint("fk_notice_promise_id_promise", type_="foreignkey")
        batch.drop_column("promise_id")
    with op.batch_alter_table("promise") as batch:
        batch.drop_index("ix_promise_job_id")
        for name in ("owner_id_user", "job_id_job", "replaces_id_promise"):
            batch.drop_constraint(f"fk_promise_{name}", type_="foreignkey")
        for name in ("owner_id", "job_id", "replaces_id", "reminded_at", "escalated_at"):
            batch.drop_column(name)
    with op.batch_alter_table("visit") as batch:
        batch.drop_index("ix_visit_job_id")
        batch.drop_constraint("fk_visit_job_id_job", type_="foreignkey")
        batch.drop_column("job_id")
    op.drop_table("job")
