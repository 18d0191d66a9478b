"""Commands that make a company, look after it and let people in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from punctual.cli.frame import application, main, told


class Wrong(click.UsageError):
    """An answer that cannot be used: asked for again where somebody types, the end of the command where nobody does."""

    exit_code = 1


class Checked(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """Text that is looked at as soon as it is typed: who mistypes the second answer need not give twelve again."""

    name = "text"

    def __init__(self, look: Callable[[str], object]) -> None:
        self.look = look

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from punctual.actions import Refused
        from punctual.config import SettingError

        try:
            self.look(value)
        except (Refused, SettingError) as no:
            raise Wrong(str(no)) from no
        return value


def _zone(given: str) -> None:
    from punctual.actions.company import known_zone

    known_zone(given)


def _country(given: str) -> None:
    from punctual.actions.company import known_country

    known_country(given)


def _address(given: str) -> None:
    from punctual.actions.company import address

    address(given)


def _origin(given: str) -> None:
    from punctual import config

    config.written({"origin": given})


def _password(given: str) -> None:
    from punctual.actions.access import password_hash

    password_hash(given)


@main.command()
@click.option("--name", prompt="Company name", help="As customers know it.")
@click.option("--zone", prompt="Zone", default="Europe/London", type=Checked(_zone), help="IANA zone of the company.")
@click.option("--origin", prompt="Public address of the pages", type=Checked(_origin), default="http://127.0.0.1:8000")
@click.option("--mail-from", prompt="E-mail address that customers are written from", type=Checked(_address))
@click.option("--phone", prompt="Company phone", default="", help="Shown to customers.")
@click.option("--hours", prompt="Hours at that phone", default="Mon-Fri 8:00-18:00")
@click.option("--country", prompt="Country code for phone numbers", type=Checked(_country), default="GB")
@click.option("--smtp", prompt="SMTP server, host:port (empty: mails go to a folder)", default="")
@click.option("--smtp-user", default=None, help="User name at the SMTP server; asked for when there is a server.")
@click.option("--dispatcher", prompt="E-mail of the first dispatcher", type=Checked(_address))
@click.option("--dispatcher-name", prompt="Their name")
@click.password_option("--password", prompt="Their password (12 characters or more)", type=Checked(_password))
@told
def init(smtp: str, smtp_user: str | None, origin: str, **answers: Any) -> None:
    """Make your company: asks what it must know and writes it into the instance folder."""
    from punctual import clock, config
    from punctual.actions import company as verbs

    url = config.load().database_url  # kept: a shell without DATABASE_URL would silently begin an SQLite of its own
    told_so = {"origin": origin} | ({"database_url": url} if url else {}) | _mail_settings(smtp, smtp_user)
    text = config.written(told_so)
    app = application()
    with app.app_context():
        verbs.found(at=clock.now(), **answers)
    file = app.config["SETTINGS"].instance / "config.toml"
    if file.exists():
        click.echo(f"{file} was there already and stays as it is; it should say:")
        click.echo(text)
    else:
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        click.echo(f"Wrote {file}.")
    click.echo("Your company is made. Next: `punctual doctor`, then `punctual run`.")


def _mail_settings(smtp: str, user: str | None) -> dict[str, str | int]:
    """The settings behind "SMTP server, host:port"; none where mails go to a folder. Asks for name, password and TLS."""
    host, _, port = smtp.partition(":")
    if not host:
        return {}
    number = int(port) if port.isdecimal() else 587
    if user is None:
        user = click.prompt("User name at the SMTP server (empty: no sign-in)", default="")
    found: dict[str, str | int] = {"mail": "smtp", "smtp_host": host, "smtp_port": number}
    if user:
        secret = click.prompt("Password at the SMTP server", hide_input=True)
        found |= {"smtp_user": user, "smtp_password": secret}
    local = host in ("localhost", "127.0.0.1", "::1")
    kind = click.Choice(["starttls", "tls", "none"])
    default = "tls" if number == 465 else "none" if local else "starttls"
    return found | {"smtp_tls": click.prompt("TLS to the SMTP server", type=kind, default=default)}


@main.command()
@click.option("--test-mail", default="", help="Send a test mail to this address.")
@told
def doctor(test_mail: str) -> None:
    """Check everything and say how to mend what is wrong."""
    from punctual import doctor as checks

    findings = checks.examine(test_mail)
    for finding in findings:
        click.echo(
            f"{'ok   ' if finding.ok else 'WRONG'}  {finding.what}{'' if finding.ok else f'  -> {finding.mend}'}"
        )
    if not all(f.ok for f in findings):
        raise SystemExit(1)


@main.command()
@click.argument("changes", nargs=-1)
@told
def rules(changes: tuple[str, ...]) -> None:
    """The company's rules with their values; NAME=VALUE changes one, at once."""
    from dataclasses import fields

    from punctual.actions import company
    from punctual.core.policy import Rules
    from punctual.models import db
    from punctual.queries import day as days

    app = application()
    with app.app_context():
        try:
            if changes:
                company.change_rules(dict(_change(c) for c in changes))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        now = days.rules(db.session())
    for f in fields(Rules):
        own = " *" if getattr(now, f.name) != f.default else ""
        click.echo(f"{f.name:22} {getattr(now, f.name):<8g}{own:2}  {f.metadata['sentence']}")


def _change(given: str) -> tuple[str, float]:
    """A rule's name and its new value."""
    name, _, value = given.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise click.ClickException(f'"{given}" changes nothing. Write it as in: punctual rules max_delay=1') from None


@main.command()
@told
def upgrade() -> None:
    """Bring the database up to date."""
    application()
    click.echo("The database is up to date.")


@main.command()
@click.argument("email")
@click.option("--name", default="")
@click.option("--password", default="", help="Set a password; without one a sign-in link is printed.")
@click.option(
    "--role", type=click.Choice(["dispatcher", "manager"]), help="A manager answers concerns and gets what waits."
)
@told
def user(email: str, name: str, password: str, role: str | None) -> None:
    """Add a dispatcher, or print a sign-in link for one."""
    from punctual import clock
    from punctual.actions import access
    from punctual.actions import company as verbs

    app = application()
    settings = app.config["SETTINGS"]
    with app.app_context():
        user_id = verbs.add_user(email, name, password=password, role=role or "", at=clock.now())
        made = access.signin_link(user_id, key=settings.key("link"), at=clock.now())
    click.echo(f"{settings.origin}/board/enter/{made}")


@main.command()
@click.argument("name")
@click.option("--scopes", default="read,write", show_default=True)
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 3650))
@told
def token(name: str, scopes: str, days: int) -> None:
    """Make a token for the API; it is shown once."""
    from punctual import clock
    from punctual.actions import token as verbs

    app = application()
    with app.app_context():
        secret = verbs.make(name, [x.strip() for x in scopes.split(",")], days=days, at=clock.now())
    click.echo(f"{name}, {scopes}, {days} days: {secret}")
