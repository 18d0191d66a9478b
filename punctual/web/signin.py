"""Signing in and out: dispatchers by password or one-use link, technicians by enrolling a phone."""

from __future__ import annotations

from flask import Blueprint

door = Blueprint("signin", __name__)
