"""Who is to be told and is not yet: each reason for silence, and waits that end where nothing is told any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from punctual.core.day import Visit, Window
from punctual.core.later import Later, later
from punctual.core.notice import Known, Mark, Quiet, decide
from punctual.core.policy import Rules, Said
from punctual.core.sift import REASONS
from punctual.core.truth import LATER, STOPPED
from tests.core.test_notice import GRACE, LATE, OVER, RULES, known, one_day, shape, t

TOLD = Said("late_first", t("09:10"), 1, told=Window(t("10:20"), t("10:35")))
EVENING = Visit(2, 1, t("20:15"), 45.0, Window(t("20:15"), t("20:45")), None)


def found(
    at: str,
    who: Known | None = None,
    *,
    visit: Visit = GRACE,
    rules: Rules = RULES,
    quiet: Quiet | None = None,
    **numbers: object,
) -> list[Later]:
    """What later() makes of a tap's decisions."""
    days, who = one_day(visit), replace(who or known(), state=visit.state)
    made = shape(days, **numbers)  # type: ignore[arg-type]
    of_day = [quiet or Quiet()]
    decided = decide(days, made, [who], of_day, rules, at=t(at), cause="report:1")  # type: ignore[arg-type]
    return later(days, made, [0], [who], decided.decisions, rules)  # type: ignore[arg-type]


def test_a_gap_is_announced_with_its_end() -> None:
    assert found("09:15", known(TOLD, mark=OVER), **LATE) == [Later(2, "too_soon", "later", t("09:30"))]


def test_a_gap_that_ends_in_a_night_that_outlasts_the_visit_is_not_announced() -> None:
    """No messages from 20:00 to 7:00, and a gap that lasts until 20:05."""
    rules = replace(RULES, quiet_from=20 * 60, quiet_until=7 * 60)
    told = Said("late_first", t("19:45"), 1, told=Window(t("20:50"), t("21:00")))
    late = {"arrive": "21:30", "chance": 0.99}
    assert found("19:50", known(told, mark=OVER), visit=EVENING, rules=rules, **late) == [
        Later(2, "too_soon", "not_now", None)
    ], "in the morning it is history"
    allowed = replace(rules, quiet_from=24 * 60, quiet_until=0)
    assert found("19:50", known(told, mark=OVER), visit=EVENING, rules=allowed, **late) == [
        Later(2, "too_soon", "later", t("20:05"))
    ], "without a night she is told"


def test_a_gap_that_outlasts_the_arrival_is_not_announced() -> None:
    told = replace(TOLD, at=t("10:55"))
    assert found("11:00", known(told, mark=OVER), arrive="11:03", chance=0.99) == [
        Later(2, "too_soon", "not_now", None)
    ]


def test_a_gap_that_outlasts_the_customers_own_limit_is_not_announced() -> None:
    visit = replace(GRACE, deadline=t("09:25"))
    who = known(replace(TOLD, told=None), mark=OVER)
    assert found("09:15", who, visit=visit, miss=0.9, **LATE) == [Later(2, "too_soon", "not_now", None)]
    visit = replace(GRACE, deadline=t("09:45"))
    assert found("09:15", who, visit=visit, miss=0.9, **LATE) == [Later(2, "too_soon", "later", t("09:30"))]


def test_a_mute_is_announced_with_its_end() -> None:
    crossings = tuple(t("09:00") + timedelta(minutes=3 * i) for i in range(4))
    assert found("09:12", known(mark=Mark(crossings[-1], 0.9, crossings)), **LATE) == [
        Later(2, "muted", "later", t("09:39"))
    ]


@pytest.mark.parametrize(("chance", "miss", "how"), [(0.95, 0.0, ["office"]), (0.0, 0.9, ["office"]), (0.0, 0.0, [])])
def test_who_is_held_back_waits_for_the_office_where_a_promise_is_at_risk(
    chance: float, miss: float, how: list[str]
) -> None:
    visit = replace(GRACE, deadline=t("12:00"))
    assert [x.how for x in found("09:15", known(held="I ring"), visit=visit, chance=chance, miss=miss)] == how


def test_on_a_day_that_is_off_whoever_is_at_risk_waits_for_the_office_until_told() -> None:
    off = Quiet(t("09:00"), off=True)
    assert [x.how for x in found("09:05", quiet=off, **LATE)] == ["office"]
    assert found("09:05", quiet=off, chance=0.1) == []
    told = Said("please_choose", t("09:02"), 1)
    assert found("09:05", known(told), quiet=off, **LATE) == []


def test_a_call_is_all_there_is_to_say_of_a_night_that_outlasts_the_warning() -> None:
    early = Visit(2, 1, t("06:30"), 45.0, Window(t("06:30"), t("07:00")), None)
    assert found("06:10", visit=early, arrive="07:40", chance=0.99) == [Later(2, "night", "call", None)]


@pytest.mark.parametrize("numbers", [{"chance": 0.02}, {"chance": 0.3}, {"arrive": "10:35", "chance": 0.1}])
def test_who_need_not_be_told_is_not_named(numbers: dict[str, object]) -> None:
    assert found("09:15", **numbers) == []


def test_who_is_told_now_is_not_named() -> None:
    assert found("09:15", **LATE) == []


def test_every_reason_for_silence_is_announced_or_needs_nothing_or_is_a_call() -> None:
    """A new reason has to be thought about here: the sentence "nobody needs to be told" must stay true."""
    nothing = {"", "fine", "inside_threshold", "below_limit", "over", "already_told", "second_look", "too_late"}
    assert set(REASONS) == nothing | {"no_channel", "cap"} | {"no_news"} | (LATER - {"second_look"}) | STOPPED
