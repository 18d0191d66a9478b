"""Checks an instance from top to bottom and says how to mend what is wrong."""

from __future__ import annotations

import email.policy
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import urlsplit

from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError

from punctual import clock, config, demo_state, gate
from punctual.app import create_app
from punctual.config import Settings
from punctual.models import Company, Heartbeat, Place, User, db
from punctual.transports import TRANSPORTS, Envelope, TransportError

#: A customer's link longer than this makes texts longer than two segments (words.md 0.1).
LINK_MAX = 56
#: SQLite before this one can corrupt its write-ahead log when it is reset.
SQLITE_GOOD = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` says what to do when it is not ok."""

    ok: bool
    what: str
    mend: str = ""


def examine(test_mail: str = "") -> list[Finding]:
    """Everything in order; a fault in one check does not stop the others."""
    try:
        settings = demo_state.settings()
    except config.SettingError as error:
        return [Finding(False, "settings", str(error))]
    found = [Finding(True, f"settings read, instance folder {settings.instance}")]
    found += _folder(settings)
    length = len(settings.origin) + len("/c/") + 22
    found.append(Finding(length <= LINK_MAX, f"customer links have {length} characters", "choose a shorter origin"))
    found += _reach(settings)
    found += _texts(settings)
    try:
        app = create_app(settings)
    except config.SettingError as error:
        return [*found, Finding(False, "the clock", str(error))]
    with app.app_context():
        found += _database(settings)
        if test_mail:
            found.append(_mail(settings, test_mail))
    return found


def _reach(settings: Settings) -> Iterator[Finding]:
    """Whether what is written can reach anybody; a set-up to try things out is no fault."""
    if urlsplit(settings.origin).hostname in ("127.0.0.1", "localhost", "::1"):
        yield Finding(True, f"links begin with {settings.origin}: only this machine can open them; set origin")
    if settings.mail == "file":
        yield Finding(True, "mails are left in a folder, no customer gets them; set mail and smtp_host to send them")


def _texts(settings: Settings) -> Iterator[Finding]:
    """Whether texts can leave as they are set up."""
    if settings.sms and settings.sms not in TRANSPORTS:
        yield Finding(False, f"texts leave by {settings.sms}", f"set sms to one of {', '.join(TRANSPORTS)}")
    needed = {
        "twilio": ("twilio_account", "twilio_token"),
        "webhook": ("webhook_url", "webhook_secret"),
    }.get(settings.sms, ())
    for name in needed:
        yield Finding(bool(getattr(settings, name)), f"the setting {name}", f"set {name} in config.toml")
    if settings.sms in ("twilio", "webhook"):
        named = bool(settings.sms_from or settings.twilio_service)
        yield Finding(named, "texts have a sender", "set sms_from, the number texts are sent from")
        public = settings.origin.startswith("https://")
        yield Finding(public, "the provider can call us back", "set origin to the public https address")


def _folder(settings: Settings) -> Iterator[Finding]:
    if not settings.instance.exists():
        yield Finding(False, "the instance folder is there", "run `punctual init`, which makes it")
        return
    writable = os.access(settings.instance, os.W_OK)
    yield Finding(writable, "the instance folder can be written", f"give this user the folder {settings.instance}")
    if writable:
        with tempfile.NamedTemporaryFile(dir=settings.instance):
            yield Finding(
                len(settings.key("link")) == 32, "the link key is there", "restore instance/link.key from a backup"
            )


def _named() -> str:
    """Which database it is: somebody without DATABASE_URL looks at another one."""
    return db.engine.url.render_as_string(hide_password=True)


def _reason(error: Exception) -> str:
    """What the database's own driver said, in one line."""
    said = str(getattr(error, "orig", None) or type(error).__name__)
    return " ".join(said.split())


def _addresses(settings: Settings) -> Iterator[Finding]:
    """Addresses nobody will ever look up."""
    waiting = 0 if settings.geocoder_url else db.session.query(Place).filter_by(state="pending").count()
    if waiting:
        mend = "set geocoder_url, or give lat and lon: visits there are planned without a drive"
        yield Finding(False, f"addresses without a place, and no geocoder is set: {waiting}", mend)


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        made = inspect(db.engine).has_table("alembic_version")
        version = db.session.execute(text("SELECT version_num FROM alembic_version")).scalar() if made else None
    except Exception as error:
        mend = f"look at DATABASE_URL and whether the server runs ({_reason(error)})"
        yield Finding(False, f"the database {_named()} answers", mend)
        return
    if version is None:
        yield Finding(False, "the database has its tables", "run `punctual init`, or `punctual upgrade`")
        return
    yield Finding(True, f"the database {_named()} answers, version {version}")
    if db.engine.dialect.name == "sqlite":
        have = db.session.execute(text("SELECT sqlite_version()")).scalar_one()
        good = tuple(int(x) for x in have.split(".")) >= SQLITE_GOOD
        yield Finding(good, f"SQLite {have}", "install pysqlite3 (pip install pysqlite3): older ones can lose data")
    yield from _addresses(settings)
    company = db.session.get(Company, 1)
    yield Finding(company is not None, "a company is made", "run `punctual init`")
    users = db.session.query(User).filter_by(active=True).count()
    yield Finding(users > 0, f"{users} can sign in to the board", "run `punctual user you@example.com`")
    shut = gate.shut(db.session(), settings)
    if shut == "copied":
        mend = "this is a restored or copied database; once it is the only one: `punctual outbox release`"
        yield Finding(False, "messages go out", mend)
    elif shut:
        yield Finding(False, "messages go out", "somebody paused them; `punctual outbox resume`")
    beat = db.session.get(Heartbeat, "worker")
    fresh = beat is not None and clock.real_seconds(clock.now() - beat.at) < 120
    mend = "run `punctual demo`" if settings.demo else "run `punctual run` or `punctual worker`"
    yield Finding(fresh, "the worker is alive", mend)


def _sender() -> str:
    """The company's address; empty where there is no company, or no database, yet."""
    try:
        company = db.session.get(Company, 1)
    except DatabaseError:
        return ""
    return company.mail_from if company else ""


def _mail(settings: Settings, to: str) -> Finding:
    sender = _sender() or to
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, to, "Punctual can write to you"
    mail.set_content("This is the test mail of `punctual doctor`. If you read it, messages go out.\n")
    transport = TRANSPORTS[settings.mail](settings)
    try:
        transport.send(Envelope(to, sender, mail.as_bytes(), "doctor", "doctor", clock.now()))
    except TransportError as error:
        return Finding(False, f"a test mail to {to} by {settings.mail}", error.sentence)
    finally:
        transport.close()
    return Finding(True, f"a test mail to {to} left by {settings.mail}")
