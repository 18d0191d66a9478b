"""The doors into the board and onto a phone, as a browser sees them."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from punctual import clock
from punctual.actions import access, company, transaction
from tests import build

PASSWORD = "correct horse battery"


@pytest.fixture
def client(lite: Flask) -> FlaskClient:
    with transaction() as s:
        build.day(s, on=clock.now().date())
    company.add_user("dana@bellweather.example", "Dana Price", password=PASSWORD, at=clock.now())
    return lite.test_client()


def sign_in(client: FlaskClient, password: str = PASSWORD, target: str = "") -> object:
    form = {"email": "dana@bellweather.example", "password": password, "next": target}
    return client.post("/board/sign-in", data=form)


def test_the_board_asks_who_you_are_and_goes_on_where_you_wanted(client: FlaskClient) -> None:
    asked = client.get("/board/messages")
    assert asked.status_code == 303 and asked.headers["Location"].startswith("/board/sign-in?next=/board/messages")
    answer = sign_in(client, target="/board/messages")
    assert answer.headers["Location"] == "/board/messages"  # type: ignore[attr-defined]
    assert client.get("/board/messages").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/c/x", "/board//evil.example"]
)
def test_signing_in_leads_nowhere_else(client: FlaskClient, target: str) -> None:
    assert sign_in(client, target=target).headers["Location"] == "/board/"  # type: ignore[attr-defined]


def test_a_wrong_password_keeps_the_address_and_says_so(client: FlaskClient) -> None:
    answer = sign_in(client, "wrong password here")
    assert answer.status_code == 401 and "is wrong" in answer.text  # type: ignore[attr-defined]
    assert 'value="dana@bellweather.example"' in answer.text  # type: ignore[attr-defined]


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = sign_in(client).headers["Set-Cookie"]  # type: ignore[attr-defined]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_scanners_may_open_a_link_as_often_as_they_like(lite: Flask, client: FlaskClient) -> None:
    token = access.enrol_link(1, key=lite.config["SETTINGS"].key("link"), at=clock.now())
    for _ in range(3):
        assert "Use this phone" in client.get(f"/t/enrol/{token}").text
    assert client.post(f"/t/enrol/{token}").status_code == 303
    assert client.post(f"/t/enrol/{token}").status_code == 404
    assert client.get("/t/").status_code == 200


@pytest.mark.parametrize("token", ["x", "x" * 22, "x" * 4000, "%00", "%ff%fe"])
def test_a_strange_link_is_a_plain_no(client: FlaskClient, token: str) -> None:
    for place in ("/board/enter/", "/t/enrol/"):
        assert client.get(place + token).status_code in (400, 404)
        assert client.post(place + token).status_code in (400, 404)


def test_signing_out_ends_it(client: FlaskClient) -> None:
    sign_in(client)
    page = client.get("/board/").text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    assert client.post("/board/sign-out", data={"csrf_token": token}).status_code == 303
    assert client.get("/board/").status_code == 303


@pytest.mark.parametrize("password", ["", "\x00", "ü" * 5000, "\ud800"])
def test_no_password_breaks_the_door(client: FlaskClient, password: str) -> None:
    form = {"email": "dana@bellweather.example", "password": password.encode("utf-8", "surrogatepass")}
    assert client.post("/board/sign-in", data=form).status_code in (400, 401)
