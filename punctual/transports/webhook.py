"""Texts through any provider that takes a JSON POST: a template of the company's, signed as Standard Webhooks says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Collection
from typing import Any

import httpx2

from punctual import clock
from punctual.config import Settings
from punctual.transports.envelope import CannotTell, Envelope, Receipt, TransportError
from punctual.transports.heard import ORDER, Call, NotGenuine, Progress, Text, Unreadable

TIMEOUT_S = 10.0
#: A signed call older than this many real seconds is a replay.
FRESH_S = 300.0
PLACEHOLDER = re.compile(r"\{(to|from|text|attempt|callback|valid_s)\}")


class WebhookTransport:
    """Posts the company's template; the receiver may take the same `webhook-id` twice and deliver it once."""

    name = "webhook"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: httpx2.Client | None = None

    def send(self, envelope: Envelope) -> Receipt:
        """Post it; any 2xx means accepted."""
        body = filled(self.settings, envelope)
        id_, stamp = f"text-{envelope.attempt}-{envelope.key}"[:120], str(int(_now()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self.settings.webhook_secret, id_, stamp, body),
        }
        if self.client is None:
            self.client = httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False)
        envelope.hold_on()
        try:
            answer = self.client.post(self.settings.webhook_url, content=body, headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.InvalidURL) as error:
            self.close()
            raise TransportError(f"The webhook cannot be reached: {type(error).__name__}.", outage=True) from error
        except httpx2.HTTPError as error:
            self.close()
            sentence = f"The webhook broke before it answered: {type(error).__name__}."
            raise TransportError(sentence, uncertain=True) from error
        if not answer.is_success:
            raise _refusal(answer)
        return Receipt(_id(answer) or id_)

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        """A webhook cannot be asked."""
        raise CannotTell

    def close(self) -> None:
        """End the connection."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def text(self, call: Call) -> Text:
        """A text that came in: {"id", "from", "text"}."""
        told = self._genuine(call)
        if not told.get("id") or not told.get("from"):
            raise Unreadable('A text needs "id" and "from".')
        return Text(str(told["id"]), str(told["from"]), str(told.get("text", "")), bool(told.get("answered")))

    def progress(self, call: Call) -> Progress:
        """How far a text got: {"id", "state", "code"}."""
        told = self._genuine(call)
        if not told.get("id") or str(told.get("state")) not in ORDER:
            raise Unreadable(f'A status needs "id" and "state", one of {", ".join(ORDER)}.')
        code = str(told.get("code", ""))
        return Progress(str(told["id"]), str(told["state"]), code, code in ("422", "address"), code == "alarm")

    def _genuine(self, call: Call) -> dict[str, Any]:
        id_, stamp = call.headers.get("webhook-id", ""), call.headers.get("webhook-timestamp", "")
        if not self.settings.webhook_secret or not stamp.isascii() or not stamp.isdecimal() or len(stamp) > 12:
            raise NotGenuine
        wanted = signature(self.settings.webhook_secret, id_, stamp, call.body).encode()
        given = call.headers.get("webhook-signature", "").encode("utf-8", "replace").split(b" ")
        if abs(_now() - int(stamp)) > FRESH_S or not any(hmac.compare_digest(wanted, one) for one in given):
            raise NotGenuine
        try:
            told = json.loads(call.body)
        except (ValueError, RecursionError) as error:
            raise Unreadable("This is not JSON.") from error
        if not isinstance(told, dict):
            raise Unreadable("Send one JSON object.")
        return told


def filled(settings: Settings, envelope: Envelope) -> bytes:
    """The template with its placeholders replaced, once and plainly; values are escaped as JSON strings are."""
    values = {
        "to": envelope.recipient,
        "from": envelope.sender,
        "text": envelope.body.decode(),
        "attempt": str(envelope.attempt),
        "callback": f"{settings.origin}/in/webhook/status/{envelope.attempt}",
        "valid_s": str(envelope.valid_s),
    }
    made = PLACEHOLDER.sub(lambda m: json.dumps(values[m[1]], ensure_ascii=False)[1:-1], settings.webhook_template)
    return made.encode()


def signature(secret: str, id_: str, stamp: str, body: bytes) -> str:
    """v1,base64(HMAC-SHA256(secret, "id.timestamp.body")), as Standard Webhooks has it."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = secret.encode()
    made = hmac.new(key, f"{id_}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(made).decode()


def _now() -> float:
    """Seconds of the machine's own clock: what the other side compares with."""
    return clock.machine(clock.now()).timestamp()


def _id(answer: httpx2.Response) -> str:
    """The receiver's own name for it, where it gives one."""
    try:
        told = answer.json()
    except ValueError:
        return ""
    return str(told.get("id") or told.get("sid") or "")[:120] if isinstance(told, dict) else ""


def _refusal(answer: httpx2.Response) -> TransportError:
    status = answer.status_code
    sentence = f"The webhook answered {status}."
    if status in (408, 425, 429):
        return TransportError(sentence)
    if status == 503:
        return TransportError(sentence, outage=True)
    if status >= 500:
        return TransportError(sentence, uncertain=True)
    if status == 422:
        return TransportError(sentence, permanent=True, address=True, code=str(status))
    if status == 400 or status == 413:
        return TransportError(sentence, permanent=True, code=str(status))
    return TransportError(
        f"{sentence} Check webhook_url and webhook_secret.", outage=True, alarm=True, code=str(status)
    )
