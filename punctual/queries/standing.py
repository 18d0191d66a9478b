"""How a visit stands, for the people at the board: done, on time, at risk, late, silent - and told or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from punctual.core.day import OVER, Window
from punctual.core.forecast import VisitForecast
from punctual.core.policy import Rules

Look = Literal["late", "silent", "risk", "ontime", "done"]

#: Worst first: the order in which lines and tasks ask for somebody.
LOOKS: tuple[Look, ...] = ("late", "silent", "risk", "ontime", "done")

#: A visit is shown at risk from this chance on that its window breaks: 3 in 10 is worth a glance, not yet a message.
RISK = 0.3

#: A report this much later than nine in ten such reports is shown as silence; the watch asks after rules.silence_min.
QUIET = timedelta(minutes=5)

#: States in words, for what is over.
ENDED = {"done": "Done", "nobody_home": "Nobody home", "cannot_finish": "Not finished", "cancelled": "Cancelled"}

#: Over, and the work is not done: no tick, and not counted as done.
FAILED = frozenset({"nobody_home", "cannot_finish"})

#: Message kinds that tell a customer about lateness.
DELAY = frozenset({"late_first", "late_update", "deadline_done", "deadline_arrive", "no_time_yet", "please_choose"})


@dataclass(frozen=True, slots=True)
class Standing:
    """One visit's look and word; `told` is true when the customer has been told of the lateness it shows."""

    look: Look
    word: str
    told: bool = False


def stands(
    *,
    state: str,
    window: Window,
    deadline: datetime | None,
    told_kind: str,
    forecast: VisitForecast | None,
    rules: Rules,
    at: datetime,
    silent: bool = False,
) -> Standing:
    """Where a visit stands at `at`; `silent` says that its technician owes the report on this very visit."""
    if state in OVER:
        return Standing("done", ENDED[state])
    if silent:
        return Standing("silent", "No report")
    if state == "arrived":
        return _there(deadline, forecast, rules)
    told = told_kind in DELAY
    limit = window.end + timedelta(minutes=rules.threshold_min)
    likely = forecast.arrive[1] if forecast else window.start
    chance = forecast.p_late if forecast else 0.0
    if at > limit or likely > limit or chance >= max(rules.tell_chance, 0.5):
        return Standing("late", "Late, told" if told else "Late, NOT told", told)
    if at > window.end:
        return Standing("risk", "Past its time, told" if told else "Past its time", told)
    misses = forecast.p_deadline if forecast and forecast.p_deadline is not None else 0.0
    if misses > 1.0 - rules.deadline_chance:
        return Standing("risk", "Deadline at risk, told" if told else "Deadline at risk", told)
    if forecast and forecast.p_window >= RISK:
        return Standing("risk", "At risk, told" if told else "At risk", told)
    return Standing("ontime", "On time", told)


def _there(deadline: datetime | None, forecast: VisitForecast | None, rules: Rules) -> Standing:
    """A visit under way can only break the customer's own deadline any more."""
    if deadline and forecast and forecast.p_deadline is not None and forecast.p_deadline > 1.0 - rules.deadline_chance:
        return Standing("risk", "There, deadline at risk")
    return Standing("ontime", "There")


def day_ended(states: Iterable[str]) -> str:
    """How a day stands whose visits are all over: done, and how many are not done after all."""
    left = Counter(state for state in states if state in FAILED)
    return ", ".join(["Done for the day", *(f"{n} {ENDED[state].lower()}" for state, n in sorted(left.items()))])


def worst(looks: list[Look]) -> Look:
    """The look that asks loudest."""
    return min(looks, key=LOOKS.index, default="ontime")
