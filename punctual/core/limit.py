"""The chance at which a delay is told - one number for all, or a column for many visits - and when it flaps too much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from punctual.core.day import Floats
from punctual.core.policy import Rules

#: Without anybody to write to, a call is asked for at this chance already: a person needs time to make it.
CALL_CHANCE = 0.5
#: A forecast that crosses the limit so often within this span mutes its visit for as long again (policy 1).
FLAP_SPAN = timedelta(minutes=30)
#: The company's own limit is learned from looks this long before a visit (looks.WATCHED); outside of them this one counts.
NEAR, LAST, SURE_CHANCE = timedelta(minutes=90), timedelta(minutes=15), 0.9


def limits(lead_s: Floats | float, rules: Rules) -> Floats:
    """The chance at which a delay is told, this many seconds before the window opens: calibrated from NEAR to LAST.

    Farther ahead much may still change, and later a warning spares little waiting: there it must be all but certain.
    """
    lead = np.asarray(lead_s)
    own = (lead <= NEAR.total_seconds()) & (lead >= LAST.total_seconds())
    return np.where(own, rules.tell_chance, max(rules.tell_chance, SURE_CHANCE))


def muted_until(crossings: Sequence[datetime], rules: Rules) -> datetime | None:
    """The end of the mute that too many crossings within FLAP_SPAN brought; None without one, or with the guard off."""
    n = rules.flap_crossings
    ends = (
        [b + FLAP_SPAN for a, b in zip(crossings, crossings[n - 1 :], strict=False) if b - a <= FLAP_SPAN] if n else []
    )
    return max(ends, default=None)
