"""Addresses are looked up once, in the worker's own pace; ways come from the router, or from an estimate that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from punctual import geocode, routing
from punctual.actions import places, transaction
from punctual.config import Settings
from punctual.models import BoardVersion, GeocodeAnswer, Place, Travel, Visit
from punctual.queries import day as queries
from tests import build
from tests.answering import answering

AT = build.wall("08:00")
SECOND = timedelta(seconds=1)
KNOWN = {"3 Chandos Road": (51.4662, -2.6053), "8 Picton Street": (51.4637, -2.5892)}


def nominatim(path: str, body: Any) -> tuple[int, Any]:
    """What a Nominatim server says of two addresses."""
    for address, (lat, lon) in KNOWN.items():
        if address.replace(" ", "+") in path:
            return 200, [{"lat": str(lat), "lon": str(lon), "display_name": address}]
    return 200, []


def settings(**values: Any) -> Settings:
    return replace(Settings(instance=Path("unused"), geocoder_agent="punctual tests"), **values)


def pending(*addresses: str) -> None:
    with transaction() as s:
        s.add_all(Place(address=a, state="pending") for a in addresses)


def states(s: Session) -> dict[str, str]:
    s.expire_all()
    return {p.address: p.state for p in s.scalars(select(Place))}


def test_an_address_is_looked_up_and_kept(s: Session) -> None:
    pending("3 Chandos Road")
    with answering(nominatim) as server:
        places.geocoding(settings(geocoder_url=server.url))(AT)
    found = s.scalars(select(Place)).one()
    assert (found.lat, found.lon, found.state) == (51.4662, -2.6053, "known")
    assert s.get_one(GeocodeAnswer, "3 Chandos Road").lat == 51.4662
    assert server.agents == ["punctual tests"], "a public server wants to know who asks"


def test_an_address_that_is_not_found_is_shown_not_dropped(s: Session) -> None:
    pending("Nowhere 1")
    with answering(nominatim) as server:
        places.geocoding(settings(geocoder_url=server.url))(AT)
    assert states(s) == {"Nowhere 1": "not_found"} and places.lost(s) == ["Nowhere 1"]


def test_one_address_a_second_is_asked_and_progress_is_seen(s: Session) -> None:
    pending("3 Chandos Road", "8 Picton Street", "Nowhere 1")
    with answering(nominatim) as server:
        chore = places.geocoding(settings(geocoder_url=server.url))
        chore(AT)
        chore(AT + SECOND / 2)
        assert len(server.asked) == 1 and places.standing(s) == {"known": 1, "pending": 2}
        chore(AT + SECOND)
        chore(AT + 2 * SECOND)
    assert places.standing(s) == {"known": 2, "not_found": 1}


def test_an_address_is_never_asked_twice(s: Session) -> None:
    pending("3 Chandos Road", "3 Chandos Road")
    with answering(nominatim) as server:
        chore = places.geocoding(settings(geocoder_url=server.url))
        chore(AT)
        pending("3 Chandos Road")
        chore(AT + SECOND)
    assert len(server.asked) == 1
    assert [p.state for p in s.scalars(select(Place))] == ["known"] * 3


@pytest.mark.parametrize(
    "answer", [(500, b"no"), (200, b"no json"), (200, [{"lat": "north", "lon": "0", "display_name": "x"}]), (429, b"")]
)
def test_a_geocoder_in_trouble_is_left_alone_for_a_while(s: Session, answer: tuple[int, Any]) -> None:
    pending("3 Chandos Road")
    with answering(lambda path, body: answer) as server:
        chore = places.geocoding(settings(geocoder_url=server.url))
        chore(AT)
        chore(AT + 60 * SECOND)
        assert len(server.asked) == 1 and states(s) == {"3 Chandos Road": "pending"}
        chore(AT + 301 * SECOND)
        assert len(server.asked) == 2


def test_a_found_address_changes_the_board_of_its_visit(s: Session) -> None:
    with transaction() as w:
        build.day(w)
        w.add(Place(address="3 Chandos Road", state="pending"))
        w.flush()
        place = w.scalars(select(Place).where(Place.state == "pending")).one()
        w.scalars(select(Visit).limit(1)).one().place_id = place.id
    places.place_found("3 Chandos Road", (51.4662, -2.6053), at=AT)
    assert s.scalars(select(BoardVersion.date)).all() == [build.DATE]


def test_a_server_that_is_not_there_is_no_answer() -> None:
    with pytest.raises(geocode.NoAnswer):
        geocode.find("3 Chandos Road", settings(geocoder_url="http://127.0.0.1:9"))
    with pytest.raises(routing.NoAnswer):
        routing.minutes([(51.0, -2.0), (51.1, -2.0)], settings(router_url="http://127.0.0.1:9"))


def valhalla(path: str, body: Any) -> tuple[int, Any]:
    """Ten minutes from everywhere to everywhere."""
    row = [{"time": 600, "distance": 5.0} for _ in body["targets"]]
    return 200, {"sources_to_targets": [row for _ in body["sources"]]}


def osrm(path: str, body: Any) -> tuple[int, Any]:
    """Twelve minutes, and no way back from the last place."""
    size = path.rsplit("/", 1)[-1].count(";") + 1
    return 200, {"code": "Ok", "durations": [[720.0] * size] * (size - 1) + [[None] * size]}


def test_valhalla_and_osrm_are_understood() -> None:
    points = [(51.45, -2.58), (51.46, -2.59), (51.47, -2.60)]
    with answering(valhalla) as server:
        found = routing.minutes(points, settings(router_url=server.url))
        assert found == [[10.0] * 3] * 3
        assert server.asked[0][0] == "/sources_to_targets"
        assert server.asked[0][1]["sources"][0] == {"lat": 51.45, "lon": -2.58}
    with answering(osrm) as server:
        found = routing.minutes(points, settings(router_url=server.url + "/", router_kind="osrm"))
        assert found == [[12.0] * 3, [12.0] * 3, [None] * 3]
        assert server.asked[0][0].startswith("/table/v1/driving/-2.580000,51.450000;")


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}),
        (200, b"no json"),
        (200, {}),
        (200, {"sources_to_targets": [[{"time": 1}]]}),
        (200, {"sources_to_targets": [[{"time": -5}] * 2] * 2}),
        (200, {"sources_to_targets": [[{"time": "x"}] * 2] * 2}),
    ],
)
def test_a_router_that_answers_nonsense_is_no_answer(answer: tuple[int, Any]) -> None:
    with answering(lambda path, body: answer) as server, pytest.raises(routing.NoAnswer):
        routing.minutes([(51.0, -2.0), (51.1, -2.0)], settings(router_url=server.url))


def filled(s: Session, answer: Callable[[str, Any], tuple[int, Any]]) -> tuple[list[Travel], int]:
    """The travel table after the chore ran twice, a minute apart, and how often the router was asked."""
    with transaction() as w:
        build.day(w)
    with answering(answer) as server:
        chore = places.travelling(settings(router_url=server.url))
        chore(AT)
        chore(AT + 61 * SECOND)
    s.expire_all()
    return list(s.scalars(select(Travel))), len(server.asked)


def test_the_ways_of_a_day_in_progress_come_from_the_router_once(s: Session) -> None:
    rows, asked = filled(s, valhalla)
    assert {(r.minutes, r.source) for r in rows} == {(10.0, "router")}
    assert asked == 2, "one question for each technician's day, none the minute after"
    tom = queries.columns(s, queries.in_progress(s, AT)[:1])
    assert tom.travel.tolist() == [10.0, 10.0, 10.0]


def test_without_an_answer_the_ways_are_estimated_and_marked_so(s: Session) -> None:
    rows, asked = filled(s, lambda path, body: (503, {}))
    assert {r.source for r in rows} == {"geodesic"} and all(r.minutes > 0 for r in rows)
    assert asked == 2, "an estimate stands in for an hour before the router is asked again"
