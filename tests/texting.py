"""An application that texts: through a provider on loopback, with a morning whose customers have phones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from twilio.request_validator import RequestValidator

from punctual import clock, outbox
from punctual.actions import inbound, transaction
from punctual.app import create_app
from punctual.config import Settings
from punctual.core.day import Window
from punctual.models import Attempt, Customer, Message, Received, Technician, Visit, db
from punctual.worker import Worker
from tests import build, provider
from tests.build import wall

ORIGIN = "https://visits.example.com"
PHONES = {"Priya": "+447700900111", "Grace": "+447700900112", "Helen": "+447700900113", "Lewis": "+447700900114"}
TOM = "+447700900201"
AT = wall("08:40")


@dataclass
class Line:
    """The application, its provider, and the worker; `visits` by customer's first name."""

    app: Flask
    provider: provider.Provider
    visits: dict[str, int] = field(default_factory=dict)
    heard: int = 0

    def __post_init__(self) -> None:
        self.worker = Worker(self.app)
        self.client: FlaskClient = self.app.test_client()

    @property
    def settings(self) -> Settings:
        found: Settings = self.app.config["SETTINGS"]
        return found

    def put(self, name: str, kind: str = "late_first", *, at: datetime = AT, **facts: str) -> None:
        with transaction() as s:
            visit = s.get_one(Visit, self.visits[name])
            told = Window(wall("10:40"), wall("11:15"))
            key = f"{visit.id}:1:{kind}:{at:%H%M}"
            outbox.put(s, key=key, kind=kind, at=at, reason="late", visit=visit, told=told, facts=dict(facts))

    def send(self, at: datetime = AT) -> int:
        clock.configure(f"{at.isoformat()} x1")
        sent = 0
        while (taken := self.worker.deliver(at))[0]:
            sent += taken[1]
        return sent

    def hear(self, words: str, *, sender: str = PHONES["Grace"], at: datetime = AT, sid: str = "", **more: str) -> None:
        """A text comes in at the door, signed by the provider, and the worker acts on it."""
        self.heard += 1
        fields = {"MessageSid": sid or f"SMin{self.heard}", "From": sender, "Body": words} | more
        clock.configure(f"{at.isoformat()} x1")
        answer = self.call("/in/twilio/text", fields)
        assert answer.status_code == 200 and "<Response/>" in answer.text
        inbound.settle(self.settings, at)
        db.session.rollback()

    def status(self, number: int, state: str, code: str = "", *, sid: str = "", at: datetime = AT) -> int:
        """The provider says how far its message with that number got."""
        row = self.provider.accepted()[number]
        fields = {"MessageSid": sid or row["sid"], "MessageStatus": state, "ErrorCode": code}
        clock.configure(f"{at.isoformat()} x1")
        answer = self.call(row["StatusCallback"].removeprefix(self.settings.origin), fields)
        db.session.rollback()
        return answer.status_code

    def call(self, path: str, fields: dict[str, str], token: str = "t0ken"):  # type: ignore[no-untyped-def]
        signed = RequestValidator(token).compute_signature(self.settings.origin + path, fields)
        return self.client.post(
            path, data=urlencode(fields), headers={"X-Twilio-Signature": signed},
            content_type="application/x-www-form-urlencoded",
        )  # fmt: skip

    def texts(self, to: str = "") -> list[str]:
        """What the provider accepted."""
        return [r["Body"] for r in self.provider.accepted() if to in ("", r["To"])]

    def mails(self) -> list[str]:
        return sorted(f.name.split("-")[1] for f in self.settings.outbox_folder.glob("*.eml"))

    def messages(self) -> list[tuple[str, str, str, str]]:
        db.session.rollback()
        found = db.session.scalars(select(Message).order_by(Message.id))
        return [(m.kind, m.channel, m.state, m.state_reason) for m in found]

    def received(self) -> list[tuple[str, str]]:
        db.session.rollback()
        return [(r.meaning, r.outcome) for r in db.session.scalars(select(Received).order_by(Received.id))]

    def attempt(self) -> Attempt:
        db.session.rollback()
        return db.session.scalars(select(Attempt).order_by(Attempt.id.desc())).first()  # type: ignore[return-value]

    def customer(self, name: str) -> Customer:
        db.session.rollback()
        return db.session.get_one(Visit, self.visits[name]).customer

    def change(self, name: str, **values: object) -> None:
        with transaction() as s:
            row = s.get_one(Visit, self.visits[name]).customer
            for key, value in values.items():
                setattr(row, key.rstrip("_"), value)


@contextmanager
def line(url: str, folder: Path, **settings: object) -> Iterator[Line]:
    """An application that texts through Twilio's stand-in, at 08:40 of the built morning."""
    clock.configure("2026-11-24T08:40+00:00 x1")
    with provider.running(folder / "provider") as server:
        given: dict[str, object] = {
            "sms": "twilio", "sms_from": "+441174960118", "twilio_account": "AC" + "a" * 32, "twilio_token": "t0ken",
            "twilio_url": server.url, "origin": ORIGIN,
        }  # fmt: skip
        app = create_app(Settings(instance=folder / "instance", database_url=url, **(given | settings)))  # type: ignore[arg-type]
        with app.app_context():
            made = Line(app, server)
            with transaction() as s:
                built = build.day(s)
                for name, phone in PHONES.items():
                    built.customers[name].phone = phone
                s.get_one(Technician, built.technicians["Tom"].id).phone = TOM
                made.visits = {name: v.id for name, v in built.visits.items()}
            yield made
            made.worker.sender.close()
            db.session.remove()
            db.engine.dispose()
