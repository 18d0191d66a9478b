"""A raw mail, read: bounces told from automatic answers told from people - however broken it is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual import incoming
from tests.mails import dsn, person


def test_a_person_is_read_without_what_they_quote() -> None:
    mail = incoming.read(person("Could you come at 3?\n\nOn Tue, Nov 24, Bellweather wrote:\n> We are late.\n"))
    assert mail.words == "Could you come at 3?"
    assert (mail.sender, mail.subject, mail.automatic) == ("grace@example.com", "Re: New arrival time", "")
    assert mail.refers == ("<ours@bellweather.example>",)


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; owner=x",
        "Return-Path: <>",
        "Precedence: bulk",
        "Precedence: list",
        "Precedence: JUNK",
        "List-Id: <news.example.com>",
        "List-Unsubscribe: <mailto:x@example.com>",
        "X-Autoreply: yes",
    ],
)
def test_what_wrote_itself_is_never_answered(header: str) -> None:
    assert incoming.read(person("I am away.", header)).automatic


@pytest.mark.parametrize(
    "header", ["Auto-Submitted: no", "Return-Path: <grace@example.com>", "Precedence: first-class"]
)
def test_a_person_may_be_answered(header: str) -> None:
    """Negative control: the guard does not take everybody for a machine."""
    assert incoming.read(person("Hello", header)).automatic == ""


def test_a_mail_without_anybody_in_from_is_not_answered() -> None:
    assert incoming.read(b"Subject: x\r\n\r\nhello").automatic


@pytest.mark.parametrize(
    ("status", "action", "bad"),
    [
        ("5.1.1", "failed", True),
        ("5.0.0", "failed", True),
        ("5.2.1", "failed", True),
        ("5.2.2", "failed", False),
        ("5.7.1", "failed", False),
        ("4.4.7", "failed", False),
        ("4.4.1", "delayed", False),
    ],
)
def test_a_bounce_says_who_why_and_whether_the_address_is_at_fault(status: str, action: str, bad: bool) -> None:
    mail = incoming.read(dsn("<ours@bellweather.example>", status=status, action=action))
    (bounce,) = mail.bounces
    assert bounce.recipient == "grace@example.com" and bounce.words == "550 no such user"
    assert (bounce.final, bounce.address_is_bad) == (action == "failed", bad)
    assert mail.refers == ("<ours@bellweather.example>",)
    assert mail.automatic


@pytest.mark.parametrize("whole", [True, False])
def test_a_bounce_names_our_mail_by_the_headers_it_gives_back(whole: bool) -> None:
    mail = incoming.read(dsn("<ours@bellweather.example>", whole=whole))
    assert mail.refers == ("<ours@bellweather.example>",)


def test_the_same_mail_has_the_same_name_whatever_way_it_came() -> None:
    one = person("Hello")
    assert incoming.read(one).id == incoming.read(b"Received: from a by b\r\n" + one).id
    assert incoming.read(one).id != incoming.read(person("Hello again")).id


def test_html_alone_is_read_as_words() -> None:
    raw = person("<style>p {}</style><p>Come <b>at 3</b> &amp; ring</p>").replace(b"text/plain", b"text/html")
    assert " ".join(incoming.read(raw).words.split()) == "Come at 3 & ring"


def test_a_mail_of_a_thousand_boxes_is_read_in_time() -> None:
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (i, i) for i in range(1000))
    assert incoming.read(b"From: grace@example.com\r\n" + deep + b"\r\nhello").sender == "grace@example.com"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**32))
def test_no_mail_breaks_the_reader(noise: bytes, seed: int) -> None:
    raw = bytearray(dsn("<ours@bellweather.example>"))
    place = random.Random(seed)
    for byte in noise[:40]:
        raw[place.randrange(len(raw))] = byte
    incoming.read(bytes(raw) + noise)
    incoming.read(noise)
