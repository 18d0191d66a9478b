"""SMTP as the way out: one connection kept open, 4xx and 5xx told apart, an unanswered DATA is uncertain."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Collection
from functools import lru_cache

from punctual.config import Settings
from punctual.transports.envelope import CannotTell, Envelope, Overtaken, Receipt, TransportError

#: Seconds one step of the conversation may take; all of them together stay inside a message's lease.
TIMEOUT_S = 20.0
#: What a server answers that is about to hang up.
CLOSING = 421
#: What it answers when it waits for the message, and what is wanted of it before that.
GO_ON = 354
WANTED = ((250,), (250, 251), (GO_ON,))
#: Exactly one plain address: nothing that a server or a library could read as two.
ONE_ADDRESS = re.compile(r"[!#-'*+\-./-9=?A-Z^-~]+@[A-Za-z0-9.-]+", re.ASCII)


class SmtpTransport:
    """A client of one SMTP server; reconnects by itself when the server has hung up between two messages."""

    name = "smtp"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Whose certificates are believed is read once: that takes ten times as long as a mail.
        self.trust = None if settings.smtp_tls == "none" else ssl.create_default_context()
        self.client: smtplib.SMTP | None = None

    def _connect(self) -> smtplib.SMTP:
        s = self.settings
        try:
            if s.smtp_tls == "tls":
                client: smtplib.SMTP = smtplib.SMTP_SSL(s.smtp_host, s.smtp_port, timeout=TIMEOUT_S, context=self.trust)
            else:
                client = smtplib.SMTP(s.smtp_host, s.smtp_port, timeout=TIMEOUT_S)
        except (OSError, smtplib.SMTPException) as error:
            raise TransportError(
                f"The SMTP server {s.smtp_host}:{s.smtp_port} cannot be reached: {error}.", outage=True
            ) from error
        try:
            if s.smtp_tls == "starttls":
                client.starttls(context=self.trust)
            client.ehlo_or_helo_if_needed()
            if s.smtp_user:
                client.login(s.smtp_user, s.smtp_password)
        except smtplib.SMTPAuthenticationError as error:
            client.close()
            raise TransportError(
                "The SMTP server refuses the user name or password. Check them.", outage=True
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            client.close()
            raise TransportError(f"The SMTP server {s.smtp_host} does not let us in: {error}.", outage=True) from error
        return client

    def send(self, envelope: Envelope) -> Receipt:
        """One MAIL, exactly one RCPT, one DATA; after the last line without an answer nobody knows."""
        if not ONE_ADDRESS.fullmatch(envelope.recipient):
            raise TransportError("The address is not one a mail server takes.", permanent=True, address=True)
        client = self._begun(envelope)
        try:
            envelope.hold_on()
        except Overtaken:
            self._abandon()
            raise
        try:
            client.send(_dotted(envelope.body))
            code, answer = client.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise TransportError("The connection broke before the server answered.", uncertain=True) from error
        if code != 250:
            self._reset(client)
            raise _refusal(code, answer)
        return Receipt(answer.decode("utf-8", "replace")[:120])

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        """A mail server keeps no list that could be asked (RFC 1047)."""
        raise CannotTell

    def _begun(self, envelope: Envelope) -> smtplib.SMTP:
        """A server that waits for this message's lines. One that has hung up since the last is called again: nothing
        of this message was written yet."""
        kept = self.client is not None
        client = self.client = self.client or self._connect()
        try:
            self._begin(client, envelope)
        except TransportError:
            self._reset(client)
            raise
        except (OSError, smtplib.SMTPException) as error:
            self._abandon()
            if kept:
                return self._begun(envelope)
            raise TransportError(f"The connection broke before the message was written: {error}.") from error
        return client

    def _begin(self, client: smtplib.SMTP, envelope: Envelope) -> None:
        """All that goes before the message: at once where the server takes that (RFC 2920), so that it costs one way
        there and back instead of three."""
        sender = _quoted(envelope.sender)
        lines = (f"MAIL FROM:{sender}", f"RCPT TO:<{envelope.recipient}>", "DATA")
        together, refused = client.has_extn("pipelining"), None
        if together:
            client.send("".join(f"{line}\r\n" for line in lines))
        for line, wanted in zip(lines, WANTED, strict=True):
            code, answer = client.getreply() if together else client.docmd(line)
            if code == CLOSING:
                raise smtplib.SMTPServerDisconnected("the server ends the conversation")
            if refused is not None:
                if code == GO_ON:
                    self._abandon()  # it waits for a message that must not come
            elif code not in wanted:
                refused = _refusal(code, answer, address=line.startswith("RCPT"))
                if not together:
                    break
        if refused is not None:
            raise refused

    def _abandon(self) -> None:
        """Hang up in the middle: a server that waits for the message must not take the next command for it."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def _reset(self, client: smtplib.SMTP) -> None:
        """Ready for the next message; a server that has hung up is forgotten."""
        try:
            client.rset()
        except (OSError, smtplib.SMTPException):
            self.close()

    def close(self) -> None:
        """End the connection politely."""
        if self.client is not None:
            try:
                self.client.quit()
            except (OSError, smtplib.SMTPException):
                self.client.close()
            self.client = None


@lru_cache(maxsize=8)
def _quoted(sender: str) -> str:
    return smtplib.quoteaddr(sender)


def _dotted(body: bytes) -> bytes:
    """The message as DATA carries it: CRLF, a line that starts with a dot has one more, a lone dot ends it."""
    lines = b"\n" + body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return lines.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")[2:].removesuffix(b"\r\n") + b"\r\n.\r\n"


def _refusal(code: int, answer: bytes | str, *, address: bool = False) -> TransportError:
    words = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    final = 500 <= code < 600
    return TransportError(f"The mail server answered {code}: {words}"[:400], permanent=final, address=final and address)
