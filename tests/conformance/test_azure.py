"""The vendor's Azure clients, unchanged but for endpoint and key: in front of Azure's accounts and of plain ones.

Both ways in: `AzureOpenAI(azure_endpoint=…, api_version=…)`, and `OpenAI(base_url="…/openai/v1/")`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
import pytest_asyncio
from msgspec import Struct

from gateway.platforms import azure_openai
from tests.conformance.upstream import Told, Upstream
from tests.support.installation import Site
from tests.support.wire import wire

WORDS: Any = [{"role": "user", "content": "Hello there"}]
VERSION = "2025-04-01-preview"
DEPLOYMENT = "sandbox-echo"
#: How Azure's accounts are set up, and how each puts (chat, embeddings, responses) into a path.
ACCOUNTS: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "unsaid": (
        {},
        (
            f"/openai/deployments/{DEPLOYMENT}/chat/completions?api-version={azure_openai.GA}",
            f"/openai/deployments/{DEPLOYMENT}/embeddings?api-version={azure_openai.GA}",
            "/openai/v1/responses",
        ),
    ),
    "dated": (
        {"options": {"api_version": VERSION}},
        (
            f"/openai/deployments/{DEPLOYMENT}/chat/completions?api-version={VERSION}",
            f"/openai/deployments/{DEPLOYMENT}/embeddings?api-version={VERSION}",
            f"/openai/responses?api-version={VERSION}",
        ),
    ),
    "v1": (
        {"options": {"api_version": "v1"}},
        ("/openai/v1/chat/completions", "/openai/v1/embeddings", "/openai/v1/responses"),
    ),
}
HIDDEN = ("x-ms-region", "x-ms-client", "x-ms-deployment", "apim-", "x-ratelimit-", "openai-organization")
PLAIN = ("/v1/chat/completions", "/v1/embeddings", "/v1/responses")


class Behind(Struct, frozen=True):
    key: str
    limited: str
    """For an account of the same kind that has used up its limit."""
    paths: tuple[str, str, str]
    azure: bool


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=[*ACCOUNTS, "openai"])
async def behind(site: Site, request: Any) -> Behind:
    """A key for one account, whose deployment has another name than the client's model."""
    fields, paths = ACCOUNTS.get(request.param, ({}, PLAIN))
    platform = "openai" if request.param == "openai" else "azure-openai"
    keys: list[str] = []
    for names in (
        {"my-model": DEPLOYMENT, "my-tool": "sandbox-tool"},
        {"my-model": "sandbox-error-429-retry-after-7"},
    ):
        account = await site.account(platform, models=["unused"], model_map=names, **fields)
        keys.append(await site.key(account_id=account))
    return Behind(keys[0], keys[1], paths, request.param != "openai")


WAYS = ["dated", "v1"]


@pytest_asyncio.fixture(params=WAYS)
async def gpt(site: Site, behind: Behind, request: Any) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with asynchronous(request.param, site, behind.key) as client:
        yield client


def asynchronous(way: str, site: Site, key: str) -> openai.AsyncOpenAI:
    if way == "v1":
        return openai.AsyncOpenAI(base_url=f"{site.url}/openai/v1/", api_key=key, max_retries=0)
    return openai.AsyncAzureOpenAI(azure_endpoint=site.url, api_key=key, api_version="2024-02-01", max_retries=0)


@pytest.fixture(params=WAYS)
def blocking(site: Site, behind: Behind, request: Any) -> Iterator[openai.OpenAI]:
    """The client without asyncio: it is called from threads."""
    with ExitStack() as stack:
        if request.param == "v1":
            yield stack.enter_context(
                openai.OpenAI(base_url=f"{site.url}/openai/v1/", api_key=behind.key, max_retries=0)
            )
        else:
            yield stack.enter_context(
                openai.AzureOpenAI(azure_endpoint=site.url, api_key=behind.key, api_version="2024-02-01", max_retries=0)
            )


def said(chunks: list[Any], *, azure: bool) -> str:
    """The text of a stream; Azure's word on the prompt comes first and without choices, and it reaches the client."""
    assert (chunks[0].choices == []) is azure
    assert ("prompt_filter_results" in (chunks[0].model_extra or {})) is azure
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def test_chat(gpt: openai.AsyncOpenAI, behind: Behind, site: Site) -> None:
    whole = await gpt.chat.completions.create(model="my-model", messages=WORDS)
    assert whole.choices[0].message.content == "Hello there"
    stream = await gpt.chat.completions.create(model="my-model", messages=WORDS, stream=True)
    chunks = [chunk async for chunk in stream]
    assert said(chunks, azure=behind.azure) == "Hello there"
    assert all(chunk.usage is None for chunk in chunks)  # usage was not asked for
    assert [one.target for one in site.sandbox.requests()[-2:]] == [behind.paths[0]] * 2
    stream = await gpt.chat.completions.create(
        model="my-model", messages=WORDS, stream=True, stream_options={"include_usage": True}
    )
    assert [chunk async for chunk in stream][-1].usage == whole.usage


async def test_what_names_the_account_stays_here(gpt: openai.AsyncOpenAI) -> None:
    got = await gpt.chat.completions.with_raw_response.create(model="my-model", messages=WORDS)
    assert got.headers["x-request-id"].startswith("req_")
    assert not [name for name in got.headers if name.startswith(HIDDEN)]


async def test_what_is_signed(gpt: openai.AsyncOpenAI, behind: Behind, site: Site) -> None:
    await gpt.chat.completions.create(model="my-model", messages=WORDS)
    sent = [pair for pair in site.sandbox.requests()[-1].headers if pair[0] in {"api-key", "authorization"}]
    assert sent == [("api-key" if behind.azure else "authorization", "…0001")]


async def test_tools(gpt: openai.AsyncOpenAI, behind: Behind) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    whole = await gpt.chat.completions.create(model="my-tool", messages=WORDS, tools=tools)
    calls: Any = whole.choices[0].message.tool_calls
    async with gpt.chat.completions.stream(model="my-tool", messages=WORDS, tools=tools) as stream:
        last: Any = await stream.get_final_completion()
    found = last.choices[0].message.tool_calls
    assert [one.function.arguments for one in found] == [one.function.arguments for one in calls]


async def test_embeddings(gpt: openai.AsyncOpenAI, behind: Behind, site: Site) -> None:
    assert len((await gpt.embeddings.create(model="my-model", input=["a", "b"])).data) == 2
    assert site.sandbox.requests()[-1].target == behind.paths[1]


async def test_responses(gpt: openai.AsyncOpenAI, behind: Behind, site: Site) -> None:
    whole = await gpt.responses.create(model="my-model", input="Hello there")
    assert whole.output_text == "Hello there"
    async with gpt.responses.stream(model="my-model", input="Hello there") as stream:
        last = await stream.get_final_response()
    assert (last.output_text, last.usage) == (whole.output_text, whole.usage)
    assert [one.target for one in site.sandbox.requests()[-2:]] == [behind.paths[2]] * 2


async def test_errors(gpt: openai.AsyncOpenAI, behind: Behind) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await gpt.chat.completions.create(model="nothing", messages=WORDS)
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.InternalServerError) as failed:
        await gpt.with_options(api_key=behind.limited).chat.completions.create(model="my-model", messages=WORDS)
    assert (failed.value.status_code, failed.value.code) == (503, "no_account")
    assert int(failed.value.response.headers["retry-after"]) <= 7
    assert not [name for name in failed.value.response.headers if name.startswith(HIDDEN)]


async def test_without_asyncio(blocking: openai.OpenAI, behind: Behind) -> None:
    def all_of_it() -> None:
        whole = blocking.chat.completions.create(model="my-model", messages=WORDS)
        assert whole.choices[0].message.content == "Hello there"
        chunks = list(blocking.chat.completions.create(model="my-model", messages=WORDS, stream=True))
        assert said(chunks, azure=behind.azure) == "Hello there"
        assert len(blocking.embeddings.create(model="my-model", input="a").data) == 1
        assert blocking.responses.create(model="my-model", input="Hello there").output_text == "Hello there"

    await asyncio.to_thread(all_of_it)


@pytest.mark.parametrize("form", ["azure_ad_token", "azure_deployment", "base_url"])
async def test_other_ways_to_set_the_client_up(behind: Behind, site: Site, form: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "azure_ad_token": {"azure_endpoint": site.url, "azure_ad_token": behind.key},
        "azure_deployment": {"azure_endpoint": site.url, "api_key": behind.key, "azure_deployment": "my-model"},
        "base_url": {"base_url": f"{site.url}/openai", "api_key": behind.key},
    }
    async with openai.AsyncAzureOpenAI(api_version="2024-10-21", max_retries=0, **ways[form]) as client:
        whole = await client.chat.completions.create(model="my-model", messages=WORDS)
        assert whole.choices[0].message.content == "Hello there"


# ---------------------------------------------------------------- byte for byte


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


SAFE = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}
FRAME = {"created": 1790000000, "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "object": "chat.completion.chunk"}
USAGE = {"completion_tokens": 2, "prompt_tokens": 9, "total_tokens": 11}
PROMPT = event(
    choices=[],
    created=0,
    id="",
    model="",
    object="",
    prompt_filter_results=[{"prompt_index": 0, "content_filter_results": SAFE}],
)


def choice(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"content_filter_results": SAFE, "delta": delta, "finish_reason": finish, "index": 0, "logprobs": None}


BEGINNING = PROMPT + event(choices=[choice(role="assistant", content="")], **FRAME, usage=None)
MIDDLE = event(choices=[choice(content="Hé")], **FRAME, usage=None) + event(choices=[choice("stop")], **FRAME)
#: The asynchronous filter's word comes late and belongs to characters that were said before.
LATE = event(
    choices=[
        {
            "content_filter_offsets": {"check_offset": 0, "start_offset": 0, "end_offset": 2},
            "content_filter_results": SAFE,
            "finish_reason": None,
            "index": 0,
        }
    ],
    created=0,
    id="",
    model="",
    object="",
)
FIGURES = event(choices=[], **FRAME, usage=USAGE)
DONE = b"data: [DONE]\n\n"
GOLDEN = BEGINNING + MIDDLE + LATE + FIGURES + DONE


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def verbatim(site: Site, told: Upstream) -> str:
    account = await site.account("azure-openai", base_url=told.url, models=["answer-*"])
    return await site.key(account_id=account)


@pytest.mark.parametrize("size", [len(GOLDEN), 1, 7, 64])
@pytest.mark.parametrize("asks", [False, True])
async def test_a_stream_passes_as_it_came(site: Site, told: Upstream, verbatim: str, size: int, asks: bool) -> None:
    pieces = [GOLDEN[at : at + size] for at in range(0, len(GOLDEN), size)]
    model = told.tell(Told(200, "text/event-stream; charset=utf-8", pieces, headers=[("x-ms-region", "East US")]))
    asked = {"messages": WORDS, "stream": True, **({"stream_options": {"include_usage": True}} if asks else {})}
    async with wire(site.url) as client:
        path = f"/openai/deployments/{model}/chat/completions?api-version=1"
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\napi-key: {verbatim}"
        got = await client.ask(head, json.dumps(asked).encode())
    assert got.status == 200
    assert got.body == (GOLDEN if asks else BEGINNING + MIDDLE + LATE + DONE)
    assert got.header("x-ms-region") is None
    assert told.seen[-1].target == f"/openai/deployments/{model}/chat/completions?api-version={azure_openai.GA}"
    assert json.loads(told.seen[-1].body)["stream_options"] == {"include_usage": True}
    row = await site.row(got.header("x-request-id") or "")
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (9, 2, "provider")
    assert (row.status, row.ending) == (200, "complete")


async def test_a_stream_has_begun_with_the_filters_word(site: Site) -> None:
    """What follows it may take longer than a first event may."""
    account = await site.account("azure-openai", models=["sandbox-*"], timeouts={"first_event": 1})
    async with asynchronous("dated", site, await site.key(account_id=account)) as client:
        stream = await client.chat.completions.create(
            model="sandbox-echo-stall-after-1-1500ms", messages=WORDS, stream=True
        )
        assert said([chunk async for chunk in stream], azure=True) == "Hello there"


async def test_a_prompt_that_the_filter_refuses(site: Site, told: Upstream, verbatim: str) -> None:
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {**SAFE, "jailbreak": {"filtered": True}}}
    message = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
    error = {"message": message, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
    body = json.dumps({"error": {**error, "innererror": inner}}).encode()
    for _ in range(2):
        model = told.tell(Told(400, "application/json", [body], length=True))
        async with wire(site.url) as client:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\napi-key: {verbatim}"
            got = await client.ask(head, json.dumps({"model": model, "messages": WORDS}).encode())
        assert (got.status, got.body) == (400, body)


# ---------------------------------------------------------------- Entra


async def test_by_a_token_of_entras(site: Site) -> None:
    """Two requests, one token: it was asked for at the address of the account's, by the application."""
    options = {
        "token_url": f"{site.sandbox.url}/contoso/oauth2/v2.0/token",
        "client_id": "app-1",
        "api_version": VERSION,
    }
    account = await site.account(
        "azure-openai", credentials={"client_secret": "s~1"}, options=options, models=["unused"],
        model_map={"my-model": DEPLOYMENT},
    )  # fmt: skip
    key = await site.key(account_id=account)
    before = len(site.sandbox.requests())
    async with asynchronous("dated", site, key) as client:
        for _ in range(2):
            whole = await client.chat.completions.create(model="my-model", messages=WORDS)
            assert whole.choices[0].message.content == "Hello there"
    seen = site.sandbox.requests()[before:]
    chat = f"/openai/deployments/{DEPLOYMENT}/chat/completions?api-version={VERSION}"
    assert [one.target for one in seen] == ["/contoso/oauth2/v2.0/token", chat, chat]
    signed = [pair for one in seen[1:] for pair in one.headers if pair[0] in {"api-key", "authorization"}]
    assert signed == [("authorization", "…dbox")] * 2


async def test_an_application_that_entra_refuses(site: Site) -> None:
    options = {"token_url": f"{site.sandbox.url}/contoso/oauth2/v2.0/token", "client_id": "app-1"}
    account = await site.account(
        "azure-openai", credentials={"client_secret": "wrong"}, options=options, models=[DEPLOYMENT]
    )
    async with asynchronous("dated", site, await site.key(account_id=account)) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=DEPLOYMENT, messages=WORDS)
    assert caught.value.code == "upstream_auth_failed"


async def test_the_list_of_models(gpt: openai.AsyncOpenAI) -> None:
    assert "my-model" in [one.id async for one in gpt.models.list()]
