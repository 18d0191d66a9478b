"""A folder as the way out: one .eml a mail, one .txt a text, named by time, kind and recipient. The default, and what tests read."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from punctual.config import Settings
from punctual.transports.envelope import Envelope, Overtaken, Receipt, TransportError


class FileTransport:
    """Writes whole files only: a reader never sees half a mail, and the same message again replaces itself."""

    name = "file"

    def __init__(self, settings: Settings) -> None:
        self.folder: Path = settings.outbox_folder

    def send(self, envelope: Envelope) -> Receipt:
        """Write and sync the file; its name is the receipt."""
        name = _name(envelope)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = self.folder / f".{name}"
            with fresh.open("wb") as out:
                out.write(envelope.body)
                out.flush()
                os.fsync(out.fileno())
            envelope.hold_on()
            fresh.replace(self.folder / name)
        except Overtaken:
            fresh.unlink()
            raise
        except OSError as error:
            raise TransportError(f"The outbox folder cannot be written: {error.strerror}.", outage=True) from error
        return Receipt(name)

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        """Look into the folder: the whole file is there, or nothing is."""
        name = _name(sent)
        return Receipt(name) if (self.folder / name).is_file() else None

    def close(self) -> None:
        """Nothing is kept open."""


def _name(envelope: Envelope) -> str:
    to = re.sub(r"[^\w.@-]", "_", envelope.recipient)[:60]
    kind = "txt" if envelope.recipient.startswith("+") else "eml"
    return f"{envelope.at:%Y%m%dT%H%M%S}-{envelope.kind}-{to}-{envelope.key[:8]}.{kind}"
