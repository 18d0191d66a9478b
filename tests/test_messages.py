"""The words of messages: complete, kind, short enough, free of excuses - and times as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from punctual import letters, messages, outbox
from punctual.actions import concern, transaction
from punctual.app import TEMPLATES
from punctual.core.day import Window
from punctual.core.kinds import KINDS
from punctual.core.words import FORBIDDEN as VOICE
from punctual.models import Concern, Good, Message, Promise
from tests import build
from tests.build import wall

LINK = "https://visits.bellweather.example/c/" + "x" * 19
#: Every placeholder at its cap (a text may be this long at worst).
CAPS: dict[str, object] = {
    "company": "Northside Heating Co",
    "company_full": "Northside Heating Company",
    "company_phone": "0117 496 0118",
    "company_hours": "Mon-Fri 8:00-18:00",
    "name": "Maximiliana",
    "tech": "Bartholomeus",
    "owner": "Bartholomeus",
    "day": "Wed 18 Nov",
    "old_day": "Tue 17 Nov",
    "day_long": "Wednesday 18 November 2026",
    "from": "10:50 AM",
    "to": "11:20 AM",
    "told_from": "10:00 AM",
    "told_to": "10:30 AM",
    "deadline": "12:00 PM",
    "due": "12:00 PM on Wed 18 Nov",
    "old_due": "12:00 PM on Wed 18 Nov",
    "done_at": "11:40 AM on Wed 18 Nov",
    "promise": "a noun of 20 letters",
    "concern_text": "Monday 9:00 - 10:00",
    "answer_text": "Tuesday 9:00 - 10:00",
    "owner_above": "Maria",
    "hold_until": "10:15 AM",
    "stays": True,
    "words": "Tom Hale, 14:30.",
    "time": "10:50",
    "arrived": "10:50",
    "apology": "On {day_long} we promised to arrive by {told_to} and arrived at {arrived}. We are sorry.",
    "makegood": "a credit of £20.00",
    "makegood_kind": "a discount",
    "makegood_where": "on your invoice",
    "zone": "London time, GMT",
    "job": "Boiler service",
    "link": LINK,
    "truth": "Bartholomeus is not on the way. Expected 10:50 AM-11:20 AM.",
    "visit_ref": "your 10:50 AM visit",
    "last_report": "10:10 AM",
    "next_from": "11:50 AM",
    "count": "12",
    "untold": "3",
    "reason": "The provider cannot be reached.",
    "wish": "Wednesday 18 November 2026, 16:00",
    "offer_list": ["Wednesday 18 November 2026, between 14:00 and 14:30"],
}
#: Texts about texts, and a person's own words.
WITHOUT_LINK = ("optout", "reply")
STOP_LINE = "\nReply STOP to opt out, HELP for help."
TO_CUSTOMERS = sorted(k for k, kind in KINDS.items() if kind.class_ != "staff")
FORBIDDEN = VOICE["en"]
GSM = set("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿")
GSM |= set("abcdefghijklmnopqrstuvwxyzäöñüà\n\r")


def made(kind: str, **facts: object) -> messages.Composed:
    return messages.compose(kind, CAPS | facts, "en")


def preview(html: str) -> str:
    found = re.search(r'class="preview"[^>]*>(.*?)</div>', html, re.DOTALL)
    assert found
    return " ".join(found[1].split())


def visible(html: str) -> str:
    body = html.split("<body>", 1)[1]
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").split())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_its_four_parts_and_leaves_no_placeholder(lite: Flask, kind: str) -> None:
    words = made(kind)
    for part in (words.subject, words.text, words.html, words.sms):
        assert part.strip()
        assert not re.search(r"\{\w+\}|\{\{|\{%|None", re.sub(r"<style>.*?</style>", "", part, flags=re.DOTALL))
    assert sorted(f.name for f in (TEMPLATES / "messages" / kind).iterdir()) == [
        "body.html", "body.txt", "sms.txt", "subject.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", TO_CUSTOMERS)
def test_no_message_excuses_blames_or_promises_what_nobody_knows(lite: Flask, kind: str) -> None:
    words = made(kind)
    for part in (words.subject, preview(words.html), words.text, visible(words.html), words.sms):
        assert not FORBIDDEN.search(part), FORBIDDEN.search(part)
        assert "!" not in part
        assert len(re.findall(r"\bsorry\b", part)) <= (2 if part == visible(words.html) else 1)


@pytest.mark.parametrize(
    "words", ["Unfortunately we are late.", "We will be there any minute", "Click here", "No-show"]
)
def test_forbidden_words_would_be_found(words: str) -> None:
    """Negative control."""
    assert FORBIDDEN.search(words)


@pytest.mark.parametrize("kind", TO_CUSTOMERS)
def test_a_text_fits_two_segments_at_its_longest_and_needs_no_special_letters(lite: Flask, kind: str) -> None:
    sms = made(kind).sms
    assert len(sms + STOP_LINE) <= 306
    assert set(sms) <= GSM
    assert not re.search(r"\d{6,}", sms.replace(LINK, ""))
    if kind not in WITHOUT_LINK:
        assert re.search(rf"{re.escape(LINK)}(\s|$)", sms), "a link is followed by a space or the end"
    assert sms.startswith("Northside Heating Co")


@pytest.mark.parametrize("kind", TO_CUSTOMERS)
def test_subject_and_preview_are_short_and_say_different_things(lite: Flask, kind: str) -> None:
    usual = {"from": "10:50", "to": "11:20", "tech": "Ana", "deadline": "10:00", "due": "17:00 today"}
    words = made(kind, **usual)
    assert 10 <= len(words.subject) <= 60
    assert 10 <= len(preview(words.html)) <= 90
    assert words.subject != preview(words.html)
    assert "Northside" not in words.subject


@pytest.mark.parametrize("kind", TO_CUSTOMERS)
def test_the_plain_part_is_complete_on_its_own(lite: Flask, kind: str) -> None:
    words = made(kind)
    assert words.text.startswith("Hello Maximiliana,\n")
    assert f"\n{LINK}\n" in words.text
    body, footer = words.text.split("\n-- \n")
    assert footer.splitlines()[0] == "Northside Heating Company, 0117 496 0118, Mon-Fri 8:00-18:00"
    assert "local times at the place of the visit (London time, GMT)" in footer
    assert "\n\n\n" not in words.text and not re.search(r"\{|\}", body)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_html_part_stands_alone_and_links_only_to_our_pages(lite: Flask, kind: str) -> None:
    html = made(kind).html
    assert html.startswith("<!doctype html>") and '<html lang="en">' in html
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html
    assert not re.search(r"<(img|link|script|iframe)|src=", html)
    hrefs = re.findall(r'href="([^"]+)"', html)
    assert hrefs and all(h.startswith(LINK) for h in hrefs)
    assert "<a href" in re.search(r'class="main">(.*?)</p>', html, re.DOTALL)[1]  # type: ignore[index]


def test_a_late_mail_says_range_promise_and_choices_in_that_order(lite: Flask) -> None:
    words = made("late_first")
    assert words.subject == "We are running late: now 10:50 AM to 11:20 AM"
    for said in (words.text, visible(words.html)):
        order = [said.find(x) for x in ("sorry", "10:00 AM and 10:30 AM", "If you wait", "On your page")]
        assert order == sorted(order) and -1 not in order
    assert f'href="{LINK}/times"' in made("late_first", times_link=f"{LINK}/times").html


def test_without_free_times_a_deadline_mail_names_none(lite: Flask) -> None:
    assert "- Wednesday 18 November 2026, between 14:00 and 14:30\n" in made("deadline_done").text
    without = made("deadline_done", offer_list=[])
    assert "These times are free" not in without.text + without.html


def test_a_placeholder_without_a_value_is_an_error_that_names_it(lite: Flask) -> None:
    with pytest.raises(ValueError, match=r"no value for \{from\}"):
        messages.compose("late_first", {k: v for k, v in CAPS.items() if k != "from"}, "en")


def test_values_are_put_in_plainly_and_never_read_as_a_template(lite: Flask) -> None:
    nasty = made("late_first", name="{link} {{ 7*7 }} <b>%s</b>")
    assert nasty.text.startswith("Hello {link} {{ 7*7 }} <b>%s</b>,")
    assert "Hello {link} {{ 7*7 }} &lt;b&gt;%s&lt;/b&gt;," in nasty.html


def test_a_value_that_ends_with_a_full_stop_ends_its_sentence(lite: Flask) -> None:
    day = {"day": messages.day_short(date(2026, 11, 24), "de")}
    text = messages.compose("booked", CAPS | day, "de").sms
    assert "am Di, 24.11. Wir planen" in text and ".." not in text
    assert messages.fill("{company}: {day}, {from}.", CAPS | day) == "Northside Heating Co: Di, 24.11., 10:50 AM."


@pytest.mark.parametrize("language", ["en", "es", "de"])
def test_who_asked_us_to_arrive_by_then_is_not_told_that_they_must_leave(lite: Flask, language: str) -> None:
    leave, arrive = (messages.compose("deadline_noted", CAPS | {"arrive": x}, language) for x in (False, True))
    words = {"en": "leave at 12:00", "es": "salir a las 12:00", "de": "um 12:00 PM Uhr weg"}[language]
    assert words in leave.sms and all(words not in x for x in (arrive.sms, arrive.subject, arrive.text, arrive.html))
    assert "12:00 PM" in arrive.subject and len(messages.fold(arrive.sms) + STOP_LINE) <= 306


def test_an_unknown_language_is_written_in_english(lite: Flask) -> None:
    assert messages.compose("kept", CAPS, "xx").subject == made("kept").subject
    assert messages.locale_of("x" * 300) == "en_GB"


def test_every_sentence_of_every_message_can_be_translated() -> None:
    """Words stand only inside t(...): what is left of a template besides it is markup."""
    for file in sorted((TEMPLATES / "messages").rglob("*.txt")):
        left = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", file.read_text(), flags=re.DOTALL)
        assert not re.search(r"[A-Za-z]", left), file
    for file in sorted((TEMPLATES / "messages").rglob("*.html")):
        text = re.sub(
            r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|<style>.*?</style>|<[^>]+>", "", file.read_text(), flags=re.DOTALL
        )
        assert not re.search(r"[A-Za-z]", text), file


AT = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)
DAY = date(2026, 11, 18)


@pytest.mark.parametrize(
    ("language", "clock", "short", "long"),
    [
        ("en", "10:05", "Wed 18 Nov", "Wednesday 18 November 2026"),
        ("en-US", "10:05 AM", "Wed Nov 18", "Wednesday, November 18, 2026"),
        ("es", "10:05", "mié 18 nov", "miércoles, 18 de noviembre de 2026"),
        ("de", "10:05", "Mi, 18.11.", "Mittwoch, 18. November 2026"),
    ],
)
def test_times_and_days_are_written_as_the_language_does(language: str, clock: str, short: str, long: str) -> None:
    assert messages.clock_time(AT, "Europe/London", language) == clock
    assert messages.day_short(DAY, language) == short
    assert messages.day_long(DAY, language) == long


def test_american_noon_and_midnight_are_twelve() -> None:
    noon = AT.replace(hour=12, minute=0)
    assert messages.clock_time(noon, "Europe/London", "en-US") == "12:00 PM"
    assert messages.clock_time(noon - timedelta(hours=12), "Europe/London", "en-US") == "12:00 AM"


def test_a_zone_is_named_in_words_with_what_its_clocks_say_that_day(lite: Flask) -> None:
    assert messages.zone_words("Europe/London", AT) == "London time, GMT"
    assert messages.zone_words("Europe/London", AT.replace(month=7)) == "London time, BST"
    assert messages.zone_words("America/New_York", AT, "en-US") == "New York time, EST"
    assert messages.zone_words("UTC", AT) == "UTC"


def test_the_end_of_a_promise_is_today_or_carries_its_date(lite: Flask) -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    assert messages.due_words(late, AT, "Europe/London") == "23:30 today"
    assert messages.due_words(late, AT, "Europe/Berlin") == "0:30 on Wed 25 Nov"


def test_an_offered_time_is_a_range_in_words(lite: Flask) -> None:
    offered = Window(AT, AT + timedelta(minutes=30))
    assert messages.range_words(offered, "Europe/London") == "Tuesday 24 November 2026, between 10:05 and 10:35"


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("Bellweather", "Bellweather"),
        ("Bellweather Heating and Plumbing", "Bellweather Heating"),
        ("B" * 30, "B" * 20),
    ],
)
def test_a_companys_name_in_a_text_is_cut_at_a_word(name: str, cut: str) -> None:
    assert messages.company_in_text(name) == cut


#: Instants that messages about promises carry.
FACTS = {
    name: wall(at).isoformat()
    for name, at in (
        ("due", "17:00"),
        ("old_due", "12:00"),
        ("done_at", "11:40"),
        ("time", "10:50"),
        ("arrived", "10:50"),
    )
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_can_be_written_from_a_real_visit(lite: Flask, kind: str) -> None:
    staff = KINDS[kind].class_ == "staff"
    with transaction() as s:
        built = build.day(s)
        board = kind.startswith("esc_")
        said = concern.open_(
            s, built.visits["Grace"], "time", "My letter says Monday.", at=wall("08:30"), by="page", tell=False
        )
        wrong = s.scalars(select(Concern.id).where(Concern.said_id == said.answer_id)).one()
        good = Good(
            promise_id=s.scalars(select(Promise.id)).first(), visit_id=built.visits["Grace"].id, kind="late",
            late_min=20, warned=False, credit=2000, currency="GBP", state="granted", at=wall("08:30"),
        )  # fmt: skip
        s.add(good)
        s.flush()
        person = build.dispatcher(s) if board else built.technicians["Tom"] if staff else None
        outbox.put(
            s, key="k", kind=kind, at=wall("08:40"), reason="x", visit=built.visits["Grace"],
            to="technician" if staff else "customer", person=person, facts=FACTS | {"concern": wrong, "good": good.id},
            promise_id=s.scalars(select(Promise.id).where(Promise.visit_id == built.visits["Grace"].id)).first(),
        )  # fmt: skip
        message = s.scalars(select(Message)).one()
        letter = letters.write(s, message, lite.config["SETTINGS"], wall("08:40"))
    assert letter.recipient == (person.email if person else "grace@example.com")
    assert letter.text and letter.subject
