"""Every rule of the company is a setting: a default, a sentence, and a decision that changes with it."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from punctual.core.kinds import KINDS
from punctual.core.limit import muted_until
from punctual.core.notice import Quiet
from punctual.core.policy import Rules, Said, may, useful_min
from tests.build import wall
from tests.core.test_notice import EXPECTED, LATE, LEAVES, OVER, known, look, told_at

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = Rules()
AT = wall("09:00")
LONDON = ("Europe/London",)


def said(kind: str, minutes: float) -> Said:
    return Said(kind, AT - timedelta(minutes=minutes), 1)


def verdict(rules: Rules, kind: str = "late_first", **given: Any) -> str:
    """ "" where it goes, else the reason why not."""
    return may(kind, **{"at": AT, "rules": rules, "zones": LONDON, **given}).reason


#: A rule, another value, what is asked, and what is answered by default and then.
DECIDES: list[tuple[str, float, dict[str, Any], str, str]] = [
    ("quiet_until", 600, {}, "", "night"),
    ("quiet_from", 530, {}, "", "night"),
    ("max_delay", 1, {"said": (said("late_first", 60),)}, "", "cap"),
    ("max_visit", 1, {"said": (said("reminder", 60),)}, "", "cap"),
    ("max_person_day", 2, {"person_today": 2}, "", "cap"),
    ("gap_min", 90, {"said": (said("late_first", 60),)}, "", "too_soon"),
    ("answer_night_min", 1, {"kind": "kept", "at": wall("22:00"), "asked_at": wall("21:55")}, "", "night"),
    ("early_visit", 400, {"at": wall("07:30"), "early": True, "window_start": wall("08:15")}, "", "night"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "value", "given", "before", "after"), DECIDES, ids=[d[0] for d in DECIDES])
def test_what_may_go_now_follows_the_companys_own_value(
    rule: str, value: float, given: dict[str, Any], before: str, after: str
) -> None:
    assert verdict(RULES, **given) == before
    assert verdict(replace(RULES, **{rule: value}), **given) == after


TOLD = known(told_at("08:55", "10:50", "11:20"), mark=OVER)
#: A rule, another value, when it is looked and at what, and what comes of it by default and then: a kind, or a reason.
TELLS: list[tuple[str, float, str, dict[str, Any], str, str]] = [
    ("silence_min", 10, "09:10", {"who": known(mark=OVER), "expected": EXPECTED, **LATE}, "late_first", "tech_nudge"),
    ("silence_answer_min", 5, "09:35",
     {"expected": EXPECTED, "quiet": Quiet(nudged_at=wall("09:30")), **LATE}, "no_news", "no_time_yet"),
    ("update_min", 25, "10:55", {"who": TOLD, "arrive": "11:25", "chance": 0.99}, "late_update", "already_told"),
    ("update_share", 0.5, "09:20", {"who": TOLD, "arrive": "11:45", "chance": 0.99}, "late_update", "already_told"),
    ("deadline_chance", 0.6, "08:50", {"visit": LEAVES, "miss": 0.5}, "fine", "deadline_done"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "value", "at", "given", "before", "after"), TELLS, ids=[d[0] for d in TELLS])
def test_what_is_told_follows_the_companys_own_value(
    rule: str, value: float, at: str, given: dict[str, Any], before: str, after: str
) -> None:
    def said(rules: Rules) -> str:
        first = look(at, **given, rules=rules).decisions[0]
        return first.kind if first.verb == "tell" else first.reason

    assert (said(RULES), said(replace(RULES, **{rule: value}))) == (before, after)


def test_how_soon_a_call_is_promised_is_the_companys() -> None:
    asked = {"expected": EXPECTED, "quiet": Quiet(nudged_at=wall("09:30")), **LATE}
    told = look("09:40", **asked, rules=replace(RULES, callback_min=30.0)).decisions[0]
    assert told.facts["due"] == wall("10:10").isoformat()


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("useful_on_my_way_min", "on_my_way"), ("useful_delay_min", "late_first"), ("useful_delay_min", "correction"),
        ("useful_reminder_min", "reminder"), ("useful_answer_min", "kept"), ("useful_staff_min", "esc_sender"),
    ],
)  # fmt: skip
def test_how_long_a_kind_is_worth_sending_is_the_companys(rule: str, kind: str) -> None:
    assert useful_min(kind, RULES) == getattr(RULES, rule)
    assert useful_min(kind, replace(RULES, **{rule: 7.0})) == 7.0


def test_every_kind_is_useful_for_a_time_or_until_its_promise_is_due() -> None:
    lasting = {k for k in KINDS if useful_min(k, RULES) is None}
    assert all(KINDS[k].after for k in lasting)
    assert all(useful_min(k, RULES) for k in KINDS if k not in lasting)
    assert useful_min("late_first", RULES) == 20.0 and useful_min("booked", RULES) == 24 * 60.0


def test_the_flap_guards_span_is_the_companys() -> None:
    crossings = [AT + timedelta(minutes=m) for m in (0, 12, 24, 36)]
    assert muted_until(crossings, RULES) is None
    assert muted_until(crossings, replace(RULES, flap_min=40.0)) == AT + timedelta(minutes=76)


@pytest.mark.parametrize("rule", [f.name for f in fields(Rules)])
def test_a_rule_is_read_by_the_product_and_says_what_it_does(rule: str) -> None:
    rules = {f.name: f.metadata["sentence"] for f in fields(Rules)}
    assert rules[rule].endswith(".") and 20 < len(rules[rule]) <= 110
    if re.fullmatch(r"useful_\w+_min", rule):
        return  # read by the name of the kind's usefulness, above
    code = "".join(f.read_text() for f in (ROOT / "punctual").rglob("*.py"))
    assert re.search(rf"(rules|limits|r|of|\))\.{rule}\b|\"{rule}\"", code), "a rule nobody reads is no rule"
