"""The start page and the health check."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("start", __name__)
