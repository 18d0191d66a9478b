"""Where places are and how far apart: chores of the worker that ask a geocoder or a router, and keep what they say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from punctual import clock, geocode, routing
from punctual.actions import transaction
from punctual.config import Settings
from punctual.core import travel
from punctual.core.day import OVER, Day
from punctual.models import GeocodeAnswer, Place, Travel, Visit, db, touch_board
from punctual.queries import day as queries

log = logging.getLogger(__name__)

Chore = Callable[[datetime], None]
Point = tuple[float, float]

#: Real seconds between two questions to a geocoder (its rule), and after one that had no answer.
PACE_S, REST_S = 1.0, 300.0
#: Real seconds between two looks for ways not known; places of one question; how long an estimate stands in.
LOOK_S, MOST_POINTS = 60.0, 40
STALE = timedelta(hours=1)


def standing(s: Session) -> dict[str, int]:
    """How far the looking up of addresses is: places by state (known, pending, not_found)."""
    rows = s.execute(select(Place.state, func.count().label("places")).group_by(Place.state))
    return {r.state: r.places for r in rows}


def lost(s: Session, most: int = 100) -> list[str]:
    """Addresses that could not be found, oldest first: somebody has to mend them."""
    found = select(Place.address).where(Place.state == "not_found").order_by(Place.id).limit(most)
    return list(s.scalars(found))


def pending(s: Session) -> str | None:
    """The next address to be looked up."""
    return s.scalar(select(Place.address).where(Place.state == "pending").order_by(Place.id).limit(1))


def place_found(address: str, found: Point | None, *, at: datetime) -> None:
    """Keep where an address is, for every pending place with it; None: not found, and shown as such."""
    with transaction() as s:
        lat, lon = found or (None, None)
        s.merge(GeocodeAnswer(query=address, lat=lat, lon=lon, at=at))
        ids = s.scalars(select(Place.id).where(Place.address == address, Place.state == "pending")).all()
        state = "known" if found else "not_found"
        s.execute(update(Place).where(Place.id.in_(ids)).values(lat=lat, lon=lon, state=state))
        dates = select(Visit.date).where(Visit.place_id.in_(ids), Visit.state.not_in(OVER)).distinct()
        touch_board(s, *s.scalars(dates))


def geocoding(settings: Settings) -> Chore:
    """A chore that looks up one pending address a second; an address asked before is not asked again."""
    due: list[datetime] = []

    def geocoding(at: datetime) -> None:
        if due and at < due[0]:
            return
        s = db.session()
        address = pending(s)
        if address is None:
            return
        kept = s.get(GeocodeAnswer, address)
        if kept is not None:
            known = kept.lat is not None and kept.lon is not None
            place_found(address, (kept.lat or 0.0, kept.lon or 0.0) if known else None, at=kept.at)
            return
        s.rollback()  # nothing is open while the network is asked
        try:
            found = geocode.find(address, settings)
        except geocode.NoAnswer as error:
            log.warning("%s The next try is in %.0f s.", error, REST_S)
            due[:] = [at + timedelta(seconds=REST_S * clock.speed())]
            return
        due[:] = [at + timedelta(seconds=PACE_S * clock.speed())]
        place_found(address, found, at=at)

    return geocoding


def travelling(settings: Settings) -> Chore:
    """A chore that asks the router for the ways of the days in progress that are not known yet."""
    due: list[datetime] = []

    def travelling(at: datetime) -> None:
        if due and at < due[0]:
            return
        due[:] = [at + timedelta(seconds=LOOK_S * clock.speed())]
        for day in queries.load(db.session(), queries.in_progress(db.session(), at)):
            points = missing(db.session(), day, at)
            db.session.rollback()
            if points:
                _ask(points, day, settings, at)

    return travelling


def missing(s: Session, day: Day, at: datetime) -> dict[int, Point]:
    """The places of a day (id -> degrees) when a way between two in a row is not known, or only estimated long ago."""
    stops = [p for p in (day.home, *(v.place for v in day.visits)) if p is not None and p.id]
    points = {p.id: (p.lat, p.lon) for p in stops[:MOST_POINTS]}
    wanted = {(a.id, b.id) for a, b in pairwise(stops) if a.id != b.id}
    rows = s.execute(
        select(Travel.from_place, Travel.to_place, Travel.source, Travel.at).where(
            Travel.from_place.in_(points), Travel.to_place.in_(points)
        )
    )
    known = {(r.from_place, r.to_place) for r in rows if r.source == "router" or at - r.at < STALE}
    return points if {w for w in wanted if w[0] in points and w[1] in points} - known else {}


def _ask(points: dict[int, Point], day: Day, settings: Settings, at: datetime) -> None:
    """The router's minutes; where it has none, an estimate that is marked as one."""
    try:
        found = routing.minutes(list(points.values()), settings)
    except routing.NoAnswer as error:
        log.warning("%s Travel is estimated.", error)
        found = [[None] * len(points) for _ in points]
    guess = _estimates(list(points.values()))
    ids = list(points)
    with transaction() as s:
        for i, a in enumerate(ids):
            for j, b in enumerate(ids):
                routed = found[i][j]
                value, source = (guess[i][j], "geodesic") if routed is None else (routed, "router")
                if a != b:
                    s.merge(Travel(from_place=a, to_place=b, minutes=value, source=source, at=at))
        touch_board(s, day.date)


def _estimates(points: Sequence[Point]) -> list[list[float]]:
    lat, lon = (np.array(x) for x in zip(*points, strict=True))
    made: list[list[float]] = travel.estimate(lat[:, None], lon[:, None], lat[None, :], lon[None, :]).tolist()
    return made
