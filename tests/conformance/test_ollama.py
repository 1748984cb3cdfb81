"""A server of Ollama's behind, with and without a key: its native API, and chat, embeddings, Responses and Anthropic's
messages by its own `/v1`. The vendors' SDKs do not know the difference."""

import json
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
import pytest_asyncio
from msgspec import Struct

from gateway.core import models as m
from gateway.core.services import keys, tenants
from gateway.core.services.reach import Reach
from tests.conformance.upstream import Told, Upstream
from tests.support.installation import Site
from tests.support.wire import wire

WORDS: Any = [{"role": "user", "content": "Hello there"}]


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["none", "key"])
async def key(site: Site, request: Any) -> str:
    credentials = {"api_key": "ollama-cloud-0009"} if request.param == "key" else {}
    account = await site.account(
        "ollama", credentials=credentials, models=["gemma3:12b"], model_map={"gemma3:12b": "sandbox-echo"}
    )
    return await site.key(account_id=account, platforms=["ollama"])


async def test_openais_protocols(site: Site, key: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as gpt:
        stream = await gpt.chat.completions.create(model="gemma3:12b", messages=WORDS, stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello there"
        assert all(chunk.usage is None for chunk in chunks)
        assert len((await gpt.embeddings.create(model="gemma3:12b", input=["a", "b"])).data) == 2
        assert (await gpt.responses.create(model="ollama,gemma3:12b", input="Hello there")).output_text == "Hello there"
    assert [one.target for one in site.sandbox.requests()[-3:]] == [
        "/ollama/v1/chat/completions",
        "/ollama/v1/embeddings",
        "/ollama/v1/responses",
    ]


async def test_anthropics_protocol(site: Site, key: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=site.url, api_key=key, max_retries=0) as claude:
        async with claude.messages.stream(model="gemma3:12b", max_tokens=99, messages=WORDS) as stream:
            assert "".join([piece async for piece in stream.text_stream]) == "Hello there"
        # Ollama does not count: it is an estimate.
        assert 1 <= (await claude.messages.count_tokens(model="gemma3:12b", messages=WORDS)).input_tokens <= 20


@pytest.mark.parametrize(("credentials", "sent"), [({}, []), ({"api_key": "abcd"}, [("authorization", "Bearer abcd")])])
async def test_what_is_signed(site: Site, told: Upstream, credentials: dict[str, str], sent: list[Any]) -> None:
    account = await site.account("ollama", credentials=credentials, base_url=told.url, models=["answer-*"])
    key = await site.key(account_id=account)
    model = told.tell(Told(200, "application/json", [b"{}"], length=True))
    async with httpx.AsyncClient(base_url=site.url) as client:
        for header in ({"authorization": f"Bearer {key}"}, {"api-key": key}, {"x-api-key": key}):
            got = await client.post("/v1/chat/completions", headers=header, json={"model": model})
            assert got.status_code == 200
            found = [pair for pair in told.seen[-1].headers if pair[0] in {"authorization", "api-key", "x-api-key"}]
            assert found == sent


@pytest.mark.parametrize(
    ("status", "message", "expected", "scope"),
    [
        (404, 'model "x" not found, try pulling it first', (404, "model_not_found"), "model"),
        (500, "model requires more system memory (9 GiB) than is available (1 GiB)", (502, "upstream_error"), "model"),
        (503, "server busy, please try again.  maximum pending requests exceeded", (503, "no_account"), "family"),
        (400, "registry.ollama.ai/library/x does not support tools", (400, None), None),
    ],
)
async def test_errors(
    site: Site, told: Upstream, status: int, message: str, expected: tuple[int, str | None], scope: str | None
) -> None:
    account = await site.account("ollama", credentials={}, base_url=told.url, models=["answer-*"])
    key = await site.key(account_id=account)
    error = {"error": {"message": message, "type": "api_error", "param": None, "code": None}}
    model = told.tell(Told(status, "application/json", [httpx.Response(status, json=error).content], length=True))
    async with httpx.AsyncClient(base_url=site.url, headers={"x-api-key": key}, timeout=30) as client:
        got = await client.post("/v1/chat/completions", json={"model": model, "messages": WORDS})
    assert (got.status_code, got.json()["error"]["code"]) == expected
    states = site.gate.states.scopes(account)
    assert {name.partition(":")[0] for name in states} == ({scope} if scope else set())


# ---------------------------------------------------------------- the native API


class Native(Struct):
    """The vendor's client, and the ids of the requests that it made."""

    client: ollama.AsyncClient
    ids: list[str] = []


@asynccontextmanager
async def native(site: Site, key: str, base: str = "") -> AsyncGenerator[Native]:
    ids: list[str] = []

    async def note(response: httpx.Response) -> None:
        ids.append(response.headers["x-request-id"])

    hooks = {"response": [note]}
    header = {"Authorization": f"Bearer {key}"}
    async with ollama.AsyncClient(site.url + base, headers=header, event_hooks=hooks, trust_env=False) as client:
        yield Native(client, ids)


def weather(city: str) -> str:
    """The weather.

    Args:
        city: where
    """
    return city


@pytest.mark.parametrize("base", ["", "/claude"])
async def test_chat(site: Site, key: str, base: str) -> None:
    async with native(site, key, base) as own:
        whole = await own.client.chat("gemma3:12b", WORDS)
        assert (whole.message.content, whole.done, whole.done_reason) == ("Hello there", True, "stop")
        parts = [part async for part in await own.client.chat("ollama,gemma3:12b", WORDS, stream=True)]
        assert "".join(part.message.content or "" for part in parts) == "Hello there"
        assert [part.done for part in parts] == [False, False, True]
        for id, said, stream in zip(own.ids, (whole, parts[-1]), (False, True), strict=True):
            row = await site.row(id)
            assert (row.protocol, row.path, row.platform) == ("ollama", f"{base}/api/chat", "ollama")
            assert (row.model_asked, row.model_used, row.stream) == ("gemma3:12b", "sandbox-echo", stream)
            assert (row.input_tokens, row.output_tokens) == (said.prompt_eval_count, said.eval_count)
            assert (row.usage_source, row.ending, row.status) == ("provider", "complete", 200)
    bills = list(site.sandbox.bill().rows)[-2:]
    assert [(one.path, one.stream, one.output_tokens) for one in bills] == [
        ("/ollama/api/chat", False, 2),
        ("/ollama/api/chat", True, 2),
    ]


async def test_generate(site: Site, key: str) -> None:
    async with native(site, key) as own:
        whole = await own.client.generate("gemma3:12b", "Hello there")
        parts = [part async for part in await own.client.generate("gemma3:12b", "Hello there", stream=True)]
        assert whole.response == "".join(part.response for part in parts) == "Hello there"
        loaded = await own.client.generate("gemma3:12b")
        freed = [part async for part in await own.client.generate("gemma3:12b", keep_alive=0, stream=True)]
        assert (loaded.done_reason, [part.done_reason for part in freed]) == ("load", ["unload"])
        for id, (given, output, stream) in zip(
            own.ids,
            (
                (whole.prompt_eval_count, whole.eval_count, False),
                (parts[-1].prompt_eval_count, parts[-1].eval_count, True),
                (0, 0, False),
                (0, 0, True),
            ),
            strict=True,
        ):
            row = await site.row(id)
            assert (row.path, row.stream, row.input_tokens, row.output_tokens) == (
                "/api/generate", stream, given, output,
            )  # fmt: skip
            assert (row.usage_source, row.ending) == ("provider", "complete")


async def test_a_stream_is_what_a_body_without_stream_asks_for(site: Site, key: str) -> None:
    body = {"model": "gemma3:12b", "messages": WORDS}
    got = await site.http.post("/api/chat", headers={"x-api-key": key}, json=body)
    assert got.headers["content-type"] == "application/x-ndjson"
    assert got.headers["cache-control"] == "no-cache, no-transform"
    assert [json.loads(line)["done"] for line in got.text.splitlines()] == [False, False, True]


async def test_embeddings(site: Site, key: str) -> None:
    async with native(site, key) as own:
        many = await own.client.embed("gemma3:12b", ["a", "b"], dimensions=8)
        assert [len(vector) for vector in many.embeddings] == [8, 8]
        one = await own.client.embeddings("gemma3:12b", "a")
        assert len(one.embedding) == 768
        row, older = [await site.row(id) for id in own.ids]
    assert (row.path, row.input_tokens, row.output_tokens, row.usage_source) == (
        "/api/embed", many.prompt_eval_count, 0, "provider",
    )  # fmt: skip
    # The older form gives no figures.
    assert (older.path, older.output_tokens, older.usage_source, older.ending) == (
        "/api/embeddings", 0, "estimated", "complete",
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scripted(site: Site) -> str:
    """A key for a server whose models are the scripts."""
    return await site.key(account_id=await site.account("ollama", credentials={}, models=["sandbox*"]))


async def test_tools_and_thinking(site: Site, scripted: str) -> None:
    async with native(site, scripted) as own:
        asked: dict[str, Any] = {"messages": WORDS, "tools": [weather], "think": True}
        whole = await own.client.chat("sandbox-tool-think-3", **asked)
        parts = [part async for part in await own.client.chat("sandbox-tool-think-3", stream=True, **asked)]
        called = [call for part in parts for call in part.message.tool_calls or []]
        thought = "".join(part.message.thinking or "" for part in parts)
        assert (thought, called) == (whole.message.thinking, whole.message.tool_calls)
        assert (called[0].function.name, called[0].function.arguments) == ("weather", {"city": "sandbox"})
        rows = [await site.row(id) for id in own.ids]
    assert {(row.output_tokens, row.usage_source) for row in rows} == {(whole.eval_count, "provider")}
    history = [*WORDS, whole.message, {"role": "tool", "content": "sunny", "tool_name": "weather"}]
    async with native(site, scripted) as own:
        assert (await own.client.chat("sandbox", history)).message.content == "The tool answered: sunny"


SCHEMA = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}


async def test_options_and_form(site: Site, scripted: str) -> None:
    async with native(site, scripted) as own:
        short = await own.client.chat("sandbox-tokens-30", WORDS, options={"num_predict": 4})
        assert (short.done_reason, short.eval_count) == ("length", 4)
        formed = await own.client.chat("sandbox", WORDS, format=SCHEMA)
        assert json.loads(formed.message.content or "") == {"a": 1}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "said", "expected", "scope"),
    [
        (404, 'model "x" not found, try pulling it first', (404, "No account serves"), "model"),
        (500, "model requires more system memory (9 GiB) than is available (1 GiB)", (502, ""), "model"),
        (500, "this model does not support embeddings", (502, ""), None),
        (503, "server busy, please try again.  maximum pending requests exceeded", (503, "No account"), "family"),
        (400, '"x" does not support thinking', (400, '"x" does not support thinking'), None),
    ],
)
async def test_native_errors(
    site: Site, told: Upstream, status: int, said: str, expected: tuple[int, str], scope: str | None, stream: bool
) -> None:
    account = await site.account("ollama", credentials={}, base_url=told.url + "/v1", models=["answer-*"])
    model = told.tell(Told(status, "application/json", [json.dumps({"error": said}).encode()], length=True))
    async with native(site, await site.key(account_id=account)) as own:
        with pytest.raises(ollama.ResponseError) as caught:
            made: Any = await own.client.chat(model, WORDS, stream=stream)
            _ = [part async for part in made]
    assert caught.value.status_code == expected[0]
    assert caught.value.error.startswith(expected[1])
    assert told.seen[-1].target == "/api/chat"
    states = site.gate.states.scopes(account)
    assert {name.partition(":")[0] for name in states} == ({scope} if scope else set())


async def test_a_stream_that_begins_with_an_error_goes_to_the_next_account(site: Site, told: Upstream) -> None:
    good = RECORDED["chat"]
    model = told.tell(Told(200, "application/x-ndjson", [good]))
    bad = told.tell(Told(200, "application/x-ndjson", [b'{"error":"failed to load model"}\n']))
    first = await site.account(
        "ollama", credentials={}, base_url=told.url, models=["both"], model_map={"both": bad}, priority=1
    )
    await site.account(
        "ollama", credentials={}, base_url=told.url, models=["both"], model_map={"both": model}, priority=2
    )
    key = await site.key(models=["both"])
    got = await site.http.post("/api/chat", headers={"api-key": key}, json={"model": "both", "messages": WORDS})
    assert (got.status_code, got.content) == (200, good)
    row = await site.row(got.headers["x-request-id"])
    assert [(one["outcome"], one["status"]) for one in row.attempts] == [("fault", 500), ("ok", 200)]
    assert [name.partition(":")[0] for name in site.gate.states.scopes(first)] == ["model"]


@pytest.mark.parametrize(
    ("script", "said", "ending"),
    [
        ("late-error-500", "an unknown error was encountered", "upstream_error"),
        ("cut-3", "The upstream's answer was cut off.", "upstream_error"),
        ("stall-after-3-9", "The upstream stopped sending.", "stalled"),
    ],
)
async def test_a_stream_that_breaks(site: Site, script: str, said: str, ending: str) -> None:
    waits = {"connect": 1, "first_event": 3, "stream_idle": 1, "total": 9}
    account = await site.account("ollama", credentials={}, models=["*"], timeouts=waits)
    heard = 0
    async with native(site, await site.key(account_id=account)) as own:
        with pytest.raises(ollama.ResponseError) as caught:
            async for _ in await own.client.chat(f"sandbox-tokens-30-{script}", WORDS, stream=True):
                heard += 1
        row = await site.row(own.ids[0])
    assert caught.value.error.startswith(said)
    assert heard >= 3
    assert (row.ending, row.usage_source) == (ending, "estimated")
    assert row.output_tokens > 0


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer sk-nobody"}, {"authorization": "Basic eDp5"}])
async def test_without_a_key(site: Site, header: dict[str, str]) -> None:
    async with ollama.AsyncClient(site.url, headers=header, trust_env=False) as client:
        with pytest.raises(ollama.ResponseError) as caught:
            await client.chat("sandbox", WORDS)
    assert (caught.value.status_code, "key" in caught.value.error) == (401, True)


# ---------------------------------------------------------------- the server's own answers


@pytest.mark.parametrize("prefix", ["", "/claude", "/compat", "/openai/compat_mode"])
async def test_models_are_listed_and_shown(site: Site, key: str, prefix: str) -> None:
    async with native(site, key, prefix) as own:
        [one] = (await own.client.list()).models
        assert (one.model, one.size, one.details and one.details.family) == ("ollama:gemma3:12b", 0, "gemma3")
        assert one.details and one.details.parameter_size == "12B"
        assert one == (await own.client.list()).models[0], "a list says the same each time"
        for name in ("ollama:gemma3:12b", "gemma3:12b"):
            shown = await own.client.show(name)
            assert shown.capabilities == ["completion", *(["tools"] if "compat" in prefix else []), "vision"]
            assert shown.modelinfo is not None and shown.modelinfo["gemma3.context_length"] == 131_072
            assert (shown.modified_at, shown.details) == (one.modified_at, one.details)
        with pytest.raises(ollama.ResponseError) as caught:
            await own.client.show("nothing")
        assert (caught.value.status_code, "does not exist" in caught.value.error) == (404, True)
        assert (await own.client.ps()).models == []
        said = await own.client.chat(one.model or "", WORDS)
        assert said.message.content == "Hello there"


async def test_the_clients_version_check(site: Site) -> None:
    """https://github.com/microsoft/vscode: Copilot takes no server before 0.6.4."""
    version = (await site.http.get("/api/version")).json()["version"]
    assert [int(part) for part in version.split(".")] >= [0, 6, 4]


@asynccontextmanager
async def stand_in(site: Site, key_id: str | None, name: str = "default") -> AsyncGenerator[None]:
    """While it lasts this is the key of those that have none; written past the checks of the admin API."""
    tenant = await site.tenant(name)

    async def write(value: str | None) -> None:
        async with site.sessions.begin() as session:
            row = await session.get(m.Tenant, tenant)
            assert row is not None
            row.ollama_key_id = value
            await tenants.change(session, row, {"enabled": True})
        await site.reload()

    await write(key_id)
    try:
        yield
    finally:
        await write(None)


async def test_a_client_of_this_machine_needs_no_key(site: Site) -> None:
    account = await site.account(
        "ollama", credentials={}, models=["gemma3:12b", "other"], model_map={"gemma3:12b": "sandbox-echo"}
    )
    key_id, _ = await site.new_key(account_id=account, models=["gemma3:12b"])
    body = {"model": "gemma3:12b", "messages": WORDS, "stream": False}
    async with ollama.AsyncClient(site.url, trust_env=False) as client, stand_in(site, key_id):
        assert [one.model for one in (await client.list()).models] == ["ollama:gemma3:12b"]
        assert (await client.show("gemma3:12b")).capabilities == ["completion", "vision"]
        assert (await client.ps()).models == []
        assert (await client.chat("gemma3:12b", WORDS)).message.content == "Hello there"
        assert (await client.generate("gemma3:12b", "Hello there")).response == "Hello there"
        with pytest.raises(ollama.ResponseError) as caught:
            await client.chat("other", WORDS)
        assert caught.value.status_code == 403
        got = await site.http.post("/claude/api/chat", json=body)
        assert (await site.row(got.headers["x-request-id"])).key_id == key_id
        for headers in (
            {"origin": "http://localhost:8080"}, {"origin": "null"}, {"host": "gateway.example.org"},
            {"host": "localhost.example.org"}, {"x-forwarded-for": "127.0.0.1"}, {"authorization": "Bearer sk-nobody"},
            {"x-api-key": ""},
        ):  # fmt: skip
            for method, path in (("GET", "/api/tags"), ("POST", "/api/chat"), ("POST", "/api/show")):
                got = await site.http.request(method, path, headers=headers, json=body if method == "POST" else None)
                assert (got.status_code, list(got.json())) == (401, ["error"]), (headers, path)
        for path in ("/v1/chat/completions", "/v1/messages", "/v1beta/models/gemma3:12b:generateContent"):
            assert (await site.http.post(path, json=body)).status_code == 401, path
        for path in ("/v1/models", "/v1beta/models", "/v1/providers", "/v1/key", "/v1/usage"):
            assert (await site.http.get(path)).status_code == 401, path
        async with site.sessions.begin() as session:
            await keys.delete(session, await keys.find(session, Reach(everything=True), key_id, lock=True))
        await site.reload()
        assert (await site.http.get("/api/tags")).status_code == 401
    assert (await site.http.get("/api/tags")).status_code == 401


async def test_no_other_tenant_lends_a_key(site: Site) -> None:
    async with site.sessions.begin() as session:
        other = await tenants.create(session, {"name": "other"})
    await site.account("ollama", credentials={}, tenant_id=other.id, models=["m"])
    key_id, _ = await site.new_key(tenant_id=other.id)
    for name in ("other", "default"):
        async with stand_in(site, key_id, name):
            got = await site.http.get("/api/tags")
            assert (got.status_code, got.json()) == (401, {"error": "No key was presented."})


@pytest.mark.parametrize("body", [{"model": "a", "Model": "b"}, {"model": 7}, {"model": "a", "stream": "no"}, []])
async def test_a_body_that_cannot_be_used(site: Site, scripted: str, body: Any) -> None:
    got = await site.http.post("/api/chat", headers={"api-key": scripted}, json=body)
    assert (got.status_code, list(got.json())) == (400, ["error"])
    assert isinstance(got.json()["error"], str)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/chat", 405), ("POST", "/api/create", 404)])
async def test_paths_are_refused_in_its_own_words(site: Site, method: str, path: str, status: int) -> None:
    got = await site.http.request(method, path)
    assert (got.status_code, list(got.json())) == (status, ["error"])
    assert isinstance(got.json()["error"], str)


# ---------------------------------------------------------------- byte for byte

#: With the escapes of Go's encoder, other line ends, and a last line without one.
RECORDED = {
    "chat": (
        '{"model":"qwen3:4b","created_at":"2025-11-02T10:21:07.904144Z",'
        '"message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}\n'
        '{"model":"qwen3:4b","created_at":"2025-11-02T10:21:07.924511Z",'
        '"message":{"role":"assistant","content":"\\u003cb\\u003eZürich 🌍"},"done":false}\n'
        '{"model":"qwen3:4b","created_at":"2025-11-02T10:21:07.944001Z","message":{"role":"assistant","content":"",'
        '"tool_calls":[{"id":"call_1","function":{"index":0,"name":"weather","arguments":{"city":"Zürich"}}}]},'
        '"done":false}\n'
        '{"model":"qwen3:4b","created_at":"2025-11-02T10:21:07.964Z","message":{"role":"assistant","content":""},'
        '"done":true,"done_reason":"stop","total_duration":889083375,"load_duration":58281125,'
        '"prompt_eval_count":169,"prompt_eval_duration":401833416,"eval_count":59,"eval_duration":427942291}\n'
    ).encode(),
    "generate": (
        b'{"model":"gemma3","created_at":"2023-08-04T08:52:19.385406455-07:00","response":"The","done":false}\n'
        b'{"model":"gemma3","created_at":"2023-08-04T08:52:19.4-07:00","response":" sky\\n\\n","done":false}\r\n'
        b'{"model":"gemma3","created_at":"2023-08-04T19:22:45.499127Z","response":"","done":true,"done_reason":"stop",'
        b'"context":[1,2,3],"total_duration":10706818083,"load_duration":6338219291,"prompt_eval_count":26,'
        b'"prompt_eval_duration":130079000,"eval_count":259,"eval_duration":4232710000}'
    ),
    "embed": (
        b'{"model":"all-minilm","embeddings":[[0.010071029,-0.0017594862],[1e-07,-2]],'
        b'"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}'
    ),
}
FIGURES = {"chat": (169, 59), "generate": (26, 259), "embed": (8, 0)}


@pytest.mark.parametrize("action", RECORDED)
@pytest.mark.parametrize("how", ["whole", "bytes", "cuts"])
async def test_answers_pass_byte_for_byte(site: Site, told: Upstream, action: str, how: str) -> None:
    body = RECORDED[action]
    marks = {
        "whole": [0, len(body)],
        "bytes": [*range(len(body) + 1)],
        "cuts": sorted({0, len(body), *random.Random(action).sample(range(len(body)), 9)}),
    }[how]
    kind = "application/json; charset=utf-8" if action == "embed" else "application/x-ndjson"
    answer = Told(200, kind, [body[low:high] for low, high in pairwise(marks)])
    account = await site.account("ollama", credentials={}, base_url=told.url, models=["answer-*"])
    key = await site.key(account_id=account)
    sent = (
        b'{ "model" : "%b" ,\t"prompt":"\\u00e9","input":["x"], "options":{"num_predict":-1}}'
        % told.tell(answer).encode()
    )
    async with wire(site.url) as client:
        got = await client.ask(f"POST /api/{action}?a=%20 HTTP/1.1\r\nhost: x\r\nauthorization: bearer {key}", sent)
    assert (got.status, got.header("content-type"), got.body) == (200, kind, body)
    seen = told.seen[-1]
    assert (seen.target, seen.body) == (f"/api/{action}?a=%20", sent)
    assert "authorization" not in dict(seen.headers)
    row = await site.row(got.header("x-request-id") or "")
    assert ((row.input_tokens, row.output_tokens), row.usage_source) == (FIGURES[action], "provider")
    assert (row.ending, row.stream) == ("complete", action != "embed")
