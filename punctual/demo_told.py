"""What the demo's generated months were told: delays and ranges as the forecasts of those days would have had it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from punctual.core.accuracy import LOOKS
from punctual.core.day import Window, instant, outward
from punctual.core.limit import limits
from punctual.core.looks import looks_from
from punctual.models import Attempt, Customer, LearnedDay, Message, Notice, Promise, Visit
from punctual.queries import day as queries
from punctual.queries import history

#: Share of customers whose provider took the mail only this many minutes later.
SLOW, SLOW_MIN = 0.04, 35.0


def tell(s: Session) -> int:
    """Write promises, notices, messages and attempts for every generated day that was learned; returns how many were told."""
    rules, zone = queries.company(s)
    people = {
        v.id: (v.customer_id, v.email)
        for v in s.execute(
            select(Visit.id, Visit.customer_id, Customer.email).join(Customer, Customer.id == Visit.customer_id)
        )
    }
    limit = limits(60.0 * np.asarray(LOOKS), 60.0 * np.asarray(LOOKS), rules)
    promises: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for day in s.scalars(select(LearnedDay).order_by(LearnedDay.date)):
        past, looks = history.past_from(day.columns), looks_from(day.looks)
        promises += _promises(past)
        rng = np.random.default_rng(day.date.toordinal())
        for row, chance, arrive in zip(looks.row.tolist(), looks.chance, looks.arrive, strict=True):
            over = np.flatnonzero(np.nan_to_num(chance) >= limit)
            if len(over):
                k = int(over[0])
                told.append(_one(past, row, k, float(chance[k]), float(limit[k]), arrive[k], zone, rng))
    s.execute(insert(Promise), promises)
    if told:
        _write(s, told, people, rules.threshold_min)
    return len(told)


def _promises(past: history.Past) -> Iterator[dict[str, Any]]:
    days = past.days
    for visit, opens, ends, came in zip(
        days.visit_id.tolist(), days.window_start, days.window_end, days.arrived, strict=True
    ):
        yield {
            "visit_id": visit, "kind": "window", "version": 1, "opens_at": instant(opens), "due_at": instant(ends),
            "state": "kept" if came <= ends else "broken", "made_by": "import",
            "made_at": instant(opens - 2880.0), "ended_at": instant(came), "ended_by": "report", "owner": "", "note": "",
        }  # fmt: skip


def _one(
    past: history.Past,
    row: int,
    look: int,
    chance: float,
    limit: float,
    arrive: Any,
    zone: str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One delay told at one look: when, which range, and when the provider had it."""
    days = past.days
    plan = float(days.planned_start[row])
    at = plan - LOOKS[look] - float(rng.uniform(0.0, 8.0))
    slow = SLOW_MIN if rng.uniform() < SLOW else 0.2
    range_ = outward(Window(instant(plan + arrive[0]), instant(plan + arrive[2])), instant(at), zone)
    return {
        "visit": int(days.visit_id[row]),
        "at": instant(at),
        "sent": instant(at + slow),
        "range": range_,
        "chance": round(100 * chance, 1),
        "limit": round(100 * limit, 1),
    }


def _write(s: Session, told: list[dict[str, Any]], people: dict[int, tuple[int, str | None]], threshold: float) -> None:
    """The rows that telling leaves behind."""
    s.execute(insert(Notice), [
        {
            "key": f"{t['visit']}:1:late_first:1", "visit_id": t["visit"], "decision": "tell", "kind": "late_first", "reason": "late", "cause": "watch:0",
            "facts": {"chance": t["chance"], "limit": t["limit"], "threshold": threshold}, "told_start": t["range"].start, "told_end": t["range"].end,
            "at": t["at"], "resolved_by": "",
        }
        for t in told
    ])  # fmt: skip
    ids = _ids(s, Notice)
    s.execute(insert(Message), [
        {
            "key": f"{ids[t['visit']]}:c:email", "notice_id": ids[t["visit"]], "visit_id": t["visit"], "customer_id": people[t["visit"]][0],
            "channel": "email", "kind": "late_first", "state": "sent", "state_reason": "", "state_at": t["sent"],
            "due_at": t["at"], "useful_until": t["at"] + timedelta(minutes=20), "lease_by": "", "tries": 1, "cause": "",
            "facts": {}, "created_at": t["at"],
        }
        for t in told
    ])  # fmt: skip
    sent = _ids(s, Message)
    s.execute(insert(Attempt), [
        {
            "message_id": sent[t["visit"]], "number": 1, "transport": "file", "recipient": people[t["visit"]][1] or "", "subject": "", "mail_id": "",
            "told_start": t["range"].start, "told_end": t["range"].end, "body": b"", "text": "", "state": "accepted",
            "provider_id": "", "error": "", "at": t["sent"], "ended_at": t["sent"],
        }
        for t in told
    ])  # fmt: skip


def _ids(s: Session, model: type[Notice] | type[Message]) -> dict[int, int]:
    """The row about each visit."""
    rows = s.execute(select(model.visit_id, model.id).where(model.kind == "late_first"))
    return {r.visit_id: r.id for r in rows}
