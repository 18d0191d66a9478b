"""The `punctual` command; each subcommand loads what it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def told(command: F) -> F:
    """Errors meant for people end a command with their sentence, not with a traceback."""

    @wraps(command)
    def inner(*args: Any, **kwargs: Any) -> Any:
        from sqlalchemy.exc import OperationalError, ProgrammingError

        from punctual.actions import Refused
        from punctual.config import SettingError

        try:
            return command(*args, **kwargs)
        except Refused as no:
            for row in list(no.facts.get("errors", []))[:50]:  # type: ignore[call-overload]
                click.echo(f"  {row['sentence']}", err=True)
            raise click.ClickException(no.sentence) from no
        except SettingError as no:
            raise click.ClickException(str(no)) from no
        except (OperationalError, ProgrammingError) as no:
            raise click.ClickException(
                f"The database does not answer as expected: {no.orig}. Try `punctual doctor`."
            ) from no

    return inner  # type: ignore[return-value]


def application() -> Any:
    """The application with its database up to date."""
    from flask_migrate import upgrade

    from punctual.app import create_app

    app = create_app()
    with app.app_context():
        upgrade()
    return app


@click.group(help="Punctual warns the next customer before they are left waiting.")
@click.version_option(package_name="punctual")
def main() -> None:
    """The group."""


@main.command()
@click.option("--name", prompt="Company name", help="As customers know it.")
@click.option("--zone", prompt="Zone", default="Europe/London", help="IANA zone of the company.")
@click.option("--origin", prompt="Public address of the pages", default="http://127.0.0.1:8000")
@click.option("--mail-from", prompt="E-mail address that customers are written from")
@click.option("--phone", prompt="Company phone", default="", help="Shown to customers.")
@click.option("--hours", prompt="Hours at that phone", default="Mon-Fri 8:00-18:00")
@click.option("--country", prompt="Country code for phone numbers", default="GB")
@click.option("--smtp", prompt="SMTP server, host:port (empty: mails go to a folder)", default="")
@click.option("--dispatcher", prompt="E-mail of the first dispatcher")
@click.option("--dispatcher-name", prompt="Their name")
@click.password_option("--password", prompt="Their password (12 characters or more)")
@told
def init(smtp: str, origin: str, dispatcher: str, dispatcher_name: str, password: str, **company: Any) -> None:
    """Make your company: asks what it must know and writes it into the instance folder."""
    from punctual import clock, config
    from punctual.actions import access
    from punctual.actions import company as verbs

    access.password_hash(password)
    folder = config.load().instance
    folder.mkdir(parents=True, exist_ok=True)
    host, _, port = smtp.partition(":")
    lines = [f'origin = "{origin}"']
    if host:
        lines += ['mail = "smtp"', f'smtp_host = "{host}"', f"smtp_port = {int(port) if port.isdecimal() else 587}"]
    file = folder / "config.toml"
    if not file.exists():
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        click.echo(f"Wrote {file}.")
    app = application()
    with app.app_context():
        verbs.found(at=clock.now(), **company)
        verbs.add_user(dispatcher, dispatcher_name, password=password, at=clock.now())
    click.echo("Your company is made. Next: `punctual doctor`, then `punctual run`.")


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
@told
def upgrade() -> None:
    """Bring the database up to date."""
    application()
    click.echo("The database is up to date.")


@main.command()
@told
def serve() -> None:
    """Serve the pages (larger set-ups: beside one or more workers)."""
    from punctual.processes import gunicorn

    application()
    os.execv(sys.executable, gunicorn())


@main.command()
@told
def worker() -> None:
    """Watch the days and send what is due."""
    import logging

    from punctual.actions import places
    from punctual.demo import Ticker
    from punctual.worker import Worker

    app = application()
    settings = app.config["SETTINGS"]
    logging.basicConfig(level=settings.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    chores = [places.geocoding(settings)] if settings.geocoder_url else []
    chores += [places.travelling(settings)] if settings.router_url else []
    Worker(app, (Ticker(app).tick,) if settings.demo else (), aside=tuple(chores)).run()


@main.command()
@told
def run() -> None:
    """Web and worker together, for one machine; Ctrl-C ends both."""
    from punctual.processes import gunicorn, together

    application()
    together([gunicorn(), [sys.executable, "-m", "punctual.cli", "worker"]])


@main.command()
@click.option("--port", default=8000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to open it on a real phone.")
@click.option("--speed", default=20.0, show_default=True, help="How fast the demo's day passes.")
@click.option("--fresh", is_flag=True, help="Begin anew.")
@told
def demo(port: int, host: str, speed: float, fresh: bool) -> None:
    """A running example day with links to open."""
    from punctual import demo_run

    raise SystemExit(demo_run.supervise(port=port, host=host, speed=speed, fresh=fresh))


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", default=None, help="Zone of a recorded day's times.")
@click.option("--tell", is_flag=True, help="Tell customers whose appointment changes.")
@click.option("--actuals", is_flag=True, help="Recorded days: take what happened too, as history.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@told
def import_(file: Path, zone: str | None, tell: bool, actuals: bool, dry_run: bool) -> None:
    """Take a schedule: all of it, or errors by row and column."""
    from punctual import clock
    from punctual.actions import intake

    app = application()
    with app.app_context(), click.progressbar(length=100, label=file.name, file=sys.stderr) as bar:
        counts = intake.take(
            file.read_bytes(), name=file.name, at=clock.now(), by="cli", zone=zone, tell=tell, actuals=actuals,
            dry=dry_run, progress=lambda done, of: bar.update(round(100 * done / max(of, 1)) - bar.pos),
        )  # fmt: skip
    click.echo(str(counts))


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--history", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Recorded days to learn from."
)
@click.option(
    "--in-time", default=15.0, show_default=True, help="Minutes before the planned start that count as in time."
)
@click.option("--budget", default=0.05, show_default=True, help="Share of on-time customers who may be warned.")
@click.option("--zone", default="America/New_York", show_default=True)
@click.option("--days", default=0, help="Only the first days.")
@click.option("--resources", default=0, help="Only the first resources.")
@click.option("--json", "as_json", is_flag=True)
@told
def replay(
    file: Path, history: Path | None, in_time: float, budget: float, zone: str, days: int, resources: int, as_json: bool
) -> None:
    """Run recorded days through the product and say what would have happened."""
    import json
    import tempfile

    from flask_migrate import upgrade as migrate

    from punctual import replay as replaying
    from punctual.app import create_app
    from punctual.config import Settings

    recorded = replaying.selected(file.read_bytes(), days, resources)
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(**replaying.scratch(Path(folder))))  # type: ignore[arg-type]
        with app.app_context():
            migrate()
        with click.progressbar(length=1000, label="replaying", file=sys.stderr) as bar:
            result = replaying.run(
                app, recorded, history.read_bytes() if history else None, zone=zone, in_time=in_time, budget=budget,
                progress=lambda done, of: bar.update(round(1000 * done / max(of, 1)) - bar.pos),
            )  # fmt: skip
    click.echo(json.dumps(result.as_json()) if as_json else replaying.words(result, in_time))


@main.command()
@told
def learn() -> None:
    """Learn from all finished visits."""
    from punctual import clock
    from punctual import learn as learning
    from punctual.actions import transaction

    app = application()
    with app.app_context():
        with transaction() as s:
            row = learning.learn(s, at=clock.now())
        click.echo(f"Learned from {row.visits} finished visits (version {row.id}).")


@main.command()
@told
def learned() -> None:
    """What has been learned, in a table."""
    import numpy as np

    from punctual import learn as learning
    from punctual.models import JobType, db

    app = application()
    with app.app_context():
        state = learning.current(db.session())
        names = {j.id: j.name for j in db.session.query(JobType)}
        click.echo(f"From {state.visits} finished visits; told at a chance of {state.tell_chance:.2f}")
        for code, mean, sd in zip(state.types, state.type_mean, state.type_sd, strict=True):
            low, mid, high = np.exp(mean + sd * np.array([-1.28, 0, 1.28])) * 100
            click.echo(f"  {names.get(int(code), code):24} {mid:4.0f} % of plan (8 of 10: {low:.0f} to {high:.0f} %)")


@main.command()
@click.argument("visit", type=click.IntRange(1, 2**31 - 1))
@told
def explain(visit: int) -> None:
    """Why a visit is expected when it is, and why its customer was told or not."""
    from punctual import clock
    from punctual.models import Notice, Visit, db
    from punctual.queries import visit as visits

    app = application()
    with app.app_context():
        if db.session.get(Visit, visit) is None:
            raise click.ClickException(f"There is no visit {visit}.")
        story = visits.story(db.session(), visit, at=clock.now())
        click.echo(f"{story.visit.customer.name}: {story.state}")
        if story.forecast:
            click.echo(f"  arrival {story.forecast.arrive[0]:%H:%M} to {story.forecast.arrive[2]:%H:%M} UTC, "
                       f"chance of being late {story.forecast.p_late:.0%}")  # fmt: skip
            for name, value in story.forecast.why.items():
                click.echo(f"    {name}: {value}")
        for n in db.session.query(Notice).filter_by(visit_id=visit).order_by(Notice.id):
            click.echo(f"  {n.at:%H:%M} {n.decision} {n.kind}: {n.reason} {n.facts}")


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


@main.command()
@click.argument("email")
@click.option("--name", default="")
@click.option("--password", default="", help="Set a password; without one a sign-in link is printed.")
@told
def user(email: str, name: str, password: str) -> None:
    """Add a dispatcher, or print a sign-in link for one."""
    from punctual import clock
    from punctual.actions import access
    from punctual.actions import company as verbs

    app = application()
    settings = app.config["SETTINGS"]
    with app.app_context():
        user_id = verbs.add_user(email, name, password=password, at=clock.now())
        made = access.signin_link(user_id, key=settings.key("link"), at=clock.now())
    click.echo(f"{settings.origin}/board/enter/{made}")


@main.command()
@click.argument("kind")
@told
def preview(kind: str) -> None:
    """The words of a message kind, with example values."""
    from punctual import messages
    from punctual.core.kinds import KINDS

    if kind not in KINDS:
        raise click.ClickException(f"There is no kind {kind}. The kinds are: {', '.join(KINDS)}.")
    app = application()
    with app.test_request_context():
        made = messages.compose(kind, messages.EXAMPLE, "en")
    click.echo(f"Subject: {made.subject}\n\n{made.text}\nText: {made.sms}")


@main.command()
@click.option("--state", default="", help="Only messages in this state.")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 1000))
@told
def outbox(state: str, last: int) -> None:
    """The newest messages and their states."""
    from punctual.models import Message, db

    app = application()
    with app.app_context():
        found = db.session.query(Message).order_by(Message.id.desc())
        if state:
            found = found.filter_by(state=state)
        for m in found.limit(last):
            click.echo(
                f"{m.state_at:%Y-%m-%d %H:%M}  {m.state:9} {m.kind:16} visit {m.visit_id or '-'}  {m.state_reason}"
            )


if __name__ == "__main__":
    main()
