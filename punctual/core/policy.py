"""What may be sent and when: the company's rules, and may() - may this message go now?"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def _rule(default: Any, sentence: str) -> Any:
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True, slots=True)
class Rules:
    """The company's rules about messages; defaults are policy.md's. Times of day are minutes after local midnight."""

    threshold_min: float = _rule(15.0, "Late means arriving more than this many minutes after the window's end.")
    false_alarm_budget: float = _rule(0.05, "Share of customers served on time who may get a delay notice.")
    tell_chance: float = _rule(0.8, "Chance of being late at which a customer is told, until history calibrates it.")
    second_look_min: float = _rule(5.0, "Minutes the chance must stay over the limit before silence alone warns.")
    deadline_chance: float = _rule(0.5, "Chance of making the customer's deadline below which they are asked.")
    warn_by_min: float = _rule(30.0, "A warning is in time when accepted this many minutes before the window opens.")
    update_min: float = _rule(15.0, "Minutes a told range must move before it is told again.")
    update_share: float = _rule(0.25, "Or this share of what remains, whichever is more.")
    silence_min: float = _rule(30.0, "Minutes past the 90 % point of an expected report after which no time is told.")
    silence_answer_min: float = _rule(
        10.0, "Minutes technician and dispatcher have to answer before customers are told."
    )
    quiet_until: int = _rule(480, "Automatic messages start at this minute of the day (08:00).")
    quiet_from: int = _rule(1200, "Automatic messages end at this minute of the day (20:00).")
    max_delay: int = _rule(2, "Delay notices per visit.")
    max_visit: int = _rule(5, "Automatic messages per visit.")
    max_person_day: int = _rule(6, "Automatic texts per phone and day.")
    gap_min: float = _rule(20.0, "Minutes between two automatic messages of a visit.")
    flap_crossings: int = _rule(4, "Threshold crossings in 30 minutes that mute a visit for 30 minutes.")
    storm_cause: int = _rule(30, "Messages from one cause that pause what is not time-critical; 0 turns it off.")
    storm_all: int = _rule(50, "Messages from all causes in 5 minutes that do the same; 0 turns it off.")
    undo_s: float = _rule(15.0, "Real seconds an on-my-way message waits for Undo.")
    reminder_h: float = _rule(24.0, "Hours before the window opens at which the reminder goes.")
    callback_min: float = _rule(60.0, "Minutes within which a customer who asks for a call is called.")
    offer_days: int = _rule(7, "Days ahead in which other times are offered.")
    grid_min: int = _rule(15, "Local grid, in minutes, on which offered times start.")
    hold_s: float = _rule(600.0, "Real seconds offered times are held.")
    window_min: float = _rule(30.0, "Length in minutes of the arrival window of an offered time.")


def rules(changed: dict[str, Any]) -> Rules:
    """Rules with a company's own values; raises ValueError in a sentence for a name or value that makes no sense."""
    known: dict[str, type] = {f.name: type(getattr(Rules(), f.name)) for f in fields(Rules)}
    typed: dict[str, Any] = {}
    for name, value in changed.items():
        if name not in known:
            raise ValueError(f'"{name}" is no rule. The rules are: {", ".join(sorted(known))}.')
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f'The rule {name} is "{value}"; it must be a number that is not negative.')
        typed[name] = known[name](value)
    return Rules(**typed)
