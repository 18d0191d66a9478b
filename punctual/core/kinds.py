"""Every kind of message, once: its class, how long it is useful, what happens when its fate is uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Class = Literal["delay", "answer", "ordinary", "staff"]
Useful = Literal["on_my_way", "delay", "reminder", "answer", "staff"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message (policy.md 1).

    `useful`: how long after it is put it is worth sending - the company's rule useful_<name>_min, or minutes of its own;
    None: until the promise behind it is due (core.policy.useful_min).
    `doubt`: after a crash between sending and knowing, `resend` the very same bytes or `hold` and show it.
    `calendar`: the iTIP method of its calendar part, "" for none. `moves_window`: the calendar entry's time changes.
    `again`: its calendar part is the one sent last, not a new revision.
    `after`: it is still true when the visit is over.
    `stop`: its mail carries the way to get no more of them (RFC 8058).
    """

    name: str
    class_: Class
    useful: Useful | float | None
    doubt: Literal["resend", "hold"] = "resend"
    calendar: Literal["", "REQUEST", "CANCEL", "DECLINECOUNTER"] = ""
    moves_window: bool = False
    again: bool = False
    after: bool = False
    stop: bool = False


_ALL = (
    Kind("booked", "ordinary", "answer", calendar="REQUEST", moves_window=True),
    Kind("reminder", "ordinary", "reminder", stop=True),
    Kind("earlier", "ordinary", 60),
    Kind("on_my_way", "ordinary", "on_my_way", doubt="hold", stop=True),
    Kind("late_first", "delay", "delay", doubt="hold", calendar="REQUEST"),
    Kind("late_update", "delay", "delay", doubt="hold", calendar="REQUEST"),
    Kind("deadline_done", "delay", "delay", doubt="hold"),
    Kind("deadline_arrive", "delay", "delay", doubt="hold"),
    Kind("please_choose", "delay", "delay", doubt="hold"),
    Kind("no_time_yet", "delay", "delay", doubt="hold"),
    Kind("kept", "answer", "answer", calendar="REQUEST", moves_window=True),
    Kind("keep_impossible", "answer", "answer"),
    Kind("deadline_noted", "answer", "answer"),
    Kind("promise_call", "answer", None, after=True),
    Kind("missed", "ordinary", None, after=True),
    Kind("nobody_home", "ordinary", "answer", after=True),
    Kind("signoff", "ordinary", "answer", after=True, stop=True),
    Kind("reopened", "answer", None, after=True),
    Kind("makegood", "ordinary", "answer", after=True),
    Kind("concern_received", "answer", None, after=True),
    Kind("concern_answered", "answer", "answer", after=True),
    Kind("promise_made", "ordinary", None, after=True),
    Kind("promise_moved", "ordinary", None, after=True),
    Kind("promise_kept", "ordinary", "answer", after=True),
    Kind("promise_broken", "ordinary", None, after=True),
    Kind("rescheduled", "answer", "answer", calendar="REQUEST", moves_window=True),
    Kind("moved_by_us", "ordinary", "answer", calendar="REQUEST", moves_window=True),
    Kind("cancelled_us", "ordinary", "answer", calendar="CANCEL"),
    Kind("cancelled_you", "answer", "answer", calendar="CANCEL"),
    Kind("correction", "ordinary", "delay", doubt="hold"),
    Kind("invitation", "answer", "answer", calendar="REQUEST", again=True),
    Kind("declined", "answer", "answer"),
    Kind("not_free", "answer", "answer", calendar="DECLINECOUNTER"),
    Kind("offers_link", "answer", 10),
    Kind("not_understood", "answer", "answer", after=True),
    Kind("optout", "answer", "answer", after=True),
    Kind("help", "answer", "answer", after=True),
    Kind("reply", "answer", "answer", after=True),
    Kind("tech_nudge", "staff", "staff"),
    Kind("esc_promise", "staff", 24 * 60, after=True),
    Kind("esc_concern", "staff", 24 * 60, after=True),
    Kind("esc_sender", "staff", "staff", after=True),
    Kind("enrol", "staff", 24 * 60),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}


def time_critical(kind: str) -> bool:
    """Whether a text of that kind is worth nothing some minutes later: the others may wait for a phone that is off."""
    return KINDS[kind].class_ == "delay" or kind in ("on_my_way", "correction", "offers_link", "tech_nudge")
