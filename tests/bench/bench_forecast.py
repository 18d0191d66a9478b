"""How good the forecast is on recorded days, and with little history: runs the evaluator on the product's own core.

    python -m tests.bench.bench_forecast --evaluator evaluate.py DATA... [--write]      development days of each set
    python -m tests.bench.bench_forecast --evaluator evaluate.py --small 8 DATA         a company with 8 technicians

--answers FOLDER keeps the answers, scores those it finds there, and says what a frozen threshold does. --write puts the figures, with the command that printed them, between the markers in ARCHITECTURE.md.
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

from punctual.core import told
from punctual.core.chain import over_by
from punctual.core.fit import fit
from punctual.core.fleet import fleet
from punctual.core.past import last_steps, past_looks
from tests.bench.forecast_client import NIGHT, Names, columns, recorded

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


def frozen(path: str, data: Path, kept: Path) -> str:
    """False alarms at a threshold that spends 5 % of one half of the development days, on the other half."""
    ev = evaluator(path)
    late = {f"{j[k]['date']}|{j[k]['rid']}|{j[k]['seq']}": j[k]["AS"] - j[k]["S"] > ev.LATE
            for j in ev.load(str(data), "dev") for k in range(1, len(j))}  # fmt: skip
    chance: dict[str, float] = {}
    for line in (kept / f"{data.name}.jsonl").read_text().splitlines():
        answer = json.loads(line)
        job = answer["id"].rpartition("|")[0]
        if not late.get(job, True):
            chance[job] = max(chance.get(job, 0.0), answer["p_late"])
    middle = sorted({job[:10] for job in chance})[len({job[:10] for job in chance}) // 2]
    halves = [np.array([p for job, p in chance.items() if (job < middle) == first]) for first in (True, False)]
    found = [100 * float(np.mean(b > np.quantile(a, 0.95))) for a, b in (halves, halves[::-1])]
    return f"{data.name}: false alarms at a threshold frozen on the other half of the days: " + " / ".join(
        f"{x:.1f} %" for x in found
    )


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


def learned_once(data: Path) -> dict[str, float]:
    """The product's CRPS by horizon of jobs with an earlier one that day, learned once from the history like the chain."""
    names = Names()
    past, days = (columns(recorded(str(data / f"{split}.csv")), names)[0] for split in ("train", "dev"))
    learned, over = fit(past, float(np.nanmax(past.shift_end)) + NIGHT), over_by(days)
    following = np.setdiff1d(np.flatnonzero(~np.isnan(days.arrived)), days.offset[:-1])
    chains, ahead = past_looks(days, following, over, [float(h) for h in HORIZONS])
    samples, free = last_steps(days, chains, learned, over)
    late = told.carried(days, chains, over)
    around = told.prepared(days, learned, chains.last, chains.day, chains.at, late, fleet(days))
    shift = around.shift + told.own_shift(learned, free)
    at = told.quantiles(learned, around, shift, samples) - ahead[:, None]
    off = (days.arrived - days.planned_start)[chains.last][:, None] - at
    loss = 2 * np.maximum(told.TOLD * off, (told.TOLD - 1) * off).mean(axis=1)
    return {h: float(loss[ahead == float(h)].mean()) for h in HORIZONS}


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
                ours.append(learned_once(Path(folder)))
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
    if a.answers:
        print("", *(frozen(a.evaluator, data, a.answers) for data in a.data), sep="\n")
    if a.write:
        written(lines)


if __name__ == "__main__":
    main()
