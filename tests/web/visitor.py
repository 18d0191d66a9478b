"""A customer's browser without a screen, at Grace's page on the built day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from punctual import clock, links, watch
from punctual.actions import technician, transaction
from punctual.models import Visit, db
from tests import build
from tests.build import Built, wall
from tests.web.desk import words


@dataclass
class Page:
    """A customer's browser at Grace's page, without a session; follows no redirects unless told."""

    app: Flask
    built: Built
    token: str
    client: Any

    def get(self, path: str = "", status: int = 200, **headers: str) -> str:
        answer = self.client.get(f"/c/{self.token}{path}", headers=headers)
        assert answer.status_code == status, answer.text
        self.app.extensions.pop("punctual_pages", None)
        made = self.client.get(f"/c/{self.token}{path}", headers=headers)
        assert answer.text == made.text, "a page that was kept is served only while it is what would be made"
        return str(answer.text)

    def text(self, path: str = "", status: int = 200) -> str:
        return words(self.get(path, status))

    def post(self, path: str, status: int = 303, **fields: str) -> Any:
        answer = self.client.post(f"/c/{self.token}/{path}", data=fields)
        assert answer.status_code == status, answer.text
        return answer

    def after(self, path: str, **fields: str) -> str:
        """Press, follow the redirect, read."""
        return words(self.client.get(self.post(path, **fields).location).text)

    @property
    def visit(self) -> Visit:
        db.session.rollback()
        return db.session.get_one(Visit, self.built.visits["Grace"].id)

    def tap(self, name: str, kind: str, at: str, **more: Any) -> None:
        technician.report(
            self.built.visits[name].id,
            kind,
            technician_id=self.built.technicians["Tom"].id,
            key=f"{name}-{kind}-{at}",
            tapped_at=wall(at),
            at=wall(at),
            **more,
        )

    def told(self, start: str, end: str, kind: str = "late_first") -> None:
        """As the worker leaves a visit whose customer was told."""
        with transaction() as s:
            v = s.get_one(Visit, self.built.visits["Grace"].id)
            v.told_start, v.told_end, v.told_at, v.told_kind = wall(start), wall(end), wall("09:21"), kind


def visitor(app: Flask, at: str = "08:30", text: str = build.MORNING, language: str = "en") -> Page:
    """Grace's page on the built day, at that wall time."""
    clock.configure(f"2026-11-24T{at}:00+00:00 x1")
    with transaction() as s:
        built = build.day(s, text)
        built.customers["Grace"].language = language
        made = links.make(s, app.config["SETTINGS"].key("link"), "customer", built.visits["Grace"].id, at=wall("08:00"))
        watch.look(s, [x.id for x in built.shifts.values()], at=wall(at))
    return Page(app, built, made, app.test_client())


def late(grace: Page, told: bool = True) -> None:
    """Tom stays 75 minutes longer at Priya's; Grace was told 10:45 to 11:20."""
    grace.tap("Priya", "arrived", "08:29")
    grace.tap("Priya", "late", "08:30", minutes=75)
    if told:
        grace.told("10:45", "11:20")


def everything() -> dict[str, int]:
    """How many rows every table has."""
    db.session.rollback()
    tables = db.metadata.sorted_tables
    return {t.name: db.session.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}
