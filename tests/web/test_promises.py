"""Promises at the three doors: the customer sees all of theirs, the board keeps and moves them, programs too."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from punctual import clock, outbox
from punctual.actions import dispatcher, promise, token, transaction
from punctual.actions.dispatcher import By
from punctual.core.day import Window
from punctual.models import Promise, Visit, db
from tests import build, sender
from tests.build import wall
from tests.web.desk import desk
from tests.web.visitor import everything, visitor


def test_a_customer_sees_every_promise_with_its_history(lite: Flask) -> None:
    grace = visitor(lite)
    with transaction() as s:
        dana = build.dispatcher(s)
    made = promise.make(
        grace.built.visits["Grace"].id, "part", wall("11:00"), at=wall("08:20"), by=By(dana.id, "Dana Price")
    )
    worker = sender.worker(lite, keeper := sender.Keeper())
    sender.send(worker, wall("08:20"))
    promise.move(made, wall("15:00"), at=wall("08:25"), by=By(dana.id, "Dana Price"))
    sender.send(worker, wall("08:25"))
    assert [e.kind for e in keeper.kept] == ["promise_made", "promise_moved"]
    before = everything()
    text = grace.text()
    assert "The spare part Open, due 15:00 today. Responsible: Dana" in text
    assert "The spare part by 11:00 today Moved to 15:00 today, told at 8:25" in text
    assert "Told on Tue 24 Nov at 8:25 by e-mail" in text
    assert "Arrival Tue 24 Nov, between 10:00 and 10:30 Open, due 10:30 today" in text
    assert everything() == before, "looking changes nothing"


def test_a_move_was_told_by_the_message_that_tells_it_and_no_other(lite: Flask) -> None:
    grace = visitor(lite)
    with transaction() as s:
        dana = By(build.dispatcher(s).id, "Dana Price")
    worker = sender.worker(lite, sender.Keeper())

    def move(start: str, *, tell: bool, at: str) -> None:
        window = Window(wall(start), wall(start) + timedelta(minutes=30))
        ana = grace.built.technicians["Ana"].id
        dispatcher.move(grace.visit.id, ana, start=window.start, window=window, tell=tell, at=wall(at), by=dana)

    move("14:00", tell=False, at="08:20")
    with transaction() as s:
        visit = s.get_one(Visit, grace.visit.id)
        outbox.put(s, key=f"{visit.id}:2:reminder", kind="reminder", at=wall("08:22"), reason="reminder", visit=visit)
    sender.send(worker, wall("08:22"))
    assert "Moved to Tue 24 Nov, between 14:00 and 14:30 Told" not in (text := grace.text())
    assert "Moved to Tue 24 Nov, between 14:00 and 14:30" in text and "told at 8:22" not in text
    move("15:00", tell=True, at="08:25")
    sender.send(worker, wall("08:25"))
    assert "Moved to Tue 24 Nov, between 15:00 and 15:30, told at 8:25" in grace.text()


def test_a_promise_is_made_kept_and_moved_at_the_board(lite: Flask) -> None:
    clock.configure("2026-11-24T09:00:00+00:00 x1")
    day = desk(lite)
    visit = day.visit("Grace")
    form = {"kind": "part", "date": "2026-11-24", "time": "15:00", "owner": str(day.user.id), "tell": "on"}
    assert day.post(f"/board/visits/{visit}/promise", **form).status_code == 303
    assert "Promised the spare part by 15:00, Dana Price" in day.text(f"/board/visits/{visit}")
    first = db.session.scalars(select(Promise.id).where(Promise.kind == "part")).one()
    assert day.post(f"/board/promises/{first}/move", date="2026-11-25", time="12:00").status_code == 303
    listed = day.text("/board/promises")
    assert "Wed 12:00 The spare part Grace Whitfield Dana Price" in listed
    second = db.session.scalars(select(Promise.id).where(Promise.kind == "part", Promise.state == "open")).one()
    assert day.post(f"/board/promises/{second}/keep").status_code == 303
    assert "No open promises." in day.text("/board/promises")
    assert "1 of 1 promises other than arrivals kept in 30 days" in day.text("/board/promises?state=kept")


def test_a_promise_that_falls_due_is_in_the_queue(lite: Flask) -> None:
    clock.configure("2026-11-24T09:00:00+00:00 x1")
    day = desk(lite)
    promise.make(day.visit("Helen"), "part", wall("11:00"), at=wall("09:00"), by=By(day.user.id, "Dana Price"))
    assert "Helen" not in day.text("/board/queue")
    clock.configure("2026-11-24T10:01:00+00:00 x1")
    assert "Helen Whitfield By 11:00 Promised the spare part by 11:00. Dana Price owns it." in day.text("/board/queue")


def test_a_time_that_makes_no_sense_is_refused_in_a_sentence(lite: Flask) -> None:
    clock.configure("2026-11-24T09:00:00+00:00 x1")
    day = desk(lite)
    for form in (
        {"kind": "part", "date": "2026-11-24", "time": "08:00"},
        {"kind": "part", "date": "x", "time": "15:00"},
        {"kind": "window", "date": "2026-11-24", "time": "15:00"},
        {"kind": "part", "date": "2026-11-24", "time": "15:00", "owner": "77"},
    ):
        assert day.post(f"/board/visits/{day.visit('Grace')}/promise", **form).status_code == 422
    assert db.session.scalars(select(Promise).where(Promise.kind != "window")).all() == []


def test_visits_become_a_job_at_the_board(lite: Flask) -> None:
    clock.configure("2026-11-24T09:00:00+00:00 x1")
    day = desk(lite)
    visit = day.visit("Grace")
    assert day.post(f"/board/visits/{visit}/job", name="New boiler", date="2026-11-30").status_code == 303
    assert "All work finished: New boiler" in day.text("/board/promises")


def test_programs_make_keep_move_and_list_promises(lite: Flask) -> None:
    clock.configure("2026-11-24T09:00:00+00:00 x1")
    with transaction() as s:
        built = build.day(s)
        build.dispatcher(s)
    client = lite.test_client()
    secret = token.make("crm", ["read", "write"], days=1, at=clock.now())
    headers = {"Authorization": f"Bearer {secret}"}
    grace = built.visits["Grace"].id
    due = (wall("15:00")).isoformat()
    made = client.post(f"/api/v1/visits/{grace}/promises", json={"kind": "part", "due": due}, headers=headers)
    assert (made.status_code, made.json["owner"], made.json["state"]) == (201, "Dana Price", "open")
    later = (wall("15:00") + timedelta(days=1)).isoformat()
    moved = client.post(f"/api/v1/promises/{made.json['id']}/move", json={"due": later}, headers=headers)
    assert (moved.json["replaces_id"], moved.json["version"]) == (made.json["id"], 2)
    kept = client.post(f"/api/v1/promises/{moved.json['id']}/keep", headers=headers)
    assert (kept.json["state"], kept.json["ended_by"]) == ("kept", "crm")
    states = {
        state: [p["id"] for p in client.get(f"/api/v1/promises?state={state}", headers=headers).json["promises"]]
        for state in ("open", "moved", "kept")
    }
    assert states == {"open": [], "moved": [made.json["id"]], "kept": [moved.json["id"]]}
    job = client.post(
        "/api/v1/jobs", json={"name": "Boiler", "visits": [grace], "finished_by": "2026-11-30"}, headers=headers
    )
    assert job.status_code == 201
    assert client.get("/api/v1/promises?state=ajar", headers=headers).status_code == 422
    assert client.post("/api/v1/promises/999/keep", headers=headers).status_code == 404
