"""Columns decide exactly as the decision of one visit does: the same reasons for silence, numbers, and marks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from punctual.core.day import Day, Days, Visit, Window, instant, minutes, pack
from punctual.core.forecast import LEVELS
from punctual.core.notice import Decision, Known, Mark, Quiet, decide
from punctual.core.policy import Rules, Said, acted
from punctual.core.sift import REASONS, STATES, Sifted, Stands, numbers, sift

DATE = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 11, 3, 27, tzinfo=UTC)
RULES = Rules()
ZONES = ("Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns")


@dataclass
class Numbers:
    """The columns decisions read of a forecast."""

    arrive: np.ndarray
    mean_arrive: np.ndarray
    p_late: np.ndarray
    p_window: np.ndarray
    p_deadline: np.ndarray
    expected_report: np.ndarray


def around(r: np.random.Generator, spread: float = 240.0) -> datetime:
    """An instant near now; often a whole minute, sometimes exactly at a limit."""
    step = r.choice([1, 5, 15, 60])
    return NOW.replace(second=int(r.choice([0, 0, 27]))) + timedelta(
        minutes=int(r.uniform(-spread, spread) // step * step)
    )


def visit(r: np.random.Generator, id_: int) -> Visit:
    start = around(r)
    state = str(r.choice(STATES, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05]))
    return Visit(
        id=id_,
        job_type=1,
        planned_start=start,
        planned_min=45.0,
        window=Window(start, start + timedelta(minutes=30)),
        place=None,
        state=state,  # type: ignore[arg-type]
        on_my_way_at=around(r, 15) if state == "on_my_way" else None,
        arrived_at=around(r, 60) if state == "arrived" else None,
        finished_at=around(r, 60) if state in STATES[3:] else None,
        deadline=around(r) if r.random() < 0.2 else None,
    )


def made_up(r: np.random.Generator, days: Days) -> Numbers:
    n = days.rows
    middle = np.where(r.random(n) < 0.2, np.rint(days.window_end), days.window_end + r.normal(0, 40, n))
    wide = r.uniform(5, 60, n)
    expected = np.where(r.random(len(days)) < 0.3, np.nan, minutes(NOW) + r.uniform(-120, 120, len(days)))
    return Numbers(
        arrive=middle[:, None] + (np.asarray(LEVELS) - 0.5)[None, :] * wide[:, None],
        mean_arrive=middle,
        p_late=np.where(r.random(n) < 0.1, 0.8, r.random(n)),
        p_window=r.random(n),
        p_deadline=np.where(np.isnan(days.deadline), np.nan, r.random(n)),
        expected_report=expected,
    )


def known(r: np.random.Generator, v: Visit) -> Known:
    said = []
    for kind in ("reminder", "on_my_way", "late_first", "late_update", "no_time_yet"):
        if r.random() < 0.15:
            start = around(r).replace(second=0)
            told = (
                Window(start, start + timedelta(minutes=int(r.integers(1, 9)) * 5)) if kind != "no_time_yet" else None
            )
            at = NOW - timedelta(minutes=int(r.integers(0, 90)))
            said.append(Said(kind, at, int(r.integers(1, 3)), live=bool(r.random() < 0.8), told=told))
    return Known(
        version=int(r.integers(1, 3)),
        zones=(str(r.choice(ZONES)),),
        state=v.state,
        said=tuple(sorted(said, key=lambda x: x.at)),
        mark=Mark(NOW - timedelta(seconds=60 * int(r.integers(2, 7)), microseconds=int(r.integers(-1, 2))), 0.9, (NOW,))
        if r.random() < 0.3
        else Mark(),
        reachable=bool(r.random() < 0.8),
        held="calling" if r.random() < 0.05 else "",
    )


def stands(who: list[Known], quiet: list[Quiet]) -> Stands:
    """The same as columns."""
    last = [
        max(
            (x for x in k.said if x.live and x.version == k.version and x.kind != "reminder"),
            key=lambda x: x.at,
            default=None,
        )
        for k in who
    ]
    ranges = [x.told if x else None for x in last]
    return Stands(
        state=np.array([STATES.index(k.state) for k in who]),
        reachable=np.array([k.reachable for k in who]),
        held=np.array([bool(k.held) for k in who]),
        since=np.array([minutes(k.mark.since) if k.mark.since else np.nan for k in who]),
        set_out=np.array([any(x.live and x.kind == "on_my_way" for x in k.said) for k in who]),
        told=np.array([x is not None for x in last]),
        told_start=np.array([minutes(x.start) if x else np.nan for x in ranges]),
        told_end=np.array([minutes(x.end) if x else np.nan for x in ranges]),
        off=np.array([q.off for q in quiet]),
        nudged=np.array([minutes(q.nudged_at) if q.nudged_at else np.nan for q in quiet]),
    )


class Case:
    """Some random days, decided both ways."""

    def __init__(self, seed: int, rules: Rules = RULES, cause: str = "") -> None:
        r = np.random.default_rng(seed)
        shift = Window(NOW - timedelta(hours=4), NOW + timedelta(hours=6))
        sizes = r.integers(0, 7, 8)
        visits = [[visit(r, 100 * d + i) for i in range(n)] for d, n in enumerate(sizes)]
        self.days = pack([Day(d, d, DATE, shift, tuple(v)) for d, v in enumerate(visits)])
        self.made = made_up(r, self.days)
        self.known = [known(r, v) for day in visits for v in day]
        self.quiet = [
            Quiet(
                NOW - timedelta(minutes=int(r.integers(0, 20))) if r.random() < 0.6 else None, bool(r.random() < 0.15)
            )
            for _ in visits
        ]
        self.rules, self.cause = rules, cause

    def alone(self) -> tuple[dict[int, list[Decision]], list[Mark]]:
        """One by one: decisions by visit, and marks."""
        decided = decide(self.days, self.made, self.known, self.quiet, RULES, at=NOW, cause=self.cause)  # type: ignore[arg-type]
        by_visit = defaultdict(list)
        for d in decided.decisions:
            by_visit[d.visit].append(d)
        return by_visit, decided.marks

    def sifted(self) -> Sifted:
        who, second = stands(self.known, self.quiet), not acted(self.cause)
        return sift(self.days, self.made, who, self.rules, NOW, second_look=second)  # type: ignore[arg-type]


def differences(case: Case) -> list[tuple[int, str, list[Decision]]]:
    """Rows for which columns give a reason that the decision alone does not give, or forget a mark."""
    alone, marks = case.alone()
    found = []
    for r, code in enumerate(case.sifted().reason.tolist()):
        decisions = alone[int(case.days.visit_id[r])]
        same = [(d.verb, d.reason) for d in decisions] == [("silent", REASONS[code])]
        if code and not (same and marks[r] == case.known[r].mark):
            found.append((r, REASONS[code], decisions))
    return found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["", "report:7", "answer:7"]))
def test_columns_give_the_reasons_that_a_decision_alone_gives(seed: int, cause: str) -> None:
    assert differences(Case(seed, cause=cause)) == []


def test_another_threshold_in_the_columns_would_be_noticed() -> None:
    other = replace(RULES, threshold_min=25.0, tell_chance=0.5, tell_rise=0.5)
    assert any(differences(Case(seed, other)) for seed in range(60))


def test_a_second_look_of_another_length_in_the_columns_would_be_noticed() -> None:
    assert any(differences(Case(seed, replace(RULES, second_look_min=6.0))) for seed in range(400))


def test_most_visits_need_no_decision_of_their_own() -> None:
    reasons = np.concatenate([Case(seed).sifted().reason for seed in range(40)])
    assert {REASONS[x] for x in np.unique(reasons)} >= {
        "fine",
        "below_limit",
        "inside_threshold",
        "over",
        "already_told",
        "second_look",
        "no_news",
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_numbers_behind_a_reason_are_the_same_both_ways(seed: int) -> None:
    case = Case(seed)
    alone, _ = case.alone()
    rows = np.flatnonzero(np.isin(case.sifted().reason, [1, 2, 3, 4]))
    for r, mine in zip(rows, numbers(case.days, case.made, rows, RULES, NOW), strict=True):  # type: ignore[arg-type]
        theirs = alone[int(case.days.visit_id[r])][0].facts
        assert mine.keys() <= theirs.keys()
        for name, value in mine.items():
            assert value == theirs[name] if isinstance(value, str) else abs(value - theirs[name]) <= 0.1


def test_deciding_about_some_visits_decides_about_them_as_about_all() -> None:
    for seed in range(20):
        case = Case(seed)
        alone, marks = case.alone()
        rows = [r for r in range(case.days.rows) if r % 3 == 0]
        some = decide(
            case.days,
            case.made,
            [case.known[r] for r in rows],
            case.quiet,
            RULES,
            at=NOW,
            rows=rows,  # type: ignore[arg-type]
        )
        ids = {int(case.days.visit_id[r]) for r in rows}
        mine = [d for d in some.decisions if d.reason not in ("silent", "off")]
        theirs = [d for v in ids for d in alone[v] if d.reason not in ("silent", "off")]
        assert sorted(mine, key=lambda d: d.key) == sorted(theirs, key=lambda d: d.key)
        assert some.marks == [marks[r] for r in rows]


def test_instants_of_columns_are_those_of_values() -> None:
    assert instant(minutes(NOW)) == NOW
