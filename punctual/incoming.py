"""A raw mail that came in, read: a bounce, an automatic answer, or a person's words. No tables, and nothing raises."""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from html import unescape
from itertools import islice

#: More than this of a mail, more parts, and more of a header are not looked at; more words are not kept.
LONGEST, PARTS, HEADER, WORDS = 2 * 2**20, 200, 2000, 4000
#: Boundaries of a mail that are looked for: a reader spends most on those of empty parts.
BOUNDARIES = 2000
#: The name of a charset; what Python knows as encodings and no mail is written in forgets what follows an error.
CHARSET = re.compile(r"(?!idna|punycode|undefined|(raw_)?unicode.escape)[a-z0-9][\w.:+-]{0,39}", re.ASCII)
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
    person's; `refers` are the Message-IDs it is about; `attached` names the files it carries; `message` is what the
    parts are taken from."""

    id: str
    sender: str
    subject: str
    words: str
    automatic: str
    refers: tuple[str, ...]
    bounces: tuple[Bounce, ...]
    attached: tuple[str, ...]
    message: Message

    @property
    def shown(self) -> str:
        """Its words for the person who reads it, and what they must look for in the mailbox because it is not kept."""
        if self.attached:
            files = f"It carries {', '.join(self.attached)}: look in the mailbox."
            return f"{self.words}\n\n{files}" if self.words else f"It holds no words. {files}"
        return self.words or "It holds no words that can be read: look in the mailbox."


def read(raw: bytes) -> Mail:
    """Read a mail, however broken it is."""
    raw = _some(raw[:LONGEST])
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
        attached=_attached(parts),
        message=message,
    )


def _some(raw: bytes) -> bytes:
    """The mail up to the last boundary that is looked for."""
    lines = (m.start() for m in re.finditer(rb"^--", raw, re.MULTILINE))
    return raw[: next(islice(lines, BOUNDARIES, None), len(raw))]


def _parts(message: Message) -> Iterator[Message]:
    """Every part, outer ones first, up to PARTS of them."""
    waiting = [message]
    for _ in range(PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        yield part
        waiting += _inside(part)


def _inside(part: Message) -> list[Message]:
    """The parts of a part. Asked for the text of a single one, the library stumbles over its charset."""
    inner = part.get_payload() if part.is_multipart() else None
    return [p for p in inner if isinstance(p, Message)] if isinstance(inner, list) else []


def _attached(parts: list[Message]) -> tuple[str, ...]:
    """The names of the files a mail carries: not its words, answers of calendars, other mails, pictures inside its words."""
    names = []
    for part in (p for p in parts if not p.is_multipart()):
        kind, inside = part.get_content_type(), part.get_content_disposition() == "inline" or part.get("Content-ID")
        words = kind.startswith("text/") and part.get_content_disposition() != "attachment"
        if not (words or kind in SPOKEN or kind.startswith("message/") or (kind.startswith("image/") and inside)):
            names.append(_name(part.get_filename) or _name(part.get_content_type))
    return tuple(dict.fromkeys(names))[:10]


#: Parts whose words are taken elsewhere.
SPOKEN = ("text/calendar", "application/ics", "text/rfc822-headers")


def _name(asked: Callable[[], str | None]) -> str:
    try:
        given = asked() or ""
    except (ValueError, LookupError, TypeError, IndexError):
        return ""
    return re.sub(r"[^\w ./()-]", "", " ".join(given.split()))[:60].strip()


def _payload(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


def _text(message: Message, name: str) -> str:
    """A header as people read it: decoded, on one line."""
    given = _header(message, name)
    with suppress(HeaderParseError, LookupError, ValueError, UnicodeError):  # else it is shown as it came
        given = str(make_header(decode_header(given)))
    return " ".join(given.replace("\x00", "").encode("utf-8", "replace").decode().split())


def _header(message: Message, name: str, longest: int = HEADER) -> str:
    return str(message.get(name) or "")[:longest].replace("\x00", "")


def _address(message: Message, name: str) -> str:
    try:
        found = [spec for _, spec in getaddresses([_header(message, name)]) if "@" in spec]
    except (ValueError, IndexError, TypeError, RecursionError):
        found = []
    return found[0][:254].lower().encode("utf-8", "replace").decode() if found else ""


def _ids(message: Message, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i for n in names for i in _ID.findall(_header(message, n, LONGEST))[-20:]))


def _original(part: Message) -> Iterator[str]:
    """The Message-ID of the mail a bounce gives back: whole, or as headers alone."""
    if part.get_content_type() == "text/rfc822-headers":
        yield from _ids(email.message_from_string(_decoded(part)), "Message-ID")
    elif part.get_content_type() == "message/rfc822":
        for inner in _inside(part)[:1]:
            yield from _ids(inner, "Message-ID")


def _bounces(part: Message) -> Iterator[Bounce]:
    """The groups of a delivery status after the first one, one a recipient."""
    for group in _inside(part):
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
    return decoded(given, str(part.get_content_charset() or "utf-8"))


def decoded(given: bytes, charset: str) -> str:
    """The words in a charset, or in what they can only be: nothing is said wrongly about UTF-8, and Latin-1 reads all."""
    try:
        if not CHARSET.fullmatch(charset) or (charset.startswith(("utf-16", "utf-32")) and b"\0" not in given):
            return given.decode()
        return given.decode(charset, "replace")
    except (LookupError, UnicodeError):
        return given.decode("latin-1")


def _words(parts: list[Message]) -> str:
    """What the person wrote: the first plain part without what it quotes, else the HTML without its tags."""
    for wanted in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == wanted and part.get_content_disposition() != "attachment":
                text = _decoded(part)[: 20 * WORDS].replace("\x00", "")
                return _own(unescape(_bare(text)) if wanted == "text/html" else text)
    return ""


def _bare(html: str) -> str:
    """HTML without its tags, and without what is inside scripts and styles; once through, whatever it holds."""
    kept, at, low = [], 0, html.lower()
    while (begin := low.find("<", at)) >= 0:
        kept.append(html[at:begin])
        name = next((n for n in ("script", "style") if low.startswith(n, begin + 1)), "")
        end = low.find(f"</{name}" if name else ">", begin)
        end = low.find(">", end) if name and end >= 0 else end
        if end < 0:
            return " ".join(kept)
        at = end + 1
    return " ".join([*kept, html[at:]])


def _own(text: str) -> str:
    kept: list[str] = []
    for line in text.splitlines():
        if _QUOTE.match(line.strip()):
            break
        kept.append(line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
