"""Operations of the API: what they take and give is declared once, checked on the way in, and written as OpenAPI 3.1."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal

from flask import Blueprint, Response, request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.routing import IntegerConverter

from punctual import __version__
from punctual.actions import Refused
from punctual.web.access import allow
from punctual.web.api_in import WANTED
from punctual.web.api_out import Problem

View = Callable[..., Any]
REF = "#/components/schemas/{model}"
#: What may go wrong anywhere: no token, no scope, busy.
ALWAYS = (401, 403, 503)
REASONS = {
    400: "The request cannot be read.",
    401: "There is no valid token.",
    403: "The token has not the scope.",
    404: "There is no such thing.",
    409: "It contradicts what is true now.",
    413: "The request is too large.",
    415: "The body is not application/json.",
    422: "It can be read but makes no sense.",
    503: "The database is busy; nothing was saved.",
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "visit_id": {"in": "path", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999}},
    "date": {"in": "path", "required": True, "schema": {"type": "string", "format": "date"}},
    "on": {"name": "date", "in": "query", "required": True, "schema": {"type": "string", "format": "date"}},
    "concern_id": {"in": "path", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999}},
    "after": {"in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999}},
    "promise_id": {"in": "path", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999}},
    "state": {"in": "query", "schema": {"type": "string", "enum": ["open", "kept", "moved", "broken", "cancelled"]}},
    "ref": {"in": "query", "schema": {"type": "string", "minLength": 1, "maxLength": 80}},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    name: str
    method: Literal["get", "post", "patch"]
    path: str
    summary: str
    scope: str
    answer: type[BaseModel]
    body: type[BaseModel] | None = None
    status: int = 200
    parameters: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()


class RowId(IntegerConverter):
    """A row's id in a path; what cannot be one - a sign, 5,000 digits - is no address at all."""

    regex = r"[0-9]{1,9}"


@dataclass(slots=True)
class Api:
    """The operations of a door, in the order they were declared."""

    door: Blueprint
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.door.record_once(lambda state: state.app.url_map.converters.update(id=RowId))

    def operation(
        self,
        method: Literal["get", "post", "patch"],
        path: str,
        *,
        answer: type[BaseModel],
        body: type[BaseModel] | None = None,
        status: int = 200,
        query: tuple[str, ...] = (),
        problems: tuple[int, ...] = (),
    ) -> Callable[[View], View]:
        """Declare a view: it gets `body` checked, returns an answer's model; reading needs scope read, else write."""
        scope = "read" if method == "get" else "write"
        inside = tuple(re.findall(r"{(\w+)}", path))
        more = (400, 413, 415, 422) if body else ()
        found = tuple(sorted({*ALWAYS, *problems, *more, *((404,) if inside else ()), *((422,) if query else ())}))

        def declare(view: View) -> View:
            summary = (view.__doc__ or "").strip().splitlines()[0]
            self.operations.append(
                Operation(view.__name__, method, path, summary, scope, answer, body, status, inside + query, found)
            )

            @wraps(view)
            def called(**values: Any) -> Response:
                if body is not None:
                    values["body"] = read(body)
                made: BaseModel = view(**values)
                return Response(made.model_dump_json(), status=status, mimetype="application/json")

            rule = re.sub(r"{(\w+_id)}", r"<id:\1>", path)
            rule = re.sub(r"{(\w+)}", r"<string(maxlength=10):\1>", rule)
            self.door.add_url_rule(rule, view_func=allow(f"api:{scope}")(called), methods=[method.upper()])
            return view

        return declare


def read(model: type[BaseModel]) -> BaseModel:
    """The request's JSON as a model; Refused says which field is wrong and never repeats what was sent."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send this as application/json.")
    try:
        return model.model_validate_json(request.get_data(cache=False))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refused("The body is not JSON that can be read.", status=400) from None
        where = ".".join(str(x) for x in first["loc"])[:100]
        pattern = first["ctx"]["pattern"] if first["type"] == "string_pattern_mismatch" else ""
        said = WANTED[pattern] if pattern else first["msg"].removeprefix("Value error, ")
        sentence = f"{where}: {said}" if where else f"{said[:1].upper()}{said[1:]}"
        raise Refused(sentence if sentence.endswith(".") else f"{sentence}.", status=422, field=where) from None


def document(api: Api, origin: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations."""
    shapes: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(Problem, "serialization")]
    for op in api.operations:
        shapes.append((op.answer, "serialization"))
        if op.body:
            shapes.append((op.body, "validation"))
    _, schemas = models_json_schema(list(dict.fromkeys(shapes)), ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for op in api.operations:
        paths.setdefault(op.path, {})[op.method] = _described(op)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Punctual", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": f"{origin}{api.door.url_prefix}"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


DESCRIPTION = (
    "Visits, taps, forecasts and messages. Send `Authorization: Bearer …` with a token made by `punctual token`. "
    "Errors are RFC 9457 problem documents with a sentence in `detail`."
)


def _described(op: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "parameters": [{"name": name, **PARAMETERS[name]} for name in op.parameters],
        "responses": {str(op.status): {"description": "Done.", "content": _json(op.answer)}}
        | {
            str(code): {"description": REASONS[code], "content": _json(Problem, "application/problem+json")}
            for code in op.problems
        },
    }
    if op.body:
        made["requestBody"] = {"required": True, "content": _json(op.body)}
    return made


def _json(model: type[BaseModel], kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": {"$ref": REF.format(model=model.__name__)}}}
