"""The tables, a module per topic; import them from here."""

from punctual.models.base import Base, UtcDateTime, db, tune
from punctual.models.care import Concern, Difference, Good, GoodRule, Look, Photo
from punctual.models.company import Company, Gate, Heartbeat, Import, Learned, LearnedDay, Outage
from punctual.models.people import ApiToken, Customer, Link, LoginAttempt, Signin, Suppression, Technician, User
from punctual.models.plain import Plain, Reader
from punctual.models.schedule import (
    BoardVersion,
    GeocodeAnswer,
    Job,
    JobType,
    Place,
    Shift,
    SlotClaim,
    Travel,
    Visit,
    touch_board,
)
from punctual.models.told import SAID, Answer, Attempt, Forecast, Message, Notice, Promise, Received, Report

__all__ = [
    "SAID",
    "Answer",
    "ApiToken",
    "Attempt",
    "Base",
    "BoardVersion",
    "Company",
    "Concern",
    "Customer",
    "Difference",
    "Forecast",
    "Gate",
    "GeocodeAnswer",
    "Good",
    "GoodRule",
    "Heartbeat",
    "Import",
    "Job",
    "JobType",
    "Learned",
    "LearnedDay",
    "Link",
    "LoginAttempt",
    "Look",
    "Message",
    "Notice",
    "Outage",
    "Photo",
    "Place",
    "Plain",
    "Promise",
    "Reader",
    "Received",
    "Report",
    "Shift",
    "Signin",
    "SlotClaim",
    "Suppression",
    "Technician",
    "Travel",
    "User",
    "UtcDateTime",
    "Visit",
    "db",
    "touch_board",
    "tune",
]
