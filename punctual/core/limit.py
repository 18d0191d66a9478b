"""The chance at which a delay is told, by how long ahead it is, for one visit or a column - and when it flaps too much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from punctual.core.day import Days, Floats
from punctual.core.policy import Rules

#: As an array: a NumPy call with a plain number takes half as long again.
_MINUTE = np.array(60.0)
#: Without anybody to write to, a call is asked for at this chance already: a person needs time to make it.
CALL_CHANCE = 0.5
#: The company's own limit is learned from looks so many minutes before a visit (looks.WATCHED); outside of them this one counts.
NEAR, LAST, SURE_CHANCE = 90.0, 15.0, 0.98
#: No limit was learned from looks at a window that is about to open or open: that of a company without history counts
#: (policy 1) - but within LAST of the opening of one so short that its promise breaks in less than SOON minutes.
UNLEARNED_CHANCE, SOON = 0.8, 30.0


def limits(opens_s: Floats | float, closes_s: Floats | float, rules: Rules) -> Floats:
    """The chance at which a delay is told, this many seconds before the window opens and closes: calibrated from NEAR to LAST
    before it opens.

    Farther ahead much may still change, and around the opening of a short window a warning spares little waiting: there it
    must be all but certain. Whoever waits through a long one is spared the more.
    """
    lead, left = np.asarray(opens_s), np.asarray(closes_s)
    own = (lead <= 60.0 * NEAR) & (lead >= 60.0 * LAST)
    risen: Floats | float = rules.tell_chance
    if rules.tell_rise:
        risen = risen + (1.0 - risen) * lifted(lead / 60.0, rules.tell_rise, rules.warn_by_min)
    little = (np.abs(lead) < 60.0 * LAST) & (left < 60.0 * (SOON - rules.threshold_min))
    sure = little | (lead > 60.0 * NEAR)
    other = np.where(sure, max(rules.tell_chance, SURE_CHANCE), max(rules.tell_chance, UNLEARNED_CHANCE))
    return np.where(own, risen, other)


def limits_of(days: Days, rules: Rules, second: float) -> Floats:
    """The same for every visit of some days at an instant (seconds since 1970), to the second."""
    return limits(np.rint(days.window_start * _MINUTE) - second, np.rint(days.window_end * _MINUTE) - second, rules)


def lifted(lead: Floats, rise: float, warn_by: float) -> Floats:
    """The share of the way to certainty by which the limit is higher so many minutes ahead: nothing at the warn-by clock,
    `rise` at NEAR. A company that can still warn in time may wait for a surer forecast."""
    share = (lead - warn_by) / max(NEAR - warn_by, 1.0)
    return np.asarray(rise * np.minimum(np.maximum(share, 0.0), 1.0))


def muted_until(crossings: Sequence[datetime], rules: Rules) -> datetime | None:
    """The end of the mute that too many crossings in a short while brought; None without one, or with the guard off."""
    n, span = rules.flap_crossings, timedelta(minutes=rules.flap_min)
    ends = [b + span for a, b in zip(crossings, crossings[n - 1 :], strict=False) if b - a <= span] if n else []
    return max(ends, default=None)
