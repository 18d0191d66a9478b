"""A day's forecast packed and read back: what is shown stays the same, and only what moved is written again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from punctual.core import kept
from punctual.core.day import Day, Days, Visit, Window, minutes, pack
from punctual.core.duration import nothing
from punctual.core.forecast import Forecast, forecast, next_report, visit

T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
NOW = T0 + timedelta(minutes=40)


def a_day(*ids: int) -> Day:
    visits = [
        Visit(
            id=v,
            job_type=1,
            planned_start=T0 + timedelta(minutes=70 * k),
            planned_min=60.0,
            window=Window(T0 + timedelta(minutes=70 * k), T0 + timedelta(minutes=70 * k + 30)),
            place=None,
            state="arrived" if k == 0 else "planned",
            arrived_at=T0 if k == 0 else None,
            deadline=T0 + timedelta(minutes=150) if k == 1 else None,
        )
        for k, v in enumerate(ids)
    ]
    return Day(7, 1, date(2026, 11, 24), Window(T0, T0 + timedelta(hours=9)), tuple(visits))


def made(days: Days, at: datetime = NOW) -> Forecast:
    return forecast(days, nothing(), minutes(at))


def rows(f: Forecast, days: Days) -> kept.Rows:
    return kept.rows_of(f, days, kept.beside(days, [None] * len(days)))


def packed(days: Days, f: Forecast) -> list[bytes]:
    head = kept.heads_of(f, np.full(len(days), 11), np.full(len(days), minutes(T0)))
    return kept.pack(head, rows(f, days), days.offset, np.arange(len(days)))


def test_what_is_shown_reads_back_as_it_was() -> None:
    days = pack([a_day(11, 12, 13), a_day(21, 22)])
    f = made(days)
    data = packed(days, f)
    found = kept.visits(data[0], NOW) | kept.visits(data[1], NOW)
    assert list(found) == [11, 12, 13, 21, 22]
    for r, got in enumerate(found.values()):
        want = visit(f, days, r)
        same = replace(want, p_late=got.p_late, p_window=got.p_window, p_deadline=got.p_deadline, at=NOW)
        assert got == same
        assert abs(got.p_late - want.p_late) < 1e-4
        assert (got.p_deadline is None) == (want.p_deadline is None)
    expected = kept.expected_report(data[0])
    assert expected is not None and abs(minutes(expected) - f.expected_report[0]) < 0.01


def test_a_visit_is_found_by_its_id_wherever_it_stands_now() -> None:
    days = pack([a_day(11, 12, 13)])
    old = packed(days, made(days))
    moved = pack([a_day(12, 14, 11)])
    found = kept.beside(moved, list(old))
    assert found.rows["visit"].tolist() == [12, 0, 11]


def test_the_same_look_moves_nothing_and_minutes_do() -> None:
    days = pack([a_day(11, 12, 13)])
    f = made(days)
    old = kept.beside(days, list(packed(days, f)))
    assert not kept.moved(old, rows(f, days)).any()
    later = replace(f, arrive=f.arrive + np.array([0.0, 0.5, 1.5])[:, None])
    assert kept.moved(old, rows(later, days)).tolist() == [False, False, True]
    likelier = replace(f, p_late=np.minimum(f.p_late + 0.03, 1.0), p_window=f.p_window)
    assert kept.moved(old, rows(likelier, days)).any()


@pytest.mark.parametrize("data", [None, b"", b"\x00" * 40, b"{}"])
def test_another_format_is_as_good_as_nothing(data: bytes | None) -> None:
    days = pack([a_day(11, 12)])
    assert kept.visits(data, NOW) == {}
    assert kept.expected_report(data) is None
    assert not kept.beside(days, [data]).known.any()


def test_the_next_report_was_expected_when_a_forecast_of_that_moment_says() -> None:
    days = pack([a_day(11, 12, 13), a_day(21, 22), Day(9, 1, date(2026, 11, 24), Window(T0, NOW), ())])
    at = np.array([minutes(T0) + 5.0, minutes(NOW), minutes(NOW)])
    found = next_report(days, nothing(), at, np.array([True, True, True]))
    assert found[0] == pytest.approx(forecast(days, nothing(), at[0]).expected_report[0], abs=0.01)
    assert found[1] == pytest.approx(forecast(days, nothing(), at[1]).expected_report[1], abs=0.01)
    assert np.isnan(found[2]) and np.isnan(next_report(days, nothing(), at, np.array([False, True, True]))[0])
