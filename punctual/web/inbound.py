"""What providers call back; each call is verified by its transport."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("inbound", __name__, url_prefix="/in")
