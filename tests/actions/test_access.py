"""Signing in: one sentence for every wrong try, links that work once, sessions that end at once."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from punctual.actions import Refused, access, company, transaction
from punctual.models import Link, LoginAttempt, Message, Signin, User, db
from tests import build

AT = build.wall("08:00")
PASSWORD = "correct horse battery"


@pytest.fixture
def dana(app: Flask) -> int:
    with transaction() as s:
        build.day(s)
    return company.add_user("dana@bellweather.example", "Dana Price", password=PASSWORD, at=AT)


@pytest.fixture
def key(app: Flask) -> bytes:
    secret: bytes = app.config["SETTINGS"].key("link")
    return secret


def test_the_right_password_opens_a_session(dana: int) -> None:
    secret = access.sign_in(" Dana@Bellweather.example", PASSWORD, address="a", label="Mac", at=AT)
    kept = db.session.query(Signin).one()
    assert kept.user_id == dana and secret not in kept.token_hash and kept.expires_at > AT


def test_a_wrong_password_and_an_unknown_account_read_the_same(dana: int) -> None:
    with pytest.raises(Refused) as wrong:
        access.sign_in("dana@bellweather.example", "not it at all", address="a", label="", at=AT)
    with pytest.raises(Refused) as unknown:
        access.sign_in("nobody@bellweather.example", PASSWORD, address="a", label="", at=AT)
    assert wrong.value.sentence == unknown.value.sentence == access.WRONG
    assert wrong.value.status == unknown.value.status == 401


def test_ten_wrong_tries_make_even_the_right_password_wait(dana: int) -> None:
    with transaction() as s:
        account = hashlib.sha256(b"dana@bellweather.example").hexdigest()[:32]
        s.add_all(LoginAttempt(at=AT, account=account, address="a", ok=False) for _ in range(access.TRIES))
    with pytest.raises(Refused, match="Too many tries") as refused:
        access.sign_in("dana@bellweather.example", PASSWORD, address="b", label="", at=AT)
    assert refused.value.status == 429
    later = AT + timedelta(seconds=access.WINDOW_S + 1)
    assert access.sign_in("dana@bellweather.example", PASSWORD, address="b", label="", at=later)


def test_a_sign_in_link_works_once(dana: int, key: bytes) -> None:
    token = access.signin_link(dana, key=key, at=AT)
    assert access.peek("signin", token, s=db.session(), at=AT) == dana
    assert access.enter(token, label="", at=AT)
    with pytest.raises(Refused, match="has been used"):
        access.enter(token, label="", at=AT)
    assert access.peek("signin", token, s=db.session(), at=AT) is None


def test_a_newer_link_ends_the_older_one(dana: int, key: bytes) -> None:
    older, newer = (access.signin_link(dana, key=key, at=AT) for _ in range(2))
    with pytest.raises(Refused):
        access.enter(older, label="", at=AT)
    assert access.enter(newer, label="", at=AT)


def test_a_link_ends_after_its_hour(dana: int, key: bytes) -> None:
    token = access.signin_link(dana, key=key, at=AT)
    with pytest.raises(Refused):
        access.enter(token, label="", at=AT + timedelta(hours=1, seconds=1))


def test_the_database_holds_no_link_and_no_password(dana: int, key: bytes) -> None:
    token = access.signin_link(dana, key=key, at=AT)
    assert db.session.query(Link).filter(Link.token_hash == token).count() == 0
    assert PASSWORD not in db.session.get_one(User, dana).password_hash


def test_a_phone_is_enrolled_and_can_be_revoked(dana: int, key: bytes) -> None:
    access.enrol(access.enrol_link(1, key=key, at=AT), label="iPhone", at=AT)
    session = db.session.query(Signin).filter(Signin.technician_id == 1).one()
    access.revoke(session.id, at=AT + timedelta(minutes=1))
    db.session.expire_all()
    assert session.revoked_at == AT + timedelta(minutes=1)


def test_an_enrol_link_can_be_mailed(dana: int, key: bytes) -> None:
    access.mail_enrol_link(1, key=key, origin="http://localhost", at=AT, by="user:1")
    message = db.session.query(Message).filter_by(kind="enrol").one()
    assert message.technician_id == 1 and message.state == "queued"


def test_a_short_password_is_refused(s: Session) -> None:
    with pytest.raises(Refused, match="at least 12"):
        access.password_hash("short")
