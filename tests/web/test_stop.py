"""No more e-mails: the way out that some mails carry, one click or a button; in force at once, opened without effect."""

from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import clock, letters, outbox, suppression
from punctual.actions import api, intake, people, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.core.kinds import KINDS
from punctual.models import Attempt, Customer, Message, Received, Suppression, Visit, db
from tests import build
from tests.build import wall
from tests.sender import Keeper, send, states, tasks, worker
from tests.texting import PHONES, line
from tests.web.desk import sit, words

AT = wall("08:40")
BY = By(1, "Dana")
#: What a mail program sends, without cookies or anything else (RFC 8058).
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def day(app: Flask) -> build.Built:
    clock.configure("2026-11-24T08:40+00:00 x1")
    with transaction() as s:
        return build.day(s)


def put(built: build.Built, kind: str = "reminder", key: str = "k", name: str = "Grace") -> None:
    with transaction() as s:
        visit = s.get_one(Visit, built.visits[name].id)
        if kind == "on_my_way":
            visit.state = "on_my_way"
        outbox.put(s, key=key, kind=kind, at=AT, reason="x", visit=visit)


def stop_path(app: Flask, built: build.Built, name: str = "Grace") -> str:
    with transaction() as s:
        link = letters.stop_link(s, app.config["SETTINGS"], s.get_one(Customer, built.customers[name].id), AT)
    return link.removeprefix(app.config["SETTINGS"].origin)


@pytest.mark.parametrize("kind", ["reminder", "on_my_way", "signoff", "booked", "late_first", "cancelled_us"])
def test_reminder_on_my_way_and_feedback_carry_a_one_click_way_to_stop_and_nothing_else_does(
    lite: Flask, kind: str
) -> None:
    stops = {k for k in KINDS if KINDS[k].stop}
    assert stops == {"reminder", "on_my_way", "signoff"}
    with transaction() as s:
        built = build.day(s)
    put(built, kind)
    with transaction() as s:
        letter = letters.write(s, s.scalars(select(Message)).one(), lite.config["SETTINGS"], AT)
    mail = message_from_bytes(letter.body)
    if kind not in stops:
        assert mail["List-Unsubscribe"] is None and mail["List-Unsubscribe-Post"] is None
        assert "No more e-mails" not in letter.text
        return
    link = f"{lite.config['SETTINGS'].origin}{stop_path(lite, built)}"
    assert mail["List-Unsubscribe"] == f"<{link}>" and mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"\nNo more e-mails about visits: {link}\n" in letter.text


def test_a_link_of_the_longest_length_that_is_allowed_stays_whole_in_its_header(
    tmp_path: Path, sqlite_url: str
) -> None:
    origin = "https://visits.bellweather-heating" + "x" * (56 - 34 - 3 - 22 - 3) + ".uk"
    with line(sqlite_url, tmp_path, origin=origin, sms="") as made, transaction() as s:
        outbox.put(s, key="k", kind="reminder", at=AT, reason="x", visit=s.get_one(Visit, made.visits["Grace"]))
        letter = letters.write(s, s.scalars(select(Message)).one(), made.settings, AT)
        link = message_from_bytes(letter.body, policy=policy.default)["List-Unsubscribe"]
    assert str(link).strip().startswith(f"<{origin}/s/") and b"=?utf-8?" not in letter.body.split(b"\r\n\r\n")[0]


def test_opening_the_link_changes_nothing_and_one_click_is_in_force_at_once(app: Flask, day: build.Built) -> None:
    keeper, browser, path = Keeper(), app.test_client(), stop_path(app, day)
    for _ in range(3):  # scanners
        assert browser.get(path).status_code == 200 and browser.head(path).status_code == 200
    assert db.session.query(Suppression).count() == 0
    put(day)  # queued before they ask
    answer = browser.post(path, data=ONE_CLICK)
    assert answer.status_code == 200 and "sends you no more e-mails" in answer.text
    browser.post(path, data=ONE_CLICK)
    put(day, "late_first", "k2")
    assert send(worker(app, keeper), AT) == 0 and keeper.kept == []
    assert states()[0] == ("reminder", "failed", "asked for no e-mails")
    assert ("call", "no_contact") in tasks(), "a warning is told by a person"
    assert [r.meaning for r in db.session.scalars(select(Received))] == ["stop"]


def test_they_can_have_e_mails_again(app: Flask, day: build.Built) -> None:
    keeper, browser, path = Keeper(), app.test_client(), stop_path(app, day)
    browser.post(path, data=ONE_CLICK)
    assert "Send me e-mails again" in browser.get(path).text
    assert "E-mails about your visits" in browser.post(f"{path}/again").text
    put(day)
    assert send(worker(app, keeper), AT) == 1


def test_it_holds_for_the_address_whoever_has_it_however_they_came(app: Flask, day: build.Built) -> None:
    """Another customer with that address, an import, an edit and back, a person who was erased: nobody is written to."""
    app.test_client().post(stop_path(app, day), data=ONE_CLICK)
    grace, priya = day.customers["Grace"], day.customers["Priya"]
    people.edit_customer(
        grace.id, name="Grace Hall", email="new@example.com", phone="", language="en", early=False, at=AT, by=BY
    )
    people.edit_customer(
        priya.id, name="Priya Shah", email="GRACE@example.com", phone="", language="en", early=False, at=AT, by=BY
    )
    file = b"kind,id,date,from,to,minutes,job,customer,email\nvisit,X-1,2026-11-25,09:00,10:00,45,boiler,Gracie H,Grace@Example.com\n"
    intake.take(file, name="a.csv", at=AT, by="Dana")
    with transaction() as s:
        s.get_one(Customer, grace.id).email = None  # erased: only the hash remains
        assert "grace" not in " ".join(x.address_hash for x in s.scalars(select(Suppression)))
        theirs = {c.id for c in s.scalars(select(Customer)) if (c.email or "").lower() == "grace@example.com"}
        for n, visit in enumerate(s.scalars(select(Visit).where(Visit.customer_id.in_(theirs)))):
            outbox.put(s, key=f"n{n}", kind="booked", at=AT, reason="x", visit=visit)
    keeper = Keeper()
    send(worker(app, keeper), AT)
    assert len(theirs) == 2 and keeper.kept == []
    assert db.session.scalars(select(Attempt)).all() == []


def test_without_the_check_before_it_leaves_an_imported_person_would_be_written_to(
    lite: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    with transaction() as s:
        built = build.day(s)
        suppression.stop(s, "new@example.com", suppression.ASKED["email"], at=AT, channel="email")
    new = api.New(Window(wall("15:00"), wall("15:30")), "boiler", name="N O", email="new@example.com")
    api.add(new, tell=True, at=AT, by=BY)
    monkeypatch.setattr("punctual.letters.blocked", lambda s, message: "")
    keeper = Keeper()
    send(worker(lite, keeper), AT)
    assert [e.recipient for e in keeper.kept] == ["new@example.com"] and built


def test_another_address_ends_the_link_like_any_other(lite: Flask) -> None:
    with transaction() as s:
        built = build.day(s)
    path, browser = stop_path(lite, built), lite.test_client()
    people.edit_customer(
        built.customers["Grace"].id,
        name="Grace Hall",
        email="new@example.com",
        phone="",
        language="en",
        early=False,
        at=AT,
        by=BY,
    )
    wrong = browser.get("/s/" + "x" * 22)
    for answer in (browser.get(path), browser.post(path, data=ONE_CLICK), browser.post(f"{path}/again")):
        assert answer.status_code == 404 and words(answer.text) == words(wrong.text)
    assert db.session.query(Suppression).count() == 0


def test_whoever_has_a_phone_is_texted_instead_and_the_board_says_what_to_do(sqlite_url: str, tmp_path: Path) -> None:
    with line(sqlite_url, tmp_path) as made:
        made.change("Priya", phone=None)
        for name in ("Grace", "Priya"):
            with transaction() as s:
                link = letters.stop_link(s, made.settings, made.customer(name), AT).removeprefix(made.settings.origin)
            made.client.post(link, data=ONE_CLICK)
        made.put("Grace", "booked")
        made.send()
        assert made.mails() == [] and len(made.texts(PHONES["Grace"])) == 1
        sit(made.app)
        cookie = {"Cookie": "__Host-punctual_dispatcher=secret"}
        page = words(made.app.test_client(use_cookies=False).get("/board/received", headers=cookie).text)
    assert "asked for no e-mails" in page and "Nothing: texts go instead." in page and "Call before each visit" in page
