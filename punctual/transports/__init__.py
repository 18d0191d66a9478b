"""The ways out: one file each, one line each in TRANSPORTS."""

from __future__ import annotations

from collections.abc import Callable

from punctual.config import Settings
from punctual.transports import file, smtp
from punctual.transports.envelope import CannotTell, Envelope, Overtaken, Receipt, Transport, TransportError

#: name of a transport -> what makes it
TRANSPORTS: dict[str, Callable[[Settings], Transport]] = {
    "file": file.FileTransport,
    "smtp": smtp.SmtpTransport,
}


def ways(settings: Settings) -> dict[str, Transport]:
    """The way out of each channel that is set up."""
    return {"email": TRANSPORTS[settings.mail](settings)}


__all__ = ["TRANSPORTS", "CannotTell", "Envelope", "Overtaken", "Receipt", "Transport", "TransportError", "ways"]
