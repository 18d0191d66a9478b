"""The ways out: one file each, one line each in TRANSPORTS."""

from __future__ import annotations

from collections.abc import Callable

from punctual.config import Settings
from punctual.transports import file, smtp
from punctual.transports.envelope import Envelope, Receipt, Transport, TransportError

#: name of the setting `mail` -> what makes the transport
TRANSPORTS: dict[str, Callable[[Settings], Transport]] = {
    "file": file.FileTransport,
    "smtp": smtp.SmtpTransport,
}

__all__ = ["TRANSPORTS", "Envelope", "Receipt", "Transport", "TransportError"]
