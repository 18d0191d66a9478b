"""What every answer carries so that a browser guards it: what a view says itself stays."""

from __future__ import annotations

import pytest
from flask import Flask

ALWAYS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}


@pytest.mark.parametrize(
    ("path", "status", "wanted"),
    [
        ("/healthz", 503, {"Referrer-Policy": "same-origin"}),
        ("/static/board.css", 200, {"Referrer-Policy": "same-origin"}),
        ("/no-such-page", 404, {"Referrer-Policy": "same-origin"}),
        ("/t/", 401, {"Referrer-Policy": "same-origin", **PRIVATE}),
        ("/board/", 303, {"Referrer-Policy": "same-origin", **PRIVATE}),
        ("/c/no-such-link", 404, {"Referrer-Policy": "no-referrer", **PRIVATE}),
    ],
)
def test_each_answer_has_the_headers_of_whom_it_is_for(
    lite: Flask, path: str, status: int, wanted: dict[str, str]
) -> None:
    answer = lite.test_client().get(path)
    assert answer.status_code == status
    for name, value in (ALWAYS | wanted).items():
        assert answer.headers.getlist(name) == [value]
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert ("X-Robots-Tag" in answer.headers) == ("X-Robots-Tag" in wanted)
    answer.close()
