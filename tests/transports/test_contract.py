"""What every way out promises: the very bytes, one recipient, a receipt - or an error that says what it means."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from punctual import clock
from punctual.config import Settings
from punctual.transports import TRANSPORTS, CannotTell, Envelope, Overtaken, Receipt, Transport, TransportError
from tests import provider
from tests.postgres import free_port
from tests.transports import server

AT = datetime(2026, 11, 24, 8, 50, tzinfo=UTC)
BODY = b"Subject: late\r\nMessage-ID: <k@x.example>\r\n\r\nWe are late.\r\n.a line with a dot\r\n.\r\nThe end\r\n"


def envelope(to: str = "grace@example.com", key: str = "k@x.example", body: bytes = BODY) -> Envelope:
    return Envelope(to, "visits@bellweather.example", body, key, "late_first", AT)


@dataclass
class Way:
    """A transport with what its receiving end has: (recipient, bytes) of each message."""

    transport: Transport
    received: Callable[[], list[tuple[str, bytes]]]
    break_: Callable[[], None]


@pytest.fixture(params=sorted(TRANSPORTS))
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """Every transport there is; a new one without its receiving end here fails."""
    clock.configure(f"{AT.isoformat()} x1")
    with ENDS[request.param](tmp_path) as made:
        yield made
        made.transport.close()


@contextmanager
def to_folder(tmp_path: Path) -> Iterator[Way]:
    folder = tmp_path / "outbox"
    yield Way(
        TRANSPORTS["file"](Settings(instance=tmp_path)),
        lambda: [(f.name.split("-")[2], f.read_bytes()) for f in sorted(folder.glob("*.eml"))],
        lambda: folder.touch(),
    )


@contextmanager
def to_mail_server(tmp_path: Path) -> Iterator[Way]:
    with server.running() as there:
        transport = smtp(there.port)
        yield Way(
            transport,
            lambda: [(",".join(m.rcpt_tos), m.content or b"") for m in there.kept],  # type: ignore[misc]
            lambda: setattr(transport, "settings", Settings(smtp_host="127.0.0.1", smtp_port=1, smtp_tls="none")),
        )


@contextmanager
def to_twilio(tmp_path: Path) -> Iterator[Way]:
    with provider.running(tmp_path) as there:
        given = {"twilio_account": "AC" + "a" * 32, "twilio_token": "t", "origin": "https://visits.example.com"}
        transport = TRANSPORTS["twilio"](Settings(twilio_url=there.url, **given))  # type: ignore[arg-type]
        yield Way(
            transport,
            lambda: [(m["To"], m["Body"].encode()) for m in there.accepted()],
            lambda: setattr(transport, "settings", Settings(twilio_url=f"http://127.0.0.1:{free_port()}")),
        )


@contextmanager
def to_webhook(tmp_path: Path) -> Iterator[Way]:
    with provider.running(tmp_path) as there:
        transport = TRANSPORTS["webhook"](Settings(webhook_url=f"{there.url}/hook", webhook_secret="whsec_AAAA"))
        yield Way(
            transport,
            lambda: [(m["to"], m["text"].encode()) for m in there.accepted()],
            lambda: setattr(transport, "settings", Settings(webhook_url=f"http://127.0.0.1:{free_port()}")),
        )


ENDS = {"file": to_folder, "smtp": to_mail_server, "twilio": to_twilio, "webhook": to_webhook}


def smtp(port: int, **values: object) -> Transport:
    return TRANSPORTS["smtp"](Settings(smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none", **values))  # type: ignore[arg-type]


def refusal(transport: Transport, sent: Envelope) -> TransportError:
    with pytest.raises(TransportError) as caught:
        transport.send(sent)
    return caught.value


def test_the_very_bytes_reach_exactly_the_one_recipient(way: Way) -> None:
    receipt = way.transport.send(envelope())
    assert isinstance(receipt, Receipt) and receipt.provider_id
    assert way.received() == [("grace@example.com", BODY)]


def test_what_became_of_a_message_is_known_exactly_or_not_at_all(way: Way) -> None:
    """Where the provider can be asked it says yes or no; where it cannot, that is said."""
    try:
        assert way.transport.find(envelope(), ()) is None
    except CannotTell:
        return
    receipt = way.transport.send(envelope())
    assert way.transport.find(envelope(), ()) == receipt
    assert way.transport.find(envelope(to="helen@example.com", key="other@x.example"), ()) is None


def test_a_worker_that_was_away_too_long_hands_nothing_over(way: Way) -> None:
    with pytest.raises(Overtaken):
        way.transport.send(replace(envelope(), mine=lambda: False))
    assert way.received() == []
    way.transport.send(envelope())
    assert len(way.received()) == 1


def test_many_messages_go_through_one_transport(way: Way) -> None:
    for i in range(5):
        way.transport.send(envelope(to=f"c{i}@example.com", key=f"{i}@x.example"))
    assert [to for to, _ in way.received()] == [f"c{i}@example.com" for i in range(5)]


def test_a_closed_way_out_says_so_and_that_nothing_left(way: Way) -> None:
    way.break_()
    error = refusal(way.transport, envelope())
    assert error.outage and not error.permanent and not error.uncertain
    assert error.sentence.endswith(".")


def test_a_transport_can_be_closed_twice_and_used_again(way: Way) -> None:
    way.transport.send(envelope())
    way.transport.close()
    way.transport.close()
    way.transport.send(envelope(key="again@x.example"))
    assert len(way.received()) == 2


def test_a_file_is_named_by_time_kind_and_recipient_and_a_resend_replaces_it(tmp_path: Path) -> None:
    transport = TRANSPORTS["file"](Settings(instance=tmp_path))
    transport.send(envelope())
    transport.send(envelope())
    transport.send(envelope(to="../../etc/passwd", key="other@x.example"))
    names = sorted(f.name for f in (tmp_path / "outbox").iterdir())
    assert names == [
        "20261124T085000-late_first-.._.._etc_passwd-other@x..eml",
        "20261124T085000-late_first-grace@example.com-k@x.exam.eml",
    ]


def test_one_connection_serves_many_messages_and_is_made_again_after_the_server_hung_up() -> None:
    with server.running() as there:
        transport = smtp(there.port)
        transport.send(envelope())
        transport.send(envelope())
        assert there.connections == 1
        transport.client.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        transport.send(envelope())
        assert (there.connections, len(there.kept)) == (2, 3)
        transport.close()


def test_a_refused_recipient_is_final_and_about_the_address_and_the_next_message_goes() -> None:
    with server.running() as there:
        there.answers["gone@example.com"] = "550 5.1.1 no such user"
        transport = smtp(there.port)
        error = refusal(transport, envelope(to="gone@example.com"))
        assert (error.permanent, error.address, error.uncertain, error.outage) == (True, True, False, False)
        assert "no such user" in error.sentence
        transport.send(envelope())
        assert [m.rcpt_tos for m in there.kept] == [["grace@example.com"]]
        transport.close()


@contextmanager
def at_once(answers: list[str]) -> Iterator[tuple[int, list[str]]]:
    """A server that says nothing to MAIL, RCPT and DATA before it has all three: then that. (its port, its messages)"""
    kept: list[str] = []

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            self.rfile.readline()
            self.wfile.write(b"250-here\r\n250 PIPELINING\r\n")
            while (line := self.rfile.readline().upper()) and line != b"QUIT\r\n":
                if line == b"RSET\r\n":
                    self.wfile.write(b"250 ok\r\n")
                    continue
                to = self.rfile.readline()
                self.rfile.readline()
                self.wfile.write("".join(f"{a}\r\n" for a in answers).encode())
                if answers[2].startswith("354"):
                    while (line := self.rfile.readline()) != b".\r\n":
                        if not line:
                            return
                    kept.append(to.decode().strip())
                    self.wfile.write(b"250 kept\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as there:
        there.daemon_threads = True
        thread = threading.Thread(target=there.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield there.server_address[1], kept
        finally:
            there.shutdown()
            thread.join()


def test_what_goes_before_a_message_goes_at_once_where_the_server_takes_that() -> None:
    with at_once(["250 ok", "250 ok", "354 go on"]) as (port, kept):
        way = smtp(port)
        assert [way.send(envelope(to)).provider_id for to in ("a@b.example", "c@d.example")] == ["kept", "kept"]
        way.close()
    assert kept == ["RCPT TO:<a@b.example>", "RCPT TO:<c@d.example>"]


@pytest.mark.parametrize("last", ["354 go on", "554 no valid recipients"])
def test_whatever_a_server_says_after_refusing_a_recipient_it_gets_no_message(last: str) -> None:
    answers = ["250 ok", "550 no such user", last]
    with at_once(answers) as (port, kept):
        way = smtp(port)
        error = refusal(way, envelope("a@b.example"))
        assert error.permanent and error.address and "no such user" in error.sentence
        answers[1:] = ["250 ok", "354 go on"]
        assert way.send(envelope("c@d.example")).provider_id == "kept"
        way.close()
    assert kept == ["RCPT TO:<c@d.example>"]


def test_a_busy_server_is_asked_again_later() -> None:
    with server.running() as there:
        there.answers["grace@example.com"] = "451 4.7.1 greylisted"
        transport = smtp(there.port)
        error = refusal(transport, envelope())
        assert not (error.permanent or error.address or error.uncertain or error.outage)
        transport.close()


def test_a_message_the_server_will_not_have_is_final_but_not_the_addresses_fault() -> None:
    with server.running() as there:
        there.data = "554 5.7.1 looks like spam"
        transport = smtp(there.port)
        error = refusal(transport, envelope())
        assert (error.permanent, error.address) == (True, False)
        there.data = "250 kept"
        transport.send(envelope())
        transport.close()


def test_a_server_that_hangs_up_instead_of_answering_leaves_it_uncertain() -> None:
    with server.running() as there:
        there.data = ""
        error = refusal(smtp(there.port), envelope())
        assert error.uncertain and not error.permanent
        assert len(there.kept) == 1, "it may well have been taken; that is why nobody can say"


@pytest.mark.parametrize("to", ["gräce@example.com", "grace@exämple.com"])
def test_an_address_no_server_takes_is_refused_before_anything_is_sent(to: str) -> None:
    with server.running() as there:
        error = refusal(smtp(there.port), envelope(to=to))
        assert error.permanent and error.address
        assert there.connections == 0


@pytest.mark.parametrize("to", ["victim@b.example>,<x@d.example", "a@b.example\r\nRCPT TO:<x@d.example>"])
def test_one_envelope_never_becomes_two_recipients(to: str) -> None:
    with server.running() as there:
        transport = smtp(there.port)
        refusal(transport, envelope(to=to))
        assert there.kept == []
        transport.close()


def test_signing_in_works_and_a_wrong_password_closes_the_way_out() -> None:
    with server.running(sign_in=True) as there:
        transport = smtp(there.port, smtp_user="punctual", smtp_password="right")
        transport.send(envelope())
        transport.close()
        error = refusal(smtp(there.port, smtp_user="punctual", smtp_password="wrong"), envelope())
        assert error.outage and "password" in error.sentence
        assert len(there.kept) == 1


def test_a_server_without_tls_gets_nothing_when_tls_is_wanted() -> None:
    with server.running() as there:
        wanted = Settings(smtp_host="127.0.0.1", smtp_port=there.port, smtp_tls="starttls")
        error = refusal(TRANSPORTS["smtp"](wanted), envelope())
        assert error.outage
        assert there.kept == []
