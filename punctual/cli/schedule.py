"""Commands that take schedules and replay recorded days."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from punctual.cli.frame import application, main, scratch, told

if TYPE_CHECKING:
    from punctual.intake.ics import Converted


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", default=None, help="Zone of a recorded day's times.")
@click.option("--tell", is_flag=True, help="Tell customers whose appointment changes.")
@click.option("--actuals", is_flag=True, help="Recorded days: take what happened too, as history.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--technician", default="", help="Calendars: id of the technician whose visits these are.")
@click.option("--yes", is_flag=True, help="Calendars: take what was shown without asking.")
@told
def import_(file: Path, zone: str | None, tell: bool, actuals: bool, dry_run: bool, technician: str, yes: bool) -> None:
    """Take a schedule: all of it, or errors by row and column; of a calendar (.ics) what was shown and confirmed."""
    from punctual import clock
    from punctual.actions import intake
    from punctual.intake import ics

    app, raw = application(), file.read_bytes()
    with app.app_context():
        if ics.is_calendar(raw):
            found = intake.from_calendar(raw, technician=technician, zone=zone, at=clock.now())
            raw = _confirmed(found, file.name, yes=yes or dry_run)
    with app.app_context(), click.progressbar(length=100, label=file.name, file=sys.stderr) as bar:
        counts = intake.take(
            raw, name=file.name, at=clock.now(), by="cli", zone=zone, tell=tell, actuals=actuals,
            dry=dry_run, progress=lambda done, of: bar.update(round(100 * done / max(of, 1)) - bar.pos),
        )  # fmt: skip
    click.echo(str(counts))


def _confirmed(found: Converted, name: str, *, yes: bool) -> bytes:
    """Show what a calendar would bring and what is left out; its rows once somebody agrees."""
    for row in found.rows:
        who = row["technician"] or "nobody yet"
        click.echo(f"  {row['date']} {row['from']}-{row['to']}  {row['customer']}, {row['job']}, {who}")
    for sentence in (*found.skipped, *found.notes):
        click.echo(f"  {sentence}")
    if not found.rows:
        raise click.ClickException(f"Nothing of {name} can be taken; the lines above say why.")
    if not yes:
        click.confirm(f"Take these {len(found.rows)} visits?", abort=True)
    return found.as_csv().encode()


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
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the summary with its plots there.")
@told
def replay(
    file: Path, history: Path | None, in_time: float, budget: float, zone: str, days: int, resources: int,
    as_json: bool, html: Path | None,
) -> None:  # fmt: skip
    """Run recorded days through the product and say what would have happened."""
    import json

    from punctual import replay as replaying
    from punctual import replay_page

    recorded = replaying.selected(file.read_bytes(), days, resources)
    with scratch() as app:
        with click.progressbar(length=1000, label="replaying", file=sys.stderr) as bar:
            results = replaying.run(
                app, recorded, history.read_bytes() if history else None, zone=zone, in_time=in_time, budget=budget,
                progress=lambda done, of: bar.update(round(1000 * done / max(of, 1)) - bar.pos),
            )  # fmt: skip
        lines, first = replaying.words(results), results[0]
        if html is not None:
            made = replay_page.page(app, in_time=in_time, lines=lines, recorded_from=first.first, before=first.learned)
            html.write_text(made, encoding="utf-8")
            click.echo(f"Wrote {html}.", err=True)
    click.echo(json.dumps(first.as_json() | {"also": [r.as_json() for r in results[1:]]}) if as_json else lines)
