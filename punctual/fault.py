"""Places where a process can be made to end at once, for tests of crashes; the setting `fault` names one."""

from __future__ import annotations

import os

#: Where: after a claim, before and after the intent is kept, after the provider took it, after the outcome is kept;
#: and around the commit of a verb.
POINTS = ("claimed", "written", "intent", "handed_over", "outcome", "before_commit", "after_commit")

_at, _left = "", 0


def configure(spec: str) -> None:
    """ "point:n": the process ends when it reaches that point for the n-th time; "" for never. Raises ValueError."""
    global _at, _left
    point, _, n = spec.partition(":")
    if spec and (point not in POINTS or not n.isdecimal() or int(n) < 1):
        raise ValueError(f'The setting fault is "{spec}"; write it as point:n with a point of {", ".join(POINTS)}.')
    _at, _left = point, int(n or 0)


def reach(point: str) -> None:
    """This point is reached: usually nothing happens."""
    global _left
    if point != _at:
        return
    _left -= 1
    if _left == 0:
        os._exit(137)
