"""later(): who is to be told and is not yet - from when, or whose word it waits for; what a tap answers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from punctual.core.day import Days, Window, instant
from punctual.core.forecast import Forecast
from punctual.core.notice import Decision, Known
from punctual.core.policy import WITHOUT_TIME, Rules, may, outlasts
from punctual.core.truth import LATER, STOPPED

How = Literal["later", "office", "call", "not_now"]


@dataclass(frozen=True, slots=True)
class Later:
    """One visit whose customer is to be told and is not told by this look. `reason` as in core.sift; where only the next
    look is waited for, as in core.notice.

    `how`: "later", not before `at`, if it is still so then; "office", a person decides; "call", a person was asked to
    call them, now or before; "not_now", what waits would come too late, so it will not go.
    """

    visit: int
    reason: str
    how: How
    at: datetime | None = None


def later(
    days: Days, f: Forecast, rows: Sequence[int], known: Sequence[Known], decisions: Sequence[Decision], rules: Rules
) -> list[Later]:
    """Who of those that were decided about (`rows` and `known` as decide() takes them) is to be told and is not yet.

    Reason by reason, because "nobody needs to be told" must be true when it is said:

    - too_soon, night, muted: they wait for nothing but time and are announced with it; see _from.
    - storm, held: they wait for a person's word. Held is a person's choice whatever the forecast says, so it counts only
      where the promise or the customer's limit is at risk; so does no_news, on a day that is off: the office was asked.
    - no_channel, cap, a night that outlasts the warning, earlier_than_told: a person is asked to call, once. The look that
      asks tells so by itself; a later one finds the task here, and whoever reads this asks whether it is still open.
    - fine, inside_threshold, below_limit, over, already_told: nobody needs to be told. second_look: no tap waits for one.
    """
    asked = [d for d in decisions if _waits(d)]
    if not asked:
        return []
    calls = {d.visit for d in asked if d.verb == "task"}
    row = dict(zip(days.visit_id[list(rows)].tolist(), zip(rows, known, strict=True), strict=True))
    found = []
    for d in asked:
        r, k = row[d.visit]
        if d.verb == "task":
            found.append(Later(d.visit, d.reason, "call"))
        elif d.visit in calls:
            continue
        elif d.reason in LATER:
            at = _from(days, r, k, d, rules)
            found.append(Later(d.visit, d.reason, "later" if at else "not_now", at))
        elif d.reason == "storm" or (_at_risk(f, r, d, rules) and not _asked_before(d, k)):
            found.append(Later(d.visit, d.reason, "office"))
    return found


def _waits(d: Decision) -> bool:
    if d.verb == "silent":
        return d.reason in STOPPED or d.reason == "no_news" or (d.reason in LATER and d.reason != "second_look")
    return d.verb == "task" and d.kind == "call"


def _from(days: Days, row: int, k: Known, d: Decision, rules: Rules) -> datetime | None:
    """When it may go, asking policy again at each end of a wait: a gap may end at night. None: by then it would be history.

    Past the end of the told range or of the customer's own limit, past the forecast arrival, or long after "on my way",
    nothing is told any more.
    """
    at, kind = d.until, str(d.facts["wanted"])
    window = Window(instant(float(days.window_start[row])), instant(float(days.window_end[row])))
    deadline = None if np.isnan(days.deadline[row]) else instant(float(days.deadline[row]))
    told = [x for x in k.said if x.live and x.version == k.version and x.told is not None]
    last = max(told, key=lambda x: x.at, default=None)
    for _ in range(len(LATER)):  # a wait may end in another one, never twice in the same
        if at is None:
            return None
        verdict = may(kind, at=at, rules=rules, zones=k.zones, said=k.said, window_start=window.start, early=k.early)
        if verdict.ok:
            break
        if outlasts(verdict, kind, window, deadline, last):
            return None
        at = verdict.until
    if at is None or at >= datetime.fromisoformat(d.facts["to"]):
        return None
    if kind.startswith("deadline") and deadline is not None and at >= deadline:
        return None
    if kind == "on_my_way" and at > instant(float(days.on_my_way[row])) + timedelta(minutes=rules.useful_on_my_way_min):
        return None
    return at


def _at_risk(f: Forecast, row: int, d: Decision, rules: Rules) -> bool:
    missed = 1.0 - float(f.p_deadline[row]) < rules.deadline_chance  # NaN: there is no limit
    return bool(d.facts["chance"] >= d.facts["limit"] or missed)


def _asked_before(d: Decision, k: Known) -> bool:
    """Told without a time already, on a day nothing is heard from."""
    return d.reason == "no_news" and any(x.kind in WITHOUT_TIME and x.live and x.version == k.version for x in k.said)
