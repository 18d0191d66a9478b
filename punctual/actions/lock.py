"""Whoever writes about visits takes their days first, then the visits, then what belongs to them: so nobody waits in a circle."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from punctual.models import Shift, Visit
from punctual.queries import day as queries


def visit(s: Session, visit_id: int, *also: Shift | None) -> Visit | None:
    """The visit, its writers queued up behind us, as the last of them left it; None: there is none."""
    found = s.get(Visit, visit_id)
    if found is not None:
        visits(s, [found], *also)
    return found


def visits(s: Session, which: Iterable[Visit], *also: Shift | None) -> None:
    """The days of these visits and those they may go to, then the visits, read anew. Before anything is written.

    Where one has gone to another day meanwhile, all is let go and taken again: that day comes before the visit too.
    """
    if queries.one_writer(s):
        return
    which = sorted(which, key=lambda v: v.id)
    while True:
        inside, whose = s.begin_nested(), [(v.technician_id, v.date) for v in which]
        days = [queries.shift_of(s, technician, on) for technician, on in whose if technician]
        queries.lock(s, [x.id for x in (*days, *also) if x is not None])
        for v in which:
            s.refresh(v, with_for_update={"key_share": True})
        if whose == [(v.technician_id, v.date) for v in which]:
            inside.commit()
            return
        inside.rollback()
