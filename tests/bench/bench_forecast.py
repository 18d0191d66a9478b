"""How good the forecast is on recorded days, and with little history: runs the evaluator on the product's own core.

    python -m tests.bench.bench_forecast --evaluator evaluate.py DATA... [--write]      development days of each set
    python -m tests.bench.bench_forecast --evaluator evaluate.py --small 8 DATA         a company with 8 technicians

--answers FOLDER keeps the answers, and scores those it finds there. --write puts the figures, with the command that printed them, between the markers in ARCHITECTURE.md.
"""

from __future__ import annotations

import argparse
import bisect
import csv
import gzip
import importlib.util
import io
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.forecast_client import Client

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "tests" / "bench" / "forecast_client.py"
HORIZONS = ("60", "30", "15")
DRAWS, HISTORIES = 5, (34, 10)
HEAD = "| set | CRPS 60 / 30 / 15 min ahead | 80 % covers | warned ≥ 15 min ahead at 5 % | ≥ 30 min |\n|---|---|---|---|---|"
OPEN, CLOSE = "<!-- forecast -->", "<!-- /forecast -->"


def evaluator(path: str) -> Any:
    """The evaluator as a module."""
    spec = importlib.util.spec_from_file_location("evaluator", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answered(path: str, data: Path, answers: Path) -> None:
    """Let the client answer every question about the development days."""
    client = f"{sys.executable} {CLIENT}"
    command = [sys.executable, path, "stream", str(data), "--split", "dev", "--cmd", client, "--answers", str(answers)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def row(path: str, data: Path, kept: Path | None) -> str:
    """A line of the table for one set."""
    with tempfile.TemporaryDirectory() as folder:
        answers, scored = Path(kept or folder, f"{data.name}.jsonl"), Path(folder, "scored.json")
        if not answers.exists():
            answered(path, data, answers)
        command = [sys.executable, path, "score", str(data), "--split", "dev", "--answers", str(answers)]
        subprocess.run([*command, "--boots", "2", "--json", str(scored)], check=True, stdout=subprocess.DEVNULL)
        found = json.loads(scored.read_text())["following jobs"]
    dist, warn = found["dist"], found["warn"]
    crps = " / ".join(f"{dist[h]['crps']:.2f}" for h in HORIZONS)
    covers = " / ".join(f"{100 * dist[h]['cov80']:.1f}" for h in HORIZONS)
    return f"| {data.name} | {crps} | {covers} | {100 * warn['recall15']:.1f} % | {100 * warn['recall30']:.1f} % |"


def written(lines: Sequence[str]) -> None:
    """Replace what stands between the markers."""
    page = ROOT / "ARCHITECTURE.md"
    before, _, rest = page.read_text().partition(OPEN)
    after = rest.partition(CLOSE)[2]
    page.write_text("\n".join([before + OPEN, *lines, CLOSE + after]))


def rows_of(path: Path) -> list[dict[str, str]]:
    """The jobs of a recorded file."""
    return list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))


def drawn(data: Path, into: Path, technicians: int, days: int, seed: int) -> None:
    """Some resources' development days, with their last `days` days of history."""
    train, dev = (rows_of(data / f"{split}.csv.gz") for split in ("train", "dev"))
    everyone = sorted({r["resource_id"] for r in train} & {r["resource_id"] for r in dev})
    some = set(random.Random(seed).sample(everyone, technicians))
    dates = sorted({r["date"] for r in train})[-days:]
    for split, found in (("train", [r for r in train if r["date"] in dates]), ("dev", dev)):
        with (into / f"{split}.csv").open("w", newline="") as file:
            out = csv.DictWriter(file, list(train[0]))
            out.writeheader()
            out.writerows(r for r in found if r["resource_id"] in some)


def chain(ev: Any, data: Path) -> dict[str, list[float]]:
    """The planned chain, calibrated: its past residuals in bins of its value, by horizon."""
    past = ev.load(str(data), "train")
    gaps = [b["AS"] - a["AE"] for jobs in past for a, b in pairwise(jobs) if a["AE"] > b["S"] - 5]
    gap = float(np.median(gaps)) if gaps else 0.0
    seen: dict[tuple[int, bool], list[tuple[float, float]]] = {}
    for jobs, k, h, t in ev.queries(past):
        x = ev.chain(jobs, k, t, gap, True)
        seen.setdefault((h, k == 0), []).append((x, jobs[k]["AS"] - jobs[k]["S"] - max(x, 0.0)))
    bins = {}
    for key, found in seen.items():
        found.sort()
        edges = sorted({found[i * len(found) // 14][0] for i in range(1, 14)})
        parts: list[list[float]] = [[] for _ in range(len(edges) + 1)]
        for x, rest in found:
            parts[bisect.bisect_right(edges, x)].append(rest)
        everything = [rest for _, rest in found]
        bins[key] = edges, [np.quantile(p if len(p) >= 30 else everything, ev.LEVELS) for p in parts]
    out = {}
    for jobs, k, h, t in ev.queries(ev.load(str(data), "dev")):
        x = ev.chain(jobs, k, t, gap, True)
        edges, parts_ = bins[h, k == 0]
        out[ev.qid(jobs[k], h)] = [max(x, 0.0) + float(q) for q in parts_[bisect.bisect_right(edges, x)]]
    return out


def told(ev: Any, data: Path) -> dict[str, list[float]]:
    """The client's answers, asked in this process in the order of the evaluator's stream."""
    client = Client()
    client.take({"type": "history", "files": [str(data / "train.csv")]})
    dates: dict[str, list[Any]] = {}
    for jobs in ev.load(str(data), "dev"):
        dates.setdefault(jobs[0]["date"], []).append(jobs)
    out = {}
    for date, days in sorted(dates.items()):
        plan = [dict(ev.masked(j, -(10**9)), resource_id=j["rid"]) for jobs in days for j in jobs]
        client.take({"type": "plan", "date": date, "jobs": plan})
        ends = [(j["AS"], 0, "start", j) for jobs in days for j in jobs]
        ends += [(j["AE"], 0, "end", j) for jobs in days for j in jobs]
        asks = [(t, 1, ev.qid(jobs[k], h), None) for jobs, k, h, t in ev.queries(days)]
        for t, order, what, job in sorted([*ends, *asks], key=lambda e: (e[0], e[1])):
            if order == 0:
                event = {"kind": what, "time": ev.to_iso(t), "resource_id": job["rid"], "seq": job["seq"]}
                client.take({"type": "event", **event})
            else:
                answer = client.take({"type": "queries", "t": ev.to_iso(t), "ids": [what]})
                out[what] = json.loads(answer or "[]")[0]["q"]
        client.take({"type": "endday", "date": date})
    return out


def crps(ev: Any, data: Path, answers: dict[str, list[float]]) -> dict[str, float]:
    """CRPS by horizon of jobs with an earlier one that day."""
    dist = ev.collect(ev.load(str(data), "dev"), {k: (q, 0.0) for k, q in answers.items()}, True)[0]
    return {h: ev.dist_metrics(dist[int(h)], dict.fromkeys(dist[int(h)], 1))["crps"] for h in HORIZONS}


def small(path: str, data: Path, technicians: int) -> None:
    """Print CRPS beside the calibrated chain's, over draws of a few technicians."""
    ev = evaluator(path)
    for days in HISTORIES:
        ours: list[dict[str, float]] = []
        theirs: list[dict[str, float]] = []
        for seed in range(DRAWS):
            with tempfile.TemporaryDirectory() as folder:
                drawn(data, Path(folder), technicians, days, seed)
                ours.append(crps(ev, Path(folder), told(ev, Path(folder))))
                theirs.append(crps(ev, Path(folder), chain(ev, Path(folder))))
        for name, found in (("punctual", ours), ("calibrated chain", theirs)):
            print(
                f"{data.name} {technicians} x {days} days, {name}:",
                *(f"{_mean(found, h):.2f}" for h in HORIZONS),
                flush=True,
            )
        apart = [f"{100 * (_mean(ours, h) / _mean(theirs, h) - 1):+.1f} %" for h in HORIZONS]
        print("  difference, paired:", *apart, flush=True)


def _mean(found: list[dict[str, float]], horizon: str) -> float:
    return float(np.mean([f[horizon] for f in found]))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--evaluator", required=True)
    parser.add_argument("--small", type=int, default=0)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--write", action="store_true")
    a = parser.parse_args()
    if a.small:
        for data in a.data:
            small(a.evaluator, data, a.small)
        return
    table = [HEAD, *(row(a.evaluator, data, a.answers) for data in a.data)]
    names = " ".join(data.name for data in a.data)
    lines = ["", *table, "", f"`python -m tests.bench.bench_forecast --evaluator evaluate.py {names} --write`"]
    print("\n".join(lines))
    if a.write:
        written(lines)


if __name__ == "__main__":
    main()
