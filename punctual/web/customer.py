"""The customer's page, behind the link in every message."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("customer", __name__, url_prefix="/c")
