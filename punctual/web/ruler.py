"""The customer's ruler as SVG numbers: promised bracket, arrival bar, work, own limit; drawn on the server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _

from punctual.core.day import local
from punctual.queries.visit import Story
from punctual.web.filters import clock

WIDTH, PAD = 326.0, 13.0


@dataclass(frozen=True, slots=True)
class Ruler:
    """Coordinates in a 326 x 92 box; ticks are (x, label)."""

    ticks: list[tuple[float, str]]
    promised: tuple[float, float]
    arrival: tuple[float, float]
    work_end: float
    limit: float | None
    #: what stands at the limit
    limit_label: str
    #: the arrival lies far enough from the promise for a label of its own
    apart: bool
    label: str


def ruler(story: Story) -> Ruler | None:
    """None where there is nothing expected to draw."""
    if story.arrival is None or story.forecast is None:
        return None
    zone, made = story.visit.zone, story.forecast
    ends = [story.window.end, story.arrival.end, made.finish[1]]
    limit = story.visit.deadline
    if limit is not None:
        ends.append(limit)
    first = min(story.window.start, story.arrival.start)
    start = first - timedelta(minutes=local(first, zone).minute % 30, seconds=first.second)
    span = max((max(ends) - start).total_seconds() / 60, 90.0)
    step = 30 if span <= 180 else 60 if span <= 400 else 120
    span = -(-span // step) * step

    def x(at: datetime) -> float:
        return round(PAD + (at - start).total_seconds() / 60 / span * (WIDTH - 2 * PAD), 1)

    times = [start + timedelta(minutes=m) for m in range(0, int(span) + 1, step)]
    return Ruler(
        ticks=[(x(t), clock(t, zone)) for t in times],
        promised=(x(story.window.start), x(story.window.end)),
        arrival=(x(story.arrival.start), x(story.arrival.end)),
        work_end=x(made.finish[1]),
        limit=x(limit) if limit is not None else None,
        limit_label=str(_("At the latest") if story.visit.deadline_kind == "arrive" else _("You leave")),
        apart=x(story.arrival.start) > x(story.window.start) + 60 and x(story.arrival.start) < 220,
        label=_label(story, zone),
    )


def _label(story: Story, zone: str) -> str:
    """The drawing in words."""
    assert story.arrival is not None
    promised, arrival, limit = story.window, story.arrival, story.visit.deadline
    times = {"a": promised.start, "b": promised.end, "c": arrival.start, "d": arrival.end}
    words = {name: clock(at, zone) for name, at in times.items()}
    label = _("Promised %(a)s to %(b)s. Now expected %(c)s to %(d)s.", **words)
    if limit is not None and story.visit.deadline_kind == "arrive":
        label += " " + _("You told us: %(what)s by %(time)s.", what=_("arrive"), time=clock(limit, zone))
    elif limit is not None:
        label += " " + _("You leave at %(time)s.", time=clock(limit, zone))
    return str(label)
