"""What every transport takes, gives back and raises."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready: the bytes to hand over and the one address they go to.

    `key` is the same for every attempt of one logical message; `kind` and `at` only serve a file's name.
    """

    recipient: str
    sender: str
    body: bytes
    key: str
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider accepted it, under this name of theirs."""

    provider_id: str


class TransportError(Exception):
    """It was not accepted.

    permanent: it never will be; address: because of the recipient; uncertain: it may have been, nobody can say;
    outage: the way out is closed for every message, and this one was not handed over at all.
    """

    def __init__(
        self,
        sentence: str,
        *,
        permanent: bool = False,
        address: bool = False,
        uncertain: bool = False,
        outage: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.sentence, self.permanent, self.address = sentence, permanent, address
        self.uncertain, self.outage = uncertain, outage


class Transport(Protocol):
    """A way out. Made once per worker; may keep a connection open."""

    name: str

    def send(self, envelope: Envelope) -> Receipt:
        """Hand one message over; returns when it was accepted. Raises TransportError."""
        ...

    def close(self) -> None:
        """Let go of what was kept open."""
        ...
