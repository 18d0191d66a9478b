"""What a provider calls back with: a text that came in, or how far a text of ours got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

#: How far a text got, in order; the last ones are ends. A later call never takes it back (policy 1).
ORDER = {"queued": 0, "sending": 1, "sent": 2, "delivered": 3, "undelivered": 3, "failed": 3}


class NotGenuine(Exception):
    """The call was not signed by the provider: somebody else made it, or the secret or the address is set wrongly."""


class Unreadable(ValueError):
    """The call is genuine and makes no sense; a sentence."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came: the address the provider was told to call (never the Host header's), headers
    (names in small letters), body."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """A text somebody sent us. `id` is the provider's: the same again is the same text. `answered`: the provider has
    answered STOP, START or HELP itself already."""

    id: str
    sender: str
    words: str
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the text with this id of theirs got (a state that is not in ORDER says nothing); `code` is the
    provider's error, "" for none, and `means` what it says to a person, "" where that is not known.

    address: because of the number, which can get no texts; alarm: a person has to mend it before more are sent.
    """

    provider_id: str
    state: str
    code: str = ""
    address: bool = False
    alarm: bool = False
    means: str = ""

    @property
    def why(self) -> str:
        """The meaning and the code: "there is no such number (30005)"; "" where the provider says nothing."""
        return f"{self.means} ({self.code})" if self.means else self.code


@runtime_checkable
class Ear(Protocol):
    """The other direction of a way out for texts: each verifies and reads its own provider's calls."""

    def text(self, call: Call) -> Text:
        """A text that came in; raises NotGenuine or Unreadable."""
        ...

    def progress(self, call: Call) -> Progress:
        """How far a text of ours got; raises NotGenuine or Unreadable."""
        ...
