"""Exceptions to answers, in one table: a page for people, RFC 9457 problem+json for programs."""

from __future__ import annotations

import logging

from flask import Flask, Response, g, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from punctual.actions import Refused
from punctual.models import Company, db
from punctual.web import filters

log = logging.getLogger(__name__)

#: sentences for answers that carry none of their own
SENTENCES = {
    400: "This could not be read. Check what was sent and try again.",
    401: "Sign in first.",
    403: "You may not do this.",
    404: "There is nothing here. Check the address.",
    405: "This address does not take that method.",
    409: "This contradicts what is true now. Load the page again.",
    413: "This is too large to be taken.",
    415: "Send this as application/json.",
    422: "A value cannot be used. Change it and send this again.",
    429: "Too many tries. Wait a minute and try again.",
    500: lazy_gettext("That did not work, and it was not you. Nothing was saved. Try again."),
    503: lazy_gettext("The database is busy. Nothing was saved. Try again in a moment."),
}


def wants_json() -> bool:
    """Programs are answered in JSON: the API, and callers that send or ask for it."""
    if request.path.startswith("/api/") or request.mimetype == "application/json":
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return (
        best == "application/json"
        and request.accept_mimetypes["application/json"] > request.accept_mimetypes["text/html"]
    )


def _speak() -> None:
    """A customer's language; as the browser asks, where whose page it is was not read."""
    if "language" not in g:
        filters.speak(request.accept_languages.best_match(("en", "es", "de")) or "en")


def _our_fault() -> str:
    """The sentence for what should not happen; a customer gets the company's telephone number, where it can still be read."""
    if g.get("role") != "customer":
        return str(SENTENCES[500])
    try:
        db.session.rollback()
        company = db.session.get(Company, 1)
    except SQLAlchemyError:
        company = None
    if company is None or not company.phone:
        return str(SENTENCES[500])
    _speak()
    said = _(
        "That did not work, and it was not you. Nothing was saved. Try again, or call %(phone)s.", phone=company.phone
    )
    return str(said)


def problem(status: int, sentence: str, **more: object) -> Response:
    """An RFC 9457 document: type, title, status, detail and what the caller may use."""
    body = {
        "type": "about:blank",
        "title": str(SENTENCES.get(status, "Error")),
        "status": status,
        "detail": str(sentence),
        **more,
    }
    response = jsonify(body)
    response.status_code, response.mimetype = status, "application/problem+json"
    return response


def answer(status: int, sentence: str, **more: object) -> BaseResponse:
    """The error as this caller can read it; a dispatcher who is not signed in is led to where they can."""
    if wants_json():
        return problem(status, sentence, **more)
    if status == 401 and g.get("role") == "dispatcher" and request.method in ("GET", "HEAD"):
        return redirect(url_for("signin.form", next=request.full_path.rstrip("?")), 303)
    if g.get("role") == "customer":
        _speak()
        sentence = str(_(str(sentence)))
    lang = filters.language().split("_")[0]
    if status == 404 and g.get("role") == "customer":
        page = render_template("customer/gone.html", company=db.session.get(Company, 1), lang=lang)
    else:
        page = render_template(
            "error.html", status=status, sentence=sentence, field=more.get("field"), back=_back(), lang=lang
        )
    return Response(page, status=status, mimetype="text/html")


def refused(error: Refused) -> BaseResponse:
    """An act that cannot be done: its sentence, the field at fault, and the errors of a file by row and column."""
    more: dict[str, object] = {"field": error.field} if error.field else {}
    if "errors" in error.facts:
        more["errors"] = error.facts["errors"]
    return answer(error.status, error.sentence, **more)


def _back() -> tuple[str, str] | None:
    """Where whoever met an error goes on: address and words."""
    token = (request.view_args or {}).get("token")
    if g.get("role") == "customer" and token:
        return url_for("customer.page", token=token), str(_("Back to my visit"))
    if request.path.startswith("/board/"):
        return "/board/", "Back to the board"
    if request.path.startswith("/t/") and g.get("role") == "technician":
        return url_for("technician.day"), "Back to my day"
    return None


def init_app(app: Flask) -> None:
    """Register the table."""

    app.register_error_handler(Refused, refused)

    @app.errorhandler(CSRFError)
    def csrf_error(error: CSRFError) -> BaseResponse:
        return answer(400, "This page has expired. Load it again and repeat what you did; nothing was saved.")

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> BaseResponse:
        status = error.code or 500
        own = error.description if error.description and error.description != type(error).description else ""
        response = answer(status, own or SENTENCES.get(status, str(error.name)))
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                response.headers[name] = value
        return response

    @app.errorhandler(UnicodeError)
    @app.errorhandler(DataError)
    def unreadable(error: Exception) -> BaseResponse:
        log.info("unreadable input: %s", type(error).__name__)
        return answer(400, SENTENCES[400])

    @app.errorhandler(OperationalError)
    def busy(error: OperationalError) -> BaseResponse:
        """No database, or this one waited in a circle with others and was the one to give way."""
        log.error("database: %s", error.orig)
        return answer(503, SENTENCES[503])

    @app.errorhandler(IntegrityError)
    @app.errorhandler(StaleDataError)
    def overtaken(error: Exception) -> BaseResponse:
        """Somebody else wrote the same, or dropped it, between our look and our writing: the next try sees theirs."""
        log.exception("somebody else was quicker")
        return answer(503, SENTENCES[503])

    @app.errorhandler(Exception)
    def fault(error: Exception) -> BaseResponse:
        log.exception("unexpected error")
        return answer(500, _our_fault())
