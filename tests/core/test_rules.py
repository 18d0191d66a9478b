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
from punctual.core.policy import Rules, Said, may, useful_min
from tests.build import wall

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
