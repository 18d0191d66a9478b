"""What the board says in words: how a line stands, why a time, why told, why not - one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from punctual.core.day import OVER, Window, local
from punctual.facts import noun
from punctual.queries.board import Line, Stop
from punctual.queries.standing import day_ended

#: Minutes off the plan that are not worth a word.
NEAR = 5
#: Minutes that a job under way is expected to take longer, from which on that is said before it is over its time.
LONGER = 15


def owed(kind: str) -> str:
    """What is promised, as the people at the board say it: customers read "an answer to you"."""
    return "an answer" if kind in ("answer", "reply") else noun(kind, "en")


CHANNELS = {"email": "e-mail", "sms": "text"}
KINDS = {
    "offers_link": "Answer: other times, kept free",
    "not_understood": "Answer: a person reads it",
    "optout": "Opt-out confirmed",
    "help": "Answer: how to reach us",
    "reply": "Our answer",
    "wrote": "Wrote to us",
    "texts_stopped": "Texts are stopped",
    "booked": "Booking confirmed",
    "reminder": "Reminder",
    "on_my_way": "On the way",
    "late_first": "Running late",
    "late_update": "New time range",
    "earlier": "Offered to come earlier",
    "deadline_done": "May not be done by their limit",
    "deadline_arrive": "May not arrive by their limit",
    "please_choose": "Cannot be kept, asked to choose, call promised",
    "no_time_yet": "No time known yet, call promised",
    "kept": "Confirmed: this works",
    "keep_impossible": "Answer: that cannot work",
    "deadline_noted": "Answer: limit noted",
    "promise_call": "Answer: we will call",
    "missed": "Told that we did not come",
    "nobody_home": "Told that nobody was reached",
    "signoff": "Asked whether the work is done",
    "reopened": "Answer: reopened, call promised",
    "makegood": "Made good",
    "good": "To be made good",
    "concern_received": "Answer: their concern is received",
    "concern_answered": "Concern answered",
    "esc_concern": "Owner asked about a concern",
    "promise_made": "Promise made",
    "promise_moved": "Promise moved",
    "promise_kept": "Promise kept",
    "promise_broken": "Promise not kept",
    "esc_promise": "Owner asked about a promise",
    "rescheduled": "New time confirmed",
    "moved_by_us": "Moved by us",
    "cancelled_us": "Cancelled by us",
    "correction": "Corrected what was told",
    "cancelled_you": "Cancellation confirmed",
    "invitation": "Invitation sent again",
    "declined": "Answer: declined, what now?",
    "not_free": "Answer: proposed time not free",
    "tech_nudge": "Technician asked for news",
    "esc_sender": "Alarm: messages are not going out",
    "enrol": "Link to enrol a phone",
    "signin": "Sign-in link",
    "call": "To be called",
    "silent": "Technician silent",
    "storm": "Many messages paused",
}
ANSWERS = {
    "keep": "This works",
    "times": "Asked for other times",
    "time": "Chose another time",
    "again": "Booked another visit",
    "wish": "Wrote which time they need",
    "deadline": "Told us when they must leave",
    "call": "Asked for a call",
    "cancel": "Cancelled",
    "note": "Wrote a note",
    "concern": "Says that something looks wrong",
    "done": "Says that the work is done",
    "not_done": "Says that the work is NOT done",
    "rating": "Rated the visit",
    "calendar": "From their calendar",
}
REPORTS = {
    "on_my_way": "On my way",
    "arrived": "Arrived",
    "late": "Running late",
    "done": "Done",
    "nobody_home": "Nobody home",
    "cannot_finish": "Cannot finish",
    "undo": "Undo",
}
ASKED = {
    "declined": "Their calendar declined. The time stays theirs until they or you decide.",
    "delegated": "Their calendar passed the invitation to somebody else.",
    "proposed": "Proposed another time from their calendar; it fits. Move the visit, or call.",
    "no_channel": "Nobody to write to: no phone or e-mail that works.",
    "no_contact": "Nobody to write to: no phone or e-mail that works.",
    "not_done": "The customer says that the work is not done. Plan another visit.",
    "missed": "Nobody came. A call is promised.",
    "good": "Decide what the customer gets for the broken promise.",
    "promised": "A call is promised.",
    "differs": "What was told and what is planned differ, and no message will say so.",
    "undone": "Told that we are on the way, which was taken back.",
    "earlier_than_told": "We now come earlier than they were told. Ask whether that suits.",
    "nothing_fits": "Asked for another time, and nothing is free.",
    "wish": "Wrote which time they need; an answer is promised.",
    "cap": "Automatic messages are used up.",
    "silent": "No report although one was due.",
    "no_news": "No news from the technician.",
    **dict.fromkeys(("asked", "call_me"), "Asked for a call."),
    "storm": "Many messages from one cause are paused.",
    "wrote": "Wrote to us and waits for an answer.",
    "may_cancel": "May want to cancel the visit: ask.",
    "texts_stopped": "The provider of texts refuses us. E-mails go instead until it is mended.",
    "undelivered": "A message did not arrive.",
    "failed": "A message could not be sent.",
    "night": "Message hours are closed where they are until it is too late to warn them.",
} | dict.fromkeys(("too_late", "too_soon"), "A warning could not go while it was worth sending.")


def asked(reason: str, facts: Mapping[str, Any]) -> str:
    """What a task asks for, "" where no sentence is known for its reason."""
    if reason == "storm" and facts.get("messages"):
        return f"{facts['messages']} messages at once. Those that can wait are paused: send or drop them?"
    return ASKED.get(reason, "")


def unreached(word: str) -> str:
    """How a visit stands whose customer was to be told, and what was to tell them did not arrive."""
    return f"{word.removesuffix(', told')}, not reached"


def answered(kind: str, data: Mapping[str, Any]) -> str:
    """What a customer said, in words."""
    if kind == "deadline" and data.get("kind") == "arrive":
        return "Told us by when we must be there"
    return ANSWERS.get(kind, kind)


def clock(at: datetime, zone: str) -> str:
    """ "09:40": a wall time of the board."""
    return f"{local(at, zone):%H:%M}"


def span(range_: Window, zone: str) -> str:
    """ "10:40 – 11:15"."""
    return f"{clock(range_.start, zone)} – {clock(range_.end, zone)}"


@dataclass(frozen=True, slots=True)
class Here:
    """How a page of the board reads instants: in the company's zone, seen from its today."""

    zone: str
    today: date

    def when(self, at: datetime) -> str:
        """The clock time today, weekday and time within a week, else the date."""
        return when(at, self.zone, self.today)


def here(zone: str, at: datetime) -> Here:
    """Where and when a page is looked at."""
    return Here(zone, local(at, zone).date())


def when(at: datetime, zone: str, today: date) -> str:
    """The clock time today, weekday and time within a week, else the date."""
    here = local(at, zone)
    if here.date() == today:
        return f"{here:%H:%M}"
    if abs((here.date() - today).days) < 7:
        return f"{here:%a %H:%M}"
    return f"{here.day} {here:%b %H:%M}"


def moment(text: str, zone: str, today: date) -> str:
    """An instant that was kept as text, as `when` writes it."""
    return when(datetime.fromisoformat(text), zone, today)


def long_date(on: date) -> str:
    """ "Tuesday 24 November"."""
    return f"{on:%A} {on.day} {on:%B}"


def chance(p: float) -> str:
    """A chance as people say it: "1 in 3", "9 in 10"."""
    if p < 0.02:
        return "almost none"
    if p > 0.97:
        return "almost certain"
    if p <= 0.45:
        return f"1 in {round(1 / p)}"
    return f"{min(9, max(5, round(p * 10)))} in 10"


def line_words(line: Line, at: datetime, zone: str) -> str:
    """How a technician's day stands, in a few words under the name."""
    open_ = [s for s in line.stops if not s.over]
    if not line.technician_id:
        return f"{len(open_)} to be given"
    if line.off:
        left = [s for s in open_ if s.state != "arrived"]
        return f"Off today, {len(left)} to be given" if left else "Off today"
    if line.silent_since:
        return f"Silent since {clock(line.silent_since, zone)}"
    if not line.shift:
        return "No shift that day"
    if not open_:
        return day_ended(s.state for s in line.stops) if line.stops else "No visits"
    return _under_way(open_[0], line, at, zone)


def _under_way(first: Stop, line: Line, at: datetime, zone: str) -> str:
    if first.state == "arrived":
        longer = (first.bar.end - first.bar.start - (first.plan.end - first.plan.start)) // timedelta(minutes=1)
        how = f"{longer} min longer" if longer >= LONGER else "as planned"
        return f"At {first.surname}, {f'{first.over_min} min over' if first.over_min >= NEAR else how}"
    behind = int(((first.likely or first.plan.start) - first.plan.start) / timedelta(minutes=1))
    late = f", {behind} min behind" if behind >= NEAR else ""
    if first.state == "on_my_way":
        return f"Driving to {first.surname}{late}"
    done = [s.bar.end for s in line.stops if s.over]
    if not done:
        return f"Starts at {clock(first.plan.start, zone)}{late}"
    if at < first.plan.start - timedelta(minutes=2 * NEAR):
        return f"Free since {clock(max(done), zone)}"
    return f"Next {first.surname}{late}"


def bar_words(stop: Stop, zone: str) -> str:
    """A bar's name for those who cannot see it: customer, state, promised, told, expected."""
    parts = [stop.customer, stop.word.lower(), f"promised {span(stop.window, zone).replace(' – ', ' to ')}"]
    if stop.told:
        parts.append(f"told {span(stop.told, zone).replace(' – ', ' to ')}")
    if stop.state in (*OVER, "arrived"):
        parts.append(f"began {clock(stop.bar.start, zone)}")
    elif stop.likely:
        parts.append(f"expected {clock(stop.likely, zone)}")
    if stop.overlaps:
        parts.append(f"overlaps {stop.overlaps}")
    return ", ".join(parts)


def _time(facts: Mapping[str, Any], name: str, zone: str, other: str = "then") -> str:
    value = facts.get(name)
    try:
        return clock(datetime.fromisoformat(str(value)), zone) if value else other
    except ValueError:
        return other


def _number(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return f"{value:g}" if isinstance(value, int | float) else "?"


def why_silent(reason: str, facts: Mapping[str, Any], zone: str) -> str:
    """Why nobody was told: a sentence for the reason code of a notice of silence, with its own figures."""
    thr, pct, limit = (_number(facts, n) for n in ("threshold", "chance", "limit"))
    until = _time(facts, "until", zone, "later")
    sentences = {
        "fine": f"On time: the chance of being over {thr} min late is {pct} %. The limit is {limit} %.",
        "inside_threshold": f"Expected {_number(facts, 'late_min')} min after the promised time; "
        f"that is inside the {thr} min threshold.",
        "below_limit": f"Chance of being over {thr} min late is {pct} %. The limit is {limit} %.",
        "second_look": f"Over the limit at {_time(facts, 'since', zone)}. A second look at {until} decides.",
        "already_told": _already(facts, zone),
        "too_soon": f"Last message at {_time(facts, 'last', zone)}. Next automatic one from {until}.",
        "cap": f"{_number(facts, 'used')} of {_number(facts, 'max')} automatic messages used. A person should call.",
        "muted": f"The forecast crossed the limit too often in 30 min. Muted until {until}.",
        "storm": "Many messages at once. Paused until somebody decides. What was dropped is decided again after an hour.",
        "no_news": _no_news(facts, zone),
        "no_channel": "No phone or e-mail that works. Somebody has to call.",
        "held": f"Held back by a person: {facts.get('why', 'no reason given')}",
        "over": "The technician is there or the visit is over; there is nothing left to tell.",
        "answered": f"The customer answered at {_time(facts, 'answered_at', zone)}.",
        "too_late": f"It would have come too late: useful only until {_time(facts, 'useful_until', zone)}.",
    }
    return sentences.get(reason, f"Not told ({reason.replace('_', ' ')}).")


def _already(facts: Mapping[str, Any], zone: str) -> str:
    told = f"Told at {_time(facts, 'told_at', zone)}"
    if str(facts.get("told_kind", "")).startswith("deadline"):  # which names no range
        told += " that their limit may not hold"
        if facts.get("back_on_time"):
            return f"{told}. The promise itself is not late enough for another message."
    elif facts.get("told_from"):
        told += f": {_time(facts, 'told_from', zone)} to {_time(facts, 'told_to', zone)}"
    if facts.get("back_on_time"):
        return f"{told}. It looks better now; the live page shows it, no message says so."
    if "needed_min" in facts:
        return f"{told}. The range has moved by {_number(facts, 'later_min')} min; {_number(facts, 'needed_min')} are needed for another message."
    return f"{told}. Nothing new since."


def _no_news(facts: Mapping[str, Any], zone: str) -> str:
    if facts.get("off"):
        return "The technician is off. No time is told until somebody else has the visit."
    asked = f" The technician was asked at {_time(facts, 'nudged_at', zone)}." if facts.get("nudged_at") else ""
    return f"The report due at {_time(facts, 'expected', zone)} is {_number(facts, 'silent_min')} min overdue. No time is told from old news.{asked}"


def why_told(kind: str, reason: str, facts: Mapping[str, Any], cause: str, zone: str) -> str:
    """Why somebody was told: a sentence for the reason of a notice, with its own figures."""
    thr, pct, limit = (_number(facts, n) for n in ("threshold", "chance", "limit"))
    sentences = {
        "late": f"Chance of being over {thr} min late was {pct} %; the limit is {limit} %.",
        "moved": f"The told range had moved by {_number(facts, 'later_min')} min; {_number(facts, 'needed_min')} were needed."
        if "later_min" in facts
        else "The visit has another time.",
        "on_my_way": "The technician set out.",
        "reminder": "The reminder before the visit was due.",
        "deadline": f"Chance of making their limit {_time(facts, 'deadline', zone)} was "
        f"{_number(facts, 'chance_of_making_it')} %; below {_number(facts, 'deadline_limit')} % they are asked.",
        "no_news": "Nothing was heard from the technician, so no time could be told.",
        "silent": f"The report due at {_time(facts, 'expected', zone)} had not come.",
        "by_hand": "Told by hand.",
        "call_open": "A call was promised.",
        "no_channel": "There is no phone or e-mail that works.",
        "no_contact": "There is no phone or e-mail that works.",
        "undone": "They were asked to choose, and need not any more."
        if facts.get("of") == "asked"
        else "The technician took back that they are on the way.",
        "booked": "The visit was booked.",
        "cancelled": "The visit was cancelled.",
        "cap": "The automatic messages for this visit are used up.",
        "outage": f"Texts did not go out since {_time(facts, 'since', zone)}.",
    }
    first = sentences.get(reason, "")
    if reason == "late" and facts.get("since") and facts.get("since_chance") != facts.get("chance"):
        first = f"Chance of being over {thr} min late was {_number(facts, 'since_chance')} % at {_time(facts, 'since', zone)} and {pct} % now; the limit is {limit} %."
    return " ".join(x for x in (first, cause_words(cause)) if x)


def why_asked(kind: str, reason: str, facts: Mapping[str, Any], cause: str, zone: str) -> str:
    """Why a dispatcher was asked to do something: with the figures of its reason where it has some."""
    first = why_told(kind, reason, facts, "", zone) or asked(reason, facts)
    return " ".join(x for x in (first, cause_words(cause)) if x)


def cause_words(cause: str) -> str:
    """What set it off: a report, a dispatcher's act, an import, the customer - or the look of every minute."""
    source, _, rest = cause.partition(":")
    verb = rest.partition(":")[2].partition(":")[0].replace("_", " ")
    return {
        "report": "Set off by a technician's report.",
        "user": f"Set off by a dispatcher ({verb})." if verb else "Set off by a dispatcher.",
        "token": f"Set off by a program ({verb})." if verb else "Set off by a program.",
        "customer": "Set off by the customer.",
        "import": "Set off by an import.",
        "watch": "Seen by the look of every minute.",
    }.get(source, "")


def who(source: str) -> str:
    """Who did something, as rows name them: user:7, token:1, customer, import, watch."""
    kind = source.partition(":")[0]
    known = {"user": "a dispatcher", "token": "a program", "customer": "the customer", "import": "an import"}
    return known.get(kind, kind)


def what(kind: str, channel: str, facts: Mapping[str, Any]) -> str:
    """What a message is and how it goes, as lists name it: "Running late, text"."""
    name = f"{'Example: ' if facts.get('example') else ''}{KINDS.get(kind, kind)}"
    return f"{name}, {CHANNELS.get(channel, channel)}"


#: Why a message does not go now, or not any more: what core.policy says in a word.
REASONS = {
    "night": "it is night where they are",
    "too_soon": "too soon after the last message",
    "too_late": "no longer worth anything",
    "cap": "automatic messages are used up",
    "already_told": "told already",
    "muted": "the forecast crosses the limit too often",
    "storm": "many messages at once",
}


def state_words(state: str, reason: str, until: str = "") -> str:
    """A message's state as the log writes it, with its reason where there is one; `until`: when it is decided again."""
    why = REASONS.get(reason, reason.replace("_", " ").strip())
    if not why or state in ("sent", "delivered"):
        return state
    return f"held until {until}: {why}" if state == "held" and until else f"{state}: {why}"
