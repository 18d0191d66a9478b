"""The demo: an example company whose technicians tap along, started and stopped as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from punctual import clock, config, demo_day, demo_told, learn, links
from punctual.actions import Refused, access, customer, transaction
from punctual.actions import technician as taps
from punctual.core.day import OVER, local
from punctual.core.travel import estimate
from punctual.models import Customer, Heartbeat, Place, Shift, Signin, Technician, User, Visit, db
from punctual.worker import Worker

#: The day begins here: early enough that the story has just started.
#: Working days planned ahead.
AHEAD = 6
BEGIN, ROLL_FROM, OVER_AT = "08:40", "07:50", "18:45"
#: What the story's technicians tap beside arriving and finishing: (reference, clock, kind, minutes).
SCRIPT = (("mei-1", "08:34", "late", 60), ("tom-1", "08:49", "late", 30))
ANSWER = ("mei-2", "08:39")
GRACE, HERO = "tom-2", "tom"


class Ticker:
    """Simulated technicians: each sets off, arrives and finishes by its own seeded truth. A technician with a phone of
    a visitor is the visitor's to play, but for the minutes that `everyone` lived before the visitor looks."""

    def __init__(self, app: Flask, *, everyone: bool = False) -> None:
        self.app, self.everyone = app, everyone

    def tick(self, at: datetime) -> None:
        """Tap what is due at that instant."""
        s = db.session()
        on = local(at, demo_day.ZONE).date()
        visitors = select(Signin.technician_id).where(Signin.technician_id.is_not(None), Signin.revoked_at.is_(None))
        played = set() if self.everyone else set(s.scalars(visitors))
        shifts = s.scalars(select(Shift).where(Shift.date == on, Shift.off == "")).all()
        for shift in (x for x in shifts if x.technician_id not in played):
            self._one(shift.technician_id, shift, at)
        self._script(on.isoformat(), played, at)

    def _script(self, on: str, played: set[int | None], at: datetime) -> None:
        for ref, when, kind, minutes in SCRIPT:
            visit = db.session.scalar(select(Visit).where(Visit.ref == f"{ref}-{on}"))
            due = demo_day.wall(local(at, demo_day.ZONE).date(), when)
            fresh = due <= at < due + timedelta(minutes=10)
            if (
                visit is not None
                and fresh
                and visit.state == "arrived"
                and visit.late_min == 0
                and visit.technician_id not in played
            ):
                _tap(visit, kind, at, minutes)

    def _one(self, technician: int, shift: Shift, at: datetime) -> None:
        """One technician's next tap, if it is due."""
        s = db.session()
        rows = s.scalars(
            select(Visit)
            .where(Visit.technician_id == technician, Visit.date == shift.date)
            .order_by(Visit.planned_start)
        ).all()
        open_ = [v for v in rows if v.state not in OVER]
        if not open_:
            return
        ended = [v for v in rows if v.finished_at is not None]
        visit = next((v for v in open_ if v.state in ("arrived", "on_my_way")), open_[0])
        luck = np.random.default_rng([visit.id, shift.date.toordinal()])
        drive = _drive(s, visit, ended, technician) * float(luck.lognormal(0.0, 0.15))
        free = max((v.finished_at for v in ended if v.finished_at), default=shift.starts_at)
        if visit.state == "planned":
            leave = max(free + timedelta(minutes=2), visit.window_start - timedelta(minutes=drive + 2), shift.starts_at)
            if shift.break_starts_at and shift.break_ends_at and visit.planned_start >= shift.break_ends_at:
                leave = max(leave, shift.break_ends_at - timedelta(minutes=drive))
            if at >= leave:
                _tap(visit, "arrived" if drive < 1.5 else "on_my_way", at)
        elif visit.state == "on_my_way" and visit.on_my_way_at is not None:
            if at >= visit.on_my_way_at + timedelta(minutes=drive):
                _tap(visit, "arrived", at)
        elif visit.arrived_at is not None and at >= visit.arrived_at + timedelta(minutes=_truth(visit, luck)):
            _tap(visit, "done", at)


def _truth(visit: Visit, luck: np.random.Generator) -> float:
    name = "-".join((visit.ref or "").split("-")[:2])
    return demo_day.TRUTH.get(name) or demo_day.duration(visit.job_type_id, visit.planned_min, luck)


def _drive(s: Any, visit: Visit, ended: list[Visit], technician: int) -> float:
    here = ended[-1].place if ended else s.get(Place, s.get_one(Technician, technician).home_place_id)
    there = visit.place
    if here is None or there is None or None in (here.lat, there.lat):
        return 10.0
    return float(estimate(*(np.asarray(x) for x in (here.lat, here.lon, there.lat, there.lon))))


def _tap(visit: Visit, kind: str, at: datetime, minutes: int = 0) -> None:
    key = f"demo-{visit.id}-{kind}-{visit.promise_version}"
    try:
        taps.report(
            visit.id,
            kind,
            technician_id=visit.technician_id or 0,
            key=key,
            tapped_at=at,
            at=at,
            minutes=minutes,
            source="demo",
        )
    except Refused:
        return  # a visitor or the board was faster; the next tick sees what is true then


@dataclass(frozen=True, slots=True)
class Links:
    """What a newcomer opens."""

    technician: str
    customer: str
    board: str


def make_links(app: Flask, at: datetime) -> Links:
    """Fresh links to the three faces: a phone and the board open once, the customer's page as often as one likes."""
    settings: config.Settings = app.config["SETTINGS"]
    key = settings.key("link")
    with app.app_context():
        on = local(at, demo_day.ZONE).date()
        s = db.session()
        hero = s.scalar(select(Technician.id).where(Technician.ref == HERO)) or 1
        dana = s.scalar(select(User.id).order_by(User.id).limit(1)) or 1
        phone, board = access.enrol_link(hero, key=key, at=at), access.signin_link(dana, key=key, at=at)
        return Links(
            f"{settings.origin}/t/enrol/{phone}",
            customer_link(settings, on.isoformat(), at),
            f"{settings.origin}/board/enter/{board}",
        )


def customer_link(settings: config.Settings, on: str, at: datetime) -> str:
    """The page of the story's customer, or on later days of the first customer with a visit still to come."""
    with transaction() as s:
        visit = s.scalar(select(Visit).where(Visit.ref == f"{GRACE}-{on}")) or s.scalar(
            select(Visit).where(Visit.state == "planned", Visit.window_start > at).order_by(Visit.window_start).limit(1)
        )
        if visit is None:
            return f"{settings.origin}/"
        version = s.get_one(Customer, visit.customer_id).link_version
        made = links.make(s, settings.key("link"), "customer", visit.id, at=at, version=version)
        return f"{settings.origin}/c/{made}"


def prepare(app: Flask, on: Any) -> None:
    """Make the company with its history and first day, then live its first minutes through the very same parts."""
    begin = demo_day.wall(on, ROLL_FROM)
    made_at = begin - timedelta(days=1)
    with app.app_context():
        with transaction() as s:
            demo_day.company(s, made_at)
            count = demo_day.history(s, on, made_at)
            demo_day.day(s, on, made_at, first=True)
            plan_ahead(s, on, made_at)
        print(f"  {count} finished visits generated to learn from", flush=True)
        with transaction() as s:
            learn.learn(s, at=begin)
            demo_told.tell(s)
    _roll(app, begin, demo_day.wall(on, BEGIN), on)


def _roll(app: Flask, begin: datetime, end: datetime, on: Any) -> None:
    """Live some minutes at once: what would have happened, minute by minute."""
    worker = Worker(app, (Ticker(app, everyone=True).tick,))
    at = begin
    while at < end:
        worker.tick(at)
        if at >= demo_day.wall(on, ANSWER[1]):
            with app.app_context():
                visit = db.session.scalar(select(Visit).where(Visit.ref == f"{ANSWER[0]}-{on.isoformat()}"))
                if visit is not None and visit.told_at is not None:
                    customer.keep(visit.id, at=at)
        at += timedelta(minutes=1)
    worker.sender.close()


def plan_ahead(s: Session, after: Any, at: datetime) -> None:
    """The working days to come have their visits too, with room for one that moves."""
    on = after
    for _ in range(AHEAD):
        on = demo_day.workday(on + timedelta(days=1))
        if s.scalar(select(Visit.id).where(Visit.date == on, Visit.origin == "demo").limit(1)) is None:
            demo_day.day(s, on, at, first=False, most=5)


def stand_still(app: Flask) -> None:
    """The day stops here: no worker is alive any more, though its last sign of life would stay fresh for ever."""
    with app.app_context(), transaction() as s:
        s.execute(delete(Heartbeat))


def next_day(app: Flask, after: Any) -> datetime:
    """Go on with the next working day as the first one began, its first minutes lived, and plan one more ahead; returns
    the instant it begins."""
    on = demo_day.workday(after + timedelta(days=1))
    opens, begin = demo_day.wall(on, ROLL_FROM), demo_day.wall(on, BEGIN)
    clock.configure(clock.written(begin, 1.0))
    with app.app_context(), transaction() as s:
        plan_ahead(s, after, opens)
    _roll(app, opens, begin, on)
    return begin
