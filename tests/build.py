"""A day written as text becomes rows: what every test of more than the core starts from."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from sqlalchemy.orm import Session

from punctual.core.day import at_wall
from punctual.models import Company, Customer, JobType, Place, Promise, Shift, Technician, User, Visit

DATE = date(2026, 11, 24)
ZONE = "Europe/London"
LONG_AGO = datetime(2026, 11, 1, 9, tzinfo=UTC)

#: Tom's morning in Bristol: one job under way, two to come, one customer with a deadline.
MORNING = """
Tom 08:00-17:00 break 12:30-13:00 skills boiler,heating home 51.4545,-2.5879
  09:00-09:30 Priya boiler 60 at 51.4683,-2.5967
  10:00-10:30 Grace boiler 45 at 51.4600,-2.6000 leave 12:00
  13:00-13:30 Helen heating 60 at 51.4480,-2.6050
Ana 08:00-17:00 skills boiler home 51.4600,-2.5800
  11:00-11:30 Lewis boiler 60 at 51.4550,-2.5900
"""


@dataclass
class Built:
    """The rows a text made, by first name; `shifts` by technician."""

    company: Company
    technicians: dict[str, Technician] = field(default_factory=dict)
    shifts: dict[str, Shift] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)


def wall(text: str, day: date = DATE, zone: str = ZONE) -> datetime:
    """ "09:30" on the built day as an instant."""
    hour, minute = text.split(":")
    return at_wall(day, int(hour), int(minute), zone)


def company(s: Session, **values: object) -> Company:
    """The one company; give rules={...} to change some."""
    given: dict[str, object] = {
        "id": 1,
        "name": "Bellweather Heating",
        "text_name": "Bellweather",
        "zone": ZONE,
        "language": "en",
        "country": "GB",
        "phone": "0117 496 0118",
        "hours": "Mon-Fri 8:00-18:00",
        "mail_from": "visits@bellweather.example",
        "rules": {},
        "created_at": LONG_AGO,
    }
    row = Company(**(given | values))
    s.add(row)
    s.flush()
    return row


def dispatcher(s: Session, email: str = "dana@bellweather.example", password_hash: str = "") -> User:
    """A dispatcher who may sign in."""
    row = User(email=email, name="Dana Price", password_hash=password_hash, created_at=LONG_AGO)
    s.add(row)
    s.flush()
    return row


TECHNICIAN = re.compile(
    r"(?P<name>\w+) (?P<start>[\d:]+)-(?P<end>[\d:]+)(?: break (?P<b0>[\d:]+)-(?P<b1>[\d:]+))?"
    r"(?: skills (?P<skills>[\w,]+))?(?: home (?P<lat>[-\d.]+),(?P<lon>[-\d.]+))?$"
)
VISIT = re.compile(
    r"(?P<start>[\d:]+)-(?P<end>[\d:]+) (?P<name>\w+) (?P<job>\w+) (?P<min>\d+)(?: plan (?P<plan>[\d:]+))?"
    r"(?: at (?P<lat>[-\d.]+),(?P<lon>[-\d.]+))?(?: (?P<kind>leave|arrive) (?P<deadline>[\d:]+))?(?P<mute> mute)?$"
)


def day(
    s: Session, text: str = MORNING, *, on: date = DATE, zone: str = ZONE, origin: str = "board", **values: object
) -> Built:
    """Rows for a text like MORNING. "mute" makes a customer without e-mail or phone; promises are open windows."""
    built = Built(s.get(Company, 1) or company(s, zone=zone, **values))
    technician: Technician | None = None
    for line in filter(None, (raw.rstrip() for raw in text.splitlines())):
        if not line.startswith(" "):
            technician = _technician(s, built, line, on, zone)
        else:
            assert technician is not None
            _visit(s, built, technician, line.strip(), on, zone, origin)
    s.flush()
    return built


def _place(s: Session, lat: str | None, lon: str | None, address: str) -> Place | None:
    if lat is None or lon is None:
        return None
    row = Place(address=address, lat=float(lat), lon=float(lon), state="known")
    s.add(row)
    s.flush()
    return row


def _technician(s: Session, built: Built, line: str, on: date, zone: str) -> Technician:
    m = TECHNICIAN.match(line)
    assert m, f"cannot read the technician line {line!r}"
    name = m["name"]
    row = s.query(Technician).filter_by(ref=name).one_or_none()
    if row is None:
        home = _place(s, m["lat"], m["lon"], f"{name}'s home")
        row = Technician(
            ref=name,
            name=f"{name} Hale",
            email=f"{name.lower()}@bellweather.example",
            skills=m["skills"].split(",") if m["skills"] else [],
            home_place_id=home.id if home else None,
        )
        s.add(row)
        s.flush()
    shift = Shift(
        technician_id=row.id,
        date=on,
        starts_at=wall(m["start"], on, zone),
        ends_at=wall(m["end"], on, zone),
        break_starts_at=wall(m["b0"], on, zone) if m["b0"] else None,
        break_ends_at=wall(m["b1"], on, zone) if m["b1"] else None,
    )
    s.add(shift)
    s.flush()
    built.technicians[name], built.shifts[name] = row, shift
    return row


def _visit(s: Session, built: Built, technician: Technician, line: str, on: date, zone: str, origin: str) -> None:
    m = VISIT.match(line)
    assert m, f"cannot read the visit line {line!r}"
    name = m["name"]
    job = s.query(JobType).filter_by(name=m["job"]).one_or_none()
    if job is None:
        job = JobType(
            name=m["job"], public_name=f"{m['job'].title()} service", planned_min=float(m["min"]), skill=m["job"]
        )
        s.add(job)
    email = None if m["mute"] else f"{name.lower()}@example.com"
    customer = Customer(name=f"{name} Whitfield", email=email, language="en", created_at=LONG_AGO)
    s.add(customer)
    s.flush()
    start, end = wall(m["start"], on, zone), wall(m["end"], on, zone)
    place = _place(s, m["lat"], m["lon"], f"{len(built.visits) + 1} Upton Road, Bristol")
    visit = Visit(
        ref=f"{on.isoformat()}-{name}",
        customer_id=customer.id,
        technician_id=technician.id,
        job_type_id=job.id,
        place_id=place.id if place else None,
        date=on,
        zone=zone,
        planned_start=wall(m["plan"], on, zone) if m["plan"] else start,
        planned_min=float(m["min"]),
        window_start=start,
        window_end=end,
        wall_start=f"{on.isoformat()}T{m['start']}",
        wall_end=f"{on.isoformat()}T{m['end']}",
        deadline=wall(m["deadline"], on, zone) if m["deadline"] else None,
        deadline_kind="arrive" if m["kind"] == "arrive" else "done",
        origin=origin,
        uid=f"{uuid.uuid4()}@bellweather.example",
        created_at=LONG_AGO,
        changed_at=LONG_AGO,
    )
    s.add(visit)
    s.flush()
    s.add(Promise(visit_id=visit.id, kind="window", opens_at=start, due_at=end, made_by="test", made_at=LONG_AGO))
    built.visits[name], built.customers[name] = visit, customer
