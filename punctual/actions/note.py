"""Tell it once: what a customer writes and shows travels with the visit, and who has read it is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual import photo
from punctual.actions import Refused, lock, transaction
from punctual.actions.customer import Saved, answered, last_answer, unfinished
from punctual.actions.dispatcher import By
from punctual.models import Answer, Photo, Visit, touch_board

TEXT_MAX, PHOTOS_MAX, MB = 1000, 5, 8
BAD_PHOTO = "We can take JPEG, PNG or HEIC photos up to %(mb)s MB. This one was not saved."


def write(visit_id: int, text: str, photos: Sequence[bytes] = (), *, at: datetime, by: str = "page") -> Saved:
    """What the technician should know, with photos up to a limit; kept as the customer's own words, or not at all."""
    words = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not words and not photos:
        raise Refused("Write what we should know, then send it.", status=422, field="note")
    if len(words) > TEXT_MAX:
        sentence = "This is longer than %(most)s characters. It is %(extra)s too long."
        raise Refused(sentence, status=422, field="note", values={"most": TEXT_MAX, "extra": len(words) - TEXT_MAX})
    drawn = [_drawn(raw) for raw in photos]
    with transaction() as s:
        visit = unfinished(s, visit_id, at)
        last = last_answer(s, visit, "note")
        if last is not None and last.text == words and not drawn:
            return Saved(last.id, True)
        had = s.scalar(select(func.count()).select_from(Photo).where(Photo.visit_id == visit_id)) or 0
        if had + len(drawn) > PHOTOS_MAX:
            sentence = "A visit takes %(most)s photos. Nothing was saved."
            raise Refused(sentence, status=422, field="photo", values={"most": PHOTOS_MAX})
        saved = answered(s, visit, "note", at, words, by=by)
        s.add_all(
            Photo(visit_id=visit_id, note_id=saved.answer_id, at=at, width=x.width, height=x.height, data=x.data)
            for x in drawn
        )
        return saved


def _drawn(raw: bytes) -> photo.Photo:
    if len(raw) > MB * 2**20:
        raise Refused(BAD_PHOTO, status=422, field="photo", values={"mb": MB})
    try:
        return photo.redrawn(raw)
    except ValueError as error:
        raise Refused(BAD_PHOTO, status=422, field="photo", values={"mb": MB}) from error


def read_by_technician(visit_id: int, *, technician_id: int, at: datetime) -> None:
    """The technician has read what the customer wrote; the customer's page shows by whom and when."""
    with transaction() as s:
        visit = lock.visit(s, visit_id)
        if visit is None or visit.technician_id != technician_id:
            raise Refused("This visit is not on your day. Ask the office if you think it should be.", status=403)
        assert visit.technician is not None
        _read(s, visit, visit.technician.first_name, "technician", at)


def read_by_dispatcher(visit_id: int, *, at: datetime, by: By) -> None:
    """Somebody at the board has read it."""
    with transaction() as s:
        visit = lock.visit(s, visit_id)
        if visit is None:
            raise Refused("There is no such visit.", status=404)
        _read(s, visit, by.name.split()[0], "office", at)


def _read(s: Session, visit: Visit, name: str, who: str, at: datetime) -> None:
    """Each note keeps who has read it first, of the technicians and of the office, and when."""
    for note in s.scalars(select(Answer).where(Answer.visit_id == visit.id, Answer.kind == "note")):
        reads = list(note.data.get("read", []))
        if not any(r["name"] == name and r["who"] == who for r in reads):
            note.data = note.data | {"read": [*reads, {"name": name, "who": who, "at": at.isoformat()}]}
    touch_board(s, visit.date)
