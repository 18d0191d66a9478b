"""The part of the API about promises and concerns: list, make, keep, move; answer; group visits into a job."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from flask import g, request
from pydantic import Field
from werkzeug.exceptions import NotFound

from punctual.actions import Refused
from punctual.actions import concern as concerns
from punctual.actions import promise as verbs
from punctual.actions.dispatcher import By
from punctual.core.day import at_wall
from punctual.core.promise import OFFICE
from punctual.models import Concern, Promise, db
from punctual.queries import board
from punctual.queries import good as goods
from punctual.queries import promises as queries
from punctual.web.api_in import LINE, TEXT, Id, In, Instant
from punctual.web.api_out import Out
from punctual.web.api_spec import Api

Kind = Literal["call", "part", "confirm", "restore", "quote"]


class PromiseIn(In):
    """Something promised by a time; `owner_id` names who is responsible, the dispatcher on duty otherwise."""

    kind: Kind
    due: Instant
    owner_id: Id | None = None
    note: Annotated[str, Field(max_length=200, pattern=LINE)] = ""
    tell: bool = True


class DueIn(In):
    """Another time for a promise; the customer is told at once."""

    due: Instant
    owner_id: Id | None = None


class JobIn(In):
    """Visits of one customer that belong together, and the date by which all is finished."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=LINE)]
    visits: Annotated[list[Id], Field(min_length=1, max_length=50)]
    finished_by: Annotated[date, Field(strict=False)]


class PromiseOut(Out):
    """A promise: what, by when, who owns it, how it stands; `replaces_id` is the one before it."""

    id: int
    visit_id: int
    kind: str
    version: int
    opens_at: datetime | None
    due_at: datetime
    owner: str
    owner_id: int | None
    job_id: int | None
    replaces_id: int | None
    state: str
    made_by: str
    made_at: datetime
    ended_at: datetime | None
    ended_by: str
    reminded_at: datetime | None
    escalated_at: datetime | None

    @staticmethod
    def of(p: Promise) -> PromiseOut:
        return PromiseOut(**{name: getattr(p, name) for name in PromiseOut.model_fields})


class PromisesOut(Out):
    """Promises other than arrivals: the open ones by due time, ended ones newest first."""

    promises: list[PromiseOut]


class ConcernOut(Out):
    """What a customer says is wrong, who owes them an answer by when, and what was answered."""

    id: int
    visit_id: int
    about: str
    text: str
    at: datetime
    owner: str
    due_at: datetime
    answer: str
    answered_at: datetime | None
    answered_by: str
    replaces_id: int | None

    @staticmethod
    def of(c: Concern) -> ConcernOut:
        same = {name: getattr(c, name) for name in ConcernOut.model_fields if hasattr(c, name)}
        return ConcernOut(**same | {"text": c.said.text, "owner": c.promise.owner, "due_at": c.promise.due_at})


class ConcernsOut(Out):
    """Concerns: those that wait by due time, then the answered ones, newest first."""

    concerns: list[ConcernOut]


class AnswerIn(In):
    """The answer to the customer; it closes the concern."""

    answer: Annotated[str, Field(min_length=1, max_length=1000, pattern=TEXT)]


class GoodOut(Out):
    """What was given for a broken promise; `credit` is in the currency's smallest unit."""

    id: int
    promise_id: int
    visit_id: int
    kind: str
    late_min: int
    warned: bool
    discount_pct: int
    credit: int
    currency: str
    state: str
    at: datetime
    decided_at: datetime | None
    decided_by: str


class GoodsOut(Out):
    """The ledger, oldest first; ask again with `after` the last id."""

    entries: list[GoodOut]


class JobOut(Out):
    """A job that was made."""

    id: int


def register(api: Api) -> None:
    """Add these operations to the API."""
    api.operation("get", "/promises", answer=PromisesOut, query=("state",))(list_promises)
    api.operation(
        "post", "/visits/{visit_id}/promises", answer=PromiseOut, body=PromiseIn, status=201, problems=(409,)
    )(make_promise)
    api.operation("post", "/promises/{promise_id}/keep", answer=PromiseOut, problems=(409,))(keep_promise)
    api.operation("post", "/promises/{promise_id}/move", answer=PromiseOut, body=DueIn, problems=(409,))(move_promise)
    api.operation("get", "/concerns", answer=ConcernsOut)(list_concerns)
    api.operation("post", "/concerns/{concern_id}/answer", answer=ConcernOut, body=AnswerIn, problems=(409,))(
        answer_concern
    )
    api.operation("get", "/making-good", answer=GoodsOut, query=("after",))(list_goods)
    api.operation("post", "/jobs", answer=JobOut, body=JobIn, status=201, problems=(404, 409))(make_job)


def _by() -> By:
    return By(g.token.id, g.token.name, "token")


def _shown(promise_id: int) -> PromiseOut:
    db.session.rollback()
    found = db.session.get(Promise, promise_id)
    if found is None:
        raise NotFound("There is no such promise.")
    return PromiseOut.of(found)


def list_promises() -> PromisesOut:
    """Promises of a state (open, if it is not named), arrivals apart."""
    state = request.args.get("state", "open")
    if state not in ("open", "kept", "moved", "broken", "cancelled"):
        raise Refused("The states are open, kept, moved, broken and cancelled.", status=422, field="state")
    found = queries.listed(db.session(), state=state, at=g.at)
    return PromisesOut(promises=[PromiseOut.of(x.promise) for x in found])


def make_promise(visit_id: int, body: PromiseIn) -> PromiseOut:
    """Promise a customer something by a time; they are told unless `tell` is false."""
    made = verbs.make(
        visit_id,
        body.kind,
        body.due,
        owner_id=body.owner_id or 0,
        note=body.note,
        tell=body.tell,
        at=g.at,
        by=_by(),
    )
    return _shown(made)


def keep_promise(promise_id: int) -> PromiseOut:
    """It is kept; the customer is told."""
    verbs.keep(promise_id, at=g.at, by=_by())
    return _shown(promise_id)


def move_promise(promise_id: int, body: DueIn) -> PromiseOut:
    """Move it with notice; the answer is the promise that takes its place."""
    return _shown(verbs.move(promise_id, body.due, owner_id=body.owner_id or 0, at=g.at, by=_by()))


def make_job(body: JobIn) -> JobOut:
    """Group visits into a job with one overall promise."""
    due = at_wall(body.finished_by, OFFICE[1], 0, board.zone(db.session()))
    return JobOut(id=verbs.group(body.name, body.visits, due, at=g.at, by=_by()))


def list_concerns() -> ConcernsOut:
    """What customers say is wrong."""
    return ConcernsOut(concerns=[ConcernOut.of(x.concern) for x in queries.concerns(db.session())])


def answer_concern(concern_id: int, body: AnswerIn) -> ConcernOut:
    """Answer the customer, which closes it."""
    concerns.answer(concern_id, body.answer, at=g.at, by=_by())
    db.session.rollback()
    return ConcernOut.of(db.session.get_one(Concern, concern_id))


def list_goods() -> GoodsOut:
    """What was made good, for billing."""
    after = request.args.get("after", "0")
    if not (after.isascii() and after.isdecimal() and len(after) < 10):
        raise Refused("Give the id of the last entry you have.", status=422, field="after")
    found = goods.ledger(db.session(), int(after))
    same = GoodOut.model_fields
    return GoodsOut(entries=[GoodOut(**{name: getattr(e.good, name) for name in same}) for e in found])
