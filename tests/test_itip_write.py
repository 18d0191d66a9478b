"""Calendar entries are written line by line here: to the byte what the icalendar library makes of the same values."""

from __future__ import annotations

from dataclasses import replace

import icalendar
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual import itip
from punctual.itip.write import PRODID
from tests.test_itip import ENTRY


def by_the_library(entry: itip.Entry, method: str) -> bytes:
    """The same object through the icalendar library's own components."""
    made, event = icalendar.Calendar(), icalendar.Event()
    for name, value in (("version", "2.0"), ("prodid", PRODID), ("calscale", "GREGORIAN"), ("method", method)):
        if value:
            made.add(name, value)
    status = "CANCELLED" if method == "CANCEL" else "CONFIRMED"
    for name, value in (
        ("summary", entry.summary), ("dtstart", entry.start), ("dtend", entry.end), ("dtstamp", entry.stamp),
        ("uid", entry.uid), ("sequence", entry.sequence), ("created", min(entry.created, entry.stamp)),
        ("last-modified", entry.stamp), ("description", entry.description), ("url", entry.url),
        ("location", entry.location), ("status", status), ("transp", "OPAQUE"),
    ):  # fmt: skip
        event.add(name, value)
    if method:
        organizer, attendee = (icalendar.vCalAddress(f"mailto:{a}") for a in (entry.organizer, entry.attendee))
        organizer.params["CN"] = icalendar.vText(" ".join(entry.organizer_name.replace('"', "'").split()))
        given = {"CN": " ".join(entry.attendee_name.replace('"', "'").split()), "CUTYPE": "INDIVIDUAL"}
        given |= {"PARTSTAT": entry.partstat, "ROLE": "REQ-PARTICIPANT", "RSVP": "TRUE" if entry.rsvp else "FALSE"}
        attendee.params |= {name: icalendar.vText(value) for name, value in given.items()}
        event.add("organizer", organizer)
        event.add("attendee", attendee)
    made.add_component(event)
    written: bytes = made.to_ical()
    return written


WORDS = st.text(st.sampled_from("aZ 09:;,\\^\"'\n\r\tnNé–😀=%<>") | st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=200)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    summary=WORDS, description=WORDS, location=WORDS, uid=WORDS, name=WORDS, rsvp=st.booleans(), cut=st.integers(0, 90)
)
def test_an_entry_is_to_the_byte_what_the_library_makes_of_it(
    summary: str, description: str, location: str, uid: str, name: str, rsvp: bool, cut: int
) -> None:
    entry = replace(ENTRY, summary=summary, description="x" * cut + description, location=location, uid=uid)
    entry = replace(entry, attendee_name=name, organizer_name=name, rsvp=rsvp)
    assert itip.invite(entry, "REQUEST") == by_the_library(entry, "REQUEST")
    assert itip.invite(entry, "CANCEL") == by_the_library(entry, "CANCEL")
    assert itip.entry(entry) == by_the_library(entry, "")
