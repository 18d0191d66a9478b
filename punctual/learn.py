"""History to learned state: each date's visits kept once as columns, fitted together, versioned, read by every look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from punctual.core.day import Days, Floats, Ints, local, minutes
from punctual.core.duration import Learned
from punctual.core.fit import fit
from punctual.core.looks import BUDGETS, WATCHED, Choice, Looks, curve, looked, looks_from, spread_over
from punctual.core.packed import joined, rows
from punctual.core.plan import worked
from punctual.core.policy import Rules
from punctual.models import Company, LearnedDay
from punctual.models import Learned as LearnedRow
from punctual.queries import day as queries
from punctual.queries import history
from punctual.queries.taught import FORMAT

#: Fewer finished visits than this calibrate no threshold.
ENOUGH = 30
#: A budget is calibrated on looks made before the visit was learned, once so many visits have been looked at, each by
#: a state that had learned from at least so many; until then on looks back.
ENOUGH_LOOKS, TAUGHT = 200, 100
#: The newest dates with so many visits are fitted: an evening costs no more as the years go by.
MOST_VISITS = 60_000
#: So many technician-days of a date are looked at, and so many weeks back.
LOOKED_A_DAY, LOOKED_WEEKS = 60, 13
#: Dates so long ago are asked again for reports that came late.
LATE_REPORTS = timedelta(days=14)
#: Versions kept.
VERSIONS = 60

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A new version before it is written: the dates that changed, the state and what people are shown of it."""

    at: datetime
    until: datetime
    fresh: dict[date, bytes]
    counts: dict[date, int]
    looks: dict[date, bytes]
    gone: tuple[date, ...]
    state: Learned
    facts: dict[str, Any]
    chosen: Choice | None


def due(s: Session, since: datetime) -> bool:
    """Whether to learn: not since that instant, what was learned is of another format, or a date was marked after it."""
    newest = s.execute(select(LearnedRow.at, LearnedRow.format).order_by(LearnedRow.id.desc()).limit(1)).first()
    if newest is None or newest.at < since or newest.format != FORMAT:
        return True
    return s.scalar(select(LearnedDay.date).where(LearnedDay.marked_at > newest.at).limit(1)) is not None


def learn(s: Session, *, at: datetime, everything: bool = False) -> LearnedRow:
    """Find and keep in one go, in the caller's transaction: for where nobody waits."""
    return keep(s, find(s, at=at, everything=everything))


def find(s: Session, *, at: datetime, everything: bool = False, progress: Progress = lambda done, of: None) -> Found:
    """Learn from the dates before today: read those that changed, fit, calibrate. Writes nothing, and may take seconds.

    Of history only what each date taught is read, not its visits. `everything` reads every visit anew; what comes of
    it is the same to the byte.
    """
    rules, zone = queries.company(s)
    book = _Book(s, local(at, zone).date(), everything)
    looks = _look_again(book, rules, progress)
    taught = book.taught(book.before)
    state = book.state(book.before)
    choices = _choices(book, looks, state, rules)
    chosen = next((c for c in choices if c.budget == rules.false_alarm_budget), None)
    return Found(
        at=at,
        until=_midnight(book.before),
        fresh={on: x.to_bytes() for on, x in book.fresh.items()},
        counts={on: x.days.rows for on, x in book.fresh.items()},
        looks={on: x.to_bytes() for on, x in looks.items() if on in book.looking},
        gone=book.gone,
        state=state,
        facts=_facts(book, taught, state, choices),
        chosen=chosen,
    )


def keep(s: Session, found: Found) -> LearnedRow:
    """Write what was found as the newest version, in the caller's transaction; the company's limit follows its budget."""
    for on in sorted(found.fresh.keys() | found.looks.keys() | set(found.gone)):
        day = s.get(LearnedDay, on)
        if day is None:
            day = LearnedDay(date=on, at=found.at)
            s.add(day)
        if on in found.fresh:
            day.at, day.visits, day.format, day.columns = found.at, found.counts[on], FORMAT, found.fresh[on]
        if on in found.looks:
            day.looks = found.looks[on]
        if on in found.gone:
            day.visits, day.format, day.columns, day.looks = 0, 0, b"", b""
    company, chosen = s.get(Company, 1), found.chosen
    if company is not None and chosen is not None:
        company.rules = {**company.rules, **chosen.rules}
    row = LearnedRow(
        at=found.at,
        until=found.until,
        visits=found.state.visits,
        format=FORMAT,
        data=found.state.to_bytes(),
        facts=found.facts,
    )
    s.add(row)
    s.flush()
    s.execute(delete(LearnedRow).where(LearnedRow.id <= row.id - VERSIONS))
    return row


def _midnight(on: date) -> datetime:
    """The instant that stands for the beginning of a date wherever the order of dates is all that matters."""
    return datetime.combine(on, time(), UTC)


def _week(on: date) -> int:
    return (on.toordinal() - 1) // 7


def _monday(week: int) -> date:
    return date.fromordinal(7 * week + 1)


@dataclass(slots=True)
class _Book:
    """The dates that can teach, those that changed read from their visits, the others unpacked when they are needed."""

    s: Session
    before: date
    everything: bool
    known: dict[date, history.Kept] = field(init=False)
    fresh: dict[date, history.Past] = field(init=False)
    gone: tuple[date, ...] = field(init=False)
    looking: frozenset[date] = field(init=False)
    _open: dict[date, history.Past] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.known = history.kept(self.s, self.before)
        if any(k.format not in (0, FORMAT) for k in self.known.values()):
            self.everything = True
        changed, self.gone = self._changed()
        self.fresh = history.past(self.s, changed)
        self.looking = frozenset(self._to_look_at())

    def _changed(self) -> tuple[list[date], tuple[date, ...]]:
        """Dates with other visits than when they were kept, and kept dates that have none any more."""
        last = max((k.at for k in self.known.values() if k.format), default=None)
        since = None
        if last is not None and not self.everything and not history.imported_since(self.s, last):
            since = self.before - LATE_REPORTS
        counted = history.counted(self.s, since, self.before)
        gone = tuple(
            on for on, k in self.known.items() if k.format and on not in counted and (since is None or on >= since)
        )
        return [on for on, now in counted.items() if self.everything or self._differs(on, *now)], gone

    def _differs(self, on: date, visits: int, changed_at: datetime) -> bool:
        kept = self.known.get(on)
        return kept is None or not kept.format or kept.visits != visits or changed_at > kept.at

    def _to_look_at(self) -> Iterable[date]:
        """Dates to be looked at as they looked then: those that changed, and all in later weeks than one that did."""
        last = max((k.at for k in self.known.values() if k.format), default=None)
        marked = {on for on, k in self.known.items() if last and k.marked_at and k.marked_at > last}
        moved = {*self.fresh, *self.gone, *marked}
        dates = self.dates()
        first = _week(dates[-1]) - LOOKED_WEEKS if dates else 0
        for on in dates:
            if _week(on) > first and (on in self.fresh or (moved and _week(on) > _week(min(moved)))):
                yield on

    def dates(self) -> list[date]:
        """Every date with finished visits, oldest first."""
        kept = {on for on, k in self.known.items() if k.format} - set(self.gone)
        return sorted(kept | set(self.fresh))

    def visits(self, on: date) -> int:
        return self.fresh[on].days.rows if on in self.fresh else self.known[on].visits

    def forgotten(self, on: date) -> bool:
        return on in self.known and self.known[on].forgotten

    def taught(self, before: date) -> list[date]:
        """The newest dates before that one that teach, oldest first, as many as are fitted."""
        found: list[date] = []
        sum_ = 0
        for on in reversed([d for d in self.dates() if d < before and not self.forgotten(d)]):
            sum_ += self.visits(on)
            if found and sum_ > MOST_VISITS:
                break
            found.append(on)
        return found[::-1]

    def lessons(self, dates: Sequence[date]) -> list[history.Past]:
        """What these dates teach, as it is read back."""
        closed = [on for on in dates if on not in self._open]
        for on in closed:
            if on in self.fresh:
                self._open[on] = history.past_from(self.fresh[on].to_bytes())
        missing = [on for on in closed if on not in self.fresh]
        self._open |= {on: history.past_from(data) for on, data in history.pieces(self.s, missing, "columns").items()}
        return [self._open[on] for on in dates]

    def days(self, dates: Sequence[date]) -> Days:
        return joined([x.days for x in self.lessons(dates)])

    def state(self, before: date) -> Learned:
        """What could be known at the beginning of that date."""
        return fit(self.days(self.taught(before)), minutes(_midnight(before)))


def _look_again(book: _Book, rules: Rules, progress: Progress) -> dict[date, Looks]:
    """The looks of every date looked back at, made anew where needed by what was known before that week."""
    dates = book.dates()
    first = _week(dates[-1]) - LOOKED_WEEKS if dates else 0
    old = [on for on in dates if _week(on) > first and on not in book.looking]
    found = {on: looks_from(data) for on, data in history.pieces(book.s, old, "looks").items()}
    weeks = sorted({_week(on) for on in book.looking})
    for n, week in enumerate(weeks):
        progress(n, len(weeks))
        state = book.state(_monday(week))
        found |= _looked(book, [on for on in sorted(book.looking) if _week(on) == week], state, rules)
    progress(len(weeks), len(weeks))
    return found


def _looked(book: _Book, dates: Sequence[date], state: Learned, rules: Rules) -> dict[date, Looks]:
    """Looks at some technician-days of each date, all dates in one go; `row` counts in the date's own columns."""
    parts, chosen = [], []
    for lesson in book.lessons(dates):
        some = np.repeat(spread_over(lesson.days, LOOKED_A_DAY), np.diff(lesson.days.offset))
        parts.append(rows(lesson.days, some))
        chosen.append(np.flatnonzero(some))
    made = looked(joined(parts), state, rules.threshold_min)
    ends = np.cumsum([0, *(len(x) for x in chosen)])
    return {
        on: Looks(which, made.watched[a:b], made.arrive[a:b], made.taught[a:b])
        for on, which, a, b in zip(dates, chosen, ends[:-1], ends[1:], strict=True)
    }


def _choices(book: _Book, looks: dict[date, Looks], state: Learned, rules: Rules) -> list[Choice]:
    """What each budget buys, by the looks of dates that are not forgotten; [] with too little history."""
    if state.visits < ENOUGH:
        return []
    scores = _scores(book, {on: x for on, x in looks.items() if not book.forgotten(on)}, TAUGHT)
    if len(scores[1]) < ENOUGH_LOOKS:
        newest = book.taught(book.before)[-LOOKED_WEEKS:]
        scores = _scores(book, _looked(book, newest, state, rules), 0)
    budgets = sorted({*BUDGETS, rules.false_alarm_budget})
    return curve(*scores, late=rules.threshold_min, ahead=rules.warn_by_min, budgets=budgets)


def _scores(book: _Book, looks: dict[date, Looks], taught: int) -> tuple[Floats, Floats, Ints]:
    """Chances at every look, minutes after the window's end, and dates (ordinals) of visits that were looked at by a
    state that had learned enough."""
    chances, lateness = [np.empty((0, len(WATCHED)))], [np.empty(0)]
    dates = [np.empty(0, dtype=np.int64)]
    for on in sorted(looks):
        sure = looks[on].taught >= taught
        days = book.lessons([on])[0].days
        chances.append(looks[on].watched[sure])
        lateness.append((days.arrived - days.window_end)[looks[on].row[sure]])
        dates.append(np.full(int(sure.sum()), on.toordinal(), dtype=np.int64))
    return np.concatenate(chances), np.concatenate(lateness), np.concatenate(dates)


def _facts(book: _Book, taught: Collection[date], state: Learned, choices: list[Choice]) -> dict[str, Any]:
    """What people are shown: dates, kinds of work, changeover, spread, and what each budget buys."""
    days = book.days(sorted(taught))
    took = days.finished - days.arrived
    sane = (took > 1.0) & (days.planned_min > 0)
    spread = float(np.std(np.log(took[sane] / days.planned_min[sane]))) if sane.any() else 0.0
    return {
        "days": len(taught),
        "first": min(taught).isoformat() if taught else None,
        "last": max(taught).isoformat() if taught else None,
        "forgotten": sorted(on.isoformat() for on in book.dates() if book.forgotten(on)),
        "technicians": len(np.unique(days.technician)),
        "changeover": round(state.changeover, 1),
        "spread": round(spread, 3),
        "types": [asdict(x) for x in worked(days)],
        "curve": [asdict(x) for x in choices],
    }
