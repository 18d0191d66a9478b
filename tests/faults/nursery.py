"""A process that gives birth to senders in milliseconds: they are killed by the hundred.

On its line it is told the setting `fault` of one sender, or nothing, forks a worker for it and answers with its process
id. The variant is "" for the product, or one of the broken ones that a test must catch.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection

from sqlalchemy.orm import configure_mappers

from punctual import acceptance, config, deliver, fault, outbox, sender
from punctual.actions import transaction
from punctual.app import create_app
from punctual.models import Attempt
from punctual.sender import Way
from punctual.transports import Envelope, Receipt, TransportError
from punctual.worker import Worker
from tests.forked import answer

#: Real seconds a claim holds here; a test cannot wait two minutes for each.
LEASE_S = 2.0

configure_mappers()  # once, not in every child


class ProviderTransport:
    """The client of tests.faults.truth's provider."""

    name = "provider"

    def __init__(self, port: int) -> None:
        self.port, self.line = port, None

    def ask(self, **values: object) -> dict[str, object]:
        try:
            if self.line is None:
                self.line = socket.create_connection(("127.0.0.1", self.port), timeout=5).makefile("rwb")
            self.line.write(json.dumps(values).encode() + b"\n")
            self.line.flush()
            answer = self.line.readline()
        except OSError as error:
            self.close()
            raise TransportError("The provider does not answer.", uncertain=True) from error
        if not answer:
            self.close()
            raise TransportError("The provider hung up.", uncertain=True)
        found: dict[str, object] = json.loads(answer)
        return found

    def send(self, envelope: Envelope) -> Receipt:
        envelope.hold_on()
        answer = self.ask(op="send", to=envelope.recipient, body=envelope.body.decode("latin-1"))
        if "error" in answer:
            code = int(str(answer["error"]))
            raise TransportError(f"The provider answered {code}.", permanent=code == 400, uncertain=code == 503)
        return Receipt(str(answer["id"]))

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        answer = self.ask(op="find", to=sent.recipient, body=sent.body.decode("latin-1"))
        return Receipt(str(answer["id"])) if answer["id"] else None

    def close(self) -> None:
        self.line = None


class MarksFirst(sender.Sender):
    """Broken on purpose: the message is marked as sent before it is handed over."""

    def _hand_over(self, way: Way, ready: deliver.Ready, at: datetime) -> Receipt | None:
        with transaction() as s:
            acceptance.accepted(s, ready.attempt_id, Receipt("marked first"), at=at)
        fault.reach("handed_over")
        return super()._hand_over(way, ready, at)


class SendsFirst(sender.Sender):
    """Broken on purpose: nothing is kept of a message before it is handed over, so nobody asks what became of it. What was
    written together with it and did not leave is in doubt as ever."""

    def _hand_over(self, way: Way, ready: deliver.Ready, at: datetime) -> Receipt | None:
        if ready.doubt:
            return super()._hand_over(way, ready, at)
        with transaction() as s:
            s.get_one(Attempt, ready.attempt_id).state = "refused"
        receipt = super()._hand_over(way, ready, at)
        fault.reach("handed_over")
        with transaction() as s:
            s.get_one(Attempt, ready.attempt_id).state = "intent"
        return receipt


VARIANTS: dict[str, type[sender.Sender]] = {"": sender.Sender, "marks-first": MarksFirst, "sends-first": SendsFirst}


def live(variant: str, spec: str) -> None:
    """One sender, until it is killed or told to end."""
    os.setsid()
    app = create_app()
    fault.configure(spec)
    made = Worker(app)
    made.sender = VARIANTS[variant](app, made.name)
    if port := os.environ.get("PROVIDER_PORT"):
        made.sender.ways = {"email": Way(ProviderTransport(int(port)))}
    made.run()


def main(variant: str, line: Connection) -> None:
    outbox.LEASE_S = LEASE_S
    sender.PAUSES_S = (0.2, 0.4)
    deliver.BACKOFF_S = (0.6, 1.0, 2.0, 2.0)
    config.load()
    answer(line, partial(live, variant))
