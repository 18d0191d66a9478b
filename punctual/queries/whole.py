"""The whole story of a customer, so that nobody has to tell it twice: earlier visits, what they wrote and showed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.models import Answer, Photo, Report, Visit

#: So many earlier visits are told.
MOST = 5
#: What a customer said about a visit in their own words.
SAID = ("note", "concern", "not_done", "wish")


@dataclass(frozen=True, slots=True)
class Words:
    """Something written about a visit: by whom, when, and the photos that came with it."""

    by: str
    at: datetime
    text: str
    photos: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier visit of the same customer and everything that was written about it."""

    visit: Visit
    words: tuple[Words, ...]


def earlier(s: Session, visits: Collection[Visit]) -> dict[int, list[Earlier]]:
    """For each visit its customer's earlier ones about which something was written, newest first."""
    customers = {v.customer_id for v in visits}
    if not customers:
        return {}
    rows = s.scalars(
        select(Visit).where(Visit.customer_id.in_(customers), Visit.origin != "generated").order_by(Visit.planned_start)
    ).all()
    words = _words(s, [r.id for r in rows])
    found: dict[int, list[Earlier]] = {}
    for v in visits:
        before = [r for r in rows if r.customer_id == v.customer_id and r.planned_start < v.planned_start]
        told = [Earlier(r, tuple(words[r.id])) for r in reversed(before) if r.id != v.id and words[r.id]]
        if told:
            found[v.id] = told[:MOST]
    return found


def _words(s: Session, ids: list[int]) -> dict[int, list[Words]]:
    photos = photos_of(s, ids)
    found: dict[int, list[Words]] = defaultdict(list)
    said = select(Answer).where(Answer.visit_id.in_(ids), Answer.kind.in_(SAID)).order_by(Answer.id)
    for a in s.scalars(said):
        if a.text or photos.get(a.id):
            found[a.visit_id].append(Words("customer", a.at, a.text, tuple(photos.get(a.id, ()))))
    reported = select(Report).where(Report.visit_id.in_(ids), Report.note != "").order_by(Report.id)
    for r in s.scalars(reported):
        found[r.visit_id].append(Words("technician", r.at, r.note))
    for v in s.scalars(select(Visit).where(Visit.id.in_(ids), Visit.notes != "")):
        found[v.id].append(Words("office", v.changed_at, v.notes))
    return found


def photos_of(s: Session, visit_ids: Collection[int]) -> dict[int, list[int]]:
    """The photos of each note of these visits, by the note's id."""
    found: dict[int, list[int]] = defaultdict(list)
    for note, photo_id in s.execute(
        select(Photo.note_id, Photo.id).where(Photo.visit_id.in_(visit_ids)).order_by(Photo.id)
    ):
        found[note].append(photo_id)
    return found


def photo(s: Session, photo_id: int) -> bytes | None:
    """A photo's bytes; None for an unknown one."""
    return s.scalar(select(Photo.data).where(Photo.id == photo_id))


def photo_for(s: Session, photo_id: int, technician_id: int) -> bytes | None:
    """A photo's bytes, if one of its customer's visits is this technician's."""
    row = s.get(Photo, photo_id)
    if row is None:
        return None
    customer = select(Visit.customer_id).where(Visit.id == row.visit_id).scalar_subquery()
    mine = select(Visit.id).where(Visit.customer_id == customer, Visit.technician_id == technician_id).limit(1)
    return row.data if s.scalar(mine) is not None else None
