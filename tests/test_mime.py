"""Mails written directly hold what the standard library reads back, whatever the words are."""

from __future__ import annotations

import email
import email.policy
from email.errors import HeaderParseError
from email.headerregistry import Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual import letters, mime

ICS = b"BEGIN:VCALENDAR\r\nSUMMARY:Boiler service\r\nEND:VCALENDAR\r\n"
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=200)
WORDS = st.lists(st.one_of(LINES, st.sampled_from([".", "..", "From me", "a=b", "tab\tand end ", "--x--"]))).map(
    lambda lines: "\n".join(lines) + "\n"
)


def parts(body: bytes) -> dict[str, email.message.EmailMessage]:
    mail = email.message_from_bytes(body, policy=email.policy.default)
    found = list(mail.walk())
    assert not [x.defects for x in found if x.defects]
    return {x.get_content_type(): x for x in found}  # type: ignore[misc]


@settings(max_examples=60, deadline=None)
@given(text=WORDS, html=WORDS)
def test_words_come_back_as_they_were(text: str, html: str) -> None:
    body = mime.mail([("Subject", "Your visit")], text, html)
    found = parts(body)
    assert found["text/plain"].get_payload(decode=True).decode() == text.replace("\n", "\r\n")  # type: ignore[union-attr]
    assert found["text/html"].get_payload(decode=True).decode() == html.replace("\n", "\r\n")  # type: ignore[union-attr]
    assert max(len(line) for line in body.split(b"\r\n")) <= 78
    assert body.count(b"\n") == body.count(b"\r\n") == body.count(b"\r")
    assert body.isascii()


def test_the_calendar_is_an_alternative_and_a_file() -> None:
    mail = email.message_from_bytes(mime.mail([("Subject", "x")], "a\n", "b\n", (ICS, "REQUEST")))
    assert [p.get_content_type() for p in mail.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar", "application/ics",
    ]  # fmt: skip
    found = parts(mail.as_bytes())
    assert found["text/calendar"].get_param("method") == "REQUEST"
    assert found["text/calendar"].get_payload(decode=True) == found["application/ics"].get_payload(decode=True) == ICS
    assert found["application/ics"].get_filename() == "invite.ics"


@pytest.mark.parametrize("value", ["Ünser Besuch " * 12, "Grüße", "plain", "w" * 120, "a, b; c: d <e>"])
def test_a_subject_comes_back_and_its_lines_are_short(value: str) -> None:
    line = mime.header("Subject", value.strip())
    mail = email.message_from_bytes(line + b"\r\n", policy=email.policy.default)
    assert mail["Subject"] == value.strip()
    assert list(mail.keys()) == ["Subject"]


def test_a_name_cannot_become_a_header() -> None:
    line = mime.header("To", '"Zoë\u2028Bcc: x@example.com" <z@example.com>')
    assert list(email.message_from_bytes(line + b"\r\n").keys()) == ["To"]


@settings(max_examples=200, deadline=None)
@given(
    name=st.text(max_size=30),
    spec=st.from_regex(letters.DOT_ATOMS, fullmatch=True)
    | st.text("ab.@\"(), -<>é\\", max_size=12)
    | st.emails(),
)  # fmt: skip
def test_an_address_is_what_the_library_reads_letter_by_letter(name: str, spec: str) -> None:
    try:
        theirs = str(Address(" ".join(name.split()), addr_spec=spec))
    except (ValueError, IndexError, HeaderParseError):
        with pytest.raises(ValueError, match="is not an e-mail address"):
            letters.address(name, spec)
        return
    try:
        assert str(letters.address(name, spec)) == theirs
    except ValueError:
        assert not letters.DOT_ATOMS.fullmatch(spec), "what the library reads as something else is refused"
