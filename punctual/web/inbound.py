"""The providers' door: texts that came in, and how far ours got. Signed by the provider, answered at once."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, g, request

from punctual.actions import inbound
from punctual.web.access import allow, settings

door = Blueprint("inbound", __name__, url_prefix="/in")
#: An empty answer in TwiML: replies leave through the outbox, not through this answer.
NOTHING = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


@door.post("/<provider>/text")
@allow("provider")
def text(provider: str) -> Response:
    """A text that came in."""
    inbound.text(provider, *_call(), settings=settings(), at=g.at)
    return Response(NOTHING, mimetype="text/xml")


@door.post("/<provider>/status/<int(max=2147483647):attempt>")
@allow("provider")
def status(provider: str, attempt: int) -> Response:
    """How far a text of ours got."""
    inbound.progress(provider, attempt, *_call(), settings=settings(), at=g.at)
    return Response(status=204)


def _call() -> tuple[str, Mapping[str, str], bytes]:
    """Address, headers and body as the provider signed them: the configured address, whatever host it came by."""
    query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
    return (
        settings().origin + request.path + query,
        {k.lower(): v for k, v in request.headers},
        request.get_data(cache=False),
    )
