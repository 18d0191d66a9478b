"""The JSON API and its OpenAPI document."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("api", __name__, url_prefix="/api/v1")
