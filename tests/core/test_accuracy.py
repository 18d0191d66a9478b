"""Measuring: what was known when, who was warned, and which threshold a budget allows."""

from __future__ import annotations

from punctual.core import accuracy


def test_the_known_delay_is_carried_forward_from_the_last_report() -> None:
    before = [(0.0, 60.0, 5.0, 80.0), (90.0, 150.0, 110.0, 170.0)]
    assert accuracy.carried(before, 30) == 5.0
    assert accuracy.carried(before, 70) == 10.0, "over its planned end by now"
    assert accuracy.carried(before, 85) == 20.0
    assert accuracy.carried(before, 105) == 20.0
    assert accuracy.carried(before, 200) == 20.0
    assert accuracy.carried([], 200) == 0.0


def test_nothing_later_than_now_is_used() -> None:
    known = accuracy.carried([(0.0, 60.0, 0.0, 300.0)], 50)
    assert known == 0.0


def test_shares_count_the_right_customers() -> None:
    lateness, warned = [0.0, 10.0, 20.0, 40.0], [True, False, True, False]
    assert accuracy.false_alarms(lateness, warned, 15) == 0.5
    assert accuracy.recall(lateness, warned, 15) == 0.5
    assert accuracy.unwarned(lateness, warned) == 50.0
    assert accuracy.unwarned(lateness, [False] * 4) == 70.0


def test_a_threshold_keeps_its_share() -> None:
    lateness, scores = [0.0] * 10 + [30.0], [float(x) for x in range(10)] + [50.0]
    limit = accuracy.threshold_at(lateness, scores, 15, 0.2)
    assert sum(s > limit for s, x in zip(scores, lateness, strict=True) if x <= 15) == 2
