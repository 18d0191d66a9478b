"""This looks wrong, at the three doors; what was told and whether it was looked at; where told and planned differ."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from punctual import clock, links
from punctual.actions import concern, dispatcher, token, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.follow import truth
from punctual.models import Concern, Look, Message, db
from tests import build, sender
from tests.build import wall
from tests.web.desk import deliver, desk, overrun, sit
from tests.web.visitor import everything, visitor


def test_a_customer_says_what_looks_wrong_and_sees_by_when_they_are_answered(lite: Flask) -> None:
    grace = visitor(lite)
    text = grace.after("wrong", about="time", text="My letter says Monday.")
    assert "Saved at 8:30. Thank you. Bellweather Heating checks it and answers you by 10:30 today." in text
    assert "It cannot be closed without an answer to you." in text
    assert "My letter" not in text, "a page behind a link shows that it was received, not the words"
    assert "An answer to you Open, due 10:30 today" in text
    before = everything()
    assert "We already have this from you" in grace.after("wrong", about="time", text="My letter says Monday.")
    assert everything() == before


def test_an_answer_is_on_the_page_and_can_be_not_right(lite: Flask) -> None:
    grace = visitor(lite)
    with transaction() as s:
        dana = build.dispatcher(s)
    grace.post("wrong", about="said", text="")
    db.session.rollback()
    made = db.session.scalars(select(Concern.id)).one()
    concern.answer(made, "It is Tuesday.", at=wall("08:40"), by=By(dana.id, "Dana Price"))
    text = grace.text()
    assert "Dana answered on Tue 24 Nov at 8:40: It is Tuesday. Still not right" in text
    assert "answers you by" in grace.after("still")


def test_what_cannot_be_taken_says_why_and_keeps_nothing(lite: Flask) -> None:
    grace = visitor(lite)
    before = everything()
    assert "Choose what looks wrong." in grace.client.post(f"/c/{grace.token}/wrong", data={}).text
    assert grace.client.post(f"/c/{grace.token}/wrong", data={"about": "other"}).status_code == 422
    assert grace.client.post(f"/c/{grace.token}/still").status_code == 409
    assert everything() == before


def test_the_board_answers_and_only_with_words(lite: Flask) -> None:
    grace = visitor(lite)
    grace.post("wrong", about="time", text="My letter says Monday.")
    day = sit(lite)
    assert "Grace Whitfield : The time" in day.text("/board/concerns")
    assert "“My letter says Monday.”" in day.text("/board/concerns")
    assert "Promised an answer by 10:30" in day.text("/board/queue")
    made = db.session.scalars(select(Concern.id)).one()
    assert day.post(f"/board/concerns/{made}/answer", answer=" ").status_code == 422
    assert day.post(f"/board/concerns/{made}/answer", answer="It is Tuesday.").status_code == 303
    assert "Dana Price answered" in day.text("/board/concerns")
    db.session.rollback()
    assert "concern_answered" in db.session.scalars(select(Message.kind)).all()


def test_programs_list_and_answer_concerns_and_read_what_was_told(lite: Flask) -> None:
    grace = visitor(lite)
    grace.post("wrong", about="time", text="My letter says Monday.")
    sender.send(sender.worker(lite, sender.Keeper()), wall("08:31"))
    client = lite.test_client()
    secret = token.make("crm", ["read", "write"], days=1, at=clock.now())
    headers = {"Authorization": f"Bearer {secret}"}
    listed = client.get("/api/v1/concerns", headers=headers).json["concerns"]
    assert [(c["about"], c["text"], c["answered_at"]) for c in listed] == [("time", "My letter says Monday.", None)]
    url = f"/api/v1/concerns/{listed[0]['id']}/answer"
    assert client.post(url, json={"answer": " "}, headers=headers).status_code == 422
    assert client.post(url, json={"answer": "It is Tuesday."}, headers=headers).json["answered_by"] == "crm"
    assert client.post(url, json={"answer": "Again."}, headers=headers).status_code == 409
    told = client.get(f"/api/v1/visits/{listed[0]['visit_id']}/messages", headers=headers).json["messages"]
    assert "My letter says Monday." in told[0]["text"]
    assert told[0]["looked_at"] is None


def test_looking_is_known_only_from_the_page_itself(lite: Flask) -> None:
    day = overrun(lite)
    deliver(day.visit("Grace"))
    visit = day.visit("Grace")
    assert "Page not looked at since, as far as is known." in day.text(f"/board/visits/{visit}")
    clock.configure("2026-11-24T09:45:00+00:00 x1")
    with transaction() as s:
        made = links.make(s, lite.config["SETTINGS"].key("link"), "customer", visit, at=wall("08:00"))
    browser = lite.test_client()
    browser.get(f"/c/{made}")
    assert "Page not looked at since, as far as is known." in day.text(f"/board/visits/{visit}"), (
        "opening is not looking: scanners open too"
    )
    assert browser.post(f"/c/{made}/seen").status_code == 204
    assert browser.post(f"/c/{made}/seen").status_code == 204
    db.session.rollback()
    assert len(db.session.scalars(select(Look)).all()) == 1, "once a minute is enough"
    assert "Page looked at 09:45." in day.text(f"/board/visits/{visit}")


def test_where_told_and_planned_differ_the_board_says_what_will_be_done(lite: Flask) -> None:
    clock.configure("2026-11-24T09:00:00+00:00 x1")
    day = desk(lite)
    by, tom = By(day.user.id, "Dana Price"), day.built.technicians["Tom"].id

    def move(start: str, at: str, tell: bool) -> None:
        window = Window(wall(start), wall(start) + timedelta(minutes=30))
        dispatcher.move(day.visit("Grace"), tom, start=wall(start), window=window, tell=tell, at=wall(at), by=by)

    move("15:00", "08:10", True)
    sender.send(sender.worker(lite, sender.Keeper()), wall("08:10"))
    assert "agree for every visit" in day.text("/board/differences")
    move("16:00", "08:20", False)
    with transaction() as s:
        truth.act(s, [day.visit("Grace")], wall("08:21"))
    listed = day.text("/board/differences")
    assert "Promised one time, told another 15:00 to 15:30 16:00 to 16:30 A person has to tell them" in listed
    assert "1 visit where what was told and what is planned differ" in day.text("/board/")
    assert "told 15:00 to 15:30, true now 16:00 to 16:30" in day.text(f"/board/visits/{day.visit('Grace')}")
