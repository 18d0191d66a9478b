"""Rows to core values: the only translator."""
