"""Commands about what was learned and why a visit is expected when it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from punctual.cli.frame import application, main, scratch, told, unpacked


@main.command()
@click.option("--all", "everything", is_flag=True, help="Read every finished visit anew; the outcome is the same.")
@click.option("--forget", type=click.DateTime(["%Y-%m-%d"]), help="A day that shall teach nothing: a storm, a strike.")
@click.option("--remember", type=click.DateTime(["%Y-%m-%d"]), help="Take that back.")
@click.option("--why", default="", help="Why it is forgotten; shown beside it.")
@told
def learn(everything: bool, forget: datetime | None, remember: datetime | None, why: str) -> None:
    """Learn from finished visits, forget a day, or take that back."""
    from punctual import clock
    from punctual import learn as learning
    from punctual.actions import learning as verbs
    from punctual.actions import transaction
    from punctual.models import db

    app = application()
    with app.app_context():
        for on, back in ((forget, False), (remember, True)):
            if on is not None:
                verbs.mark(on.date(), forgotten=not back, note=why, at=clock.now(), by="cli")
        with click.progressbar(length=100, label="learning", file=sys.stderr) as bar:
            found = learning.find(
                db.session(), at=clock.now(), everything=everything,
                progress=lambda done, of: bar.update(round(100 * done / max(of, 1)) - bar.pos),
            )  # fmt: skip
        with transaction() as s:
            row = learning.keep(s, found)
            click.echo(
                f"Learned from {row.visits} finished visits on {row.facts['days']} days (version {row.id}); "
                f"{len(found.fresh)} days read."
            )


@main.command()
@click.option("--json", "as_json", is_flag=True)
@told
def learned(as_json: bool) -> None:
    """What has been learned, in a table."""
    import json

    from punctual.models import db
    from punctual.queries import learned as queries

    app = application()
    with app.app_context():
        known = queries.learned(db.session())
        click.echo(json.dumps(known.as_json()) if as_json else "\n".join(queries.table(known)))


@main.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--live", is_flag=True, help="This company's own days instead of a file of recorded ones.")
@click.option("--days", default=84, show_default=True, type=click.IntRange(1, 3660), help="The newest days of --live.")
@click.option("--zone", default="America/New_York", show_default=True, help="Zone of recorded times.")
@click.option("--in-time", default=30.0, show_default=True, help="Minutes ahead that count as in time (FILE).")
@click.option("--budget", default=0.05, show_default=True, help="Share of on-time customers who may be warned (FILE).")
@click.option("--json", "as_json", is_flag=True)
@told
def score(file: Path | None, live: bool, days: int, zone: str, in_time: float, budget: float, as_json: bool) -> None:
    """How good the forecast is: on this company's own days, or on recorded ones."""
    import json

    from punctual import score as scoring
    from punctual.models import db
    from punctual.queries import learned as queries

    if live == (file is not None):
        raise click.UsageError("Give a file of recorded days, or --live for this company's own.")
    with ExitStack() as stack:
        app = application() if file is None else stack.enter_context(scratch())
        bar = stack.enter_context(click.progressbar(length=1000, label="scoring", file=sys.stderr))
        stack.enter_context(app.app_context())
        found = scoring.live(days) if file is None else scoring.of_file(
            app, unpacked(file), zone=zone, in_time=in_time, budget=budget,
            progress=lambda done, of: bar.update(round(1000 * done / max(of, 1)) - bar.pos),
        )  # fmt: skip
        lines = scoring.words(found, queries.learned(db.session()))
        click.echo(json.dumps(found.as_json() if found else {}) if as_json else "\n".join(lines))


@main.command()
@click.argument("visit")
@told
def explain(visit: str) -> None:
    """Why a visit is expected when it is, and why its customer was told or not; VISIT is its number or your own id."""
    from punctual import clock
    from punctual.models import db
    from punctual.queries import log
    from punctual.web import board_story

    app = application()
    with app.test_request_context():
        s = db.session()
        dossier = log.named(s, visit)
        if dossier is None:
            raise click.ClickException(f"There is no visit {visit}.")
        click.echo("\n".join(_account(board_story.account(s, dossier, clock.now()), dossier.visit)))


def _account(known: dict[str, Any], visit: Any) -> Iterator[str]:
    """What the board's page of a visit says, line by line."""
    yield f"{visit.customer.name}, {known['date']}: {known['standing'].word} (times of {known['zone']})"
    yield "  " + ", ".join(f"{what.lower()} {value}" for what, value in known["times"])
    yield from (f"  {sentence}" for sentence in known["why"].sentences)
    yield from (f"    {what:60} {value:>10}" for what, value in known["why"].sum)
    for p in known["why"].plans:
        yield f"  {p.job} is planned {p.planned} min, takes {p.takes}: plan {p.propose}?"
    if known["silence"]:
        yield f"  Why nobody is told now: {known['silence']}"
    yield "  What was said and done, the newest first:"
    for x in known["log"]:
        yield f"    {x.at:>10}  {x.what} ({x.how})"
        yield from (f"    {'':10}  {more}" for more in (x.why, x.looked) if more)
