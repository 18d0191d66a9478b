"""How pages write times, days and spans: Jinja filters over the very functions that write them in messages."""

from __future__ import annotations

from datetime import date, datetime

from flask import Flask, g, has_request_context
from flask_babel import gettext as _
from markupsafe import Markup

from punctual import clock as machine
from punctual import messages
from punctual.actions import Refused
from punctual.core.day import Window, local


def speak(language: str) -> None:
    """Answer this request in a person's language: texts, dates and times."""
    g.language = messages.locale_of(language)


def language() -> str:
    """The locale of this request: the customer's on their page, English elsewhere."""
    found: str = g.get("language", "en_GB") if has_request_context() else "en_GB"
    return found


def refusal(no: Refused) -> str:
    """The sentence of a refusal in this request's language."""
    said = str(_(no.template))
    return said % no.values if no.values else said


def clock(at: datetime | None, zone: str) -> str:
    """ "9:05" in a zone; nothing for no time."""
    return "" if at is None else messages.clock_time(at, zone, language())


def day_long(at: datetime, zone: str) -> str:
    """ "Tuesday 24 November 2026"."""
    return messages.day_long(local(at, zone).date(), language())


def day_short(at: datetime, zone: str) -> str:
    """ "Tue 24 Nov"."""
    return messages.day_short(local(at, zone).date(), language())


def moment(then: datetime, at: datetime, zone: str) -> str:
    """ "9:05" today, "Mon 23 Nov, 16:06" on any other day."""
    day = "" if local_date(then, zone) == local_date(at, zone) else day_short(then, zone) + ", "
    return day + clock(then, zone)


def due_words(due: datetime, at: datetime, zone: str) -> str:
    """ "17:00 today", "12:00 on Wed 25 Nov"."""
    return messages.due_words(due, at, zone, language())


def until_words(at: datetime, zone: str) -> str:
    """ "10:15", "las 10:15", "10:15 Uhr": the end of a hold."""
    return messages.until_words(at, zone, language())


def own_minutes(until: datetime, at: datetime) -> int:
    """Minutes on the reader's own watch until then, where the pages' clock runs at another speed - the demo's, where
    "until 12:20", read at 9:00, would be true and of no use; 0 where both clocks are one."""
    return max(1, round(machine.real_seconds(until - at) / 60)) if machine.speed() != 1 else 0


def zone_of(zone: str, at: datetime) -> str:
    """ "London time, GMT"."""
    return messages.zone_words(zone, at, language())


def opening(words: str) -> str:
    """Words that begin a sentence: Spanish writes its days small elsewhere."""
    return words[:1].upper() + words[1:]


def time_tag(at: datetime, zone: str) -> Markup:
    """A <time> element with the instant a machine can read."""
    return Markup('<time datetime="{}">{}</time>').format(
        local(at, zone).isoformat(timespec="minutes"), clock(at, zone)
    )


def span_words(window: Window, zone: str) -> Markup:
    """Two <time> elements with a word between them: no dash, which is read as "minus" or not at all."""
    return Markup(_("%(start)s to %(end)s")) % {
        "start": time_tag(window.start, zone),
        "end": time_tag(window.end, zone),
    }


def clock24(at: datetime | None, zone: str) -> str:
    """ "09:05", as an input of type time wants it."""
    return "" if at is None else local(at, zone).strftime("%H:%M")


def local_date(at: datetime, zone: str) -> date:
    """The date it is in a zone."""
    return local(at, zone).date()


def kinds_said() -> dict[str, str]:
    """What each kind of message said, in the customer's log."""
    return {
        "booked": _("Booked"),
        "reminder": _("Reminder"),
        "on_my_way": _("On the way"),
        "late_first": _("Later than promised, with our apology"),
        "late_update": _("The time has changed, with our apology"),
        "earlier": _("We could come earlier"),
        "deadline_done": _("We cannot be done by your time"),
        "deadline_arrive": _("We cannot arrive by your time"),
        "please_choose": _("We cannot keep your visit: please choose"),
        "no_time_yet": _("Late, no new time yet"),
        "kept": _("Your visit stays"),
        "keep_impossible": _("That time cannot be kept"),
        "deadline_noted": _("Your fixed time, noted"),
        "promise_call": _("We will call you"),
        "missed": _("We did not come, with our apology"),
        "nobody_home": _("We could not reach you at the door"),
        "signoff": _("The question whether the work is done"),
        "reopened": _("The work, reopened"),
        "makegood": _("What we give you"),
        "concern_received": _("Your message, received"),
        "concern_answered": _("Our answer to your message"),
        "promise_made": _("Our promise to you"),
        "promise_moved": _("A promise moved, with our apology"),
        "promise_kept": _("A promise kept"),
        "promise_broken": _("A promise not kept, with our apology"),
        "rescheduled": _("Your new time"),
        "moved_by_us": _("We moved your visit"),
        "cancelled_us": _("We cancelled your visit"),
        "cancelled_you": _("Cancelled, as you asked"),
        "invitation": _("Your visit as it stands"),
        "declined": _("Your calendar declined; please choose"),
        "not_free": _("The time you proposed is not free"),
    }


def init_app(app: Flask) -> None:
    """Register them."""
    app.add_template_filter(clock24)
    app.add_template_filter(datetime.fromisoformat, "instant")
    app.add_template_filter(messages.day_long, "date_long")
    app.add_template_filter(messages.day_short, "date_short")
    app.add_template_filter(local_date)
    app.add_template_filter(clock)
    app.add_template_filter(day_long)
    app.add_template_filter(day_short)
    app.add_template_filter(time_tag)
    app.add_template_filter(span_words, "span")
    app.add_template_filter(until_words)
    app.add_template_filter(own_minutes)
    app.add_template_filter(zone_of)
    app.add_template_filter(opening)
    app.add_template_filter(moment)
    app.add_template_filter(due_words)
