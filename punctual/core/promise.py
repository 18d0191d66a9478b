"""When a promise is due, who must be reminded of it when, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from punctual.core.day import Standing, at_wall, local

Ending = Literal["open", "kept", "broken", "cancelled"]
Step = Literal["", "remind", "escalate", "break"]

#: What can be promised. A window is the arrival, an answer is owed to a concern, a reply to whoever wrote; the others
#: are made by people.
KINDS = ("window", "call", "part", "confirm", "restore", "quote", "job", "answer", "reply")
#: Kinds a person may make by hand, in the order in which they are offered.
BY_HAND = ("call", "part", "confirm", "restore", "quote")
#: Longest time before it is due at which the owner is reminded, and the next one up.
REMIND, ESCALATE = timedelta(hours=24), timedelta(hours=2)
#: Local hours in which somebody calls or answers.
OFFICE = (8, 18)


def window(visit: Standing, due: datetime) -> Ending:
    """How the promise of an arrival window stands: kept by arriving (or standing at the door) by `due`, else broken.

    It stays open until somebody came, however late it is: what is broken is known when it ends.
    """
    if visit.state == "cancelled":
        return "cancelled"
    came = visit.arrived_at or (visit.finished_at if visit.state == "nobody_home" else None)
    if came is None:
        return "broken" if visit.over else "open"
    return "kept" if came <= due else "broken"


def remind_at(made: datetime, due: datetime) -> datetime:
    """When the owner is reminded: half-way, at most a day before it is due."""
    return due - min((due - made) / 2, REMIND)


def escalate_at(made: datetime, due: datetime) -> datetime:
    """When the next one up is told: three quarters of the way, at most two hours before it is due."""
    return due - min((due - made) / 4, ESCALATE)


def step(made: datetime, due: datetime, at: datetime, *, reminded: bool, escalated: bool) -> Step:
    """What an open promise that somebody has to keep by hand needs at an instant.

    Without evidence that it was kept it is broken at its due time, not a minute later. Raises ValueError for one that
    was due before it was made.
    """
    if due < made:
        raise ValueError("A promise cannot be due before it is made.")
    if at > due:
        return "break"
    if at >= escalate_at(made, due) and not escalated:
        return "escalate"
    return "remind" if at >= remind_at(made, due) and not (reminded or escalated) else ""


def again(at: datetime, zone: str, works: Callable[[date], bool], tries: int) -> datetime:
    """By when the customer hears more after a promise was broken: within the hour the first time, then the next day.

    `tries` is how many of this chain were broken before; each later one gives a day, so that nobody is written to
    every hour about something that does not happen.
    """
    soon = at if tries == 0 else at_wall(local(at, zone).date() + timedelta(days=1), OFFICE[0], 0, zone)
    return office_due(soon, zone, 60, works)


def office_due(at: datetime, zone: str, minutes: float, works: Callable[[date], bool] = lambda on: True) -> datetime:
    """That many minutes of office time ahead of `at`, up to a quarter of an hour.

    `works` says whether somebody works on a date. Where that is known of no day of a week - schedules may come a day at a
    time - each day counts.
    """
    today = local(at, zone).date()
    due = max(at, at_wall(today, OFFICE[0], 0, zone)) + timedelta(minutes=minutes)
    first = today + timedelta(days=int(due > at_wall(today, OFFICE[1], 0, zone)))
    on = next((d for d in (first + timedelta(days=n) for n in range(7)) if works(d)), first)
    if on != today:
        due = at_wall(on, OFFICE[0], 0, zone) + timedelta(minutes=minutes)
    due = due.replace(second=0, microsecond=0)
    return due + timedelta(minutes=-due.minute % 15)


def minutes_over(due: datetime, came: datetime) -> float:
    """Minutes somebody came after what was promised; 0 when in time."""
    return max(0.0, (came - due).total_seconds() / 60)


#: What a rule of making good is about: an arrival that was late, a visit nobody came to, any other promise.
LATE, MISSED, OTHER = "late", "missed", "other"


@dataclass(frozen=True, slots=True)
class Rule:
    """What the company gives when `kind` is broken by `late_min` minutes or more; `warned` None: warned or not."""

    id: int
    kind: str
    late_min: int
    warned: bool | None = None


def worth(rules: Iterable[Rule], kind: str, late_min: float, warned: bool) -> Rule | None:
    """The rule that applies: the one with the highest lateness that was reached, the one that asks for the warning first.

    None where nothing applies.
    """
    fits = [r for r in rules if r.kind == kind and r.late_min <= late_min and r.warned in (None, warned)]
    return max(fits, key=lambda r: (r.late_min, r.warned is not None, r.id), default=None)
