"""How long the drive takes: great-circle distance, a road factor and a speed, for many legs at once."""

from __future__ import annotations

import numpy as np

from punctual.core.day import Days, Floats

EARTH_KM = 6371.0088
#: Roads are this much longer than the straight line; towns are driven at about this speed (km/h), with a fixed cost
#: for leaving, parking and walking to the door. Used where no router has answered.
ROAD, SPEED_KMH, FIXED_MIN = 1.35, 28.0, 4.0


def distance_km(lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats) -> Floats:
    """Great-circle kilometres (haversine) between points in degrees; NaN where a point is missing."""
    a, b = np.radians(lat0), np.radians(lat1)
    dlat, dlon = b - a, np.radians(lon1) - np.radians(lon0)
    h = np.square(np.sin(dlat / 2)) + np.cos(a) * np.cos(b) * np.square(np.sin(dlon / 2))
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(np.maximum(h, 0.0), 1.0))), dtype=np.float64)


def estimate(lat0: Floats | float, lon0: Floats | float, lat1: Floats | float, lon1: Floats | float) -> Floats:
    """Minutes from one point to the other; 0 for the same point, NaN where a point is missing."""
    km = distance_km(np.asarray(lat0), np.asarray(lon0), np.asarray(lat1), np.asarray(lon1))
    near = km < 0.02
    took = km * ROAD
    took /= SPEED_KMH
    took *= 60.0
    took += FIXED_MIN
    return np.where(near, 0.0, took)


def into(days: Days, unknown: float = 0.0) -> Floats:
    """Minutes of travel into each row from the row (or the home) before it.

    The column where it is known, an estimate where both ends have a place, `unknown` where one has none - and nothing
    into a day's first row without a home: such a day starts where its first visit is.
    """
    known = days.travel.copy()
    row = np.isnan(known).nonzero()[0]
    if not len(row):
        return known
    full = days.counts.nonzero()[0]
    first = days.offset[full]
    legs = np.empty((4, len(known)))
    legs[2], legs[3] = days.lat, days.lon
    legs[:2, 1:] = legs[2:, :-1]
    legs[0, first], legs[1, first] = days.home_lat[full], days.home_lon[full]
    guess = estimate(*(legs if len(row) == len(known) else legs[:, row]))
    lost = row[np.isnan(guess)]
    known[row] = guess
    if len(lost):
        known[lost] = unknown
        known[np.intersect1d(first, lost)] = 0.0
    return known
