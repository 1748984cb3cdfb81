"""The document says of every operation with which problems it answers, and who may send it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from admin.answers import PROBLEMS
from tests.admin.conftest import Api
from tests.admin.test_permissions import PUBLIC

METHODS = {"get", "post", "patch", "delete", "put"}


@pytest.fixture(scope="module")
async def document(url: str, root: Api) -> dict[str, Any]:
    return (await root.http.get(f"{url}/admin/openapi.json")).json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in item.keys() & METHODS:
            yield method.upper(), path, item[method]


def found(document: dict[str, Any], reference: str) -> Any:
    value: Any = document
    for step in reference.removeprefix("#/").split("/"):
        value = value[step]
    return value


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


async def test_all_that_is_referred_to_is_there(document: dict[str, Any]):
    for reference in set(references(document)):
        assert found(document, reference)


async def test_every_operation_declares_problems_and_nothing_else_of_the_framework(document: dict[str, Any]):
    told = 0
    for method, path, operation in operations(document):
        said, declared = f"{method} {path}", {int(status) for status in operation["responses"]}
        errors = {status for status in declared if status >= 400}
        assert {400, 421, 503} <= errors <= set(PROBLEMS), said
        for status in errors:
            answer = found(document, operation["responses"][str(status)]["$ref"])
            schema = found(document, answer["content"]["application/problem+json"]["schema"]["$ref"])
            assert {"title", "status", "detail", "code", "errors", "request_id", "type"} == set(schema["properties"])
        assert declared - errors, said
        assert ({413, 415} <= errors) == ("requestBody" in operation), said
        assert "{" not in path or 404 in errors, said
        told += 1
    assert told > 70


async def test_every_operation_says_who_may_send_it(document: dict[str, Any]):
    schemes = document["components"]["securitySchemes"]
    assert (schemes["cookie"]["in"], schemes["cookie"]["name"]) == ("cookie", "pg_session")
    assert (schemes["csrf"]["in"], schemes["csrf"]["name"]) == ("header", "X-CSRF-Token")
    for method, path, operation in operations(document):
        if (method, path) in PUBLIC:
            assert operation["security"] == []
            continue
        assert {"401", "403"} <= operation["responses"].keys()
        cookie = {"cookie"} if method == "GET" else {"cookie", "csrf"}
        assert [set(one) for one in operation["security"]] == [{"token"}, cookie], f"{method} {path}"


async def test_the_import_has_its_body(document: dict[str, Any]):
    body = document["paths"]["/admin/v1/prices/import"]["post"]["requestBody"]
    assert body["required"] and "LiteLLM" in body["description"]
    assert body["content"]["application/json"]["schema"]["type"] == "object"


async def test_what_is_answered_is_what_is_declared(document: dict[str, Any], url: str, root: Api):
    """Every operation, asked wrongly in six ways."""
    async with Api(url) as nobody:
        for method, path, operation in operations(document):
            to = url + re.sub(r"\{.*?\}", "x", path)
            wrong: list[tuple[Api, dict[str, Any]]] = [
                (nobody, {"json": {}}),
                (root, {"params": {"colour": "x"}}),
                (root, {"content": b"{}", "headers": {"content-type": "text/plain"}}),
                (root, {"content": b"{", "headers": {"content-type": "application/json"}}),
                (root, {"json": {"colour": "red"}}),
                (root, {"headers": {"host": "elsewhere"}}),
            ]
            for api, more in wrong:
                answer = await api.http.request(method, to, **more)
                said = f"{method} {path} {more}: {answer.status_code} {answer.text}"
                if answer.status_code == 415 and "requestBody" not in operation:
                    continue  # a body that nobody asked for
                assert str(answer.status_code) in operation["responses"], said
                if answer.status_code >= 400:
                    assert answer.headers["content-type"] == "application/problem+json", said


async def test_things_that_a_body_names_are_not_found(document: dict[str, Any], root: Api):
    key = {"platforms": ["*"], "models": ["*"], "tenant_id": "ten_00000000-0000-0000-0000-000000000000"}
    await root("POST /keys", key, expect=404)
    route = {"key_id": "key_00000000-0000-0000-0000-000000000000", "path": "/v1/messages", "model": "x"}
    await root("POST /route:explain", route, expect=404)
    for path in ("keys", "route:explain"):
        assert "404" in document["paths"][f"/admin/v1/{path}"]["post"]["responses"]
