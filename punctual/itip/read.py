"""What one component says: times as instants, people as addresses - the readings replies and schedules share."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from punctual.itip.text import Node, Prop, short
from punctual.itip.zones import Zones, wall

_DURATION = re.compile(
    r"([+-])?P(?:(\d{1,4})W|(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?)", re.IGNORECASE
)
#: Years in which an instant makes sense on every platform and database.
YEARS = range(1970, 2100)


class Unclear(ValueError):
    """A value that cannot be used; the message says which."""


def moment(prop: Prop, zones: Zones) -> datetime | date:
    """A DATE as a date, everything else as an instant in UTC. Raises Unclear, or zones.Unknown."""
    text = prop.value.strip()
    try:
        if re.fullmatch(r"\d{8}", text):
            found: date = date.fromisoformat(text)
        elif text.endswith(("Z", "z")):
            found = wall(text).replace(tzinfo=UTC)
        else:
            found = wall(text)
    except ValueError:
        raise Unclear(f"{prop.name} “{short(prop.value)}” is not a time") from None
    if found.year not in YEARS:
        raise Unclear(f"{prop.name} “{short(prop.value)}” is not in the years {YEARS[0]} to {YEARS[-1]}")
    if isinstance(found, datetime) and found.tzinfo is None:
        return zones.utc(found, prop.param("TZID"))
    return found


def instant(node: Node, name: str, zones: Zones) -> datetime | None:
    """A property as an instant; None without one. A date is refused (Unclear)."""
    prop = node.one(name)
    if prop is None:
        return None
    found = moment(prop, zones)
    if not isinstance(found, datetime):
        raise Unclear(f"{name} “{short(prop.value)}” has no time")
    return found


def duration(text: str) -> timedelta:
    """A positive span of less than a month. Raises Unclear."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or found[1] == "-" or not any(found.groups()[1:]):
        raise Unclear(f"DURATION “{short(text)}” is not a length")
    weeks, days, hours, minutes, seconds = (int(x or 0) for x in found.groups()[1:])
    made = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if made > timedelta(days=31):
        raise Unclear(f"DURATION “{short(text)}” is longer than a month")
    return made


def sequence(node: Node) -> int:
    """The SEQUENCE, 0 without one. Raises Unclear."""
    text = node.text("SEQUENCE") or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) >= 2**31:
        raise Unclear(f"SEQUENCE “{short(text)}” is not a number")
    return int(text)
