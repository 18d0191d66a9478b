"""The only reader of the wall clock: now(), and instants that many real seconds ahead."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that reads `start` when the machine's clock reads `anchor` and runs `speed` times as fast."""

    start: datetime
    anchor: float
    speed: float

    def at(self, real: float) -> datetime:
        return self.start + timedelta(seconds=(real - self.anchor) * self.speed)


_clock: Clock | None = None
_FORM = re.compile(r"(?P<start>.+?) x(?P<speed>[0-9.]+)(?: @(?P<anchor>[0-9]{1,12}(?:\.[0-9]+)?))?")


def configure(spec: str, anchor_file: Path | None = None) -> None:
    """Set the clock from PUNCTUAL_CLOCK="START xSPEED"; an empty spec is the machine's own clock.

    The anchor (when the clock started, in real seconds) is written once to `anchor_file`, so that web and worker
    agree and a second start goes on where the first one stopped being asked; "START xSPEED @ANCHOR" brings its own
    and leaves the file alone. Raises ValueError in a sentence.
    """
    global _clock
    if not spec.strip():
        _clock = None
        return
    parts = _FORM.fullmatch(spec.strip())
    try:
        if parts is None:
            raise ValueError
        start, speed = datetime.fromisoformat(parts["start"]), float(parts["speed"])
    except ValueError:
        raise ValueError(f'PUNCTUAL_CLOCK is "{spec}"; write it as "2026-11-24T08:40+00:00 x20".') from None
    if start.tzinfo is None or not 0 < speed <= 3600:
        raise ValueError(
            f'PUNCTUAL_CLOCK is "{spec}"; it needs a start with its offset from UTC and a speed from x0.01 to x3600, as in '
            '"2026-11-24T08:40+00:00 x20".'
        )
    anchor = float(parts["anchor"]) if parts["anchor"] else _anchor(spec, anchor_file)
    _clock = Clock(start.astimezone(UTC), anchor, speed)


def written(start: datetime, speed: float) -> str:
    """The spec of a clock that shows `start` at this very moment, for whoever is to share it."""
    return f"{start.isoformat()} x{speed:g} @{time.time():.6f}"


def _anchor(spec: str, file: Path | None) -> float:
    if file is None:
        return time.time()
    line = f"{time.time():.6f} {spec.strip()}\n"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        kept, _, kept_spec = file.read_text().strip().partition(" ")
        if kept_spec == spec.strip():
            return float(kept)
        file.write_text(line)
    else:
        with os.fdopen(descriptor, "w") as out:
            out.write(line)
    return float(line.split(" ", 1)[0])


def now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC) if _clock is None else _clock.at(time.time())


def after(seconds: float) -> datetime:
    """The instant that many real seconds ahead: for undo, leases, holds, retries, heartbeats and sessions."""
    return now() + timedelta(seconds=seconds * speed())


def speed() -> float:
    """How many seconds of this clock pass in one real second."""
    return 1.0 if _clock is None else _clock.speed


def real_seconds(span: timedelta) -> float:
    """How many real seconds a span of this clock lasts."""
    return span.total_seconds() / speed()


def machine(at: datetime) -> datetime:
    """What the machine's own clock shows at that instant of this clock: what others, a provider, call it."""
    return (
        at
        if _clock is None
        else datetime.fromtimestamp(_clock.anchor + (at - _clock.start).total_seconds() / _clock.speed, UTC)
    )
