"""What is told to whom, and why not: first notice, update, deadline, silence, flapping, unreachable people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual.core.day import Day, Days, Visit, Window, minutes, outward, pack
from punctual.core.forecast import LEVELS
from punctual.core.notice import Decided, Decision, Known, Mark, Quiet, decide
from punctual.core.policy import KINDS, Rules, Said

DATE = date(2026, 11, 24)
RULES = Rules()
ZONES = ("Europe/London",)


def t(text: str) -> datetime:
    hour, minute = text.split(":")
    return datetime(2026, 11, 24, int(hour), int(minute), tzinfo=UTC)


@dataclass
class Shape:
    """The columns decide() reads of a forecast, written by hand."""

    arrive: np.ndarray
    mean_arrive: np.ndarray
    p_late: np.ndarray
    p_window: np.ndarray
    p_deadline: np.ndarray
    expected_report: np.ndarray


GRACE = Visit(2, 1, t("10:00"), 45.0, Window(t("10:00"), t("10:30")), None)


def one_day(*visits: Visit) -> Days:
    return pack([Day(7, 1, DATE, Window(t("08:00"), t("17:00")), visits or (GRACE,))])


def shape(
    days: Days,
    *,
    arrive: str = "10:10",
    chance: float = 0.0,
    miss: float = np.nan,
    expected: float = np.nan,
    wide: float = 10.0,
) -> Shape:
    middle = minutes(t(arrive))
    levels = np.asarray(LEVELS)
    arrivals = middle + (levels - 0.5) / 0.4 * wide
    rows = days.rows
    return Shape(
        arrive=np.tile(arrivals, (rows, 1)),
        mean_arrive=np.full(rows, middle),
        p_late=np.full(rows, chance),
        p_window=np.full(rows, chance),
        p_deadline=np.full(rows, miss),
        expected_report=np.full(len(days), expected),
    )


def known(*said: Said, **more: object) -> Known:
    return replace(Known(1, ZONES, said=said), **more)  # type: ignore[arg-type]


def look(
    at: str | datetime,
    who: Known | None = None,
    *,
    visit: Visit = GRACE,
    cause: str = "",
    rules: Rules = RULES,
    quiet: Quiet | None = None,
    **numbers: object,
) -> Decided:
    days = one_day(visit)
    now = t(at) if isinstance(at, str) else at
    who = replace(who or known(), state=visit.state)
    made = shape(days, **numbers)  # type: ignore[arg-type]
    return decide(days, made, [who], [quiet or Quiet()], rules, at=now, cause=cause)  # type: ignore[arg-type]


def only(decided: Decided) -> Decision:
    (decision,) = decided.decisions
    return decision


LATE = {"arrive": "11:05", "chance": 0.95}
OVER = Mark(t("08:50"), 0.9, (t("08:50"),))


# First notice


def test_a_customer_on_time_is_not_told_and_the_reason_says_fine() -> None:
    decision = only(look("09:00", chance=0.02))
    assert (decision.verb, decision.reason) == ("silent", "fine")
    assert decision.facts["chance"] == 2.0


def test_ten_minutes_late_is_inside_the_threshold() -> None:
    decision = only(look("09:00", arrive="10:40", chance=0.1))
    assert (decision.reason, decision.facts["late_min"], decision.facts["threshold"]) == (
        "inside_threshold",
        10.0,
        15.0,
    )


def test_a_chance_below_the_limit_is_not_told_and_both_are_given() -> None:
    decision = only(look("09:00", arrive="10:50", chance=0.6))
    assert (decision.reason, decision.facts["chance"], decision.facts["limit"]) == ("below_limit", 60.0, 80.0)


def test_over_the_limit_a_second_look_five_minutes_later_decides() -> None:
    first = look("08:50", **LATE)
    assert only(first).reason == "second_look"
    assert only(first).until == t("08:55")
    again = look("08:54", known(mark=first.marks[0]), **LATE)
    assert only(again).reason == "second_look"
    told = only(look("08:55", known(mark=first.marks[0]), **LATE))
    assert (told.verb, told.kind, told.reason) == ("tell", "late_first", "late")
    assert (told.facts["since"], told.facts["since_chance"]) == (t("08:50").isoformat(), 95.0)


def test_falling_below_the_limit_starts_the_second_look_anew() -> None:
    first = look("08:50", **LATE)
    second = look("08:52", known(mark=first.marks[0]), chance=0.5)
    third = look("08:56", known(mark=second.marks[0]), **LATE)
    assert only(third).reason == "second_look"
    assert third.marks[0].since == t("08:56")


def test_a_report_needs_no_second_look() -> None:
    assert only(look("08:50", cause="report:1", **LATE)).kind == "late_first"


def test_a_customers_own_act_makes_no_look_surer() -> None:
    assert only(look("08:50", cause="customer:2", **LATE)).reason == "second_look"


def test_a_report_still_tells_nobody_whose_promise_holds() -> None:
    assert only(look("08:50", cause="report:1", chance=0.3)).verb == "silent"


def test_the_told_range_is_rounded_outwards_in_the_visits_zone() -> None:
    told = only(look("09:58", known(mark=OVER), arrive="11:07", chance=0.99)).told
    assert told == Window(t("10:55"), t("11:20"))
    far = only(look("08:30", cause="report:1", arrive="11:07", chance=0.99)).told
    assert far == Window(t("10:45"), t("11:30"))


def test_the_warn_by_clock_says_whether_a_warning_is_in_time() -> None:
    assert only(look("09:30", known(mark=OVER), **LATE)).facts["in_time"] is True
    assert only(look("09:31", known(mark=OVER), **LATE)).facts["in_time"] is False


@pytest.mark.parametrize("state", ["arrived", "done", "nobody_home", "cannot_finish"])
def test_nobody_is_told_about_a_visit_that_has_begun_or_ended(state: str) -> None:
    visit = replace(GRACE, state=state, arrived_at=t("10:20"))  # type: ignore[arg-type]
    assert only(look("10:30", visit=visit, cause="report:1", **LATE)).reason == "over"


# Update


def told_at(at: str, start: str, end: str, kind: str = "late_first") -> Said:
    return Said(kind, t(at), 1, told=Window(t(start), t(end)))


def test_what_was_told_is_not_told_again() -> None:
    decision = only(look("09:30", known(told_at("08:55", "10:50", "11:20"), mark=OVER), cause="report:2", **LATE))
    assert (decision.verb, decision.reason) == ("silent", "already_told")
    assert decision.facts["told_from"] == t("10:50").isoformat()


def test_a_range_that_moved_later_by_a_quarter_of_what_remains_is_told_again() -> None:
    who = known(told_at("08:55", "10:50", "11:20"), mark=OVER)
    # at 09:20 two hours remain, so 30 minutes are needed
    assert only(look("09:20", who, arrive="11:35", chance=0.99)).reason == "already_told"
    moved = only(look("09:20", who, arrive="11:45", chance=0.99))
    assert (moved.kind, moved.key, moved.facts["needed_min"]) == ("late_update", "2:1:late_update:1", 30)


def test_near_the_end_fifteen_minutes_are_enough() -> None:
    who = known(told_at("08:55", "10:50", "11:20"), mark=OVER)
    assert only(look("10:55", who, arrive="11:20", chance=0.99)).reason == "already_told"
    assert only(look("10:55", who, arrive="11:25", chance=0.99)).kind == "late_update"


def test_a_range_fifteen_minutes_earlier_is_told_while_it_is_still_late() -> None:
    who = known(told_at("08:55", "11:20", "11:50"), mark=OVER)
    assert only(look("10:00", who, arrive="11:15", chance=0.99)).kind == "late_update"


def test_back_on_time_is_never_told() -> None:
    who = known(told_at("08:55", "10:50", "11:20"), mark=OVER)
    decision = only(look("09:30", who, arrive="10:45", chance=0.4, cause="report:3"))
    assert (decision.reason, decision.facts["back_on_time"]) == ("already_told", True)


def test_coming_before_the_told_range_opens_is_a_question_for_a_person_to_ask() -> None:
    who = known(told_at("08:55", "10:50", "11:20"), mark=OVER)
    silent, task = look("09:30", who, arrive="10:10", chance=0.05, cause="report:3").decisions
    assert (silent.verb, silent.reason) == ("silent", "already_told")
    assert (task.verb, task.kind, task.reason) == ("task", "call", "earlier_than_told")


def test_a_third_delay_notice_becomes_a_call_by_a_person() -> None:
    who = known(told_at("08:00", "10:50", "11:20"), told_at("08:30", "11:30", "12:00", "late_update"), mark=OVER)
    silent, task = look("09:30", who, arrive="13:00", chance=1.0).decisions
    assert (silent.reason, silent.facts["used"]) == ("cap", 2)
    assert (task.verb, task.kind, task.key) == ("task", "call", "2:1:call:cap")


def test_an_agreed_time_starts_over_as_a_new_promise() -> None:
    agreed = replace(GRACE, window=Window(t("10:50"), t("11:20")))
    who = known(told_at("08:00", "10:50", "11:20"), version=2, mark=Mark())
    assert only(look("09:30", who, visit=agreed, arrive="11:05", chance=0.1)).reason == "fine"
    later = only(look("09:30", who, visit=agreed, arrive="12:00", chance=0.95, cause="report:4"))
    assert (later.kind, later.key) == ("late_first", "2:2:late_first:1")


def test_a_dropped_notice_may_be_put_again_under_a_new_key() -> None:
    dropped = Said("late_first", t("08:00"), 1, live=False, told=Window(t("10:50"), t("11:20")))
    assert only(look("08:55", known(dropped, mark=OVER), **LATE)).key == "2:1:late_first:2"


def test_night_keeps_silent_with_the_hour_at_which_it_is_decided_again() -> None:
    decision = only(look("07:00", cause="report:1", **LATE | {"chance": 0.99}))
    assert (decision.reason, decision.until) == ("night", t("08:00"))
    assert decision.facts["wanted"] == "late_first"


DAWN = replace(GRACE, planned_start=t("06:30"), window=Window(t("06:30"), t("07:00")))
DAWN_LATE = {"arrive": "07:50", "chance": 0.99}
CALL = ("task", "call", "2:1:call:night")


def calls(decided: Decided) -> list[tuple[str, str, str]]:
    return [(d.verb, d.kind, d.key) for d in decided.decisions if d.verb == "task"]


def test_a_night_that_outlasts_the_promised_window_asks_a_person_to_call() -> None:
    silent, task = look("05:40", visit=DAWN, cause="report:1", **DAWN_LATE).decisions
    assert (silent.verb, silent.reason, silent.until) == ("silent", "night", t("08:00"))
    assert (task.verb, task.kind, task.key) == CALL
    assert (task.facts["wanted"], task.facts["chance"]) == ("late_first", 99.0)


@pytest.mark.parametrize(("end", "found"), [("07:59", [CALL]), ("08:00", [CALL]), ("08:05", [])])
def test_a_night_that_ends_while_the_window_is_open_asks_nobody(end: str, found: list[tuple[str, str, str]]) -> None:
    visit = replace(DAWN, window=Window(t("06:30"), t(end)))
    assert calls(look("05:40", visit=visit, cause="report:1", arrive="09:00", chance=0.99)) == found


def test_whoever_was_told_a_range_waits_until_it_ends() -> None:
    told = known(told_at("05:00", "08:10", "08:40"), mark=OVER)
    assert calls(look("05:40", told, visit=DAWN, arrive="09:30", chance=0.99)) == []
    soon = known(told_at("05:00", "07:10", "07:40"), mark=OVER)
    assert calls(look("05:40", soon, visit=DAWN, arrive="09:30", chance=0.99)) == [CALL]


def test_a_limit_that_passes_in_the_night_asks_a_person_and_one_after_it_waits() -> None:
    wide = replace(DAWN, window=Window(t("06:30"), t("09:00")))
    made = {"arrive": "07:00", "chance": 0.1, "miss": 0.9}
    assert calls(look("05:40", visit=replace(wide, deadline=t("07:30")), **made)) == [CALL]
    assert calls(look("05:40", visit=replace(wide, deadline=t("08:30")), **made)) == []


def test_whom_nobody_can_write_to_is_called_once_for_night_and_morning() -> None:
    who = known(reachable=False, mark=OVER)
    keys = {look(at, who, visit=DAWN, **DAWN_LATE).decisions[i].key for at, i in (("05:40", 1), ("08:00", 0))}
    assert keys == {"2:1:call:no_channel"}


def test_setting_out_at_night_is_nothing_to_call_about() -> None:
    gone = replace(DAWN, state="on_my_way", on_my_way_at=t("05:38"))
    assert only(look("05:40", visit=gone, cause="report:1", arrive="06:40", chance=0.0)).reason == "fine"


def test_setting_out_late_at_night_is_called_about_at_once() -> None:
    gone = replace(DAWN, state="on_my_way", on_my_way_at=t("05:38"))
    assert calls(look("05:40", visit=gone, cause="report:1", **DAWN_LATE)) == [CALL]


# The customer's own limit

LEAVES = replace(GRACE, deadline=t("11:00"))


def test_a_deadline_that_will_be_missed_is_asked_about_at_once() -> None:
    decision = only(look("08:50", visit=LEAVES, arrive="10:25", chance=0.1, miss=0.7))
    assert (decision.kind, decision.reason) == ("deadline_done", "deadline")
    assert (decision.facts["chance_of_making_it"], decision.facts["deadline"]) == (30.0, t("11:00").isoformat())


def test_a_deadline_of_arrival_has_its_own_words() -> None:
    assert only(look("08:50", visit=replace(LEAVES, deadline_kind="arrive"), miss=0.9)).kind == "deadline_arrive"


def test_a_deadline_that_will_be_made_is_not_asked_about() -> None:
    assert only(look("08:50", visit=LEAVES, miss=0.5)).reason == "fine"


def test_a_deadline_is_asked_about_once_and_a_new_one_again() -> None:
    asked = Said("deadline_done", t("08:50"), 1, told=Window(t("10:15"), t("10:35")), deadline=t("11:00"))
    assert only(look("09:30", known(asked), visit=LEAVES, chance=0.1, miss=0.9)).reason == "already_told"
    earlier = replace(LEAVES, deadline=t("10:45"))
    assert only(look("09:30", known(asked), visit=earlier, miss=0.9)).kind == "deadline_done"


def test_a_deadline_that_has_passed_is_not_asked_about() -> None:
    assert only(look("11:00", visit=LEAVES, chance=0.0, miss=1.0)).reason == "fine"


# Nobody to write to


def test_a_customer_without_a_channel_becomes_a_call_earlier_than_a_text_would_go() -> None:
    first = look("08:50", known(reachable=False), arrive="10:50", chance=0.55)
    assert {d.verb for d in first.decisions} == {"task", "silent"}
    assert [d.kind for d in first.decisions if d.verb == "task"] == ["call"]
    assert only(look("08:50", known(reachable=False), arrive="10:20", chance=0.45)).verb == "silent"


# On my way

AWAY = replace(GRACE, state="on_my_way", on_my_way_at=t("09:40"))


def test_setting_out_is_told_once_with_its_range() -> None:
    told = only(look("09:40", visit=AWAY, cause="report:5"))
    assert (told.kind, told.told) == ("on_my_way", Window(t("10:00"), t("10:20")))
    again = look("09:45", known(Said("on_my_way", t("09:40"), 1, told=told.told)), visit=AWAY)
    assert only(again).verb == "silent"


def test_a_tap_that_arrives_much_later_is_history() -> None:
    assert only(look("09:51", visit=AWAY, cause="report:5")).verb == "silent"


def test_setting_out_late_tells_the_range_once_not_twice() -> None:
    (decision,) = look("09:40", visit=AWAY, cause="report:5", **LATE).decisions
    assert decision.kind == "on_my_way"


# Silence of the technician

EXPECTED = minutes(t("09:00"))


def test_silence_warns_like_a_report_until_it_lasts() -> None:
    assert only(look("09:29", known(mark=OVER), expected=EXPECTED, **LATE)).kind == "late_first"


def test_lasting_silence_nudges_the_technician_shows_the_dispatcher_and_tells_no_time() -> None:
    decisions = look("09:30", known(mark=OVER), expected=EXPECTED, **LATE).decisions
    assert [(d.verb, d.kind, d.reason) for d in decisions] == [
        ("tell", "tech_nudge", "silent"),
        ("task", "silent", "silent"),
        ("silent", "silent", "no_news"),
    ]
    assert decisions[0].facts["silent_min"] == 30


def test_customers_at_risk_hear_without_a_time_when_nobody_answers_for_ten_minutes() -> None:
    quiet = Quiet(nudged_at=t("09:30"))
    assert only(look("09:39", known(), expected=EXPECTED, quiet=quiet, **LATE)).reason == "no_news"
    told = only(look("09:40", known(), expected=EXPECTED, quiet=quiet, **LATE))
    assert (told.kind, told.told, told.facts["due"]) == ("no_time_yet", None, t("10:40").isoformat())


def test_a_customer_not_at_risk_hears_nothing_from_old_news() -> None:
    quiet = Quiet(nudged_at=t("09:30"))
    assert only(look("09:50", known(), expected=EXPECTED, quiet=quiet, chance=0.2)).reason == "no_news"


def test_the_message_without_a_time_goes_once() -> None:
    quiet, said = Quiet(nudged_at=t("09:30")), Said("no_time_yet", t("09:40"), 1)
    assert only(look("10:30", known(said), expected=EXPECTED, quiet=quiet, **LATE)).verb == "silent"


def test_a_day_that_is_off_tells_before_its_windows_open() -> None:
    quiet = Quiet(nudged_at=t("08:00"), off=True)
    assert only(look("09:19", known(), quiet=quiet, chance=0.0)).reason == "no_news"
    told = only(look("09:20", known(), quiet=quiet, chance=0.0))
    assert (told.kind, told.told, told.facts["due"]) == ("please_choose", None, t("10:20").isoformat())
    said = Said("please_choose", t("09:20"), 1)
    assert only(look("09:40", known(said=(said,)), quiet=quiet, chance=0.0)).reason == "no_news"


def test_nobody_is_asked_to_wait_longer_than_the_company_allows() -> None:
    told = only(look("09:00", known(), cause="report:1", chance=1.0, arrive="13:31"))
    assert (told.kind, told.told, told.facts["due"]) == ("please_choose", None, t("10:00").isoformat())
    assert only(look("09:00", known(), cause="report:1", chance=1.0, arrive="13:29")).kind == "late_first"
    after = look("09:30", known(said=(Said("please_choose", t("09:00"), 1),)), chance=1.0, arrive="14:30")
    assert only(after).reason == "already_told", "no range follows when none was told"


def test_a_delay_that_grows_past_what_anybody_is_asked_to_wait_offers_a_choice_and_no_range() -> None:
    who = known(told_at("08:55", "11:20", "11:50"), mark=OVER)
    told = only(look("09:20", who, cause="report:2", chance=1.0, arrive="13:31"))
    assert (told.kind, told.told, told.facts["due"]) == ("please_choose", None, t("10:20").isoformat())
    assert only(look("09:20", who, cause="report:2", chance=1.0, arrive="13:29")).kind == "late_update"


# Flapping, holding, storms


def test_four_crossings_in_half_an_hour_mute_the_visit() -> None:
    crossings = tuple(t(x) for x in ("08:30", "08:36", "08:42"))
    decision = only(look("08:48", known(mark=Mark(None, 0.0, crossings)), cause="report:1", **LATE))
    assert (decision.reason, decision.until) == ("muted", t("09:18"))


def test_held_back_by_a_person_stays_silent_with_their_words() -> None:
    decision = only(look("09:00", known(held="I am calling her"), cause="report:1", **LATE))
    assert (decision.reason, decision.facts["why"]) == ("held", "I am calling her")


def test_a_storm_pauses() -> None:
    assert only(look("08:50", known(paused=True), cause="import:1", **LATE)).reason == "storm"


def wobble(arrivals: list[float], rules: Rules) -> list[tuple[datetime, str]]:
    """Four hours of looks, a minute each, at a forecast that jumps; what is told, and when."""
    visit = replace(GRACE, window=Window(t("13:00"), t("13:30")))
    who, said = known(), []
    for minute, arrive in enumerate(arrivals):
        now = t("09:00") + timedelta(minutes=minute)
        late = arrive - 15.0
        chance = 1.0 / (1.0 + np.exp(-late / 2.0))
        middle = t("13:30") + timedelta(minutes=arrive)
        decided = look(now, who, visit=visit, rules=rules, arrive=f"{middle:%H:%M}", chance=float(chance))
        for d in decided.decisions:
            if d.verb == "tell":
                said.append(Said(d.kind, now, 1, told=d.told))
        who = replace(who, mark=decided.marks[0], said=tuple(said))
    return [(x.at, x.kind) for x in said if KINDS[x.kind].class_ == "delay"]


def sway(minute: int) -> float:
    return 15.0 + 20.0 * (-1) ** minute


def test_an_arrival_that_sways_every_minute_for_four_hours_brings_at_most_two_texts() -> None:
    assert len(wobble([sway(m) for m in range(240)], RULES)) <= 2


def test_without_second_look_cap_and_guard_the_same_day_brings_many() -> None:
    loose = replace(
        RULES, second_look_min=0.0, max_delay=99, max_visit=99, gap_min=0.0, flap_crossings=0, update_share=0.0
    )
    assert len(wobble([sway(m) * 2 + 30 for m in range(240)], loose)) > 20


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-60, 200), min_size=30, max_size=120))
def test_whatever_the_forecast_does_texts_stay_few_and_apart(arrivals: list[float]) -> None:
    said = wobble(arrivals, RULES)
    assert len(said) <= RULES.max_delay
    assert all(b[0] - a[0] >= timedelta(minutes=RULES.gap_min) for a, b in pairwise(said))


@settings(max_examples=200, deadline=None)
@given(
    chance=st.floats(0, 1),
    miss=st.one_of(st.just(float("nan")), st.floats(0, 1)),
    minute=st.integers(0, 24 * 60 - 1),
    cause=st.sampled_from(["", "report:9"]),
    reachable=st.booleans(),
    expected=st.one_of(st.just(float("nan")), st.floats(EXPECTED - 300, EXPECTED + 300)),
)
def test_every_visit_gets_a_telling_or_a_reason_and_a_told_chance_is_over_the_limit(
    chance: float, miss: float, minute: int, cause: str, reachable: bool, expected: float
) -> None:
    at = t("00:00") + timedelta(minutes=minute)
    decided = look(
        at, known(reachable=reachable), visit=LEAVES, cause=cause, chance=chance, miss=miss, expected=expected
    )
    mine = [d for d in decided.decisions if d.kind not in ("tech_nudge",) and d.reason != "silent"]
    assert any(d.verb in ("tell", "silent") for d in mine)
    for d in mine:
        assert d.verb != "tell" or reachable
        assert d.kind != "late_first" or chance >= RULES.tell_chance


def test_as_many_known_as_visits_are_needed() -> None:
    days = one_day()
    with pytest.raises(ValueError, match="1 visits of 1 days"):
        decide(days, shape(days), [], [Quiet()], RULES, at=t("09:00"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "end", "told"), [("09:40", "09:40", ("09:40", "09:45")), ("09:42", "09:51", ("09:40", "09:55"))]
)
def test_a_range_is_rounded_outwards_and_never_a_single_minute(start: str, end: str, told: tuple[str, str]) -> None:
    found = outward(Window(t(start), t(end)), t("09:40"), ZONES[0])
    assert (found.start, found.end) == (t(told[0]), t(told[1]))
