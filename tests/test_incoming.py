"""A raw mail, read: bounces told from automatic answers told from people - however broken it is."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual import incoming, mailbox
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


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**32))
def test_no_mail_breaks_the_reader_and_none_is_without_an_outcome(noise: bytes, seed: int) -> None:
    place = random.Random(seed)
    for whole in (dsn("<ours@bellweather.example>"), person("Could you come at 3?")):
        raw = bytearray(whole)
        for byte in noise[:40]:
            raw[place.randrange(len(raw))] = byte
        for came in (bytes(raw) + noise, noise):
            mail = incoming.read(came)
            assert len(mail.id) == 64 and mail.id == incoming.read(came).id, "it is known when it comes again"
            assert mail.bounces or mail.automatic or (mail.sender and mail.shown.strip()), "a person is shown something"
            shown = (mail.sender, mail.subject, mail.shown, *mail.attached)
            assert b"\x00" not in b"".join(x.encode() for x in shown), "a database takes it"


HEAD = b"From: Grace <grace@example.com>\r\nTo: visits@bellweather.example\r\nMIME-Version: 1.0\r\n"
WORDS = b"Content-Type: text/plain\r\n\r\nPlease come at 3.\r\n"
TNEF = (b'Content-Type: application/ms-tnef; name="winmail.dat"\r\nContent-Transfer-Encoding: base64\r\n'
        b"\r\neJ8+IgAAAA==\r\n")  # fmt: skip


def nested(depth: int, inmost: bytes) -> bytes:
    """A part inside so many others."""
    opened = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (i, i) for i in range(depth))
    return opened + inmost + b"".join(b"\r\n--b%d--\r\n" % i for i in reversed(range(depth)))


def beside(*parts: bytes) -> bytes:
    """Parts beside one another."""
    return (
        b'Content-Type: multipart/mixed; boundary="q"\r\n\r\n'
        + b"".join(b"--q\r\n%s\r\n" % p for p in parts)
        + b"--q--\r\n"
    )


LOOK = "It holds no words that can be read: look in the mailbox."


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (HEAD + TNEF, "It holds no words. It carries winmail.dat: look in the mailbox."),
        (HEAD + beside(WORDS, TNEF), "Please come at 3.\n\nIt carries winmail.dat: look in the mailbox."),
        (HEAD + nested(100, WORDS), "Please come at 3."),
        (HEAD + nested(900, WORDS), LOOK),
        (HEAD + nested(5000, WORDS), LOOK),
        (HEAD + b"Content-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\n" * 300 + WORDS, LOOK),
        (HEAD + b"Content-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\n" + WORDS, "Please come at 3."),
        (HEAD + b"Subject: " + b"=?utf-8?q?x?= " * 100_000 + b"\r\n" + WORDS, "Please come at 3."),
        (HEAD + b"X-Long: y\r\n" * 50_000 + WORDS, "Please come at 3."),
        (HEAD + b"Content-Type: text/html\r\n\r\n<p>Please come at 3.</p>" + b"<script" * 100_000, "Please come at 3."),
        (HEAD + beside(WORDS, *[b""] * 100_000), "Please come at 3."),
        (HEAD + b"\r\n", LOOK),
    ],
)  # fmt: skip
def test_a_hostile_mail_is_shown_with_what_it_says_and_what_must_be_looked_for(raw: bytes, shown: str) -> None:
    began = time.process_time()
    mail = incoming.read(raw)
    assert (mail.sender, mail.automatic, mail.shown) == ("grace@example.com", "", shown)
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("sender", [b"(" * 100_000 + b"a@b.example", b'"\\"' * 100_000, b"a@b.example, " * 100_000])
def test_a_sender_without_an_end_is_read_in_time_and_nobody_is_answered_by_guessing(sender: bytes) -> None:
    began = time.process_time()
    mail = incoming.read(b"From: " + sender + b"\r\n" + WORDS)
    assert mail.sender == ("a@b.example" if sender.startswith(b"a@b") else "")
    assert mail.sender or mail.automatic == "it has nobody to answer to"
    assert not mailbox.proven(mail.message, "mx.example.com")
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-32", "idna", "punycode", "undefined", "unicode_escape", "rot13", "hex", "bogus", "utf-8\x00", "x" * 5000]
)  # fmt: skip
def test_a_wrong_charset_costs_no_words(charset: str) -> None:
    raw = (
        HEAD
        + f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
        + b"Come at 3, caf\xc3\xa9 \\N{ \xc3\xbc."
    )
    words = incoming.read(raw).words
    assert words.startswith("Come at 3, caf") and words.endswith(".") and len(words) < 30
    assert words == "Come at 3, café \\N{ ü." or charset in ("rot13", "hex", "bogus", "x" * 5000)
