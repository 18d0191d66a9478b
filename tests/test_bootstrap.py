"""bootstrap.py: standard library only, and a sentence for whoever types something else."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


#: Stands in for Python, pip and uv in a checkout: it writes down what it is asked, makes what a venv and an installation
#: leave there, and answers with the settings of pip that lie beside it. A uv that lies there as `no-uv` fails.
STAND_IN = """#!/bin/sh
here={here}; name=$(basename "$0")
echo "$name $*" >> $here/asked
case "$name $*" in
    python*"-m venv "*) mkdir -p $here/.venv/bin && cp "$0" $here/.venv/bin/python ;;
    python*"config list"*) cat $here/settings ;;
    python*"install -c constraints.txt --only-binary :all: uv"*) cp "$0" $here/.venv/bin/uv ;;
    uv*) test ! -e $here/no-uv && touch $here/.venv/bin/punctual ;;
    python*install*) touch $here/.venv/bin/punctual ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that bootstrap.py reads, beside a Python that stands in for the real one."""
    for name in ("bootstrap.py", "constraints.txt", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "settings").touch()
    (tmp_path / "python").write_text(STAND_IN.format(here=tmp_path))
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def set_up(checkout: Path) -> list[str]:
    """What Python, pip and uv were asked while everything for the tests was set up."""
    code = "import sys, bootstrap as b; sys.executable = str(b.HERE / 'python'); sys.exit(not b.set_up('test'))"
    subprocess.run([sys.executable, "-B", "-c", code], cwd=checkout, check=True, capture_output=True)
    asked = (checkout / "asked").read_text().splitlines()
    (checkout / "asked").write_text("")
    return asked


def installed(asked: list[str]) -> list[str]:
    """Who was asked to install the product."""
    return [line.split()[0] for line in asked if "-e .[test]" in line]


def test_uv_installs_where_pip_gets_it_and_a_second_time_nothing_is_done(checkout: Path) -> None:
    assert installed(set_up(checkout)) == ["uv"]
    assert set_up(checkout) == []


def test_pip_installs_where_uv_cannot(checkout: Path) -> None:
    (checkout / "no-uv").touch()
    assert installed(set_up(checkout)) == ["uv", "python"]


@pytest.mark.parametrize("setting", [":env:.index-url='https://mirror.example/simple'", "global.no-index='1'"])
def test_an_index_of_ones_own_is_kept_to(checkout: Path, setting: str) -> None:
    (checkout / "settings").write_text(f"global.timeout='60'\n{setting}\n")
    asked = set_up(checkout)
    assert installed(asked) == ["python"] and not any(line.endswith(" uv") for line in asked)


def test_a_set_up_that_was_broken_off_begins_anew(checkout: Path) -> None:
    set_up(checkout)
    half = checkout / ".venv" / "half-a-package"
    half.touch()
    stamp = checkout / ".venv" / "punctual.stamp"
    stamp.write_text(stamp.read_text().replace("test", "other"))
    assert installed(set_up(checkout)) == ["uv"] and half.exists()  # other packages are wanted: only those are changed
    stamp.write_text("begun")
    assert installed(set_up(checkout)) == ["uv"] and not half.exists()
    assert set_up(checkout) == []
