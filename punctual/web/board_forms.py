"""What a form of the board says, read once: texts, times, numbers - or a sentence about what is wrong with it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from flask import g, make_response, redirect, request
from werkzeug.wrappers import Response

from punctual.actions import Refused
from punctual.core.day import at_wall, wall_exists

#: A row's id in an address; larger numbers are no rows.
ID = "int(max=2147483647)"
#: Nobody plans further away than this.
FAR = timedelta(days=3660)


def text(name: str, most: int, *, needed: str = "") -> str:
    """A text without control characters, at most `most` long; Refused with `needed` when it is missing."""
    value = request.form.get(name, "")
    if any(0xD800 <= ord(c) <= 0xDFFF or (ord(c) < 32 and c not in "\r\n\t") or ord(c) == 127 for c in value):
        raise Refused(f"The {name} has characters that cannot be written. Type it again.", status=422, field=name)
    value = value.strip()
    if len(value) > most:
        raise Refused(
            f"This is longer than {most} characters. It is {len(value) - most} too long.", status=422, field=name
        )
    if needed and not value:
        raise Refused(needed, status=422, field=name)
    return value


def number(name: str, *, low: int, high: int, default: int | None = None) -> int:
    """A whole number within limits."""
    value = request.form.get(name, "").strip()
    if not value and default is not None:
        return default
    if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
        raise Refused(f"Enter a whole number from {low} to {high} for the {name}.", status=422, field=name)
    return int(value)


def chosen(name: str = "technician") -> int:
    """The id of a row that was chosen; 0 for none."""
    value = (request.form.get(name) or request.args.get(name) or "").strip()
    if not value:
        return 0
    if not re.fullmatch(r"\d{1,9}", value):
        raise Refused(f"Choose a {name} from the list.", status=422, field=name)
    return int(value)


def day(name: str = "date") -> date:
    """A date written 2026-11-24."""
    value = (request.form.get(name) or request.args.get(name) or "").strip()
    try:
        found = date.fromisoformat(value)
    except ValueError:
        raise Refused(f"“{value[:20]}” is not a date. Write 2026-02-28.", status=422, field=name) from None
    if abs((found - g.at.date()).days) > FAR.days:
        raise Refused("This date is too far away. Write one within ten years.", status=422, field=name)
    return found


def time(name: str, on: date, zone: str) -> datetime:
    """A wall time of a date, as an instant; a time that clocks skip is refused."""
    value = (request.form.get(name) or request.args.get(name) or "").strip()
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value)
    if match is None:
        raise Refused("Enter a time like 10:00.", status=422, field=name)
    hour, minute = int(match[1]), int(match[2])
    if not wall_exists(on, hour, minute, zone):
        raise Refused(
            f"{value} does not exist on that day: clocks go forward. Choose another time.", status=422, field=name
        )
    return at_wall(on, hour, minute, zone)


def instant(name: str) -> datetime | None:
    """An instant as a page of ours wrote it; None when it was left out."""
    value = (request.form.get(name) or request.args.get(name) or "").strip()
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None or abs(found - g.at) > FAR:
            raise ValueError
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused("This time cannot be read. Load the page again.", status=422, field=name) from None


def ticked(name: str) -> bool:
    """Whether a box is ticked."""
    return name in request.form


def partial() -> bool:
    """The page asks for a piece to put into itself."""
    return request.headers.get("HX-Request") == "true"


def back(to: str) -> Response:
    """After a change: the page that shows it. A piece that asked to change nothing on screen gets only the news."""
    if partial() and request.headers.get("HX-Target", "") == "":
        return make_response("", 204)
    return redirect(to, 303)
