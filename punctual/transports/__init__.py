"""The ways out: one file each, one line each in TRANSPORTS."""

from __future__ import annotations

from collections.abc import Callable

from punctual.config import SettingError, Settings
from punctual.transports import file, smtp, twilio, webhook
from punctual.transports.envelope import CannotTell, Envelope, Overtaken, Receipt, Transport, TransportError
from punctual.transports.heard import ORDER, Call, Ear, NotGenuine, Progress, Text, Unreadable

#: name of a transport -> what makes it
TRANSPORTS: dict[str, Callable[[Settings], Transport]] = {
    "file": file.FileTransport,
    "smtp": smtp.SmtpTransport,
    "twilio": twilio.TwilioTransport,
    "webhook": webhook.WebhookTransport,
}


def ways(settings: Settings) -> dict[str, Transport]:
    """The way out of each channel that is set up; raises SettingError for a name that is none."""
    named = {"email": ("mail", settings.mail)} | ({"sms": ("sms", settings.sms)} if settings.sms else {})
    for setting, name in named.values():
        if name not in TRANSPORTS:
            raise SettingError(f'The setting {setting} is "{name}"; use one of {", ".join(TRANSPORTS)}.')
    return {channel: TRANSPORTS[name](settings) for channel, (_, name) in named.items()}


__all__ = [
    "ORDER",
    "TRANSPORTS",
    "Call",
    "CannotTell",
    "Ear",
    "Envelope",
    "NotGenuine",
    "Overtaken",
    "Progress",
    "Receipt",
    "Text",
    "Transport",
    "TransportError",
    "Unreadable",
    "ways",
]
