"""decide(): what to tell whom now, and why not - a reason for every visit, in numbers the board can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import numpy as np

from punctual.core.day import OVER, Days, State, Window, instant, minutes, outward
from punctual.core.forecast import LEVELS, Forecast
from punctual.core.limit import CALL_CHANCE, limits_of, muted_until
from punctual.core.policy import AUTOMATIC, WITHOUT_TIME, Rules, Said, acted, call_key, may, outlasts, too_long

Verb = Literal["tell", "silent", "task"]

LOW, HIGH = int(np.argmin(np.abs(np.asarray(LEVELS) - 0.1))), int(np.argmin(np.abs(np.asarray(LEVELS) - 0.9)))
#: Something may still be told about a visit in one of these states.
AHEAD = frozenset({"planned", "on_my_way"})


@dataclass(frozen=True, slots=True)
class Mark:
    """What the watch remembers of a visit from look to look: since when, at which chance, over the limit."""

    since: datetime | None = None
    chance: float = 0.0
    crossings: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a visit beside its row of Days; `zones` are those whose night counts, the visit's first."""

    version: int
    zones: tuple[str, ...]
    state: State = "planned"
    said: tuple[Said, ...] = ()
    mark: Mark = Mark()
    early: bool = False
    reachable: bool = True
    held: str = ""
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Quiet:
    """A technician's silence: when they were asked, and whether this day is off altogether."""

    nudged_at: datetime | None = None
    off: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Tell, stay silent or ask a person, with its reason and the numbers behind it.

    `until`: when it is decided again by itself. `key` makes the same thing impossible twice.
    """

    verb: Verb
    kind: str
    reason: str
    day: int
    visit: int
    key: str
    facts: dict[str, Any] = field(default_factory=dict)
    told: Window | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """All decisions of one look, and the marks to remember, one a row."""

    decisions: list[Decision]
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class _Case:
    """One visit under decision: its numbers, pulled out of the columns once."""

    day: int
    visit: int
    known: Known
    rules: Rules
    at: datetime
    cause: str
    on_my_way: datetime | None
    window: Window
    deadline: datetime | None
    deadline_kind: str
    arrive: Window
    mean: float
    chance: float
    miss: float
    #: the chance at which a delay is told, this long before the window opens
    limit: float

    @property
    def told_now(self) -> Window:
        return outward(self.arrive, self.at, self.known.zones[0])

    def last(self) -> Said | None:
        """The newest notice of this promise that told a range or asked."""
        live = [x for x in self.known.said if x.live and x.version == self.known.version and x.kind in AUTOMATIC]
        return max((x for x in live if x.kind != "reminder"), key=lambda x: x.at, default=None)

    def key(self, kind: str) -> str:
        n = 1 + sum(x.kind == kind and x.version == self.known.version for x in self.known.said)
        return f"{self.visit}:{self.known.version}:{kind}:{n}"

    def numbers(self) -> dict[str, Any]:
        """What every explanation may need: chances in per cent, minutes, instants as text."""
        return {
            "chance": _percent(self.chance),
            "limit": _percent(self.limit),
            "threshold": self.rules.threshold_min,
            "late_min": round(self.mean - minutes(self.window.end), 1),
            "from": self.arrive.start.isoformat(),
            "to": self.arrive.end.isoformat(),
        }

    def silent(self, reason: str, until: datetime | None = None, **facts: Any) -> Decision:
        key = f"{self.visit}:{self.known.version}:silent"
        if until is not None:
            facts["until"] = until.isoformat()
        return Decision("silent", "silent", reason, self.day, self.visit, key, self.numbers() | facts, None, until)

    def task(self, reason: str, **facts: Any) -> Decision:
        key = call_key(self.visit, self.known.version, reason)
        return Decision("task", "call", reason, self.day, self.visit, key, self.numbers() | facts)


def decide(
    days: Days,
    forecast: Forecast,
    known: Sequence[Known],
    quiet: Sequence[Quiet],
    rules: Rules,
    *,
    at: datetime,
    cause: str = "",
    rows: Sequence[int] | None = None,
) -> Decided:
    """What to tell whom now. `known` has one value a row, `quiet` one a day; `cause` "" is the look of every minute.

    A report or a dispatcher's act (a cause) needs no second look; it still tells only those whose promise breaks.
    `rows`, in ascending order, are the visits to decide about, for a company whose others core.sift has decided; then
    `known` is about these. A day's silence is asked about where its visits are among them.
    """
    rows = range(days.rows) if rows is None else rows
    if len(known) != len(rows) or len(quiet) != len(days):
        raise ValueError(f"{len(known)} known and {len(quiet)} quiet for {len(rows)} visits of {len(days)} days.")
    decisions: list[Decision] = []
    marks: list[Mark] = []
    if not len(rows):
        return Decided([], [])
    row = np.asarray(rows, dtype=np.int64)
    day_of = days.offset.searchsorted(row, side="right") - 1
    limit = limits_of(days, rules, at.timestamp())[row].tolist()
    for d, of_day in groupby(zip(day_of.tolist(), rows, known, limit, strict=True), key=itemgetter(0)):
        mine = [(r, k, x) for _, r, k, x in of_day]
        expected = float(forecast.expected_report[d])
        silence = minutes(at) - expected - rules.silence_min  # NaN: none is expected
        stale = quiet[d].off or silence >= 0
        if stale:
            decisions += _ask(days, d, expected, [(r, k) for r, k, _ in mine], quiet[d], at)
        for r, k, x in mine:
            case = _case(days, forecast, d, r, k, rules, x, at, cause)
            mark = _mark(case) if k.state in AHEAD else k.mark
            if mark is not k.mark:
                case = replace(case, known=replace(k, mark=mark))
            marks.append(mark)
            decisions += _untold(case, quiet[d], expected) if stale else _visit(case)
    return Decided(decisions, marks)


def _case(
    days: Days, f: Forecast, d: int, r: int, known: Known, rules: Rules, limit: float, at: datetime, cause: str
) -> _Case:
    deadline = float(days.deadline[r])
    out = float(days.on_my_way[r])
    low, high = float(f.arrive[r, LOW]), float(f.arrive[r, HIGH])
    return _Case(
        day=int(days.day_id[d]),
        visit=int(days.visit_id[r]),
        known=known,
        rules=rules,
        at=at,
        cause=cause,
        on_my_way=None if np.isnan(out) else instant(out),
        window=Window(instant(float(days.window_start[r])), instant(float(days.window_end[r]))),
        deadline=None if np.isnan(deadline) else instant(deadline),
        deadline_kind="deadline_arrive" if days.deadline_arrive[r] else "deadline_done",
        arrive=Window(instant(low), instant(max(low, high))),
        mean=float(f.mean_arrive[r]),
        chance=float(f.p_late[r]),
        miss=float(f.p_deadline[r]),
        limit=limit,
    )


def _visit(c: _Case) -> list[Decision]:
    """The decision about one visit on a day from which reports come."""
    if c.known.state not in AHEAD:
        return [c.silent("over", state=c.known.state)]
    if c.known.held:
        return [c.silent("held", why=c.known.held)]
    setting_out = _try(c, "on_my_way", "on_my_way", c.told_now) if _setting_out(c) else []
    if setting_out and setting_out[0].reason != "night":  # then lateness is asked about at once, a call takes time
        return setting_out
    return _deadline(c) or _late(c)


def _setting_out(c: _Case) -> bool:
    """On the way by a tap that is still news, and not told so."""
    old = timedelta(minutes=c.rules.useful_on_my_way_min)  # such a tap is history (policy 1)
    fresh = c.known.state == "on_my_way" and c.on_my_way is not None and c.at - c.on_my_way <= old
    return fresh and c.known.reachable and not any(x.kind == "on_my_way" and x.live for x in c.known.said)


def _deadline(c: _Case) -> list[Decision]:
    """The customer's own limit: asked once per deadline, at once, when the chance of making it is too small."""
    if c.deadline is None or c.at >= c.deadline or np.isnan(c.miss):
        return []
    if 1.0 - c.miss >= c.rules.deadline_chance:
        return []
    asked = [x for x in c.known.said if x.live and x.deadline == c.deadline]
    if asked:
        return []
    return _try(
        c,
        c.deadline_kind,
        "deadline",
        c.told_now,
        deadline=c.deadline.isoformat(),
        chance_of_making_it=_percent(1.0 - c.miss),
        deadline_limit=_percent(c.rules.deadline_chance),
    )


def _late(c: _Case) -> list[Decision]:
    """The promised window: first notice, update, or the reason for silence."""
    last = c.last()
    if last is not None:
        return _update(c, last)
    limit = c.limit if c.known.reachable else min(c.limit, CALL_CHANCE)
    if c.chance < limit:
        over = c.mean - minutes(c.window.end)
        if over > c.rules.threshold_min or c.chance >= 0.2:
            return [c.silent("below_limit")]
        return [c.silent("inside_threshold" if over > 0 else "fine")]
    since = c.known.mark.since or c.at
    until = since + timedelta(minutes=c.rules.second_look_min)
    if c.known.reachable and not acted(c.cause) and c.at < until:
        return [c.silent("second_look", until, since=since.isoformat())]
    kind, told = _or_choose(c, "late_first")
    return _try(c, kind, "late", told, due=_due(c), **_in_time(c))


def _update(c: _Case, last: Said) -> list[Decision]:
    """Told already: again only if the range moved by enough, and never to say "back on time".

    A customer told to expect us later than we now come is asked by a person: nobody is to stand there unawaited.
    """
    new, old = c.told_now, last.told
    facts: dict[str, Any] = {"told_at": last.at.isoformat(), "told_kind": last.kind}
    if old is None:
        return [c.silent("already_told", **facts)]
    later, earlier = minutes(new.end) - minutes(old.end), minutes(old.start) - minutes(new.start)
    need = max(c.rules.update_min, c.rules.update_share * max(0.0, minutes(old.end) - minutes(c.at)))
    facts |= {
        "told_from": old.start.isoformat(),
        "told_to": old.end.isoformat(),
        "later_min": round(later),
        "earlier_min": round(earlier),
        "needed_min": round(need),
    }
    if c.chance < c.limit:
        found = [c.silent("already_told", back_on_time=True, **facts)]
        return [*found, c.task("earlier_than_told", **facts)] if c.arrive.end < old.start else found
    if later < need and earlier < c.rules.update_min:
        return [c.silent("already_told", **facts)]
    kind, told = _or_choose(c, "late_update")
    return _try(c, kind, "moved", told, due=_due(c), **facts, **_in_time(c))


def _try(c: _Case, kind: str, reason: str, told: Window | None, **facts: Any) -> list[Decision]:
    """The notice, if policy lets it go now; else silence with policy's reason, and a call where none will go in time."""
    verdict = may(
        kind,
        at=c.at,
        rules=c.rules,
        zones=c.known.zones,
        said=c.known.said,
        window_start=c.window.start,
        early=c.known.early,
        muted_until=muted_until(c.known.mark.crossings, c.rules),
        paused=c.known.paused,
    )
    if verdict.ok:
        if not c.known.reachable:
            return [c.task("no_channel", wanted=kind, **facts), c.silent("no_channel", wanted=kind)]
        numbers = c.numbers() | facts
        if c.known.mark.since is not None:
            numbers |= {"since": c.known.mark.since.isoformat(), "since_chance": _percent(c.known.mark.chance)}
        return [Decision("tell", kind, reason, c.day, c.visit, c.key(kind), numbers, told)]
    found = [c.silent(verdict.reason, verdict.until, wanted=kind, **verdict.facts)]
    if verdict.reason == "cap":
        found.append(c.task("cap", wanted=kind, **verdict.facts))
    elif outlasts(verdict, kind, c.window, c.deadline, c.last()):
        reason = "night" if c.known.reachable else "no_channel"  # which the morning would ask for again
        found.append(c.task(reason, wanted=kind, **verdict.facts))
    return found


def _in_time(c: _Case) -> dict[str, Any]:
    """The warn-by clock: in time when accepted `warn_by_min` before the window opens."""
    by = c.window.start - timedelta(minutes=c.rules.warn_by_min)
    return {"warn_by": by.isoformat(), "in_time": c.at <= by}


def _ask(
    days: Days, d: int, expected: float, of_day: Sequence[tuple[int, Known]], quiet: Quiet, at: datetime
) -> list[Decision]:
    """Silence has lasted: nudge the technician and show the dispatcher, once per episode; a day off needs no nudge."""
    if quiet.nudged_at is not None:
        return []
    open_ = [(r, k.state) for r, k in of_day if k.state not in OVER]
    if not open_:
        return []
    day, (now, state) = int(days.day_id[d]), open_[0]
    first, end = int(days.offset[d]), int(days.offset[d + 1])
    visit = int(days.visit_id[now])
    facts: dict[str, Any] = {"visit": visit, "state": state, "open": len(open_)}
    if quiet.off:
        return [Decision("task", "silent", "off", day, visit, f"{day}:off", facts)]
    facts |= {"expected": instant(expected).isoformat(), "silent_min": round(minutes(at) - expected)}
    steps = np.concatenate([days.on_my_way[first:end], days.arrived[first:end], days.finished[first:end]])
    if not np.all(np.isnan(steps)):
        facts["last_report"] = instant(float(np.nanmax(steps))).isoformat()
    episode = f"{day}:{round(expected)}"
    return [
        Decision("tell", "tech_nudge", "silent", day, visit, f"{episode}:tech_nudge", facts),
        Decision("task", "silent", "silent", day, visit, f"{episode}:silent", facts),
    ]


def _untold(c: _Case, quiet: Quiet, expected: float) -> list[Decision]:
    """A day nothing is heard from: no time is told; customers at risk get the message without one in the end."""
    if c.known.state not in AHEAD:
        return [c.silent("over", state=c.known.state)]
    facts: dict[str, Any] = {"off": quiet.off}
    if not np.isnan(expected):
        facts |= {"silent_min": round(minutes(c.at) - expected), "expected": instant(expected).isoformat()}
    if quiet.nudged_at is not None:
        facts["nudged_at"] = quiet.nudged_at.isoformat()
    told = any(x.kind in WITHOUT_TIME and x.live and x.version == c.known.version for x in c.known.said)
    answer = timedelta(minutes=c.rules.silence_answer_min)
    waited = quiet.nudged_at is not None and c.at >= quiet.nudged_at + answer
    warn_by = c.window.start - timedelta(minutes=c.rules.warn_by_min) - answer
    if told or not waited or not (_at_risk(c) or (quiet.off and c.at >= warn_by)):
        return [c.silent("no_news", **facts)]
    return _try(c, WITHOUT_TIME[quiet.off], "no_news", None, due=_due(c), **facts)


def _or_choose(c: _Case, kind: str) -> tuple[str, Window | None]:
    """A message with the range it tells, or the question which other time suits, which tells none."""
    return ("please_choose", None) if too_long(c.mean - minutes(c.window.end), c.rules) else (kind, c.told_now)


def _due(c: _Case) -> str:
    """By when somebody calls who was told no time."""
    return (c.at + timedelta(minutes=c.rules.callback_min)).isoformat()


def _at_risk(c: _Case) -> bool:
    missed = c.deadline is not None and not np.isnan(c.miss) and 1.0 - c.miss < c.rules.deadline_chance
    return c.chance >= c.limit or missed


def _mark(c: _Case) -> Mark:
    """Since when the chance is over the limit, and when it crossed it lately."""
    old = c.known.mark
    over = c.chance >= c.limit
    if over == (old.since is not None):
        return old
    crossings = (*(x for x in old.crossings if c.at - x <= timedelta(minutes=2 * c.rules.flap_min)), c.at)
    return Mark(c.at, c.chance, crossings) if over else Mark(None, 0.0, crossings)


def _percent(p: float) -> float:
    return round(100.0 * p, 1)
