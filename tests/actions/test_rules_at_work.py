"""Rules of a company at another value than their default: what happens follows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from punctual.actions import concern, good, signoff, technician, transaction
from punctual.follow import good as making_good
from punctual.models import Company, Concern, Good, Shift, db
from punctual.queries import slots
from tests import build
from tests.build import Built, wall

NOW = wall("09:00")


@pytest.fixture
def built(app: Flask) -> Built:
    with transaction() as s:
        made = build.day(s)
        build.dispatcher(s)
        for ahead in (timedelta(days=1), timedelta(days=2)):
            day = {"date": build.DATE + ahead, "starts_at": wall("08:00") + ahead, "ends_at": wall("17:00") + ahead}
            s.add(Shift(technician_id=made.technicians["Tom"].id, **day))
    return made


def rule(**values: Any) -> None:
    with transaction() as s:
        s.get_one(Company, 1).rules = values


def came(built: Built, *steps: tuple[str, str]) -> int:
    """Priya's visit after these taps."""
    priya, tom = built.visits["Priya"].id, built.technicians["Tom"].id
    for kind, at in steps:
        technician.report(priya, kind, technician_id=tom, key=f"{kind}-{at}", tapped_at=wall(at), at=wall(at))
    return priya


def free(built: Built) -> list[slots.Slot]:
    db.session.rollback()
    return slots.free(db.session(), built.visits["Grace"].id, at=NOW)


def test_a_concern_is_answered_within_the_companys_own_time(built: Built) -> None:
    rule(answer_min=60)
    concern.raise_(built.visits["Grace"].id, "time", "My letter says Monday.", at=NOW)
    assert db.session.scalars(select(Concern)).one().promise.due_at == wall("10:00")


def test_two_stars_are_not_low_where_only_one_is(built: Built) -> None:
    rule(low_rating=1)
    priya = came(built, ("arrived", "08:40"), ("done", "09:20"))
    signoff.rate(priya, 2, at=wall("10:40"))
    assert db.session.scalars(select(Concern)).all() == []
    signoff.rate(priya, 1, at=wall("10:41"))
    assert db.session.scalars(select(Concern.about)).one() == "rating"


def test_a_broken_promise_is_final_after_the_companys_own_wait(built: Built) -> None:
    rule(final_min=10)
    good.add_rule("late", 15, None, discount_pct=10)
    came(built, ("arrived", "10:10"))
    for at, made in (("10:19", 0), ("10:21", 1)):
        with transaction() as s:
            making_good.look(s, wall(at))
        assert len(db.session.scalars(select(Good)).all()) == made


def test_times_are_offered_as_many_days_ahead_as_the_company_says(built: Built) -> None:
    assert max(x.start for x in free(built)).date() == build.DATE + timedelta(days=2)
    rule(offer_days=1)
    assert max(x.start for x in free(built)).date() == build.DATE + timedelta(days=1)


def test_offered_times_start_on_the_companys_grid_and_have_its_window(built: Built) -> None:
    assert {x.start.minute for x in free(built)} > {0}
    rule(grid_min=60, window_min=120)
    found = free(built)
    assert found and {x.start.minute for x in found} == {0}
    assert {x.window.end - x.window.start for x in found} == {timedelta(minutes=120)}


def test_who_risks_less_offers_fewer_times(built: Built) -> None:
    rule(offer_risk=0.5)
    bold = {x.start for x in free(built)}
    rule(offer_risk=0.02)
    careful = {x.start for x in free(built)}
    assert careful < bold
