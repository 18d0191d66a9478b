"""Texts through Twilio: one POST a message, asked again by recipient, day and exact words, callbacks verified."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from punctual import clock
from punctual.config import Settings
from punctual.transports.envelope import Envelope, Receipt, TransportError
from punctual.transports.heard import Call, NotGenuine, Progress, Text, Unreadable

#: Seconds until an unanswered request is given up; far inside a message's lease.
TIMEOUT_S = 10.0
#: The number can never get a text: it is frozen (policy 1). 21610 and 21611: it asked the provider for no texts.
FROZEN = frozenset({"21211", "21610", "21614", "21635", "30005", "30006"})
#: The line is to be stopped: who we are is refused, the account is suspended, texts are filtered or not registered.
ALARM = frozenset({"20003", "20005", "20404", "21606", "21659", "21660", "21703", "30001", "30002", "30007", "30034"})
#: What a code of an undelivered text means to a person.
MEANS = {
    "30003": "the phone is off or out of reach",
    "30004": "the phone's owner or network blocks our texts",
    "30005": "there is no such number",
    "30006": "a landline, or a number no text reaches",
    "30007": "filtered by the network",
    "30008": "the network does not say why",
    "30034": "our number is not registered with the networks",
}
BUSY = frozenset({"20429", "14107", "30022"})
#: Longest the provider may keep a text that has no limit of its own, and how far its clock may differ from ours.
LONGEST_S, SKEW = 14400, timedelta(seconds=90)
_STATES = {"accepted": "queued", "scheduled": "queued", "canceled": "failed", "read": "delivered"}


class TwilioTransport:
    """A client of one Twilio account; keeps its connection open."""

    name = "twilio"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.path = f"/2010-04-01/Accounts/{settings.twilio_account}/Messages.json"
        self.client: httpx2.Client | None = None

    def _ask(self, method: str, **fields: Any) -> httpx2.Response:
        """One request; what is raised says whether it may have been read."""
        s = self.settings
        if self.client is None:
            auth = (s.twilio_account, s.twilio_token)
            self.client = httpx2.Client(base_url=s.twilio_url, auth=auth, timeout=TIMEOUT_S)
        try:
            return self.client.request(method, self.path, **fields)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            self.close()
            raise TransportError(f"Twilio cannot be reached: {type(error).__name__}.", outage=True) from error
        except httpx2.HTTPError as error:
            self.close()
            sentence = f"The connection to Twilio broke before it answered: {type(error).__name__}."
            raise TransportError(sentence, uncertain=True) from error

    def send(self, envelope: Envelope) -> Receipt:
        """Create the message; returns when Twilio has queued it. Never retried here: the outbox does that."""
        s = self.settings
        form = {
            "To": envelope.recipient,
            "Body": envelope.body.decode(),
            "StatusCallback": f"{s.origin}/in/twilio/status/{envelope.attempt}",
            "ValidityPeriod": str(envelope.valid_s or LONGEST_S),
        }
        form |= {"MessagingServiceSid": s.twilio_service} if s.twilio_service else {"From": envelope.sender}
        envelope.hold_on()
        answer = self._ask("POST", data=form)
        if answer.status_code != 201:
            raise refusal(answer)
        made = _object(answer)
        code = str(made.get("error_code") or "")
        if code:
            raise by_code(code, str(made.get("error_message") or "refused at once"))
        return Receipt(str(made["sid"]))

    def find(self, sent: Envelope, taken: Collection[str]) -> Receipt | None:
        """The newest messages to that number, compared word by word; those of other attempts do not count.

        A message that Twilio has not sent yet has no DateSent, so that both lists are asked.
        """
        since = clock.machine(sent.at) - SKEW
        for more in ({"DateSent>": f"{since:%Y-%m-%dT%H:%M:%SZ}"}, {}):
            answer = self._ask("GET", params={"To": sent.recipient, "PageSize": "50", **more})
            if answer.status_code != 200:
                error = refusal(answer)
                raise TransportError(error.sentence, outage=True, alarm=error.alarm, code=error.code)
            for made in _object(answer).get("messages", []):
                if _is(made, sent, since) and made["sid"] not in taken:
                    return Receipt(str(made["sid"]))
        return None

    def close(self) -> None:
        """End the connection."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def text(self, call: Call) -> Text:
        """A text that came in; `answered` where the provider's own opt-out handling has replied."""
        form = self._genuine(call)
        sid, sender = form.get("MessageSid") or form.get("SmsSid", ""), form.get("From", "")
        if not sid or not sender:
            raise Unreadable("A text needs MessageSid and From.")
        return Text(sid, sender, form.get("Body", ""), bool(form.get("OptOutType")))

    def progress(self, call: Call) -> Progress:
        """How far a text got."""
        form = self._genuine(call)
        sid, state = form.get("MessageSid") or form.get("SmsSid", ""), form.get("MessageStatus", "")
        state = _STATES.get(state, state)
        if not sid or not state:
            raise Unreadable("A status needs MessageSid and MessageStatus.")
        code = form.get("ErrorCode", "")
        return Progress(sid, state, code, code in FROZEN, code in ALARM, MEANS.get(code, ""))

    def _genuine(self, call: Call) -> dict[str, str]:
        pairs = parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
        given = call.headers.get("x-twilio-signature", "")
        settings = call.headers.get("x-twilio-webhooks-signature-settings", "")
        token = self.settings.twilio_token
        if not token or not any(
            hmac.compare_digest(signature(token, url, pairs, settings).encode(), given.encode("utf-8", "replace"))
            for url in _with_and_without_port(call.url)
        ):
            raise NotGenuine
        return dict(pairs)


def signature(token: str, url: str, pairs: Collection[tuple[str, str]], settings: str = "") -> str:
    """What Twilio signs: the address it calls and every parameter, sorted, each value once; SHA-1 unless announced."""
    algorithm = dict(p.partition("=")[::2] for p in settings.replace(" ", "").split(",")).get("algorithm", "")
    digest = hashlib.sha256 if algorithm.upper() == "HMAC_SHA256" else hashlib.sha1
    words = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(token.encode(), words.encode(), digest).digest()).decode()


def _with_and_without_port(url: str) -> tuple[str, ...]:
    """Twilio signs with or without the port, one does not know which."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return tuple(parts._replace(netloc=n).geturl() for n in (host, f"{host}:{port}"))


def refusal(answer: httpx2.Response) -> TransportError:
    """What an answer that is no success means."""
    try:
        told = _object(answer)
    except TransportError:
        told = {}
    code, words = str(told.get("code") or ""), str(told.get("message") or f"HTTP {answer.status_code}")
    if answer.status_code == 429 or code in BUSY:
        return TransportError(f"Twilio is busy: {words}."[:300], code=code or "429")
    if answer.status_code == 503:
        return TransportError("Twilio is not available.", outage=True, code=code)
    if answer.status_code >= 500:  # it may have been taken before it failed: the outbox asks
        return TransportError(f"Twilio failed: {words}."[:300], uncertain=True, code=code)
    if answer.status_code in (401, 403, 404) or code in ALARM:
        return TransportError(f"Twilio refuses us: {words} ({code})."[:300], outage=True, alarm=True, code=code)
    return by_code(code, words)


def by_code(code: str, words: str) -> TransportError:
    """A final no, by the provider's code."""
    if code in ALARM:
        return TransportError(f"Twilio stopped it: {words} ({code})."[:300], outage=True, alarm=True, code=code)
    sentence = f"Twilio refused it: {words} ({code})."[:300]
    return TransportError(sentence, permanent=True, address=code in FROZEN, code=code)


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        made = answer.json()
    except ValueError as error:
        raise TransportError("Twilio's answer cannot be read.", uncertain=answer.status_code < 300) from error
    if not isinstance(made, dict) or (answer.status_code == 201 and not made.get("sid")):
        raise TransportError("Twilio's answer cannot be read.", uncertain=True)
    return made


def _is(made: dict[str, Any], sent: Envelope, since: datetime) -> bool:
    """Whether a listed message is this one: to that number, in these words, not older."""
    if made.get("to") != sent.recipient or made.get("body") != sent.body.decode():
        return False
    try:
        created = parsedate_to_datetime(str(made.get("date_created")))
    except ValueError:
        return False
    return str(made.get("direction", "")).startswith("outbound") and created >= since
