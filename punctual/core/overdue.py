"""When a start that is overdue will come: never earlier for a technician who was free later, nor for a longer silence.

What was learned says otherwise: whoever has been free for long and still has not come has met with something, and stays
away longer than one who has just become free. Told as it is, that makes a longer overrun an earlier arrival. So what is
left after some silence is pooled over when the technician was free, as far as it falls in it - weighted by how often such
starts were still to come, which is the nearest rising table (isotonic regression, min-max formula of Robertson, Wright,
Dykstra 1988) - and nobody is expected later than if they were free only now, as a job that still runs would have it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from punctual.core.day import Floats, Ints
from punctual.core.duration import Learned
from punctual.core.spread import SAMPLES, Singles, level_of, still_to_come, tail_of
from punctual.core.start import known

#: Nodes of the table, minutes: how long after the earliest start nothing has begun, and x as in start.started.
SILENT: Floats = np.concatenate([np.arange(-30.0, 120.0, 5.0), np.arange(120.0, 241.0, 20.0)])
FREE: Floats = np.concatenate([np.arange(-60.0, 120.0, 5.0), np.arange(120.0, 241.0, 20.0)])
#: Weight of a node from which hardly anybody was still to come.
HARDLY = 1e-6


def overdue(learned: Learned, x: Floats, silent: Floats, now: Floats) -> Floats:
    """Sorted samples [n, SAMPLES] of starts that nobody had reported `silent` [n] minutes after the earliest one.

    x [n]: by how much the technician was free too late; now [n]: by how much, were it only now. All minutes after the
    earliest start.
    """
    table, beyond = _table(learned), np.maximum(np.maximum(x - FREE[-1], silent - SILENT[-1]), 0.0)
    (i, a), (j, b) = _between(SILENT, silent - beyond), _between(FREE, x - beyond)
    early = table[i, j] * (1 - b) + table[i, j + 1] * b
    late = table[i + 1, j] * (1 - b) + table[i + 1, j + 1] * b
    told = early * (1 - a) + late * a + beyond[:, None]
    return np.asarray(np.minimum(told, np.maximum(known(learned, np.maximum(x, now)), silent[:, None])))


@lru_cache(maxsize=8)
def _table(learned: Learned) -> Singles:
    """Starts given the silence and when the technician was free [SILENT, FREE, SAMPLES], rising in all three."""
    rows = known(learned, FREE)
    tail = tail_of(rows)
    size = (len(SILENT), len(FREE))
    every, tails, silent = np.tile(rows, (size[0], 1)), np.tile(tail, size[0]), np.repeat(SILENT, size[1])
    left = still_to_come(every, silent, tails, learned.forgotten).reshape(*size, SAMPLES)
    to_come = 1.0 - level_of(every, silent[:, None], tails).reshape(size)
    edges = np.concatenate([[-np.inf], (FREE[1:] + FREE[:-1]) / 2, [np.inf]])
    share = np.diff(np.interp(edges, learned.start_x, np.linspace(0.0, 1.0, len(learned.start_x)))) + 1e-3
    rising = _rising(left, share * to_come + HARDLY)
    return np.maximum.accumulate(rising, axis=0).astype(np.float32)


def _rising(values: Floats, weight: Floats) -> Floats:
    """The nearest tables [U, G, S] that rise along G, weight [U, G]."""
    total, weights = (values * weight[:, :, None]).cumsum(axis=1), weight.cumsum(axis=1)[:, :, None]
    out = np.full(values.shape, -np.inf)
    for i in range(values.shape[1]):
        before = (total[:, i - 1 : i], weights[:, i - 1 : i]) if i else (0.0, 0.0)
        mean = (total[:, i:] - before[0]) / (weights[:, i:] - before[1])
        least = np.minimum.accumulate(mean[:, ::-1], axis=1)[:, ::-1]
        np.maximum(out[:, i:], least, out=out[:, i:])
    return out


def _between(nodes: Floats, value: Floats) -> tuple[Ints, NDArray[np.float64]]:
    """The node below each value and the share of the one above it, as a column; ends are held."""
    value = np.minimum(np.maximum(value, nodes[0]), nodes[-1])
    low = np.minimum(np.searchsorted(nodes, value, side="right") - 1, len(nodes) - 2)
    return low, ((value - nodes[low]) / (nodes[low + 1] - nodes[low]))[:, None]
