"""Everybody re-forecast, bounded: what surrounds the NumPy work stays a few times that work, and grows no faster."""

from __future__ import annotations

import statistics
from datetime import timedelta

import pytest

from punctual import watch
from punctual.models import Notice, db
from punctual.queries import day as queries
from tests.bench import crowd
from tests.bench.bench_everyone import Company

#: The goal of the bench at 10,000 technicians is 2; with a tenth of a thousand what a look costs at all weighs more.
WHOLE, GROWTH = 8.0, 4.0 * 1.5


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Company]:
    made = {}
    for n in (75, 300):
        folder = tmp_path_factory.mktemp(f"crowd{n}")
        crowd.make(folder, n)
        made[n] = Company(folder)
        made[n].look()
    return made


def test_looking_at_everyone_costs_a_few_times_the_numpy_work_and_grows_with_it(sizes: dict[int, Company]) -> None:
    ratios, growth = [], []
    for _ in range(5):
        small, large = sizes[75].look()["cpu"], sizes[300].look()["cpu"]
        ratios.append(large / sizes[300].numpy()["cpu"])
        growth.append(large / small)
    assert statistics.median(ratios) <= WHOLE
    assert statistics.median(growth) <= GROWTH


def test_a_minute_writes_only_what_has_moved(sizes: dict[int, Company]) -> None:
    company = sizes[75]
    company.look()
    with company.app.app_context():
        at = crowd.NOON + timedelta(minutes=company.minute)
        again = watch.think(db.session(), queries.in_progress(db.session(), at), at=at)
        assert not again.moved.any(), "the same minute shows nothing new"
        share = company.count()
        assert share["plain"] < 0.1 and share["alone"] < 0.2
        assert db.session.query(Notice).filter_by(decision="silent").count() == 75 * crowd.VISITS
