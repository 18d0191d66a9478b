"""Answers questions about recorded days with the product's own core, line by line over stdin and stdout.

    evaluate.py stream DATA --split dev --cmd '.venv/bin/python tests/bench/forecast_client.py' --answers ANSWERS

History is learned as `punctual learn` does, anew every evening; each question is answered by the very `forecast` the
watch calls, on the very columns, with everybody's day so far. A warning's score is the limit it reaches: as the
company's own limit rises with the time ahead, learned from looks at days that the state had not seen, as `learn` does.
The protocol is described by the evaluator.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from punctual.core.day import Days, Floats
from punctual.core.duration import Learned, nothing
from punctual.core.fit import fit
from punctual.core.fleet import fleet
from punctual.core.forecast import forecast
from punctual.core.limit import lifted
from punctual.core.looks import Choice, curve, looked
from punctual.core.packed import rows as some_rows

#: Start after this many minutes past plan is late; a recorded window is that long.
LATE = 15.0
#: The evaluator counts warnings this long ahead, minutes, at this share of false alarms.
AHEAD, BUDGET = LATE, 0.05
#: Dates before which nothing calibrates a limit, dates looked at with one state, and how many of them at most.
FIRST_DATES, STATE_DATES, LOOKED_DATES = 6, 7, 42
#: A recorded service day runs until four in the morning.
NIGHT = 4 * 60.0


def minute(text: str | None) -> float:
    """Minutes since 1970 of an ISO stamp; NaN for none."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() / 60 if text else float("nan")


@dataclass
class Names:
    """Numbers for the names of job types, resources and places, the same in history and in the day's plan."""

    kinds: dict[str, dict[str, int]] = field(default_factory=dict)

    def __call__(self, kind: str, name: str | None) -> int:
        known = self.kinds.setdefault(kind, {"": 0})
        return known.setdefault(name or "", len(known))


def columns(jobs: Iterable[dict[str, Any]], names: Names) -> tuple[Days, list[tuple[str, int]]]:
    """Recorded jobs as the core's columns, and the resource and sequence of each row."""
    rows = sorted(jobs, key=lambda j: (j.get("date", ""), j["resource_id"], int(j["seq"])))
    days = [(j.get("date", ""), j["resource_id"]) for j in rows]
    first = [i for i, d in enumerate(days) if i == 0 or d != days[i - 1]]
    offset = np.array([*first, len(rows)], dtype=np.int64)

    def times(key: str) -> Floats:
        return np.array([minute(j.get(key)) for j in rows])

    start, end = times("planned_start"), times("planned_end")
    none, nothing_ = np.full(len(rows), np.nan), np.full(len(first), np.nan)
    made = Days(
        offset=offset,
        day_id=np.arange(len(first)),
        technician=np.array([names("resource", rows[i]["resource_id"]) for i in first], dtype=np.int64),
        shift_start=start[first],
        shift_end=np.maximum.reduceat(end, first),
        break_start=nothing_,
        break_end=nothing_,
        home_lat=nothing_,
        home_lon=nothing_,
        visit_id=np.arange(len(rows)),
        job_type=np.array([names("type", j["job_type"]) for j in rows], dtype=np.int64),
        planned_start=start,
        planned_min=np.maximum(end - start, 1.0),
        window_start=start,
        window_end=start + LATE,
        lat=none,
        lon=none,
        place_id=np.array([names("place", j.get("place")) for j in rows], dtype=np.int64),
        on_my_way=none,
        arrived=times("actual_start"),
        finished=times("actual_end"),
        late_min=np.zeros(len(rows)),
        late_at=none,
        deadline=none,
        deadline_arrive=np.zeros(len(rows), dtype=np.bool_),
        early_ok=np.zeros(len(rows), dtype=np.bool_),
        travel=none,
    )
    return made, [(j["resource_id"], int(j["seq"])) for j in rows]


def recorded(path: str) -> list[dict[str, Any]]:
    """The jobs of a recorded file, compressed or not."""
    raw = Path(path).read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    return list(csv.DictReader(text.splitlines()))


class Client:
    """What the program knows: the past, what it taught, and today."""

    def __init__(self) -> None:
        self.names, self.past, self.learned = Names(), [], nothing()
        self.today: list[dict[str, Any]] = []
        self.looks: dict[str, tuple[Floats, Floats]] = {}
        self.limit: Choice | None = None

    past: list[dict[str, Any]]
    learned: Learned

    def take(self, line: dict[str, Any]) -> str | None:
        """One line of the protocol; the answer to a question."""
        kind = line["type"]
        if kind == "history":
            self.past = [job for path in line["files"] for job in recorded(path)]
            self._look_back()
            self._learn()
        elif kind == "plan":
            self.today = [dict(job, date=line["date"]) for job in line["jobs"]]
            self.days, rows = columns(self.today, self.names)
            self.row = {key: r for r, key in enumerate(rows)}
            self.date = line["date"]
        elif kind == "event":
            column = self.days.arrived if line["kind"] == "start" else self.days.finished
            column[self.row[line["resource_id"], int(line["seq"])]] = minute(line["time"])
        elif kind == "queries":
            return json.dumps(self._answers(line["ids"], minute(line["t"])))
        elif kind == "endday":
            self._remember()
            self._look([line.get("date", self.date)])
            self._learn()
        return None

    def _learn(self) -> None:
        self.learned = self._taught(self.past)
        if self.looks:
            on = sorted(self.looks)[-LOOKED_DATES:]
            watched, late = (np.concatenate([self.looks[x][i] for x in on]) for i in (0, 1))
            dates = np.repeat([date.fromisoformat(x).toordinal() for x in on], [len(self.looks[x][1]) for x in on])
            found = curve(watched, late, dates, late=0.0, ahead=AHEAD, budgets=[BUDGET])
            self.limit = found[0] if found else None

    def _taught(self, jobs: list[dict[str, Any]]) -> Learned:
        days, _ = columns(jobs, self.names)
        return fit(days, float(np.nanmax(days.shift_end)) + NIGHT) if days.rows else nothing()

    def _look_back(self) -> None:
        """Look at the dates of history with what was known some days before them."""
        on = sorted({job["date"] for job in self.past})
        for first in range(max(FIRST_DATES, len(on) - LOOKED_DATES), len(on), STATE_DATES):
            self.learned = self._taught([job for job in self.past if job["date"] < on[first]])
            self._look(on[first : first + STATE_DATES])

    def _look(self, dates: list[str]) -> None:
        """Look at finished dates with what was learned before them."""
        for on in dates:
            days, _ = columns([job for job in self.past if job["date"] == on], self.names)
            if days.rows:
                made = looked(days, self.learned, 0.0)
                self.looks[on] = made.watched, (days.arrived - days.window_end)[made.row]

    def _remember(self) -> None:
        """The day that is over becomes history."""
        for job in self.today:
            r = self.row[job["resource_id"], int(job["seq"])]
            job["actual_start"], job["actual_end"] = (
                "" if np.isnan(v) else datetime.fromtimestamp(v * 60, tz=UTC).strftime("%Y-%m-%dT%H:%M")
                for v in (self.days.arrived[r], self.days.finished[r])
            )
        self.past += [job for job in self.today if job["actual_start"] and job["actual_end"]]

    def _answers(self, ids: list[str], at: float) -> list[dict[str, Any]]:
        keys = [(i, i.split("|")) for i in ids]
        rows = np.array([self.row[part[1], int(part[2])] for _, part in keys])
        day = np.searchsorted(self.days.offset, rows, side="right") - 1
        asked = np.zeros(len(self.days), dtype=np.bool_)
        asked[day] = True
        some = some_rows(self.days, np.repeat(asked, np.diff(self.days.offset)))
        made = forecast(some, self.learned, at, threshold=0.0, others=fleet(self.days))
        here = some.offset[np.searchsorted(np.flatnonzero(asked), day)] + rows - self.days.offset[day]
        quantiles = made.arrive[here] - self.days.planned_start[rows][:, None]
        reached = self._reached(made.p_late[here], self.days.planned_start[rows] - at)
        return [
            {"id": i, "q": [round(float(v), 3) for v in q], "p_late": round(float(p), 6), "score": round(float(x), 6)}
            for (i, _), q, p, x in zip(keys, quantiles, made.p_late[here], reached, strict=True)
        ]

    def _reached(self, chance: Floats, ahead: Floats) -> Floats:
        """The highest limit, at the warn-by clock, that a chance so many minutes ahead reaches."""
        if self.limit is None:
            return chance
        lift = lifted(ahead, self.limit.rise, AHEAD)
        return np.asarray((chance - lift) / (1.0 - lift))


def main() -> None:
    """Speak the protocol until the other side is done."""
    client = Client()
    for line in sys.stdin:
        answer = client.take(json.loads(line))
        if answer is not None:
            sys.stdout.write(answer + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
