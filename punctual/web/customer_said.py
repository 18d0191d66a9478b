"""The sentence at the top of the customer's page for the choice that has just been made."""

from __future__ import annotations

from flask import g, request
from flask_babel import gettext as _

from punctual.models import Answer
from punctual.queries import promises
from punctual.queries import visit as visits
from punctual.web import filters


def said(story: visits.Story, times: bool) -> str:
    """The sentence for the choice that has just been made; the redirect after it names the answer's row. `times`: free
    ones are shown below it."""
    given = request.args.get("saved") or request.args.get("had") or ""
    answer = next((a for a in story.answers if str(a.id) == given), None)
    if answer is None:
        return ""
    zone = story.visit.zone
    if "had" in request.args:
        when = filters.clock(answer.at, zone)
        return str(_("We already have this from you, at %(time)s. You do not have to send it again.", time=when))
    saved = _("Saved at %(time)s.", time=filters.clock(answer.at, zone))
    return f"{saved} {_of(answer, story, times)}"


def _of(answer: Answer, story: visits.Story, times: bool) -> str:
    works = story.state != "very_late"
    plain = {
        "keep": _("Thank you. We keep your visit."),
        "time": _("Your new time is confirmed."),
        "again": _("Your next visit is booked. The confirmation has its own page."),
        "deadline": _("Noted: no fixed time."),
        "call": _("We will call you."),
        "wish": _("We will call you."),
        "cancel": _("Your visit is cancelled."),
        "done": _("Thank you. The work is done."),
        "not_done": _("We are sorry. We have reopened it."),
        "rating": _("Thank you."),
        "note": _("Received. Your technician sees it before setting off."),
    }
    if answer.kind == "deadline" and answer.text:
        if story.silent and works:
            return str(_("Noted. The time may have changed. We are finding out."))
        if works:
            return str(_("Noted. It works as things stand now."))
        missed = _("Noted. We cannot do it by then, and we are sorry.")
        return str(_("Noted. We cannot do it by then, and we are sorry. These times work:") if times else missed)
    owed = next((c for c in story.concerns if c.said_id == answer.id), None)
    if owed is not None:
        if owed.about == "rating":
            sentence = _("Thank you for being honest. %(owner)s reads this and answers by %(due)s.")
        else:
            sentence = _(
                "Thank you. %(owner)s checks it and answers you by %(due)s. It cannot be closed without an answer to you."
            )
        due = filters.due_words(owed.promise.due_at, g.at, story.visit.zone)
        return str(sentence) % {"owner": promises.first_name(owed.promise), "due": due}
    if answer.kind in ("call", "wish") and story.call:
        return str(_("We will call you by %(due)s.", due=filters.due_words(story.call.due_at, g.at, story.visit.zone)))
    return str(plain.get(answer.kind, ""))
