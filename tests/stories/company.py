"""The company the five stories happen to: two technicians, four customers, a dispatcher and her manager, in real processes.

Between two things that happen its clock is set on: web and worker end and start again at the next instant.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2

from tests import running as processes
from tests.build import LONG_AGO
from tests.running import PASSWORD, Desk, Running
from tests.web.desk import words

DANA, MARIA = "dana@bellweather.example", "maria@bellweather.example"
EVE, DAY, NEXT = "2026-11-23", "2026-11-24", "2026-11-25"
SCHEDULE = f"""\
kind,id,name,email,skills,lat,lon,date,from,to,planned,minutes,technician,job,customer,language
{{technicians}}job,boiler,Boiler service,,,,,,,,,45,,,,
visit,V1,,priya@example.com,,51.4683,-2.5967,{DAY},08:00,08:30,08:00,45,Tom Hale,boiler,Priya Shah,en
visit,V2,,grace@example.com,,51.4600,-2.6000,{DAY},09:00,09:30,09:00,45,Tom Hale,boiler,Grace Whitfield,en
visit,V3,,helen@example.com,,51.4480,-2.6050,{DAY},09:00,09:30,09:00,60,Ben Ode,boiler,Helen Okafor,en
visit,V4,,lewis@example.com,,51.4550,-2.5900,{DAY},09:00,09:30,09:00,45,Ana Ribeiro,boiler,Lewis Marsh,en
visit,V5,,iris@example.com,,51.4650,-2.5850,{DAY},09:00,09:30,09:00,60,Cleo Finch,boiler,Iris Blum,en
visit,V6,,olive@example.com,,51.4620,-2.5920,{DAY},09:00,09:30,09:00,60,Dan Moss,boiler,Olive Hart,en
"""
TECHNICIANS = ("Tom Hale", "Ana Ribeiro", "Ben Ode", "Cleo Finch", "Dan Moss")
NAMES = {"V1": "Priya", "V2": "Grace", "V3": "Helen", "V4": "Lewis", "V5": "Iris", "V6": "Olive"}
#: How fast the clock of web and worker runs between two steps.
SPEED = 10
#: Real seconds in which something has to have happened, on a busy machine too.
PATIENCE = 30.0


def schedule() -> str:
    """The file the company imports."""
    lines = []
    for n, name in enumerate(TECHNICIANS, 1):
        lines.append(f"technician,T{n},{name},{name.split()[0].lower()}@bellweather.example,,51.4545,-2.5879" + "," * 9)
        lines += [f"shift,,,,,,,{day},08:00,17:00,,,T{n},,," for day in (DAY, NEXT)]
    return SCHEDULE.format(technicians="".join(f"{line}\n" for line in lines))


@dataclass(frozen=True)
class Mail:
    """What somebody read, and when it was written."""

    subject: str
    text: str
    at: datetime


@dataclass
class Company:
    """The running company as the people of a story meet it: by mail, on their page, at the board, by the API."""

    running: Running
    visits: dict[str, int] = field(default_factory=dict)
    taps: int = 0
    since: tuple[datetime, float] = field(default_factory=lambda: (LONG_AGO, time.time()))

    def at(self, clock: str, day: str = DAY) -> None:
        """It is that time now: web and worker go on from there, and what has fallen due meanwhile is done."""
        then = instant(clock, day)
        if self.now() >= then:
            return
        processes.end(self.running.processes[1:])
        del self.running.processes[1:]
        self.running.env["PUNCTUAL_CLOCK"] = f"{day}T{clock}+00:00 x{SPEED}"
        self.running.start(str(processes.BIN / "punctual"), "run")
        self.running.until(self.running.healthy, 2 * PATIENCE, "A healthy start")
        self.since = then, time.time()

    def now(self) -> datetime:
        """What their clock shows, or a little more."""
        start, real = self.since
        return start + timedelta(seconds=SPEED * (time.time() - real))

    def tap(self, name: str, kind: str, clock: str, minutes: int = 0) -> None:
        """The technician taps."""
        self.taps += 1
        body = {
            "kind": kind,
            "key": f"story-{self.taps:06}",
            "tapped_at": f"{DAY}T{clock}:00+00:00",
            "minutes": minutes,
        }
        self.running.api("POST", f"/visits/{self.visits[name]}/reports", body)

    def promise(self, name: str, kind: str, due: str) -> bool:
        """Dana promises a customer something by then. False where the product has no place for it: the customer
        has heard it all the same."""
        body = {"kind": kind, "due": f"{DAY}T{due}:00+00:00"}
        return self.running.ask("POST", f"/visits/{self.visits[name]}/promises", body).status_code == 201

    def move(self, name: str, start: str, end: str, tell: bool) -> None:
        """Dana moves a visit, with or without a word to the customer."""
        visit = self.running.api("GET", f"/visits/{self.visits[name]}")
        body = {
            "technician_id": visit["technician_id"],
            "window_start": f"{DAY}T{start}:00+00:00",
            "window_end": f"{DAY}T{end}:00+00:00",
            "tell": tell,
        }
        self.running.api("POST", f"/visits/{self.visits[name]}/move", body)

    def mails(self, name: str, words: str = "") -> list[Mail]:
        """What somebody got so far, in order: customers by first name, staff by address."""
        address = name if "@" in name else f"{name.lower()}@example.com"
        found = [
            Mail(m["Subject"], m.get_body(("plain",)).get_content(), m["Date"].datetime)
            for m in self.running.to(address)
        ]
        return [m for m in found if words.lower() in f"{m.subject}\n{m.text}".lower()]

    def hears(self, name: str, words: str, why: str, seconds: float = PATIENCE) -> Mail:
        """The newest mail to somebody that says so; it has a few seconds to arrive, else the story has gone wrong."""

        def newest() -> Mail | None:
            found = self.mails(name, words)
            return found[-1] if found else None

        return self.running.until(newest, seconds, why)

    def until_true(self, what: Callable[[], bool]) -> bool:
        """Whether it becomes true while they watch."""
        over = time.time() + PATIENCE
        while time.time() < over:
            if what():
                return True
            time.sleep(0.5)
        return False

    def link(self, name: str) -> str:
        """A customer's page, by the link in the newest mail to them."""
        found = re.search(rf"{re.escape(self.running.url)}/c/[\w-]{{22}}", self.mails(name)[-1].text)
        assert found, "every mail carries the link"
        return found[0]

    def page(self, name: str) -> str:
        """The words of their page."""
        return words(httpx2.get(self.link(name), timeout=20, verify=False).text)

    def press(self, name: str, what: str, **fields: str) -> httpx2.Response:
        """A button on their page."""
        return httpx2.post(f"{self.link(name)}/{what}", data=fields, follow_redirects=True, timeout=20, verify=False)

    def slots(self, name: str) -> list[str]:
        """The times shown to them, as the page's form sends them."""
        return re.findall(
            r'name="slot" value="([^"]+)"', httpx2.get(f"{self.link(name)}/times", timeout=20, verify=False).text
        )

    def desk(self, email: str = DANA) -> Desk:
        return Desk(self.running, email)


@contextmanager
def company(folder: Path, database: str = "") -> Iterator[Company]:
    """Founded long ago; the day's schedule came in the evening before, and everybody has their reminder."""
    with processes.running(folder, database) as running:
        running.env["PUNCTUAL_CLOCK"] = "2026-11-22T09:00+00:00 x1"
        running.punctual(
            "init", "--name", "Bellweather Heating", "--zone", "Europe/London", "--origin", running.url,
            "--mail-from", "visits@bellweather.example", "--phone", "0117 496 0118", "--hours", "Mon-Fri 8:00-18:00",
            "--country", "GB", "--smtp", "", "--dispatcher", DANA, "--dispatcher-name", "Dana Price",
            "--password", PASSWORD,
        )  # fmt: skip
        manager = ("user", MARIA, "--name", "Maria Boss", "--password", PASSWORD)
        running.punctual(*manager, *([] if processes.OTHER else ["--role", "manager"]))
        file = folder / "schedule.csv"
        file.write_text(schedule())
        running.punctual("import", str(file))
        running.enter()
        made = Company(running)
        made.at("09:30", EVE)
        page = running.api("GET", f"/visits?date={DAY}")["visits"]
        made.visits = {NAMES[v["ref"]]: v["id"] for v in page}
        for name in NAMES.values():
            made.hears(name, "reminder", f"{name}'s reminder")
        yield made


def instant(clock: str, day: str = DAY) -> datetime:
    """A wall time of the story; in winter Bristol keeps UTC."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)
