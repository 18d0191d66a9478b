"""What a file holds once it has been checked: technicians, shifts, job types and visits as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from punctual.core.day import Window
from punctual.intake.cells import Problem


@dataclass(frozen=True, slots=True)
class Known:
    """What the company has already: its zone, country and language, technicians (id -> name), job types (name -> min)."""

    zone: str
    country: str = ""
    language: str = "en"
    technicians: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, float] = field(default_factory=dict)


class Spot(NamedTuple):
    """Where something is: an address, and degrees where the file has them; `named`: a name nobody need look up."""

    address: str
    lat: float | None = None
    lon: float | None = None
    named: bool = False


class Technician(NamedTuple):
    """A technician; None for what the file has no column for."""

    ref: str
    name: str
    email: str | None
    phone: str | None
    skills: tuple[str, ...] | None
    home: Spot | None


class Shift(NamedTuple):
    """A technician's hours on a date, as instants; the break is None without one."""

    technician: str
    date: date
    hours: Window
    rest: Window | None


class Job(NamedTuple):
    """A job type; None for what the file does not say."""

    name: str
    public_name: str | None
    minutes: float | None
    skill: str | None


class Customer(NamedTuple):
    """Whom a visit is for."""

    ref: str | None
    name: str
    email: str | None
    phone: str | None
    language: str | None
    zone: str | None
    early: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """One appointment of the file. `cells` holds its row as written, to see next time what has changed in the file."""

    row: int
    ref: str
    cells: dict[str, str]
    date: date
    zone: str
    window: Window
    wall: tuple[str, str]
    planned_start: datetime
    planned_min: float
    technician: str | None
    job: str
    customer: Customer
    spot: Spot | None
    deadline: datetime | None = None
    deadline_kind: str = "done"
    notes: str = ""
    arrived: datetime | None = None
    finished: datetime | None = None
    cancelled: bool = False


@dataclass(slots=True)
class Checked:
    """A whole file without a fault. `recorded`: days that are over, with stand-in customers; `notes`: what to know."""

    rows: int = 0
    technicians: list[Technician] = field(default_factory=list)
    shifts: list[Shift] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recorded: bool = False


class Unreadable(ValueError):
    """A file of which nothing is taken: every problem found, and how many rows the file has."""

    def __init__(self, problems: list[Problem], rows: int) -> None:
        self.problems, self.rows = sorted(problems, key=lambda p: p.row), rows
        bad = len({p.row for p in problems})
        total = max(rows, bad)
        what = f"{total} {'row' if total == 1 else 'rows'} {'needs' if bad == 1 else 'need'} a change"
        super().__init__(f"Nothing was imported. {bad} of {what}.")
