"""Texts through Twilio: its published API, its official signatures, and what each of its answers means."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from punctual import clock
from punctual.config import Settings
from punctual.transports import Envelope, TransportError
from punctual.transports.heard import Call, NotGenuine, Unreadable
from punctual.transports.twilio import TwilioTransport, signature
from tests import provider
from tests.postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
PRISM = ROOT / ".test" / "node" / "node_modules" / ".bin" / "prism"
SPEC = ROOT / "tests" / "data" / "twilio" / "messages.json"
ACCOUNT, TOKEN = "AC" + "a" * 32, "12345"


MADE: list[TwilioTransport] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Connections end with their test."""
    yield
    while MADE:
        MADE.pop().close()


def transport(url: str, **values: object) -> TwilioTransport:
    given = {"twilio_account": ACCOUNT, "twilio_token": TOKEN, "origin": "https://visits.example.com"} | values
    MADE.append(TwilioTransport(Settings(twilio_url=url, **given)))  # type: ignore[arg-type]
    return MADE[-1]


def envelope(to: str = "+447700900117", words: str = "Bellweather: Grace, we are late.", **values: object) -> Envelope:
    given: dict[str, object] = {"attempt": 7, "valid_s": 300, "at": clock.now()} | values
    return Envelope(to, "+441174960118", words.encode(), "k", "late_first", **given)  # type: ignore[arg-type]


@pytest.fixture
def there(tmp_path: Path) -> Iterator[provider.Provider]:
    with provider.running(tmp_path / "provider") as server:
        yield server


def refusal(sent: TwilioTransport, what: Envelope | None = None) -> TransportError:
    with pytest.raises(TransportError) as caught:
        sent.send(what or envelope())
    return caught.value


# --- Twilio's own OpenAPI, served by Prism ----------------------------------------------------------------------------


@contextmanager
def prism() -> Iterator[str]:
    """Twilio's published API of messages on a free port; a request it does not allow is answered with 4xx."""
    node, port = shutil.which("node"), free_port()
    assert node and PRISM.exists(), "Prism is missing. Run: python3 bootstrap.py test"
    with subprocess.Popen(
        [node, str(PRISM), "mock", "-h", "127.0.0.1", "-p", str(port), str(SPEC)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "is listening" in line:
                    break
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout and process.stdout.close()


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with prism() as url:
        yield url


def test_a_message_passes_twilios_own_description_of_it(api: str) -> None:
    assert re.fullmatch(r"SM[0-9a-f]{32}", transport(api).send(envelope()).provider_id)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"twilio_account": "AC7"}, {}),
        ({"origin": "no address"}, {}),
        ({}, {"valid_s": "soon"}),
    ],
)
def test_that_description_refuses_what_is_not_right(api: str, settings: dict[str, str], what: dict[str, str]) -> None:
    """Negative control: Prism does look at account, callback and validity."""
    with pytest.raises(TransportError):
        transport(api, **settings).send(envelope(**what))


def test_the_list_of_messages_is_asked_as_twilio_describes_it(api: str) -> None:
    assert transport(api).find(envelope(), ()) is None


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_text_carries_its_validity_and_a_callback_with_our_attempt(there: provider.Provider) -> None:
    transport(there.url).send(envelope())
    (sent,) = there.accepted()
    assert (sent["To"], sent["From"]) == ("+447700900117", "+441174960118")
    assert sent["Body"] == "Bellweather: Grace, we are late."
    assert sent["StatusCallback"] == "https://visits.example.com/in/twilio/status/7"
    assert sent["ValidityPeriod"] == "300"
    assert there.authorization.startswith("Basic ")


def test_a_messaging_service_takes_the_place_of_the_number(there: provider.Provider) -> None:
    transport(there.url, twilio_service="MG" + "a" * 32).send(envelope())
    (sent,) = there.accepted()
    assert sent["MessagingServiceSid"] == "MG" + "a" * 32 and "From" not in sent


@pytest.mark.parametrize(
    ("step", "means"),
    [
        *((f"400:{code}", "frozen") for code in (21211, 21610, 21614, 21635)),
        ("400:21602", "permanent"),
        ("400:21612", "permanent"),
        ("401", "alarm"),
        ("403:30034", "alarm"),
        ("400:30007", "alarm"),
        ("400:21606", "alarm"),
        ("429", "again"),
        ("503", "outage"),
        ("500", "uncertain"),
        ("refuse", "uncertain"),
        ("drop", "uncertain"),
        ("lie:502", "uncertain"),
    ],
)
def test_each_answer_means_what_the_policy_says(there: provider.Provider, step: str, means: str) -> None:
    there.plan(step)
    error = refusal(transport(there.url))
    told = {n for n in ("permanent", "address", "uncertain", "outage", "alarm") if getattr(error, n)}
    assert (
        told
        == {
            "frozen": {"permanent", "address"},
            "permanent": {"permanent"},
            "alarm": {"outage", "alarm"},
            "again": set(),
            "outage": {"outage"},
            "uncertain": {"uncertain"},
        }[means]
    )
    assert error.sentence.endswith(".")
    assert len(there.accepted()) == (1 if step in ("drop", "lie:502") else 0)


def test_a_provider_that_cannot_be_reached_got_nothing() -> None:
    error = refusal(transport(f"http://127.0.0.1:{free_port()}"))
    assert error.outage and not error.uncertain and not error.permanent


# --- asked again ------------------------------------------------------------------------------------------------------


def test_a_text_whose_answer_was_lost_is_found_by_number_time_and_words(there: provider.Provider) -> None:
    sender = transport(there.url)
    sent = envelope()
    there.plan("drop")
    refusal(sender, sent)
    found = sender.find(sent, ())
    assert found is not None and found.provider_id == there.accepted()[0]["sid"]
    assert sender.find(sent, (found.provider_id,)) is None, "that one belongs to another attempt"


def test_what_was_not_taken_is_not_found(there: provider.Provider) -> None:
    sender, sent = transport(there.url), envelope()
    sender.send(envelope(words="another text"))
    sender.send(envelope(to="+447700900118"))
    assert sender.find(sent, ()) is None


def test_the_same_words_of_last_week_are_another_text(there: provider.Provider) -> None:
    sender = transport(there.url)
    sender.send(envelope())
    assert sender.find(envelope(at=clock.now() + timedelta(days=7)), ()) is None


def test_a_clock_that_is_moved_still_finds_its_texts(there: provider.Provider) -> None:
    clock.configure("2030-01-01T09:00+00:00 x20")
    sender, sent = transport(there.url), envelope()
    sender.send(sent)
    assert sender.find(sent, ()) is not None


@pytest.mark.parametrize("step", ["503", "500", "401", "429"])
def test_a_provider_that_cannot_answer_now_is_asked_later(there: provider.Provider, step: str) -> None:
    there.plan(step)
    with pytest.raises(TransportError) as caught:
        transport(there.url).find(envelope(), ())
    assert caught.value.outage and not caught.value.uncertain


# --- called back ------------------------------------------------------------------------------------------------------

URL = "https://visits.example.com/in/twilio/text"
STATUS = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+447700900117"}


def call(fields: dict[str, str], *, url: str = URL, token: str = TOKEN, signed: str | None = None, **more: str) -> Call:
    made = RequestValidator(token).compute_signature(url, fields) if signed is None else signed
    return Call(URL, {"x-twilio-signature": made} | more, urlencode(fields).encode())


def test_a_text_signed_by_twilios_own_code_is_read() -> None:
    got = transport("").text(call({"MessageSid": "SM9", "From": "+447700900117", "Body": "2 bitte, schöne Grüße"}))
    assert (got.id, got.sender, got.words, got.answered) == ("SM9", "+447700900117", "2 bitte, schöne Grüße", False)


def test_a_stop_that_twilio_has_answered_says_so() -> None:
    fields = {"MessageSid": "SM9", "From": "+447700900117", "Body": "STOP", "OptOutType": "STOP"}
    assert transport("").text(call(fields)).answered


@pytest.mark.parametrize(
    "forged",
    [
        call(STATUS, token="guessed"),
        call(STATUS, url="https://elsewhere.example.com/in/twilio/text"),
        call(STATUS, signed=""),
        call(STATUS, signed="ÿ"),
        Call(URL, call(STATUS).headers, urlencode(STATUS | {"MessageStatus": "failed"}).encode()),
        Call(URL + "?more=1", call(STATUS).headers, urlencode(STATUS).encode()),
        Call(URL, {}, b""),
    ],
)
def test_a_call_that_twilio_did_not_sign_is_refused(forged: Call) -> None:
    with pytest.raises(NotGenuine):
        transport("").progress(forged)


def test_without_a_token_nothing_is_genuine() -> None:
    fields = {"MessageSid": "SM9", "From": "+447700900117"}
    with pytest.raises(NotGenuine):
        transport("", twilio_token="").text(call(fields, token=""))


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "delivered", "undelivered", "failed"])
def test_every_status_is_known(status: str) -> None:
    assert transport("").progress(call(STATUS | {"MessageStatus": status, "ErrorCode": "30005"})).code == "30005"


@pytest.mark.parametrize("fields", [{"MessageSid": "SM1"}, {"MessageStatus": "sent"}])
def test_a_signed_call_that_makes_no_sense_says_so(fields: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        transport("").progress(call(fields))


def test_the_documented_vector() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
    assert signature("12345", url, list(fields.items())) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@trials(max_examples=60, deadline=None)
@given(
    fields=st.dictionaries(WORDS.filter(bool), WORDS, max_size=5),
    port=st.sampled_from(["", ":8443", ":443"]),
    query=st.sampled_from(["", "?a=1&b=2"]),
    algorithm=st.sampled_from(["", "HMAC_SHA256"]),
)
def test_our_check_and_twilios_agree(fields: dict[str, str], port: str, query: str, algorithm: str) -> None:
    url = f"https://visits.example.com{port}/in/twilio/text{query}"
    settings = f"key=k1, algorithm={algorithm}" if algorithm else ""
    theirs = RequestValidator(TOKEN).compute_signature(url, fields, algorithm or None)
    assert signature(TOKEN, url, list(fields.items()), settings) == theirs


def test_a_port_may_be_signed_or_not() -> None:
    for signed in ("https://visits.example.com/in/twilio/text", "https://visits.example.com:443/in/twilio/text"):
        assert transport("").progress(call(STATUS, url=signed)).state == "delivered"


def test_the_time_a_provider_is_asked_for_is_the_machines() -> None:
    real = datetime.now(UTC)
    clock.configure("2030-01-01T09:00+00:00 x20")
    assert abs(clock.machine(clock.now()) - real) < timedelta(seconds=5)
