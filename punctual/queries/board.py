"""One date as the board shows it: every technician's line, its stops with promise, plan and forecast."""

from __future__ import annotations

from collections import defaultdict, namedtuple
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Date, Select, bindparam, func, literal, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from punctual.core import kept, policy
from punctual.core.day import OVER, Window
from punctual.core.forecast import VisitForecast
from punctual.core.policy import Rules
from punctual.models import (
    BoardVersion,
    Company,
    Customer,
    Forecast,
    Heartbeat,
    JobType,
    Place,
    Shift,
    Signin,
    Technician,
    User,
    UtcDateTime,
)
from punctual.models import Visit as VisitRow
from punctual.queries.standing import LOOKS, QUIET, Look, stands, worst

visit_, customer_, place_, job_ = VisitRow.__table__, Customer.__table__, Place.__table__, JobType.__table__
shift_, technician_, forecast_ = Shift.__table__, Technician.__table__, Forecast.__table__
signin_, user_ = Signin.__table__, User.__table__
version_, heartbeat_, company_ = BoardVersion.__table__, Heartbeat.__table__, Company.__table__


#: A visit that likely begins this soon after its window opens has waited for it: there a delay is used up.
WAITS = timedelta(minutes=5)


class Stamp(NamedTuple):
    """What the board's ETag is made of: the date's version, the worker's last sign of life, the company's zone."""

    version: int
    beat: datetime | None
    zone: str


@dataclass(frozen=True, slots=True)
class Stop:
    """One visit of a line. `bar` runs from likely arrival to likely finish, `spread` from earliest to latest."""

    id: int
    customer: str
    job: str
    address: str
    state: str
    look: Look
    word: str
    window: Window
    plan: Window
    bar: Window
    spread: Window | None = None
    told: Window | None = None
    likely: datetime | None = None
    p_window: float | None = None
    over_min: int = 0
    overlaps: str = ""

    @property
    def surname(self) -> str:
        return self.customer.split()[-1] if self.customer.split() else "?"

    @property
    def over(self) -> bool:
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Line:
    """One technician's day; `technician_id` 0 holds the visits that nobody has."""

    technician_id: int
    shift_id: int
    name: str
    look: Look
    stops: tuple[Stop, ...]
    shift: Window | None = None
    break_: Window | None = None
    off: str = ""
    phone: str = ""
    silent_since: datetime | None = None
    expected_by: datetime | None = None
    nudged_at: datetime | None = None

    @property
    def break_covered(self) -> bool:
        """Whether a bar lies over the break, so that its word would be cut off."""
        pause = self.break_
        return pause is not None and any(x.bar.start < pause.end and pause.start < x.bar.end for x in self.stops)


@dataclass(frozen=True, slots=True)
class Board:
    """A date: its lines in the wanted order, and the cancelled visits as (id, customer)."""

    date: date
    zone: str
    lines: tuple[Line, ...]
    cancelled: tuple[tuple[int, str], ...]
    visits: int
    rules: Rules


def stamp(s: Session, on: date) -> Stamp:
    """The three in one statement, without objects: every board asks for it every two seconds."""
    found, alive, zone = s.connection().execute(_STAMP, {"day": on}).one()
    return Stamp(int(found), alive, zone or "UTC")


_STAMP = select(
    func.coalesce(
        select(version_.c.version).where(version_.c.date == bindparam("day", type_=Date)).scalar_subquery(), literal(0)
    ),
    select(func.max(heartbeat_.c.at)).where(heartbeat_.c.name.like("worker%")).scalar_subquery(),
    select(company_.c.zone).limit(1).scalar_subquery(),
)


_STAMP_FOR = _STAMP.select_from(signin_.join(user_, user_.c.id == signin_.c.user_id)).where(
    signin_.c.token_hash == bindparam("token"),
    signin_.c.revoked_at.is_(None),
    signin_.c.expires_at > bindparam("at", type_=UtcDateTime),
    user_.c.active.is_(True),
)


def stamp_for(engine: Engine, on: date, session: str, at: datetime) -> Stamp | None:
    """The same for who holds that dispatcher's session (its hash), without a database session; None for nobody."""
    with engine.connect() as c:
        row = c.execute(_STAMP_FOR, {"day": on, "token": session, "at": at}).first()
    return None if row is None else Stamp(int(row[0]), row[1], row[2] or "UTC")


def zone(s: Session) -> str:
    """The company's zone; UTC before there is a company."""
    return s.connection().execute(select(company_.c.zone)).scalar() or "UTC"


_STOPS = (
    select(
        visit_.c.id,
        visit_.c.technician_id,
        visit_.c.state,
        visit_.c.planned_start,
        visit_.c.planned_min,
        visit_.c.window_start,
        visit_.c.window_end,
        visit_.c.deadline,
        visit_.c.on_my_way_at,
        visit_.c.late_at,
        visit_.c.arrived_at,
        visit_.c.finished_at,
        visit_.c.told_start,
        visit_.c.told_end,
        visit_.c.told_kind,
        customer_.c.name.label("customer"),
        job_.c.name.label("job"),
        place_.c.address,
    )
    .select_from(
        visit_.join(customer_, customer_.c.id == visit_.c.customer_id)
        .join(job_, job_.c.id == visit_.c.job_type_id)
        .outerjoin(place_, place_.c.id == visit_.c.place_id)
    )
    .order_by(visit_.c.planned_start, visit_.c.id)
)
_LINES = (
    select(
        technician_.c.id,
        technician_.c.name,
        technician_.c.phone,
        shift_.c.id.label("shift_id"),
        shift_.c.starts_at,
        shift_.c.ends_at,
        shift_.c.break_starts_at,
        shift_.c.break_ends_at,
        shift_.c.off,
        shift_.c.nudged_at,
        forecast_.c.at.label("forecast_at"),
        forecast_.c.packed,
    )
    .select_from(
        shift_.join(technician_, technician_.c.id == shift_.c.technician_id).outerjoin(
            forecast_, forecast_.c.shift_id == shift_.c.id
        )
    )
    .order_by(technician_.c.name, technician_.c.id)
)


def load(s: Session, on: date, at: datetime, *, sort: str = "need") -> Board:
    """Everything of a date; `sort` is need (worst first) or name."""
    c = s.connection()
    company = c.execute(select(company_.c.zone, company_.c.rules)).first()
    rules = policy.rules(company.rules or {} if company else {})
    stops: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    cancelled = []
    at = at.replace(second=0, microsecond=0)  # as the page: once a minute
    for raw in _raw(s, _STOPS.where(visit_.c.date == on)):
        if raw[_STATE] == "cancelled":
            cancelled.append((raw[0], raw[_CUSTOMER]))
        else:
            stops[raw[_TECHNICIAN] or 0].append(raw)
    lines = [_line(raw, tuple(stops.pop(raw[0], ())), rules, at) for raw in _raw(s, _LINES.where(shift_.c.date == on))]
    lines += _without_shift(s, stops, rules, at)
    key = _need if sort != "name" else lambda line: (line.technician_id != 0, line.name)
    return Board(
        date=on,
        zone=company.zone if company else "UTC",
        lines=tuple(sorted(lines, key=key)),
        cancelled=tuple(cancelled),
        visits=sum(len(line.stops) for line in lines),
        rules=rules,
    )


def _raw(s: Session, statement: Select[Any]) -> list[tuple[Any, ...]]:
    """The driver's own tuples: a line is made of them only when one has changed."""
    with s.connection().execute(statement) as result:
        return list(result.cursor.fetchall())


def _typed(make: Any, instants: frozenset[int], raw: tuple[Any, ...]) -> Any:
    """The same by name, instants as such."""
    return make._make(_instant(x) if i in instants and x is not None else x for i, x in enumerate(raw))


def _instant(x: Any) -> datetime:
    return datetime.fromisoformat(x).replace(tzinfo=UTC) if isinstance(x, str) else x.astimezone(UTC)


@lru_cache(maxsize=8192)
def _line(raw: tuple[Any, ...], stops: tuple[tuple[Any, ...], ...], rules: Rules, at: datetime) -> Line:
    """A line as it was made of the same rows in the same minute."""
    return line(_typed(_LINE, _LINE_AT, raw), [_typed(_STOP, _STOP_AT, x) for x in stops], rules, at)


def _named(name: str, statement: Select[Any]) -> tuple[Any, frozenset[int]]:
    """A row's type, and where its instants are."""
    columns = list(statement.selected_columns)
    instants = frozenset(i for i, c in enumerate(columns) if isinstance(c.type, UtcDateTime))
    return namedtuple(name, [str(c.key) for c in columns]), instants


(_STOP, _STOP_AT), (_LINE, _LINE_AT) = _named("_Stop", _STOPS), _named("_Line", _LINES)
_STATE, _CUSTOMER, _TECHNICIAN = (_STOP._fields.index(x) for x in ("state", "customer", "technician_id"))


def _need(line: Line) -> tuple[Any, ...]:
    first = min((s.window.end for s in line.stops if s.look == line.look), default=None)
    return line.technician_id != 0, LOOKS.index(line.look), first is None, first, line.name


def _without_shift(s: Session, stops: dict[int, list[tuple[Any, ...]]], rules: Rules, at: datetime) -> list[Line]:
    """Visits of nobody, or of a technician who has no shift that day: shown, never dropped."""
    names = dict(
        s.connection().execute(select(technician_.c.id, technician_.c.name).where(technician_.c.id.in_(stops))).all()
    )
    lines = []
    for technician_id, rows in stops.items():
        found = tuple(_stop(_typed(_STOP, _STOP_AT, raw), None, rules, at) for raw in rows)
        lines.append(
            Line(
                technician_id=technician_id,
                shift_id=0,
                name=names.get(technician_id, "Nobody yet"),
                look=worst([s.look for s in found] if technician_id else ["late"]),
                stops=_overlaps(found),
            )
        )
    return lines


def line(row: Any, rows: Iterable[Any], rules: Rules, at: datetime) -> Line:
    """A shift with its stops, as the forecast sees them."""
    forecasts = kept.visits(row.packed, row.forecast_at)
    rows = list(rows)
    due = kept.expected_report(row.packed)
    current = next((r.id for r in rows if r.state not in OVER), 0)
    silent = due is not None and due + QUIET < at and bool(current) and not row.off
    stops = tuple(
        _stop(r, forecasts.get(r.id), rules, at, silent=silent and r.id == current, off=bool(row.off)) for r in rows
    )
    look = worst([s.look for s in stops])
    return Line(
        technician_id=row.id,
        shift_id=row.shift_id,
        name=row.name,
        look="silent" if silent and look != "late" else look,
        stops=_overlaps(_pressing(stops)),
        shift=Window(row.starts_at, row.ends_at),
        break_=Window(row.break_starts_at, row.break_ends_at) if row.break_starts_at and row.break_ends_at else None,
        off=row.off,
        phone=row.phone or "",
        silent_since=_last_report(rows, row.starts_at) if silent else None,
        expected_by=due if silent else None,
        nudged_at=row.nudged_at if silent else None,
    )


def _last_report(rows: list[Any], start: datetime) -> datetime:
    heard = [t for r in rows for t in (r.on_my_way_at, r.late_at, r.arrived_at, r.finished_at) if t]
    return max(heard, default=start)


def _stop(
    row: Any, f: VisitForecast | None, rules: Rules, at: datetime, *, silent: bool = False, off: bool = False
) -> Stop:
    window = Window(row.window_start, row.window_end)
    planned = timedelta(minutes=row.planned_min)
    standing = stands(
        state=row.state,
        window=window,
        deadline=row.deadline,
        told_kind=row.told_kind,
        forecast=f,
        rules=rules,
        at=at,
        silent=silent,
    )
    over = row.state in OVER
    begins = row.arrived_at or (f.arrive[1] if f and not over else row.planned_start)
    ends = (row.finished_at if over else None) or (f.finish[1] if f and not over else begins + planned)
    if over and row.arrived_at is None:
        begins = min(row.planned_start, ends)
    late = int((at - begins - planned).total_seconds() // 60) if row.state == "arrived" else 0
    alone = off and not over and row.state != "arrived"
    return Stop(
        id=row.id,
        customer=row.customer,
        job=row.job,
        address=row.address or "",
        state=row.state,
        look="late" if alone else standing.look,
        word="Nobody comes yet" if alone else standing.word,
        window=window,
        plan=Window(row.planned_start, row.planned_start + planned),
        bar=Window(begins, max(begins, ends)),
        spread=_spread(row.state, f),
        told=Window(row.told_start, row.told_end) if row.told_start and row.told_end else None,
        likely=f.arrive[1] if f and not over else None,
        p_window=f.p_window if f and not over and row.state != "arrived" else None,
        over_min=max(late, 0),
    )


def _spread(state: str, f: VisitForecast | None) -> Window | None:
    if f is None or state in OVER:
        return None
    first = f.finish[0] if state == "arrived" else f.arrive[0]
    return Window(first, max(first, f.finish[2]))


def _pressing(stops: tuple[Stop, ...]) -> tuple[Stop, ...]:
    """A visit that runs over is at risk only when it makes a later one late: colour means that somebody waits."""
    harmed = False
    for s in (x for x in stops if x.state not in ("arrived", *OVER)):
        harmed = s.look in ("late", "risk")
        if harmed or s.bar.start < s.window.start + WAITS:
            break
    return tuple(
        replace(s, look="risk", word=f"There, {s.over_min} min over")
        if s.state == "arrived" and s.look == "ontime" and s.over_min and harmed
        else s
        for s in stops
    )


def _overlaps(stops: tuple[Stop, ...]) -> tuple[Stop, ...]:
    """Stops whose plans claim the same minutes name each other; imported and forced visits may."""
    named: dict[int, str] = {}
    ordered = sorted((s for s in stops if not s.over), key=lambda s: s.plan.start)
    for i, one in enumerate(ordered):
        for other in ordered[i + 1 :]:
            if other.plan.start >= one.plan.end:
                break
            named.setdefault(one.id, other.customer)
            named.setdefault(other.id, one.customer)
    return tuple(replace(s, overlaps=named[s.id]) if s.id in named else s for s in stops)
