"""What every address for machines shares: bodies read strictly, answers as JSON, refusals as problem documents, and the description of it all.

A handler says in its `opt` what it takes, answers and refuses: `opt=operation(...)`. The OpenAPI document is made from the routes themselves, so it
cannot name one that is not there, nor leave one out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from litestar import Litestar, Response
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import models_json_schema

from app.kernel import links, strict_json
from app.kernel.errors import N_, DomainError, TooMany
from app.kernel.forms import sentence_of
from app.kernel.strict_json import NotStrictJson
from app.kernel.web import NO_STORE, AnyRequest

ROOT = "/api/v1"
MOST_BYTES = 16 * 1024
_OPERATION = "operation"
B = TypeVar("B", bound="Body")


class Body(BaseModel):
    """What a machine sends: nothing but these fields, each of its own type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)


class Unreadable(DomainError):
    status = 400
    message = N_("The body is not a JSON object as this address takes it. Nothing was changed.")


class WrongMediaType(DomainError):
    status = 415
    message = N_("Send the body as application/json.")


class InvalidBody(DomainError):
    """A body with faults: every one of them, with the JSON pointer of its field."""

    status = 422
    message = N_("Some fields are wrong; nothing was changed. Each is named under errors.")

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__()
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation for machines, as its description names it."""

    summary: str
    scope: str = ""
    body: type[Body] | None = None
    answer: type[BaseModel] | None = None
    refusals: tuple[type[DomainError], ...] = ()
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    is_idempotent: bool = False
    """Whether it takes an `Idempotency-Key`."""


def operation(summary: str, **more: Any) -> dict[str, Any]:
    """A handler's `opt`: it is signed by its token and not by a form's, and this is what it does."""
    return {"signed": True, "public": not more.get("scope"), _OPERATION: Operation(summary, **more)}


async def read(request: AnyRequest, model: type[B]) -> B:
    """The body of a request, strictly. Raises: WrongMediaType, Unreadable, InvalidBody."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongMediaType
    try:
        sent = strict_json.parse_object(await request.body(), max_bytes=MOST_BYTES)
    except NotStrictJson:
        raise Unreadable from None
    return checked(model, sent)


def checked(model: type[B], sent: Mapping[str, Any]) -> B:
    """A document as a model. Raises: InvalidBody with every fault."""
    try:
        return model.model_validate(dict(sent))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise InvalidBody([{"path": _pointer(one["loc"]), "message": sentence_of(one)} for one in found]) from None


def _pointer(location: Sequence[object]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def answered(answer: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """An answer as JSON."""
    return Response(
        answer.model_dump(mode="json"), status_code=status, media_type="application/json", headers={**NO_STORE, **(headers or {})}
    )


# The description


def operations(app: Litestar) -> Iterator[tuple[str, str, Operation]]:
    """Every described operation: address, method, what it is."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if _OPERATION in handler.opt:
                for method in sorted(set(handler.http_methods) - {"OPTIONS", "HEAD"}):
                    yield route.path_format, method.lower(), handler.opt[_OPERATION]


def document(app: Litestar) -> dict[str, Any]:
    """The OpenAPI 3.1 document of everything under `/api/v1`."""
    found = sorted(operations(app), key=lambda one: one[:2])
    models = sorted({model for _, _, one in found for model in (one.body, one.answer) if model}, key=lambda m: m.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template="#/components/schemas/{model}")
    paths: dict[str, Any] = {}
    for path, method, one in found:
        paths.setdefault(path, {})[method] = _described(path, one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Quanyi API", "version": "1"},
        "servers": [{"url": links.app("")}],
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {"oauth": _oauth(found)},
        },
    }


def _described(path: str, one: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}} for name in _named_in(path)
    ]
    parameters += [{"name": name, "in": "query", "required": False, "schema": dict(schema)} for name, schema in one.query.items()]
    if one.is_idempotent:
        parameters.append(_KEY)
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(one.body)}}}} if one.body else {}
    secured = {"security": [{"oauth": [one.scope]}]} if one.scope else {"security": []}
    return {"summary": one.summary, "parameters": parameters, **body, **secured, "responses": _responses(one)}


def _responses(one: Operation) -> dict[str, Any]:
    told: dict[int, list[str]] = {}
    common: tuple[tuple[int, str], ...] = ((401, "not_authorised"), (403, "missing_scope")) if one.scope else ()
    if one.body:
        common += ((400, "unreadable"), (413, "too_large"), (415, "wrong_media_type"), (422, "invalid_body"))
    if one.is_idempotent:
        common += ((400, "key_missing"), (409, "key_reused"))
    for status, code in (*common, (429, TooMany.code()), *((refusal.status, refusal.code()) for refusal in one.refusals)):
        told.setdefault(status, []).append(code)
    schema = _ref(one.answer) if one.answer else {"type": "object"}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "200": {"description": "Done", "content": {"application/json": {"schema": schema}}},
        **{
            str(status): {"description": ", ".join(sorted(set(codes))), "content": problem}
            for status, codes in sorted(told.items())
        },
    }


def _named_in(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _ref(model: type[BaseModel] | None) -> dict[str, str]:
    assert model is not None
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _oauth(found: Sequence[tuple[str, str, Operation]]) -> dict[str, Any]:
    scopes = {one.scope: "" for _, _, one in found if one.scope}
    return {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": f"{ROOT}/token", "scopes": scopes}}}


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Yours for this request: sent again with the same body it gets the same answer, and nothing happens twice.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "A sentence in the language of Accept-Language."},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: what a program decides by."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"path": {"type": "string"}, "message": {"type": "string"}}},
        },
        "details": {"type": "object"},
    },
}
