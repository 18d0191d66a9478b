"""The product's own calendar mails, judged by programs that are not ours: libical, ical.js and a Radicale server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from flask import Flask

from punctual import itip, preview
from punctual.app import create_app
from punctual.config import Settings
from punctual.itip import reply
from punctual.models import db
from tests import judges

OURS = ("1-confirmation", "2-lateness", "3-reschedule", "4-cancel")
ALL = {
    *(f"{name}.{form}" for name in (*OURS, "6-counter-outlook", "7-reply-declined") for form in ("eml", "ics")),
    "5-feed.ics", "6b-declinecounter.ics", "6c-counter-rfc.ics", "7b-reply-declined-outlook.ics",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Path]:
    """What `punctual preview --calendar` writes."""
    judges.needed()
    here = tmp_path_factory.mktemp("preview")
    (here / "punctual.db").write_bytes(sqlite_template.read_bytes())
    app: Flask = create_app(Settings(instance=here, **preview.SETTINGS))
    preview.write(app, here / "out")
    with app.app_context():
        db.engine.dispose()
    yield here / "out"


def test_every_file_the_judges_want_is_written(folder: Path) -> None:
    assert {f.name for f in folder.iterdir()} == ALL


@pytest.mark.parametrize("name", sorted(x for x in ALL if x.endswith(".ics") and "outlook" not in x))
def test_libical_and_its_itip_tables_find_nothing(folder: Path, name: str) -> None:
    assert judges.libical((folder / name).read_bytes()) == []


def test_libical_would_find_what_is_wrong(folder: Path) -> None:
    """Negative control: a request without its organizer."""
    raw = (folder / "1-confirmation.ics").read_bytes()
    assert judges.libical(re.sub(rb"ORGANIZER[^\r]*\r\n( [^\r]*\r\n)*", b"", raw)) != []


def test_ical_js_reads_one_visit_that_is_late_moves_and_goes(folder: Path) -> None:
    read = {name: judges.ical_js((folder / f"{name}.ics").read_bytes()) for name in OURS}
    assert {row[0] for rows in read.values() for row in rows} == {preview.UID}
    booked, late, moved, gone = (read[name][0] for name in OURS)
    assert booked[1:3] == late[1:3] == ("20261124T100000Z", "20261124T110000Z"), "lateness leaves the window alone"
    assert re.search(r"running late, expected \d+:\d\d-\d+:\d\d", late[3])
    assert moved[1] > booked[1] and gone[1:3] == moved[1:3] and gone[3].startswith("Cancelled: ")
    assert [row[4] for row in (booked, late, moved, gone)] == sorted({row[4] for row in (booked, late, moved, gone)})


def test_radicale_keeps_every_revision_and_every_visit_of_the_feed(folder: Path, tmp_path: Path) -> None:
    with judges.radicale(tmp_path) as server:
        for name, status in zip(OURS, (201, 204, 204, 204), strict=True):
            stored = re.sub(rb"METHOD:[A-Z]+\r\n", b"", (folder / f"{name}.ics").read_bytes())  # RFC 4791 4.1
            assert server.put("visit.ics", stored) == status
        assert server.put("broken.ics", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n") >= 400, "it would refuse what is none"
        head, *events = (folder / "5-feed.ics").read_bytes().split(b"BEGIN:VEVENT")
        for n, event in enumerate(events):
            body = event.removesuffix(b"END:VCALENDAR\r\n")
            assert server.put(f"{n}.ics", b"".join((head, b"BEGIN:VEVENT", body, b"END:VCALENDAR\r\n"))) == 201


@pytest.mark.parametrize("name", ["6-counter-outlook.eml", "7-reply-declined.eml"])
def test_the_customers_mails_are_read_back(folder: Path, name: str) -> None:
    mail = message_from_bytes((folder / name).read_bytes(), policy=policy.default)
    found = reply.find(mail)
    assert found is not None and found.uid == preview.UID and found.attendee == preview.CUSTOMER
    if found.method == "COUNTER":
        assert found.start is not None and f"{found.start:%Y%m%dT%H%M%SZ}" == "20261124T200000Z"
        assert found.original is not None and f"{found.original[0]:%H%M}" == "1000"


def test_a_calendar_is_asked_for_again_with_only_a_new_stamp(folder: Path) -> None:
    raw = (folder / "3-reschedule.ics").read_bytes()
    stamp = reply.one((folder / "4-cancel.ics").read_bytes()).stamp
    assert stamp is not None
    again = itip.restamped(raw, stamp)
    changed = [b for a, b in zip(raw.splitlines(), again.splitlines(), strict=True) if a != b]
    assert changed == [f"DTSTAMP:{stamp:%Y%m%dT%H%M%SZ}".encode()]
