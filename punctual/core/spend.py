"""How many texts may go: to one number, to numbers that are alike, of the whole company, and for how much money."""

from __future__ import annotations

from dataclasses import dataclass

from punctual.core.policy import Rules


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


def too_much(used: Used, segments: int, rules: Rules) -> str:
    """Why a text of so many segments may not go as well; "" when it may. A limit of 0 is none."""
    for have, most, of in (
        (used.number + 1, rules.texts_number, "to this number"),
        (used.alike + 1, rules.texts_alike, "to numbers like this one"),
        (used.segments + segments, rules.segments_day, "segments in a day"),
        (cost(used.segments + segments, rules), rules.spend_day, "money in a day"),
    ):
        if most and have > most:
            return f"the cap of texts is reached: {most:g} {of}"
    return ""
