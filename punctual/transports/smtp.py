"""SMTP as the way out: one connection kept open, 4xx and 5xx told apart, an unanswered DATA is uncertain."""

from __future__ import annotations

import smtplib
import ssl

from punctual.config import Settings
from punctual.transports.envelope import Envelope, Receipt, TransportError

TIMEOUT_S = 15.0


class SmtpTransport:
    """A client of one SMTP server; reconnects by itself when the server has hung up between two messages."""

    name = "smtp"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: smtplib.SMTP | None = None

    def _connect(self) -> smtplib.SMTP:
        if self.client is not None:
            try:
                if self.client.noop()[0] == 250:
                    return self.client
            except (OSError, smtplib.SMTPException):
                pass  # hung up since the last message: connect again
            self.close()
        s = self.settings
        try:
            if s.smtp_tls == "tls":
                context = ssl.create_default_context()
                client: smtplib.SMTP = smtplib.SMTP_SSL(s.smtp_host, s.smtp_port, timeout=TIMEOUT_S, context=context)
            else:
                client = smtplib.SMTP(s.smtp_host, s.smtp_port, timeout=TIMEOUT_S)
            if s.smtp_tls == "starttls":
                client.starttls(context=ssl.create_default_context())
            if s.smtp_user:
                client.login(s.smtp_user, s.smtp_password)
        except smtplib.SMTPAuthenticationError as error:
            raise TransportError("The SMTP server refuses the user name or password. Check them.") from error
        except (OSError, smtplib.SMTPException) as error:
            raise TransportError(f"The SMTP server {s.smtp_host}:{s.smtp_port} cannot be reached: {error}.") from error
        self.client = client
        return client

    def send(self, envelope: Envelope) -> Receipt:
        """One MAIL, exactly one RCPT, one DATA."""
        client = self._connect()
        try:
            self._begin(client, envelope)
        except TransportError:
            client.rset()
            raise
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise TransportError(f"The connection broke before the message was written: {error}.") from error
        try:
            code, answer = client.data(envelope.body)
        except smtplib.SMTPDataError as error:
            raise _refusal(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise TransportError("The connection broke before the server answered.", uncertain=True) from error
        if code != 250:
            raise _refusal(code, answer)
        return Receipt(answer.decode("utf-8", "replace")[:120])

    def _begin(self, client: smtplib.SMTP, envelope: Envelope) -> None:
        code, answer = client.mail(envelope.sender)
        if code != 250:
            raise _refusal(code, answer)
        code, answer = client.rcpt(envelope.recipient)
        if code not in (250, 251):
            raise _refusal(code, answer, address=True)

    def close(self) -> None:
        """End the connection politely."""
        if self.client is not None:
            try:
                self.client.quit()
            except (OSError, smtplib.SMTPException):
                self.client.close()
            self.client = None


def _refusal(code: int, answer: bytes | str, *, address: bool = False) -> TransportError:
    words = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    final = 500 <= code < 600
    return TransportError(f"The mail server answered {code}: {words}"[:400], permanent=final, address=final and address)
