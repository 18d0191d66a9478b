"""The product's own calendar mails as files, made by the very parts that send them - and a customer's answers to them."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select

from punctual import itip, preview_answers
from punctual.actions import api, company, customer, intake, invitation, technician, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window, at_wall
from punctual.itip import reply
from punctual.models import Attempt, Technician, Visit, db
from punctual.queries import feed as feeds
from punctual.queries import slots
from punctual.worker import Worker

#: Settings of a preview's own application; its links lead to nobody.
SETTINGS: dict[str, Any] = {"origin": "https://visits.example.com", "mail": "file"}
#: The visit's calendar name: always the same, so that two previews can be compared.
UID = "7c0f2f5e-6b0a-4a6e-9b8e-2f4b3b1c9d10@bellweather.example"
CUSTOMER, ORGANIZER = "mara.lind@customer.example", "visits@bellweather.example"
DAYS = """kind,id,name,skills,address,lat,lon,date,from,to,minutes,technician,job,customer
technician,tom,Tom Hale,boiler,Depot Bristol,51.4545,-2.5879,,,,,,,
job,boiler,Boiler service,boiler,,,,,,,60,,,
shift,,,,,,,2026-11-24,08:00,17:00,,tom,,
shift,,,,,,,2026-11-25,08:00,17:00,,tom,,
visit,A-2,,,"3 Quay Lane, Bristol",51.452,-2.6,2026-11-24,14:00,14:30,45,tom,boiler,Rose Osei
visit,A-3,,,"9 Dock Street; rear, Bristol",51.449,-2.61,2026-11-25,09:00,09:30,60,tom,boiler,Nordwind Ltd
"""


def write(app: Flask, folder: Path) -> list[Path]:
    """Every file, named as judges of calendar mails want them; the (scratch) application is empty and migrated."""
    folder.mkdir(parents=True, exist_ok=True)
    with app.app_context():
        made = _story(app)
    for name, raw in made.items():
        (folder / name).write_bytes(raw)
    return [folder / name for name in made]


def _at(hour: int, minute: int = 0, day: int = 24) -> datetime:
    return at_wall(datetime(2026, 11, day, tzinfo=UTC).date(), hour, minute, "Europe/London")


def _story(app: Flask) -> dict[str, bytes]:
    """One visit from its booking to its cancellation, every mail sent by the worker; and the technician's calendar."""
    visit_id, tom = _booked()
    worker = Worker(app)
    files = _mail("1-confirmation", _sent(worker, _at(9, day=23)))
    late = _at(9)
    technician.report(visit_id, "late", technician_id=tom, key="preview-late", tapped_at=late, at=late, minutes=100)
    files |= _mail("2-lateness", _sent(worker, late))
    files |= _answers(visit_id, _at(9, 25))
    found = reply.find(message_from_bytes(files["6-counter-outlook.eml"]))
    assert found is not None
    invitation.take(found, sender=CUSTOMER, proven=True, at=_at(9, 26))
    files["6b-declinecounter.ics"] = _calendar(_sent(worker, _at(9, 26)))
    moved = next(x for x in slots.offers(db.session(), visit_id, at=_at(9, 30)) if x.start > _at(11))
    customer.choose(visit_id, moved.technician, moved.start, at=_at(9, 30))
    files |= _mail("3-reschedule", _sent(worker, _at(9, 30)))
    customer.cancel(visit_id, at=_at(9, 35))
    files |= _mail("4-cancel", _sent(worker, _at(9, 35)))
    files["5-feed.ics"] = itip.feed(feeds.feed(db.session(), tom, origin=SETTINGS["origin"], at=_at(9, 40)))
    return files


def _booked() -> tuple[int, int]:
    """A company, its technician, and the visit; their ids."""
    at = _at(9, day=23)
    company.found(
        name="Bellweather Heating", zone="Europe/London", mail_from=ORGANIZER, phone="0117 496 0118",
        hours="Mon-Fri 8:00-18:00", at=at,
    )  # fmt: skip
    intake.take(DAYS.encode(), name="preview.csv", at=at, by="preview")
    tom = db.session.scalars(select(Technician.id)).one()
    new = api.New(
        Window(_at(10), _at(11)), "boiler", name="Mara Lind", email=CUSTOMER, technician_id=tom,
        address="12 Harbour Road, Bristol; side door", lat=51.46, lon=-2.6,
    )  # fmt: skip
    visit_id = api.add(new, tell=True, at=at, by=By(0, "preview"))
    with transaction() as s:
        s.get_one(Visit, visit_id).uid = UID
    return visit_id, tom


def _answers(visit_id: int, at: datetime) -> dict[str, bytes]:
    """A customer's answers to the lateness note, as their programs would write them: a time at night, a "no"."""
    visit = db.session.get_one(Visit, visit_id)
    a = preview_answers.Answer(
        uid=visit.uid, sequence=visit.sequence - 1, organizer=ORGANIZER, customer=CUSTOMER, name="Mara Lind",
        start=visit.window_start, end=visit.window_end, stamp=at, comment="The evening would suit me better.",
    )  # fmt: skip
    evening = (_at(20), _at(21))
    outlook, declined = preview_answers.counter_outlook(a, *evening), preview_answers.reply(a, "DECLINED")
    return {
        "6-counter-outlook.eml": preview_answers.mail(a, outlook, "COUNTER"),
        "6-counter-outlook.ics": outlook,
        "6c-counter-rfc.ics": preview_answers.counter(a, *evening),
        "7-reply-declined.eml": preview_answers.mail(a, declined, "REPLY", attached=True),
        "7-reply-declined.ics": declined,
        "7b-reply-declined-outlook.ics": preview_answers.reply_outlook(a, "DECLINED"),
    }


def _sent(worker: Worker, at: datetime) -> bytes:
    """The one mail that leaves at that instant, as it leaves."""
    before = db.session.scalar(select(Attempt.id).order_by(Attempt.id.desc()).limit(1)) or 0
    while worker.deliver(at)[0]:
        pass
    db.session.rollback()  # the worker has a session of its own: look at what it committed
    return db.session.scalars(select(Attempt.body).where(Attempt.id > before)).one()


def _calendar(mail: bytes) -> bytes:
    part = next(itip.parts(message_from_bytes(mail)))
    return bytes(part.get_payload(decode=True))


def _mail(name: str, mail: bytes) -> dict[str, bytes]:
    """A mail and the calendar in it, as two files."""
    return {f"{name}.eml": mail, f"{name}.ics": _calendar(mail)}
