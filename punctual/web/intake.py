"""The page that takes a schedule file."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("intake", __name__, url_prefix="/board/import")
