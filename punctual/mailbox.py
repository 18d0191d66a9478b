"""Mails that came in: from an IMAP folder, or piped in - and whether the sender's own domain vouches for one."""

from __future__ import annotations

import email.utils
import imaplib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message

from punctual.config import Settings

#: Larger mails are left in the mailbox, unread, for a person; more than so many are left for the next look.
LARGEST, BATCH = 4 * 2**20, 50
TIMEOUT_S = 20.0
#: More of a header is not read.
HEADER = 2000
_RESULT = re.compile(r"\b(dkim|dmarc)\s*=\s*pass\b([^;]*)", re.IGNORECASE)
_DOMAIN = re.compile(r"\bheader\.(?:d|i|from)\s*=\s*\"?@?([\w.-]+(?:@[\w.-]+)?)", re.IGNORECASE)


class Unreachable(OSError):
    """The mailbox cannot be read now; the message says why."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One unread mail and its number in the mailbox."""

    uid: str
    raw: bytes


@contextmanager
def opened(settings: Settings) -> Iterator[imaplib.IMAP4]:
    """The folder of answers, signed in; raises Unreachable in a sentence."""
    try:
        box = _connected(settings)
    except (OSError, imaplib.IMAP4.error) as error:
        raise Unreachable(f"The mailbox at {settings.imap_host} cannot be opened: {error}.") from error
    try:
        yield box
    except (OSError, imaplib.IMAP4.error) as error:
        raise Unreachable(f"The mailbox at {settings.imap_host} broke off: {error}.") from error
    finally:
        with suppress(OSError, imaplib.IMAP4.error):
            box.logout()


def _connected(settings: Settings) -> imaplib.IMAP4:
    context = ssl.create_default_context()
    if settings.imap_tls == "tls":
        box: imaplib.IMAP4 = imaplib.IMAP4_SSL(
            settings.imap_host, settings.imap_port, ssl_context=context, timeout=TIMEOUT_S
        )
    else:
        box = imaplib.IMAP4(settings.imap_host, settings.imap_port, timeout=TIMEOUT_S)
    try:
        if settings.imap_tls == "starttls":
            box.starttls(context)
        box.login(settings.imap_user, settings.imap_password)
        answer, data = box.select(f'"{settings.imap_folder}"')
        if answer != "OK":
            raise imaplib.IMAP4.error(f"there is no folder {settings.imap_folder} ({data!r})")
    except (OSError, imaplib.IMAP4.error):
        box.shutdown()
        raise
    return box


def unread(box: imaplib.IMAP4) -> Iterator[Waiting]:
    """The oldest unread mails, left unread: `done` marks one when it has been kept."""
    _, found = box.uid("SEARCH", "UNSEEN", "SMALLER", str(LARGEST))
    for uid in (found[0] or b"").split()[:BATCH]:
        _, parts = box.uid("FETCH", uid.decode(), "(BODY.PEEK[])")
        raw = next((p[1] for p in parts if isinstance(p, tuple)), None)
        if raw is not None:
            yield Waiting(uid.decode(), raw)


def done(box: imaplib.IMAP4, mail: Waiting) -> None:
    """It has been kept: read."""
    box.uid("STORE", mail.uid, "+FLAGS", r"(\Seen)")


def proven(message: Message, server: str) -> bool:
    """Does our own mail server say that the sender's domain signed this mail (aligned DKIM, or DMARC)?

    `server` is the name our server writes into Authentication-Results; only its newest line counts, for it strips
    others that bear its name. Without a name nothing is proven.
    """
    lines = message.get_all("Authentication-Results") or []
    name, _, results = str(lines[0]).partition(";") if lines else ("", "", "")
    words = name.split()
    if not server or not words or words[0].lower() != server.lower():
        return False
    senders = message.get_all("From") or []
    domain = email.utils.parseaddr(str(senders[0])[:HEADER])[1].rpartition("@")[2].lower() if len(senders) == 1 else ""
    signed = {d.rpartition("@")[2].lower() for m in _RESULT.finditer(results) for d in _DOMAIN.findall(m[2])}
    return bool(domain) and any(d == domain or domain.endswith(f".{d}") for d in signed if "." in d)
