"""What became of a message after it left: how far a text got, and mails that came back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from punctual import acceptance, deliver, fallback
from punctual.models import Attempt, Customer, Message
from punctual.transports import ORDER, Progress, Receipt


def progressed(s: Session, attempt: Attempt, got: Progress, *, at: datetime) -> None:
    """Keep how far a text got; it only ever gets farther, whatever the order of the calls (policy 1).

    A call may be earlier than the answer to our own request: then it is the proof that the text was accepted.
    """
    if attempt.provider_id not in ("", got.provider_id):
        return
    if ORDER.get(got.state, -1) <= ORDER.get(attempt.progress, -1):
        return
    message = s.get_one(Message, attempt.message_id)
    if attempt.state in ("intent", "uncertain"):
        acceptance.accepted(s, attempt.id, Receipt(got.provider_id), at=at)
    attempt.progress = got.state
    if message.state != "sent" or attempt.number != message.tries:
        return
    if got.state == "delivered":
        deliver.mark(s, message, "delivered", "", at)
    elif got.state in ("undelivered", "failed"):
        _lost(s, message, attempt, got, at)


def _lost(s: Session, message: Message, attempt: Attempt, got: Progress, at: datetime) -> None:
    """It will not arrive: e-mail instead, else a person calls; what the code says about number or line is kept."""
    why = f"not delivered: {got.why}" if got.code else "not delivered"
    attempt.error = why
    if got.address:
        fallback.freeze(s, attempt.recipient, f"can get no texts: {got.why}", at=at)
    if got.alarm:
        fallback.stop_the_line(s, f"The provider did not deliver a text: {got.why}.", got.code, at=at)
    deliver.lost(s, message, why, at)


def bounced(s: Session, message: Message, why: str, *, address: str, at: datetime) -> None:
    """A mail came back: shown, and a person calls. `address`: the one at fault, "" for none; it is not used again, unless
    somebody has mended it meanwhile."""
    who = s.get(Customer, message.customer_id) if message.customer_id is not None and address else None
    if who is not None and (who.email or "").lower() == address:
        who.email_bad = why[:200]
    if message.state in ("sent", "uncertain", "sending"):
        deliver.lost(s, message, why, at)
