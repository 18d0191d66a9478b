"""A day lived stop by stop, written apart from the product: what offered times and forecasts are checked against."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import asin, cos, exp, radians, sin, sqrt

import numpy as np

from punctual.core.day import Day, Place, Visit, Window

#: What the product says of work and roads nobody has learned about (core/duration.py, core/travel.py), written again.
MEAN, SD = 0.05, 0.35
ROAD, KMH, DOOR = 1.35, 28.0, 4.0


def drive(a: Place | None, b: Place | None) -> float:
    """Minutes from one place to the other; none where one is not known."""
    if a is None or b is None:
        return 0.0
    la, lb = radians(a.lat), radians(b.lat)
    h = sin((lb - la) / 2) ** 2 + cos(la) * cos(lb) * sin(radians(b.lon - a.lon) / 2) ** 2
    km = 2 * 6371.0088 * asin(sqrt(h))
    return 0.0 if km < 0.02 else DOOR + km * ROAD / KMH * 60.0


def live(day: Day, at: datetime, minutes: Sequence[float]) -> list[tuple[datetime, datetime]]:
    """(arrival, end) of each visit when they take these minutes; nobody starts before the window opens."""
    free, here, rested = max(day.shift.start, at), day.home, day.break_ is None
    found = []
    for visit, long in zip(day.visits, minutes, strict=True):
        if not rested and day.break_ and visit.planned_start >= day.break_.start:
            free, rested = max(free, day.break_.start) + (day.break_.end - day.break_.start), True
        arrive = max(free + timedelta(minutes=drive(here, visit.place)), visit.window.start)
        free, here = arrive + timedelta(minutes=long), visit.place
        found.append((arrive, free))
    return found


def mean(day: Day, at: datetime) -> list[tuple[datetime, datetime]]:
    """The mean schedule."""
    return live(day, at, [v.planned_min * exp(MEAN) for v in day.visits])


def broken(visit: Visit, arrive: datetime, end: datetime) -> bool:
    """The window is missed, or the customer's own limit."""
    if visit.deadline is not None and (arrive if visit.deadline_kind == "arrive" else end) > visit.deadline:
        return True
    return arrive > visit.window.end


def chances(day: Day, at: datetime, tries: int, seed: int) -> dict[int, float]:
    """How often each visit's promise breaks when the day is lived many times, with durations drawn anew each time."""
    dice = np.random.default_rng(seed)
    start = max(day.shift.start, at)

    def after(moment: datetime) -> float:
        return (moment - start).total_seconds() / 60.0

    free, here, rested, found = np.zeros(tries), day.home, day.break_ is None, {}
    for visit in day.visits:
        if not rested and day.break_ and visit.planned_start >= day.break_.start:
            free = np.maximum(free, after(day.break_.start)) + after(day.break_.end) - after(day.break_.start)
            rested = True
        arrive = np.maximum(free + drive(here, visit.place), after(visit.window.start))
        free, here = arrive + visit.planned_min * np.exp(MEAN + SD * dice.standard_normal(tries)), visit.place
        late = arrive > after(visit.window.end)
        if visit.deadline is not None:
            late |= (arrive if visit.deadline_kind == "arrive" else free) > after(visit.deadline)
        found[visit.id] = float(late.mean())
    return found


def put(day: Day, visit: Visit, start: datetime, window_min: float) -> Day:
    """The day with one more visit, planned at that start, in the order of the plan."""
    moved = replace(visit, planned_start=start, window=Window(start, start + timedelta(minutes=window_min)))
    return replace(day, visits=tuple(sorted((*day.visits, moved), key=lambda v: (v.planned_start, v.id))))


def random_day(seed: int, at: datetime) -> Day:
    """A technician's day of up to seven visits, planned one after the other with gaps, some with limits or a break."""
    dice = random.Random(seed)
    begin = at + timedelta(hours=dice.choice((1, 16, 24)))
    free, visits = begin + timedelta(minutes=dice.choice((0, 15, 60))), []
    home = Place(51.45 + dice.uniform(-0.03, 0.03), -2.6 + dice.uniform(-0.05, 0.05), 1)
    for n in range(dice.randint(0, 7)):
        start = free + timedelta(minutes=dice.choice((0, 10, 15, 30, 60, 120)))
        start -= timedelta(minutes=start.minute % 5)
        long = float(dice.choice((20, 30, 45, 60, 90)))
        window = Window(start, start + timedelta(minutes=dice.choice((30, 60, 120))))
        limit = window.end + timedelta(minutes=long + dice.randint(10, 120)) if dice.random() < 0.2 else None
        place = Place(51.45 + dice.uniform(-0.03, 0.03), -2.6 + dice.uniform(-0.05, 0.05), n + 2)
        visits.append(Visit(n + 1, 1, start, long, window, place, deadline=limit))
        free = start + timedelta(minutes=long + 15)
    pause = None
    if dice.random() < 0.5:
        noon = begin + timedelta(hours=4)
        pause = Window(noon, noon + timedelta(minutes=30))
    end = max(begin + timedelta(hours=9), free)
    return Day(seed + 1, seed + 1, begin.date(), Window(begin, end), tuple(visits), pause, home)
