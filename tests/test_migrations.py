"""Migrations on both databases: the models and the tables agree, and one slot has one owner."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from punctual.models import Base, SlotClaim, db
from tests import build


def claim(built: build.Built, start: str, end: str, **values: object) -> SlotClaim:
    visit = built.visits["Grace"]
    times = {"starts_at": build.wall(start), "ends_at": build.wall(end)}
    given = {"window_start": build.wall(start), "window_end": build.wall(start) + timedelta(minutes=30)}
    return SlotClaim(
        technician_id=built.technicians["Tom"].id,
        visit_id=visit.id,
        kind="hold",
        planned_start=build.wall(start),
        created_at=build.LONG_AGO,
        **(times | given | values),
    )


def test_the_tables_are_what_the_models_say(s: Session) -> None:
    context = MigrationContext.configure(s.connection(), opts={"compare_type": True})
    differences = [d for d in compare_metadata(context, Base.metadata) if "alembic_version" not in str(d)]
    assert differences == []


def test_two_claims_on_one_technician_never_overlap(s: Session) -> None:
    built = build.day(s)
    s.add(claim(built, "14:00", "15:00"))
    s.flush()
    s.add(claim(built, "14:59", "15:30"))
    with pytest.raises(IntegrityError, match="ex_slot_claim_overlap"):
        s.flush()


def test_claims_that_touch_or_are_exempt_stand_side_by_side(s: Session) -> None:
    built = build.day(s)
    s.add_all(
        [claim(built, "14:00", "15:00"), claim(built, "15:00", "16:00"), claim(built, "14:30", "15:30", exempt=True)]
    )
    s.flush()
    assert db.session.query(SlotClaim).count() == 3
