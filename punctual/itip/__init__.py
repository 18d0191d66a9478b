"""RFC 5545/5546 text <-> values: invitations, cancellations and feeds out; answers and schedules in."""

from __future__ import annotations

from punctual.itip.reply import parts
from punctual.itip.write import Entry, Feed, Planned, decline, entry, feed, invite, restamped

__all__ = ["Entry", "Feed", "Planned", "decline", "entry", "feed", "invite", "parts", "restamped"]
