"""The mailbox customers answer to: read in order, marked only when kept, and who is proven to have sent a mail."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_string

import pytest

from punctual import mailbox
from punctual.config import Settings
from tests import imap


def settings(folder: imap.Folder) -> Settings:
    return replace(
        Settings(), imap_host="127.0.0.1", imap_port=folder.port, imap_user="visits", imap_password="secret",
        imap_tls="none",
    )  # fmt: skip


def test_unread_mails_come_in_order_and_are_marked_only_when_they_were_kept() -> None:
    with imap.serving() as folder:
        folder.add(b"Subject: one\r\n\r\n1\r\n")
        folder.add(b"Subject: two\r\n\r\n2\r\n")
        with mailbox.opened(settings(folder)) as box:
            first = next(mailbox.unread(box))
            assert first.raw.startswith(b"Subject: one") and folder.seen == set(), "reading alone marks nothing"
            mailbox.done(box, first)
        with mailbox.opened(settings(folder)) as box:
            assert [m.raw[9:12] for m in mailbox.unread(box)] == [b"two"]
        assert folder.asked[-1] == "LOGOUT"


def test_a_mail_too_large_is_left_for_a_person() -> None:
    with imap.serving() as folder:
        folder.add(b"x" * (mailbox.LARGEST + 1))
        with mailbox.opened(settings(folder)) as box:
            assert list(mailbox.unread(box)) == []


def test_a_mailbox_that_does_not_answer_is_said_in_a_sentence() -> None:
    with imap.serving() as folder:
        wrong = replace(settings(folder), imap_password="guess")
        with pytest.raises(mailbox.Unreachable, match=r"127\.0\.0\.1 cannot be opened"), mailbox.opened(wrong):
            pass
        port = folder.port
    gone = replace(Settings(), imap_host="127.0.0.1", imap_port=port, imap_tls="none")
    with pytest.raises(mailbox.Unreachable), mailbox.opened(gone):
        pass


GOOD = "mx.bellweather.example; dkim=pass header.d=example.com; spf=pass"


@pytest.mark.parametrize(
    ("results", "sender", "said"),
    [
        ([GOOD], "grace@example.com", True),
        ([GOOD], "Grace <grace@mail.example.com>", True),
        (["mx.bellweather.example; dmarc=pass header.from=example.com"], "grace@example.com", True),
        ([GOOD], "grace@other.example", False),
        (["mx.bellweather.example; dkim=fail header.d=example.com"], "grace@example.com", False),
        (["mx.bellweather.example; spf=pass smtp.mailfrom=grace@example.com"], "grace@example.com", False),
        (["mx.evil.example; dkim=pass header.d=example.com"], "grace@example.com", False),
        (["mx.evil.example; none", GOOD], "grace@example.com", False),
        ([], "grace@example.com", False),
        (["mx.bellweather.example; dkim=pass header.d=com"], "grace@example.com", False),
    ],
)
def test_only_our_own_servers_word_about_the_senders_domain_proves_a_mail(
    results: list[str], sender: str, said: bool
) -> None:
    mail = message_from_string("".join(f"Authentication-Results: {r}\n" for r in results) + f"From: {sender}\n\nhi\n")
    assert mailbox.proven(mail, "mx.bellweather.example") is said
    assert not mailbox.proven(mail, ""), "without a name of our server nothing is proven"
