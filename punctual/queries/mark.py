"""What a customer's page is made of, as a mark: while it stands, nothing on the page has moved."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, bindparam, func, or_, select

from punctual.models import BoardVersion, Link, UtcDateTime, Visit

link_, visit_, version_ = Link.__table__, Visit.__table__, BoardVersion.__table__
theirs_ = visit_.alias("theirs")

#: Whose page it is, when it last changed, and how often anything was written about any day with a visit of theirs.
_MARK = (
    select(
        visit_.c.id,
        visit_.c.changed_at,
        func.max(theirs_.c.changed_at),
        func.coalesce(func.sum(version_.c.version), 0),
    )
    .select_from(
        link_.join(visit_, visit_.c.id == link_.c.owner_id)
        .join(theirs_, theirs_.c.customer_id == visit_.c.customer_id)
        .outerjoin(version_, version_.c.date == theirs_.c.date)
    )
    .where(
        link_.c.token_hash == bindparam("token"),
        link_.c.purpose == "customer",
        link_.c.revoked_at.is_(None),
        or_(link_.c.expires_at.is_(None), link_.c.expires_at > bindparam("at", type_=UtcDateTime)),
    )
    .group_by(visit_.c.id, visit_.c.changed_at)
)


def of_page(engine: Engine, token_hash: str, at: datetime) -> tuple[object, ...] | None:
    """The mark of the page behind a live link, in one statement without a session; None where no page is."""
    with engine.connect() as c:
        row = c.execute(_MARK, {"token": token_hash, "at": at}).first()
    return tuple(row) if row is not None else None
