"""bootstrap.py: standard library only, and a sentence for whoever types something else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "bootstrap.py"


def bootstrap(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_it_needs_nothing_but_python() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    named = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert named <= set(sys.stdlib_module_names)


def test_an_unknown_word_shows_the_usage() -> None:
    done = bootstrap("demmo")
    assert done.returncode == 2 and "python3 bootstrap.py demo" in done.stdout


def test_help_shows_the_usage() -> None:
    assert bootstrap("--help").returncode == 0


def test_every_requirement_is_pinned() -> None:
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    wanted = set()
    section = False
    for line in (ROOT / "setup.cfg").read_text().splitlines():
        if line.startswith(("install_requires", "test =")):
            section = True
        elif line and not line.startswith(" "):
            section = False
        elif section and line.strip():
            wanted.add(line.split(";")[0].split(">")[0].split("[")[0].split("<")[0].strip().lower())
    assert len(wanted) > 20 and wanted <= pinned, wanted - pinned


def test_constraints_name_no_place_of_this_machine() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "file:" not in text and "://" not in text and " @ " not in text
