"""Commands about messages: their words and their states."""

from __future__ import annotations

import click

from punctual.cli.frame import application, main, told


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
