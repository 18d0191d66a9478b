"""The README cannot lie: its commands, settings and rules are compared with the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from punctual.cli import main
from punctual.config import Settings
from punctual.core.policy import Rules

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(head: str, rows: list[tuple[str, ...]]) -> str:
    columns = head.split("|")
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def default(value: Any) -> str:
    return "" if value == "" else f"`{'yes' if value is True else 'no' if value is False else value}`"


def commands() -> str:
    context = click.Context(main)
    rows = [
        (f"`punctual {n}`", (main.get_command(context, n) or main).get_short_help_str(120))
        for n in main.list_commands(context)
    ]
    return table("command|what it does", rows)


def settings() -> str:
    return table(
        "setting|default|meaning",
        [(f"`{f.name}`", default(f.default), f.metadata["sentence"]) for f in fields(Settings)],
    )


def rules() -> str:
    return table(
        "rule|default|meaning", [(f"`{f.name}`", default(f.default), f.metadata["sentence"]) for f in fields(Rules)]
    )


SECTIONS = {"commands": commands, "settings": settings, "rules": rules}


@pytest.mark.parametrize("name", SECTIONS)
def test_the_readme_says_what_the_code_does(name: str) -> None:
    said = README.split(f"<!-- {name} -->", 1)[1].split("\n## ", 1)[0].strip()
    wanted = SECTIONS[name]()
    assert said == wanted, f"The README's {name} are out of date; put in:\n{wanted}"


def test_its_files_and_pictures_are_there() -> None:
    named = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in t]
    assert named
    assert [t for t in named if not (ROOT / t).exists()] == []


def test_its_two_commands_are_bootstraps() -> None:
    script = (ROOT / "bootstrap.py").read_text(encoding="utf-8")
    for command in ("demo", "test"):
        assert f"python3 bootstrap.py {command}" in README and f'"{command}"' in script


def test_ci_calls_the_test_command_and_nothing_else() -> None:
    lines = [x for x in (ROOT / ".ci" / "run").read_text().splitlines() if x and not x.startswith(("#", "set ", "cd "))]
    assert lines == ["exec python3 bootstrap.py test"]


def test_a_stale_table_is_noticed() -> None:
    assert table("a|b", [("1", "2")]) != table("a|b", [("1", "3")])
