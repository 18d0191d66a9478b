"""Commands about messages: their words and their states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from punctual.cli.frame import application, main, told

if TYPE_CHECKING:
    from flask import Flask

    from punctual.core.segments import Size
    from punctual.messages import Composed


@main.command()
@click.argument("kind", default="")
@click.option("--language", default="en", show_default=True, help="Language of the words: en, es or de.")
@click.option(
    "--calendar", type=click.Path(file_okay=False, path_type=Path), help="Write the calendar mails into this folder."
)
@click.option("--html", type=click.Path(file_okay=False, path_type=Path), help="Write the HTML parts into this folder.")
@click.option("--to", default="", help="E-mail of somebody of the board: the example is sent to them, not printed.")
@told
def preview(kind: str, language: str, calendar: Path | None, html: Path | None, to: str) -> None:
    """The words of a message kind (or all), with example values and segments; or the calendar mails as files."""
    from punctual import facts, messages
    from punctual.core.kinds import KINDS
    from punctual.core.segments import size
    from punctual.models import db

    if calendar is not None:
        _calendar_mails(calendar)
        return
    if kind and kind not in KINDS:
        raise click.ClickException(f"There is no kind {kind}. The kinds are: {', '.join(KINDS)}.")
    if language not in ("en", "es", "de"):
        raise click.ClickException(f"There are no words in {language}. The languages are en, es and de.")
    app = application()
    if to:
        _to_myself(app, kind, language, to)
        return
    for one in [kind] if kind else list(KINDS):
        with app.test_request_context():
            made = messages.example(one, language, facts.own(db.session(), app.config["SETTINGS"]))
        _show(one, made, size(made.sms))
        if html is not None:
            html.mkdir(parents=True, exist_ok=True)
            (html / f"{one}.{language}.html").write_text(made.html, encoding="utf-8")


def _to_myself(app: Flask, kind: str, language: str, to: str) -> None:
    from punctual import clock
    from punctual.actions import delivery

    if not kind:
        raise click.ClickException("Say which kind of message, as in: punctual preview reminder --to you@example.com")
    with app.app_context():
        delivery.send_example(kind, language, to=to, at=clock.now())
    click.echo(f"Waits in the outbox for {to}: the worker sends it at once.")


def _show(kind: str, made: Composed, air: Size) -> None:
    """One message: its mail, its text, and how that travels."""
    click.echo(f"== {kind}\nSubject: {made.subject}\n\n{made.text}\nText: {made.sms}")
    units = "septets" if air.coding == "GSM-7" else "units"
    click.echo(f"      {air.coding}, {air.units} {units}, {air.segments} segment{'s' if air.segments != 1 else ''}\n")


def _calendar_mails(folder: Path) -> None:
    import tempfile

    from punctual import preview as previews
    from punctual.app import create_app
    from punctual.config import Settings
    from punctual.migrations import upgrade

    with tempfile.TemporaryDirectory() as scratch:
        app = create_app(Settings(instance=Path(scratch), **previews.SETTINGS))
        with app.app_context():
            upgrade()
        for file in previews.write(app, folder):
            click.echo(str(file))


@main.command("receive-mail")
@told
def receive_mail() -> None:
    """Take one mail in from standard input: a bounce, or an answer; for a mail server's pipe.

    Ends with 75 while the database does not answer, so that the mail server tries again and no mail is lost.
    """
    import sys

    from sqlalchemy.exc import SQLAlchemyError

    from punctual import clock
    from punctual.actions import inbound

    raw = sys.stdin.buffer.read()
    try:
        app = application()
        with app.app_context():
            word = inbound.mail(raw, server=app.config["SETTINGS"].mail_server, at=clock.now())
    except SQLAlchemyError as error:
        click.echo(f"The database does not answer: {error}. Try again later.", err=True)
        raise SystemExit(75) from error
    click.echo(word)


@main.group(invoke_without_command=True)
@click.option("--state", default="", help="Only messages in this state.")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.pass_context
@told
def outbox(context: click.Context, state: str, last: int) -> None:
    """The newest messages and their states; `outbox release` lets a restored copy send, `pause` and `resume` all."""
    if context.invoked_subcommand:
        return
    from punctual import gate
    from punctual.models import Message, db

    app = application()
    with app.app_context():
        shut = gate.shut(db.session(), app.config["SETTINGS"])
        if shut:
            click.echo("Nothing is sent: " + ("somebody paused it." if shut == "paused" else COPY))
        found = db.session.query(Message).order_by(Message.id.desc())
        if state:
            found = found.filter_by(state=state)
        for m in found.limit(last):
            click.echo(
                f"{m.state_at:%Y-%m-%d %H:%M}  {m.state:9} {m.kind:16} visit {m.visit_id or '-'}  {m.state_reason}"
            )


COPY = "this is a restored or copied database. `punctual outbox release` lets it send."


@outbox.command("release")
@told
def release() -> None:
    """Let a restored or copied database send: only when no other one sends for the same company."""
    from punctual import clock
    from punctual.actions import delivery

    app = application()
    with app.app_context():
        delivery.release(app.config["SETTINGS"], at=clock.now())
    click.echo("Released. What is still true and useful goes out now.")


@outbox.command("pause")
@told
def pause() -> None:
    """Send nothing until `punctual outbox resume`."""
    from punctual import clock
    from punctual.actions import delivery

    app = application()
    with app.app_context():
        delivery.pause(app.config["SETTINGS"], at=clock.now(), by="the operator")
    click.echo("Paused. Nothing is sent until `punctual outbox resume`.")


@outbox.command("resume")
@told
def resume() -> None:
    """Send again; what became useless meanwhile is dropped with its reason."""
    from punctual import clock
    from punctual.actions import delivery

    app = application()
    with app.app_context():
        delivery.resume(at=clock.now())
    click.echo("Messages go out again.")


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@told
def backup(file: Path) -> None:
    """Write the database and the link key into one file, while everything runs."""
    from punctual import backup as backups

    settings = application().config["SETTINGS"]
    rows = backups.save(settings, file)
    click.echo(f"Wrote {file}: {rows['visit']} visits, {rows['message']} messages, {sum(rows.values())} rows in all.")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@told
def restore(file: Path) -> None:
    """Bring a backup back into an empty instance; it stays silent until `punctual outbox release`."""
    from punctual import backup as backups
    from punctual import config

    rows = backups.load(config.load(), file)
    click.echo(f"Restored {rows['visit']} visits, {rows['message']} messages, {sum(rows.values())} rows in all.")
    click.echo("Nothing is sent until you type: punctual outbox release")
