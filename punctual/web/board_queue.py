"""The tasks of the board in words: who, why they are here, what is known, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from punctual.actions.effect import Change, Effect
from punctual.queries.standing import DELAY, RISK
from punctual.queries.tasks import LOST, Task
from punctual.web.board_words import (
    ANSWERS,
    CHANNELS,
    KINDS,
    Here,
    asked,
    chance,
    clock,
    here,
    owed,
    span,
    state_words,
    unreached,
)

#: What ends a task that is nothing to call about.
LOOSE = {"wrote": "Seen to", "texts_stopped": "It is mended"}
#: So many tasks are shown; the rest are a link away.
LIMIT = 25


@dataclass(frozen=True, slots=True)
class Act:
    """What can be done about a task: a link, or a form that posts."""

    label: str
    href: str = ""
    post: str = ""
    key: str = ""
    look: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A task as it is read."""

    key: str
    look: str
    who: str
    label: str
    href: str
    sentences: tuple[str, ...]
    acts: tuple[Act, ...]


def items(tasks: Iterable[Task], at: datetime, zone: str, proposed: Mapping[int, Effect]) -> list[Item]:
    """Every task in words, in the order given; `proposed` is who could take a visit, by visit."""
    return [_item(t, here(zone, at), proposed.get(t.visit_id)) for t in tasks]


def wants_somebody(t: Task) -> bool:
    """A visit that another technician might save."""
    return t.look == "late" and t.stop is not None and not t.stop.over and t.stop.state != "arrived"


def _item(t: Task, now: Here, best: Effect | None) -> Item:
    elsewhere = "/board/received" if _only_wrote(t) else "/board/messages"
    href = f"/board/visits/{t.visit_id}" if t.visit_id else elsewhere
    if t.look == "silent" and t.line:
        href = f"/board/technicians/{t.line.technician_id}"
    return Item(
        key=t.key,
        look=t.look or "",
        who=t.who,
        label=_label(t, now),
        href=href,
        sentences=tuple(_sentences(t, now, best)),
        acts=tuple(_acts(t, best)),
    )


def _only_wrote(t: Task) -> bool:
    """They wrote, and that is all: words answer it, nobody has to call."""
    return bool(t.asks) and all(a.kind == "wrote" for a in t.asks)


def _answers(t: Task) -> Iterable[Act]:
    """What ends the open questions of a task: words, a call, or a decision."""
    if t.visit_id and any(a.kind == "wrote" for a in t.asks):
        yield Act("Answer", href=f"/board/visits/{t.visit_id}#write", look="primary" if _only_wrote(t) else "")
    if t.phone:
        yield Act(f"Call {t.phone}", href=f"tel:{t.phone}")
    if t.visit_id and not _only_wrote(t):
        yield Act("I called", post=f"/board/visits/{t.visit_id}/called", key="c")
    for kind, newest in {ask.kind: ask for ask in t.asks if ask.kind in LOOSE}.items():
        yield Act(LOOSE[kind], post=f"/board/tasks/{newest.id}/resolve")
    for ask in t.asks:
        if ask.kind not in LOOSE and not t.visit_id:
            yield Act("Send them", post=f"/board/tasks/{ask.id}/resolve", key="c")
            yield Act("Drop them", post=f"/board/tasks/{ask.id}/resolve?answer=drop")


def _unreached(t: Task) -> bool:
    """What they were to be told of the lateness did not arrive, and nobody has seen to it."""
    return any(x.kind in DELAY and x.state in LOST for x in t.troubles)


def _label(t: Task, now: Here) -> str:
    if t.owed and not t.look and not t.call_by:
        return f"By {now.when(t.owed[0].due_at)}"
    if t.call_by:
        return f"{'Answer' if _only_wrote(t) else 'Call'} by {now.when(t.call_by)}"
    if t.stop and t.line and not t.line.technician_id:
        return "Nobody yet"
    if t.look and t.stop and _unreached(t):
        return unreached(t.stop.word)
    if t.look == "late" and t.stop:
        return t.stop.word
    if t.look == "risk" and t.stop:
        return t.stop.word.removesuffix(", told")
    if t.look:
        return {"risk": "At risk", "silent": "Silent"}.get(t.look, "")
    if t.asks:
        return {"storm": "Decide", "texts_stopped": "Mend", "wrote": "Read"}.get(t.asks[0].kind, "Call")
    return "Address" if t.lost_address else "Message"


def _sentences(t: Task, now: Here, best: Effect | None) -> Iterable[str]:
    if t.look == "silent" and t.line:
        yield from _silent(t, now.zone)
        return
    if t.look and t.stop:
        yield from _visit(t, now)
    if best is not None:
        yield _proposal(t, best, now.zone)
    for promise in t.owed:
        yield f"Promised {owed(promise.kind)} by {now.when(promise.due_at)}. {promise.owner} owns it."
    yield from _asked(t, now)
    if t.call_by and t.answer and t.answer[0] == "call" and not t.asks and not t.look:
        yield f"{ANSWERS['call']}, {now.when(t.answer[1])}."
    for trouble in t.troubles:
        state = state_words(trouble.state, trouble.reason).rstrip(".")
        yield f"{KINDS.get(trouble.kind, trouble.kind)} by {CHANNELS.get(trouble.channel, trouble.channel)} at {now.when(trouble.at)}: {state}."
    if t.lost_address:
        yield f"The address “{t.lost_address}” was not found."


def _asked(t: Task, now: Here) -> Iterable[str]:
    """What is asked of somebody, each in words once with the first time: several rows may ask the same."""
    first: dict[str, datetime] = {}
    for ask in t.asks:
        if t.troubles and ask.reason in LOST:
            continue  # what did not arrive, how and why is said beside it
        words = asked(ask.reason, ask.facts) or f"{KINDS.get(ask.kind, ask.kind)}: {ask.reason.replace('_', ' ')}."
        words += _said(ask.facts, now)
        first[words] = min(first.get(words, ask.at), ask.at)
    yield from (f"{words} Since {now.when(since)}." for words, since in first.items())


def _said(facts: Mapping[str, Any], now: Here) -> str:
    """What a task carries beside its reason: their words, why it is here, the time they propose."""
    if facts.get("words"):
        return f" “{facts['words']}”"
    if facts.get("start") and facts.get("end"):
        start, end = (datetime.fromisoformat(facts[name]) for name in ("start", "end"))
        return f" They propose {now.when(start)} – {clock(end, now.zone)}."
    return f" {facts['why']}" if facts.get("why") else ""


def _proposal(t: Task, best: Effect, zone: str) -> str:
    """What giving the visit to somebody else does to everybody, in a sentence or two."""
    if not best.harmless:
        cost = f"put {best.risky} promise{'s' if best.risky > 1 else ''} at risk"
        if best.broken:
            cost = f"break {best.broken} promise{'s' if best.broken > 1 else ''}"
        return f"{best.first_name} could be there at {clock(best.changes[0].after, zone)}, which would {cost}."
    moved = [f"{c.customer.split()[0]} {_minutes(c)}" for c in best.changes[1:] if c.before is not None]
    effect = ", ".join(moved) if moved else "nobody else moves"
    when = clock(best.changes[0].window.start, zone)
    return f"Give {when} {t.who.split()[0]} to {best.first_name}: {outcome(best)}. Effect: {effect}."


def outcome(best: Effect) -> str:
    """What giving it to them does to promises that hold: none breaks; others may be late as they are."""
    return "every promise holds" if best.holds else "no promise breaks that holds now"


def _minutes(c: Change) -> str:
    assert c.before is not None
    n = round((c.after - c.before).total_seconds() / 60)
    return f"{n:+} min"


def _visit(t: Task, now: Here) -> Iterable[str]:
    assert t.stop is not None
    stop, zone, parts = t.stop, now.zone, []
    if stop.likely and not (t.line and t.line.off):
        parts.append(f"Expected {clock(stop.likely, zone)}, promised {span(stop.window, zone)}.")
    else:
        parts.append(f"Promised {span(stop.window, zone)}.")
    if stop.word.startswith("At risk") and stop.p_window is not None and stop.p_window >= RISK:
        parts.append(f"{chance(stop.p_window).capitalize()} to miss it.")
    told = stop.told if stop.told != stop.window else None  # the booking said what is promised, and no more
    if _unreached(t):
        parts.append("What was to be told did not arrive.")
    elif told and t.told_at:
        parts.append(f"Told {now.when(t.told_at)}: {span(told, zone)}.")
    elif not told and stop.look == "late" and not stop.word.endswith(", told"):
        parts.append("Not told yet.")
    if t.answer and (t.told_at is None or t.answer[1] >= t.told_at):
        parts.append(f"{ANSWERS.get(t.answer[0], t.answer[0])}, {now.when(t.answer[1])}.")
    elif t.told_at and told and not _unreached(t):
        parts.append("No answer.")
    if t.deadline:
        limit = "Must leave at" if t.deadline_kind == "done" else "We must be there by"
        parts.append(f"{limit} {clock(t.deadline, zone)}.")
    yield " ".join(parts)


def _silent(t: Task, zone: str) -> Iterable[str]:
    assert t.line is not None
    line, parts = t.line, []
    if line.silent_since:
        parts.append(f"Nothing since {clock(line.silent_since, zone)}.")
    if line.expected_by:
        parts.append(f"A report was expected by {clock(line.expected_by, zone)}.")
    parts.append(f"Nudged {clock(line.nudged_at, zone)}." if line.nudged_at else "Not nudged yet.")
    yield " ".join(parts)


def _acts(t: Task, best: Effect | None) -> Iterable[Act]:
    if t.look == "silent":
        if t.phone:
            yield Act(f"Call {t.who.split()[0]}", href=f"tel:{t.phone}")
        for ask in t.asks:
            yield Act("They answered", post=f"/board/tasks/{ask.id}/resolve", key="c")
        return
    query = urlencode({"technician": best.technician_id, "start": best.start.isoformat()}) if best is not None else ""
    effect = f"/board/visits/{t.visit_id}/effect?{query}"
    if t.look and t.stop and best is not None and best.harmless:
        yield Act(
            f"Give to {best.first_name}", post=f"/board/visits/{t.visit_id}/give?{query}", key="g", look="primary"
        )
        yield Act("Effect", href=effect)
    elif t.look and t.stop:
        look = "primary" if t.look == "late" else ""
        yield Act("Give or move", href=f"/board/visits/{t.visit_id}", key="g", look=look)
        if best is not None:
            yield Act(f"Effect with {best.first_name}", href=effect)
    if t.asks or t.call_by:
        yield from _answers(t)
    for promise in t.owed[:1]:
        if promise.kind == "answer":
            yield Act("Answer", href="/board/concerns")
            continue
        yield Act("Kept", post=f"/board/promises/{promise.id}/keep")
        yield Act("Move it", href=f"/board/promises#promise-{promise.id}")
    for trouble in t.troubles[:1]:
        loose = any(ask.kind in LOOSE for ask in t.asks)  # two buttons of one name would be a riddle
        yield Act("Message seen to" if loose else "Seen to", post=f"/board/tasks/{trouble.notice_id}/resolve")
    if t.troubles or t.lost_address:
        yield Act("Mend", href=f"/board/visits/{t.visit_id}#edit")
