"""The limit that a false-alarm budget buys: what two looks in a row reach live is what was counted when it was learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from punctual.core.limit import NEAR, SURE_CHANCE, UNLEARNED_CHANCE, limits
from punctual.core.looks import RISES, WATCHED, curve, highest
from punctual.core.policy import Rules

MONDAY = 739_000


def past(
    dates: int, a_day: int = 60, *, bad_last: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # chances, lateness, date
    """Visits whose chance says what it means, looked at ever closer to what will be; on bad dates more is uncertain."""
    n, rng = dates * a_day, np.random.default_rng(20261125)
    date = np.repeat(np.arange(dates), a_day)
    truth = rng.normal(np.where(bad_last & (date >= dates - 7), -2.0, -12.0), 12.0, n)
    ahead = np.asarray(WATCHED)[None, :]
    seen = truth[:, None] + rng.normal(0.0, 0.12 * ahead + 2.0, (n, len(WATCHED)))
    chance = 1.0 / (1.0 + np.exp(-seen / (0.1 * ahead + 2.0)))
    return chance, truth, MONDAY + date


@pytest.mark.parametrize("rise", RISES)
def test_who_is_counted_as_told_is_who_two_live_looks_in_a_row_would_tell(rise: float) -> None:
    chance, _, _ = past(20)
    rules = replace(Rules(), tell_chance=0.55, tell_rise=rise)
    live = chance >= limits(60.0 * np.asarray(WATCHED), 60.0 * np.asarray(WATCHED) + 900.0, rules)
    told = (live[:, :-1] & live[:, 1:]).any(axis=1)
    counted = highest(chance, 0.0, rise=rise, warn_by=rules.warn_by_min) >= rules.tell_chance
    assert told.any()
    assert (told == counted).all()
    assert (highest(chance, 0.0, rise=0.0, warn_by=30.0) >= 0.55).sum() >= counted.sum()


def test_the_limit_rises_with_the_time_ahead_and_is_all_but_certain_outside() -> None:
    rules = replace(Rules(), tell_chance=0.5, tell_rise=0.5, threshold_min=0.0)
    near = 60.0 * NEAR
    opens = np.array([30 * 60.0, near, near + 60, 14 * 60.0])
    at_clock, at_near, beyond, too_late = limits(
        opens, opens + 900.0, rules
    )  # a window of 15 min, as recorded days have
    assert (at_clock, at_near, beyond, too_late) == (0.5, 0.75, SURE_CHANCE, SURE_CHANCE)
    assert (limits(*[60.0 * np.arange(15.0, 90.0)] * 2, replace(rules, tell_rise=0.0)) == 0.5).all()


@pytest.mark.parametrize(
    ("opens", "closes", "limit"),
    [
        (10, 130, UNLEARNED_CHANCE),  # two hours long: much waiting can still be spared
        (-110, 10, UNLEARNED_CHANCE),
        (14, 44, UNLEARNED_CHANCE),  # half an hour
        (-16, 14, UNLEARNED_CHANCE),
        (14, 16, UNLEARNED_CHANCE),  # 31 min before the promise breaks
        (10, 12, SURE_CHANCE),  # 27 min
        (-10, -8, SURE_CHANCE),
        (-16, -14, UNLEARNED_CHANCE),  # long closed, and nobody came
    ],
)
def test_who_waits_through_a_long_window_is_told_before_it_is_certain(
    opens: float, closes: float, limit: float
) -> None:
    rules = replace(Rules(), tell_chance=0.3, threshold_min=15.0)
    assert float(limits(60.0 * opens, 60.0 * closes, rules)) == limit
    surer = replace(rules, tell_chance=0.9)
    assert float(limits(60.0 * opens, 60.0 * closes, surer)) == max(limit, 0.9)


@pytest.mark.parametrize("budget", [0.02, 0.05, 0.1])
def test_a_budget_is_kept_on_the_dates_it_was_learned_from(budget: float) -> None:
    chance, late, date = past(40)
    [choice] = curve(chance, late, date, late=0.0, ahead=30.0, budgets=[budget])
    told = highest(chance, 0.0, rise=choice.rise, warn_by=30.0) >= choice.chance
    on_time = late <= 0
    assert 0.3 * budget < told[on_time].mean() <= budget * 1.15
    assert told[~on_time].mean() > 0.5
    lower = highest(chance, 0.0, rise=choice.rise, warn_by=30.0) >= choice.chance - 0.15
    assert lower[on_time].mean() > budget, "a lower limit would have passed the budget"


def test_bad_weeks_ask_for_more_certainty_at_once() -> None:
    calm, bad = past(40), past(40, bad_last=True)
    limit = [curve(*x, late=0.0, ahead=30.0, budgets=[0.05])[0] for x in (calm, bad)]
    old = bad[0], bad[1], np.full(len(bad[1]), MONDAY)
    whole = curve(*old, late=0.0, ahead=30.0, budgets=[0.05])[0]

    def share(choice: object, of: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
        recent = (of[2] >= MONDAY + 33) & (of[1] <= 0)
        reached = highest(of[0], 0.0, rise=choice.rise, warn_by=30.0)  # type: ignore[attr-defined]
        return float((reached[recent] >= choice.chance).mean())  # type: ignore[attr-defined]

    assert share(limit[1], bad) < share(limit[0], bad)
    assert share(limit[1], bad) < share(whole, bad), "all dates alike, the bad week would pass the budget further"


def test_nobody_on_time_buys_nothing() -> None:
    chance, late, date = past(3)
    assert curve(chance, np.abs(late) + 1.0, date, late=0.0, ahead=30.0) == []
