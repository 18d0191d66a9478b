"""The rows of a company's own schedule file - technicians, shifts, job types, visits - checked cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TypeVar

from punctual.core.day import Window, at_wall, wall_exists
from punctual.intake import cells
from punctual.intake.cells import Problem, Time, Wrong
from punctual.intake.sheet import Sheet, columns
from punctual.intake.values import Checked, Customer, Job, Known, Shift, Spot, Technician, Unreadable, Visit

COLUMNS = (
    "kind", "id", "name", "email", "phone", "skills", "address", "lat", "lon", "date", "from", "to", "break_from",
    "break_to", "planned", "minutes", "technician", "job", "customer", "customer_id", "language", "zone", "leave_by",
    "arrive_by", "notes", "early_messages", "arrived", "finished", "cancelled",
)  # fmt: skip
KINDS = ("technician", "shift", "job", "visit")
NEEDED = {
    "technician": ("id", "name"),
    "shift": ("technician", "date", "from", "to"),
    "job": ("id",),
    "visit": ("id", "date", "from", "to", "job", "customer"),
}
#: The longest text of a column, in characters.
LONGEST = {"id": 80, "name": 120, "customer": 120, "customer_id": 80, "job": 80, "address": 300, "notes": 2000}
#: Reading stops at this many problems: whoever made the file has seen the pattern by then.
MOST_PROBLEMS = 500
T = TypeVar("T")


def read(sheet: Sheet, known: Known, zone: str, *, progress: Callable[[int, int], None]) -> Checked:
    """The whole file as values, or Unreadable with every problem found. `zone` holds where a row names none."""
    kinds = {cell.get("kind", "").lower() or "visit" for _, cell in sheet} & set(KINDS)
    needed = sorted({name for kind in kinds for name in NEEDED[kind]}, key=COLUMNS.index) or ["id"]
    checked = Checked(rows=len(sheet.rows), notes=columns(sheet, COLUMNS, tuple(needed)))
    reader = Reader(sheet, known, zone, checked)
    for n, (row, cell) in enumerate(sheet):
        if n % 500 == 0:
            progress(n, len(sheet.rows))
        reader.take(row, cell)
        if len(reader.problems) >= MOST_PROBLEMS:
            break
    if reader.problems:
        raise Unreadable(reader.problems, len(sheet.rows))
    return checked


class Reader:
    """Takes row after row; what is wrong is kept with its row and column, so that one pass finds everything."""

    def __init__(self, sheet: Sheet, known: Known, zone: str, checked: Checked) -> None:
        self.known, self.zone, self.checked = known, zone, checked
        self.columns = frozenset(sheet.header)
        self.problems: list[Problem] = []
        self.seen: dict[tuple[str, str], int] = {}
        self.row, self.cell = 0, {}  # type: int, dict[str, str]
        self.technicians = dict(known.technicians)
        self.jobs = dict(known.jobs)
        here: dict[str, str] = {}
        for _, cell in sheet:
            if cell.get("kind", "").lower() == "technician" and cell.get("id"):
                here[cell["id"]] = cell.get("name", "")
            elif cell.get("kind", "").lower() == "job" and cell.get("id"):
                self.jobs.setdefault(cell["id"], 0.0)
        self.technicians |= here
        self.by_name: dict[str, list[str]] = {}
        for ref, name in self.technicians.items():
            self.by_name.setdefault(name.casefold(), []).append(ref)
        for name in set(here.values()):  # whom the file itself describes is meant
            self.by_name[name.casefold()] = [ref for ref, other in here.items() if other.casefold() == name.casefold()]

    def take(self, row: int, cell: dict[str, str]) -> None:
        """Check one row and keep what it holds."""
        self.row, self.cell = row, cell
        kind = cell.get("kind", "").lower() or "visit"
        if kind not in KINDS:
            hint = cells.meant(kind, {kind: kind for kind in KINDS}) or f" Write {', '.join(KINDS)}."
            self.wrong("kind", f'"{cells.short(kind)}" is not known.{hint}')
            return
        for name in NEEDED[kind]:
            if not cell.get(name):
                self.wrong(name, f"empty. Every {kind} needs one.")
        for name, longest in LONGEST.items():
            if len(cell.get(name, "")) > longest:
                self.wrong(name, f"longer than {longest} characters.")
        self.once(kind)
        {"technician": self.technician, "shift": self.shift, "job": self.job, "visit": self.visit}[kind]()

    def wrong(self, column: str, sentence: str) -> None:
        self.problems.append(Problem(self.row, column, f"Row {self.row}, column `{column}`: {sentence}"))

    def once(self, kind: str) -> None:
        """The same id, or the same technician's date, is refused with both rows."""
        key = self.cell.get("id", "") if kind != "shift" else f"{self.cell.get('technician')} {self.cell.get('date')}"
        first = self.seen.setdefault((kind, key), self.row)
        if key and first != self.row:
            column = "date" if kind == "shift" else "id"
            what = "are the same shift" if kind == "shift" else "have the same `id`"
            self.problems.append(Problem(self.row, column, f"Rows {first} and {self.row} {what} {cells.short(key)}."))

    def read(self, column: str, how: Callable[[str], T]) -> T | None:
        """One cell as a value; None where it is empty, or wrong (then the problem is kept)."""
        text = self.cell.get(column, "")
        if not text:
            return None
        try:
            return how(text)
        except Wrong as error:
            self.wrong(column, str(error))
            return None

    def instant(self, column: str, on: date | None, zone: str) -> datetime | None:
        """A wall time of that date; one that the clocks skip is refused."""
        at = self.read(column, cells.time)
        if at is None or on is None:
            return None
        day = on + timedelta(days=at.after)
        if not wall_exists(day, at.hour, at.minute, zone):
            plain = f"{at.hour:02}:{at.minute:02} does not exist on {day.day} {day:%b %Y} in {zone}"
            self.wrong(column, f"{plain} (clocks go forward).")
            return None
        return at_wall(day, at.hour, at.minute, zone)

    def span(self, first: str, last: str, on: date | None, zone: str) -> Window | None:
        """Two wall times of a date, the second after the first."""
        start, end = self.instant(first, on, zone), self.instant(last, on, zone)
        if start is None or end is None:
            return None
        if end <= start or end - start > timedelta(days=1):
            self.wrong(last, f"{self.cell[last]} is not after `{first}` {self.cell[first]}.")
            return None
        return Window(start, end)

    def who(self) -> str | None:
        """The id of the technician a row names, by id or by name."""
        given = self.cell.get("technician", "")
        if not given or given in self.technicians:
            return given or None
        refs = self.by_name.get(given.casefold(), [])
        if len(refs) == 1:
            return refs[0]
        if refs:
            ids = " or ".join(cells.short(ref) for ref in refs)
            self.wrong("technician", f'"{cells.short(given)}" is the name of several. Write the id: {ids}.')
            return None
        full = {name.split()[0]: name for name in self.technicians.values() if name}
        hint = cells.meant(given, full | {word: word for word in (*self.technicians, *full.values())})
        self.wrong("technician", f'"{cells.short(given)}" is not known.{hint}')
        return None

    def spot(self) -> Spot | None:
        """Address and coordinates; both degrees or neither."""
        lat = self.read("lat", lambda x: cells.number(x, -90, 90))
        lon = self.read("lon", lambda x: cells.number(x, -180, 180))
        if bool(self.cell.get("lat")) != bool(self.cell.get("lon")):
            empty = "lon" if self.cell.get("lat") else "lat"
            self.wrong(empty, "empty. Coordinates need both `lat` and `lon`.")
        address = " ".join(self.cell.get("address", "").split())
        if not address and lat is None:
            return None
        return Spot(address or f"{lat:.5f}, {lon or 0.0:.5f}", lat, lon)

    def reach(self) -> tuple[str | None, str | None]:
        """E-mail and phone, as they are kept."""
        return self.read("email", cells.email), self.read("phone", lambda x: cells.phone(x, self.known.country))

    def technician(self) -> None:
        email, phone = self.reach()
        listed = self.cell.get("skills", "").replace(";", ",").replace("|", ",").split(",")
        self.checked.technicians.append(
            Technician(
                ref=self.cell["id"],
                name=" ".join(self.cell["name"].split()),
                email=email,
                phone=phone,
                skills=tuple(dict.fromkeys(filter(None, map(str.strip, listed)))) if "skills" in self.columns else None,
                home=self.spot(),
            )
        )

    def shift(self) -> None:
        who, on = self.who(), self.read("date", cells.day)
        zone = self.read("zone", cells.zone) or self.zone
        hours = self.span("from", "to", on, zone)
        rest = None
        if self.cell.get("break_from") or self.cell.get("break_to"):
            for name in ("break_from", "break_to"):
                if not self.cell.get(name):
                    self.wrong(name, "empty. A break needs `break_from` and `break_to`.")
            rest = self.span("break_from", "break_to", on, zone)
            if rest and hours and not (hours.start <= rest.start and rest.end <= hours.end):
                self.wrong("break_from", "the break lies outside the shift.")
        if who and on and hours:
            self.checked.shifts.append(Shift(who, on, hours, rest))

    def job(self) -> None:
        minutes = self.read("minutes", lambda x: cells.number(x, 1, 1440))
        skill = self.cell.get("skills") if "skills" in self.columns else None
        if skill is not None and len(skill) > 40:
            self.wrong("skills", "longer than 40 characters. A job type needs one skill.")
        if len(self.cell.get("name", "")) > 80:
            self.wrong("name", "longer than 80 characters.")
        self.checked.jobs.append(Job(self.cell["id"], self.cell.get("name") or None, minutes, skill))
        self.jobs[self.cell["id"]] = minutes or self.known.jobs.get(self.cell["id"], 60.0)

    def visit(self) -> None:
        before = len(self.problems)
        on = self.read("date", cells.day)
        zone = self.read("zone", cells.zone) or self.zone
        window = self.span("from", "to", on, zone)
        planned = self.planned(on, zone, window)
        minutes = self.read("minutes", lambda x: cells.number(x, 1, 1440)) or self.jobs.get(self.cell["job"])
        if minutes is None and self.cell.get("job"):
            hint = cells.meant(self.cell["job"], {job: job for job in self.jobs})
            self.wrong("job", f'"{cells.short(self.cell["job"])}" is not known.{hint or " Fill `minutes` to add it."}')
        deadline, kind = self.limit(on, zone, window)
        arrived, finished = self.actual("arrived", on, zone), self.actual("finished", on, zone)
        if (arrived is None) != (finished is None):
            self.wrong("finished" if arrived else "arrived", "empty. A visit that is over needs both times.")
        elif arrived and finished and finished < arrived:
            self.wrong("finished", f"{self.cell['finished']} is not after `arrived` {self.cell['arrived']}.")
        customer, spot, technician = self.customer(zone if self.cell.get("zone") else None), self.spot(), self.who()
        cancelled = self.read("cancelled", cells.flag) or False
        if arrived and finished and (cancelled or technician is None):
            self.wrong("arrived", "a visit that took place needs a technician and is not cancelled.")
        if len(self.problems) > before or on is None or window is None or planned is None:
            return
        self.checked.visits.append(
            Visit(
                row=self.row,
                ref=self.cell["id"],
                cells={k: v for k, v in self.cell.items() if k in COLUMNS and k not in ("kind", "id", "name", "skills")}
                | ({} if self.cell.get("zone") else {"zone": zone}),
                date=on,
                zone=zone,
                window=window,
                wall=(self.wall("from", on), self.wall("to", on)),
                planned_start=planned,
                planned_min=minutes or 60.0,
                technician=technician,
                job=self.cell["job"],
                customer=customer,
                spot=spot,
                deadline=deadline,
                deadline_kind=kind,
                notes=self.cell.get("notes", ""),
                arrived=arrived,
                finished=finished,
                cancelled=cancelled,
            )
        )

    def planned(self, on: date | None, zone: str, window: Window | None) -> datetime | None:
        """When work is planned to start: `planned`, within the window, else the window's start."""
        given = self.instant("planned", on, zone)
        if given is not None and window is not None and not window.start <= given <= window.end:
            self.wrong("planned", f"{self.cell['planned']} is not within `from` and `to`.")
        return given or (window.start if window else None)

    def limit(self, on: date | None, zone: str, window: Window | None) -> tuple[datetime | None, str]:
        """The customer's own limit: done by `leave_by`, or arrived by `arrive_by`."""
        leave, arrive = self.instant("leave_by", on, zone), self.instant("arrive_by", on, zone)
        if leave and arrive:
            self.wrong("arrive_by", "fill `leave_by` or `arrive_by`, not both.")
        found = leave or arrive
        if found and window and found <= window.start:
            column = "leave_by" if leave else "arrive_by"
            self.wrong(column, f"{self.cell[column]} is not after `from` {self.cell['from']}.")
        return found, "arrive" if arrive and not leave else "done"

    def actual(self, column: str, on: date | None, zone: str) -> datetime | None:
        """A time that was recorded: a wall time of the date, or a date with a time."""
        if "T" in self.cell.get(column, "") or "-" in self.cell.get(column, ""):
            found = self.read(column, cells.stamp)
            return at_wall(found[0], found[1].hour, found[1].minute, zone) if found else None
        return self.instant(column, on, zone)

    def wall(self, column: str, on: date) -> str:
        at: Time = cells.time(self.cell[column])
        return f"{(on + timedelta(days=at.after)).isoformat()}T{at.hour:02}:{at.minute:02}"

    def customer(self, zone: str | None) -> Customer:
        email, phone = self.reach()
        return Customer(
            ref=self.cell.get("customer_id") or None,
            name=" ".join(self.cell["customer"].split()),
            email=email,
            phone=phone,
            language=self.read("language", cells.language),
            zone=zone,
            early=self.read("early_messages", cells.flag) or False,
        )
