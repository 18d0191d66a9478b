#!/usr/bin/env python3
"""Set Punctual up in this checkout with nothing but Python: alone it only sets up; demo, test and soak go on from there."""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "punctual.stamp"
#: What the stamp says while packages are installed: a venv whose set-up was broken off half-way is made anew.
BEGUN = "begun"
OLDEST = (3, 11)
TOOLS = HERE / ".test"
NODE = TOOLS / "node"
#: apt-get refuses to run twice at once.
APT = Lock()
#: What the tests need of npm. Prism's server is named so that it is one that Node 18 can load.
NPM = ("axe-core@4.14.1", "ical.js@2.2.1", "@stoplight/prism-cli@5.14.2", "@stoplight/prism-http-server@5.12.2")

USAGE = """usage: python3 bootstrap.py            set up only
       python3 bootstrap.py demo       set up, start, open the printed links   [--port --host --speed --fresh]
       python3 bootstrap.py test       everything: style, types, tests         [arguments for pytest]
       python3 bootstrap.py soak       the slow, bounded runs"""


def say(words: str) -> None:
    print(words, flush=True)


def run(*command: str | Path, quiet: bool = False, env: dict[str, str] | None = None) -> bool:
    """Run a command here; True when it succeeded. quiet: its output is shown only when it fails."""
    if not quiet:
        return subprocess.run([str(c) for c in command], cwd=HERE, env=env, check=False).returncode == 0
    done = subprocess.run([str(c) for c in command], cwd=HERE, env=env, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    return done.returncode == 0


def works(*command: str | Path) -> bool:
    """Whether a command succeeds, silently."""
    try:
        return subprocess.run([str(c) for c in command], cwd=HERE, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def apt(packages: Sequence[str]) -> bool:
    """Install Debian packages where we may; else say the one command to type."""
    command = "apt-get update && apt-get install -y --no-install-recommends " + " ".join(packages)
    if os.name != "posix" or shutil.which("apt-get") is None or os.geteuid() != 0:
        say(f"Missing: {', '.join(packages)}. Type: sudo sh -c '{command}'")
        return False
    say(f"Installing {', '.join(packages)} ...")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    with APT:
        return run("apt-get", "update", "-qq", quiet=True, env=env) and run(*install, quiet=True, env=env)


def newer_python() -> str | None:
    """Another python3 on the PATH that is new enough."""
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    return None


def make_venv() -> bool:
    """ensurepip, else uv, else virtualenv, else a venv without pip that the system's pip fills."""
    if (BIN / "python").exists() and works(BIN / "python", "-c", "import sys"):
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    say("Making .venv ...")
    if works(sys.executable, "-m", "venv", VENV):
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    for other in (
        ["uv", "venv", "--seed", "--python", sys.executable, VENV],
        [sys.executable, "-m", "virtualenv", VENV],
    ):
        if works(*other):
            return True
        shutil.rmtree(VENV, ignore_errors=True)
    if works(sys.executable, "-m", "pip", "--version") and works(sys.executable, "-m", "venv", "--without-pip", VENV):
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    if apt(["python3-venv", "python3-pip"]) and works(sys.executable, "-m", "venv", VENV):
        return True
    say("Python cannot make a virtual environment here. Type: sudo apt-get install python3-venv")
    return False


def pip() -> list[str | Path]:
    """The venv's pip, or the system's pip pointed at it."""
    if works(BIN / "python", "-m", "pip", "--version"):
        return [BIN / "python", "-m", "pip", "--disable-pip-version-check"]
    return [sys.executable, "-m", "pip", "--python", BIN / "python"]


def uv_installs(pip: Sequence[str | Path], *what: str) -> bool:
    """The same in a fifth of pip's time, by uv; False where pip has to do it: nothing is lost but time.

    uv reads nothing of pip's settings: whoever gave pip an index of their own goes on with pip.
    """
    asked = [str(c) for c in (*pip, "config", "list")]
    settings = subprocess.run(asked, cwd=HERE, check=False, capture_output=True, text=True)
    if settings.returncode or ".index-url=" in settings.stdout or ".no-index=" in settings.stdout:
        return False
    # The packages are linked from the cache: it takes no room, and goes with the checkout.
    uv = (BIN / "uv", "pip", "install", "--python", BIN / "python", "--cache-dir", TOOLS / "uv")
    return works(*pip, "install", "-c", "constraints.txt", "--only-binary", ":all:", "uv") and works(*uv, *what)


def set_up(extra: str = "") -> bool:
    """The venv with the pinned packages and the `punctual` command; quick when nothing has changed."""
    wanted = hashlib.sha256()
    for name in ("constraints.txt", "setup.cfg", "pyproject.toml"):
        wanted.update((HERE / name).read_bytes())
    state = f"{wanted.hexdigest()} {HERE}"
    have = STAMP.read_text() if STAMP.exists() else ""
    if have.startswith(state) and (not extra or have.endswith(extra)) and (BIN / "punctual").exists():
        return True
    if have == BEGUN:
        shutil.rmtree(VENV, ignore_errors=True)
    if not make_venv():
        return False
    say("Installing the pinned packages, a minute the first time ...")
    STAMP.write_text(BEGUN)
    what = ["-c", "constraints.txt", "-e", f".[{extra}]" if extra else "."]
    installer = pip()
    # Of the packages for tests most modules are never loaded: compiling all of them takes a quarter of the time.
    by_pip = [*installer, "install", "-q", *(["--no-compile"] if extra else []), *what]
    if not (extra and uv_installs(installer, *what)) and not run(*by_pip, quiet=True):
        say("The packages could not be installed; the lines above say why. Check the network and try again.")
        return False
    STAMP.write_text(f"{state} {extra}")
    return True


def test_needs() -> bool:
    """Chromium, PostgreSQL, libical, libatomic, Node with npm, axe-core, ical.js and Prism; got by apt where that is allowed."""
    missing = []
    if shutil.which("chromium") is None:
        missing += ["chromium", "fonts-liberation"]
    if shutil.which("initdb") is None and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        missing.append("postgresql")
    if shutil.which("npm") is None:
        missing += ["nodejs", "npm"]
    if ctypes.util.find_library("ical") is None:
        missing.append("libical3")
    if ctypes.util.find_library("atomic") is None:
        missing.append("libatomic1")  # playwright's own Node wants it
    if shutil.which("git") is None:
        missing.append("git")
    if missing and not apt(missing):
        return False
    have = NODE / "punctual.stamp"
    if not have.exists() or have.read_text() != " ".join(NPM):
        NODE.mkdir(parents=True, exist_ok=True)
        if not run("npm", "install", "--silent", "--no-save", "--prefix", str(NODE), *NPM, quiet=True):
            say(f"npm could not install {', '.join(NPM)}; the lines above say why.")
            return False
        have.write_text(" ".join(NPM))
    return True


def test(arguments: Sequence[str]) -> int:
    """Style, types, tests; one summary at the end; 0 only when all of it passed."""
    with ThreadPoolExecutor() as side:
        needs = side.submit(test_needs)  # mostly waits for the network while the packages are unpacked
        if not set_up("test"):
            return 1
        python = str(BIN / "python")
        env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
        if sys.version_info >= (3, 12):
            env["COVERAGE_CORE"] = "sysmon"  # measures coverage at almost no cost; older Pythons cannot
        env.pop("DATABASE_URL", None)
        # Set in many containers: every process that a test starts would compile all that it loads once more.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        mypy = [python, "-m", "mypy"]  # one core for half a minute, while the tests are collected and begin
        types = side.submit(subprocess.run, mypy, cwd=HERE, env=env, check=False, capture_output=True, text=True)
        results = {
            "lint (ruff check)": run(python, "-m", "ruff", "check", ".", env=env),
            "format (ruff format --check)": run(python, "-m", "ruff", "format", "--check", "--quiet", ".", env=env),
        }
        # What is loaded is compiled once, not in every process at the same time.
        if not arguments and not (HERE / "tests" / "__pycache__").exists():
            run(python, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", quiet=True, env=env)
        if not needs.result():
            return 1
        # One process more than cores: many tests wait for other processes. In the order of conftest.py, long files first.
        many = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile", "--no-loadscope-reorder"]
        chosen = list(arguments) or [*many, "--cov=punctual", "--cov-report=term:skip-covered"]
        results["tests (pytest)"] = run(python, "-m", "pytest", *chosen, env=env)
        say(types.result().stdout + types.result().stderr)
        results["types (mypy --strict)"] = types.result().returncode == 0
    for name, passed in results.items():
        say(f"{'passed' if passed else 'FAILED'}  {name}")
    good = sum(results.values())
    say(f"{good} passed, {len(results) - good} failed")
    return 0 if good == len(results) else 1


def main(arguments: Sequence[str]) -> int:
    if sys.version_info < OLDEST:
        other = newer_python()
        if other:
            return subprocess.call([other, str(Path(__file__).resolve()), *arguments])
        say(f"Punctual needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}.")
        return 1
    command, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if command in ("-h", "--help"):
        say(USAGE)
        return 0
    if command not in ("", "demo", "test", "soak"):
        say(USAGE)
        return 2
    if command == "test":
        return test(rest)
    if command == "soak":
        return test(["-m", "soak", "-o", "addopts=-q", *rest])
    if not set_up():
        return 1
    if command == "demo":
        os.chdir(HERE)
        os.execv(BIN / "punctual", [str(BIN / "punctual"), "demo", *rest])
    say("Punctual is set up. Now type one of:")
    say("  python3 bootstrap.py demo        a running example day with links to open")
    say("  .venv/bin/punctual init          your own company")
    say("  python3 bootstrap.py test        everything that is tested")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
