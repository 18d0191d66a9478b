"""The dispatcher's board."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("board", __name__, url_prefix="/board")
