"""Bodies: how deep they may go, and what no text may hold; each fault by its field."""

from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.bodies import DEPTH, found_fault
from tests.admin.conftest import Api

JSON = {"content-type": "application/json"}
KEY: dict[str, Any] = {"platforms": ["*"], "models": ["*"]}
OLLAMA: dict[str, Any] = {"name": "deep", "platform": "ollama"}


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"metadata": nested(DEPTH)}, None),
        ({"metadata": nested(DEPTH + 1)}, "metadata.a"),
        ({"metadata": {"x": [nested(DEPTH)]}}, "metadata.x"),
        ([nested(DEPTH + 1)], "[0].a"),
        ({"a": {"b": [1, "x\0"]}}, "a.b[1]"),
        ({"a": {"b\0": 1}}, "a"),
        ({"\0": 1}, ""),
        ({"a": ["\ud800"]}, "a[0]"),
        ({"a": {"\udfff": 1}}, "a"),
        ({"a": "\U0001f600é", "b": [1, 1.5, None, True]}, None),
        ("\0", ""),
        (None, None),
    ],
)
def test_found_fault(body: Any, field: str | None):
    fault = found_fault(body)
    assert (fault and fault.field) == field


texts = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("\0"))
values = st.recursive(st.none() | st.integers() | texts, lambda one: st.lists(one) | st.dictionaries(texts, one))


@given(values)
def test_it_is_the_nul_that_is_found(body: Any):
    assert (found_fault(body) is not None) == (b"\\u0000" in msgspec.json.encode(body).replace(b"\\\\", b""))


async def test_a_body_without_end_is_refused_also_without_a_log_in(url: str, root: Api):
    endless = b'{"email":' + b"[" * 100_000
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False) as nobody:
        for api, path in ((nobody, "/session"), (root.http, "/keys"), (root.http, "/prices/import")):
            answer = await api.post(path, content=endless, headers=JSON)
            assert answer.status_code == 400, answer.text
            if path != "/prices/import":
                assert "nested too deeply" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("act", "draft", "field"),
    [
        ("POST /keys", KEY, "metadata"),
        ("POST /groups", {"name": "deep"}, "params_default"),
        ("POST /groups", {"name": "deep"}, "params_override"),
        ("POST /accounts", OLLAMA, "options"),
        ("POST /accounts/oauth/start", {"platform": "claude-official"}, "options"),
    ],
)
@pytest.mark.parametrize("levels", [DEPTH + 1, 500])
async def test_what_is_free_of_form_is_bounded(root: Api, act: str, draft: dict[str, Any], field: str, levels: int):
    problem = await root(act, {**draft, field: nested(levels)}, expect=400)
    assert problem["detail"] == "the body is nested too deeply"
    assert [error["field"] for error in problem["errors"]] == [f"{field}.a"]


async def test_as_deep_as_may_be_is_stored_and_recorded(root: Api):
    key = await root("POST /keys", {**KEY, "metadata": nested(DEPTH)}, expect=201)
    assert (await root(f"GET /keys/{key['id']}"))["metadata"] == nested(DEPTH)
    (noted,) = (await root("GET /audit", target=key["id"]))["data"]
    assert noted["after"]["metadata"] == nested(DEPTH)
    params = {"params_default": nested(DEPTH), "params_override": nested(DEPTH)}
    group = await root("POST /groups", {"name": "deep", **params}, expect=201)
    assert (await root(f"GET /groups/{group['id']}")).items() >= params.items()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        (b'"name":"a\\u0000b"', "name"),
        (b'"tags":["a","\\u0000"]', "tags[1]"),
        (b'"metadata":{"a":{"b":"\\u0000"}}', "metadata.a.b"),
        (b'"metadata":{"\\u0000":1}', "metadata"),
        (b'"name":"\\ud800"', "name"),
        (b'"name":"\\ud83d\\u0041"', "name"),
        (b'"metadata":{"\\udc00":1}', "metadata"),
    ],
)
async def test_text_that_nothing_can_store_is_named(root: Api, more: bytes, field: str):
    content = b'{"platforms":["*"],"models":["*"],' + more + b"}"
    answer = await root.http.post("/keys", content=content, headers=JSON)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_what_only_looks_like_a_nul_is_stored(root: Api):
    key = await root("POST /keys", {**KEY, "name": r"\u0000"}, expect=201)
    assert key["name"] == r"\u0000"


@pytest.mark.parametrize("content", [b"{", b'{"name": NaN}', b"nothing", b'{"a": 1,}'])
async def test_what_is_not_json_is_said(root: Api, content: bytes):
    answer = await root.http.post("/keys", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is not JSON")
