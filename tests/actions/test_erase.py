"""A person who is erased is nowhere any more; what was promised and kept still counts, and who asked for no texts gets none."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import func, select, text

from punctual import suppression
from punctual.actions import Refused, concern, customer, dispatcher, erase, note, signoff, technician, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.models import Attempt, Base, Customer, GeocodeAnswer, Message, Promise, Received, Report, Visit, db
from punctual.transports.file import FileTransport
from tests import build, sender, texting
from tests.build import Built, wall

DANA = By(1, "Dana Price")
PHONE = "+447700900117"
#: What is known of Grace and of nobody else.
HERS = ("Grace", "Zellweger", "grace@example.com", PHONE, "2 Upton Road", "the fridge", "drips", "the loft")


@pytest.fixture
def told(app: Flask, tmp_path: Path) -> Built:
    """Grace was written to, wrote back, complained, was answered - and it is over."""
    with transaction() as s:
        built = build.day(s)
        build.dispatcher(s)
        grace = built.customers["Grace"]
        grace.name, grace.phone, grace.ref = "Grace Zellweger", PHONE, "ref-of-grace"
        s.add(
            Received(
                key="mail:1",
                channel="email",
                sender="grace@example.com",
                text="It drips.",
                at=wall("07:10"),
                visit_id=built.visits["Grace"].id,
            )
        )
        s.add(GeocodeAnswer(query="2 Upton Road, Bristol", lat=51.46, lon=-2.6, at=wall("07:00")))
        built.visits["Grace"].notes = "Boiler in the loft"
        suppression.stop(s, PHONE, suppression.ASKED["sms"], at=wall("07:00"))
    visit, tom = built.visits["Grace"].id, built.technicians["Tom"].id
    dispatcher.move(
        visit,
        tom,
        start=wall("10:15"),
        window=Window(wall("10:15"), wall("10:45")),
        tell=True,
        at=wall("08:10"),
        by=DANA,
    )
    photo = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(photo, "JPEG")
    note.write(visit, "The tap is behind the fridge.", [photo.getvalue()], at=wall("08:12"))
    customer.call_me(visit, PHONE, at=wall("08:13"))
    deliver(app, "08:13")
    for kind, at in (("arrived", "10:20"), ("done", "11:00")):
        technician.report(visit, kind, technician_id=tom, key=f"visit-2-{kind}", tapped_at=wall(at), at=wall(at))
    signoff.rate(visit, 2, at=wall("11:05"))
    concern.raise_(visit, "work", "It still drips.", at=wall("11:06"))
    deliver(app, "11:06")
    concern.answer(2, "We come again, Grace.", at=wall("11:20"), by=DANA)
    return built


def deliver(app: Flask, at: str) -> None:
    """By the folder, as a small company does."""
    made = sender.worker(app, sender.Keeper())
    made.sender.ways["email"].transport = FileTransport(app.config["SETTINGS"])
    sender.send(made, wall(at))


def rows() -> dict[str, list[str]]:
    """Every row of every table as text, blobs as the bytes they are."""
    db.session.rollback()
    return {
        t.name: [
            " ".join(x.hex() if isinstance(x, bytes) else str(x) for x in r) for r in db.session.execute(select(t))
        ]
        for t in Base.metadata.sorted_tables
    }


def traces(*words: str) -> dict[str, int]:
    """Tables that still say who Grace is, or hold these words."""
    wanted = [w.lower() for x in words or HERS for w in (x, x.encode().hex())]
    found = {name: sum(any(w in r.lower() for w in wanted) for r in lines) for name, lines in rows().items()}
    return {name: n for name, n in found.items() if n}


def go(app: Flask, built: Built, at: str = "12:00") -> None:
    erase.customer(built.customers["Grace"].id, folder=app.config["SETTINGS"].outbox_folder, at=wall(at), by=DANA)


def counts() -> list[int]:
    db.session.rollback()
    return [
        db.session.scalar(select(func.count()).select_from(x)) or 0 for x in (Visit, Report, Promise, Message, Attempt)
    ]


def test_nothing_of_the_person_is_left_in_tables_files_or_queues(app: Flask, told: Built) -> None:
    folder, before = app.config["SETTINGS"].outbox_folder, counts()
    assert {"customer", "place", "attempt", "answer", "received", "notice"} <= set(traces()), "the test can see her"
    assert list(folder.glob("*grace*"))
    go(app, told)
    assert traces() == {}
    assert not list(folder.glob("*grace*"))
    assert counts() == before, "what happened still counts"
    if db.engine.dialect.name == "sqlite":
        db.session.rollback()
        db.engine.dispose()
        base = Path(str(db.engine.url.database))
        held = b"".join(f.read_bytes() for f in base.parent.glob(f"{base.name}*"))
        assert not [x for x in HERS if x.encode() in held], "nor in the database's own file"


def test_what_a_technician_was_answered_by_text_about_the_visit_goes_too(sqlite_url: str, tmp_path: Path) -> None:
    with texting.line(sqlite_url, tmp_path) as way:
        way.change("Priya", name_="Priya Zellweger")
        for words, at in (("OMW", "08:45"), ("HERE", "09:00"), ("DONE", "10:00")):
            way.hear(words, sender=texting.TOM, at=wall(at))
            way.send(wall(at))
        assert way.texts(texting.TOM)[2].startswith("Bellweather: Zellweger: Done is saved.")
        assert {"customer", "message", "attempt", "notice"} <= set(traces("Zellweger")), "the test can see her"
        erase.customer(way.customer("Priya").id, folder=way.settings.outbox_folder, at=wall("12:00"), by=DANA)
        assert traces("Zellweger") == {}


def test_what_a_number_wrote_before_it_was_known_whose_it_is_goes_too(sqlite_url: str, tmp_path: Path) -> None:
    with texting.line(sqlite_url, tmp_path) as way:
        way.change("Priya", phone=None)
        way.hear("Is it you, zellweger?", sender=PHONE, at=wall("08:45"))
        way.change("Priya", phone=PHONE)
        with transaction() as s:
            s.get_one(Visit, way.visits["Priya"]).state = "done"
        assert {"received", "notice"} <= set(traces("Zellweger"))
        erase.customer(way.customer("Priya").id, folder=way.settings.outbox_folder, at=wall("12:00"), by=DANA)
        assert traces("Zellweger", PHONE) == {} and sender.tasks() == []


def test_what_was_kept_and_who_asked_for_no_texts_outlive_it(app: Flask, told: Built) -> None:
    kept = select(Promise.kind, Promise.state).where(Promise.visit_id == told.visits["Grace"].id).order_by(Promise.id)
    before = db.session.execute(kept).all()
    go(app, told)
    go(app, told, "12:01")
    assert ("call", "open") in before, "a call is owed to them"
    ended = [(kind, "cancelled" if state == "open" else state) for kind, state in before]
    assert db.session.execute(kept).all() == ended, "nobody is left to call"
    visit = db.session.get_one(Visit, told.visits["Grace"].id)
    assert (visit.state, visit.arrived_at, visit.customer.name) == ("done", wall("10:20"), "Erased")
    assert suppression.reason(db.session(), PHONE) == suppression.ASKED["sms"]


def test_places_and_words_of_others_stay(app: Flask, told: Built) -> None:
    with transaction() as s:
        s.get_one(Visit, told.visits["Helen"].id).place_id = told.visits["Grace"].place_id
    go(app, told)
    assert traces() == {"place": 1, "geocode_answer": 1}, "Helen lives there too"
    assert db.session.scalar(select(Customer.name).where(Customer.email == "helen@example.com")) == "Helen Whitfield"


def test_who_has_a_visit_to_come_is_not_erased(app: Flask, told: Built) -> None:
    with pytest.raises(Refused, match="has a visit to come"):
        erase.customer(told.customers["Helen"].id, folder=Path(), at=wall("12:00") + timedelta(minutes=1), by=DANA)
    assert db.session.scalar(text("SELECT count(*) FROM customer WHERE name = 'Erased'")) == 0
