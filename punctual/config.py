"""Every setting of an instance, once: its name, type, default and one sentence."""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def _setting(default: Any, sentence: str) -> Any:
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of this instance: environment PUNCTUAL_<NAME>, else instance/config.toml, else the default.

    What may be sent and when belongs to the company and lives in its row (core.policy.Rules).
    """

    instance: Path = _setting(Path("instance"), "Folder of this company's database, keys, config and outbox.")
    database_url: str = _setting("", "SQLAlchemy URL of the database; empty means SQLite in the instance folder.")
    origin: str = _setting("http://127.0.0.1:8000", "Public address of the pages; every link is built from it.")
    host: str = _setting("127.0.0.1", "Address the web server listens on.")
    port: int = _setting(8000, "Port the web server listens on.")
    threads: int = _setting(16, "Threads of one web process.")
    processes: int = _setting(1, "Web processes; more than one belongs to PostgreSQL.")
    clock: str = _setting("", 'A clock of its own, "2026-11-24T08:40+00:00 x20"; empty is the machine\'s clock.')
    mail: str = _setting("file", "How e-mail leaves: file (one .eml each in the outbox folder) or smtp.")
    outbox: Path = _setting(Path("outbox"), "Folder for the file transport, inside the instance folder if relative.")
    smtp_host: str = _setting("localhost", "SMTP server.")
    smtp_port: int = _setting(587, "Port of the SMTP server.")
    smtp_user: str = _setting("", "User name at the SMTP server; empty means no sign-in.")
    smtp_password: str = _setting("", "Password at the SMTP server.")
    smtp_tls: str = _setting("starttls", "TLS to the SMTP server: starttls, tls or none.")
    imap_host: str = _setting("", "IMAP server of the mailbox customers answer to; empty means none is read.")
    imap_port: int = _setting(993, "Port of the IMAP server.")
    imap_user: str = _setting("", "User name at the IMAP server.")
    imap_password: str = _setting("", "Password at the IMAP server.")
    imap_tls: str = _setting("tls", "TLS to the IMAP server: tls, starttls or none.")
    imap_folder: str = _setting("INBOX", "Folder that is read; a mail that was kept is marked as read.")
    mail_server: str = _setting(
        "", "Name our mail server writes into Authentication-Results; empty: no mail is proven."
    )
    sms: str = _setting("", "How texts leave: twilio, webhook or file; empty means no texts are sent.")
    sms_from: str = _setting("", "Number or name texts are sent from, for example +441174960118.")
    sms_countries: str = _setting("", "Countries texts go to, for example GB,IE; empty means the company's own.")
    twilio_account: str = _setting("", "Account SID at Twilio.")
    twilio_token: str = _setting("", "Auth token at Twilio; it also signs their calls to us.")
    twilio_service: str = _setting("", "Messaging service SID at Twilio, used instead of sms_from.")
    twilio_url: str = _setting("https://api.twilio.com", "Address of Twilio's API.")
    webhook_url: str = _setting("", "Where the webhook transport posts a text.")
    webhook_secret: str = _setting("", "Secret (whsec_...) that signs the webhook, both ways.")
    webhook_template: str = _setting(
        '{"to": "{to}", "from": "{from}", "text": "{text}", "id": "{attempt}"}',
        "JSON the webhook posts; {to} {from} {text} {attempt} {callback} {valid_s} are replaced.",
    )
    geocoder_url: str = _setting("", "Nominatim server that finds addresses; empty means none is asked.")
    geocoder_agent: str = _setting("punctual", "Name given to the geocoder, with a way to reach you.")
    router_url: str = _setting("", "Router for travel times (Valhalla or OSRM); empty means geodesic estimates.")
    router_kind: str = _setting("valhalla", "Wire format of the router: valhalla or osrm.")
    upload_mb: int = _setting(8, "Largest upload in megabytes.")
    demo: bool = _setting(False, "Show the demo's banner and start page, and let simulated technicians tap.")
    fault: str = _setting("", "For tests of crashes: the process ends at once at this point, as in intent:3.")
    log: str = _setting("info", "How much is logged: debug, info, warning or error.")

    @property
    def sqlalchemy_url(self) -> str:
        """The URL with the driver we use spelled out."""
        url = self.database_url or f"sqlite:///{(self.instance / 'punctual.db').resolve()}"
        for old in ("postgres://", "postgresql://"):
            if url.startswith(old):
                return "postgresql+psycopg://" + url.removeprefix(old)
        return url

    @property
    def outbox_folder(self) -> Path:
        return self.outbox if self.outbox.is_absolute() else self.instance / self.outbox

    def file(self, name: str) -> Path:
        """A file of the instance folder; its path is made once, for some are looked at with every message."""
        return _inside(self.instance, name)

    def key(self, name: str) -> bytes:
        """A secret of this instance (`link`, `session`), made on first use and kept in the instance folder."""
        file = self.file(f"{name}.key")
        try:
            return _secret(file, file.stat().st_mtime_ns)
        except FileNotFoundError:
            self.instance.mkdir(parents=True, exist_ok=True)
            fresh = file.with_suffix(f".{secrets.token_hex(4)}")
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_hex(32))
            try:
                os.link(fresh, file)
            except FileExistsError:
                pass  # another process was first; its key counts
            finally:
                fresh.unlink()
        return _secret(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _inside(folder: Path, name: str) -> Path:
    return folder / name


@lru_cache(maxsize=8)
def _secret(file: Path, changed: int) -> bytes:
    """What a key's file holds; read again when it was `changed`."""
    return bytes.fromhex(file.read_text().strip())


class SettingError(ValueError):
    """A setting that cannot be used; the message says which and how to write it."""


def load(environ: Mapping[str, str] | None = None, instance: Path | None = None) -> Settings:
    """Settings from the environment and the instance's config.toml; raises SettingError in a sentence."""
    env = os.environ if environ is None else environ
    folder = instance or Path(env.get("PUNCTUAL_INSTANCE", "instance"))
    values: dict[str, Any] = {"instance": folder}
    file = folder / "config.toml"
    if file.is_file():
        try:
            given = tomllib.loads(file.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise SettingError(f"{file} cannot be read: {error}. Compare it with instance/config.example.") from error
        known = {f.name for f in fields(Settings)}
        for name, value in given.items():
            if name not in known:
                raise SettingError(f'{file}: "{name}" is no setting. Remove it or see the README for the names.')
            values[name] = _typed(name, value)
    for f in fields(Settings):
        variable = f"PUNCTUAL_{f.name.upper()}"
        if variable in env and f.name != "instance":
            values[f.name] = _typed(f.name, env[variable])
    if "DATABASE_URL" in env:
        values["database_url"] = env["DATABASE_URL"]
    return check(replace(Settings(), **values))


def written(values: Mapping[str, str | int]) -> str:
    """Settings as the text of a config.toml; SettingError for a value that cannot be used."""
    check(replace(Settings(), **{name: _typed(name, value) for name, value in values.items()}))
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return "\n".join(lines) + "\n"  # a JSON string or number is a TOML one too


def _typed(name: str, value: Any) -> Any:
    kind: type = type(getattr(Settings(), name))
    try:
        if kind is bool:
            word = str(value).strip().lower()
            if word in ("1", "true", "yes", "on"):
                return True
            if word in ("", "0", "false", "no", "off"):
                return False
            raise ValueError
        if kind is int:
            return int(str(value).strip())
        return Path(str(value)) if issubclass(kind, Path) else str(value)
    except ValueError as error:
        wanted = {"bool": "yes or no", "int": "a whole number"}.get(kind.__name__, "text")
        raise SettingError(f'The setting {name} is "{value}"; it must be {wanted}.') from error


def check(settings: Settings) -> Settings:
    """The settings, or SettingError: an origin that links cannot be built from, a word that is not one of a list."""
    parts = urlsplit(settings.origin)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise SettingError(f'The setting origin is "{settings.origin}"; write it like https://visits.example.com.')
    for name, allowed in (
        ("mail", ("file", "smtp")),
        ("smtp_tls", ("starttls", "tls", "none")),
        ("imap_tls", ("starttls", "tls", "none")),
        ("router_kind", ("valhalla", "osrm")),
        ("log", ("debug", "info", "warning", "error")),
    ):
        if getattr(settings, name) not in allowed:
            raise SettingError(f'The setting {name} is "{getattr(settings, name)}"; use {" or ".join(allowed)}.')
    return replace(settings, origin=settings.origin.rstrip("/"))
