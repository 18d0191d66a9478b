"""The command group, and how an error meant for people ends a command."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def told(command: F) -> F:
    """Errors meant for people end a command with their sentence, not with a traceback."""

    @wraps(command)
    def inner(*args: Any, **kwargs: Any) -> Any:
        from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

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
        except (DataError, OperationalError, ProgrammingError) as no:
            raise click.ClickException(
                f"The database does not answer as expected: {no.orig}. Try `punctual doctor`."
            ) from no

    return inner  # type: ignore[return-value]


def application() -> Any:
    """The application with its database up to date."""
    from punctual import demo_state
    from punctual.app import create_app
    from punctual.migrations import upgrade

    app = create_app(demo_state.settings())
    with app.app_context():
        upgrade()
    return app


@contextmanager
def scratch() -> Iterator[Any]:
    """An application of a passing company: its own database and folder, gone afterwards."""
    import tempfile

    from punctual.app import create_app
    from punctual.config import Settings
    from punctual.migrations import upgrade

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        app = create_app(
            Settings(instance=here, database_url=f"sqlite:///{here / 'scratch.db'}", outbox=Path("outbox"))
        )
        with app.app_context():
            upgrade()
        yield app


def unpacked(file: Path) -> bytes:
    """A file's bytes; of a .gz, what is packed in it."""
    raw = file.read_bytes()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


@click.group(help="Punctual warns the next customer before they are left waiting.")
@click.version_option(package_name="punctual")
def main() -> None:
    """The group."""
