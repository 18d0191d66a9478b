"""Plots as coordinates: what the summary's templates draw as SVG, in the units of their view boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _

from punctual.core.looks import Choice
from punctual.core.measure import Held, Tenth, overall
from punctual.queries.learned import Known, Plan, plans
from punctual.queries.summary import Summary

#: Fewer than this carry no heading.
MANY = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a bar chart: its top, its length, and whether it is ours."""

    name: str
    value: float
    y: float
    length: float
    ours: bool = False


def bars(values: Sequence[tuple[str, float]], *, longest: float, step: float, ours: str = "") -> list[Bar]:
    """Bars from the left, the longest value as long as `longest`."""
    most = max((v for _, v in values), default=0.0) or 1.0
    return [
        Bar(name, value, round(i * step, 1), round(max(longest * value / most, 1.0), 1), name == ours)
        for i, (name, value) in enumerate(values)
    ]


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a plot, with a whisker from `low` to `high` (y of both; equal: none) and what is written at it."""

    x: float
    y: float
    low: float
    high: float
    r: float
    label: str = ""


#: The square of the reliability plot: left, right, bottom, top.
SQUARE = (60.0, 560.0, 276.0, 26.0)


def honest(tenths: Sequence[Tenth]) -> list[Dot]:
    """Said against happened; the larger the dot, the more often it was said."""
    left, right, bottom, top = SQUARE
    most = max((t.visits for t in tenths), default=1)

    def y(share: float) -> float:
        return round(bottom + (top - bottom) * share, 1)

    return [
        Dot(
            round(left + (right - left) * t.said, 1), y(t.happened), y(t.low), y(t.high),
            round(3.0 + 5.0 * (t.visits / most) ** 0.5, 1),
        )
        for t in tenths
    ]  # fmt: skip


#: The plot of shares by step: lowest share shown, y of it and of 100 %.
SHARES = (0.4, 210.0, 20.0)


def share_y(share: float) -> float:
    """The y of a share of 1 in the plot of held ranges; what is lower than shown lies on its floor."""
    lowest, bottom, top = SHARES
    return round(bottom + (top - bottom) * max(0.0, share - lowest) / (1 - lowest), 1)


def steps(parts: Sequence[Held], least: int = 5) -> list[Dot]:
    """Shares of ranges that held, by how far ahead they were told; steps with fewer than `least` ranges are left out."""
    return [
        Dot(110.0 + 140.0 * i, share_y(h.share), 0.0, 0.0, 6.0, f"{h.share:.0%}")
        for i, h in enumerate(parts)
        if h.share is not None and h.ranges >= least
    ]


def line(dots: Sequence[Dot]) -> str:
    """The path through them."""
    return "M" + "L".join(f"{d.x} {d.y}" for d in dots) if len(dots) > 1 else ""


def budgets(curve: Sequence[Choice]) -> list[Dot]:
    """What each budget buys: budget to the right (the largest at the edge), share warned in time upwards."""
    most = max((c.budget for c in curve), default=1.0)
    return [
        Dot(
            round(60.0 + 500.0 * c.budget / most, 1),
            round(210.0 - 190.0 * c.recall, 1),
            0.0,
            0.0,
            6.0,
            f"{c.recall:.0%}",
        )
        for c in curve
    ]


def one_in(share: float | None) -> str:
    """A small share as people say it: "1 in 24"; a dash for none and for unknown."""
    return f"1 in {1 / share:.0f}" if share else "–"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Everything the summary's template draws and says beside the summary itself."""

    alarms: str
    budget: str
    per_late: float
    per_late_nothing: float
    less_nothing: str
    less_forward: str
    minutes: list[Bar]
    judged: Tenth | None
    honest: list[Dot]
    held_told: float | None
    held_forecast: float | None
    goal: tuple[float, float]
    shares: list[tuple[float, float]]
    told: list[Dot]
    told_line: str
    forecast_line: str
    causes: list[Bar]
    plans: list[Plan]
    curve: list[Dot]
    curve_line: str
    chosen: Choice | None
    costs: list[Bar]


def drawn(x: Summary, known: Known) -> Drawn:
    """Draw a summary beside what was learned."""
    ours, late = x.ours, x.ours.late or 1
    told, curve = steps(x.told), budgets(known.curve)
    costs = ((_("In vain"), ours.in_vain), (_("Too late"), ours.too_late), (_("Not warned"), ours.unwarned))
    ways = (
        (_("Doing nothing"), x.nothing),
        (_("Carrying the delay forward"), x.forward),
        (_("Punctual"), ours.minutes),
    )
    return Drawn(
        alarms=one_in(ours.false_alarms),
        budget=one_in(known.budget),
        per_late=ours.minutes / late,
        per_late_nothing=x.nothing / late,
        less_nothing=_less(ours.minutes, x.nothing),
        less_forward=_less(ours.minutes, x.forward),
        minutes=bars(ways, longest=500.0, step=98.0, ours=_("Punctual")),
        judged=_judged(x.reliability),
        honest=honest(x.reliability),
        held_told=overall(x.told) if sum(h.ranges for h in x.told) >= MANY else None,
        held_forecast=overall(x.forecast),
        goal=(share_y(0.83), round(share_y(0.77) - share_y(0.83), 1)),
        shares=[(s, share_y(s)) for s in (0.4, 0.6, 0.8, 1.0)],
        told=told,
        told_line=line(told),
        forecast_line=line(steps(x.forecast)),
        causes=bars([(c.name, c.share) for c in x.causes if c.minutes], longest=390.0, step=48.0),
        plans=plans(known),
        curve=curve,
        curve_line=line(curve),
        chosen=next((c for c in known.curve if abs(c.budget - known.budget) < 1e-6), None),
        costs=bars(costs, longest=390.0, step=48.0),
    )


def _less(ours: float, other: float) -> str:
    """ "76% less", "12% more"."""
    if not other:
        return str(_("no less"))
    share = 100 * (other - ours) / other
    return str(_("%(n)s%% less", n=f"{share:.0f}") if share >= 0 else _("%(n)s%% more", n=f"{-share:.0f}"))


def _judged(tenths: Sequence[Tenth]) -> Tenth | None:
    """The tenth that a heading speaks of: what was said surest and yet often enough to judge."""
    return next((t for t in reversed(tenths) if t.visits >= MANY and t.said >= 0.15), None)
