"""A technician's day as their phone shows it: visits in order with what is expected, and who has been told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual.core.day import OVER, Window, local, outward
from punctual.core.forecast import VisitForecast
from punctual.core.kinds import KINDS
from punctual.core.policy import Rules
from punctual.models import Answer, Company, Message, Notice, Report, Shift, Technician, Visit
from punctual.queries import day as days
from punctual.queries import standing, whole
from punctual.queries.whole import Earlier

#: Minutes late that a phone has buttons for.
BUTTONS = (15, 30, 60)


@dataclass(frozen=True, slots=True)
class Stop:
    """One visit on the phone. `status` is the board's look of it: done, late, risk, ontime.

    `to_call`: the office has been asked to call this customer.
    """

    visit: Visit
    arrival: Window | None
    forecast: VisitForecast | None
    status: str
    told: str
    notes: tuple[Answer, ...]
    photos: tuple[int, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    to_call: bool = False

    def read_by(self, name: str) -> bool:
        """Whether that technician has read every note."""
        return all(
            any(r["who"] == "technician" and r["name"] == name for r in a.data.get("read", [])) for a in self.notes
        )

    @property
    def over(self) -> bool:
        return self.visit.state in OVER


@dataclass(frozen=True, slots=True)
class Phone:
    """The whole page: `now` is the visit to act on, `over_min` how far it is over its planned minutes."""

    technician: Technician
    zone: str
    date: date
    shift: Shift | None
    stops: tuple[Stop, ...]
    now: Stop | None
    over_min: int
    next_day: datetime | None
    undo: Report | None

    @property
    def named(self) -> datetime | None:
        """The time that running late was last said with, where it was one: no button says so many minutes.

        Of the end once they are there, else of the arrival.
        """
        if self.undo is None or self.now is None or self.undo.kind != "late" or self.undo.minutes in BUTTONS:
            return None
        v = self.now.visit
        if self.undo.visit_id != v.id:
            return None
        planned = v.arrived_at + timedelta(minutes=v.planned_min) if v.arrived_at else v.planned_start
        return planned + timedelta(minutes=v.late_min, seconds=30)

    @property
    def done(self) -> int:
        """How many are done; where nobody was home, or that could not be finished, are over and not done."""
        return sum(x.visit.state == "done" for x in self.stops)

    @property
    def coming(self) -> list[Stop]:
        return [x for x in self.stops if not x.over and x is not self.now]

    @property
    def before(self) -> list[Stop]:
        return [x for x in self.stops if x.over]


def phone(s: Session, technician: Technician, *, at: datetime, on: date | None = None) -> Phone:
    """Today's visits (or tomorrow's), as this technician may see them."""
    zone = s.get_one(Company, 1).zone
    today = local(at, zone).date()
    on = on if on in (today, today + timedelta(days=1)) else today
    shift = days.shift_of(s, technician.id, on)
    rows = s.scalars(
        select(Visit)
        .where(Visit.technician_id == technician.id, Visit.date == on, Visit.state != "cancelled")
        .order_by(Visit.planned_start, Visit.id)
    ).all()
    ids = [v.id for v in rows]
    made = days.forecasts(s, [shift.id]) if shift else {}
    said = _said(s, ids)
    notes = _notes(s, ids)
    rules = days.rules(s)
    to_call = _to_call(s, ids)
    before, photos = whole.earlier(s, rows), whole.photos_of(s, ids)
    stops = [_stop(v, made.get(v.id), said.get(v.id, ""), notes.get(v.id, ()), at, rules) for v in rows]
    stops = [
        replace(
            x,
            earlier=tuple(before.get(x.visit.id, ())),
            to_call=x.visit.id in to_call,
            photos=tuple(i for a in x.notes for i in photos.get(a.id, ())),
        )
        for x in stops
    ]
    stops.sort(key=lambda x: (not x.over, x.visit.arrived_at or x.visit.planned_start))
    open_ = [x for x in stops if not x.over]
    under_way = [x for x in open_ if x.visit.state in ("arrived", "on_my_way")]
    now = next(iter(under_way or open_), None) if on == today else None
    over = 0
    if now is not None and now.visit.arrived_at is not None:
        over = round((at - now.visit.arrived_at).total_seconds() / 60 - now.visit.planned_min)
    following = s.scalar(
        select(Visit.planned_start)
        .where(Visit.technician_id == technician.id, Visit.date > on, Visit.state == "planned")
        .order_by(Visit.planned_start)
        .limit(1)
    )
    return Phone(technician, zone, on, shift, tuple(stops), now, over, following, _undo(s, ids))


def _stop(
    v: Visit, made: VisitForecast | None, told: str, notes: tuple[Answer, ...], at: datetime, rules: Rules
) -> Stop:
    arrival = None
    if made is not None and v.arrived_at is None:
        arrival = outward(Window(made.arrive[0], max(made.arrive[2], made.arrive[0])), at, v.zone)
    stands = standing.stands(
        state=v.state,
        window=Window(v.window_start, v.window_end),
        deadline=v.deadline,
        told_kind=v.told_kind,
        forecast=made,
        rules=rules,
        at=at,
    )
    return Stop(v, arrival, made, stands.look, told, notes)


def _said(s: Session, ids: list[int]) -> dict[int, str]:
    """The newest message state of each visit's delay notice: what "who has been told" shows."""
    rows = s.execute(
        select(Message.visit_id, Message.state)
        .join(Notice, Notice.id == Message.notice_id)
        .where(
            Message.visit_id.in_(ids),
            Message.customer_id.is_not(None),
            Message.kind.in_([k.name for k in KINDS.values() if k.class_ == "delay" or k.name == "on_my_way"]),
        )
        .order_by(Message.id)
    )
    return {r.visit_id: r.state for r in rows}


def _to_call(s: Session, ids: list[int]) -> set[int]:
    """Visits whose customer somebody in the office has been asked to call."""
    asked = Notice.decision == "task", Notice.kind == "call", Notice.resolved_at.is_(None)
    return set(s.scalars(select(Notice.visit_id).where(Notice.visit_id.in_(ids), *asked)))


def _notes(s: Session, ids: list[int]) -> dict[int, tuple[Answer, ...]]:
    found: dict[int, tuple[Answer, ...]] = {}
    for a in s.scalars(select(Answer).where(Answer.visit_id.in_(ids), Answer.kind == "note").order_by(Answer.id)):
        found[a.visit_id] = (*found.get(a.visit_id, ()), a)
    return found


def _undo(s: Session, ids: list[int]) -> Report | None:
    """The newest report that can still be taken back."""
    rows = s.scalars(select(Report).where(Report.visit_id.in_(ids)).order_by(Report.id.desc()).limit(20)).all()
    undone = {r.undoes_id for r in rows if r.kind == "undo"}
    return next((r for r in rows if r.kind != "undo" and r.id not in undone and r.source in ("tap", "form")), None)
