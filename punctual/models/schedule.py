"""The plan: job types, places, shifts, visits, travel, and the claims that keep a slot to one owner."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    Float,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    bindparam,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from punctual.models.base import Model, UtcDateTime
from punctual.models.people import Customer, Technician
from punctual.models.plain import Plain


class JobType(Model):
    """A kind of work: planned minutes, the skill it needs, and the name the public sees."""

    __tablename__ = "job_type"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    public_name: Mapped[str] = mapped_column(String(80))
    planned_min: Mapped[float] = mapped_column(default=60.0)
    skill: Mapped[str] = mapped_column(String(40), default="")


class Place(Model):
    """Where a visit is. `state`: known, pending (to be geocoded), not_found, named (of a recorded day: told apart from
    others by its name alone, never looked up)."""

    __tablename__ = "place"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(300), index=True)
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(12), default="pending", index=True)


class GeocodeAnswer(Model):
    """A geocoder's answer, kept for ever so that no address is asked twice."""

    __tablename__ = "geocode_answer"
    query: Mapped[str] = mapped_column(String(300), primary_key=True)
    lat: Mapped[float | None] = mapped_column(Float)
    lon: Mapped[float | None] = mapped_column(Float)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Travel(Model):
    """Minutes from place to place; `source` is router or geodesic (an estimate, and marked as one)."""

    __tablename__ = "travel"
    from_place: Mapped[int] = mapped_column(ForeignKey("place.id"), primary_key=True)
    to_place: Mapped[int] = mapped_column(ForeignKey("place.id"), primary_key=True)
    minutes: Mapped[float]
    source: Mapped[str] = mapped_column(String(12))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Shift(Model):
    """A technician's day: its shift and break. The row writers lock to queue up on that day (PostgreSQL)."""

    __tablename__ = "shift"
    __table_args__ = (UniqueConstraint("technician_id", "date"), CheckConstraint("ends_at > starts_at", name="order"))
    id: Mapped[int] = mapped_column(primary_key=True)
    technician_id: Mapped[int] = mapped_column(ForeignKey("technician.id"))
    date: Mapped[date] = mapped_column(Date, index=True)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    break_starts_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    break_ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    off: Mapped[str] = mapped_column(String(40), default="")
    nudged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    technician: Mapped[Technician] = relationship()


class Job(Model):
    """Work of several visits for one customer, with one overall promise (kind job)."""

    __tablename__ = "job"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Visit(Model):
    """The appointment and its plan.

    `window_start/end` are the promised arrival window as instants, `wall_start/end` the same as agreed: local wall
    time ("2026-11-24T09:00") in `zone`. State and step times are what core.day.fold makes of the reports, written in
    the transaction that adds a report. `sequence` is the calendar counter, `window_sequence` its value when the
    window last changed, which raises it. `told_start/end` is the range last accepted by a provider for this customer.
    `imported` is the row of the file this visit was last imported from: only what has changed in the file since is
    taken again.
    """

    __tablename__ = "visit"
    __table_args__ = (
        Index("ix_visit_day", "technician_id", "date", "state", "changed_at", "promise_version", "late_min"),
        Index("ix_visit_date_state", "date", "state"),
        CheckConstraint("window_end >= window_start", name="window"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str | None] = mapped_column(String(80), unique=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    technician_id: Mapped[int | None] = mapped_column(ForeignKey("technician.id"))
    job_type_id: Mapped[int] = mapped_column(ForeignKey("job_type.id"))
    place_id: Mapped[int | None] = mapped_column(ForeignKey("place.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), index=True)
    date: Mapped[date] = mapped_column(Date)
    zone: Mapped[str] = mapped_column(String(64))
    planned_start: Mapped[datetime] = mapped_column(UtcDateTime)
    planned_min: Mapped[float]
    window_start: Mapped[datetime] = mapped_column(UtcDateTime)
    window_end: Mapped[datetime] = mapped_column(UtcDateTime)
    wall_start: Mapped[str] = mapped_column(String(16))
    wall_end: Mapped[str] = mapped_column(String(16))
    promise_version: Mapped[int] = mapped_column(default=1)
    deadline: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deadline_kind: Mapped[str] = mapped_column(String(6), default="done")
    early_ok: Mapped[bool] = mapped_column(default=False)
    notes: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[str] = mapped_column(String(14), default="planned")
    on_my_way_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    arrived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    late_min: Mapped[float] = mapped_column(default=0.0)
    late_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelled_by: Mapped[str] = mapped_column(String(12), default="")
    origin: Mapped[str] = mapped_column(String(12), default="board")
    imported: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    uid: Mapped[str] = mapped_column(String(120), unique=True)
    sequence: Mapped[int] = mapped_column(default=0)
    window_sequence: Mapped[int] = mapped_column(default=0)
    invited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    partstat: Mapped[str] = mapped_column(String(16), default="NEEDS-ACTION")
    told_start: Mapped[datetime | None] = mapped_column(UtcDateTime)
    told_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    told_kind: Mapped[str] = mapped_column(String(20), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    customer: Mapped[Customer] = relationship()
    technician: Mapped[Technician | None] = relationship()
    job_type: Mapped[JobType] = relationship()
    place: Mapped[Place | None] = relationship()


class SlotClaim(Model):
    """Technician x planned work with its travel, held or chosen: two claims that are not exempt never overlap.

    The constraint is `ex_slot_claim_overlap`: an exclusion constraint on PostgreSQL, triggers on SQLite, made by the
    first migration. Claims of imported and forced visits are `exempt` and shown as overlap instead.
    """

    __tablename__ = "slot_claim"
    __table_args__ = (CheckConstraint("ends_at > starts_at", name="order"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    technician_id: Mapped[int] = mapped_column(ForeignKey("technician.id"), index=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    window_start: Mapped[datetime] = mapped_column(UtcDateTime)
    window_end: Mapped[datetime] = mapped_column(UtcDateTime)
    planned_start: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    exempt: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BoardVersion(Model):
    """One integer a date, raised in the transaction of every change to it: the board's ETag."""

    __tablename__ = "board_version"
    date: Mapped[date] = mapped_column(Date, primary_key=True)
    version: Mapped[int] = mapped_column(default=0)


def touch_board(s: Session, *dates: date) -> None:
    """The boards of some dates show something new: their versions rise by one with the caller's commit.

    That comes last and in order of date. The row of a date is what all who write about it have in common, so whoever
    holds it must wait for nothing more.
    """
    s.info.setdefault(_TOUCHED, set()).update(dates)


def touched(s: Session) -> Collection[date]:
    """The dates whose boards this transaction has changed."""
    found: Collection[date] = s.info.get(_TOUCHED, ())
    return found


def raise_versions(s: Session) -> None:
    """Right before the commit: it holds them no longer than it must."""
    dates = s.info.pop(_TOUCHED, None)
    if dates:
        for day in sorted(dates):
            _TOUCH.run(s.connection(), day=day)


_TOUCHED = "touched boards"
_TOUCH = Plain(
    text(
        "INSERT INTO board_version (date, version) VALUES (:day, 1) "
        "ON CONFLICT (date) DO UPDATE SET version = board_version.version + 1"
    ).bindparams(bindparam("day", None, Date)),
    "day",
)
