"""A mail server of its own process that says when it accepted each message: `python -m tests.bench.mailsink`.

Its first line is its port; then one line a message, in seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.truth import running


class Sink:
    """The other process, and when it accepted each message so far (monotonic seconds)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.lines = process.stdout
        self.port = int(self.lines.readline())
        self.at: list[float] = []
        self.more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.lines:
            with self.more:
                self.at.append(float(line))
                self.more.notify_all()

    def wait(self, count: int, seconds: float = 120.0) -> float:
        """When the message of that number was accepted."""
        with self.more:
            if not self.more.wait_for(lambda: len(self.at) >= count, seconds):
                raise RuntimeError(f"{len(self.at)} mails came of {count}.")
            return self.at[count - 1]


@contextmanager
def sink() -> Iterator[Sink]:
    """A sink while the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.mailsink"], stdout=subprocess.PIPE, text=True)
    try:
        yield Sink(process)
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    with running("smtp") as truth:
        truth.wait = lambda point, to: print(time.monotonic(), flush=True) if point == "taken" else None  # type: ignore[assignment]
        print(truth.port, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
