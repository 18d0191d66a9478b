"""What every transport takes, gives back and raises."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready: the bytes to hand over and the one address they go to.

    `body` is a whole mail, or a text as UTF-8. `key` is the same for every attempt of one logical message, `attempt` is
    the number of this one: what a provider calls back with. `at` is when it was written; `kind` serves a file's name.
    `valid_s`: real seconds after which the provider must not deliver it any more, 0 for no limit. `mine` is asked right
    before the last write: a worker that was frozen leaves the message to the one that took it over.
    """

    recipient: str
    sender: str
    body: bytes
    key: str
    kind: str
    at: datetime
    attempt: int = 0
    valid_s: int = 0
    mine: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)

    def hold_on(self) -> None:
        """Raises Overtaken when another worker may have taken this message over meanwhile."""
        if not self.mine():
            raise Overtaken


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider accepted it, under this name of theirs."""

    provider_id: str


class TransportError(Exception):
    """It was not accepted.

    permanent: it never will be; address: because of the recipient; uncertain: it may have been, nobody can say;
    outage: the way out is closed for every message, and this one was not handed over at all; alarm: a person has to
    mend it before anything goes there again. `code` is the provider's, "" for none.
    """

    def __init__(
        self,
        sentence: str,
        *,
        permanent: bool = False,
        address: bool = False,
        uncertain: bool = False,
        outage: bool = False,
        alarm: bool = False,
        code: str = "",
    ) -> None:
        super().__init__(sentence)
        self.sentence, self.permanent, self.address = sentence, permanent, address
        self.uncertain, self.outage, self.alarm, self.code = uncertain, outage, alarm, code


class Overtaken(Exception):
    """This worker was away too long: nothing was handed over, the message is left to others."""


class CannotTell(Exception):
    """There is nobody to ask what became of a message (SMTP): the message's kind decides what is done."""


class Transport(Protocol):
    """A way out. Made once per worker; may keep a connection open."""

    name: str

    def send(self, envelope: Envelope) -> Receipt:
        """Hand one message over; returns when it was accepted. Calls `envelope.hold_on()` before the write that cannot be
        taken back. Raises TransportError."""
        ...

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        """What became of an envelope whose answer never came: its receipt, or None when it was surely not accepted.

        Asked by recipient, time (not before `sent.at`) and exact text; `taken` are provider ids that belong to other
        attempts. Raises CannotTell where nobody can ever be asked, TransportError where the provider does not answer
        now: it is asked again later.
        """
        ...

    def close(self) -> None:
        """Let go of what was kept open."""
        ...
