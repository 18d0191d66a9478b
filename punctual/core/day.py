"""A technician's day as values: windows, places, visits, what was told - and many days as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from punctual.core.frozen import frozen

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_FIRST_DAY: Ints = np.zeros(1, dtype=np.int64)

State = Literal["planned", "on_my_way", "arrived", "done", "nobody_home", "cannot_finish", "cancelled"]
ReportKind = Literal["on_my_way", "arrived", "late", "done", "nobody_home", "cannot_finish", "undo"]
DeadlineKind = Literal["done", "arrive"]

#: A visit in one of these states is over; nothing is forecast or told about it any more.
OVER: frozenset[str] = frozenset({"done", "nobody_home", "cannot_finish", "cancelled"})


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time; both ends are instants in UTC and `end` is not before `start`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("A window needs instants with a zone.")
        if self.end < self.start:
            raise ValueError("A window cannot end before it starts.")


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the earth, degrees, NaN where only its name is known; `id` is the place's row, 0 when it has none."""

    lat: float
    lon: float
    id: int = 0


class Report(NamedTuple):
    """What a technician told us: `at` is the moment it was tapped, `minutes` belongs to `late`."""

    id: int
    visit_id: int
    kind: ReportKind
    at: datetime
    received: datetime
    minutes: int = 0
    undoes: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """The arrival range a customer was last told, and when; `n` delay notices so far."""

    range: Window
    at: datetime
    kind: str
    agreed: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """One stop of a day. Minutes are minutes, instants are UTC.

    `window` is the promise. `late_end` is the end the technician's own "running late" implies for the visit they
    are at (or the arrival, when they have not arrived); `late_at` is when they said so.
    """

    id: int
    job_type: int
    planned_start: datetime
    planned_min: float
    window: Window
    place: Place | None
    state: State = "planned"
    on_my_way_at: datetime | None = None
    arrived_at: datetime | None = None
    finished_at: datetime | None = None
    late_min: float = 0.0
    late_at: datetime | None = None
    deadline: datetime | None = None
    deadline_kind: DeadlineKind = "done"
    early_ok: bool = False
    promise_version: int = 1
    told: Told | None = None
    version: int = 0

    @property
    def over(self) -> bool:
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Day:
    """One technician's ordered visits on one date, within a shift. Cancelled visits are not in it."""

    id: int
    technician: int
    date: date
    shift: Window
    visits: tuple[Visit, ...]
    break_: Window | None = None
    home: Place | None = None


def minutes(at: datetime) -> float:
    """Minutes since 1970-01-01T00:00Z of an instant: the unit of every time column."""
    return at.timestamp() / 60.0


def instant(value: float) -> datetime:
    """The UTC instant of a time column's value; to the second, so that equal forecasts print equally."""
    return datetime.fromtimestamp(round(float(value) * 60.0), tz=UTC)


def _min(at: datetime | None) -> float:
    return np.nan if at is None else minutes(at)


@frozen(slots=False)
class Days:
    """Many days as columns: one row a visit, `offset[d]:offset[d + 1]` are the rows of day d, in visiting order.

    Times are minutes since 1970 (UTC), durations minutes, places degrees; NaN where there is none.
    """

    offset: Ints
    day_id: Ints
    technician: Ints
    shift_start: Floats
    shift_end: Floats
    break_start: Floats
    break_end: Floats
    home_lat: Floats
    home_lon: Floats
    visit_id: Ints
    job_type: Ints
    planned_start: Floats
    planned_min: Floats
    window_start: Floats
    window_end: Floats
    lat: Floats
    lon: Floats
    place_id: Ints
    on_my_way: Floats
    arrived: Floats
    finished: Floats
    late_min: Floats
    late_at: Floats
    deadline: Floats
    deadline_arrive: Bools
    early_ok: Bools
    #: minutes of travel into each row from the row (or home) before it; NaN where the core is to estimate it
    travel: Floats = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.day_id)

    @property
    def rows(self) -> int:
        return len(self.visit_id)

    @cached_property
    def counts(self) -> Ints:
        """How many visits each day has."""
        return np.asarray(self.offset[1:] - self.offset[:-1])

    @cached_property
    def day_of(self) -> Ints:
        """The day of each row."""
        return np.arange(len(self)).repeat(self.counts)

    def firsts(self, rows: Ints) -> tuple[Ints, Ints]:
        """The days that have one of these rows (ascending), and the first one each has."""
        if len(self) == 1:
            return _FIRST_DAY[: len(rows)], rows[:1]
        place = rows.searchsorted(self.offset)
        day = (place[1:] > place[:-1]).nonzero()[0]
        return day, rows[place[day]]


def pack(days: Sequence[Day], travel: Iterable[float] | None = None) -> Days:
    """Columns of some days; `travel` gives minutes into each visit, in order, NaN where unknown."""
    visits = [v for d in days for v in d.visits]
    counts = [0, *(len(d.visits) for d in days)]

    def floats(values: Iterable[float]) -> Floats:
        return np.fromiter(values, dtype=np.float64)

    def ints(values: Iterable[int]) -> Ints:
        return np.fromiter(values, dtype=np.int64)

    into = np.full(len(visits), np.nan) if travel is None else floats(travel)
    if len(into) != len(visits):
        raise ValueError(f"Travel has {len(into)} values for {len(visits)} visits; give one for each.")
    return Days(
        offset=np.cumsum(ints(counts)),
        day_id=ints(d.id for d in days),
        technician=ints(d.technician for d in days),
        shift_start=floats(minutes(d.shift.start) for d in days),
        shift_end=floats(minutes(d.shift.end) for d in days),
        break_start=floats(_min(d.break_.start if d.break_ else None) for d in days),
        break_end=floats(_min(d.break_.end if d.break_ else None) for d in days),
        home_lat=floats(d.home.lat if d.home else np.nan for d in days),
        home_lon=floats(d.home.lon if d.home else np.nan for d in days),
        visit_id=ints(v.id for v in visits),
        job_type=ints(v.job_type for v in visits),
        planned_start=floats(minutes(v.planned_start) for v in visits),
        planned_min=floats(v.planned_min for v in visits),
        window_start=floats(minutes(v.window.start) for v in visits),
        window_end=floats(minutes(v.window.end) for v in visits),
        lat=floats(v.place.lat if v.place else np.nan for v in visits),
        lon=floats(v.place.lon if v.place else np.nan for v in visits),
        place_id=ints(v.place.id if v.place else 0 for v in visits),
        on_my_way=floats(_min(v.on_my_way_at) for v in visits),
        arrived=floats(_min(v.arrived_at) for v in visits),
        finished=floats(_min(v.finished_at) for v in visits),
        late_min=floats(v.late_min for v in visits),
        late_at=floats(_min(v.late_at) for v in visits),
        deadline=floats(_min(v.deadline) for v in visits),
        deadline_arrive=np.fromiter((v.deadline_kind == "arrive" for v in visits), dtype=np.bool_),
        early_ok=np.fromiter((v.early_ok for v in visits), dtype=np.bool_),
        travel=into,
    )


class Standing(NamedTuple):
    """How a visit stands by its reports. `late_min` is by how much it is later than planned in the technician's words since
    the last step (on my way or arrived), because a step replaces what was announced before it; `late_at` is the newest."""

    state: State = "planned"
    on_my_way_at: datetime | None = None
    arrived_at: datetime | None = None
    finished_at: datetime | None = None
    late_min: float = 0.0
    late_at: datetime | None = None

    @property
    def over(self) -> bool:
        return self.state in OVER


def fold(
    reports: Iterable[Report], *, cancelled: bool = False, start: datetime | None = None, lasts: float = 0.0
) -> Standing:
    """How a visit stands by its append-only reports, taken in the order they were tapped; undone ones are gone.

    A cancelled visit stays cancelled. "+15" is said of what was expected until then - planned `start`, `lasts` minutes once
    they are there, and what was announced since -, and of the moment it was tapped where that had passed: fifteen minutes
    more are never over already. Without `start` they only add up.
    """
    ordered = sorted(reports, key=lambda r: (r.at, r.id))
    undone = {r.undoes for r in ordered if r.kind == "undo"}
    state: State = "planned"
    on_my_way = arrived = finished = late_at = None
    late = 0.0
    for r in ordered:
        if r.id in undone or r.kind == "undo":
            continue
        if r.kind == "late":
            if start is not None:
                late = max(late, passed(r.at, arrived, start, lasts))
            late, late_at = late + r.minutes, r.at
        elif r.kind == "on_my_way":
            state, on_my_way = "on_my_way", r.at
            late, late_at = 0.0, None
        elif r.kind == "arrived":
            state, arrived = "arrived", r.at
            late, late_at = 0.0, None
        else:
            state, finished = r.kind, r.at
    return Standing("cancelled" if cancelled else state, on_my_way, arrived, finished, late, late_at)


def passed(at: datetime, arrived: datetime | None, start: datetime, lasts: float) -> float:
    """Whole minutes by which the planned start, or the planned end once they are there, has passed; less than 0 before."""
    planned = start if arrived is None else arrived + timedelta(minutes=lasts)
    return float(round((at - planned).total_seconds() / 60.0))


@lru_cache(maxsize=640)
def _zone(name: str) -> ZoneInfo:
    """Read once: the library itself remembers eight zones, and one phone prefix may mean thirty."""
    return ZoneInfo(name)


def at_wall(day: date, hour: int, minute: int, zone: str) -> datetime:
    """The instant of a wall time: the only place where local time becomes UTC.

    A time that clocks skip (spring) is read as the moment after the gap, minute for minute; a time that happens twice (autumn) is
    the first of the two. `wall_exists` tells an importer whether it was skipped.
    """
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=_zone(zone), fold=0)
    return local.astimezone(UTC)


def wall_exists(day: date, hour: int, minute: int, zone: str) -> bool:
    """False for a wall time that clocks skip in that zone on that day."""
    wanted = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - compared as wall time
    return at_wall(day, hour, minute, zone).astimezone(_zone(zone)).replace(tzinfo=None) == wanted


def local(at: datetime, zone: str) -> datetime:
    """An instant as wall time of a zone."""
    return at.astimezone(_zone(zone))


def outward(range_: Window, at: datetime, zone: str) -> Window:
    """A range rounded outwards for people: to 5 minutes, to 15 when it opens more than two hours ahead (policy 1).

    Never a single minute: what is due this very moment is told as the step that begins now.
    """
    step = 15 if range_.start - at > timedelta(hours=2) else 5
    start, end = local(range_.start, zone), local(range_.end, zone)
    down = start - timedelta(minutes=start.minute % step, seconds=start.second, microseconds=start.microsecond)
    rest = timedelta(minutes=end.minute % step, seconds=end.second, microseconds=end.microsecond)
    up = end if not rest else end - rest + timedelta(minutes=step)
    return Window(down.astimezone(UTC), max(up, down + timedelta(minutes=step)).astimezone(UTC))
