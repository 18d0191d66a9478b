"""Texts through a webhook: the company's template filled in plainly, signed as Standard Webhooks has it, both ways."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from punctual import clock
from punctual.config import Settings
from punctual.transports import Call, CannotTell, Envelope, NotGenuine, TransportError, Unreadable
from punctual.transports.webhook import WebhookTransport, signature
from tests import provider

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
NASTY = 'Tom says "{to}" \\ \n {{ 7*7 }}'


@pytest.fixture
def there(tmp_path: Path) -> Iterator[provider.Provider]:
    with provider.running(tmp_path / "provider") as server:
        yield server


@pytest.fixture
def way(there: provider.Provider) -> Iterator[WebhookTransport]:
    made = transport(there.url)
    yield made
    made.close()


def transport(url: str, **values: object) -> WebhookTransport:
    given = {"webhook_secret": SECRET, "origin": "https://visits.example.com"} | values
    return WebhookTransport(Settings(webhook_url=f"{url}/hook", **given))  # type: ignore[arg-type]


def envelope(words: str = "We are late.") -> Envelope:
    return Envelope("+447700900117", "Bellweather", words.encode(), "k", "late_first", clock.now(), 7, 300)


def test_the_template_is_filled_in_plainly(way: WebhookTransport, there: provider.Provider) -> None:
    way.send(envelope(NASTY))
    (sent,) = there.accepted()
    assert (sent["to"], sent["from"], sent["text"]) == ("+447700900117", "Bellweather", NASTY)


def test_a_company_writes_the_shape_its_provider_wants(there: provider.Provider) -> None:
    shape = '{"messages": [{"destinations": [{"to": "{to}"}], "text": "{text}", "notifyUrl": "{callback}"}]}'
    way = transport(there.url, webhook_template=shape)
    way.send(envelope())
    way.close()
    (message,) = there.accepted()[0]["messages"]  # type: ignore[misc]
    assert message == {  # type: ignore[comparison-overlap]
        "destinations": [{"to": "+447700900117"}],
        "text": "We are late.",
        "notifyUrl": "https://visits.example.com/in/webhook/status/7",
    }


def test_it_is_signed_as_standard_webhooks_has_it(way: WebhookTransport, there: provider.Provider) -> None:
    way.send(envelope())
    (sent,) = there.accepted()
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.{sent['raw']}".encode()
    made = hmac.new(b"0123456789abcdef0123456789abcdef", signed, hashlib.sha256).digest()
    assert sent["webhook-signature"] == "v1," + base64.b64encode(made).decode()


def test_a_resend_has_the_same_id_so_that_the_receiver_can_tell(
    way: WebhookTransport, there: provider.Provider
) -> None:
    sent = envelope()
    way.send(sent)
    way.send(sent)
    assert len({m["webhook-id"] for m in there.accepted()}) == 1


@pytest.mark.parametrize(
    ("step", "means"),
    [
        ("422", {"permanent", "address"}),
        ("400", {"permanent"}),
        ("401", {"outage", "alarm"}),
        ("410", {"outage", "alarm"}),
        ("429", set()),
        ("503", {"outage"}),
        ("500", {"uncertain"}),
        ("drop", {"uncertain"}),
    ],
)
def test_each_answer_means_something(
    way: WebhookTransport, there: provider.Provider, step: str, means: set[str]
) -> None:
    there.plan(step)
    with pytest.raises(TransportError) as caught:
        way.send(envelope())
    names = ("permanent", "address", "uncertain", "outage", "alarm")
    assert {n for n in names if getattr(caught.value, n)} == means


def test_nobody_can_be_asked(way: WebhookTransport) -> None:
    with pytest.raises(CannotTell):
        way.find(envelope(), ())


def call(told: object, *, age: float = 0.0, secret: str = SECRET, **headers: str) -> Call:
    body, stamp = json.dumps(told).encode(), str(int(clock.now().timestamp() - age))
    signed = {"webhook-id": "m1", "webhook-timestamp": stamp, "webhook-signature": signature(secret, "m1", stamp, body)}
    return Call("https://visits.example.com/in/webhook/text", signed | headers, body)


def test_a_signed_text_and_a_signed_status_are_read(way: WebhookTransport) -> None:
    got = way.text(call({"id": "t1", "from": "+447700900117", "text": "2"}))
    assert (got.id, got.sender, got.words) == ("t1", "+447700900117", "2")
    done = way.progress(call({"id": "m9", "state": "undelivered", "code": "address"}))
    assert (done.state, done.address, done.alarm) == ("undelivered", True, False)
    with pytest.raises(Unreadable):
        way.progress(call({"id": "m9", "state": ["undelivered"]}))


@pytest.mark.parametrize(
    "forged",
    [
        call({"id": "t1", "from": "+44"}, secret="whsec_AAAA"),
        call({"id": "t1", "from": "+44"}, age=400),
        call({"id": "t1", "from": "+44"}, **{"webhook-id": "m2"}),
        call({"id": "t1", "from": "+44"}, **{"webhook-timestamp": "soon"}),
        call({"id": "t1", "from": "+44"}, **{"webhook-signature": ""}),
        Call("https://visits.example.com/in/webhook/text", {}, b"{}"),
    ],
)
def test_a_forged_or_an_old_call_is_refused(way: WebhookTransport, forged: Call) -> None:
    with pytest.raises(NotGenuine):
        way.text(forged)


@pytest.mark.parametrize("told", [[], {"from": "+44"}, {"id": "t1"}, "x"])
def test_a_signed_call_that_makes_no_sense_says_so(way: WebhookTransport, told: object) -> None:
    with pytest.raises(Unreadable):
        way.text(call(told))
