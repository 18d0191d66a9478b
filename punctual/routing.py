"""Places to travel times, by a Valhalla or OSRM server; the network, and no table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import httpx2

from punctual.config import Settings

TIMEOUT_S = 2.0
Point = tuple[float, float]


class NoAnswer(Exception):
    """The router did not answer usefully; estimate instead, and mark it as an estimate."""


def minutes(points: Sequence[Point], settings: Settings) -> list[list[float | None]]:
    """Minutes of driving from each point (lat, lon in degrees) to each other, None for no way; raises NoAnswer."""
    base = settings.router_url.rstrip("/")
    try:
        with httpx2.Client(timeout=TIMEOUT_S) as client:
            seconds = (_osrm if settings.router_kind == "osrm" else _valhalla)(client, base, points)
        return [[None if x is None else _minutes(x) for x in row] for row in seconds]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError, IndexError) as error:
        raise NoAnswer(f"The router did not answer ({type(error).__name__}).") from error


def _valhalla(client: httpx2.Client, base: str, points: Sequence[Point]) -> list[list[Any]]:
    """POST /sources_to_targets: a matrix of {"time": seconds}, null without a way."""
    spots = [{"lat": lat, "lon": lon} for lat, lon in points]
    body = {"sources": spots, "targets": spots, "costing": "auto"}
    answer = client.post(f"{base}/sources_to_targets", json=body).raise_for_status().json()
    return _square([[cell["time"] for cell in row] for row in answer["sources_to_targets"]], len(points))


def _osrm(client: httpx2.Client, base: str, points: Sequence[Point]) -> list[list[Any]]:
    """GET /table/v1/driving/{lon},{lat};...: {"durations": seconds}, null without a way."""
    where = ";".join(f"{lon:.6f},{lat:.6f}" for lat, lon in points)
    answer = client.get(f"{base}/table/v1/driving/{where}").raise_for_status().json()
    return _square(answer["durations"], len(points))


def _square(rows: list[list[Any]], size: int) -> list[list[Any]]:
    if len(rows) != size or any(len(row) != size for row in rows):
        raise ValueError("The router's matrix has another size than what was asked.")
    return rows


def _minutes(seconds: Any) -> float:
    found = float(seconds) / 60.0
    if not math.isfinite(found) or found < 0:
        raise ValueError("The router answered with a time that does not exist.")
    return found
