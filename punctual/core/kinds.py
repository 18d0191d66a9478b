"""Every kind of message, once: its class, how long it is useful, what happens when its fate is uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Class = Literal["delay", "answer", "ordinary", "staff"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message (policy.md 1).

    `useful_min`: minutes after it is put until which it is worth sending; None: until the promise behind it is due.
    `doubt`: after a crash between sending and knowing, `resend` the very same bytes or `hold` and show it.
    `calendar`: the iTIP method of its calendar part, "" for none. `moves_window`: the calendar entry's time changes.
    `again`: its calendar part is the one sent last, not a new revision.
    `after`: it is still true when the visit is over.
    `stop`: its mail carries the way to get no more of them (RFC 8058).
    """

    name: str
    class_: Class
    useful_min: float | None
    doubt: Literal["resend", "hold"] = "resend"
    calendar: Literal["", "REQUEST", "CANCEL", "DECLINECOUNTER"] = ""
    moves_window: bool = False
    again: bool = False
    after: bool = False
    stop: bool = False


_ALL = (
    Kind("booked", "ordinary", 24 * 60, calendar="REQUEST", moves_window=True),
    Kind("reminder", "ordinary", 120, stop=True),
    Kind("on_my_way", "ordinary", 10, doubt="hold", stop=True),
    Kind("late_first", "delay", 20, doubt="hold", calendar="REQUEST"),
    Kind("late_update", "delay", 20, doubt="hold", calendar="REQUEST"),
    Kind("deadline_done", "delay", 20, doubt="hold"),
    Kind("deadline_arrive", "delay", 20, doubt="hold"),
    Kind("please_choose", "delay", 20, doubt="hold"),
    Kind("no_time_yet", "delay", 20, doubt="hold"),
    Kind("kept", "answer", 24 * 60, calendar="REQUEST", moves_window=True),
    Kind("keep_impossible", "answer", 24 * 60),
    Kind("deadline_noted", "answer", 24 * 60),
    Kind("promise_call", "answer", None, after=True),
    Kind("missed", "ordinary", None, after=True),
    Kind("nobody_home", "ordinary", 24 * 60, after=True),
    Kind("signoff", "ordinary", 24 * 60, after=True, stop=True),
    Kind("reopened", "answer", None, after=True),
    Kind("makegood", "ordinary", 24 * 60, after=True),
    Kind("concern_received", "answer", None, after=True),
    Kind("concern_answered", "answer", 24 * 60, after=True),
    Kind("promise_made", "ordinary", None, after=True),
    Kind("promise_moved", "ordinary", None, after=True),
    Kind("promise_kept", "ordinary", 24 * 60, after=True),
    Kind("promise_broken", "ordinary", None, after=True),
    Kind("rescheduled", "answer", 24 * 60, calendar="REQUEST", moves_window=True),
    Kind("moved_by_us", "ordinary", 24 * 60, calendar="REQUEST", moves_window=True),
    Kind("cancelled_us", "ordinary", 24 * 60, calendar="CANCEL"),
    Kind("cancelled_you", "answer", 24 * 60, calendar="CANCEL"),
    Kind("correction", "ordinary", 20, doubt="hold"),
    Kind("invitation", "answer", 24 * 60, calendar="REQUEST", again=True),
    Kind("declined", "answer", 24 * 60),
    Kind("not_free", "answer", 24 * 60, calendar="DECLINECOUNTER"),
    Kind("offers_link", "answer", 10),
    Kind("not_understood", "answer", 24 * 60, after=True),
    Kind("optout", "answer", 24 * 60, after=True),
    Kind("help", "answer", 24 * 60, after=True),
    Kind("reply", "answer", 24 * 60, after=True),
    Kind("tech_nudge", "staff", 30),
    Kind("esc_promise", "staff", 24 * 60, after=True),
    Kind("esc_concern", "staff", 24 * 60, after=True),
    Kind("esc_sender", "staff", 30, after=True),
    Kind("enrol", "staff", 24 * 60),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}

#: Real seconds after which the provider must not deliver a time-critical text any more (policy 1).
VALID_S = 300


def time_critical(kind: str) -> bool:
    """Whether a text of that kind is worth nothing some minutes later: the others may wait for a phone that is off."""
    return KINDS[kind].class_ == "delay" or kind in ("on_my_way", "correction", "offers_link", "tech_nudge")
