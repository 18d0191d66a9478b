"""One truth: where what a customer was last told and what is true now differ, and what will be done about it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from punctual.core.day import OVER, Window
from punctual.core.policy import Rules

What = Literal["window", "plan", "forecast", "calendar", "cancelled"]
#: waiting: a message is on its way. later: it is decided again at a known time. watched: told as soon as the rules say
#: so. held: a person has stopped it. call: a person has to tell them; there is a task.
Action = Literal["waiting", "later", "watched", "held", "call"]

#: Reasons of silence that end by themselves at a known time, that a person ended, and that leave it to a person.
LATER = frozenset({"too_soon", "second_look", "night", "muted"})
STOPPED = frozenset({"held", "storm"})
PERSON = frozenset({"cap", "no_channel", "no_contact", "too_late"})
#: Messages that tell a window; their mail moves the calendar entry with it.
TELL_WINDOW = frozenset({"booked", "rescheduled", "moved_by_us", "kept"})
CANCELLED = frozenset({"cancelled_us", "cancelled_you"})


@dataclass(frozen=True, slots=True)
class Standing:
    """One visit: what is true, what was last told, and what is on its way.

    `window`, `planned_start`, `arrive` (10, 50, 90 % of the forecast) are true now. `told` is the window last accepted
    on any channel, `entry` the one in the calendar (None: nothing was sent), `eta` the range last told beside it.
    `pending`: kinds that are queued or held. `silence`: why nothing is told, and until when.
    """

    state: str
    window: Window
    planned_start: datetime
    arrive: tuple[datetime, datetime, datetime] | None = None
    told: Window | None = None
    told_cancelled: bool = False
    entry: Window | None = None
    eta: Window | None = None
    pending: Collection[str] = ()
    silence: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One contradiction: what differs, the two sides of it, and what will be done."""

    what: What
    action: Action
    facts: dict[str, Any] = field(default_factory=dict)


def differences(x: Standing, rules: Rules) -> list[Found]:
    """Every contradiction of one visit, the plainest first; nothing for a visit under way or over.

    What was never told by us cannot be contradicted: an imported window counts as told elsewhere.
    """
    if x.state == "cancelled":
        return _cancelled(x)
    if x.state in (*OVER, "arrived"):
        return []
    found = []
    if x.told is not None and x.told != x.window:
        found.append(Found("window", _message(x, TELL_WINDOW), _sides(x.told, x.window)))
    elif x.entry is not None and x.entry != x.window:
        found.append(Found("calendar", _message(x, TELL_WINDOW), _sides(x.entry, x.window)))
    if x.planned_start > x.window.end:
        facts = _sides(x.window, Window(x.planned_start, x.planned_start))
        found.append(Found("plan", _silence(x) if x.arrive else "call", facts))
    late = _late(x, rules)
    if late is not None and not any(f.what == "plan" for f in found):
        until = {"until": x.until.isoformat()} if x.until else {}
        found.append(Found("forecast", _silence(x), _sides(x.eta or x.window, late) | until))
    return found


def _cancelled(x: Standing) -> list[Found]:
    if (x.told is None and x.entry is None) or x.told_cancelled:
        return []
    told = x.told or x.entry or x.window
    return [Found("cancelled", _message(x, CANCELLED), {"told_from": told.start.isoformat()})]


def _late(x: Standing, rules: Rules) -> Window | None:
    """The expected range, where its middle lies so far past the end of what was told that it would be told again."""
    if x.arrive is None:
        return None
    most = timedelta(minutes=rules.update_min if x.eta else rules.threshold_min)
    last = (x.eta or x.window).end + most
    return Window(x.arrive[0], max(x.arrive[0], x.arrive[2])) if x.arrive[1] > last else None


def _message(x: Standing, kinds: Collection[str]) -> Action:
    return "waiting" if any(kind in kinds for kind in x.pending) else "call"


def _silence(x: Standing) -> Action:
    """What the watch will do about a range that no longer holds."""
    if any(kind.startswith(("late", "no_time", "deadline")) for kind in x.pending):
        return "waiting"
    if x.silence in STOPPED:
        return "held"
    if x.silence in PERSON:
        return "call"
    return "later" if x.silence in LATER and x.until is not None else "watched"


def _sides(told: Window, now: Window) -> dict[str, Any]:
    return {
        "told_from": told.start.isoformat(),
        "told_to": told.end.isoformat(),
        "now_from": now.start.isoformat(),
        "now_to": now.end.isoformat(),
    }
