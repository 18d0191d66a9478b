"""Only the right people: every route of the application against every kind of caller."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from punctual import clock
from punctual.actions import access as signins
from punctual.actions import token as tokens
from punctual.actions import transaction
from punctual.models import Signin, db
from punctual.web import access
from tests import build

#: What a path's placeholders become: ids that exist nowhere.
FILL = {"visit_id": 99, "token": "x" * 22, "step": "done", "face": "board", "date": "2026-11-24", "provider": "twilio"}
#: Statuses that let nobody in and tell nothing.
SHUT = (303, 400, 401, 403, 404, 405)


@pytest.fixture
def people(lite: Flask) -> dict[str, FlaskClient]:
    """A client for each kind of caller, truly signed in."""
    at, key = clock.now(), lite.config["SETTINGS"].key("link")
    with transaction() as s:
        built = build.day(s, on=at.date())
        user, tom = build.dispatcher(s).id, built.technicians["Tom"].id
    found = {"nobody": lite.test_client(), "technician": lite.test_client(), "dispatcher": lite.test_client()}
    found["technician"].post(f"/t/enrol/{signins.enrol_link(tom, key=key, at=at)}")
    found["dispatcher"].post(f"/board/enter/{signins.signin_link(user, key=key, at=at)}")
    for name, scopes in (("api:read", ["read"]), ("api:write", ["read", "write"])):
        found[name] = lite.test_client()
        secret = tokens.make(name, scopes, days=1, at=at)
        found[name].environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return found


def path(rule: Rule) -> str:
    values = {a: FILL.get(a, 99) for a in rule.arguments}
    return str(rule.build(values, append_unknown=False)[1])  # type: ignore[index]


def calls(app: Flask) -> list[tuple[str, str, str]]:
    """(role, method, path) of every route and method."""
    return [
        (app.view_functions[r.endpoint].allow, method, path(r))  # type: ignore[attr-defined]
        for r in app.url_map.iter_rules()
        if r.endpoint != "static"
        for method in sorted((r.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def test_every_route_is_in_the_matrix(lite: Flask) -> None:
    assert len(calls(lite)) > 50
    assert {role for role, _, _ in calls(lite)} <= set(access.ROLES)


@pytest.mark.parametrize("who", ["nobody", "technician", "dispatcher", "api:read", "api:write"])
def test_outsiders_get_in_nowhere(lite: Flask, people: dict[str, FlaskClient], who: str) -> None:
    opened = []
    for role, method, target in calls(lite):
        mine = role in (who, "public", "customer", "provider") or (who == "api:write" and role == "api:read")
        if mine:
            continue
        answer = people[who].open(target, method=method)
        signin = answer.status_code != 303 or "/board/sign-in" in answer.headers["Location"]
        if answer.status_code not in SHUT or not signin:
            opened.append((who, method, target, answer.status_code))
    assert opened == []


@pytest.mark.parametrize("who", ["technician", "dispatcher", "api:write"])
def test_insiders_are_let_in(people: dict[str, FlaskClient], who: str) -> None:
    door = {"technician": "/t/", "dispatcher": "/board/", "api:write": "/api/v1/visits?date=2026-11-24"}[who]
    assert people[who].get(door).status_code == 200


def test_nothing_ends_in_a_server_error(lite: Flask, people: dict[str, FlaskClient]) -> None:
    broken = [
        (who, method, target)
        for who, client in people.items()
        for _, method, target in calls(lite)
        if "sign-out" not in target and target != "/healthz" and client.open(target, method=method).status_code >= 500
    ]
    assert broken == []


def test_a_change_from_another_site_is_refused_everywhere(lite: Flask, people: dict[str, FlaskClient]) -> None:
    strange = {"Sec-Fetch-Site": "cross-site"}
    let_in = []
    for role, method, target in calls(lite):
        client = people.get(role, people["nobody"])
        if method != "GET" and not role.startswith("api:") and role != "provider":
            status = client.open(target, method=method, headers=strange).status_code
            if status != 403:
                let_in.append((method, target, status))
    assert let_in == []


def test_a_board_form_without_its_token_changes_nothing(people: dict[str, FlaskClient]) -> None:
    answer = people["dispatcher"].post("/board/visits/1/cancel", data={"tell": "yes"})
    assert answer.status_code == 400 and "expired" in answer.text


def test_a_revoked_session_is_out_at_once(lite: Flask, people: dict[str, FlaskClient]) -> None:
    for row in db.session.query(Signin).all():
        signins.revoke(row.id, at=clock.now())
    assert people["dispatcher"].get("/board/").status_code == 303
    assert people["technician"].get("/t/").status_code == 401


def test_an_expired_token_is_refused(lite: Flask) -> None:
    secret = tokens.make("old", ["read"], days=1, at=clock.now() - timedelta(days=3))
    answer = lite.test_client().get("/api/v1/visits?date=2026-11-24", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 401 and answer.mimetype == "application/problem+json"
