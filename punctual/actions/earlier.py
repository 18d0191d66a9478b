"""Come earlier than agreed: offered by a dispatcher, taken by the customer; silence keeps the agreed time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from punctual.actions import Refused, customer, schedule, transaction
from punctual.core import forecast as core
from punctual.core.day import Window, minutes, outward
from punctual.models import Visit
from punctual.queries import day as days
from punctual.queries import visit as visits
from punctual.queries.others import others
from punctual.queries.taught import current

#: So much before the window opens a visit must be able to begin, to be worth asking.
WORTH = timedelta(minutes=15)
#: Nobody is asked to be ready sooner than this after they are asked, nor for a shorter range.
ANSWER = timedelta(minutes=15)


def possible(s: Session, visit: Visit, at: datetime) -> Window | None:
    """The range, rounded outwards, in which the technician would come if the customer let them come before the window;
    None where that is no quarter of an hour earlier, or where somebody is on the way."""
    shift = days.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    if shift is None or shift.off or visit.state != "planned" or visit.window_start - WORTH <= at:
        return None
    (day,) = days.load(s, [shift.id])
    freed = replace(day, visits=tuple(replace(v, early_ok=v.early_ok or v.id == visit.id) for v in day.visits))
    columns, learned = days.packed(s, [freed]), current(s)
    made = core.forecast(columns, learned, minutes(at), others=others(s, at, learned))
    row = next(r for r in range(columns.rows) if columns.visit_id[r] == visit.id)
    arrive = core.visit(made, columns, row).arrive
    soon = max(arrive[0], at + ANSWER)
    found = outward(Window(soon, max(arrive[2], soon + ANSWER)), at, visit.zone)
    return found if found.start <= visit.window_start - WORTH and found.end < visit.window_end else None


def take(visit_id: int, *, at: datetime, by: str = "page") -> customer.Saved:
    """ "Come earlier": the range that was offered becomes the promise. Refused when it cannot be kept any more."""
    with transaction() as s:
        visit = customer.unfinished(s, visit_id, at)
        last = customer.last_answer(s, visit, "time")
        if last is not None and last.data.get("start") == visit.window_start.isoformat():
            return customer.Saved(last.id, True)
        offered, now = visits.earlier(s, visit, at), possible(s, visit, at)
        if offered is None or now is None or now.end > offered.end + WORTH:
            raise Refused("We cannot come earlier any more. Your agreed time stays.")
        visit.planned_start = offered.start
        schedule.agree(s, visit, window=offered, at=at, by="customer")
        saved = customer.answered(s, visit, "time", at, by=by, start=offered.start.isoformat())
        customer.confirm(s, visit, at)
    return saved
