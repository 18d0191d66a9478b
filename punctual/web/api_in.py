"""What programs send to the API, checked strictly; the OpenAPI document is made from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

#: Text of one line without control characters; text of several lines.
LINE, TEXT = r"^[^\x00-\x1f\x7f]*$", r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
KEY, LANGUAGE = r"^[!-~]+$", r"^([a-zA-Z]{2}(-[a-zA-Z]{2})?)?$"
NAME = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

Instant = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST, description="An instant, with its offset from UTC.")]
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=NAME)]
Address = Annotated[str, Field(max_length=300, pattern=LINE)]
Short = Annotated[str, Field(max_length=80, pattern=LINE)]
Notes = Annotated[str, Field(max_length=2000, pattern=TEXT)]
Minutes = Annotated[float, Field(ge=1, le=1440)]
DeadlineKind = Literal["done", "arrive"]


#: What a text that fits none of these patterns is told.
WANTED = {
    LINE: "Write one line of text, without control characters.",
    TEXT: "Write text without control characters.",
    KEY: "Write letters, digits and signs without spaces.",
    NAME: "Write a name in one line, without control characters.",
    LANGUAGE: "Write a language like en or en-GB.",
}


class In(BaseModel):
    """What a program sends: exactly these names, exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class CustomerIn(In):
    """Somebody new: a name, and where to write to."""

    name: Name
    email: Annotated[str, Field(max_length=254, pattern=LINE)] = ""
    phone: Annotated[str, Field(max_length=40, pattern=LINE)] = ""
    language: Annotated[str, Field(max_length=5, pattern=LANGUAGE)] = ""


class VisitIn(In):
    """A visit to be added. Give `customer` or `customer_id`; `job` is a job type's name; degrees beat the address."""

    window_start: Instant
    window_end: Instant
    job: Annotated[str, Field(min_length=1, max_length=80, pattern=LINE)]
    customer: CustomerIn | None = None
    customer_id: Id | None = None
    technician_id: Id | None = None
    planned_start: Instant | None = None
    planned_min: Minutes | None = None
    address: Address = ""
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    notes: Notes = ""
    deadline: Instant | None = None
    deadline_kind: DeadlineKind = "done"
    ref: Annotated[str, Field(min_length=1, max_length=80, pattern=LINE)] | None = None
    tell: bool = True

    @model_validator(mode="after")
    def sense(self) -> VisitIn:
        if self.window_end <= self.window_start:
            raise ValueError("window_end must be after window_start.")
        if (self.customer is None) == (self.customer_id is None):
            raise ValueError("give customer or customer_id.")
        if (self.lat is None) != (self.lon is None):
            raise ValueError("give lat and lon, or neither.")
        if self.planned_start and not self.window_start <= self.planned_start <= self.window_end:
            raise ValueError("planned_start must lie within the window.")
        return self


class VisitEdit(In):
    """What is given is changed, the rest stays; `deadline` null takes the customer's limit away."""

    notes: Notes | None = None
    planned_min: Minutes | None = None
    deadline: Instant | None = None
    deadline_kind: DeadlineKind | None = None

    def changes(self) -> dict[str, Any]:
        """Only what was given; null means something for the deadline alone."""
        given = self.model_dump(include=self.model_fields_set)
        return {k: v for k, v in given.items() if v is not None or k == "deadline"}


class MoveIn(In):
    """Another time, maybe with another technician; `planned_start` is the window's start by default."""

    technician_id: Id
    window_start: Instant
    window_end: Instant
    planned_start: Instant | None = None
    tell: bool = True

    @model_validator(mode="after")
    def sense(self) -> MoveIn:
        if self.window_end <= self.window_start:
            raise ValueError("window_end must be after window_start.")
        return self


class GiveIn(In):
    """Another technician on the same day, under the same promise."""

    technician_id: Id


class CancelIn(In):
    """Whether the customer is told."""

    tell: bool = True


class ReportIn(In):
    """A technician's tap: `key` is made where it was tapped and counts once; `minutes` belongs to late."""

    kind: Literal["on_my_way", "arrived", "late", "done", "nobody_home", "cannot_finish", "undo"]
    key: Annotated[str, Field(min_length=8, max_length=80, pattern=KEY)]
    tapped_at: Instant
    minutes: Annotated[int, Field(ge=0, le=600)] = 0
    note: Notes = ""
    of_key: Annotated[str, Field(min_length=8, max_length=80, pattern=KEY)] | None = None


class ImportIn(In):
    """A schedule file as text; the format is described in docs/import.md."""

    csv: Annotated[str, Field(min_length=1, max_length=8 * 2**20)]
    name: Annotated[str, Field(max_length=200, pattern=LINE)] = "schedule.csv"
    zone: Annotated[str, Field(max_length=64, pattern=LINE)] | None = None
    dry: bool = False
    tell: bool = False
    actuals: bool = False
