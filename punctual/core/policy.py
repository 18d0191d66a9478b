"""What may be sent and when: the company's rules, and may() - may this message go now?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from punctual.core.day import OVER, Window, at_wall, local
from punctual.core.kinds import KINDS


def _rule(default: Any, sentence: str) -> Any:
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True, slots=True)
class Rules:
    """The company's rules about messages; defaults are policy.md's. Times of day are minutes after local midnight."""

    threshold_min: float = _rule(15.0, "Late means arriving more than this many minutes after the window's end.")
    false_alarm_budget: float = _rule(0.05, "Share of customers served on time who may get a delay notice.")
    tell_chance: float = _rule(0.8, "Chance of being late at which a customer is told, until history calibrates it.")
    tell_rise: float = _rule(
        0.0, "How much of the way to certainty that limit rises from the warn-by clock to 90 minutes ahead; learned."
    )
    second_look_min: float = _rule(5.0, "Minutes the chance must stay over the limit before silence alone warns.")
    deadline_chance: float = _rule(0.5, "Chance of making the customer's deadline below which they are asked.")
    warn_by_min: float = _rule(30.0, "A warning is in time when accepted this many minutes before the window opens.")
    update_min: float = _rule(15.0, "Minutes a told range must move before it is told again.")
    update_share: float = _rule(0.25, "Or this share of what remains, whichever is more.")
    silence_min: float = _rule(30.0, "Minutes past the 90 % point of an expected report after which no time is told.")
    silence_answer_min: float = _rule(
        10.0, "Minutes technician and dispatcher have to answer before customers are told."
    )
    quiet_until: int = _rule(480, "Automatic messages start at this minute of the day (08:00).")
    quiet_from: int = _rule(1200, "Automatic messages end at this minute of the day (20:00).")
    max_delay: int = _rule(2, "Delay notices per visit.")
    max_visit: int = _rule(5, "Automatic messages per visit.")
    max_person_day: int = _rule(6, "Automatic texts per phone and day.")
    gap_min: float = _rule(20.0, "Minutes between two automatic messages of a visit.")
    flap_crossings: int = _rule(4, "Threshold crossings within `flap_min` minutes that mute a visit; 0 turns it off.")
    flap_min: float = _rule(30.0, "Minutes in which those crossings count, and for which the visit is muted.")
    storm_cause: int = _rule(30, "Messages from one cause that pause what is not time-critical; 0 turns it off.")
    storm_all: int = _rule(50, "Messages from all causes in 5 minutes that do the same; 0 turns it off.")
    storm_share: float = _rule(0.1, "Or this share of the day's visits, whichever is more.")
    useful_on_my_way_min: float = _rule(10.0, "Minutes for which on-my-way is worth sending; an older tap is history.")
    useful_delay_min: float = _rule(20.0, "Minutes for which a delay notice or a correction is worth sending.")
    useful_reminder_min: float = _rule(120.0, "Minutes for which a reminder is worth sending.")
    useful_answer_min: float = _rule(1440.0, "Minutes for which an answer or a confirmation is worth sending.")
    useful_staff_min: float = _rule(30.0, "Minutes for which a question or an alarm to staff is worth sending.")
    answer_night_min: float = _rule(10.0, "Minutes for which an answer to the customer's own act goes at any hour.")
    early_visit: int = _rule(510, "A visit that starts before this minute of the day (08:30) may be warned of early.")
    text_valid_s: float = _rule(300.0, "Real seconds a provider may keep a time-critical text; then the e-mail goes.")
    undo_s: float = _rule(15.0, "Real seconds an on-my-way message waits for Undo.")
    reminder_h: float = _rule(24.0, "Hours before the window opens at which the reminder goes.")
    callback_min: float = _rule(60.0, "Minutes within which a customer who asks for a call is called.")
    answer_min: float = _rule(
        120.0, "Office minutes within which a customer who says that something is wrong is answered."
    )
    signoff_min: float = _rule(30.0, "Minutes after Done at which the customer is asked whether the work is done.")
    low_rating: int = _rule(2, "A rating of so many of 5 or fewer is answered by somebody with authority.")
    final_min: float = _rule(30.0, "Minutes after a promise was broken before it is final and made good.")
    offer_days: int = _rule(14, "Days ahead in which other times are offered.")
    grid_min: int = _rule(15, "Local grid, in minutes, on which offered times start.")
    hold_s: float = _rule(600.0, "Real seconds offered times are held.")
    offer_risk: float = _rule(0.2, "Largest chance of breaking any promise that an offered time may leave.")
    wait_max_min: float = _rule(
        180.0, "Minutes past the window beyond which no customer is asked to wait: they are asked to choose."
    )
    rescue_alone: int = _rule(
        0, "1: a late visit goes to another technician without asking, where every promise then holds."
    )
    window_min: float = _rule(30.0, "Length in minutes of the arrival window of an offered time.")
    calendar_moves: int = _rule(
        1, "A time proposed from a proven calendar is taken where it fits (1), or a dispatcher decides (0)."
    )
    texts_number: int = _rule(
        12, "Texts to one number in 24 hours, of every kind; five times as many to a technician; 0 turns it off."
    )
    texts_alike: int = _rule(100, "Texts in 24 hours to numbers that differ in the last four digits; 0 turns it off.")
    segments_day: int = _rule(2000, "Segments of texts in 24 hours, of the whole company; 0 turns it off.")
    text_price: float = _rule(0.05, "Price of one segment, in the company's money: an estimate for the spend.")
    spend_day: float = _rule(100.0, "Spend on texts in 24 hours, in the company's money; 0 turns it off.")


def rules(changed: dict[str, Any]) -> Rules:
    """Rules with a company's own values; raises ValueError in a sentence for a name or value that makes no sense."""
    known: dict[str, type] = {f.name: type(getattr(Rules(), f.name)) for f in fields(Rules)}
    typed: dict[str, Any] = {}
    for name, value in changed.items():
        if name not in known:
            raise ValueError(f'"{name}" is no rule. The rules are: {", ".join(sorted(known))}.')
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f'The rule {name} is "{value}"; it must be a number that is not negative.')
        typed[name] = known[name](value)
    return Rules(**typed)


#: What a customer is told whom no time is told: that there is none yet, or the question which other time suits.
WITHOUT_TIME = ("no_time_yet", "please_choose")
#: Kinds that no person asked for and that count against caps and gap; the others follow a person's act.
AUTOMATIC = frozenset(
    {
        "reminder",
        "on_my_way",
        "late_first",
        "late_update",
        "deadline_done",
        "deadline_arrive",
        "please_choose",
        "no_time_yet",
    }
)
#: What arriving makes pointless, and what is still worth saying when a visit is over.
BEFORE_ARRIVAL = AUTOMATIC | {"correction", "earlier"}
#: Kinds about a promise that is still open; the others about promises say how one ended.
OF_OPEN = frozenset({"promise_made", "promise_moved", "promise_broken", "promise_call", "esc_promise", "esc_concern"})
#: Causes that are a customer's own act: they do not make a look of the day surer than the look of every minute.
CUSTOMERS = ("customer", "answer")


def acted(cause: str) -> bool:
    """Whether a report or somebody's act is behind a look: then what is over the limit needs no second one."""
    return bool(cause) and not cause.startswith(CUSTOMERS)


@dataclass(frozen=True, slots=True)
class Said:
    """One notice about a visit that was put: what, when, and whether it still counts.

    `live` is False once it was dropped or superseded before anybody saw it; `told` is the range it told, `deadline`
    the customer's limit it asked about.
    """

    kind: str
    at: datetime
    version: int
    live: bool = True
    told: Window | None = None
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """May it go? `reason` is a code of words.md's board; `until` the next moment to ask again, None: not by itself."""

    ok: bool
    reason: str = ""
    until: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


GO = Verdict(True)


@dataclass(frozen=True, slots=True)
class Now:
    """What is true of a message's visit at the moment it may go; without a visit, nothing of it is asked.

    `heard`: the technician has reported since the message was put. The chances are of the newest forecast: of arriving
    too late, outside the window, and after the customer's limit; None where there is no forecast. `promise`: the state of
    the promise the message is about; `corrects`: the report that a correction takes back.
    """

    state: str
    arrived: bool = False
    heard: bool = False
    deadline_kind: str = ""
    p_late: float | None = None
    p_window: float = 0.0
    p_deadline: float | None = None
    promise: str = "open"
    corrects: str = "on_my_way"


def untrue(kind: str, now: Now, rules: Rules) -> str:
    """Why a message of that kind would say what is no longer so; "" while it is true."""
    if kind in OF_OPEN and now.promise != "open":
        return f"the promise was {now.promise}"
    if kind == "missed" and now.arrived:
        return "we have arrived"
    if kind == "correction" and now.corrects == "missed":
        return "" if now.arrived else "nobody has come"
    if kind.startswith("cancelled") or KINDS[kind].after:
        return ""
    if now.state == "cancelled":
        return "the visit is cancelled"
    if now.state in OVER:
        return f"the visit is {now.state.replace('_', ' ')}"
    setting_out = kind != "correction" or now.corrects in ("on_my_way", "asked")
    if now.arrived and kind in BEFORE_ARRIVAL and setting_out:
        return "we have arrived"
    if kind == "on_my_way" and now.state != "on_my_way":
        return "on my way was taken back"
    if kind == "correction" and now.corrects == "on_my_way" and now.state == "on_my_way":
        return "the technician is on the way again"
    if kind in ("tech_nudge", "no_time_yet") and now.heard:
        return "the technician has reported since"
    return _better(kind, now, rules)


def worth_telling(p_late: float, p_window: float, rules: Rules) -> bool:
    """Whether a message about lateness would be true enough to leave: half the limit, or more likely late than not."""
    return p_late >= rules.tell_chance / 2 or p_window >= 0.5


def too_long(late_min: float, rules: Rules) -> bool:
    """Whether nobody is asked to wait so long: who is to be reached that late is asked to choose."""
    return late_min > rules.wait_max_min


def unheard(due: datetime | None, off: bool, rules: Rules, at: datetime) -> bool:
    """Whether no time is told any more about a technician's day: the next report is missing for too long since it was
    `due`, or nobody makes that day (`off`). Of many days at once core.sift tells the same."""
    return off or (due is not None and at - due >= timedelta(minutes=rules.silence_min))


def _better(kind: str, now: Now, rules: Rules) -> str:
    """What the forecast says; well past the limit, so that a wobble does not silence a warning."""
    if kind in ("deadline_done", "deadline_arrive"):
        if kind != f"deadline_{now.deadline_kind}":
            return "the customer has changed when they must leave"
        made_it = now.p_deadline is not None and 1.0 - now.p_deadline >= (1.0 + rules.deadline_chance) / 2
        return "we can make it after all" if made_it else ""
    if kind == "correction" and now.corrects == "asked" and now.p_deadline is not None:
        return "" if 1.0 - now.p_deadline >= rules.deadline_chance else "it does not hold after all"
    if kind in ("late_first", "late_update") and now.p_late is not None:
        return "" if worth_telling(now.p_late, now.p_window, rules) else "it is no longer late"
    return ""


def useful_min(kind: str, rules: Rules) -> float | None:
    """Minutes for which a message of that kind is worth sending; None: until the promise behind it is due."""
    useful = KINDS[kind].useful
    return getattr(rules, f"useful_{useful}_min") if isinstance(useful, str) else useful


def may(
    kind: str,
    *,
    at: datetime,
    rules: Rules,
    zones: Iterable[str],
    said: Sequence[Said] = (),
    window_start: datetime | None = None,
    early: bool = False,
    asked_at: datetime | None = None,
    useful_until: datetime | None = None,
    person_today: int = 0,
    muted_until: datetime | None = None,
    paused: bool = False,
    now: Now | None = None,
) -> Verdict:
    """May this message go now? Truth, usefulness, storm, mute, caps, gap and night, in this order (policy 1).

    The one answer for the watch, for sending, for the preview and for replayed days.

    `zones`: every zone whose night counts - the visit's first, then those the phone's prefix may mean. `said`: the other
    notices of the visit. `early`: the customer agreed to early messages. `asked_at`: when the customer acted, for an
    answer. `person_today`: automatic texts to this phone today, over all visits. `now`: what is true of the visit.
    """
    if now is not None and (why := untrue(kind, now, rules)):
        return Verdict(False, why)
    if useful_until is not None and at > useful_until:
        return Verdict(False, "too_late", None, {"useful_until": useful_until.isoformat()})
    class_, within = KINDS[kind].class_, timedelta(minutes=rules.answer_night_min)
    if class_ == "staff" or (class_ == "answer" and asked_at is not None and at <= asked_at + within):
        return GO
    if kind in AUTOMATIC:
        if paused:
            return Verdict(False, "storm")
        if muted_until is not None and at < muted_until:
            return Verdict(False, "muted", muted_until)
        no = _cap(kind, rules, said, person_today) or _gap(at, rules, said)
        if no is not None:
            return no
    return _night(class_, at, rules, list(zones), window_start, early)


def outlasts(verdict: Verdict, kind: str, window: Window, deadline: datetime | None, last: Said | None) -> bool:
    """Whether a night lasts until a warning is worth nothing: past the customer's own limit, or past the end of what they
    wait for - the range they were told `last`, or the promised window. Then only a person who calls can warn them."""
    if verdict.reason != "night" or verdict.until is None or KINDS[kind].class_ != "delay":
        return False
    ends = last.told.end if last is not None and last.told is not None else window.end
    if kind.startswith("deadline") and deadline is not None:
        ends = deadline
    return verdict.until >= ends


def call_key(visit: int, version: int, reason: str) -> str:
    """One call for one reason and promise, whether the watch or a sender finds that no message can go."""
    return f"{visit}:{version}:call:{reason}"


def _cap(kind: str, rules: Rules, said: Sequence[Said], person_today: int) -> Verdict | None:
    live = [x.kind for x in said if x.live and x.kind in AUTOMATIC]
    delays = sum(KINDS[k].class_ == "delay" for k in live)
    if kind == "on_my_way" and kind in live:
        return Verdict(False, "already_told")
    for used, most, of in (
        (delays if KINDS[kind].class_ == "delay" else 0, rules.max_delay, "delay"),
        (len(live), rules.max_visit, "visit"),
        (person_today, rules.max_person_day, "person"),
    ):
        if used >= most:
            return Verdict(False, "cap", None, {"used": used, "max": most, "of": of})
    return None


def _gap(at: datetime, rules: Rules, said: Sequence[Said]) -> Verdict | None:
    last = max((x.at for x in said if x.live and x.kind in AUTOMATIC), default=None)
    if last is None or at - last >= timedelta(minutes=rules.gap_min):
        return None
    until = last + timedelta(minutes=rules.gap_min)
    return Verdict(False, "too_soon", until, {"last": last.isoformat()})


def _night(
    class_: str, at: datetime, rules: Rules, zones: list[str], window_start: datetime | None, early: bool
) -> Verdict:
    until = opens(at, zones, rules)
    if until is None or not zones:
        return GO
    if class_ == "delay" and early and window_start is not None:
        start = local(window_start, zones[0])
        if start.hour * 60 + start.minute < rules.early_visit:
            return GO
    held = next(zone for zone in zones if opens(at, [zone], rules) is not None)
    return Verdict(False, "night", until, {"local": local(at, held).isoformat()})


def opens(at: datetime, zones: Sequence[str], rules: Rules) -> datetime | None:
    """The next instant at which every zone is inside message hours; None when `at` itself is."""
    found = at
    for _ in range(4 * len(zones)):
        before = found
        for zone in zones:
            here = local(found, zone)
            minute = here.hour * 60 + here.minute
            if rules.quiet_until <= minute < rules.quiet_from:
                continue
            day = here.date() + timedelta(days=int(minute >= rules.quiet_until))
            found = at_wall(day, *divmod(min(rules.quiet_until, 1439), 60), zone)
        if found == before:
            break
    return None if found == at else found
