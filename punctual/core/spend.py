"""How many texts may go: to one number, to numbers that are alike, of the whole company, and for how much money."""

from __future__ import annotations

from dataclasses import dataclass, replace

from punctual.core.policy import Rules

#: So many times the texts of a customer may go to a technician in a day.
STAFF = 5


@dataclass(frozen=True, slots=True)
class Used:
    """Of the last 24 hours: texts to this number, texts to numbers that differ from it in the last four digits only,
    and segments to all."""

    number: int = 0
    alike: int = 0
    segments: int = 0


def cost(segments: int, rules: Rules) -> float:
    """What so many segments cost, by the company's estimate, in its money."""
    return segments * rules.text_price


def too_much(used: Used, segments: int, rules: Rules, *, staff: bool = False) -> str:
    """Why a text of so many segments may not go as well; "" when it may. A limit of 0 is none.

    `staff`: who reports by text is answered each time, six visits a day are eighteen texts; a phone that answers
    by itself ends there too.
    """
    rules = replace(rules, texts_number=rules.texts_number * STAFF) if staff else rules
    for have, most, of in (
        (used.number + 1, rules.texts_number, f"{rules.texts_number} texts to one number"),
        (used.alike + 1, rules.texts_alike, f"{rules.texts_alike} texts to numbers like this one"),
        (used.segments + segments, rules.segments_day, f"{rules.segments_day} segments"),
        (cost(used.segments + segments, rules), rules.spend_day, f"{rules.spend_day:.2f} spent on texts"),
    ):
        if most and have > most:
            return f"the cap is reached: {of} in 24 hours"
    return ""
