"""A customer's page is made once a minute and served again until something on it has moved: one statement tells."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from flask import Response, current_app, g, make_response, request

from punctual import links
from punctual.models import db
from punctual.queries import mark
from punctual.web.access import quick

#: Pages kept.
KEPT = 512


def again(template: str) -> Response | None:
    """The page as it was made before, where that is still what it would be; None: it has to be made.

    Only the plain page: one that says what was just saved is made for that moment.
    """
    token = (request.view_args or {}).get("token", "")
    if request.args or request.method not in ("GET", "HEAD") or len(token) != 22:
        return None
    found = mark.of_page(db.engine, links.hashed(token), g.at)
    g.page = None if found is None else (template, token, int(g.at.timestamp() // 60), found)
    body = _kept().get(g.page) if g.page else None
    return make_response(body) if body is not None else None


def keep(body: str) -> None:
    """Keep what was made for the mark that was asked before it was made."""
    if g.get("page") is None:
        return
    pages = _kept()
    pages[g.page] = body
    while len(pages) > KEPT:
        pages.popitem(last=False)


def _kept() -> OrderedDict[tuple[object, ...], str]:
    found: OrderedDict[tuple[object, ...], str] = current_app.extensions.setdefault("punctual_pages", OrderedDict())
    return found


#: For a view that shows a customer's page: asked before anything is loaded.
page, live = quick(partial(again, "page")), quick(partial(again, "live"))
