"""A raw mail that came in, read: a bounce, an automatic answer, or a person's words. No tables, and nothing raises."""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from html import unescape

#: More than this of a mail, and more parts, are not looked at.
LONGEST, PARTS, WORDS = 2 * 2**20, 60, 4000
_ID = re.compile(r"<[^<>\s]{3,250}>")
_QUOTE = re.compile(
    r"^(?:>.*|-{2,} ?(?:Original|Ursprüngliche|Mensaje original).*|_{10,}|On .{5,120} wrote:|Am .{5,120} schrieb.*:"
    r"|El .{5,120} escribi[óo]:)$"
)


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a mail server says of one recipient (RFC 3464): action failed, delayed, delivered, relayed or expanded."""

    recipient: str
    action: str
    status: str
    words: str

    @property
    def final(self) -> bool:
        return self.action == "failed"

    @property
    def address_is_bad(self) -> bool:
        """Nothing will ever arrive there. A full box, a size and a policy are not the address's fault."""
        return self.final and self.status.startswith("5.") and not re.match(r"5\.(?:2\.[23]|3\.|7\.)", self.status)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail: `id` is the same whenever the same mail comes again; `automatic` says why it is never answered, "" for a
    person's; `refers` are the Message-IDs it is about; `message` is what the parts are taken from."""

    id: str
    sender: str
    subject: str
    words: str
    automatic: str
    refers: tuple[str, ...]
    bounces: tuple[Bounce, ...]
    message: Message


def read(raw: bytes) -> Mail:
    """Read a mail, however broken it is."""
    raw = raw[:LONGEST]
    try:
        message: Message = email.message_from_bytes(raw, policy=email.policy.compat32)
        parts = list(_parts(message))
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError, IndexError):
        message = email.message_from_bytes(raw[:20000].split(b"\n\n")[0] + b"\n\n", policy=email.policy.compat32)
        parts = [message]
    bounces = tuple(b for p in parts if p.get_content_type() == "message/delivery-status" for b in _bounces(p))
    refers = _ids(message, "In-Reply-To", "References")
    if bounces:
        refers = tuple(i for p in parts[1:] for i in _original(p)) or refers
    return Mail(
        id=hashlib.sha256(b"\n".join((_text(message, "Message-ID").encode(), _payload(raw)))).hexdigest(),
        sender=_address(message, "From"),
        subject=_text(message, "Subject")[:300],
        words=_words(parts)[:WORDS],
        automatic=_automatic(message, bool(bounces)),
        refers=refers,
        bounces=bounces,
        message=message,
    )


def _parts(message: Message) -> Iterator[Message]:
    """Every part, outer ones first, up to PARTS of them."""
    waiting = [message]
    for _ in range(PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        yield part
        inner = part.get_payload()
        if isinstance(inner, list):
            waiting += [p for p in inner if isinstance(p, Message)]


def _payload(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


def _text(message: Message, name: str) -> str:
    """A header as people read it: decoded, on one line."""
    given = str(message.get(name) or "")
    with suppress(HeaderParseError, LookupError, ValueError, UnicodeError):  # else it is shown as it came
        given = str(make_header(decode_header(given)))
    return " ".join(given.replace("\x00", "").encode("utf-8", "replace").decode().split())


def _address(message: Message, name: str) -> str:
    try:
        found = [spec for _, spec in getaddresses([str(message.get(name) or "")]) if "@" in spec]
    except (ValueError, IndexError, TypeError):
        found = []
    return found[0][:254].lower() if found else ""


def _ids(message: Message, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i for n in names for i in _ID.findall(str(message.get(n) or ""))[-20:]))


def _original(part: Message) -> Iterator[str]:
    """The Message-ID of the mail a bounce gives back: whole, or as headers alone."""
    if part.get_content_type() == "text/rfc822-headers":
        yield from _ids(email.message_from_string(_decoded(part)), "Message-ID")
    elif part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        if isinstance(inner, list) and inner and isinstance(inner[0], Message):
            yield from _ids(inner[0], "Message-ID")


def _bounces(part: Message) -> Iterator[Bounce]:
    """The groups of a delivery status after the first one, one a recipient."""
    groups = part.get_payload()
    for group in [g for g in groups if isinstance(g, Message)] if isinstance(groups, list) else []:
        recipient = _text(group, "Original-Recipient") or _text(group, "Final-Recipient")
        if recipient:
            spec = recipient.partition(";")[2].strip() or recipient
            status = re.match(r"[245]\.\d{1,3}\.\d{1,3}", _text(group, "Status"))
            words = _text(group, "Diagnostic-Code").partition(";")[2].strip()
            yield Bounce(spec.strip("<>").lower()[:254], _text(group, "Action").lower()[:20],
                         status[0] if status else "", words[:160])  # fmt: skip


def _automatic(message: Message, bounce: bool) -> str:
    """Why this must not be answered (RFC 3834, policy 1); "" where a person wrote."""
    submitted = _text(message, "Auto-Submitted").lower().partition(";")[0].strip()
    if bounce:
        return "it is a delivery report"
    if submitted not in ("", "no"):
        return f"it was submitted automatically ({submitted[:40]})"
    if _text(message, "Return-Path") == "<>" or not _address(message, "From"):
        return "it has nobody to answer to"
    if _text(message, "Precedence").lower() in ("bulk", "list", "junk"):
        return "it is bulk mail"
    if any(name.lower().startswith("list-") for name in message):
        return "it comes from a list"
    if message.get("X-Autoreply") or message.get("X-Autorespond"):
        return "it is an automatic reply"
    return ""


def _decoded(part: Message) -> str:
    given = part.get_payload(decode=True)
    if not isinstance(given, bytes):
        return ""
    try:
        return given.decode(str(part.get_content_charset() or "utf-8"), "replace")
    except LookupError:
        return given.decode("latin-1")


def _words(parts: list[Message]) -> str:
    """What the person wrote: the first plain part without what it quotes, else the HTML without its tags."""
    for wanted in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == wanted and part.get_content_disposition() != "attachment":
                text = _decoded(part)[: 20 * WORDS].replace("\x00", "")
                if wanted == "text/html":
                    text = unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]{0,2000}>", " ", text, flags=re.S | re.I))
                return _own(text)
    return ""


def _own(text: str) -> str:
    kept: list[str] = []
    for line in text.splitlines():
        if _QUOTE.match(line.strip()):
            break
        kept.append(line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
