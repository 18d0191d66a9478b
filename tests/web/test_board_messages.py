"""The list of messages: a page at a time, the newest first, the older ones a link away."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import outbox
from punctual.actions import transaction
from punctual.models import Message, Visit
from punctual.queries.people import ON_A_PAGE
from tests.build import DATE, wall
from tests.web.desk import Desk, desk


def written(lite: Flask, count: int) -> Desk:
    """So many messages to Grace, a minute apart."""
    made = desk(lite)
    with transaction() as s:
        visit = s.get_one(Visit, made.visit("Grace"))
        for n in range(count):
            outbox.put(s, key=f"n{n}", kind="booked", at=wall("08:00"), reason="booked", visit=visit)
        for n, message in enumerate(s.scalars(select(Message).order_by(Message.id))):
            message.state, message.state_at = "sent", wall("08:00") + timedelta(minutes=n)
    return made


def times(html: str) -> list[str]:
    return re.findall(r'data-t="When">([^<]+)<', html)


def to(html: str, name: str) -> str:
    """Where the link of that name goes; "" where there is none."""
    found = re.search(rf'href="([^"]+)">{name}</a>', html)
    return unescape(found[1]) if found else ""


def test_every_message_is_on_one_page_and_pages_lead_on_and_back(lite: Flask) -> None:
    board = written(lite, ON_A_PAGE + 5)
    first = board.get(f"/board/messages?state=sent&day={DATE}").text
    assert len(times(first)) == ON_A_PAGE and not to(first, "Newer")
    second = board.get(to(first, "Older")).text
    assert len(times(second)) == 5 and not to(second, "Older")
    every = times(first) + times(second)
    assert every == sorted(set(every), reverse=True) and len(every) == ON_A_PAGE + 5
    assert times(board.get(to(second, "Newer")).text) == times(first)


@pytest.mark.parametrize("query", ["", "?page=0", "?page=-3", "?page=x", "?page=99999999999999999999"])
def test_a_page_that_cannot_be_is_the_first_and_few_messages_need_no_pages(lite: Flask, query: str) -> None:
    html = written(lite, ON_A_PAGE).get(f"/board/messages{query}").text
    assert len(times(html)) == ON_A_PAGE
    assert not to(html, "Older") and not to(html, "Newer")
