"""The verbs: the only writers. One transaction each; they know no HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.orm import Session

from punctual import fault, outbox
from punctual.models import db, raise_versions


class Refused(ValueError):
    """An act that cannot be done: a sentence for the person who tried, and what kind of "no" it is.

    status: 404 not found, 403 not theirs, 409 contradicts the present state, 422 makes no sense. `field` names the
    input at fault, `facts` carries values for the page (for example fresh offers). A customer reads it in their own
    language: then `sentence` names its `values` like %(clock)s, so that it can be looked up whole.
    """

    def __init__(
        self,
        sentence: str,
        *,
        status: int = 409,
        field: str = "",
        values: Mapping[str, object] | None = None,
        **facts: object,
    ) -> None:
        self.template, self.values = sentence, dict(values or {})
        self.sentence = sentence % self.values if values else sentence
        super().__init__(self.sentence)
        self.status, self.field, self.facts = status, field, facts


@contextmanager
def transaction() -> Iterator[Session]:
    """Begin as a writer, wake the worker if something was put, commit; roll back whole on any error.

    What the session read before is dropped: a verb reads again inside its own transaction.
    """
    s = db.session()
    try:
        c = s.write()
        yield s
        fault.reach("before_commit")
        outbox.wake(s)
        s.flush()
        raise_versions(s)
        c.commit()
        if s.in_transaction():  # it has joined for its objects: they are read anew from here on
            s.commit()
    finally:
        s.rollback()
    fault.reach("after_commit")
