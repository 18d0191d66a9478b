"""What differs between what was told and what is true, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from punctual.web import board_words as words

WHAT = {
    "window": "Promised one time, told another",
    "plan": "Planned after what is promised",
    "forecast": "Expected later than told",
    "calendar": "Their calendar shows another time",
    "cancelled": "Cancelled, and they do not know",
}
ACTION = {
    "waiting": "A message is on its way.",
    "later": "It is decided again at {until}.",
    "watched": "They are told as soon as the limit is reached.",
    "held": "Messages are held back by a person.",
    "call": "A person has to tell them; there is a task.",
}


def said(what: str, action: str, given: Mapping[str, Any], zone: str, today: date) -> tuple[str, str, str, str]:
    """A difference in words: what it is, what was told, what is true now, what will be done."""

    def span(side: str) -> str:
        start, end = given.get(f"{side}_from"), given.get(f"{side}_to")
        if not start:
            return "nothing"
        first = words.moment(start, zone, today)
        return first if not end or end == start else f"{first} to {words.moment(end, zone, today)}"

    until = words.moment(given["until"], zone, today) if given.get("until") else "the next look"
    return WHAT[what], span("told"), span("now"), ACTION[action].format(until=until)
