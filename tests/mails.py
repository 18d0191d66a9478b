"""Mails as they come in: a person's answer, and a delivery report about a mail of ours."""

from __future__ import annotations


def person(
    words: str, *headers: str, sender: str = "grace@example.com", about: str = "<ours@bellweather.example>"
) -> bytes:
    """A person's answer to a mail of ours."""
    lines = [
        f"From: Grace Whitfield <{sender}>",
        "To: visits@bellweather.example",
        "Subject: Re: New arrival time",
        "Message-ID: <theirs@example.com>",
        f"In-Reply-To: {about}",
        *headers,
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        *words.splitlines(),
    ]
    return "\r\n".join(lines).encode()


def dsn(
    about: str, *, status: str = "5.1.1", action: str = "failed", to: str = "grace@example.com", whole: bool = True
) -> bytes:
    """What a mail server sends when it could not deliver the mail with that Message-ID."""
    given_back = "message/rfc822" if whole else "text/rfc822-headers"
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.com
To: visits@bellweather.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <dsn-{status}@mx.example.com>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I could not deliver your mail.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
Arrival-Date: Tue, 24 Nov 2026 09:00:00 +0000

Final-Recipient: rfc822; {to}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 no such user

--b
Content-Type: {given_back}

From: Bellweather <visits@bellweather.example>
To: {to}
Subject: New arrival time
Message-ID: {about}

We are late.
--b--
""".replace("\n", "\r\n").encode()
