"""One appointment as its customer may see it: what is promised, expected, said, answered - and what state that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from punctual.core.day import OVER, Window, outward
from punctual.core.duration import usual
from punctual.core.forecast import VisitForecast
from punctual.core.kinds import KINDS
from punctual.core.policy import Rules, too_long, unheard
from punctual.models import Answer, Attempt, Company, Concern, Good, Message, Notice, Promise, Report, Visit
from punctual.queries import day as days
from punctual.queries import promises, taught

#: After this long past its window a visit that never happened is history.
EXPIRED = timedelta(hours=12)
#: So far back a customer sees what they were promised at other visits.
HISTORY = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Saying:
    """One line of "what we told you": when, what kind, the range it told, by which channel, what became of it."""

    at: datetime
    kind: str
    start: datetime | None
    end: datetime | None
    channel: str
    state: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop before this one, without a name: `state` done, now, on_my_way or ahead, and since when."""

    state: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the customer's page shows.

    `state`: on_time, at_risk, late, very_late, no_time, on_my_way, arrived, missed, done, nobody_home, cannot_finish,
    cancelled_us, cancelled_you or expired. `agreed`: what "This works" on this page agrees to, None before anything was
    told; `silent`: nothing is heard of the technician's day, so no time is told (policy.md 1); `news`: its last report then,
    or where nobody knows when; `takes`: how many minutes such work usually takes, once it has begun.
    """

    visit: Visit
    company: Company
    state: str
    window: Window
    arrival: Window | None
    likely: datetime | None
    forecast: VisitForecast | None
    stops: tuple[Stop, ...]
    said: tuple[Saying, ...]
    promises: tuple[Promise, ...]
    answers: tuple[Answer, ...]
    concerns: tuple[Concern, ...]
    goods: tuple[Good, ...]
    can_keep: bool
    earlier: Window | None
    checked_at: datetime
    agreed: Window | None = None
    silent: bool = False
    news: datetime | None = None
    takes: tuple[int, int] | None = None

    @property
    def over(self) -> bool:
        return self.state in ("done", "nobody_home", "cannot_finish", "cancelled_us", "cancelled_you", "expired")

    @property
    def cancelled(self) -> bool:
        """Nobody comes, as we or they decided."""
        return self.state in ("cancelled_us", "cancelled_you")

    @property
    def again(self) -> bool:
        """Another visit was booked for this one."""
        return any(a.kind == "again" for a in self.answers)

    @property
    def next_id(self) -> int:
        """The visit that was booked for this one; 0 for none."""
        return next((int(a.data.get("next", 0)) for a in self.answers if a.kind == "again"), 0)

    @property
    def told_late(self) -> Saying | None:
        """How and when they were last told that we are late."""
        return next((x for x in self.said if KINDS[x.kind].class_ == "delay"), None)

    @property
    def stops_before(self) -> int:
        """How many are still to be finished before this one."""
        return sum(x.state != "done" for x in self.stops)

    @property
    def word(self) -> str:
        """The customer's last word on whether it is done: done, not_done or nothing yet."""
        return next((a.kind for a in self.answers if a.kind in ("done", "not_done")), "")

    @property
    def reopened(self) -> bool:
        """The work was said not to be done."""
        return self.word == "not_done"

    @property
    def stars(self) -> int:
        """How they said it was, from 1 to 5; 0 before they did."""
        return next((int(a.data.get("stars", 0)) for a in self.answers if a.kind == "rating"), 0)

    def after(self, promise: Promise) -> Promise | None:
        """The promise that took this one's place."""
        return next((p for p in self.promises if p.replaces_id == promise.id), None)

    @property
    def call(self) -> Promise | None:
        """The call back we owe, if any."""
        mine = (p for p in self.promises if p.visit_id == self.visit.id)
        return next((p for p in mine if p.kind == "call" and p.state == "open"), None)


def repeatable(s: Session, visit_id: int) -> bool:
    """Whether another visit can be booked for this one: cancelled, nobody reached, not to be finished, or not done."""
    visit = s.get_one(Visit, visit_id)
    if visit.state in ("cancelled", "nobody_home", "cannot_finish"):
        return True
    word = (
        select(Answer.kind)
        .where(Answer.visit_id == visit_id, Answer.kind.in_(("done", "not_done")))
        .order_by(Answer.id.desc())
        .limit(1)
    )
    return visit.state == "done" and s.scalar(word) == "not_done"


def ended(s: Session, visit: Visit, at: datetime) -> bool:
    """Whether there is nothing to change any more; a visit that nobody came to stays its customer's to move."""
    return visit.state in OVER or (at > visit.window_end + EXPIRED and not missed(s, visit))


def choosable(s: Session, visit_id: int, *, at: datetime) -> bool:
    """Whether another time can be chosen: for the visit while nobody is on the way, or for one that takes its place."""
    visit = s.get_one(Visit, visit_id)
    if repeatable(s, visit_id):
        return s.scalar(select(Answer.id).where(Answer.visit_id == visit_id, Answer.kind == "again").limit(1)) is None
    return not ended(s, visit, at) and visit.state == "planned"


def story(s: Session, visit_id: int, *, at: datetime) -> Story:
    """Read it; writes nothing."""
    visit = s.get_one(Visit, visit_id)
    company = s.get_one(Company, 1)
    shift = days.shift_of(s, visit.technician_id, visit.date) if visit.technician_id else None
    expected, due = days.looked(s, shift.id) if shift else ({}, None)
    made, rules = expected.get(visit.id), days.rules(s)
    silent = shift is not None and visit.state not in OVER and unheard(due, bool(shift.off), rules, at)
    arrival = None
    if made is not None and visit.arrived_at is None and not silent:
        arrival = outward(Window(made.arrive[0], max(made.arrive[2], made.arrive[0])), at, visit.zone)
    last = _last_told(s, visit)
    doomed = _doomed(visit, made, rules.deadline_chance) or _too_long(visit, made, rules) or last == "please_choose"
    quiet = last == "no_time_yet" or (silent and told_range(visit) is not None)
    state = _state(visit, made, at, rules.tell_chance, doomed=doomed, quiet=quiet)
    if state in ("on_time", "at_risk", "late", "very_late", "no_time", "expired") and missed(s, visit):
        state = "missed"
    return Story(
        visit=visit,
        company=company,
        state=state,
        window=Window(visit.window_start, visit.window_end),
        arrival=arrival,
        likely=made.arrive[1] if made is not None else None,
        forecast=made,
        stops=_stops(s, shift.id, visit.id) if shift else (),
        said=_said(s, visit.id),
        promises=tuple(promises.of_customer(s, visit, at - HISTORY)),
        answers=tuple(s.scalars(select(Answer).where(Answer.visit_id == visit.id).order_by(Answer.id.desc()))),
        goods=tuple(s.scalars(select(Good).where(Good.visit_id == visit.id, Good.state == "granted"))),
        concerns=tuple(promises.concerns_of(s, visit.id)),
        can_keep=state in ("late", "at_risk", "on_time") and not doomed,
        earlier=earlier(s, visit, at),
        checked_at=made.at if made is not None else at,
        agreed=_agreed(told_range(visit), arrival, rules),
        silent=silent,
        news=_news(s, visit) if silent or state == "no_time" else None,
        takes=_takes(s, visit) if state == "arrived" else None,
    )


def _news(s: Session, visit: Visit) -> datetime | None:
    """When the technician's day last said anything."""
    day = Visit.technician_id == visit.technician_id, Visit.date == visit.date
    found: datetime | None = s.scalar(select(func.max(Report.at)).join(Visit, Visit.id == Report.visit_id).where(*day))
    return found


def _takes(s: Session, visit: Visit) -> tuple[int, int]:
    """The middle eight of ten such visits, minutes, rounded outwards to five."""
    low, high = usual(taught.current(s), visit.planned_min, visit.job_type_id, visit.technician_id or 0)
    return int(low // 5) * 5, -int(-high // 5) * 5


def told_range(visit: Visit) -> Window | None:
    """The range last told in a delay notice of this promise."""
    kind = KINDS.get(visit.told_kind)
    if visit.told_start is None or visit.told_end is None or kind is None or kind.class_ != "delay":
        return None
    return Window(visit.told_start, visit.told_end)


def _agreed(told: Window | None, arrival: Window | None, rules: Rules) -> Window | None:
    """The range told last, or the one the page shows where it ends so much later: nobody means a time that is gone."""
    if told is None or arrival is None or arrival.end - told.end < timedelta(minutes=rules.update_min):
        return told
    return arrival


def seen(story: Story) -> str:
    """What a page of this visit shows: which promise, the range told last, a later one that "This works" would agree to.
    Pressed on an older page it differs."""
    visit, later = story.visit, story.agreed
    mark = f"{visit.promise_version}:{visit.told_start.isoformat() if visit.told_start else ''}"
    if later is None or later == told_range(visit):
        return mark
    return f"{mark}:{later.start.isoformat()}:{later.end.isoformat()}"


def earlier(s: Session, visit: Visit, at: datetime) -> Window | None:
    """The earlier range that was offered for this promise and can still be taken; None after any answer to it."""
    mine = Notice.visit_id == visit.id, Notice.kind == "earlier", Notice.decision == "tell"
    this = Notice.key.like(f"{visit.id}:{visit.promise_version}:earlier:%")
    last = s.scalar(select(Notice).where(*mine, this).order_by(Notice.id.desc()).limit(1))
    if last is None or visit.state != "planned":
        return None
    answered = select(Answer.id).where(
        Answer.visit_id == visit.id, Answer.at >= last.at, Answer.kind.in_(("keep", "time"))
    )
    found = Window(*(datetime.fromisoformat(last.facts[x]) for x in ("earlier_from", "earlier_to")))
    return found if found.start > at and s.scalar(answered.limit(1)) is None else None


def _stops(s: Session, shift_id: int, visit_id: int) -> tuple[Stop, ...]:
    """The stops of the day up to this one, in the order they are made."""
    found = []
    for v in days.load(s, [shift_id])[0].visits:
        if v.id == visit_id:
            break
        if v.over:
            found.append(Stop("done", v.finished_at))
        elif v.state == "arrived":
            found.append(Stop("now", v.arrived_at))
        else:
            found.append(Stop("on_my_way" if v.state == "on_my_way" else "ahead", v.on_my_way_at))
    return tuple(found)


def missed(s: Session, visit: Visit) -> bool:
    """The promise of this version is broken, and nobody came."""
    mine = Promise.visit_id == visit.id, Promise.kind == "window", Promise.version == visit.promise_version
    return s.scalar(select(Promise.state).where(*mine)) == "broken"


def _doomed(visit: Visit, made: VisitForecast | None, chance: float) -> bool:
    """Waiting cannot work: the customer's own limit will more likely than not be missed."""
    return (
        visit.deadline is not None
        and made is not None
        and made.p_deadline is not None
        and 1.0 - made.p_deadline < chance
        and visit.arrived_at is None
    )


def _too_long(visit: Visit, made: VisitForecast | None, rules: Rules) -> bool:
    """Told that we are late, and it has become too late to wait for."""
    if made is None or visit.arrived_at is not None or told_range(visit) is None:
        return False
    return too_long((made.mean_arrive - visit.window_end) / timedelta(minutes=1), rules)


def _last_told(s: Session, visit: Visit) -> str:
    """The kind of the last thing said about this promise; "" before anything was."""
    last = s.scalar(
        select(Notice.kind)
        .where(
            Notice.visit_id == visit.id,
            Notice.decision == "tell",
            Notice.key.like(f"{visit.id}:{visit.promise_version}:%"),
        )
        .order_by(Notice.id.desc())
        .limit(1)
    )
    return last or ""


def _state(visit: Visit, made: VisitForecast | None, at: datetime, limit: float, *, doomed: bool, quiet: bool) -> str:
    if visit.state == "cancelled":
        return "cancelled_you" if visit.cancelled_by == "customer" else "cancelled_us"
    if visit.state in OVER or visit.state == "arrived":
        return visit.state
    if at > visit.window_end + EXPIRED:
        return "expired"
    if visit.state == "on_my_way":
        return "on_my_way"
    if doomed:
        return "very_late"
    if quiet:
        return "no_time"
    if told_range(visit) is not None:
        return "late"
    if made is not None and made.p_late >= min(limit, 0.5):
        return "at_risk"
    return "on_time"


def _said(s: Session, visit_id: int) -> tuple[Saying, ...]:
    newest = select(func.max(Attempt.id)).where(Attempt.message_id == Message.id).correlate(Message).scalar_subquery()
    rows = s.execute(
        select(Message.kind, Message.channel, Message.state, Attempt.at, Attempt.told_start, Attempt.told_end)
        .join(Attempt, Attempt.id == newest)
        .where(
            Message.visit_id == visit_id,
            Message.customer_id.is_not(None),
            Message.state.in_(("sent", "delivered", "uncertain", "undelivered")),
        )
        .order_by(Attempt.at.desc(), Attempt.id.desc())
    )
    return tuple(Saying(r.at, r.kind, r.told_start, r.told_end, r.channel, r.state) for r in rows)
