"""Who may call what: every route declares it, sessions live on the server, changes must come from our own pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Request, Response, current_app, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import bindparam, func, select
from werkzeug.datastructures import ImmutableMultiDict, WWWAuthenticate
from werkzeug.exceptions import Forbidden, NotFound, Unauthorized
from werkzeug.sansio.http import parse_cookie
from werkzeug.utils import cached_property

from punctual import clock, links
from punctual.config import Settings
from punctual.models import ApiToken, Plain, Signin, Technician, User, db

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

View = TypeVar("View", bound=Callable[..., Any])

#: public: anybody. customer: whoever holds the link in the path. technician, dispatcher: a session of that kind.
#: api: a bearer token with the scope after the colon. provider: a signed callback, verified by the verb.
ROLES = ("public", "customer", "technician", "dispatcher", "api:read", "api:write", "provider")
SAFE = ("GET", "HEAD", "OPTIONS")
CSP = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
ALWAYS = {"Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}
PUBLIC = ALWAYS | {"Referrer-Policy": "same-origin"}
#: The headers of whatever a role is answered, unless the view has set its own.
HEADERS = {
    "technician": PUBLIC | PRIVATE,
    "dispatcher": PUBLIC | PRIVATE,
    "customer": PUBLIC | PRIVATE | {"Referrer-Policy": "no-referrer"},
}
csrf = CSRFProtect()


class _Request(Request):
    @cached_property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """Read from the one header they come in, without a look at all the others."""
        return parse_cookie(self.environ.get("HTTP_COOKIE", ""), cls=ImmutableMultiDict)  # type: ignore[return-value]


class _Sessions(SecureCookieSessionInterface):
    """Flask's own cookie, made out only for whoever sends one: phones and programs do not."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if session or session.accessed or session.modified:
            super().save_session(app, session, response)


def allow(role: str) -> Callable[[View], View]:
    """Declare who may call a view; a view without it is refused, and fails the suite."""
    if role not in ROLES:
        raise ValueError(f'"{role}" is no role. The roles are: {", ".join(ROLES)}.')

    def mark(view: View) -> View:
        view.allow = role  # type: ignore[attr-defined]
        return view

    return mark


def quick(check: Callable[[], Response | None]) -> Callable[[View], View]:
    """A view's own short cut, asked before its caller is loaded: it must check the session itself; None: no short cut."""

    def mark(view: View) -> View:
        view.quick = check  # type: ignore[attr-defined]
        return view

    return mark


def settings() -> Settings:
    """The settings of this application."""
    found: Settings = current_app.config["SETTINGS"]
    return found


def cookie(kind: str) -> str:
    """Name of the session cookie of `dispatcher` or `technician`; __Host- needs https."""
    name = f"punctual_{kind}"
    return f"__Host-{name}" if settings().origin.startswith("https://") else name


def set_cookie(response: Response, kind: str, value: str, seconds: int) -> Response:
    """Hand a session's secret to the browser: HttpOnly, SameSite=Lax, Secure where the origin is https."""
    secure = settings().origin.startswith("https://")
    response.set_cookie(cookie(kind), value, max_age=seconds, secure=secure, httponly=True, samesite="Lax", path="/")
    return response


def signed_in(kind: str, at: datetime) -> Any:
    """The live session of that kind this request carries: id, user_id, technician_id and whether they are `active`."""
    value = request.cookies.get(cookie(kind), "")
    if not value:
        return None
    found = db.session().ask(_SIGNED_IN, token=links.hashed(value))
    if found is None or found.revoked_at is not None or found.expires_at <= at:
        return None
    return found if (found.user_id if kind == "dispatcher" else found.technician_id) else None


_SIGNED_IN = Plain(
    select(
        Signin.id, Signin.user_id, Signin.technician_id, Signin.expires_at, Signin.revoked_at,
        func.coalesce(Technician.active, User.active).label("active"),
    )
    .outerjoin(Technician, Technician.id == Signin.technician_id)
    .outerjoin(User, User.id == Signin.user_id)
    .where(Signin.token_hash == bindparam("token", "")),
    "token",
)  # fmt: skip


def init_app(app: Flask) -> None:
    """Guard every request and every answer."""
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=app.config["SETTINGS"].origin.startswith("https://"),
    )
    app.request_class, app.session_interface = _Request, _Sessions()
    csrf.init_app(app)
    app.before_request(guard)
    app.wsgi_app = headed(app.wsgi_app)  # type: ignore[assignment,method-assign]


def guard() -> Response | None:
    """Refuse a request whose route does not allow it; put who is calling into g."""
    asked: Request = request._get_current_object()  # type: ignore[attr-defined] # asked for once: it is looked up anew
    if asked.endpoint is None or asked.endpoint == "static":
        return None
    view = current_app.view_functions[asked.endpoint]
    role = getattr(view, "allow", None)
    if role is None:
        raise NotFound()
    g.role, g.at = role, clock.now()
    if hasattr(view, "quick") and (answer := view.quick()) is not None:
        short: Response = answer
        return short
    if asked.method not in SAFE and not role.startswith("api:") and role != "provider":
        own_page(asked)
    if role == "dispatcher":
        _dispatcher()
    elif role == "technician":
        _technician()
    elif role.startswith("api:"):
        _api(role.removeprefix("api:"))
    return None


def own_page(asked: Request) -> None:
    """Refuse a change that another site's page sends in the name of this browser."""
    site = asked.environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Forbidden("This came from another site. Open our own page and try again.")
        return
    origin = asked.environ.get("HTTP_ORIGIN")
    if origin not in (None, "null") and urlsplit(origin).netloc not in (
        asked.host,
        urlsplit(settings().origin).netloc,
    ):
        raise Forbidden("This came from another site. Open our own page and try again.")


def _dispatcher() -> None:
    found = signed_in("dispatcher", g.at)
    user = db.session.get(User, found.user_id) if found and found.active else None
    if user is None:
        raise Unauthorized("Sign in to the board first.")
    g.user, g.signin_id = user, found.id
    if request.method not in SAFE:
        csrf.protect()


def _technician() -> None:
    found = signed_in("technician", g.at)
    if found is None or not found.active:
        raise Unauthorized("You are signed out here. Ask the office for a new link.")
    g.technician_id, g.signin_id = found.technician_id, found.id


def _api(scope: str) -> None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    found = None
    if kind.lower() == "bearer" and value:
        found = db.session.scalar(select(ApiToken).where(ApiToken.token_hash == links.hashed(value.strip())))
    if found is None or found.revoked_at is not None or found.expires_at <= g.at:
        raise Unauthorized(
            "Send a valid token: Authorization: Bearer …; `punctual token` makes one.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    if scope not in found.scopes:
        raise Forbidden(f'This token has no scope "{scope}". Make one that has it with `punctual token`.')
    g.token = found


def address() -> str:
    """A hash of the caller's address, for throttling; the address itself is not kept."""
    return hashlib.sha256(settings().key("link") + (request.remote_addr or "").encode()).hexdigest()[:32]


def headed(answered: WSGIApplication) -> WSGIApplication:
    """The security headers of every answer; pages behind a link are neither stored, indexed nor referred from."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        def begin(status: str, given: list[tuple[str, str]], *error: Any) -> Any:
            here = {name.lower() for name, _ in given}
            wanted = HEADERS.get(g.get("role"), PUBLIC).items()
            return start(status, given + [(name, value) for name, value in wanted if name.lower() not in here], *error)

        return answered(environ, begin)

    return answer
