"""Look at days: queries -> forecast -> notices -> outbox; idempotent, inside the session it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from punctual import outbox, remember
from punctual.core import forecast as core
from punctual.core import kept
from punctual.core.day import Bools, Days, Floats, Ints, instant, minutes
from punctual.core.duration import Learned
from punctual.core.fleet import Fleet
from punctual.core.frozen import frozen
from punctual.core.later import Later, later
from punctual.core.notice import Decided, Known, Quiet, decide
from punctual.core.policy import AUTOMATIC, Rules, acted
from punctual.core.sift import ENDED, OPEN, REASONS, STEP, Sifted, sift
from punctual.models import Notice, touch_board
from punctual.queries import columns, taught, told
from punctual.queries import day as queries
from punctual.queries.columns import Seen
from punctual.queries.memory import Memory
from punctual.queries.others import others
from punctual.queries.same import unchanged, untouched

#: News older than this at the first look of a day: the watch was away, and what it missed is worked out.
UNSEEN_MIN = 5.0
#: A storm pauses what has longer than this until its window opens: a person has time to decide.
CRITICAL = timedelta(minutes=60)
#: So many days with no more than a reason for silence cost what one costs about which somebody may be told.
PLAIN_IN_ONE = 2
#: Reasons for silence whose numbers columns give; the others are written after a decision of their own.
PLAIN = np.array([name in ("fine", "inside_threshold", "below_limit", "over") for name in REASONS])
_HEARD = Quiet()


@frozen(slots=False)
class Thought:
    """What was made of some days, before anything is written.

    `rows` and `head`: the forecast as it is kept. `alone` [rows]: visits to be decided one by one; `plain` [rows]: those
    whose reason for silence is new. By day: `nudged`, when the technician was asked in this silence (minutes, NaN: was
    not); `waits`, for another report than at the last look, or until another time. The rest is worked out when asked for:
    a tap seldom does.
    """

    seen: Seen
    rules: Rules
    zone: str
    made: core.Forecast
    rows: kept.Rows
    head: kept.Rows
    nudged: Floats
    sifted: Sifted
    alone: Bools
    plain: Bools
    waits: Bools

    @cached_property
    def moved(self) -> Bools:
        """Days of which something shown has moved."""
        return _any(kept.moved(self.seen.kept, self.rows), self.seen.days)

    @cached_property
    def deciding(self) -> Bools:
        """Days with a visit that is alone or plain."""
        return _any(self.alone | self.plain, self.seen.days) | ~self.seen.kept.known

    @property
    def busy(self) -> Bools:
        """Days about which there is something to write."""
        waits = self.waits
        return waits if np.count_nonzero(waits) == len(waits) else waits | self.deciding | self.moved


def look(
    s: Session, shift_ids: Collection[int], *, at: datetime, cause: str = "", learned: Learned | None = None
) -> list[Notice]:
    """Forecast these days and decide; returns the notices told and tasks opened now.

    Writes forecast rows, the reasons for silence, and what is told or asked through outbox.put, all in the caller's
    transaction. Looking twice at the same instant changes nothing. `cause` names the act behind it ("report:7").
    """
    return _looked(s, shift_ids, at, cause, learned)[1]


def look_at(s: Session, shift_id: int, *, at: datetime, cause: str) -> tuple[list[Notice], list[Later], list[core.Eta]]:
    """Look at one day; also returns who is to be told later, and when the visits that are ahead will be reached, in
    order."""
    thought, put, wait = _looked(s, [shift_id], at, cause, None)
    ahead = (thought.seen.stands.state < OPEN).nonzero()[0]
    return put, wait, core.expected(thought.made, thought.seen.days, ahead)


def waiting(s: Session, shift_id: int, *, at: datetime, cause: str) -> list[Later]:
    """Who of a day is to be told later, as a look would find it; writes nothing and tells nobody.

    Whoever would be told by a look just now is told by the next one: "later", from now.
    """
    thought = think(s, [shift_id], at=at, cause=cause)
    seen, rules = thought.seen, thought.rules
    rows = (thought.sifted.reason == 0).nonzero()[0].tolist()
    known = told.known(s, seen, rows, thought.zone)
    decided = decide(seen.days, thought.made, known, _quiet(thought), rules, at=at, cause=cause, rows=rows)
    tells = [d for d in decided.decisions if d.verb == "tell" and d.kind != "tech_nudge"]
    if tells and (lately := told.lately(s, cause, at)) and (lately.open or lately.dropped):
        decided, tells = _held_back(thought, rows, known, at, cause), []
    found = later(seen.days, thought.made, rows, known, decided.decisions, rules)
    return found + [Later(d.visit, d.reason, "later", at) for d in tells]


def _looked(
    s: Session, shift_ids: Collection[int], at: datetime, cause: str, learned: Learned | None
) -> tuple[Thought, list[Notice], list[Later]]:
    s.flush()
    queries.lock(s, shift_ids)
    thought = _thought(s, columns.see(s, shift_ids, signed=False), at, cause, learned)
    return thought, *_settle(s, thought, np.arange(len(thought.seen.days)), at, cause)


def think(
    s: Session,
    shift_ids: Collection[int],
    *,
    at: datetime,
    cause: str = "",
    learned: Learned | None = None,
    memory: Memory | None = None,
) -> Thought:
    """Read and forecast these days, and sift out what has to be decided or written; writes nothing."""
    return _thought(s, columns.see(s, shift_ids, memory, at), at, cause, learned)


def _thought(s: Session, seen: Seen, at: datetime, cause: str, learned: Learned | None) -> Thought:
    learned = learned or taught.state(s, seen.learned)
    return worked_out(seen, *seen.company, learned, others(s, at, learned), at, cause)


def worked_out(
    seen: Seen, rules: Rules, zone: str, learned: Learned, fleet: Fleet | None, at: datetime, cause: str = ""
) -> Thought:
    """What follows from what was read: columns in, columns out."""
    days, kept_ = seen.days, seen.kept
    made = core.forecast(days, learned, minutes(at), threshold=rules.threshold_min, others=fleet)
    open_, newest = _news(seen)
    same, before = kept.waited(kept_, open_, newest)
    made.expected_report[:] = _expected(seen, made, before, open_, newest, learned)
    nudged = told.quiet(seen, made.expected_report, rules.silence_min)
    sifted = sift(days, made, seen.stands, rules, at, second_look=not acted(cause), nudged=nudged)
    rows, head = kept.rows_of(made, days, kept_), kept.heads_of(made, open_, newest)
    old = kept_.rows
    differs = np.abs(old["chance"] - sifted.chance) >= STEP
    differs |= old["reason"] != sifted.reason  # as where nothing was kept: that is no reason
    differs |= old["version"] != seen.version
    plain = differs & PLAIN[sifted.reason]
    alone = (sifted.reason == 0) | (differs ^ plain)
    waits = kept.waits(same, before, made.expected_report)
    return Thought(seen, rules, zone, made, rows, head, nudged, sifted, alone, plain, waits)


def parts(thought: Thought, size: int) -> Iterator[Ints]:
    """The days of a thought with something to write: at a time `size` about which somebody may be told or asked, of those
    where only a reason for silence is new so many more as they cost less, and with the first of them all that only show
    another forecast."""
    shown, deciding = np.flatnonzero(thought.busy & ~thought.deciding), np.flatnonzero(thought.deciding)
    cost = np.where(_any(thought.alone, thought.seen.days)[deciding], PLAIN_IN_ONE, 1)
    first, *others = np.split(deciding, np.flatnonzero(np.diff((np.cumsum(cost) - 1) // (size * PLAIN_IN_ONE))) + 1)
    first = np.concatenate([shown, first])
    if len(first):
        yield first
    yield from others


def act(s: Session, thought: Thought, which: Ints, *, at: datetime) -> list[Notice]:
    """Decide and write what was thought about some days.

    A forecast alone needs no second reading: it is written unless somebody has written another one since, as
    everybody does who looks at a day because of something new. Where no more than a reason for silence is new, the
    day's sign is read again; where somebody may be told or asked, everything.
    """
    shown, deciding = which[~thought.deciding[which]], which[thought.deciding[which]]
    told = _decided(s, thought, deciding, at) if len(deciding) else []
    remember.renewed(s, thought.seen, thought.head, thought.rows, shown, at)  # last: these days are nobody's turn
    _touch(s, thought, shown[thought.moved[shown]])
    return told


def _decided(s: Session, thought: Thought, deciding: Ints, at: datetime) -> list[Notice]:
    """Decide about these days in their turn; those that have changed meanwhile are looked at anew."""
    ids = thought.seen.days.day_id[deciding].tolist()
    queries.lock(s, ids)
    same = _as_before(s, thought, deciding)
    found, _ = _settle(s, thought, deciding[same], at, "")
    changed = [i for i, as_before in zip(ids, same.tolist(), strict=True) if not as_before]
    return found + (look(s, changed, at=at) if changed else [])


def _as_before(s: Session, thought: Thought, which: Ints) -> Bools:
    """Which of some days are still what they were thought about as."""
    seen, ids = thought.seen, thought.seen.days.day_id
    same, alone = np.zeros(len(which), dtype=np.bool_), _any(thought.alone, seen.days)[which]
    if not alone.all():
        plain = which[~alone]
        same[~alone] = untouched(seen, plain, columns.days_as_they_stand(s, ids[plain].tolist()))
    if alone.any():
        telling = which[alone]
        same[alone] = unchanged(seen, telling, columns.see(s, ids[telling].tolist(), signed=False))
    return same


def _settle(s: Session, thought: Thought, which: Ints, at: datetime, cause: str) -> tuple[list[Notice], list[Later]]:
    """Decide about the visits of some days that need it, and write what is new. Returns what is told or asked, and who
    is to be told later."""
    if not len(which):
        return [], []
    seen, rules = thought.seen, thought.rules
    alone, plain = _of(which, thought.alone, seen.days).tolist(), _of(which, thought.plain, seen.days)
    said, wait, silent, marks = _one_by_one(s, thought, alone, at, cause) if alone else ([], [], [], {})
    silent += remember.plain(seen, thought.made, thought.sifted, plain, rules, at)
    changed = remember.reasons(s, seen, thought.rows, silent)
    remember.forecasts(s, seen, thought.head, thought.rows, which[thought.busy[which]], marks, at)
    if not cause:
        changed |= {n.shift_id for n in said if n.shift_id is not None}
        new = np.array([i in changed for i in seen.days.day_id[which].tolist()], dtype=np.bool_)
        which = which[thought.moved[which] | new]
    _touch(s, thought, which)
    return said, wait


def _one_by_one(
    s: Session, thought: Thought, rows: Sequence[int], at: datetime, cause: str
) -> tuple[list[Notice], list[Later], list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """Decide about visits that need it, and put what is told or asked: that, who is to be told later, the reasons for
    silence, and the marks."""
    seen, rules = thought.seen, thought.rules
    known = told.known(s, seen, rows, thought.zone)
    decided = decide(seen.days, thought.made, known, _quiet(thought), rules, at=at, cause=cause, rows=rows)
    decided, storm = _paused(s, thought, rows, known, decided, at, cause)
    put, silent = remember.notices(s, decided.decisions, rules, at, cause)
    wait = later(seen.days, thought.made, rows, known, decided.decisions, rules) if cause else []
    return put + storm, wait, silent, remember.marks(seen, rows, decided.marks)


def _of(which: Ints, rows: Bools, days: Days) -> Ints:
    """These rows, as far as they are of some days."""
    found = rows.nonzero()[0]
    if len(found) and len(which) < len(days):
        among = np.zeros(len(days), dtype=np.bool_)
        among[which] = True
        found = found[among[days.day_of[found]]]
    return found


def _touch(s: Session, thought: Thought, which: Ints) -> None:
    """The boards of these days show something new."""
    touch_board(s, *{thought.seen.dates[d] for d in which.tolist()})


def _paused(
    s: Session,
    thought: Thought,
    alone: Sequence[int],
    known: Sequence[Known],
    decided: Decided,
    at: datetime,
    cause: str,
) -> tuple[Decided, list[Notice]]:
    """The storm guard: too much from one cause, or from all at once, waits for a person unless time is short."""
    rules = thought.rules
    count = sum(d.verb == "tell" and d.kind in AUTOMATIC for d in decided.decisions)
    if not count or not (rules.storm_cause or rules.storm_all):
        return decided, []
    lately = told.lately(s, cause, at)
    by_cause = bool(rules.storm_cause and cause) and lately.cause + count > rules.storm_cause
    now = lately.all + count
    by_all = 0 < rules.storm_all < now and now > rules.storm_share * told.visits_on(s, at, _enough(now, rules))
    if lately.released or not (lately.open or lately.dropped or by_cause or by_all):
        return decided, []
    asked = (
        []
        if lately.open or lately.dropped
        else [_ask_about_storm(s, lately.cause if by_cause else lately.all, count, at, cause)]
    )
    return _held_back(thought, alone, known, at, cause), [n for n in asked if n is not None]


def _held_back(thought: Thought, alone: Sequence[int], known: Sequence[Known], at: datetime, cause: str) -> Decided:
    """The decisions while a storm pauses what has time."""
    days = thought.seen.days
    far = days.window_start[alone] > minutes(at + CRITICAL)
    held = [replace(k, paused=bool(far[i])) for i, k in enumerate(known)]
    return decide(days, thought.made, held, _quiet(thought), thought.rules, at=at, cause=cause, rows=alone)


def _enough(now: int, rules: Rules) -> int:
    """So many visits in a day are enough for so many messages at once to be no storm."""
    return int(now / max(rules.storm_share, 1e-6)) + 1


def _ask_about_storm(s: Session, before: int, now: int, at: datetime, cause: str) -> Notice | None:
    return outbox.put(
        s,
        key=f"storm:{cause or 'all'}:{at:%Y%m%dT%H%M}",
        kind="storm",
        at=at,
        reason="storm",
        cause=cause,
        decision="task",
        facts={"messages": before + now, "waiting": now, "cause": cause},
        to="dispatcher",
    )


def _news(seen: Seen) -> tuple[Ints, Floats]:
    """Each day's first visit that is not over (0: none), and its newest news - the start of the shift before any."""
    days = seen.days
    heard = np.fmax(np.fmax(days.on_my_way, days.arrived), np.fmax(days.finished, days.late_at))
    full = days.counts.nonzero()[0]
    open_, newest = np.zeros(len(days), dtype=np.int64), days.shift_start.copy()
    if len(full):
        last = np.fmax.reduceat(heard, days.offset[full])
        newest[full] = np.where(np.isnan(last), newest[full], last)
    day, row = days.firsts((seen.stands.state < ENDED).nonzero()[0])
    open_[day] = days.visit_id[row]
    return open_, newest


def _expected(seen: Seen, made: core.Forecast, before: Floats, open_: Ints, newest: Floats, learned: Learned) -> Floats:
    """When the next report should have come, as it was expected at the newest one: waiting makes nothing due later.

    `before`: as it was expected at the last look. A dispatcher who answered for the technician restarts the wait.
    """
    expected = np.fmin(made.expected_report, before)
    unseen = made.at - newest > UNSEEN_MIN
    if np.count_nonzero(unseen):
        unseen &= np.isnan(before) & (open_ > 0)
        if np.count_nonzero(unseen):
            expected = np.fmin(expected, core.next_report(seen.days, learned, newest, unseen))
    return np.fmax(expected, seen.answered)  # NaN: nobody answered


def _quiet(thought: Thought) -> list[Quiet]:
    """How quiet each day is, as values: for visits that are decided one by one."""
    off, nudged = thought.seen.stands.off, thought.nudged
    quiet = [_HEARD] * len(off)
    for d in (off | np.isfinite(nudged)).nonzero()[0].tolist():
        asked = None if np.isnan(nudged[d]) else instant(float(nudged[d]))
        quiet[d] = Quiet(asked, bool(off[d]))
    return quiet


def _any(rows: Bools, days: Days) -> Bools:
    """Days with at least one such row."""
    found = np.zeros(len(days), dtype=np.bool_)
    found[days.day_of[rows]] = True
    return found
