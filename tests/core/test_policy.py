"""May this message go now? Caps, gap, night, usefulness - each with its reason and when to ask again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from punctual.core.policy import Rules, Said, Verdict, may, opens, rules

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONDON, YORK, TOKYO = "Europe/London", "America/New_York", "Asia/Tokyo"
DAYTIME = Rules()
ALWAYS = replace(DAYTIME, quiet_until=0, quiet_from=1440)


def ago(minutes: float, kind: str = "late_first", live: bool = True) -> Said:
    return Said(kind, NOON - timedelta(minutes=minutes), 1, live)


def ask(
    kind: str, *said: Said, at: datetime = NOON, of: Rules = DAYTIME, zones: tuple[str, ...] = (LONDON,), **more: object
) -> Verdict:
    return may(kind, at=at, rules=of, zones=zones, said=said, **more)  # type: ignore[arg-type]


def test_a_delay_notice_goes_in_the_daytime() -> None:
    assert ask("late_first").ok


def test_twenty_minutes_lie_between_two_automatic_messages() -> None:
    verdict = ask("late_update", ago(19))
    assert (verdict.ok, verdict.reason) == (False, "too_soon")
    assert verdict.until == NOON + timedelta(minutes=1)
    assert ask("late_update", ago(20)).ok


def test_a_dropped_message_counts_for_nothing() -> None:
    assert ask("late_update", ago(5, live=False), ago(50, live=False), ago(40, live=False)).ok


def test_an_answer_to_the_customer_counts_for_nothing_either() -> None:
    assert ask("late_update", ago(5, "kept"), ago(3, "promise_call")).ok


def test_two_delay_notices_are_the_most_for_a_visit() -> None:
    verdict = ask("late_update", ago(100), ago(60, "late_update"))
    assert (verdict.reason, verdict.until, verdict.facts["used"], verdict.facts["max"]) == ("cap", None, 2, 2)
    assert ask("on_my_way", ago(100), ago(60, "late_update")).ok


def test_on_my_way_goes_once() -> None:
    assert ask("on_my_way", ago(300, "on_my_way")).reason == "already_told"


def test_five_automatic_messages_are_the_most_for_a_visit() -> None:
    said = [ago(600 - 30 * i, "reminder") for i in range(5)]
    assert ask("late_first", *said).facts["of"] == "visit"


def test_six_automatic_texts_a_day_are_the_most_for_a_phone() -> None:
    assert ask("late_first", person_today=5).ok
    assert ask("late_first", person_today=6).facts["of"] == "person"


def test_what_a_person_did_is_told_whatever_was_said_before() -> None:
    said = [ago(i, "late_update") for i in range(1, 8)]
    assert ask("moved_by_us", *said).ok
    assert ask("cancelled_us", *said, person_today=9).ok


def test_a_message_that_is_no_longer_useful_is_too_late() -> None:
    assert ask("late_first", useful_until=NOON - timedelta(seconds=1)).reason == "too_late"
    assert ask("tech_nudge", useful_until=NOON - timedelta(seconds=1)).reason == "too_late"


def test_a_muted_visit_and_a_storm_stay_silent() -> None:
    assert ask("late_first", muted_until=NOON + timedelta(minutes=3)).until == NOON + timedelta(minutes=3)
    assert ask("late_first", muted_until=NOON).ok
    assert ask("late_first", paused=True).reason == "storm"


def test_night_ends_at_eight_where_the_visit_is() -> None:
    night = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
    verdict = ask("late_first", at=night)
    assert (verdict.reason, verdict.until) == ("night", datetime(2026, 11, 24, 8, tzinfo=UTC))
    assert ask("late_first", at=datetime(2026, 11, 24, 8, tzinfo=UTC)).ok
    assert ask("late_first", at=datetime(2026, 11, 24, 19, 59, tzinfo=UTC)).ok
    assert ask("late_first", at=datetime(2026, 11, 24, 20, tzinfo=UTC)).until == datetime(2026, 11, 25, 8, tzinfo=UTC)


def test_the_night_of_the_phones_prefix_counts_too() -> None:
    morning = datetime(2026, 11, 24, 9, tzinfo=UTC)
    verdict = ask("late_first", at=morning, zones=(LONDON, YORK))
    assert (verdict.reason, verdict.until) == ("night", datetime(2026, 11, 24, 13, tzinfo=UTC))
    assert verdict.facts["local"] == "2026-11-24T04:00:00-05:00"


def test_a_change_of_the_clocks_moves_the_opening_hour_with_the_wall() -> None:
    before = datetime(2026, 3, 28, 21, tzinfo=UTC)
    assert ask("reminder", at=before).until == datetime(2026, 3, 29, 7, tzinfo=UTC)


def test_zones_without_a_common_hour_never_loop() -> None:
    assert opens(NOON, (LONDON, TOKYO, "Pacific/Honolulu"), DAYTIME) is not None


def test_an_answer_goes_at_night_within_ten_minutes_and_then_waits() -> None:
    night = datetime(2026, 11, 24, 2, tzinfo=UTC)
    assert ask("kept", at=night, asked_at=night - timedelta(minutes=10)).ok
    assert ask("kept", at=night, asked_at=night - timedelta(minutes=11)).reason == "night"
    assert ask("kept", ago(1), ago(2), ago(3)).ok


def test_staff_are_nudged_at_any_hour() -> None:
    assert ask("tech_nudge", at=datetime(2026, 11, 24, 2, tzinfo=UTC)).ok


def test_a_delay_of_an_early_visit_is_told_early_where_the_customer_agreed() -> None:
    early, at = datetime(2026, 11, 24, 8, 15, tzinfo=UTC), datetime(2026, 11, 24, 7, tzinfo=UTC)
    assert ask("late_first", at=at, window_start=early).reason == "night"
    assert ask("late_first", at=at, window_start=early, early=True).ok
    assert ask("late_first", at=at, window_start=early + timedelta(minutes=15), early=True).reason == "night"
    assert ask("on_my_way", at=at, window_start=early, early=True).reason == "night"


def test_message_hours_of_a_whole_day_are_never_night() -> None:
    assert ask("late_first", at=datetime(2026, 11, 24, 0, tzinfo=UTC), of=ALWAYS).ok


@given(
    st.integers(0, 525_600).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.lists(st.sampled_from([LONDON, YORK, "Europe/Berlin", "America/Los_Angeles"]), min_size=1, max_size=3),
)
def test_the_next_opening_is_inside_every_zones_hours_and_not_far(at: datetime, zones: list[str]) -> None:
    opening = opens(at, zones, DAYTIME)
    moment = opening or at
    for zone in zones:
        here = moment.astimezone(ZoneInfo(zone))
        assert 480 <= here.hour * 60 + here.minute < 1200
    assert opening is None or timedelta(0) < opening - at <= timedelta(hours=36)


def test_rules_take_a_companys_own_values_and_refuse_what_makes_no_sense() -> None:
    assert rules({"threshold_min": 0, "quiet_from": 1440}).threshold_min == 0.0
    for wrong in ({"nonsense": 1}, {"gap_min": -1}, {"gap_min": "20"}, {"gap_min": True}):
        with pytest.raises(ValueError, match="rule"):
            rules(wrong)
