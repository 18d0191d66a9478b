"""A dispatcher's browser without a screen: signed in, with the token every form carries."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

from flask import Flask
from sqlalchemy import select

from punctual import clock, links, watch
from punctual.actions import technician, transaction
from punctual.models import Attempt, Company, Message, Notice, Signin, User, Visit, db
from tests import build
from tests.build import Built, wall


@dataclass
class Desk:
    """A signed-in client; `get` and `post` follow no redirects."""

    app: Flask
    built: Built
    user: User
    client: Any = None
    taps: int = field(default=0)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        self.client.set_cookie("punctual_dispatcher", "secret")

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def text(self, path: str, **headers: str) -> str:
        """What a reader sees: tags gone, blanks folded."""
        answer = self.get(path, **headers)
        assert answer.status_code == 200, answer.text
        return words(answer.text)

    def token(self) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/board/people").text)
        assert found
        return found[1]

    def post(self, path: str, **fields: str) -> Any:
        return self.client.post(path, data={"csrf_token": self.token()} | fields)

    def visit(self, name: str) -> int:
        return self.built.visits[name].id

    def tap(self, name: str, kind: str, at: str, **more: Any) -> Any:
        """A report made and received at that wall time."""
        self.taps += 1
        visit = self.built.visits[name]
        moment = wall(at)
        return technician.report(
            visit.id,
            kind,
            technician_id=visit.technician_id,
            key=f"tap-{self.taps:06}",
            tapped_at=moment,
            at=moment,
            **more,
        )

    def look(self, at: str) -> None:
        """What the worker does every minute."""
        with transaction() as s:
            watch.look(s, [x.id for x in self.built.shifts.values()], at=wall(at))


def words(html: str) -> str:
    """The words of a page."""
    body = re.sub(r"<(script|style|title)\b.*?</\1>", " ", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body))).replace(" .", ".").strip()


def desk(app: Flask, text: str = build.MORNING) -> Desk:
    """A company with a day and a dispatcher whose browser is signed in."""
    with transaction() as s:
        built = build.day(s, text)
    return sit(app, built)


def sit(app: Flask, built: Built | None = None) -> Desk:
    """A dispatcher whose browser is signed in, at the day that is there."""
    with transaction() as s:
        user = build.dispatcher(s)
        s.add(
            Signin(
                token_hash=links.hashed("secret"),
                user_id=user.id,
                label="Office",
                created_at=build.LONG_AGO,
                expires_at=datetime.now(UTC) + timedelta(days=3650),
            )
        )
    return Desk(app, built or Built(db.session.get_one(Company, 1)), user)


def notices(visit_id: int, decision: str = "tell") -> list[Notice]:
    """What was decided about a visit, oldest first."""
    db.session.rollback()
    found = select(Notice).where(Notice.visit_id == visit_id, Notice.decision == decision).order_by(Notice.id)
    return list(db.session.scalars(found))


def overrun(app: Flask) -> Desk:
    """09:40: Tom has been at Priya's since 09:05 and reported two hours more; Grace was told."""
    clock.configure("2026-11-24T09:40:10+00:00 x1")
    made = desk(app)
    made.tap("Priya", "arrived", "09:05")
    made.tap("Priya", "late", "09:20", minutes=120)
    return made


def deliver(visit_id: int, text: str = "We are running late.") -> None:
    """As the worker leaves a message that went."""
    with transaction() as s:
        m = s.scalars(select(Message).where(Message.visit_id == visit_id).order_by(Message.id.desc())).first()
        assert m is not None
        m.state, m.state_at = "sent", wall("09:21")
        s.add(
            Attempt(
                message_id=m.id,
                transport="file",
                recipient="grace@example.com",
                subject="New arrival time",
                body=b"x",
                text=text,
                state="accepted",
                at=wall("09:21"),
                ended_at=wall("09:21"),
            )
        )
        v = s.get_one(Visit, visit_id)
        v.told_start, v.told_end, v.told_at, v.told_kind = wall("11:20"), wall("12:00"), wall("09:21"), "late_first"
