"""Punctual warns the next customer before they are left waiting."""

__version__ = "0.1.0"
