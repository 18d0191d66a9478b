"""A company that has something on every page: promises, concerns, make-good, differences, messages, words that came in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import watch
from punctual.actions import concern, dispatcher, good, promise, technician, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.models import Concern, Difference, Good, Import, Promise, Received, Visit, db
from tests.build import Built, wall

SAID = "Which door do you come to? The bell at the front is broken, and the dog barks at everybody who knocks."


def stock(built: Built, user_id: int) -> None:
    """Something of everything, as of 09:40 on the built morning: Priya's job runs over, Grace waits."""
    dana = By(user_id, "Dana Price")
    tap(built, "arrived", "09:00")
    tap(built, "late", "09:20", 45)
    helen, lewis, grace = (built.visits[name].id for name in ("Helen", "Lewis", "Grace"))
    promise.make(helen, "part", wall("15:00"), at=wall("08:20"), by=dana)
    kept = promise.make(lewis, "confirm", wall("12:00"), at=wall("08:20"), by=dana)
    promise.keep(kept, at=wall("09:00"), by=dana)
    concern.raise_(lewis, "time", "My letter says Monday.", at=wall("08:30"))
    first = concern.raise_(helen, "said", "", at=wall("08:31")).answer_id
    concern.raise_(grace, "work", "It is the boiler, not the radiators.", at=wall("09:30"))
    concern.answer(_concern(first), "It is Tuesday; we have corrected the letter.", at=wall("08:40"), by=dana)
    good.add_rule("late", 15, False, discount_pct=10)
    good.add_rule("other", 0, None, ask=True)
    dispatcher.move(
        lewis, built.technicians["Ana"].id, start=wall("14:00"), window=Window(wall("14:00"), wall("14:30")),
        tell=True, at=wall("09:30"), by=dana,
    )  # fmt: skip
    with transaction() as s:
        _rows(s, built, wall("09:31"))
        watch.look(s, [x.id for x in built.shifts.values()], at=wall("09:40"))


def tap(built: Built, kind: str, at: str, minutes: int = 0) -> None:
    """A report on Tom's first job."""
    technician.report(
        built.visits["Priya"].id, kind, technician_id=built.technicians["Tom"].id,  # type: ignore[arg-type]
        key=f"stock-{kind}-{at}", tapped_at=wall(at), at=wall(at), minutes=minutes,
    )  # fmt: skip


def _concern(said_id: int) -> int:
    found = db.session.scalar(select(Concern.id).where(Concern.said_id == said_id))
    assert found is not None
    return found


def _rows(s: Session, built: Built, at: datetime) -> None:
    """What the worker and an import would have written."""
    grace, helen = built.visits["Grace"].id, built.visits["Helen"].id
    given = s.scalars(select(Promise).where(Promise.visit_id == helen, Promise.kind == "window")).one()
    s.add(Good(promise_id=given.id, visit_id=helen, kind="late", late_min=58, warned=False, credit=2000, currency="GBP",
               state="granted", at=at, decided_at=at, decided_by="rule"))  # fmt: skip
    asked = s.scalars(select(Promise).where(Promise.visit_id == helen, Promise.kind == "part")).one()
    s.add(Good(promise_id=asked.id, visit_id=helen, kind="other", late_min=30, warned=True, currency="GBP", state="asked", at=at))  # fmt: skip
    ends = {"told_from": "10:00", "told_to": "10:30", "now_from": "10:45", "now_to": "11:20"}
    facts = {name: wall(text).isoformat() for name, text in ends.items()}
    s.add(Difference(visit_id=grace, what="window", facts=facts, action="call", found_at=at))
    s.add(Received(key="stock-1", channel="sms", sender="+441174960002", text=SAID, at=at, meaning="words", visit_id=grace,
                   settled_at=at, outcome="waits for somebody to read it"))  # fmt: skip
    helen_row = s.get_one(Visit, helen)
    helen_row.customer.email_bad = "the mailbox is full"
    counts = {"technicians": 2, "shifts": 2, "jobs": 2, "customers": 4, "pending_places": 0, "notes": [], "added": 4, "changed": 0, "unchanged": 0, "told": 0}  # fmt: skip
    s.add(Import(at=at, name="week-48.csv", sha256="0" * 64, by="Dana Price", counts=counts))
