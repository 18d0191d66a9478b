"""A mail server of its own process: writes every message it accepted, and when, into a folder.

python -m tests.sink PORT FOLDER
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import itertools
import os
import sys
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP


class Keep:
    """Accepts everything; a message is in the folder, synced, before the sender hears 250."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, itertools.count(1)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        fresh = self.folder / f".{next(self.count):05d}"
        with fresh.open("wb") as out:
            out.write(f"X-Envelope-To: {','.join(envelope.rcpt_tos)}\r\n".encode() + envelope.content)
            out.flush()
            os.fsync(out.fileno())
        fresh.rename(self.folder / f"{fresh.name[1:]}.eml")
        return "250 kept"


def kept(folder: Path) -> list[EmailMessage]:
    """What the sink accepted so far, in order."""
    return [mail(f) for f in sorted(folder.glob("*.eml"))]


def mail(file: Path) -> EmailMessage:
    """One of them."""
    return email.message_from_bytes(file.read_bytes(), policy=email.policy.SMTP)  # type: ignore[return-value]


async def main(port: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    handler = Keep(folder)
    server = await loop.create_server(lambda: SMTP(handler, enable_SMTPUTF8=True), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
