"""One story end to end, in real processes: a recorded day overruns, the next customer is warned and chooses another time.

Web, worker and mail server are processes of their own; the taps arrive over HTTP; the truth is what the mail server kept.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx2
import icalendar
import pytest

from tests import running as processes
from tests import sink
from tests.conftest import fresh_postgres
from tests.running import Running

DATA = Path(__file__).parent / "data"
START = datetime.fromisoformat("2008-02-13T18:20-05:00")
SPEED = 60
ZONE = "America/New_York"
SPARE = """\
kind,id,name,email,date,from,to,technician
technician,SPARE,Ana Ribeiro,ana@example.com,,,,
shift,,,,{day},08:00,17:00,SPARE
"""


def mail_to(running: Running, address: str, word: str) -> EmailMessage | None:
    """The first accepted mail to an address whose subject has that word."""
    found = [m for m in running.to(address) if word in m["Subject"].lower()]
    return found[0] if found else None


def calendar(mail: EmailMessage) -> icalendar.Event:
    part = next(p for p in mail.walk() if p.get_content_type() == "text/calendar")
    parsed = icalendar.Calendar.from_ical(part.get_payload(decode=True))
    assert part.get_param("method") == str(parsed["METHOD"])
    return next(iter(parsed.walk("VEVENT")))


def rows() -> list[dict[str, str]]:
    with (DATA / "overrun_day.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tap(running: Running, visit: int, kind: str, wall: str, minutes: int = 0) -> None:
    at = datetime.fromisoformat(f"{wall}:00-05:00").isoformat()
    body = {"kind": kind, "key": f"flow-{visit}-{kind}", "tapped_at": at, "minutes": minutes}
    running.api("POST", f"/visits/{visit}/reports", body)


@pytest.fixture(params=[("sqlite", 1), pytest.param(("postgres", 2), marks=pytest.mark.pg)], ids=["sqlite", "postgres"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """The company on SQLite with one web process and one worker, on PostgreSQL with two of each."""
    kind, many = request.param
    with processes.running(tmp_path, fresh_postgres(request) if kind == "postgres" else "", many) as running:
        running.punctual("import", str(DATA / "overrun_day.csv"), "--zone", ZONE)
        running.enter()
        running.env["PUNCTUAL_CLOCK"] = f"{START.isoformat(timespec='minutes')} x{SPEED}"
        running.start(str(processes.BIN / "punctual"), "serve")
        for _ in range(many):
            running.start(str(processes.BIN / "punctual"), "worker")
        running.until(running.healthy, 40, "A healthy start")
        yield running


def test_an_overrun_warns_the_next_customer_who_then_chooses_another_time(running: Running) -> None:
    recorded = rows()
    page = running.api("GET", f"/visits?date={recorded[0]['date']}")
    visits = {v["ref"].rsplit("-", 1)[-1] if v.get("ref") else "": v for v in page["visits"]}
    for row in recorded[:5]:
        tap(running, visits[row["seq"]]["id"], "arrived", row["actual_start"])
        tap(running, visits[row["seq"]]["id"], "done", row["actual_end"])
    tap(running, visits["6"]["id"], "arrived", recorded[5]["actual_start"])
    tap(running, visits["6"]["id"], "late", recorded[0]["date"] + "T18:20", minutes=60)

    warned = visits["7"]
    address = "N757LV-7@example.com"
    window_opens = datetime.fromisoformat(f"{recorded[6]['planned_start']}:00-05:00")
    mail = running.until(lambda: mail_to(running, address, "late"), 60, "The warning")
    sent = mail["Date"].datetime
    assert START < sent < window_opens, "the customer is warned before the window opens"
    assert mail["Auto-Submitted"] == "auto-generated"
    link = re.search(rf"{re.escape(running.url)}/c/[\w-]{{22}}", mail.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert link, "the mail carries the customer's link"
    # The page speaks of what was told once the mail server's answer is written down, an instant after the mail.
    running.until(
        lambda: "sorry" in httpx2.get(link[0], timeout=20, verify=False).raise_for_status().text,
        10,
        "The apology on the page",
    )

    before = running.api("GET", f"/visits/{warned['id']}")
    tomorrow = (window_opens + timedelta(days=1)).date().isoformat()
    running.api("POST", "/import", {"name": "spare.csv", "csv": SPARE.format(day=tomorrow)})
    times = running.api("GET", f"/visits/{warned['id']}/times")["times"]
    chosen = next(t for t in times if t["date"] == tomorrow)
    versions = {d: running.api("GET", f"/days/{d}")["version"] for d in (recorded[0]["date"], tomorrow)}
    choice = {"slot": f"{chosen['technician_id']}|{chosen['start']}"}
    answer = httpx2.post(f"{link[0]}/choice", data=choice, follow_redirects=True, timeout=20, verify=False)
    assert answer.status_code == 200, answer.text
    moved = running.until(lambda: mail_to(running, address, "new"), 30, "The confirmation")
    event = calendar(moved)
    after = running.api("GET", f"/visits/{warned['id']}")
    assert (
        event.start == datetime.fromisoformat(after["window_start"]) == datetime.fromisoformat(chosen["window_start"])
    )
    assert datetime.fromisoformat(after["window_start"]) > datetime.fromisoformat(before["window_start"])
    for day, version in versions.items():
        assert running.api("GET", f"/days/{day}")["version"] > version, f"the board of {day} has changed"

    again = next(
        t for t in running.api("GET", f"/visits/{warned['id']}/times")["times"] if t["start"] != chosen["start"]
    )
    httpx2.post(
        f"{link[0]}/choice", data={"slot": f"{again['technician_id']}|{again['start']}"}, timeout=20, verify=False
    )
    second = running.until(lambda: newest(running, address, moved), 30, "The second confirmation")
    assert calendar(second)["UID"] == event["UID"], "the entry moves, no second one is made"
    assert int(calendar(second)["SEQUENCE"]) > int(event["SEQUENCE"])
    ids = [m["Message-ID"] for m in sink.kept(running.mails)]
    assert len(ids) == len(set(ids)), "no message twice"


def newest(running: Running, address: str, before: EmailMessage) -> EmailMessage | None:
    """A confirmation to the same address after that one."""
    found = [m for m in running.to(address) if "new" in m["Subject"].lower()]
    return found[-1] if found and found[-1]["Message-ID"] != before["Message-ID"] else None
