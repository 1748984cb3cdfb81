"""What the generated OpenAPI document does not know: the problems that operations answer with, who may send them, and
the one body that a handler reads by itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from admin.problem import MEDIA_TYPE, ProblemBody

PROBLEMS: Mapping[int, str] = {
    400: "The request cannot be used; `errors` names the fields or parameters.",
    401: "Not logged in, or the token is not valid.",
    403: "Not permitted; with the cookie also for want of its X-CSRF-Token.",
    404: "No such thing within the caller's reach.",
    409: "It stands in the way of something that exists.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    421: "The Host is not one that is answered here.",
    429: "Too many attempts; Retry-After says the seconds to wait.",
    502: "The vendor gave no usable answer.",
    503: "The database or Redis does not answer.",
}
#: Members of bodies that name a thing whose absence is a 404.
_NAMING = frozenset({"tenant_id", "key_id", "account_id"})
#: Beyond what can be told from an operation itself.
_MORE: Mapping[tuple[str, str], frozenset[int]] = {
    ("POST", "/admin/v1/session"): frozenset({401, 403, 429}),
    ("POST", "/admin/v1/me/password"): frozenset({429}),
    ("DELETE", "/admin/v1/me/totp"): frozenset({429}),
    ("POST", "/admin/v1/accounts/oauth/finish"): frozenset({502}),
}
_SAFE: Sequence[Mapping[str, list[str]]] = ({"token": []}, {"cookie": []})
_CHANGING: Sequence[Mapping[str, list[str]]] = ({"token": []}, {"cookie": [], "csrf": []})


def completed(app: Litestar, document: Mapping[str, Any]) -> dict[str, Any]:
    """A new document. An operation's own responses are those of success; all others are problems."""
    components: dict[str, Any] = document["components"]
    schemas: dict[str, Any] = components["schemas"]
    _, problem = msgspec.json.schema_components([ProblemBody], ref_template="#/components/schemas/{name}")
    options = {
        (method, route.path_format): handler.opt
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
    }
    paths = {
        path: {
            member: _operation((member.upper(), path), value, options, schemas) if "responses" in value else value
            for member, value in item.items()
        }
        for path, item in document["paths"].items()
    }
    responses = {f"Problem{status}": _response(said) for status, said in PROBLEMS.items()}
    return {
        **document,
        "paths": paths,
        "components": {**components, "schemas": {**schemas, **problem}, "responses": responses},
    }


def _response(said: str) -> dict[str, Any]:
    return {"description": said, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}}


def _operation(
    at: tuple[str, str],
    generated: Mapping[str, Any],
    options: Mapping[tuple[str, str], Mapping[str, Any]],
    schemas: Mapping[str, Any],
) -> dict[str, Any]:
    opt, made = options[at], dict(generated)
    if "reads" in opt:
        content = {"application/json": {"schema": {"type": "object"}}}
        made["requestBody"] = {"required": True, "description": opt["reads"], "content": content}
    public = bool(opt.get("public"))
    found = _possible(at, made, schemas, public=public)
    answers = {status: answer for status, answer in made["responses"].items() if not status.startswith("4")}
    problems = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in sorted(found)}
    made["responses"] = {**answers, **problems}
    made["security"] = [] if public else list(_SAFE if at[0] == "GET" else _CHANGING)
    return made


def _possible(
    at: tuple[str, str], operation: Mapping[str, Any], schemas: Mapping[str, Any], *, public: bool
) -> set[int]:
    found = {400, 421, 503, *_MORE.get(at, ())}
    if not public:
        found |= {401, 403} if at[0] == "GET" else {401, 403, 409}
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        found.add(404)
    if "requestBody" in operation:
        found |= {413, 415}
        if not _NAMING.isdisjoint(_members(operation["requestBody"], schemas)):
            found.add(404)
    return found


def _members(body: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterable[str]:
    """The members of the object that a body is, also where it may be left out."""
    schema: Mapping[str, Any] = body["content"]["application/json"]["schema"]
    for one in cast("list[Mapping[str, Any]]", schema.get("oneOf", [schema])):
        yield from schemas.get(one.get("$ref", "").rpartition("/")[2], one).get("properties", {})
