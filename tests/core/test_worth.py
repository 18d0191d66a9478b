"""What a broken promise is worth: the rule with the highest lateness that was reached, and the one that asks for the warning."""

from __future__ import annotations

import pytest

from punctual.core.promise import Rule, worth
from punctual.core.words import fault

RULES = [
    Rule(1, "late", 15),
    Rule(2, "late", 15, warned=False),
    Rule(3, "late", 45),
    Rule(4, "missed", 0),
]


@pytest.mark.parametrize(
    ("kind", "late", "warned", "rule"),
    [
        ("late", 14.9, False, None),
        ("late", 15, True, 1),
        ("late", 15, False, 2),
        ("late", 44, False, 2),
        ("late", 45, False, 3),
        ("missed", 500, False, 4),
        ("other", 500, False, None),
    ],
)
def test_one_rule_applies(kind: str, late: float, warned: bool, rule: int | None) -> None:
    found = worth(RULES, kind, late, warned)
    assert (found.id if found else None) == rule


def test_without_rules_nothing_is_given() -> None:
    assert worth([], "late", 500, False) is None


@pytest.mark.parametrize(
    ("text", "language", "word"),
    [
        ("We are sorry that you had to wait.", "en", ""),
        ("Unfortunately the traffic was heavy.", "en", "Unfortunately"),
        ("We are late because of others.", "en", "because of"),
        ("Sorry!", "en", "!"),
        ("Leider kamen wir zu spät.", "de", "Leider"),
        ("Disculpe las molestias.", "es", "molestias"),
        ("Sentimos la espera.", "es", ""),
    ],
)
def test_an_apology_of_the_company_makes_no_excuse(text: str, language: str, word: str) -> None:
    assert fault(text, language) == word
