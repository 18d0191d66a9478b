"""The OpenAPI document is valid, says what the API does, and a fuzzer that believes it finds no lie."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import openapi_spec_validator
import pytest
from flask import Flask
from werkzeug.serving import make_server

from punctual import clock, watch
from punctual.actions import token, transaction
from tests import build
from tests.web.test_api import NOW, START


@pytest.fixture
def live(lite: Flask) -> Iterator[str]:
    """The application on a loopback port, with a day in it."""
    clock.configure(START)
    with transaction() as s:
        built = build.day(s)
        watch.look(s, [x.id for x in built.shifts.values()], at=NOW)
    server = make_server("127.0.0.1", 0, lite, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_document_is_valid_openapi(lite: Flask) -> None:
    document = lite.test_client().get("/api/v1/openapi.json").get_json()
    openapi_spec_validator.validate(document)
    assert document["openapi"] == "3.1.0"


def test_every_route_is_in_the_document_and_nothing_else_is(lite: Flask) -> None:
    document = lite.test_client().get("/api/v1/openapi.json").get_json()
    described = {(path, method) for path, found in document["paths"].items() for method in found}
    routes = {
        (
            rule.rule.removeprefix("/api/v1")
            .replace("<id:", "{")
            .replace("<string(maxlength=10):", "{")
            .replace(">", "}"),
            method.lower(),
        )
        for rule in lite.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert described == routes - {("/openapi.json", "get")}


def test_a_fuzzer_finds_no_fault(live: str, tmp_path: Path) -> None:
    secret = token.make("fuzzer", ["read", "write"], 30, at=NOW)
    config = tmp_path / "schemathesis.toml"
    config.write_text("")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "--config-file",
            str(config),
            "run",
            f"{live}/api/v1/openapi.json",
            "--url",
            f"{live}/api/v1",
            "--header",
            f"Authorization: Bearer {secret}",
            "--max-examples",
            "15",
            "--seed",
            "1",
            "--generation-database",
            "none",
            "--max-failures",
            "5",
            "--phases",
            "coverage,fuzzing",
            "--exclude-checks",
            "positive_data_acceptance,unsupported_method",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
