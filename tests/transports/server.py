"""A real SMTP server for tests, in a thread: keeps what it got, and misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.postgres import free_port


class Server:
    """What arrived (`kept`), how often somebody connected, and the answers it gives.

    `answers` maps an address to what RCPT answers; `data` is what DATA answers, "" hangs up before answering it;
    `silent`: it takes the message and never answers.
    """

    def __init__(self) -> None:
        self.kept: list[Envelope] = []
        self.answers: dict[str, str] = {}
        self.data = "250 kept as 7"
        self.connections = 0
        self.silent = False
        self.port = free_port()

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if not self.data or self.data.startswith("250"):
            self.kept.append(envelope)
        if self.silent:
            await asyncio.Event().wait()
        if not self.data:
            assert server.transport is not None
            server.transport.close()
        return self.data or "250 never heard"


def _sign_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"punctual", b"right")
    return AuthResult(success=known, handled=False)


@contextmanager
def running(*, sign_in: bool = False) -> Iterator[Server]:
    """A server on a free port of this machine until the block ends."""
    server = Server()
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        authenticator=_sign_in if sign_in else None,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
