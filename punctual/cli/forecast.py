"""Commands about what was learned and why a visit is expected when it is."""

from __future__ import annotations

import click

from punctual.cli.frame import application, main, told


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
