"""What programs get from the API; the OpenAPI document is made from it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from punctual.core.day import DeadlineKind, State, Window, local
from punctual.core.slot import Slot
from punctual.explain import Explained
from punctual.models import Attempt, Visit
from punctual.queries.api import Foreseen, Sent
from punctual.queries.board import Board, Line, Stop
from punctual.web.board_words import why_told


class Out(BaseModel):
    """What a program gets."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Problem(Out):
    """RFC 9457: what went wrong, in a sentence."""

    model_config = ConfigDict(extra="allow", defer_build=True)
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


class LaterOut(Out):
    """A customer who is to be told and is not yet. `reason` says what it waits for. `how`: "later", not before `at` and if
    it is still so then; "office", when a person decides; "call", a person was asked to call them; "not_now", it would
    come too late to be sent."""

    visit_id: int
    name: str
    reason: str
    how: Literal["later", "office", "call", "not_now"]
    at: datetime | None


class EtaOut(Out):
    """When a visit that is ahead will be reached: on average, and eight times in ten between `start` and `end`."""

    visit_id: int
    expected: datetime
    start: datetime
    end: datetime


class ReportOut(Out):
    """A report that is kept, whom it concerns and what it makes of the day; `already` when the same key was here before.

    Nobody needs to be told where `told` and `later` are both empty.
    """

    report_id: int
    already: bool
    told: list[ToldOut]
    later: list[LaterOut]
    etas: list[EtaOut]


class DecisionOut(Out):
    """The newest decision about telling this customer: tell, silent, task or hold - with its reason and numbers."""

    decision: str
    kind: str
    reason: str
    facts: dict[str, Any]
    at: datetime


class ForecastOut(Out):
    """Instants of the 10, 50 and 90 % points; chances from 0 to 1. `why` holds the numbers behind them, in minutes;
    `because` says the same in sentences, times in the zone of the visit."""

    visit_id: int
    at: datetime
    arrive: list[datetime]
    finish: list[datetime]
    p_late: float
    p_window: float
    p_deadline: float | None
    stops_before: int
    why: dict[str, Any]
    because: list[str]
    decision: DecisionOut | None

    @staticmethod
    def of(found: Foreseen, explained: Explained) -> ForecastOut | None:
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
            why=explained.as_json(),
            because=list(explained.sentences),
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


class AttemptOut(Out):
    """One try to send a message: when, by which transport, how it ended (`error` says why not) and how far it got."""

    number: int
    transport: str
    state: str
    at: datetime
    ended_at: datetime | None
    progress: str
    error: str

    @staticmethod
    def of(a: Attempt) -> AttemptOut:
        return AttemptOut(**{name: getattr(a, name) for name in AttemptOut.model_fields})


class MessageOut(Out):
    """One message of a visit: what kind, on which channel, how it stands since `at` and why (`reason`), why it was put
    (`because`, as on the board), every attempt, what was sent last and, where it is known, when the customer's page was
    looked at after it."""

    id: int
    kind: str
    channel: str
    state: str
    reason: str
    at: datetime
    due_at: datetime
    useful_until: datetime
    put_at: datetime
    because: str
    attempts: list[AttemptOut]
    recipient: str | None
    subject: str | None
    sent_at: datetime | None
    text: str | None
    looked_at: datetime | None

    @staticmethod
    def of(sent: Sent, zone: str) -> MessageOut:
        m, n, a = sent.message, sent.notice, sent.attempts[-1] if sent.attempts else None
        return MessageOut(
            id=m.id,
            kind=m.kind,
            channel=m.channel,
            state=m.state,
            reason=m.state_reason,
            at=m.state_at,
            due_at=m.due_at,
            useful_until=m.useful_until,
            put_at=m.created_at,
            because=why_told(n.kind, n.reason, n.facts or {}, n.cause, zone),
            attempts=[AttemptOut.of(x) for x in sent.attempts],
            recipient=a.recipient if a else None,
            subject=a.subject if a else None,
            sent_at=a.at if a else None,
            text=a.text if a else None,
            looked_at=sent.looked_at,
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
