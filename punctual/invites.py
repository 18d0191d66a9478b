"""The calendar part of a letter: which object of which revision a message carries, and how it is worded."""

from __future__ import annotations

from datetime import datetime
from email import message_from_bytes
from typing import Any

from flask_babel import gettext as _
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from punctual import itip, messages
from punctual.core.day import local
from punctual.core.kinds import KINDS, Kind
from punctual.models import Attempt, Company, Message, Plain, Visit

#: The object's bytes, its method, and its SEQUENCE (None where it has none).
Part = tuple[bytes, str, int | None]


def wanted(kind: Kind, visit: Visit) -> bool:
    """Whether a message of that kind has a calendar part at all: a lateness note or a cancellation has one only if the
    invitation went out from here."""
    return bool(kind.calendar) and (kind.moves_window or visit.invited_at is not None)


def part(
    s: Session,
    message: Message,
    kind: Kind,
    visit: Visit,
    company: Company,
    facts: dict[str, Any],
    link: str,
    at: datetime,
) -> Part | None:
    """The calendar part that is wanted, its method and SEQUENCE; None where there is nothing to send again.

    `visit.sequence` is the next number: every mailed revision takes one, a dropped claim leaves a gap (calendar.md 0.3).
    Calendar programs ignore what comes with a number they have: see `entry_sequence` for what goes without a mail.
    """
    assert kind.calendar  # it is wanted
    if kind.calendar == "DECLINECOUNTER":
        return _decline(visit, company, facts, at), kind.calendar, None
    if kind.again:
        last = _last(s, visit)
        if last is None or last[1] >= visit.window_sequence:
            return (itip.restamped(last[0], at.replace(microsecond=0)), "REQUEST", last[1]) if last else None
    # A booking is the first anybody has of it; without one the entry of the page, which is 0, may be in a calendar.
    sequence = visit.sequence if message.kind == "booked" else max(visit.sequence, 1)
    gives = kind.moves_window or kind.again  # an invitation of an older time is none to send again
    # A first invitation always asks: without RSVP=TRUE mail programs show no buttons and keep no entry.
    asks = gives and (message.kind in ("booked", "moved_by_us") or kind.again or visit.invited_at is None)
    partstat = "NEEDS-ACTION" if asks else "ACCEPTED" if gives else visit.partstat
    moved = sequence if gives else visit.window_sequence
    _REVISED.run(s.connection(), visit=visit.id, sequence=sequence + 1, window_sequence=moved, partstat=partstat)
    s.expire(visit, _GIVEN)
    return (
        itip.invite(
            itip.Entry(
                uid=visit.uid,
                sequence=sequence,
                stamp=at.replace(microsecond=0),
                created=visit.created_at.replace(microsecond=0),
                start=visit.window_start,
                end=visit.window_end,
                summary=summary(message.kind, facts),
                description=description(message.kind, facts),
                location=visit.place.address if visit.place else "",
                url=link,
                organizer=company.mail_from,
                organizer_name=company.name,
                attendee=visit.customer.email or "",
                attendee_name=visit.customer.name,
                partstat=partstat,
                rsvp=asks,
            ),
            kind.calendar,
        ),
        kind.calendar,
        sequence,
    )


_GIVEN = ("sequence", "window_sequence", "partstat")
_REVISED = Plain(
    update(Visit).where(Visit.id == bindparam("visit", 0)).values({name: bindparam(name, None) for name in _GIVEN}),
    "visit",
    *_GIVEN,
)


def _decline(visit: Visit, company: Company, facts: dict[str, Any], at: datetime) -> bytes:
    comment = messages.fill(_("We cannot come at the time you proposed. Choose a new time: {link}"), facts)
    return itip.decline(
        uid=visit.uid,
        stamp=at.replace(microsecond=0),
        organizer=company.mail_from,
        organizer_name=company.name,
        comment=comment,
    )


def entry_sequence(visit: Visit) -> int:
    """The SEQUENCE of an entry that is handed out without a mail: as often as somebody likes, and nothing is written.

    One below the next mail's. That is what was mailed last, or after a change of the time a number no mail has, above
    all that went out about the time that is left: so whatever has another time has a higher number, by either way.
    """
    return max(visit.sequence - 1, 0)


def _last(s: Session, visit: Visit) -> tuple[bytes, int] | None:
    """The invitation sent last and its SEQUENCE; None where none went out or it was a cancellation."""
    last = s.scalar(
        select(Attempt)
        .join(Message, Message.id == Attempt.message_id)
        .where(Message.visit_id == visit.id, Attempt.state == "accepted", Attempt.sequence.is_not(None))
        .order_by(Attempt.sequence.desc(), Attempt.id.desc())
        .limit(1)
    )
    found = next(itip.parts(message_from_bytes(last.body)), None) if last else None
    if last is None or last.sequence is None or found is None or found.get_param("method") != "REQUEST":
        return None
    return bytes(found.get_payload(decode=True)), last.sequence


def summary(kind: str, facts: dict[str, Any]) -> str:
    """The entry's title, with the job type's public name."""
    if KINDS[kind].class_ == "delay":
        return messages.fill(_("{job} – running late, expected {from}-{to}"), facts)
    title = _("Cancelled: {job} – {company_full}") if KINDS[kind].calendar == "CANCEL" else _("{job} – {company_full}")
    return messages.fill(title, facts)


def description(kind: str, facts: dict[str, Any]) -> str:
    """What the entry says: what is true now, what changed and who asked, the link (calendar.md 7)."""
    if KINDS[kind].class_ == "delay":
        said = _(
            "We are sorry: we are running late. We expect to arrive between {from} and {to} ({zone}), "
            "promised between {told_from} and {told_to}.\nChoose: {link}"
        )
    elif kind == "cancelled_you":
        said = _("This visit was cancelled, as you asked.\nBook again: {link}")
    elif kind == "cancelled_us":
        said = _("We cancelled this visit, and we are sorry.\nBook again: {link}")
    else:
        said = _changed(kind) + _("We arrive between {from} and {to} ({zone}).") + "\n" + _("View or change: {link}")
    return messages.fill(said, facts)


def _changed(kind: str) -> str:
    """What of the time changed and who asked, as a sentence with a space after it; "" where nothing did."""
    if kind == "rescheduled":
        return str(_("You chose a new time. It replaces {old_day}, {told_from} to {told_to}.")) + " "
    if kind == "moved_by_us":
        return str(_("We moved your visit from {old_day}, {told_from} to {told_to}. We are sorry.")) + " "
    return str(_("You said this time works.")) + " " if kind == "kept" else ""


def reservation(visit: Visit, company: Company, kind: Kind, link: str) -> Markup:
    """JSON-LD, as a page can carry it, for programs that file appointments; times with their offset (calendar.md 5)."""
    state = "ReservationCancelled" if kind.calendar == "CANCEL" else "ReservationConfirmed"
    what = {
        "@context": "http://schema.org",
        "@type": "EventReservation",
        "reservationNumber": visit.uid.split("@")[0],
        "reservationStatus": f"http://schema.org/{state}",
        "underName": {"@type": "Person", "name": visit.customer.name},
        "url": link,
        "modifyReservationUrl": link,
        "reservationFor": {
            "@type": "Event",
            "name": f"{visit.job_type.public_name} – {company.name}",
            "startDate": local(visit.window_start, visit.zone).isoformat(),
            "endDate": local(visit.window_end, visit.zone).isoformat(),
            "location": {
                "@type": "Place",
                "name": visit.place.address if visit.place else company.name,
                "address": visit.place.address if visit.place else company.name,
            },
        },
    }
    return htmlsafe_json_dumps(what, sort_keys=True)
