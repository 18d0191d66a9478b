"""How a text travels: coding, segments, and a fold that never spells a name wrongly in its own script."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual.core.segments import BASIC, EXTENDED, cut, fold, size


@pytest.mark.parametrize(
    ("text", "coding", "units", "segments"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("a" * 159 + "€", "GSM-7", 161, 2),
        ("ü" * 160, "GSM-7", 160, 1),
        ("á" * 70, "UCS-2", 70, 1),
        ("á" + "a" * 70, "UCS-2", 71, 2),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
    ],
)
def test_a_text_is_counted_as_the_air_carries_it(text: str, coding: str, units: int, segments: int) -> None:
    found = size(text)
    assert (found.coding, found.units, found.segments) == (coding, units, segments)


@pytest.mark.parametrize(
    ("given_", "folded"),
    [
        ("sáb 21 nov, José Ángel", "sab 21 nov, José Angel"),
        ("10:50\u202fPM – “so” it’s…", '10:50 PM - "so" it\'s...'),
        ("Łukasz Müller-Weiß", "Lukasz Müller-Weiß"),
        ("Ελένη", "Ελένη"),
        ("Мария", "Мария"),
        ("Nguyễn", "Nguyen"),
    ],
)
def test_the_fold_keeps_what_gsm_has_and_other_scripts(given_: str, folded: str) -> None:
    assert fold(given_) == folded


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_a_folded_text_is_folded_and_never_costs_more_segments(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert size(once).segments <= size(text).segments or set(once) <= BASIC | EXTENDED


@pytest.mark.parametrize(
    ("text", "after", "left"),
    [
        ("Ж " + "word " * 40, "\nSTOP", "Ж " + "word " * 24 + "word...\nSTOP"),
        ("Ж " + "word, " * 30 + "https://a.example/c/1", "", "Ж " + "word, " * 17 + "word... https://a.example/c/1"),
        ("Ж see https://a.example/c/1 " + "word " * 40, "", "Ж see https://a.example/c/1"),
        ("日" * 200, "", "日" * 131 + "..."),
    ],
)
def test_a_text_is_cut_at_a_word_and_its_link_stays_whole(text: str, after: str, left: str) -> None:
    assert cut(text, after) == left and size(left).segments <= 2
