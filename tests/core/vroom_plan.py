"""Times of given routes by VROOM's plan mode, for another process: JSON lines in, JSON lines out; seconds.

In: {"start": s, "drives": [...], "works": [...], "pause": null | [before which stop, from, length]}; out: arrivals.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import vroom


def arrivals(day: dict[str, object]) -> list[int]:
    """When each stop is reached."""
    start, drives, works, pause = (day[k] for k in ("start", "drives", "works", "pause"))
    assert isinstance(start, int) and isinstance(drives, list) and isinstance(works, list)
    n = len(works)
    matrix = np.full((n + 1, n + 1), 99_999, dtype=np.uint32)
    np.fill_diagonal(matrix, 0)
    for i, drive in enumerate(drives):
        matrix[i, i + 1] = drive
    problem = vroom.Input()
    problem.set_durations_matrix("car", matrix)
    steps: list[object] = [vroom.VehicleStepStart()]
    breaks = []
    for i in range(n):
        if isinstance(pause, list) and pause[0] == i:
            steps.append(vroom.VehicleStepBreak(1))
            breaks = [vroom.Break(1, [vroom.TimeWindow(pause[1], pause[1] + 1_000_000)], pause[2])]
        steps.append(vroom.VehicleStepSingle(i + 1))
    problem.add_vehicle(
        vroom.Vehicle(1, start=0, time_window=vroom.TimeWindow(start, start + 1_000_000), steps=steps, breaks=breaks)
    )
    for i, work in enumerate(works):
        problem.add_job(vroom.Job(i + 1, location=i + 1, default_service=work))
    found = problem.check().to_dict()
    return [step["arrival"] for step in found["routes"][0]["steps"] if step["type"] == "job"]


for line in sys.stdin:
    print(json.dumps(arrivals(json.loads(line))))
