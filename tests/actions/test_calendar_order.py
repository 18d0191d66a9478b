"""Every calendar object that is handed out for a visit, mailed or from its page: a calendar takes the newest, in any case."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes, policy

import pytest
from flask import Flask
from icalendar import Calendar

from punctual import links, outbox
from punctual.actions import schedule, transaction
from punctual.core.day import Window
from punctual.itip import reply
from punctual.models import Visit, db
from tests import build
from tests.build import wall
from tests.sender import Keeper, send, worker

AT = wall("08:40")
#: (SEQUENCE, DTSTAMP, DTSTART)
Object = tuple[int, datetime, datetime]


@dataclass
class Program:
    """A calendar program that has the entry: it takes what has a higher SEQUENCE and ignores everything else, as
    Thunderbird does with an invitation nobody has answered (calendar.md 0.3)."""

    has: Object

    def gets(self, found: Object) -> None:
        if found[0] > self.has[0]:
            self.has = found


class Customer:
    """Grace, who has her page and maybe mails; `origin`: booked here, or imported with a time that was told elsewhere."""

    def __init__(self, app: Flask, origin: str) -> None:
        self.keeper, self.client, self.at = Keeper(), app.test_client(), AT
        self.worker = worker(app, self.keeper)
        with transaction() as s:
            built = build.day(s, origin=origin)
            built.visits["Grace"].deadline = None
            self.id, self.tom = built.visits["Grace"].id, built.technicians["Tom"].id
            key = app.config["SETTINGS"].key("link")
            self.token = links.make(s, key, "customer", self.id, at=AT)

    def later(self) -> datetime:
        self.at += timedelta(minutes=1)
        return self.at

    @property
    def window_start(self) -> datetime:
        db.session.rollback()
        return db.session.get_one(Visit, self.id).window_start

    def page(self) -> Object:
        """Add to my calendar."""
        event = Calendar.from_ical(self.client.get(f"/c/{self.token}/visit.ics").data).walk("VEVENT")[0]
        return int(event["SEQUENCE"]), event["DTSTAMP"].dt, event["DTSTART"].dt

    def move(self, by: str = "customer", *, tell: bool = True) -> None:
        at = self.later()
        start = self.window_start + timedelta(minutes=20)
        window = Window(start, start + timedelta(minutes=30))
        with transaction() as s:
            visit = s.get_one(Visit, self.id)
            to = {"technician_id": self.tom, "planned_start": start, "window": window}
            schedule.move(s, visit, **to, at=at, by=by, forced=True, tell=tell)

    def put(self, kind: str) -> None:
        at = self.later()
        with transaction() as s:
            outbox.put(s, key=f"{kind}{at}", kind=kind, at=at, reason="x", visit=s.get_one(Visit, self.id))

    def mailed(self) -> Object | None:
        """The object of the mail that leaves now; None without one, or where it would not be true."""
        before = len(self.keeper.kept)
        send(self.worker, self.later())
        parts = [reply.find(message_from_bytes(mail.body)) for mail in self.keeper.kept[before:]]
        part = parts[0] if parts else None
        return None if part is None else (part.sequence, part.stamp, part.start)  # type: ignore[return-value]


@pytest.mark.parametrize("origin", ["import", "board"])
@pytest.mark.parametrize("by", ["customer", "user:1"])
def test_an_entry_from_the_page_moves_with_the_mail_that_moves_the_visit(app: Flask, origin: str, by: str) -> None:
    grace = Customer(app, origin)
    program = Program(grace.page())
    grace.move(by)
    found = grace.mailed()
    assert found is not None
    program.gets(found)
    assert program.has[2] == grace.window_start == wall("10:20")


@pytest.mark.parametrize(("origin", "invited"), [("import", False), ("board", True)])
def test_a_mail_says_that_an_entry_moves_only_where_one_was_sent(app: Flask, origin: str, invited: bool) -> None:
    grace = Customer(app, origin)
    if invited:
        grace.put("booked")
        grace.mailed()
    grace.move()
    grace.mailed()
    plain = message_from_bytes(grace.keeper.kept[-1].body, policy=policy.SMTP).get_body(("plain",))
    text = plain.get_content().replace("\r\n", "\n") if plain else ""
    assert ("The entry in your calendar moves with it.\n\nOn your page" in text) == invited
    assert ("The new time for your calendar comes with this mail.\n\nOn your page" in text) == (not invited)


def test_adding_it_again_after_a_change_moves_the_entry_that_a_mail_made(app: Flask) -> None:
    grace = Customer(app, "board")
    grace.put("booked")
    invitation = grace.mailed()
    assert invitation is not None and invitation[0] == 0
    program = Program(invitation)
    grace.move(tell=False)  # the mail about it has not left yet, or goes to nobody
    program.gets(grace.page())
    assert program.has[2] == grace.window_start


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_handed_out_before_every_calendar_follows(app: Flask, seed: int) -> None:
    """Programs that began with any object, by either way, then get mails alone, or mails and what the page gives."""
    chance, grace = random.Random(seed), Customer(app, "import" if seed % 2 else "board")
    out: list[Object] = []
    mails: list[Program] = []
    both: list[Program] = []
    for _ in range(14):
        act = chance.choice(["page", "page", "move", "moved_by_us", "silent", "late_first", "kept", "invitation"])
        if act == "page":
            found = grace.page()
        elif act == "silent":
            grace.move("import", tell=False)
            continue
        else:
            {"move": grace.move, "moved_by_us": lambda: grace.move("user:1")}.get(act, lambda: grace.put(act))()  # noqa: B023
            mailed = grace.mailed()
            if mailed is None:  # nobody was invited from here, or nobody is late
                continue
            found = mailed
            for program in mails:
                program.gets(found)
        for program in both:
            program.gets(found)
        assert found[2] == grace.window_start, f"{act}: what is handed out has the present time"
        assert all(found[0] > n for n, _, start in out if start != found[2]), f"{act}: another time has a higher number"
        assert all(found[0] >= n for n, _, _ in out), f"{act}: no number comes after a higher one"
        out.append(found)
        mails.append(Program(found))
        both.append(Program(found))
        assert all(p.has[2] == found[2] for p in both), f"{act}: an entry stands at another time"
        assert act == "page" or all(p.has[2] == found[2] for p in mails), f"{act}: an entry did not move with the mail"
    assert len(out) > 5 and len({start for _, _, start in out}) > 2


def test_an_invitation_asked_for_again_after_a_silent_change_has_the_time_that_holds(app: Flask) -> None:
    grace = Customer(app, "board")
    grace.put("booked")
    before = grace.mailed()
    grace.move("import", tell=False)
    grace.put("invitation")
    after = grace.mailed()
    assert before is not None and after is not None
    assert after[0] > before[0] and after[2] == grace.window_start != before[2]


def test_a_program_that_ignores_an_equal_number_would_miss_one_that_is_not_raised() -> None:
    """The control: what was handed out before the number rose with the time."""
    program = Program((0, AT, wall("10:00")))
    program.gets((0, AT + timedelta(minutes=5), wall("14:30")))
    assert program.has[2] == wall("10:00")
