"""Bad input at the board: the page with the form again, as it was filled in, and a sentence at the field."""

from __future__ import annotations

from collections.abc import Iterator

from flask import current_app, make_response, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from punctual.actions import Refused
from punctual.web import errors
from punctual.web.board_forms import partial
from punctual.web.refill import refill


def refused(error: Refused) -> Response:
    """What can be mended in its form is; everything else is a sentence on a page of its own. A piece of a page keeps its
    form, and a program wants no page."""
    if error.field and not partial() and not errors.wants_json():
        page = _page()
        given = dict(request.values.lists())
        again = page and refill(page, request.path, given, error.field, error.sentence)
        if again:
            return make_response(again.replace("<title>", "<title>Error: ", 1), error.status)
    return errors.refused(error)


def _page() -> str | None:
    """The page above this address, as this request would see it; None where there is none."""
    adapter = current_app.create_url_adapter(request)
    for path in _above(request.path):
        try:
            endpoint, values = adapter.match(path, method="GET") if adapter else ("", {})
            page = current_app.view_functions[endpoint](**values)
        except (HTTPException, Refused, KeyError):
            continue
        return page if isinstance(page, str) else None
    return None


def _above(path: str) -> Iterator[str]:
    """The address itself where it was posted to, the form for a new one, and what lies above it."""
    if request.method == "POST":
        yield path
        yield f"{path}/new"
    while (path := path.rpartition("/")[0]).startswith("/board/"):
        yield path
