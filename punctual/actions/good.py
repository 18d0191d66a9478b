"""The company's rules of making good, and the dispatcher's decisions where a rule leaves it to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from punctual.actions import Refused, lock, transaction
from punctual.actions.dispatcher import By
from punctual.core.promise import LATE, MISSED, OTHER
from punctual.core.words import fault
from punctual.follow import good as follow
from punctual.follow import visits
from punctual.models import Company, Good, GoodRule, Notice, Promise

MOST_CREDIT, APOLOGY_MAX = 1_000_000, 200


def add_rule(
    kind: str,
    late_min: int,
    warned: bool | None,
    *,
    discount_pct: int = 0,
    credit: int = 0,
    ask: bool = False,
    apology: str = "",
) -> int:
    """A new rule; returns its id. It gives a discount, a credit, both, only an apology - or asks the dispatcher."""
    if kind not in (LATE, MISSED, OTHER):
        raise Refused("Choose what the rule is about.", status=422, field="kind")
    if not 0 <= late_min <= 1440 or not 0 <= discount_pct <= 100 or not 0 <= credit <= MOST_CREDIT:
        raise Refused("Minutes go to 1440, a discount to 100 %, a credit to 10,000.", status=422, field="late_min")
    sentence = " ".join(apology.split())
    if len(sentence) > APOLOGY_MAX:
        raise Refused(f"The apology has at most {APOLOGY_MAX} characters.", status=422, field="apology")
    with transaction() as s:
        word = fault(sentence, s.get_one(Company, 1).language)
        if set(sentence) & set("{}%"):
            raise Refused("Write the apology without {, } and %.", status=422, field="apology")
        if word:
            raise Refused(f"The apology makes an excuse or raises its voice: “{word}”.", status=422, field="apology")
        rule = GoodRule(
            kind=kind,
            late_min=late_min,
            warned=warned,
            discount_pct=discount_pct,
            credit=credit,
            ask=ask,
            apology=sentence,
        )
        s.add(rule)
        s.flush()
        return rule.id


def drop_rule(rule_id: int) -> None:
    """A rule applies no more; what it gave stays in the ledger."""
    with transaction() as s:
        rule = s.get(GoodRule, rule_id)
        if rule is None:
            raise Refused("There is no such rule.", status=404)
        s.delete(rule)


def decide(good_id: int, *, discount_pct: int, credit: int, at: datetime, by: By) -> int:
    """Grant what a rule left open, or with nothing refuse it; returns the visit. Decided once."""
    if not 0 <= discount_pct <= 100 or not 0 <= credit <= MOST_CREDIT:
        raise Refused("A discount goes to 100 %, a credit to 10,000.", status=422, field="discount")
    with transaction() as s:
        good: Good | None = s.scalar(
            select(Good)
            .where(Good.id == good_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if good is None:
            raise Refused("There is no such entry.", status=404)
        if good.state != "asked":
            raise Refused("This is decided already.")
        good.discount_pct, good.credit = discount_pct, credit
        good.state = "granted" if discount_pct or credit else "refused"
        good.decided_at, good.decided_by = at, by.name
        open_ = select(Notice).where(
            Notice.promise_id == good.promise_id, Notice.kind == "good", Notice.resolved_at.is_(None)
        )
        for task in s.scalars(open_):
            task.resolved_at, task.resolved_by = at, by.name
        if good.state == "granted":
            follow.tell(s, good, s.get_one(Promise, good.promise_id), at)
        return good.visit_id


def did_not_come(visit_id: int, *, at: datetime, by: By) -> None:
    """A person confirms that nobody came: the customer hears it now, with an apology and a promised call."""
    with transaction() as s:
        visit = lock.visit(s, visit_id)
        if visit is None:
            raise Refused("There is no such visit.", status=404)
        promise = s.scalar(
            select(Promise).where(Promise.visit_id == visit_id, Promise.kind == "window", Promise.state == "open")
        )
        if visit.state != "planned" or promise is None or at <= visit.window_end:
            raise Refused("Only a promised time that has passed without anybody can be missed.")
        visits.missed(s, visit, promise, at=at, by=by.name)
