"""The technician's phone: today's visits and the taps."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("technician", __name__, url_prefix="/t")
