"""The browser that pages are opened in, the server that gives them, and what axe is asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wsgi import ClosingIterator

#: Painted by the processor itself: emulating a graphics card first took a quarter of its time.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-software-rasterizer"]
AXE = Path(__file__).parents[2] / ".test/node/node_modules/axe-core/axe.min.js"
#: WCAG 2.5.3, which axe leaves out unless asked: whoever speaks to the page says what they read on the button.
NAMES = {"label-content-name-mismatch": {"enabled": True}}
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]


def server(app: Flask) -> BaseWSGIServer:
    """A server of these pages on a free port.

    It writes what is complete: werkzeug's own leaves an answer open - and with it a file, which a later test is blamed
    for - where the browser hangs up before it has read all.
    """

    def whole(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        with closing(ClosingIterator(app(environ, start))) as answer:
            return [b"".join(answer)]

    return make_server("127.0.0.1", 0, whole, threaded=True)
