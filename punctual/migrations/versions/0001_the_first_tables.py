"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import punctual.models.base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    op.create_table(
        "board_version",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("date", name=op.f("pk_board_version")),
    )
    op.create_table(
        "company",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("text_name", sa.String(length=20), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=False),
        sa.Column("hours", sa.String(length=80), nullable=False),
        sa.Column("mail_from", sa.String(length=254), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
    )
    op.create_table(
        "customer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=True),
        sa.Column("email_bad", sa.String(length=200), nullable=False),
        sa.Column("phone_bad", sa.String(length=200), nullable=False),
        sa.Column("early_messages", sa.Boolean(), nullable=False),
        sa.Column("link_version", sa.Integer(), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("ref", name=op.f("uq_customer_ref")),
    )
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_customer_email"), ["email"], unique=False)
        batch_op.create_index(batch_op.f("ix_customer_phone"), ["phone"], unique=False)

    op.create_table(
        "geocode_answer",
        sa.Column("query", sa.String(length=300), nullable=False),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("query", name=op.f("pk_geocode_answer")),
    )
    op.create_table(
        "heartbeat",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "import",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import")),
    )
    op.create_table(
        "job_type",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("public_name", sa.String(length=80), nullable=False),
        sa.Column("planned_min", sa.Double(), nullable=False),
        sa.Column("skill", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_type")),
        sa.UniqueConstraint("name", name=op.f("uq_job_type_name")),
    )
    op.create_table(
        "learned",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("until", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learned")),
    )
    op.create_table(
        "link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("used_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
        sa.UniqueConstraint("purpose", "owner_id", "version", name=op.f("uq_link_purpose_owner_id_version")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_link_token_hash")),
    )
    op.create_table(
        "login_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_attempt")),
    )
    with op.batch_alter_table("login_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_login_attempt_at"), ["at"], unique=False)

    op.create_table(
        "place",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=300), nullable=False),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_place")),
    )
    with op.batch_alter_table("place", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_place_address"), ["address"], unique=False)
        batch_op.create_index(batch_op.f("ix_place_state"), ["state"], unique=False)

    op.create_table(
        "suppression",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression")),
    )
    with op.batch_alter_table("suppression", schema=None) as batch_op:
        batch_op.create_index("ix_suppression_address", ["channel", "address_hash"], unique=False)

    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("email", name=op.f("uq_user_email")),
    )
    op.create_table(
        "technician",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("skills", sa.JSON(), nullable=False),
        sa.Column("home_place_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("link_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["home_place_id"], ["place.id"], name=op.f("fk_technician_home_place_id_place")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_technician")),
        sa.UniqueConstraint("ref", name=op.f("uq_technician_ref")),
    )
    op.create_table(
        "travel",
        sa.Column("from_place", sa.Integer(), nullable=False),
        sa.Column("to_place", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Double(), nullable=False),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["from_place"], ["place.id"], name=op.f("fk_travel_from_place_place")),
        sa.ForeignKeyConstraint(["to_place"], ["place.id"], name=op.f("fk_travel_to_place_place")),
        sa.PrimaryKeyConstraint("from_place", "to_place", name=op.f("pk_travel")),
    )
    op.create_table(
        "shift",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("technician_id", sa.Integer(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("starts_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ends_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("break_starts_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("break_ends_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("off", sa.String(length=40), nullable=False),
        sa.Column("nudged_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_shift_order")),
        sa.ForeignKeyConstraint(["technician_id"], ["technician.id"], name=op.f("fk_shift_technician_id_technician")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift")),
        sa.UniqueConstraint("technician_id", "date", name=op.f("uq_shift_technician_id_date")),
    )
    with op.batch_alter_table("shift", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_shift_date"), ["date"], unique=False)

    op.create_table(
        "signin",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("technician_id", sa.Integer(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["technician_id"], ["technician.id"], name=op.f("fk_signin_technician_id_technician")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_signin_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signin")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_signin_token_hash")),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=True),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("technician_id", sa.Integer(), nullable=True),
        sa.Column("job_type_id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=True),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("planned_start", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("planned_min", sa.Double(), nullable=False),
        sa.Column("window_start", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("window_end", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("wall_start", sa.String(length=16), nullable=False),
        sa.Column("wall_end", sa.String(length=16), nullable=False),
        sa.Column("promise_version", sa.Integer(), nullable=False),
        sa.Column("deadline", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("deadline_kind", sa.String(length=6), nullable=False),
        sa.Column("early_ok", sa.Boolean(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=14), nullable=False),
        sa.Column("on_my_way_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("arrived_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("late_min", sa.Double(), nullable=False),
        sa.Column("late_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by", sa.String(length=12), nullable=False),
        sa.Column("origin", sa.String(length=12), nullable=False),
        sa.Column("imported", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("uid", sa.String(length=120), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("window_sequence", sa.Integer(), nullable=False),
        sa.Column("invited_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("partstat", sa.String(length=16), nullable=False),
        sa.Column("told_start", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("told_end", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("told_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("told_kind", sa.String(length=20), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("window_end >= window_start", name=op.f("ck_visit_window")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_visit_customer_id_customer")),
        sa.ForeignKeyConstraint(["job_type_id"], ["job_type.id"], name=op.f("fk_visit_job_type_id_job_type")),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_visit_place_id_place")),
        sa.ForeignKeyConstraint(["technician_id"], ["technician.id"], name=op.f("fk_visit_technician_id_technician")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("ref", name=op.f("uq_visit_ref")),
        sa.UniqueConstraint("uid", name=op.f("uq_visit_uid")),
    )
    with op.batch_alter_table("visit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_visit_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index("ix_visit_date_state", ["date", "state"], unique=False)
        batch_op.create_index("ix_visit_technician_date", ["technician_id", "date"], unique=False)

    op.create_table(
        "answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_answer_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
    )
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_answer_visit_id"), ["visit_id"], unique=False)

    op.create_table(
        "forecast",
        sa.Column("shift_id", sa.Integer(), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["shift_id"], ["shift.id"], name=op.f("fk_forecast_shift_id_shift"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("shift_id", name=op.f("pk_forecast")),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=True),
        sa.Column("shift_id", sa.Integer(), nullable=True),
        sa.Column("decision", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("cause", sa.String(length=60), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("told_start", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("told_end", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("due_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["shift_id"], ["shift.id"], name=op.f("fk_notice_shift_id_shift")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_notice_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("key", name=op.f("uq_notice_key")),
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index("ix_notice_open_task", ["decision", "resolved_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_notice_visit_id"), ["visit_id"], unique=False)

    op.create_table(
        "promise",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("opens_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("due_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("made_by", sa.String(length=20), nullable=False),
        sa.Column("made_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=120), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_promise_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promise")),
        sa.UniqueConstraint("visit_id", "kind", "version", name=op.f("uq_promise_visit_id_kind_version")),
    )
    with op.batch_alter_table("promise", schema=None) as batch_op:
        batch_op.create_index("ix_promise_state_due", ["state", "due_at"], unique=False)

    op.create_table(
        "report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("technician_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=14), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("undoes_id", sa.Integer(), nullable=True),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("received_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["technician_id"], ["technician.id"], name=op.f("fk_report_technician_id_technician")),
        sa.ForeignKeyConstraint(["undoes_id"], ["report.id"], name=op.f("fk_report_undoes_id_report")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_report_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("key", name=op.f("uq_report_key")),
    )
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_report_visit_id"), ["visit_id"], unique=False)

    op.create_table(
        "slot_claim",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("technician_id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("starts_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ends_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("window_start", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("window_end", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("planned_start", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("exempt", sa.Boolean(), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_slot_claim_order")),
        sa.ForeignKeyConstraint(
            ["technician_id"], ["technician.id"], name=op.f("fk_slot_claim_technician_id_technician")
        ),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_slot_claim_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slot_claim")),
    )
    with op.batch_alter_table("slot_claim", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_slot_claim_technician_id"), ["technician_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_slot_claim_visit_id"), ["visit_id"], unique=False)

    op.create_table(
        "message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("notice_id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=True),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("technician_id", sa.Integer(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("state_reason", sa.String(length=200), nullable=False),
        sa.Column("state_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("due_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("useful_until", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("lease_until", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("lease_by", sa.String(length=40), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=60), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_message_customer_id_customer")),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"], name=op.f("fk_message_notice_id_notice")),
        sa.ForeignKeyConstraint(["technician_id"], ["technician.id"], name=op.f("fk_message_technician_id_technician")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_message_user_id_user")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_message_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("key", name=op.f("uq_message_key")),
    )
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.create_index("ix_message_due", ["state", "due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_message_notice_id"), ["notice_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_message_visit_id"), ["visit_id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("transport", sa.String(length=20), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("mail_id", sa.String(length=200), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("told_start", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("told_end", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("provider_id", sa.String(length=120), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at", punctual.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", punctual.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_attempt_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("message_id", "number", name=op.f("uq_attempt_message_id_number")),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempt_provider_id"), ["provider_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempt_provider_id"))

    op.drop_table("attempt")
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_message_visit_id"))
        batch_op.drop_index(batch_op.f("ix_message_notice_id"))
        batch_op.drop_index("ix_message_due")

    op.drop_table("message")
    with op.batch_alter_table("slot_claim", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_slot_claim_visit_id"))
        batch_op.drop_index(batch_op.f("ix_slot_claim_technician_id"))

    op.drop_table("slot_claim")
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_report_visit_id"))

    op.drop_table("report")
    with op.batch_alter_table("promise", schema=None) as batch_op:
        batch_op.drop_index("ix_promise_state_due")

    op.drop_table("promise")
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_notice_visit_id"))
        batch_op.drop_index("ix_notice_open_task")

    op.drop_table("notice")
    op.drop_table("forecast")
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_answer_visit_id"))

    op.drop_table("answer")
    with op.batch_alter_table("visit", schema=None) as batch_op:
        batch_op.drop_index("ix_visit_technician_date")
        batch_op.drop_index("ix_visit_date_state")
        batch_op.drop_index(batch_op.f("ix_visit_customer_id"))

    op.drop_table("visit")
    op.drop_table("signin")
    with op.batch_alter_table("shift", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_shift_date"))

    op.drop_table("shift")
    op.drop_table("travel")
    op.drop_table("technician")
    op.drop_table("user")
    with op.batch_alter_table("suppression", schema=None) as batch_op:
        batch_op.drop_index("ix_suppression_address")

    op.drop_table("suppression")
    with op.batch_alter_table("place", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_place_state"))
        batch_op.drop_index(batch_op.f("ix_place_address"))

    op.drop_table("place")
    with op.batch_alter_table("login_attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_login_attempt_at"))

    op.drop_table("login_attempt")
    op.drop_table("link")
    op.drop_table("learned")
    op.drop_table("job_type")
    op.drop_table("import")
    op.drop_table("heartbeat")
    op.drop_table("geocode_answer")
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_customer_phone"))
        batch_op.drop_index(batch_op.f("ix_customer_email"))

    op.drop_table("customer")
    op.drop_table("company")
    op.drop_table("board_version")
    op.drop_table("api_token")
