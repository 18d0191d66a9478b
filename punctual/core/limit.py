"""The chance at which a delay is told: one number for all, or the same for many visits as a column."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from punctual.core.day import Floats
from punctual.core.policy import Rules

#: Without anybody to write to, a call is asked for at this chance already: a person needs time to make it.
CALL_CHANCE = 0.5
#: The company's own threshold is learned from looks this long before a visit (accuracy.LOOKS); before that this one counts.
NEAR, FAR_CHANCE = timedelta(minutes=90), 0.9


def limits(lead_s: Floats | float, rules: Rules) -> Floats:
    """The chance at which a delay is told, this many seconds before the window opens: calibrated for the last NEAR;
    farther ahead much may still change, so nobody is told before it is all but certain."""
    near = np.asarray(lead_s) <= NEAR.total_seconds()
    return np.where(near, rules.tell_chance, max(rules.tell_chance, FAR_CHANCE))
