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
    h = np.sin(dlat / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(dlon / 2) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(np.maximum(h, 0.0), 1.0))), dtype=np.float64)


def estimate(lat0: Floats | float, lon0: Floats | float, lat1: Floats | float, lon1: Floats | float) -> Floats:
    """Minutes from one point to the other; 0 for the same point, NaN where a point is missing."""
    km = distance_km(np.asarray(lat0), np.asarray(lon0), np.asarray(lat1), np.asarray(lon1))
    return np.where(km < 0.02, 0.0, FIXED_MIN + km * ROAD / SPEED_KMH * 60.0)


def into(days: Days, unknown: float = 0.0) -> Floats:
    """Minutes of travel into each row from the row (or the home) before it.

    The column where it is known, an estimate where both ends have a place, `unknown` where one has none - and nothing
    into a day's first row without a home: such a day starts where its first visit is.
    """
    first = np.zeros(days.rows, dtype=np.bool_)
    first[days.offset[:-1][days.counts > 0]] = True
    row = np.isnan(days.travel).nonzero()[0]
    known, day, at_first = days.travel.copy(), days.day_of[row], first[row]
    lat0 = np.where(at_first, days.home_lat[day], days.lat[row - 1])
    lon0 = np.where(at_first, days.home_lon[day], days.lon[row - 1])
    guess = estimate(lat0, lon0, days.lat[row], days.lon[row])
    known[row] = np.where(np.isnan(guess), np.where(at_first, 0.0, unknown), guess)
    return known
