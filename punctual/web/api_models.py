"""The shapes that go in and out of the API; the OpenAPI document is made from them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from punctual.core.day import Window, local
from punctual.core.slot import Slot
from punctual.models import Attempt, Message, Visit
from punctual.queries.api import Foreseen
from punctual.queries.board import Board, Line, Stop

#: Text of one line without control characters; text of several lines.
LINE, TEXT = r"^[^\x00-\x1f\x7f]*$", r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

Instant = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST, description="An instant, with its offset from UTC.")]
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
Name = Annotated[
    str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")
]
Address = Annotated[str, Field(max_length=300, pattern=LINE)]
Short = Annotated[str, Field(max_length=80, pattern=LINE)]
Notes = Annotated[str, Field(max_length=2000, pattern=TEXT)]
Minutes = Annotated[float, Field(ge=1, le=1440)]
DeadlineKind = Literal["done", "arrive"]
State = Literal["planned", "on_my_way", "arrived", "done", "nobody_home", "cannot_finish", "cancelled"]


class In(BaseModel):
    """What a program sends: exactly these names, exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Out(BaseModel):
    """What a program gets."""

    model_config = ConfigDict(extra="forbid")


class Problem(Out):
    """RFC 9457: what went wrong, in a sentence."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str


class Span(Out):
    """From an instant to a later one."""

    start: datetime
    end: datetime

    @staticmethod
    def of(window: Window | None) -> Span | None:
        return Span(start=window.start, end=window.end) if window else None


class CustomerIn(In):
    """Somebody new: a name, and where to write to."""

    name: Name
    email: Annotated[str, Field(max_length=254, pattern=LINE)] = ""
    phone: Annotated[str, Field(max_length=40, pattern=LINE)] = ""
    language: Annotated[str, Field(max_length=5, pattern=r"^([a-zA-Z]{2}(-[a-zA-Z]{2})?)?$")] = ""


class VisitIn(In):
    """A visit to be added. Give `customer` or `customer_id`; `job` is a job type's name; degrees beat the address."""

    window_start: Instant
    window_end: Instant
    job: Annotated[str, Field(min_length=1, max_length=80, pattern=LINE)]
    customer: CustomerIn | None = None
    customer_id: Id | None = None
    technician_id: Id | None = None
    planned_start: Instant | None = None
    planned_min: Minutes | None = None
    address: Address = ""
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    notes: Notes = ""
    deadline: Instant | None = None
    deadline_kind: DeadlineKind = "done"
    ref: Annotated[str, Field(min_length=1, max_length=80, pattern=LINE)] | None = None
    tell: bool = True

    @model_validator(mode="after")
    def sense(self) -> VisitIn:
        if self.window_end <= self.window_start:
            raise ValueError("window_end must be after window_start.")
        if (self.customer is None) == (self.customer_id is None):
            raise ValueError("give customer or customer_id.")
        if (self.lat is None) != (self.lon is None):
            raise ValueError("give lat and lon, or neither.")
        if self.planned_start and not self.window_start <= self.planned_start <= self.window_end:
            raise ValueError("planned_start must lie within the window.")
        return self


class VisitEdit(In):
    """What is given is changed, the rest stays; `deadline` null takes the customer's limit away."""

    notes: Notes | None = None
    planned_min: Minutes | None = None
    deadline: Instant | None = None
    deadline_kind: DeadlineKind | None = None

    def changes(self) -> dict[str, Any]:
        """Only what was given; null means something for the deadline alone."""
        given = self.model_dump(include=self.model_fields_set)
        return {k: v for k, v in given.items() if v is not None or k == "deadline"}


class MoveIn(In):
    """Another time, maybe with another technician; `planned_start` is the window's start by default."""

    technician_id: Id
    window_start: Instant
    window_end: Instant
    planned_start: Instant | None = None
    tell: bool = True

    @model_validator(mode="after")
    def sense(self) -> MoveIn:
        if self.window_end <= self.window_start:
            raise ValueError("window_end must be after window_start.")
        return self


class GiveIn(In):
    """Another technician on the same day, under the same promise."""

    technician_id: Id


class CancelIn(In):
    """Whether the customer is told."""

    tell: bool = True


class ReportIn(In):
    """A technician's tap: `key` is made where it was tapped and counts once; `minutes` belongs to late."""

    kind: Literal["on_my_way", "arrived", "late", "done", "nobody_home", "cannot_finish", "undo"]
    key: Annotated[str, Field(min_length=8, max_length=80, pattern=r"^[!-~]+$")]
    tapped_at: Instant
    minutes: Annotated[int, Field(ge=0, le=600)] = 0
    note: Notes = ""
    of_key: Annotated[str, Field(min_length=8, max_length=80, pattern=r"^[!-~]+$")] | None = None


class ImportIn(In):
    """A schedule file as text; the format is described in docs/import.md."""

    csv: Annotated[str, Field(min_length=1, max_length=8 * 2**20)]
    name: Annotated[str, Field(max_length=200, pattern=LINE)] = "schedule.csv"
    zone: Annotated[str, Field(max_length=64, pattern=LINE)] | None = None
    dry: bool = False
    tell: bool = False
    actuals: bool = False


class ImportOut(Out):
    """What an import did; `moved` counts customers whose window changed, `told` those who were written to."""

    id: int
    sentence: str
    added: int
    changed: int
    unchanged: int
    technicians: int
    shifts: int
    jobs: int
    customers: int
    pending_places: int
    moved: int
    told: int
    notes: list[str]


class VisitOut(Out):
    """An appointment and how it stands."""

    id: int
    ref: str | None
    date: date
    zone: str
    state: State
    customer_id: int
    customer: str
    technician_id: int | None
    technician: str | None
    job: str
    address: str | None
    lat: float | None
    lon: float | None
    planned_start: datetime
    planned_min: float
    window_start: datetime
    window_end: datetime
    promise_version: int
    told: Span | None
    deadline: datetime | None
    deadline_kind: DeadlineKind
    notes: str
    on_my_way_at: datetime | None
    arrived_at: datetime | None
    finished_at: datetime | None

    @staticmethod
    def of(v: Visit) -> VisitOut:
        told = Span(start=v.told_start, end=v.told_end) if v.told_start and v.told_end else None
        same = {name: getattr(v, name) for name in VisitOut.model_fields if hasattr(v, name)}
        return VisitOut(
            **same
            | {
                "customer": v.customer.name,
                "technician": v.technician.name if v.technician else None,
                "job": v.job_type.name,
                "address": v.place.address if v.place else None,
                "lat": v.place.lat if v.place else None,
                "lon": v.place.lon if v.place else None,
                "told": told,
            }
        )


class VisitsOut(Out):
    """The visits of a date."""

    date: date
    visits: list[VisitOut]


class ToldOut(Out):
    """A customer who is told, or called, because of a report."""

    visit_id: int
    kind: str
    decision: str
    name: str


class ReportOut(Out):
    """A report that is kept; `already` when the same key was here before."""

    report_id: int
    already: bool
    told: list[ToldOut]


class DecisionOut(Out):
    """The newest decision about telling this customer: tell, silent, task or hold - with its reason and numbers."""

    decision: str
    kind: str
    reason: str
    facts: dict[str, Any]
    at: datetime


class ForecastOut(Out):
    """Instants of the 10, 50 and 90 % points; chances from 0 to 1; `why` holds the numbers behind them."""

    visit_id: int
    at: datetime
    arrive: list[datetime]
    finish: list[datetime]
    p_late: float
    p_window: float
    p_deadline: float | None
    stops_before: int
    why: dict[str, Any]
    decision: DecisionOut | None

    @staticmethod
    def of(found: Foreseen) -> ForecastOut | None:
        f, n = found.forecast, found.decision
        if f is None:
            return None
        same = {k: getattr(n, k) for k in DecisionOut.model_fields} if n else {}
        return ForecastOut(
            visit_id=f.visit_id,
            at=f.at,
            arrive=list(f.arrive),
            finish=list(f.finish),
            p_late=f.p_late,
            p_window=f.p_window,
            p_deadline=f.p_deadline,
            stops_before=f.stops_before,
            why=f.why,
            decision=DecisionOut(**same | {"facts": same["facts"] or {}}) if n else None,
        )


class TimeOut(Out):
    """A free time: its local date, when work would start, the arrival window, and who would come."""

    date: date
    start: datetime
    window_start: datetime
    window_end: datetime
    technician_id: int

    @staticmethod
    def of(slot: Slot, zone: str) -> TimeOut:
        return TimeOut(
            date=local(slot.start, zone).date(),
            start=slot.start,
            window_start=slot.window.start,
            window_end=slot.window.end,
            technician_id=slot.technician,
        )


class TimesOut(Out):
    """Free times of a visit, soonest first."""

    visit_id: int
    times: list[TimeOut]


class MessageOut(Out):
    """One message of a visit: what kind, on which channel, how it stands, and what was sent."""

    id: int
    kind: str
    channel: str
    state: str
    reason: str
    at: datetime
    due_at: datetime
    recipient: str | None
    subject: str | None
    sent_at: datetime | None

    @staticmethod
    def of(m: Message, a: Attempt | None) -> MessageOut:
        return MessageOut(
            id=m.id,
            kind=m.kind,
            channel=m.channel,
            state=m.state,
            reason=m.state_reason,
            at=m.state_at,
            due_at=m.due_at,
            recipient=a.recipient if a else None,
            subject=a.subject if a else None,
            sent_at=a.at if a else None,
        )


class MessagesOut(Out):
    """Every message of a visit, oldest first."""

    visit_id: int
    messages: list[MessageOut]


class StopOut(Out):
    """One visit of a line of the board; `look` is ontime, risk, late, done or silent, `word` says it."""

    id: int
    customer: str
    job: str
    address: str
    state: State
    look: str
    word: str
    window: Span | None
    plan: Span | None
    spread: Span | None
    told: Span | None
    likely: datetime | None
    p_window: float | None

    @staticmethod
    def of(x: Stop) -> StopOut:
        spans = {name: Span.of(getattr(x, name)) for name in ("window", "plan", "spread", "told")}
        same = {name: getattr(x, name) for name in StopOut.model_fields if name not in spans}
        return StopOut(**same | spans)


class LineOut(Out):
    """One technician's day; technician_id 0 holds the visits that nobody has."""

    technician_id: int
    name: str
    look: str
    off: str
    shift: Span | None
    silent_since: datetime | None
    visits: list[StopOut]

    @staticmethod
    def of(x: Line) -> LineOut:
        same = {name: getattr(x, name) for name in ("technician_id", "name", "look", "off", "silent_since")}
        return LineOut(**same, shift=Span.of(x.shift), visits=[StopOut.of(s) for s in x.stops])


class DayOut(Out):
    """The board of a date; `version` rises with every change."""

    date: date
    zone: str
    version: int
    lines: list[LineOut]
    cancelled: list[int]

    @staticmethod
    def of(board: Board, version: int) -> DayOut:
        return DayOut(
            date=board.date,
            zone=board.zone,
            version=version,
            lines=[LineOut.of(x) for x in board.lines],
            cancelled=[visit for visit, _ in board.cancelled],
        )
