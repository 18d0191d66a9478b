"""A visit's story for the drawer: how it stands, why, what was told and why, what came back, what can be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from punctual.actions import effect as effects
from punctual.actions.earlier import possible
from punctual.core.day import OVER, Window, local, outward
from punctual.core.policy import Rules, worth_telling
from punctual.core.slot import in_order
from punctual.explain import explain
from punctual.models import Visit
from punctual.queries import board, choices, slots
from punctual.queries import day as days
from punctual.queries.log import Dossier, Entry
from punctual.queries.standing import DELAY, Standing, stands
from punctual.queries.tasks import LOST
from punctual.web import board_words as words
from punctual.web.board_owed import owed

#: How a task ended of itself.
ENDED = {
    "": "not needed any more",
    "clock": "its time passed",
    "report": "a report came",
    "undo": "taken back by the technician",
    "message": "the message left after all",
    "arrived": "the technician came",
    "done": "the visit is done",
    "cancelled": "the visit was cancelled",
    "moved": "the visit was moved",
    "truth": "it differs no longer",
}
#: So many technicians are offered at once; the rest behind "others".
OFFERED = 3


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the log: when, what happened, how it went, why - and the text as it was sent."""

    id: str
    at: str
    what: str
    how: str
    why: str = ""
    looked: str = ""
    subject: str = ""
    text: str = ""
    to: str = ""
    look: str = ""


def zone(s: Session) -> str:
    """The board's zone: the company's."""
    return board.zone(s)


def story(s: Session, d: Dossier, at: datetime, *, others: bool = False, times: bool = False) -> dict[str, Any]:
    """Everything the drawer's template needs."""
    here = zone(s)
    today = local(at, here).date()
    known = account(s, d, at)
    standing: Standing = known["standing"]
    open_ = d.visit.state not in (*OVER, "arrived")
    pressing = open_ and (standing.look in ("late", "risk") or d.visit.technician_id is None or _off(d))
    offers = effects.candidates(s, d.visit.id, at) if open_ and (others or pressing) else []
    saves = effects.rescue(s, d.visit.id, at) if pressing else None
    best = saves or next((e for e in offers if e.harmless), None)
    offers = [e for e in offers if best is None or e.technician_id != best.technician_id]
    return {
        "d": d,
        "visit": d.visit,
        "elsewhere": d.visit.zone if d.visit.zone != here else "",
        "is_open": open_,
        "best": best,
        "offers": offers if others else offers[:OFFERED],
        "more": max(0, len(offers) - OFFERED) if not others else 0,
        "pressing": pressing,
        "slots": _slots(s, d.visit, at, today, here) if times and open_ else None,
        "technicians": choices.technicians(s, d.visit.date),
        "window": words.span(Window(d.visit.window_start, d.visit.window_end), here),
        "clock": lambda t: words.clock(t, here),
        "span": lambda w: words.span(w, here),
        "limit": words.clock(d.visit.deadline, d.visit.zone) if d.visit.deadline else "",
        "told_now": told_now(d, at, days.rules(s)) if open_ else None,
        "sooner": possible(s, d.visit, at) if open_ and d.visit.date == today else None,
        **known,
    } | owed(s, d.visit, at, here)


def account(s: Session, d: Dossier, at: datetime) -> dict[str, Any]:
    """How a visit stands, why it is expected when it is, why nobody is told just now, and everything that was said."""
    here = zone(s)
    today = local(at, here).date()
    return {
        "zone": here,
        "standing": _reached(d, standing_of(d, days.rules(s), at)),
        "date": words.long_date(d.visit.date),
        "times": list(_times(d, here)),
        "why": explain(s, d.visit, d.forecast.at if d.forecast else None, here),
        "silence": _silence(d, at, here),
        "log": [_said(e, here, today) for e in d.log],
    }


def _slots(s: Session, visit: Visit, at: datetime, today: date, zone: str) -> list[tuple[str, str]]:
    """Free times that keep every other promise, as (the query of their effect, words)."""
    found = []
    for slot in in_order(slots.offers(s, visit.id, at=at)):
        query = urlencode(
            {
                "technician": slot.technician,
                "start": slot.start.isoformat(),
                "opens": slot.window.start.isoformat(),
                "closes": slot.window.end.isoformat(),
            }
        )
        day = "" if local(slot.start, zone).date() == today else f"{local(slot.start, zone):%a} "
        name = choices.name(s, slot.technician)
        found.append((query, f"{day}{words.span(slot.window, zone)}, {name}"))
    return found


def standing_of(d: Dossier, rules: Rules, at: datetime) -> Standing:
    """How the visit stands, as the board's bar shows it."""
    if _off(d) and d.visit.state not in (*OVER, "arrived"):
        return Standing("late", "Nobody comes yet")
    return stands(
        state=d.visit.state,
        window=Window(d.visit.window_start, d.visit.window_end),
        deadline=d.visit.deadline,
        told_kind=d.visit.told_kind,
        forecast=d.forecast,
        rules=rules,
        at=at,
    )


def _reached(d: Dossier, now: Standing) -> Standing:
    """The same, unless what they were last told did not arrive and nobody has seen to it: then they know nothing."""
    lost = _lost(d)
    return replace(now, word=words.unreached(now.word), told=False) if lost and now.told else now


def _lost(d: Dossier) -> bool:
    """Whether the newest word on a delay was sent and reached nobody, by any channel."""
    of_delay = [(e.message, e.notice) for e in d.log if e.message and e.notice and e.message.kind in DELAY]
    told = [(message, notice) for message, notice in of_delay if message.state != "dropped"]
    newest = [(message, notice) for message, notice in told if notice.id == told[0][1].id]
    return bool(newest) and all(message.state in LOST and not notice.resolved_at for message, notice in newest)


def _off(d: Dossier) -> bool:
    return d.visit.technician_id is None or d.shift is None or bool(d.shift.off)


def _times(d: Dossier, zone: str) -> Iterable[tuple[str, str]]:
    v = d.visit
    yield "Promised", words.span(Window(v.window_start, v.window_end), zone)
    if v.told_start and v.told_end:
        yield "Told", words.span(Window(v.told_start, v.told_end), zone)
    if v.arrived_at:
        yield "Arrived", words.clock(v.arrived_at, zone)
    elif d.forecast and v.state not in OVER and not _off(d):
        yield "Expected now", words.clock(d.forecast.arrive[1], zone)
    if v.finished_at:
        yield "Finished", words.clock(v.finished_at, zone)
    elif v.arrived_at and d.forecast:
        yield "Done about", words.clock(d.forecast.finish[1], zone)
    if v.deadline:
        yield ("Must leave" if v.deadline_kind == "done" else "Arrive by"), words.clock(v.deadline, zone)


def _silence(d: Dossier, at: datetime, zone: str) -> str:
    """Why nobody is told just now; "" where nothing has been decided or the visit is over."""
    if d.hold is not None:
        why = (d.hold.facts or {}).get("why", "")
        return f"{d.hold.facts.get('by', 'A dispatcher')} held it back at {words.clock(d.hold.at, zone)}: {why}"
    if d.silent is None or d.visit.state in OVER:
        return ""
    if d.silent.reason == "night":
        return _night(d.silent.facts, at, zone)
    said = words.why_silent(d.silent.reason, d.silent.facts or {}, zone)
    return f"{said} That did not arrive: call." if d.silent.reason == "already_told" and _lost(d) else said


def _night(facts: Mapping[str, Any], at: datetime, zone: str) -> str:
    """Now by the customer's clock: the decision stands all night. Where our clock is another, ours is named too."""
    decided, until = (datetime.fromisoformat(facts[name]) for name in ("local", "until"))
    there, ours = at.astimezone(decided.tzinfo), local(at, zone)
    here = "" if there.utcoffset() == ours.utcoffset() else " here"
    again = words.when(until, zone, ours.date())
    return (
        f"It is {there:%H:%M} where the customer is. Messages start again at {again}{here}. It is decided again then."
    )


def _said(e: Entry, zone: str, today: Any) -> Said:
    at = words.when(e.at, zone, today)
    if e.what == "message" and e.message is not None:
        return _message(e, at, zone, today)
    if e.what == "task" and e.notice is not None:
        n = e.notice
        ended = (
            f"{ENDED.get(n.resolved_by, f'seen to by {n.resolved_by}')}, {words.when(n.resolved_at, zone, today)}"
            if n.resolved_at
            else "open"
        )
        return Said(
            f"n{n.id}",
            at,
            f"Task: {words.KINDS.get(n.kind, n.kind).lower()}",
            ended,
            words.why_asked(n.kind, n.reason, n.facts or {}, n.cause, zone),
        )
    if e.what == "hold" and e.notice is not None:
        n = e.notice
        ended = f"released {words.when(n.resolved_at, zone, today)}" if n.resolved_at else "in force"
        return Said(
            f"n{n.id}",
            at,
            f"Held back by {(n.facts or {}).get('by', 'a dispatcher')}: {(n.facts or {}).get('why', '')}",
            ended,
        )
    if e.what == "answer" and e.answer is not None:
        text = f": “{e.answer.text}”" if e.answer.text else ""
        return Said(
            f"a{e.answer.id}", at, words.answered(e.answer.kind, e.answer.data) + text, f"customer, {e.answer.by}"
        )
    if e.what == "received" and e.received is not None:
        r = e.received
        what = f"Wrote by {words.CHANNELS.get(r.channel, r.channel)}: “{r.text[:300]}”"
        return Said(f"t{r.id}", at, what, r.outcome or ("seen to" if r.settled_at else "waiting"))
    if e.what == "report" and e.report is not None:
        more = f" +{e.report.minutes}" if e.report.kind == "late" and e.report.minutes else ""
        note = f": “{e.report.note}”" if e.report.note else ""
        return Said(
            f"r{e.report.id}",
            words.when(e.report.at, zone, today),
            words.REPORTS.get(e.report.kind, e.report.kind) + more + note,
            "technician",
        )
    return _promise(e, at, zone, today)


def _message(e: Entry, at: str, zone: str, today: Any) -> Said:
    m, n = e.message, e.notice
    assert m is not None
    until = words.when(m.due_at, zone, today)
    last = e.attempts[-1] if e.attempts else None
    range_ = _range(e)
    told = f": {words.span(range_, zone)}" if range_ else ""
    return Said(
        id=f"m{m.id}",
        at=at,
        what=words.KINDS.get(m.kind, m.kind) + told,
        how=f"{words.CHANNELS.get(m.channel, m.channel)}, {words.state_words(m.state, m.state_reason, until)}",
        why=words.why_told(n.kind, n.reason, n.facts or {}, n.cause, zone) if n is not None else "",
        looked=_looked(e, zone),
        subject=last.subject if last else "",
        text=last.text if last else "",
        to=last.recipient if last else "",
        look="late" if m.state in ("failed", "undelivered", "uncertain") else "",
    )


def _range(e: Entry) -> Window | None:
    """The range a message told: as a provider accepted it, else as it was decided, which may be older by then."""
    accepted = next((a for a in reversed(e.attempts) if a.state == "accepted"), None)
    said = accepted or e.notice
    return Window(said.told_start, said.told_end) if said and said.told_start and said.told_end else None


def _looked(e: Entry, zone: str) -> str:
    """Whether the customer looked at their page since, as far as it is known."""
    if e.message is None or e.message.customer_id is None or e.message.state not in ("sent", "delivered"):
        return ""
    return (
        f"Page looked at {words.clock(e.looked_at, zone)}."
        if e.looked_at
        else "Page not looked at since, as far as is known."
    )


def _promise(e: Entry, at: str, zone: str, today: Any) -> Said:
    p = e.promise
    assert p is not None
    state = {
        "open": "open",
        "kept": "kept",
        "moved": "moved with notice",
        "broken": "broken",
        "cancelled": "cancelled",
    }.get(p.state, p.state)
    if p.kind != "window":
        what = f"Promised {words.owed(p.kind)} by {words.when(p.due_at, zone, today)}"
        return Said(f"p{p.id}", at, f"{what}, {p.owner}" if p.owner else what, state, p.note)
    opens = p.opens_at or p.due_at
    version = f", version {p.version}" if p.version > 1 else ""
    return Said(
        f"p{p.id}",
        at,
        f"Promised {words.span(Window(opens, p.due_at), zone)}{version}",
        f"{state}, by {words.who(p.made_by)}",
    )


def preview(
    s: Session,
    d: Dossier,
    change: effects.Effect | None,
    technician_id: int,
    start: datetime,
    window: Window | None,
    at: datetime,
) -> dict[str, Any]:
    """What the page that shows an effect needs, its form included."""
    here = zone(s)
    return {
        "visit": d.visit,
        "change": change,
        "technician_id": technician_id,
        "technician": choices.name(s, technician_id),
        "quiet": technician_id in slots.unheard(s, local(start, here).date(), at),
        "start": start,
        "new_window": window,
        "day": words.long_date(local(start, here).date()),
        "clock": lambda t: words.clock(t, here),
        "span": lambda w: words.span(w, here),
        "told": told_range(d.visit),
    }


def told_now(d: Dossier, at: datetime, rules: Rules) -> Window | None:
    """The range the customer would be told at this moment; None without a forecast, or while there is no lateness."""
    if d.forecast is None or _off(d) or not worth_telling(d.forecast.p_late, d.forecast.p_window, rules):
        return None
    first, last = d.forecast.arrive[0], d.forecast.arrive[2]
    return outward(Window(first, max(first, last)), at, d.visit.zone)


def told_range(visit: Visit) -> Window | None:
    """The range the customer was last told."""
    return Window(visit.told_start, visit.told_end) if visit.told_start and visit.told_end else None


def blank(s: Session, given: Mapping[str, str], at: datetime) -> dict[str, Any]:
    """What the form for a new visit needs: the day, a window that opens at the next quarter, the lists to choose from."""
    here = zone(s)
    now = local(at, here)
    opens = now + timedelta(minutes=15 - now.minute % 15)
    rules = days.rules(s)
    customer = given.get("customer", "")
    return {
        "day": given.get("day") or now.date().isoformat(),
        "opens": f"{opens:%H:%M}",
        "closes": f"{opens + timedelta(minutes=rules.window_min):%H:%M}",
        "technicians": choices.technicians(s, None),
        "jobs": choices.jobs(s),
        "customer": choices.customer(s, int(customer)) if customer.isdecimal() and len(customer) < 10 else None,
    }
