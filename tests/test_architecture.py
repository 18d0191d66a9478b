"""The house stays in order: ranks, purity, sizes, the one clock, declared routes - and each check can fail."""

from __future__ import annotations

import ast
import base64
import hashlib
import re
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest
from flask import Flask

from punctual.web.access import ROLES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "punctual"

#: A module imports only lower ranks, or its own package (ARCHITECTURE.md).
RANKS: dict[str, int] = {
    "explain": 5, "charts": 3,
    "core": 0, "transports": 0, "clock": 0, "config": 0, "fault": 0,
    "models": 1, "blanks": 1, "photo": 1, "itip": 1, "incoming": 1, "mailbox": 1, "mime": 1, "geocode": 1, "routing": 1,
    "queries": 2, "links": 2, "suppression": 2, "intake": 2,
    "messages": 3, "acceptance": 3,
    "outbox": 4, "outage": 4, "promises": 4, "facts": 4, "gate": 4, "invites": 4, "letters": 4, "texting": 4, "fallback": 4, "deliver": 4, "outcome": 4,
    "watch": 5, "follow": 5, "learn": 5, "remember": 5,
    "actions": 6,
    "web": 7, "worker": 7, "sender": 7, "replay": 7, "replay_page": 7, "score": 7, "preview": 7, "preview_answers": 6, "demo": 7, "demo_data": 0, "demo_day": 7, "demo_told": 7, 
    "app": 8,
    "doctor": 9, "backup": 9, "demo_run": 9, "demo_state": 9, "processes": 8, "cli": 10,
}  # fmt: skip
#: Modules of one rank that may know each other, in this order.
SAME_RANK = {("texting", "letters"), ("fallback", "outbox"), ("deliver", "texting"), ("deliver", "fallback"), ("outcome", "deliver"),
             ("outcome", "fallback"), ("transports", "clock"), ("worker", "sender"), ("promises", "outbox"), ("letters", "facts"), ("letters", "outbox"), ("letters", "invites"), ("deliver", "letters"), ("deliver", "outbox"), ("transports", "config"),
             ("demo", "worker"), ("replay", "worker"), ("preview", "worker"), ("preview", "sender"), ("demo", "demo_day"), ("demo", "demo_told"), ("config", "core"), ("watch", "remember"), ("intake", "links"),
             ("queries", "links"), ("doctor", "app"), ("doctor", "demo_state"), ("demo_run", "demo_state"), ("demo_run", "demo"), ("links", "queries")}  # fmt: skip
WRITERS_IN_WEB = ("outbox", "watch", "transports")


def modules() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if "migrations" not in p.parts]


def part(path: Path) -> str:
    """The unit of the house a file belongs to: its package, or itself."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0].removesuffix(".py")


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every part of Punctual that is imported, with the node."""
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "punctual":
            tail = node.module.split(".")[1:]
            names = [tail[0]] if tail else [a.name for a in node.names]
            for name in names:
                yield name, node
        elif isinstance(node, ast.Import):
            for a in node.names:
                if a.name.startswith("punctual."):
                    yield a.name.split(".")[1], node


def outward_arrows(name: str, tree: ast.AST) -> list[str]:
    """Imports of a part that point outward."""
    found = []
    for other, _ in imports(tree):
        if other == name or other.startswith("_") or other not in RANKS:
            continue
        if RANKS[other] > RANKS[name] or (RANKS[other] == RANKS[name] and (name, other) not in SAME_RANK):
            found.append(f"{name} imports {other}")
    return found


def foreign(tree: ast.AST) -> set[str]:
    """Top-level names of packages that are not Punctual's."""
    found = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found - {"punctual"}


def wall_clock_reads(tree: ast.AST) -> list[int]:
    """Lines that read the machine's clock."""
    return [
        node.lineno
        for node in nodes(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr in ("utcnow", "today") or (node.func.attr in ("now", "time") and ast.unparse(node.func.value) in ("datetime", "time", "datetime.datetime")))
    ]  # fmt: skip


def inner_imports(tree: ast.AST) -> list[int]:
    """Lines where a function imports a part of Punctual."""
    return [
        inner.lineno
        for node in nodes(tree)
        if isinstance(node, ast.FunctionDef)
        for _, inner in imports(node)
        if isinstance(inner, ast.ImportFrom | ast.Import)
    ]


def long_functions(tree: ast.AST, most: int = 60) -> list[str]:
    return [
        node.name
        for node in nodes(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > most
    ]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def each(paths: list[Path]) -> object:
    return pytest.mark.parametrize("path", paths, ids=lambda p: str(p.relative_to(PACKAGE)))


def test_every_part_has_a_rank() -> None:
    unknown = {part(p) for p in modules()} - set(RANKS) - {"__init__"}
    assert unknown == set()


@each(modules())  # type: ignore[operator]
def test_imports_point_inward(path: Path) -> None:
    if part(path) != "__init__":
        assert outward_arrows(part(path), parsed(path)) == []


@each(modules())  # type: ignore[operator]
def test_a_module_opens_with_one_sentence(path: Path) -> None:
    said = ast.get_docstring(parsed(path))
    assert said and said.split("\n")[0].rstrip().endswith((".", "?")), "say in one sentence what the module is for"


@each(modules())  # type: ignore[operator]
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert long_functions(parsed(path)) == []


@each([p for p in modules() if p.name != "clock.py"])  # type: ignore[operator]
def test_only_the_clock_reads_the_clock(path: Path) -> None:
    assert wall_clock_reads(parsed(path)) == []


@each([p for p in modules() if part(p) != "cli"])  # type: ignore[operator]
def test_imports_stand_at_the_top(path: Path) -> None:
    assert inner_imports(parsed(path)) == []


@each([p for p in modules() if part(p) == "core"])  # type: ignore[operator]
def test_the_core_knows_the_standard_library_and_numpy(path: Path) -> None:
    import sys

    assert foreign(parsed(path)) - set(sys.stdlib_module_names) <= {"numpy"}
    assert not foreign(parsed(path)) & {"sqlite3", "socket", "logging", "subprocess", "urllib", "http"}


@each(
    [
        p
        for p in modules()
        if part(p)
        in ("actions", "queries", "watch", "remember", "outbox", "learn", "links", "deliver", "letters", "invites")
    ]
)  # type: ignore[operator]
def test_below_the_doors_nobody_knows_flask(path: Path) -> None:
    assert "flask" not in foreign(parsed(path))


@each([p for p in modules() if part(p) == "web"])  # type: ignore[operator]
def test_doors_neither_send_nor_watch(path: Path) -> None:
    assert {name for name, _ in imports(parsed(path))} & set(WRITERS_IN_WEB) == set()


@each(
    [
        p
        for p in modules()
        if part(p)
        not in (
            "actions",
            "worker",
            "sender",
            "backup",
            "demo",
            "replay",
            "replay_page",
            "score",
            "preview",
            "cli",
            "demo_day",
        )
    ]
)  # type: ignore[operator]
def test_only_verbs_and_the_worker_open_transactions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ".commit()" not in text and not re.search(r"\btransaction\(\)", text)


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (lambda t: outward_arrows("core", t), "from punctual.models import db"),
        (lambda t: outward_arrows("queries", t), "from punctual import watch"),
        (wall_clock_reads, "at = datetime.now(UTC)"),
        (wall_clock_reads, "import time\nx = time.time()"),
        (inner_imports, "def f():\n    from punctual import watch"),
        (long_functions, "def f():\n" + "    x = 1\n" * 61),
    ],
)
def test_a_house_out_of_order_is_noticed(check: object, source: str) -> None:
    assert check(ast.parse(source)), "the check must be able to fail"  # type: ignore[operator]


def test_every_route_declares_who_may_call_it(lite: Flask) -> None:
    silent = [
        rule.rule
        for rule in lite.url_map.iter_rules()
        if rule.endpoint != "static" and getattr(lite.view_functions[rule.endpoint], "allow", None) not in ROLES
    ]
    assert silent == []


def test_a_route_without_a_role_is_refused(lite: Flask) -> None:
    lite._got_first_request = False
    lite.add_url_rule("/nobody-said", "nobody_said", lambda: "open")
    assert lite.test_client().get("/nobody-said").status_code == 404


def test_setup_cfg_lists_every_package() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split()) - {"punctual.templates"}
    assert listed == {".".join(p.parent.relative_to(ROOT).parts) for p in PACKAGE.rglob("__init__.py")}


def test_vendored_files_are_what_they_were() -> None:
    folder = PACKAGE / "static" / "vendor"
    lines = [
        line.split() for line in (folder / "VENDOR.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert {line[0] for line in lines} == {p.name for p in folder.iterdir() if p.suffix == ".js"}
    for name, _, digest in lines:
        made = base64.b64encode(hashlib.sha384((folder / name).read_bytes()).digest()).decode()
        assert f"sha384-{made}" == digest
