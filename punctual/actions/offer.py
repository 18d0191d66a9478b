"""Other times for a customer who asks for them: a few are kept free for a while, or a call is promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from punctual import clock, promises
from punctual.actions import Refused, customer, transaction
from punctual.core.promise import office_due
from punctual.core.slot import Slot
from punctual.models import Promise, SlotClaim, Visit, db
from punctual.queries import day as queries
from punctual.queries import offers, slots

#: So many times are kept free at once, of so many that are looked at - more after a lost race.
HELD, LOOKED_AT = 3, (8, 40, 40)
WISH_MAX = 500


@dataclass(frozen=True, slots=True)
class Offered:
    """What was kept free and until when; or, where nothing fits, by when somebody calls."""

    slots: tuple[Slot, ...] = ()
    until: datetime | None = None
    call_due: datetime | None = None
    already: bool = False


def times(visit_id: int, *, at: datetime, by: str = "page") -> Offered:
    """Keep up to three other times free for ten minutes; pressed again while they are kept it changes nothing.

    One open offer a visit. Somebody else may be quicker: then the next best is kept. Where nothing fits within the
    company's offer days, a call is promised at once.
    """
    for most in LOOKED_AT:
        found = slots.offers(db.session(), visit_id, at=at, most=most)
        with transaction() as s:
            visit = customer.still_open(s, visit_id, at)
            kept = offers.standing(s, visit_id, at=at)
            if kept.slots:
                return Offered(kept.slots, kept.until, already=True)
            if not found:
                return _nothing_fits(s, visit, at, by)
            held = _hold(s, visit, found, at)
            if held:
                return _noted(s, visit, [x for x in found if x in held], at, by)
            if most == LOOKED_AT[-1]:
                return _nothing_fits(s, visit, at, by)
    raise AssertionError("unreachable")


def _nothing_fits(s: Session, visit: Visit, at: datetime, by: str) -> Offered:
    made = _promise_call(s, visit, at, reason="nothing_fits")
    if made is not None:
        customer.answered(s, visit, "times", at, by=by)
        return Offered(call_due=made.due_at)
    owed = select(Promise.due_at).where(Promise.visit_id == visit.id, Promise.kind == "call", Promise.state == "open")
    return Offered(call_due=s.scalar(owed), already=True)


def _promise_call(s: Session, visit: Visit, at: datetime, *, reason: str, **facts: str) -> Promise | None:
    """A call that is owed from now on: the promise, its message, the dispatcher's task; None when one is owed already."""
    owed = select(Promise.id).where(Promise.visit_id == visit.id, Promise.kind == "call", Promise.state == "open")
    if s.scalar(owed) is not None:
        return None
    made = promises.make(s, visit, "call", call_due(s, at), at=at, by="customer")
    promises.call_task(s, made, at=at, reason=reason, cause=f"customer:{reason}:{visit.id}", **facts)
    return made


def call_due(s: Session, at: datetime) -> datetime:
    """By when somebody calls or answers who is asked at `at`."""
    rules, zone = queries.company(s)
    return office_due(at, zone, rules.callback_min, promises.works(s))


def _hold(s: Session, visit: Visit, found: Sequence[Slot], at: datetime) -> list[Slot]:
    """Claim the best of them that are still free and do not overlap."""
    some = {x.technician for x in found}
    queries.lock_claims(s, some)
    over = and_(SlotClaim.expires_at <= at, SlotClaim.technician_id.in_(some))
    s.execute(delete(SlotClaim).where(SlotClaim.kind == "hold", or_(over, SlotClaim.visit_id == visit.id)))
    free = slots.still_free(s, visit.id, [(x.technician, x.start) for x in found], at=at, held=True)
    still = {(x.technician, x.start) for x in free}
    found = [x for x in found if (x.technician, x.start) in still]
    best: list[Slot] = []
    for slot in found:
        if len(best) < HELD and not any(_overlap(slot, other, visit.planned_min) for other in best):
            best.append(slot)
    ends = at + timedelta(seconds=queries.rules(s).hold_s * clock.speed())
    held = [x for x in best if _held(s, visit, x, at, ends)]
    if held:
        return held
    return next(([x] for x in found if x not in best and _held(s, visit, x, at, ends)), [])


def _overlap(a: Slot, b: Slot, long: float) -> bool:
    work = timedelta(minutes=long)
    if a.technician != b.technician:
        return False
    return (
        a.start - timedelta(minutes=a.travel) < b.start + work
        and b.start - timedelta(minutes=b.travel) < a.start + work
    )


def _held(s: Session, visit: Visit, slot: Slot, at: datetime, ends: datetime) -> bool:
    """Claim one; False when somebody was quicker."""
    try:
        with s.begin_nested():
            s.add(
                SlotClaim(
                    technician_id=slot.technician,
                    visit_id=visit.id,
                    kind="hold",
                    starts_at=slot.start - timedelta(minutes=slot.travel),
                    ends_at=slot.start + timedelta(minutes=visit.planned_min),
                    window_start=slot.window.start,
                    window_end=slot.window.end,
                    planned_start=slot.start,
                    expires_at=ends,
                    created_at=at,
                )
            )
    except IntegrityError as error:
        if "ex_slot_claim_overlap" not in str(error):
            raise
        return False
    return True


def _noted(s: Session, visit: Visit, held: Sequence[Slot], at: datetime, by: str) -> Offered:
    mine = select(SlotClaim.expires_at).where(SlotClaim.visit_id == visit.id, SlotClaim.kind == "hold")
    until = s.scalars(mine).first()
    assert until is not None
    rows = [
        {"technician": x.technician, "start": x.start.isoformat(), "why": x.why, "sure": round(x.sure, 3)} for x in held
    ]
    customer.answered(s, visit, "times", at, by=by, until=until.isoformat(), slots=rows)
    return Offered(tuple(held), until)


def propose(visit_id: int, start: datetime, *, at: datetime, by: str = "calendar") -> customer.Saved:
    """The customer names a start themselves (a calendar's COUNTER): taken with whoever can come then, the technician
    they have first; Refused (409) when nobody can."""
    found = slots.at_time(db.session(), visit_id, start, at=at)
    if found is None:
        raise Refused("Nobody can come at that time without breaking another promise. Your visit is unchanged.")
    return customer.choose(visit_id, found.technician, start, at=at, by=by)


def wish(visit_id: int, text: str, *, at: datetime, by: str = "page") -> customer.Saved:
    """None of the times suits: what they need, in their words; a person answers, and that is promised."""
    words = " ".join(text.replace("\x00", "").split())
    if not words:
        raise Refused("Write the time you need, then send it.", status=422, field="wish")
    if len(words) > WISH_MAX:
        sentence = "This is longer than %(most)s characters. It is %(extra)s too long."
        raise Refused(sentence, status=422, field="wish", values={"most": WISH_MAX, "extra": len(words) - WISH_MAX})
    with transaction() as s:
        visit = customer.still_open(s, visit_id, at)
        if _promise_call(s, visit, at, reason="wish", wish=words) is None:
            last = customer.last_answer(s, visit, "wish")
            if last is not None and last.text == words:
                return customer.Saved(last.id, True)
        return customer.answered(s, visit, "wish", at, words, by=by)
